package app

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/hooks/observe"
	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	"github.com/tarsd/tarsd/internal/engine/use"
	"github.com/tarsd/tarsd/internal/trace"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/ears"
	"github.com/tarsd/tarsd/storage"
)

// Parts of stopWithin. What moves is stopped before anything else; the rest of the time belongs to
// what must reach the disk.
const (
	stopMotion   = 600 * time.Millisecond
	stopServices = 900 * time.Millisecond
	stopTrace    = 200 * time.Millisecond
)

// service is one service of this version.
type service struct {
	name  string // also the key of its configuration
	store bool   // it keeps its state in the data file, also when the broker is elsewhere
	make  func(p parts) (services.Service, error)
}

// parts are what services are made of. A service gets values, and what it declares an interface
// for, never all of this.
type parts struct {
	cfg config.Config
	db  *storage.DB // nil for a service without store, and for tarsd check
	log zerolog.Logger
	// version is that of tarsd.
	version string
	// encoder is the sentence encoder, which those who want it share.
	encoder func(ctx context.Context) (*use.Encoder, error)
	// head loads what knows the wake word.
	head func() (*openwakeword.Head, error)
	// reference is what the speech service plays, for who listens; nil for tarsd check.
	reference *audio.Reference
	// ears are the microphones, which those who listen share.
	ears func() (*ears.Ears, error)
}

// catalog are the services of this version, in the order of their start.
func catalog() []service {
	return []service{
		{"memory", true, makeMemory},
		{"llm", false, makeLLM},
		{"router", false, makeRouter},
		{"camera", false, makeCamera},
		{"movement", false, makeMovement},
		{"tools", false, makeTools},
		{"ears", false, makeEars},
		{"wake", false, makeWake},
		{"tts", false, makeTTS},
		{"stt", false, makeSTT},
		{"homeassistant", false, makeHomeAssistant},
		{"wyoming", false, makeWyoming},
	}
}

// shared opens what its callers share when the first of them needs it. The others wait for that; after
// one who gave up, the next tries again.
func shared[T any](open func(context.Context) (T, error)) func(context.Context) (T, error) {
	var mu sync.Mutex
	var done bool
	var v T
	var err error
	return func(ctx context.Context) (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if !done {
			v, err = open(ctx)
			done = err == nil || ctx.Err() == nil
		}
		return v, err
	}
}

// choose are those of all that the configuration wants here.
func choose(all []service, c config.Config) []service {
	names := c.Chosen()
	return slices.DeleteFunc(slices.Clone(all), func(s service) bool { return !slices.Contains(names, s.name) })
}

// available are the services that this App chooses from: those of catalog, or a test's.
func (o Options) available() []service {
	if o.services != nil {
		return o.services
	}
	return catalog()
}

// makeServices builds what is to run. It runs when everything else has been bound.
func (a *App) makeServices(context.Context) error {
	connect, err := a.connector()
	if err != nil {
		return err
	}
	encoder := shared(use.Open)
	reference := audio.NewReference()
	microphones := sync.OnceValues(func() (*ears.Ears, error) { return newEars(a.cfg.Ears) })
	o := services.Options{Connect: connect, Log: a.log}
	for _, s := range choose(a.o.available(), a.cfg) {
		p := parts{cfg: a.cfg, log: a.log.With().Str("service", s.name).Logger(), encoder: encoder, ears: microphones, head: headOf(a.cfg.Wake), reference: reference, version: a.o.Version}
		if s.store {
			p.db = a.db
		}
		svc, err := s.make(p)
		if err != nil {
			return fmt.Errorf("service %s: %w", s.name, err)
		}
		o.Services = append(o.Services, svc)
		if h, ok := svc.(http.Handler); ok { // the MCP server
			a.mcp = h
		}
	}
	if a.supervisor, err = services.New(o); err != nil {
		return err
	}
	a.onStop("services", func(ctx context.Context) error {
		ctx, cancel := a.timeout(ctx, stopServices)
		defer cancel()
		return a.supervisor.Stop(ctx)
	})
	return nil
}

