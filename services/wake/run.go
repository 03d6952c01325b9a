package wake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	"github.com/tarsd/tarsd/internal/engine/silero"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// room is the site of the local microphone, and of what does not say where it comes from.
const room = "room"

// maxEvents is how many events wait for the machine. Ears drop what does not fit; a call is one in minutes.
const maxEvents = 64

// event is something that the loop does with the machine.
type event func(now time.Time)

// run is one life of the service. All but the ears and the handlers is the loop's.
type run struct {
	o     *Options
	bus   *client.Client
	log   zerolog.Logger
	chain *openwakeword.Chain
	head  *openwakeword.Head
	voice *silero.Detector

	broken   error // why there is no detector
	m        *machine
	events   chan event
	scores   *scores
	lastSaid string

	attentive atomic.Pointer[string] // site whose people are expected to speak
	speaks    atomic.Pointer[speech] // what the robot says, as far as ears must know

	mu   sync.Mutex // guards what follows
	mics map[string]*mic
}

// mic is a microphone as health sees it.
type mic struct {
	heard atomic.Int64 // Unix nanoseconds of the last frame, or of the beginning
	gave  atomic.Bool  // it has given sound
	ended atomic.Bool  // its sound is over
}

func newRun(o *Options, rt services.Runtime) *run {
	return &run{
		o: o, bus: rt.Bus, log: rt.Log, m: newMachine(o, client.NewID), events: make(chan event, maxEvents), scores: newScores(),
		mics: map[string]*mic{},
	}
}

func (r *run) subscribe() error {
	_, e1 := client.Subscribe(r.bus, contract.TTSStatus, func(ctx context.Context, m client.Message[contract.SpeechStatus]) error {
		s := speech{utt: contract.Value(m.Data.UttID), site: r.heardIn(siteOf(ctx)), ack: contract.Value(m.Data.WakeAck)}
		return r.send(ctx, func(now time.Time) { r.m.spoken(now, m.Data.Event, s) })
	})
	_, e2 := client.Subscribe(r.bus, contract.STTFinal, func(ctx context.Context, m client.Message[contract.FinalTranscript]) error {
		return r.send(ctx, func(now time.Time) { r.m.final(now, siteOf(ctx), m.Data.Text) })
	})
	_, e3 := client.Subscribe(r.bus, contract.STTPartial, func(ctx context.Context, m client.Message[contract.PartialTranscript]) error {
		return r.send(ctx, func(now time.Time) { r.m.partial(now, siteOf(ctx), m.Data.Text) })
	})
	return errors.Join(e1, e2, e3)
}

// siteOf is where a message is about.
func siteOf(ctx context.Context) string {
	if s := client.TurnOf(ctx).Origin; s != "" {
		return s
	}
	return room
}

// heardIn is where what the robot says to an origin is heard: who has no microphone, such as a page on which
// somebody types, has no speaker either, and is answered in the room.
func (r *run) heardIn(origin string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mics[origin] == nil {
		return room
	}
	return origin
}

