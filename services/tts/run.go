package tts

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/tts/spoken"
	"github.com/tarsd/tarsd/services/tts/voice"
)

// event is something that the loop does with the queue.
type event func(now time.Time)

// run is one life of the service. All but the player, the synthesizers and the handlers is the
// loop's, which waits for them at its end.
type run struct {
	o     *Options
	bus   *client.Client
	log   zerolog.Logger
	chain *voice.Chain
	cache *cache
	stock []string // sentences that are made before they are asked for
	out   output
	sites sites

	events chan event
	ended  chan struct{} // closed when the loop takes no more
	q      *queue
	player struct {
		cancel context.CancelFunc
		done   chan struct{} // nil: it has nothing to do
		turn   int           // counts what it was given, so that what it says too late is not heard
	}
	news     chan func(context.Context)   // about state and health, for the goroutine that publishes it
	making   map[*part]context.CancelFunc // of synthesizers
	wg       sync.WaitGroup               // of synthesizers
	muted    bool
	volume   int
	wrong    error // with the speaker
	nowhere  bool
	lastSaid string // health, so that it is said once
}

func newRun(o *Options, rt services.Runtime) *run {
	engines, absent := o.Engines()
	r := &run{
		o: o, bus: rt.Bus, log: rt.Log, chain: voice.NewChain(engines, absent, o.Silence), cache: newCache(o.CacheDir, o.CacheMax),
		events: make(chan event, 64), news: make(chan func(context.Context), 16), ended: make(chan struct{}), q: newQueue(o), making: map[*part]context.CancelFunc{}, volume: o.Volume,
		sites: sites{always: o.Sites, seen: map[string]time.Time{}},
	}
	for _, s := range o.Preload {
		r.stock = append(r.stock, spoken.Sentences(spoken.Plain(s))...)
	}
	r.out.o, r.out.bus, r.out.log = o, rt.Bus, rt.Log
	r.out.gain.Store(int32(o.Volume)) //nolint:gosec // at most 100
	r.out.tell = func(ctx context.Context, err error, nowhere bool) {
		r.send(ctx, func(time.Time) { r.wrong, r.nowhere = err, nowhere })
	}
	return r
}

// send hands an event to the loop, unless that or ctx has ended.
func (r *run) send(ctx context.Context, e event) {
	select {
	case r.events <- e:
	case <-ctx.Done():
	case <-r.ended:
	}
}

func (r *run) subscribe() error {
	_, e1 := client.Subscribe(r.bus, contract.TTSSay, func(ctx context.Context, m client.Message[contract.Say]) error {
		t := text{say: m.Data, turn: client.TurnOf(ctx), received: m.Received}
		t.parts = spoken.Sentences(spoken.Plain(m.Data.Text))
		r.send(ctx, func(now time.Time) { r.q.add(now, t) })
		return nil
	})
	_, e2 := client.Subscribe(r.bus, contract.TTSControl, func(ctx context.Context, m client.Message[contract.SpeechControl]) error {
		r.send(ctx, func(now time.Time) { r.control(now, m.Data, m.Received) })
		return nil
	})
	_, e3 := client.Subscribe(r.bus, contract.LLMRequest, func(ctx context.Context, m client.Message[contract.ChatRequest]) error {
		r.send(ctx, func(now time.Time) { r.q.making(now, m.Data.ID) })
		return nil
	})
	_, e4 := client.Subscribe(r.bus, contract.LLMResponse, func(ctx context.Context, m client.Message[contract.ChatResponse]) error {
		r.send(ctx, func(now time.Time) { r.q.made(now, m.Data.ID) })
		return nil
	})
	_, e5 := client.Subscribe(r.bus, contract.LLMCancel, func(ctx context.Context, m client.Message[contract.ChatCancel]) error {
		r.send(ctx, func(now time.Time) { r.q.made(now, m.Data.ID) })
		return nil
	})
	_, e6 := client.Subscribe(r.bus, contract.AudioIn, func(_ context.Context, m client.Message[[]byte]) error {
		r.sites.heard(m.Topic, time.Now())
		return nil
	}, client.Queue(8, client.DropOldest))
	return errors.Join(e1, e2, e3, e4, e5, e6)
}

