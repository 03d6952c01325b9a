package services

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/client"
)

// Options of New.
type Options struct {
	Services []Service
	// Connect makes the client of a service: id tars-NAME, name NAME. It does not wait for the
	// broker. It is called at the start, and again for a service that broke its client.
	Connect func(name string, log zerolog.Logger) (*client.Client, error)
	// Changed is told of each change of a service's State, one at a time for each service. It must
	// not block. nil: nobody is.
	Changed func(Status)
	Log     zerolog.Logger
	// ReadyWithin is the time from a start to Runtime.Ready after which the service is reported.
	// 0 means 30 s.
	ReadyWithin time.Duration
}

// defaultReadyWithin is long: an engine may load a model first.
const defaultReadyWithin = 30 * time.Second

// State of a service.
type State string

// The states.
const (
	Starting   State = "starting" // runs, and has not said that it is ready
	Ready      State = "ready"
	Restarting State = "restarting" // failed, and waits for its next run
	Stopped    State = "stopped"
)

// Status is how a service is.
type Status struct {
	Name     string
	State    State
	Since    time.Time // of State
	Restarts uint64    // failed runs since the start
	Err      string    // why the last run failed, or why this one is late; empty if neither
	Bus      client.Stats
}

// Supervisor keeps services running. Each unit has a goroutine, which Stop waits for.
type Supervisor struct {
	units []*unit
}

// name is what a service may be called: it is a level of topics and a part of client ids.
var name = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// New makes a supervisor; nothing runs until Start.
func New(o Options) (*Supervisor, error) {
	if o.ReadyWithin <= 0 {
		o.ReadyWithin = defaultReadyWithin
	}
	s := &Supervisor{}
	seen := map[string]bool{}
	for _, svc := range o.Services {
		n := svc.Name()
		if !name.MatchString(n) {
			return nil, fmt.Errorf("service %q: not a name", n)
		}
		if seen[n] {
			return nil, fmt.Errorf("service %s: there twice", n)
		}
		seen[n] = true
		s.units = append(s.units, newUnit(svc, o))
	}
	return s, nil
}

// Start connects every service and lets it run until Stop. It does not wait for them; an error
// means that a client cannot be made, and that nothing runs.
func (s *Supervisor) Start() error {
	for i, u := range s.units {
		bus, err := u.connect()
		if err != nil {
			err = fmt.Errorf("service %s: %w", u.svc.Name(), err)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			for _, began := range s.units[:i] {
				err = errors.Join(err, began.bus.Close(ctx))
			}
			return err
		}
		u.mu.Lock()
		u.bus = bus
		u.mu.Unlock()
	}
	for _, u := range s.units {
		u.start()
	}
	return nil
}

// StopFirst stops the services that move something, and waits for them until ctx ends.
func (s *Supervisor) StopFirst(ctx context.Context) error {
	return stopAll(ctx, s.units, func(u *unit) bool {
		_, first := u.svc.(StopsFirst)
		return first
	})
}

// Stop stops all services, those that move something before the others, and waits for them until
// ctx ends. Each drains: what it has begun is finished and what it has published is sent, as far
// as the time allows. It may be called twice.
func (s *Supervisor) Stop(ctx context.Context) error {
	return errors.Join(s.StopFirst(ctx), stopAll(ctx, s.units, func(*unit) bool { return true }))
}

func stopAll(ctx context.Context, units []*unit, which func(*unit) bool) error {
	errs := make([]error, len(units))
	var wg sync.WaitGroup
	for i, u := range units {
		if which(u) {
			wg.Go(func() { errs[i] = u.stop(ctx) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Status is how the services are, in their order.
func (s *Supervisor) Status() []Status {
	out := make([]Status, len(s.units))
	for i, u := range s.units {
		out[i] = u.status()
	}
	return out
}