// send hands an event to the loop.
func (r *run) send(ctx context.Context, e event) error {
	select {
	case r.events <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// offer does the same from an ear, which waits for nobody.
func (r *run) offer(e event) {
	select {
	case r.events <- e:
	default:
		r.log.Warn().Msg("an event of a microphone is lost: the broker does not answer")
	}
}

// run is the loop.
func (r *run) run(ctx context.Context, ready func()) error {
	inner, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	ended := make(chan error, 1)
	if r.broken == nil {
		wg.Go(func() { ended <- r.o.Microphones.Each(inner, r.listen) })
		if r.o.Scores {
			wg.Go(func() { r.scores.publish(inner, r.bus, r.log) })
		}
	}
	wg.Go(func() {
		ready() // says that all is well; what is known better comes after it
		r.offer(func(time.Time) { r.lastSaid = ""; r.health(ctx, true) })
	})
	timer, look, beat := time.NewTimer(time.Hour), time.NewTicker(min(r.o.Stall/2, time.Second)), time.NewTicker(r.o.Health)
	defer timer.Stop()
	defer look.Stop()
	defer beat.Stop()
	for {
		r.arm(timer)
		select {
		case e := <-r.events:
			e(time.Now())
		case <-timer.C:
			r.m.tick(time.Now())
		case <-look.C:
			r.health(ctx, false)
		case <-beat.C:
			r.health(ctx, true)
		case err := <-ended:
			if err != nil && ctx.Err() == nil {
				r.m.stop()
				r.carryOut(ctx)
				return fmt.Errorf("microphones: %w", err)
			}
		case <-ctx.Done():
			r.m.stop()
			r.carryOut(context.WithoutCancel(ctx))
			r.sayHealth(context.WithoutCancel(ctx), false)
			return nil
		}
		r.carryOut(ctx)
	}
}

func (r *run) arm(timer *time.Timer) {
	at := r.m.next()
	if at.IsZero() {
		timer.Stop()
		return
	}
	timer.Reset(max(0, time.Until(at)))
}

// listen is the life of one microphone, on a goroutine of its own.
func (r *run) listen(ctx context.Context, site string, l *audio.Listener) {
	m := &mic{}
	m.heard.Store(time.Now().UnixNano())
	r.mu.Lock()
	r.mics[site] = m
	r.mu.Unlock()
	e := newEar(r.o, site, r.chain, r.head, r.voice)
	e.detected = func(d detection) { r.offer(func(now time.Time) { r.detected(now, d) }) }
	e.scored = func(s score) { r.scores.put(site, s) }
	e.spoke = func() { r.offer(func(now time.Time) { r.m.voice(now, site) }) }
	e.attentive = func() bool {
		s := r.attentive.Load()
		return s != nil && *s == site
	}
	e.speaking = func(now time.Time) bool {
		s := r.speaks.Load()
		return s != nil && s.site == site && now.Before(s.end)
	}
	err := e.listen(ctx, l, func() {
		m.heard.Store(time.Now().UnixNano())
		m.gave.Store(true)
	})
	if ctx.Err() == nil {
		m.ended.Store(true) // until the site goes: health says so
		if !errors.Is(err, io.EOF) {
			r.log.Warn().Str("site", site).Err(err).Msg("microphone has ended")
		}
		<-ctx.Done()
	}
	r.mu.Lock()
	if r.mics[site] == m {
		delete(r.mics, site)
	}
	r.mu.Unlock()
	r.offer(func(now time.Time) { r.m.lost(now, site) })
}

func (r *run) detected(now time.Time, d detection) {
	r.log.Info().Str("site", d.site).Float64("confidence", d.confidence).Float64("threshold", d.threshold).Msg("wake word")
	r.m.detected(now, d)
}

// carryOut publishes what the machine wants, in order, and tells the ears what they must know.
func (r *run) carryOut(ctx context.Context) {
	out := r.m.out
	r.m.out = nil
	for _, e := range out {
		r.publish(ctx, e)
	}
	site := r.m.attentive()
	r.attentive.Store(&site)
	s := r.m.now
	if s == nil {
		s = r.m.ack
	}
	r.speaks.Store(s)
}

// ---- health

// state says how the microphones are: which are dead, and whether the service does what it is for. A microphone
// that never gave sound may not exist, which those who bring it tell of: here it is only named.
func (r *run) state() (ok bool, event string, err error) {
	if r.broken != nil {
		return false, "no detector", r.broken
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var live, dead []string
	lost := false // the local one, which was there
	for _, site := range slices.Sorted(maps.Keys(r.mics)) {
		m := r.mics[site]
		if m.ended.Load() || time.Since(time.Unix(0, m.heard.Load())) >= r.o.Stall {
			dead = append(dead, site)
			lost = lost || site == room && m.gave.Load()
		} else {
			live = append(live, site)
		}
	}
	if len(dead) > 0 {
		err = fmt.Errorf("no sound from %s", strings.Join(dead, ", "))
	}
	if len(live) == 0 {
		event = "no microphone"
	} else {
		event = fmt.Sprintf("hears %q in %s", r.head.Phrase, strings.Join(live, ", "))
	}
	return !lost, event, err
}

// health says how the service is, when that has changed; again says it anew on its own topic.
func (r *run) health(ctx context.Context, again bool) {
	ok, event, err := r.state()
	said := fmt.Sprint(ok, event, err)
	if said != r.lastSaid {
		r.lastSaid, again = said, true
		r.log.Info().Bool("ok", ok).Str("event", event).AnErr("err", err).Msg("wake word")
		within, cancel := context.WithTimeout(ctx, publishLimit)
		if err := r.bus.Health(within, ok, event, err); err != nil && ctx.Err() == nil {
			r.log.Debug().Err(err).Msg("health not published")
		}
		cancel()
	}
	if again {
		r.sayHealth(ctx, ok)
	}
}
