package tts

import (
	"context"
	"errors"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// publishLimit bounds what the loop waits for the broker.
const publishLimit = 2 * time.Second

func (r *run) publishStatus(ctx context.Context, e status) {
	s := contract.SpeechStatus{Event: e.event, Text: e.text}
	if e.u.utt != "" {
		s.UttID = &e.u.utt
	}
	if e.reason != "" {
		s.Reason = &e.reason
	}
	if e.flags {
		s.WakeAck, s.SystemAnnounce = &e.u.ack, &e.u.announce
	}
	publish(ctx, r, e.u, contract.TTSStatus, s)
}

func (r *run) publishProgress(ctx context.Context, p *part) {
	s := contract.SpeechProgress{Part: p.n, Text: p.text}
	if p.u.utt != "" {
		s.UttID = &p.u.utt
	}
	if engine := p.clip.speaker(); engine != "" {
		s.Engine = &engine
	}
	if !p.received.IsZero() {
		s.AfterMS = new(int(time.Since(p.received).Milliseconds()))
	}
	publish(ctx, r, p.u, contract.TTSProgress, s)
}

func publish[T any](ctx context.Context, r *run, u *utterance, t contract.Topic[T], data T) {
	ctx, cancel := context.WithTimeout(client.WithTurn(context.WithoutCancel(ctx), u.turn), publishLimit) // at the end, too
	defer cancel()
	if _, err := client.Publish(ctx, r.bus, t, data); err != nil && !errors.Is(err, context.Canceled) {
		r.log.Debug().Ctx(ctx).Err(err).Msg("not published")
	}
}

// spread publishes news of state and health, so that the loop does not wait for the broker.
func (r *run) spread(ctx context.Context) {
	for {
		select {
		case f := <-r.news:
			within, cancel := context.WithTimeout(ctx, publishLimit)
			f(within)
			cancel()
		case <-ctx.Done():
			return
		}
	}
}

func (r *run) later(f func(ctx context.Context)) {
	for {
		select {
		case r.news <- f:
			return
		default:
		}
		select {
		case <-r.news: // the oldest matters least
		default:
		}
	}
}

func (r *run) publishState() {
	s := contract.SpeechState{Sink: r.o.Sink, Muted: r.muted, Volume: r.volume}
	if r.nowhere {
		s.Sink = "none"
	}
	if name, _ := r.chain.First(nil); name != "" {
		s.Engine = &name
	}
	r.later(func(ctx context.Context) {
		if _, err := client.Publish(ctx, r.bus, contract.TTSState, s); err != nil && ctx.Err() == nil {
			r.log.Debug().Err(err).Msg("state not published")
		}
	})
}

// health says who speaks and where, and what is wrong, when that has changed. Without any engine the service is
// not well; without a device it is, since pages and satellites hear it.
func (r *run) health() {
	name, _ := r.chain.First(nil)
	err := errors.Join(r.chain.Err(), r.wrong)
	event := name + " speaks"
	switch {
	case name == "":
		event = "no engine"
	case r.nowhere:
		event += "; no sound device, so that nothing is heard here"
	}
	said := event
	if err != nil {
		said += ": " + err.Error()
	}
	if said == r.lastSaid {
		return
	}
	r.lastSaid = said
	r.log.Info().Str("event", event).AnErr("err", err).Msg("speech")
	well := name != "" && r.wrong == nil
	r.later(func(ctx context.Context) {
		if err := r.bus.Health(ctx, well, event, err); err != nil && ctx.Err() == nil {
			r.log.Debug().Err(err).Msg("health not published")
		}
	})
	r.publishState()
}
