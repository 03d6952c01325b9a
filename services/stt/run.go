package stt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/stt/recognise"
)

const (
	// lookTime is how often health is looked at, and said when it has changed.
	lookTime = 250 * time.Millisecond
	// stallTime is how long the room's microphone may give nothing.
	stallTime = 5 * time.Second
	// maxSites bounds the sites that are heard at once: the room's and the 64 that ears.max_sites allows.
	// shownSites bounds those that health names.
	maxSites   = 65
	shownSites = 6
)

// run is one life of the service. look's goroutine owns said; mu guards what follows it.
type run struct {
	o     *Options
	bus   *client.Client
	log   zerolog.Logger
	chain *recognise.Chain
	mics  *mics
	said  string // health, so that it is said once

	mu      sync.Mutex
	sites   []*site
	lost    int64  // utterances, of sites that are gone
	roomErr string // the room's microphone is gone
	failed  error  // the last utterance
	deaf    error  // there is no voice detector
}

func newRun(o *Options, rt services.Runtime) *run {
	engines, absent := o.Engines()
	return &run{o: o, bus: rt.Bus, log: rt.Log, chain: recognise.NewChain(engines, absent, o.Patience), mics: newMics(o)}
}

// run works until ctx ends.
func (r *run) run(ctx context.Context, ready func()) error {
	inner, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		ready() // says that all is well; what is known better comes after it
		r.look(inner)
	})
	if r.o.Microphones != nil {
		wg.Go(func() {
			err := r.o.Microphones.Each(inner, func(ctx context.Context, name string, l *audio.Listener) { r.site(inner, ctx, name, l) })
			if err != nil && inner.Err() == nil {
				cancel(fmt.Errorf("microphones: %w", err))
			}
		})
	}
	<-inner.Done()
	err := context.Cause(inner)
	cancel(nil)
	wg.Wait()
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, r.chain.Close())
}

// site is one microphone, until its context ends or its sound does. What was said by then is understood
// all the same, until outer ends.
func (r *run) site(outer, ctx context.Context, name string, l *audio.Listener) {
	det, err := r.o.Detector()
	r.mu.Lock()
	if err != nil {
		r.deaf = err
	} else if len(r.sites) >= maxSites {
		err = fmt.Errorf("there are %d others", maxSites)
	}
	if err != nil {
		r.mu.Unlock()
		r.log.Warn().Err(err).Str("site", plain(name)).Msg("site is not heard")
		return
	}
	s := newSite(r.o, name, r.mics, det)
	r.sites = append(r.sites, s)
	if name == Room {
		r.roomErr = ""
	}
	r.mu.Unlock()
	r.mics.join(time.Now(), name)

	log := r.log.With().Str("site", plain(name)).Logger()
	scribe := &scribe{o: r.o, bus: r.bus, log: log, site: name, mics: r.mics, chain: r.chain, judge: newJudge(r.o), tell: r.understood}
	var wg sync.WaitGroup
	wg.Go(func() { scribe.run(outer, s.queue) })
	for err == nil {
		var f audio.Frame
		if f, err = s.await(ctx, l); err == nil {
			s.last.Store(time.Now().UnixMilli())
			s.hear(f)
		}
	}
	s.pause(time.Now())
	r.gone(s, ctx.Err() == nil, err)
	close(s.queue)
	wg.Wait()
}

// gone forgets a site.
func (r *run) gone(s *site, byItself bool, err error) {
	r.mics.leave(time.Now(), s.name)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sites = slices.DeleteFunc(r.sites, func(o *site) bool { return o == s })
	r.lost += s.lost.Load()
	if s.name == Room && !slices.ContainsFunc(r.sites, func(o *site) bool { return o.name == Room }) {
		r.roomErr = "the microphone is gone"
		if byItself && !errors.Is(err, io.EOF) {
			r.roomErr += ": " + err.Error()
		}
	}
}

// understood notes what became of an utterance.
func (r *run) understood(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = err
}

