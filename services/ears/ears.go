package ears

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

var _ services.Service = (*Ears)(nil)

// queueLen bounds the pieces of sound that wait, of all sites: 0.6 s of eight.
const queueLen = 256

// Ears is the service, and where others get its microphones. New makes it, Run runs it.
type Ears struct {
	o     Options
	sites sites
}

// New checks the options; the error names those that make no sense.
func New(o Options) (*Ears, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("ears: %w", err)
	}
	return &Ears{o: o}, nil
}

// Name implements services.Service.
func (e *Ears) Name() string { return "ears" }

// run is one life of the service.
type run struct {
	o     *Options
	sites *sites
	bus   *client.Client
	log   zerolog.Logger
	told  *health
	fft   atomic.Pointer[audio.FFTSocket] // nil: there is none now

	remotes remotes
	begin   func(name string, rm *remote) // of a site; not after remotes.close
	wg      sync.WaitGroup                // of sites
}

// Run implements services.Service.
func (e *Ears) Run(ctx context.Context, rt services.Runtime) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &run{o: &e.o, sites: &e.sites, bus: rt.Bus, log: rt.Log, told: newHealth(rt), remotes: remotes{all: map[string]*remote{}}}
	r.begin = func(name string, rm *remote) { r.wg.Go(func() { r.listen(ctx, name, rm) }) }
	_, err := client.Subscribe(rt.Bus, contract.AudioIn, func(ctx context.Context, m client.Message[[]byte]) error {
		r.chunk(ctx, m)
		return nil
	}, client.Queue(queueLen, client.DropOldest))
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		rt.Ready() // says that all is well; what is known better comes after it
		r.told.spread(ctx)
	})
	wg.Go(func() { r.room(ctx) })
	<-ctx.Done()
	r.remotes.close()
	r.wg.Wait()
	wg.Wait()
	return nil
}

// room is the microphone of this machine.
func (r *run) room(ctx context.Context) {
	if r.o.Microphone == None {
		r.told.microphone(true, "no microphone here, by configuration", nil)
		return
	}
	heard := false
	hub := audio.NewHub(audio.HubOptions{
		Open: func(ctx context.Context) (audio.Source, error) { return r.o.OpenSource(ctx, r.o.Microphone) },
		OnState: func(s audio.State) {
			switch {
			case s.OK:
				heard = true
				r.told.microphone(true, "hears "+r.o.Microphone, nil)
			case heard:
				r.told.microphone(false, "microphone lost", s.Err)
			case r.o.Microphone == "auto" && errors.Is(s.Err, audio.ErrNoDevice): // a machine without sound is well
				r.told.microphone(true, "no microphone on this machine; pages and satellites are heard", nil)
			default:
				r.told.microphone(false, "no microphone", s.Err)
			}
		},
	})
	var wg sync.WaitGroup
	if r.o.FanOut != "" {
		wg.Go(func() {
			r.keep(ctx, "fan-out socket", func(ctx context.Context, up func()) error { return r.fanOut(ctx, hub, up) })
		})
	}
	if r.o.Socket != "" {
		wg.Go(func() { r.keep(ctx, "spectrum socket", r.spectrumSocket) })
	}
	l := hub.Listen(0)
	wg.Go(func() { r.measure(ctx, l) })
	st := r.sites.add(r.o.Room, hub)
	if err := hub.Run(ctx); err == nil { // the end of a file: listeners may still have some of it
		r.told.microphone(true, r.o.Microphone+" has come to its end", nil)
		<-ctx.Done()
	}
	r.sites.remove(st)
	wg.Wait()
}
