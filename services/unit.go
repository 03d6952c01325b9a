package services

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/client"
)

const (
	tellWithin = 2 * time.Second // to tell of a failure and to make the client fit for the next run
	errBytes   = 4096            // of an error on the health topic; the log has all of it
)

// unit is one service under supervision. Its goroutine, which start begins and stop waits for,
// owns bus until done is closed; mu guards the status, and bus against its readers.
type unit struct {
	svc         Service
	connect     func() (*client.Client, error)
	readyWithin time.Duration
	changed     func(Status)
	log         zerolog.Logger

	cancel context.CancelFunc // nil before start
	done   chan struct{}
	once   sync.Once // closes the client
	closed error     // of that

	mu  sync.Mutex
	bus *client.Client
	st  Status
}

func newUnit(svc Service, o Options) *unit {
	n := svc.Name()
	log := o.Log.With().Str("service", n).Logger()
	return &unit{
		svc: svc, readyWithin: o.ReadyWithin, changed: o.Changed, log: log, done: make(chan struct{}),
		connect: func() (*client.Client, error) { return o.Connect(n, log) },
		st:      Status{Name: n, State: Stopped, Since: time.Now()},
	}
}

func (u *unit) start() {
	ctx, cancel := context.WithCancel(context.Background())
	u.cancel = cancel
	u.to(Starting, nil)
	go func() {
		defer close(u.done)
		defer cancel()
		keep(ctx, u.run, func(err error, wait time.Duration) { u.failed(ctx, err, wait) })
		u.to(Stopped, nil)
	}()
}

// run is one run of the service. Whatever it left running ends with it.
func (u *unit) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	u.to(Starting, nil)
	var wg sync.WaitGroup
	var once sync.Once
	called := make(chan struct{})
	wg.Go(func() { u.watch(ctx, called) })
	err := runOnce(ctx, u.svc, Runtime{Bus: u.bus, Log: u.log.Hook(client.TurnHook{}), Ready: func() {
		once.Do(func() {
			close(called)
			if err := u.ready(ctx); err != nil {
				cancel(fmt.Errorf("not ready: %w", err))
			}
		})
	}})
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause // the service only did as it was told
	}
	cancel(nil)
	wg.Wait()
	return err
}

// ready waits for the subscriptions. A broker that is away does not make it fail.
func (u *unit) ready(ctx context.Context) error {
	t0 := time.Now()
	err := u.bus.Ready(ctx)
	if ctx.Err() != nil { // the run has ended, whatever Ready says
		err = nil
	} else if err == nil {
		u.to(Ready, nil)
		u.log.Info().Dur("took", time.Since(t0)).Msg("service is ready")
	}
	return err
}

// watch reports a service that does not become ready.
func (u *unit) watch(ctx context.Context, called <-chan struct{}) {
	timer := time.NewTimer(u.readyWithin)
	defer timer.Stop()
	select {
	case <-called:
	case <-ctx.Done():
	case <-timer.C:
		err := fmt.Errorf("not ready after %s", u.readyWithin)
		u.log.Warn().Err(err).Msg("service is late")
		u.to(Starting, err)
		u.tell(ctx, "starting", err)
	}
}

// failed reports a failed run and makes the client fit for the next one.
func (u *unit) failed(ctx context.Context, err error, wait time.Duration) {
	u.mu.Lock()
	u.st.Restarts++
	u.mu.Unlock()
	u.to(Restarting, err)
	u.log.Error().Err(err).Dur("wait", wait).Msg("service failed")
	within, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	told := u.tell(within, "restarting", err)
	if reset := u.bus.Reset(within); told && reset == nil || ctx.Err() != nil {
		return
	}
	// The service closed its client, or one of its handlers does not end: the next run gets
	// another client, which has to tell again, because a client that closes says "shutdown".
	short, stop := context.WithTimeout(ctx, tellWithin/4)
	defer stop()
	_ = u.bus.Close(short) // what did not end goes on without a connection
	bus, cerr := u.connect()
	if cerr != nil {
		u.log.Error().Err(cerr).Msg("service has no client") // it worked at the start
		return
	}
	u.mu.Lock()
	u.bus = bus
	u.mu.Unlock()
	u.tell(short, "restarting", err)
	_ = bus.Reset(short) // what was told is of the run before; there is nothing else to end
}

// tell publishes a failure on the service's health topic. It reports false when the client is
// closed; while the broker is away the message waits in the client.
func (u *unit) tell(ctx context.Context, event string, err error) bool {
	if text := err.Error(); len(text) > errBytes {
		err = errors.New(text[:errBytes] + "...")
	}
	herr := u.bus.Health(ctx, false, event, err)
	if herr != nil && ctx.Err() == nil {
		u.log.Warn().Err(herr).Str("event", event).Msg("health not published")
	}
	return !errors.Is(herr, client.ErrClosed)
}

// stop ends the service, waits for it and closes its client, until ctx ends. Some of the time is
// kept for the client, which has to say that the service has gone.
func (u *unit) stop(ctx context.Context) error {
	if u.cancel == nil {
		return nil
	}
	u.cancel()
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	if end, ok := ctx.Deadline(); ok {
		run, cancel = context.WithDeadline(ctx, end.Add(-time.Until(end)/4))
		defer cancel()
	}
	var err error
	select {
	case <-u.done:
	case <-run.Done():
		err = fmt.Errorf("service %s: does not end", u.svc.Name())
	}
	u.once.Do(func() {
		u.mu.Lock()
		bus := u.bus
		u.mu.Unlock()
		if cerr := bus.Close(ctx); cerr != nil && !errors.Is(cerr, client.ErrClosed) {
			u.closed = fmt.Errorf("service %s: %w", u.svc.Name(), cerr)
		}
	})
	return errors.Join(err, u.closed)
}

// to notes a state; err is why the service is not as it should be.
func (u *unit) to(s State, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	changed := u.st.State != s
	if changed {
		u.st.State, u.st.Since = s, time.Now()
	}
	switch {
	case err != nil:
		u.st.Err = err.Error()
	case s == Ready:
		u.st.Err = ""
	}
	if changed && u.changed != nil {
		u.changed(u.st)
	}
}

func (u *unit) status() Status {
	u.mu.Lock()
	st, bus := u.st, u.bus
	u.mu.Unlock()
	if bus != nil {
		st.Bus = bus.Stats()
	}
	return st
}