// look says how the service is, when that has changed.
func (r *run) look(ctx context.Context) {
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	for {
		r.health(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *run) health(ctx context.Context) {
	well, event, err := r.condition(time.Now())
	said := fmt.Sprint(well, event, err)
	if said == r.said {
		return
	}
	within, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	if herr := r.bus.Health(within, well, event, err); herr != nil {
		if ctx.Err() == nil {
			r.log.Debug().Err(herr).Msg("health not published")
		}
		return // and tried again
	}
	r.said = said
	r.log.Debug().Bool("ok", well).Str("event", event).AnErr("err", err).Msg("hearing")
}

// condition is how the service is: who understands, and how the microphones are. It is well while
// somebody could be understood: that there is no microphone, or never was sound of it, is a matter of
// those who bring it, but that one is gone is worth a look.
func (r *run) condition(now time.Time) (well bool, event string, err error) {
	name, states := r.chain.Name(), r.mics.states(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	event = name + " hears"
	if name == "" {
		event = "no engine"
	}
	if r.o.Microphones == nil {
		event += "; " + errNoMicrophones.Error()
	} else if len(states) == 0 {
		event += "; no microphone"
	}
	for i, s := range states {
		if i == shownSites {
			event += fmt.Sprintf("; and %d more", len(states)-i)
			break
		}
		event += "; " + s
	}
	room := r.roomErr
	lost := r.lost
	for _, s := range r.sites {
		lost += s.lost.Load()
		switch last := s.last.Load(); {
		case s.name != Room:
		case last == 0:
			event += "; the room's has given no sound yet"
		case now.Sub(time.UnixMilli(last)) > stallTime:
			room = fmt.Sprintf("no sound for more than %v", stallTime)
		}
	}
	errs := []error{r.chain.Err(), r.deaf}
	if r.failed != nil && r.chain.Err() == nil {
		errs = append(errs, r.failed)
	}
	if room != "" {
		errs = append(errs, errors.New(Room+": "+room))
	}
	if lost > 0 {
		event += fmt.Sprintf("; %d utterances given up", lost)
	}
	return name != "" && r.failed == nil && r.deaf == nil && room == "", strings.ToValidUTF8(event, ""), errors.Join(errs...)
}

// subscribe joins the topics to the microphones.
func (r *run) subscribe() error {
	ms := r.mics
	return errors.Join(
		listen(r, contract.WakeEvent, func(ctx context.Context, m client.Message[contract.Wake]) {
			ms.wake(time.Now(), strings.ToLower(m.Data.Type), client.TurnOf(ctx))
		}),
		listen(r, contract.WakeMic, func(ctx context.Context, m client.Message[contract.MicCommand]) {
			ms.command(time.Now(), m.Data, client.TurnOf(ctx).Origin)
		}),
		listen(r, contract.TTSSay, func(ctx context.Context, m client.Message[contract.Say]) {
			ms.say(time.Now(), m.Data, client.TurnOf(ctx).Origin)
		}),
		listen(r, contract.TTSStatus, func(ctx context.Context, m client.Message[contract.SpeechStatus]) {
			ms.status(time.Now(), m.Data, client.TurnOf(ctx).Origin)
		}),
		listen(r, contract.TTSProgress, func(ctx context.Context, m client.Message[contract.SpeechProgress]) {
			ms.progress(time.Now(), m.Data, client.TurnOf(ctx).Origin)
		}),
		listen(r, contract.DialogueState, func(_ context.Context, m client.Message[contract.Dialogue]) {
			left := time.Duration(0)
			if m.Data.Deadline != nil { // by the router's own clock, which may be another one
				said := m.TS
				if m.Bare || m.Retained {
					said = unix(time.Now())
				}
				left = time.Duration(max(0, min(*m.Data.Deadline-said, 3600)) * float64(time.Second))
			}
			ms.dialogue(time.Now(), m.Data, left, m.Retained)
		}),
	)
}

// listen subscribes to a topic. What is retained there is state; a command that is retained by
// mistake is none.
func listen[T any](r *run, t contract.Topic[T], h func(ctx context.Context, m client.Message[T])) error {
	_, err := client.Subscribe(r.bus, t, func(ctx context.Context, m client.Message[T]) error {
		if !m.Retained || t.Retain {
			h(ctx, m)
		}
		return nil
	})
	return err
}