// run is the loop.
func (r *run) run(ctx context.Context, ready func()) error {
	var wg sync.WaitGroup
	inner, cancel := context.WithCancel(ctx)
	wg.Go(func() {
		ready() // says that all is well; what is known better comes after it
		r.spread(inner)
	})
	wg.Go(func() { r.preload(inner) })
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	r.health()
	for {
		r.arm(timer)
		select {
		case e := <-r.events:
			e(time.Now())
		case <-timer.C:
			r.q.tick(time.Now())
		case <-ctx.Done():
		}
		if ctx.Err() != nil { // and it may have ended while something else was done
			break
		}
		r.carryOut(ctx)
		r.health()
	}
	r.stopAll(ctx)
	cancel()
	close(r.ended)
	r.wg.Wait()
	wg.Wait()
	return errors.Join(r.out.close(), r.chain.Close())
}

func (r *run) arm(timer *time.Timer) {
	at := r.q.next()
	if at.IsZero() {
		timer.Stop()
		return
	}
	timer.Reset(max(0, time.Until(at)))
}

// stopAll ends everything at the end of the service: who waits for an end gets it.
func (r *run) stopAll(ctx context.Context) {
	r.q.stop(time.Now(), "", reasonEnding, time.Time{})
	r.carryOut(context.WithoutCancel(ctx))
	r.halt()
	for _, cancel := range r.making {
		cancel()
	}
}

// carryOut does what the queue wants done.
func (r *run) carryOut(ctx context.Context) {
	for len(r.q.out) > 0 {
		out := r.q.out
		r.q.out = nil
		for _, e := range out {
			switch e := e.(type) {
			case synthesize:
				r.synthesize(ctx, e.p, e.after)
			case play:
				r.play(ctx, e.p)
			case drainOut:
				r.drain(ctx)
			case halt:
				unheard := r.halt()
				if e.again {
					r.q.halted(unheard)
				}
			case forget:
				if cancel := r.making[e.p]; cancel != nil {
					cancel()
					delete(r.making, e.p)
				}
			case status:
				r.publishStatus(ctx, e)
			case progress:
				r.publishProgress(ctx, e.p)
			}
		}
	}
}

// control carries out a command.
func (r *run) control(now time.Time, c contract.SpeechControl, received time.Time) {
	switch c.Action {
	case contract.ActionMute, contract.ActionUnmute:
		r.setGain(now, c.Action == contract.ActionMute, r.volume)
	case contract.ActionVolume:
		r.setGain(now, r.muted, *c.Volume)
	default:
		r.q.control(now, c.Action, contract.Value(c.ID), c.Reason, received)
	}
}

// setGain changes mute and volume. What is on its way to the speaker is taken back and played again, so
// that it is heard at once.
func (r *run) setGain(now time.Time, muted bool, volume int) {
	if muted == r.muted && volume == r.volume {
		return
	}
	r.muted, r.volume = muted, volume
	gain := int32(volume) //nolint:gosec // at most 100
	if muted {
		gain = 0
	}
	r.out.gain.Store(gain)
	if r.q.playing != nil || r.q.drain {
		r.q.halted(r.halt())
		r.q.advance(now)
	}
	r.publishState()
}

// ---- the player

// play plays a part on a goroutine of its own.
func (r *run) play(ctx context.Context, p *part) {
	site := r.sites.of(p.u.turn.Origin, time.Now())
	r.work(ctx, func(ctx context.Context, mine func(event)) {
		err := r.playClip(ctx, p, site, mine)
		mine(func(now time.Time) { r.q.played(now, p, err) })
	})
}

