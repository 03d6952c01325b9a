package stt

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/stt/recognise"
)

const (
	// publishLimit bounds what a site waits for the broker.
	publishLimit = 2 * time.Second
	// finalLife is how long a transcript is worth something: later the answer would surprise.
	finalLife = 15 * time.Second
	// signTime is how often who speaks is told of when there are no new words, so that a window
	// stays open.
	signTime = 2 * time.Second
	// noWords stands for speech whose words are not known yet.
	noWords = "…"
)

// scribe has the utterances of one site understood, one after the other.
type scribe struct {
	o     *Options
	bus   *client.Client
	log   zerolog.Logger
	site  string
	mics  *mics
	chain *recognise.Chain
	judge *judge
	tell  func(err error) // what became of an utterance; nil: it was understood
}

// run works until the queue is closed, or ctx ends.
func (s *scribe) run(ctx context.Context, queue <-chan *utterance) {
	for {
		select {
		case u, ok := <-queue:
			if !ok {
				return
			}
			s.transcribe(ctx, u)
		case <-ctx.Done():
			return
		}
	}
}

// transcribe has one understood, and publishes what it was.
func (s *scribe) transcribe(ctx context.Context, u *utterance) {
	ctx = client.WithTurn(ctx, u.turn)
	relay := s.chain.Begin(recognise.Utterance{Lang: s.o.Lang})
	defer relay.Close()
	shown := &partials{s: s, u: u}
	res, err := s.listen(ctx, u, relay, shown)
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, errDropped):
		shown.clear(ctx)
		return
	case err != nil:
		shown.clear(ctx)
		s.log.Warn().Ctx(ctx).Err(err).Msg("not understood")
		s.tell(err)
		return
	}
	s.tell(nil)
	text, why := s.decide(res, u)
	if why != "" {
		shown.clear(ctx)
		s.log.Debug().Ctx(ctx).Str("text", text).Str("why", why).Msg("not a transcript")
		return
	}
	s.publish(ctx, u, text, res)
	s.log.Debug().Ctx(ctx).Str("text", text).Str("engine", relay.Engine()).Dur("after", time.Since(u.m.to)).Msg("transcript")
}

// errDropped says that nobody wants to know any more what somebody said.
var errDropped = errors.New("dropped")

// listen feeds an engine while somebody speaks.
func (s *scribe) listen(ctx context.Context, u *utterance, relay *recognise.Relay, shown *partials) (recognise.Result, error) {
	from, last := 0, time.Time{}
	for {
		p, err := u.take(ctx, from)
		if err != nil {
			return recognise.Result{}, err
		}
		if p.dropped {
			return recognise.Result{}, errDropped
		}
		from += len(p.pcm)
		if err := relay.Feed(ctx, p.pcm); err != nil {
			return recognise.Result{}, err
		}
		if p.done {
			return relay.Finish(ctx)
		}
		if now := time.Now(); s.o.Partials && p.sure && now.Sub(last) >= s.o.PartialInterval {
			last = now
			text, err := relay.Partial(ctx)
			if err != nil {
				return recognise.Result{}, err
			}
			shown.show(ctx, now, text)
		}
	}
}

// decide says what of a result is worth being published, or why nothing is.
func (s *scribe) decide(res recognise.Result, u *utterance) (text, why string) {
	text = s.judge.clean(res.Text, u.woken)
	if why := s.judge.reject(text, res, u.m); why != "" {
		return text, why
	}
	if s.judge.isUrgent(text) { // a stop too many does no harm
		return text, ""
	}
	left, own := s.mics.heard(s.site, text, u.m)
	if own {
		return text, "own speech"
	}
	return left, ""
}

// publish says what somebody said.
func (s *scribe) publish(ctx context.Context, u *utterance, text string, res recognise.Result) {
	s.judge.published(text, u.m)
	s.mics.transcribed(time.Now(), s.site)
	f := contract.FinalTranscript{Text: text, Lang: s.lang(res.Lang), UttID: &u.id, TS: unix(time.Now()), IsFinal: true}
	if res.Confidence >= 0 {
		f.Confidence = new(min(res.Confidence, 1))
	}
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	end := client.UserProperty{Key: contract.PropSpeechEnd, Value: strconv.FormatFloat(unix(u.m.to), 'f', 3, 64)}
	opts := []client.PublishOption{client.WithProps(end), client.WithExpiry(finalLife)}
	if u.first {
		opts = append(opts, client.WithID(u.turn.ID))
	}
	if _, err := client.Publish(ctx, s.bus, contract.STTFinal, f, opts...); err != nil && !errors.Is(err, context.Canceled) {
		s.log.Warn().Ctx(ctx).Err(err).Msg("transcript not published")
	}
}

func (s *scribe) lang(of string) string {
	switch {
	case of != "":
		return of
	case s.o.Lang != "":
		return s.o.Lang
	}
	return "en"
}

// partials are what is published of an utterance while it goes on.
type partials struct {
	s    *scribe
	u    *utterance
	last string
	at   time.Time
}

// show publishes what was understood so far, when it is new, or a while ago.
func (p *partials) show(ctx context.Context, now time.Time, text string) {
	text = p.s.judge.clean(text, p.u.woken)
	p.u.silence.Store(int64(p.s.judge.silence(text)))
	if text == "" {
		text = noWords
		if p.last != "" && p.last != noWords {
			text = p.last
		}
	}
	if text == p.last && now.Sub(p.at) < signTime {
		return
	}
	p.last, p.at = text, now
	p.publish(ctx, text)
}

// clear takes back what was shown, when there will be no transcript.
func (p *partials) clear(ctx context.Context) {
	if p.last != "" {
		p.publish(ctx, "")
	}
}

func (p *partials) publish(ctx context.Context, text string) {
	t := contract.PartialTranscript{Text: text, Lang: p.s.lang(""), UttID: &p.u.id, TS: unix(time.Now())}
	if _, err := client.Publish(ctx, p.s.bus, contract.STTPartial, t); err != nil && ctx.Err() == nil {
		p.s.log.Debug().Ctx(ctx).Err(err).Msg("partial transcript not published")
	}
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