// runServices is the last part of a start, so that its first step of a stop is the first of all.
func (a *App) runServices(context.Context) error {
	a.onStop("motion", func(ctx context.Context) error {
		ctx, cancel := a.timeout(ctx, stopMotion)
		defer cancel()
		return a.supervisor.StopFirst(ctx)
	})
	return a.supervisor.Start()
}

// startTrace starts to export spans, when that is configured.
func (a *App) startTrace(context.Context) error {
	c := a.cfg.Trace
	if c.Endpoint.IsZero() {
		return nil
	}
	o := trace.Options{
		Endpoint: c.Endpoint.Reveal(), Headers: map[string]string{}, Queue: c.Queue, Version: a.o.Version,
		Log: a.log.With().Str("part", "trace").Logger(),
	}
	for k, v := range maps.All(c.Headers) {
		o.Headers[k] = v.Reveal()
	}
	t, err := trace.New(o)
	if err != nil {
		return err
	}
	a.tracer = t
	a.onStop("trace", func(ctx context.Context) error {
		ctx, cancel := a.timeout(ctx, stopTrace)
		defer cancel()
		return t.Close(ctx)
	})
	return nil
}

// serviceFigures are what the metrics show of the services.
func (a *App) serviceFigures() []observe.Service {
	all := a.Services()
	out := make([]observe.Service, len(all))
	for i, s := range all {
		out[i] = observe.Service{Name: s.Name, Up: s.State == services.Ready, Restarts: s.Restarts, Dropped: uint64(s.Bus.Dropped())} //nolint:gosec // a count
	}
	return out
}

// Services are the services of this process and how they are.
func (a *App) Services() []services.Status {
	if a.supervisor == nil {
		return nil
	}
	return a.supervisor.Status()
}

// failing says which services are waiting for another try; empty if none is.
func (a *App) failing() string {
	var out []string
	for _, s := range a.Services() {
		if s.State == services.Restarting {
			why, _, _ := strings.Cut(s.Err, "\n")
			out = append(out, fmt.Sprintf("service %s is restarting: %s", s.Name, why))
		}
	}
	return strings.Join(out, "; ")
}

// names are those of the services that run here.
func (a *App) names() []string {
	out := []string{}
	for _, s := range a.Services() {
		out = append(out, s.Name)
	}
	return out
}

// serviceStates are the same for the admin socket.
func (a *App) serviceStates() []ServiceStatus {
	out := []ServiceStatus{}
	for _, s := range a.Services() {
		why, _, _ := strings.Cut(s.Err, "\n")
		out = append(out, ServiceStatus{Name: s.Name, State: string(s.State), Since: s.Since, Restarts: s.Restarts, Error: why})
	}
	return out
}

// spans counts the spans for the metrics; nil without tracing.
func (a *App) spans() func() (sent, dropped uint64) {
	if a.tracer == nil {
		return nil
	}
	return a.tracer.Spans
}

// services says which services would run, and what they find themselves.
func (c *checker) services(ctx context.Context, all []service) {
	chosen := choose(all, c.cfg)
	names := make([]string, len(chosen))
	for i, s := range chosen {
		names[i] = s.name
	}
	if len(names) == 0 {
		names = []string{"none"}
	}
	c.say(Fine, "services: %s", strings.Join(names, ", "))
	if b := c.cfg.Broker; b.Remote() {
		if _, err := remoteOptions(b); err != nil {
			c.say(Failure, "%s", err)
		} else {
			c.say(Fine, "they use the broker at %s; none runs here", b.URL)
		}
	}
	for _, s := range chosen {
		c.service(ctx, s)
	}
}

func (c *checker) service(ctx context.Context, s service) {
	svc, err := s.make(parts{
		cfg: c.cfg, log: zerolog.Nop(), encoder: shared(use.Open),
		ears: func() (*ears.Ears, error) { return newEars(c.cfg.Ears) }, head: headOf(c.cfg.Wake),
	})
	if err != nil {
		c.say(Failure, "service %s: %s", s.name, err)
		return
	}
	k, ok := svc.(services.Checker)
	if !ok {
		return
	}
	for _, f := range k.Check(ctx) {
		c.say(Verdict(f.Verdict), "service %s: %s", s.name, f.Text)
	}
}