func (r *run) playClip(ctx context.Context, p *part, site string, mine func(event)) error {
	for first := true; ; first = false {
		pcm, rate, err := p.clip.take(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if first {
			r.out.aim(ctx, site, rate)
		}
		if err := r.out.write(ctx, pcm); err != nil {
			return err
		}
		p.clip.gave(len(pcm))
		if first {
			mine(func(time.Time) { r.q.sounds(p) })
		}
	}
}

func (r *run) drain(ctx context.Context) {
	r.work(ctx, func(ctx context.Context, mine func(event)) {
		if err := r.out.drain(ctx); err != nil && ctx.Err() == nil {
			r.log.Debug().Err(err).Msg("not played to the end")
		}
		mine(r.q.drained)
	})
}

// work runs f as the player. The one before has said its last word. f hands its events to mine, which
// drops them when the player has been halted meanwhile.
func (r *run) work(ctx context.Context, f func(ctx context.Context, mine func(event))) {
	if r.player.done != nil {
		<-r.player.done
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	r.player.cancel, r.player.done = cancel, done
	r.player.turn++
	turn := r.player.turn
	go func() { // halt, or the next one, waits for it
		defer close(done)
		defer cancel()
		f(ctx, func(e event) {
			r.send(ctx, func(now time.Time) {
				if turn == r.player.turn {
					e(now)
				}
			})
		})
	}()
}

// halt silences the speaker, and says how much of what it was given has not been heard.
func (r *run) halt() time.Duration {
	if r.player.done == nil {
		return 0
	}
	r.player.cancel()
	unheard, err := r.out.stop()
	if err != nil {
		r.log.Warn().Err(err).Msg("speaker does not stop")
	}
	<-r.player.done
	r.player.cancel, r.player.done = nil, nil
	r.player.turn++
	r.out.reset()
	return unheard
}

// ---- synthesis

// textOf is what an engine gets of a part.
func (r *run) textOf(say contract.Say, s string) voice.Text {
	t := voice.Text{Voice: contract.Value(say.Voice), Lang: contract.Value(say.Lang), Style: contract.Value(say.Style)}
	if t.Voice == "" {
		t.Voice = r.o.Voice
	}
	if t.Lang == "" {
		t.Lang = r.o.Lang
	}
	t.Text = spoken.Words(s, t.Lang)
	return t
}

// synthesize makes the sound of a part on a goroutine of its own.
func (r *run) synthesize(ctx context.Context, p *part, after *clip) {
	ctx, cancel := context.WithCancel(ctx)
	r.making[p] = cancel
	t, c := r.textOf(p.say, p.text), p.clip
	keep := p.u.ack || p.u.announce || slices.Contains(r.stock, p.text)
	r.wg.Go(func() {
		defer cancel()
		if after != nil {
			select {
			case <-after.whole:
			case <-ctx.Done(): // and then the engine ends at once, too
			}
		}
		engine, err := r.sound(ctx, t, c, keep)
		if err != nil && ctx.Err() == nil {
			r.log.Warn().Ctx(client.WithTurn(ctx, p.u.turn)).Err(err).Str("engine", engine).Msg("not synthesized")
		}
		c.finish(engine, err)
		r.send(context.WithoutCancel(ctx), func(time.Time) { delete(r.making, p) })
	})
}

// sound fills a clip from the cache, or has an engine do so. What is not to be kept does not
// push out what is, nor does it get to the disk.
func (r *run) sound(ctx context.Context, t voice.Text, c *clip, keep bool) (engine string, err error) {
	name, id := r.chain.First(&t)
	keep = keep && len(t.Text) <= phraseBytes && name != ""
	if keep {
		if s, ok := r.cache.get(r.cache.key(id, t)); ok {
			return name, c.add(s)
		}
	}
	engine, err = r.chain.Speak(ctx, t, c.add)
	if err == nil && keep && engine == name {
		if err := r.cache.put(r.cache.key(id, t), c.sound()); err != nil {
			r.log.Warn().Err(err).Msg("phrase not kept")
		}
	}
	return engine, err
}

// preload makes phrases before they are asked for.
func (r *run) preload(ctx context.Context) {
	for _, s := range r.stock {
		if _, err := r.sound(ctx, r.textOf(contract.Say{}, s), newClip(), true); err != nil {
			if ctx.Err() == nil {
				r.log.Debug().Err(err).Msg("phrase not made")
			}
			return
		}
	}
}

// ---- sites

// siteLimit is how long who sent sound counts as present, and maxSites how many are known.
const (
	siteLimit = 10 * time.Minute
	maxSites  = 64
)

// sites knows where answers can go. mu guards seen.
type sites struct {
	always []string

	mu   sync.Mutex
	seen map[string]time.Time
}

// heard notes that a site has sent sound.
func (s *sites) heard(topic string, now time.Time) {
	site := topic[min(len(topic), len("audio/in/")):]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.seen[site]; !known && len(s.seen) >= maxSites {
		for k, at := range s.seen {
			if now.Sub(at) > siteLimit {
				delete(s.seen, k)
			}
		}
		if len(s.seen) >= maxSites {
			return
		}
	}
	s.seen[site] = now
}

// of is the site that answers to an origin go to; empty: the speaker of this machine.
func (s *sites) of(origin string, now time.Time) string {
	if origin == "" {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.seen[origin]; (ok && now.Sub(at) <= siteLimit) || slices.Contains(s.always, origin) {
		return origin
	}
	return ""
}
