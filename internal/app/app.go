// Package app is the wiring: it builds storage, policy, engine, broker, listeners and web of one
// configuration, starts them in order and stops them in reverse. It also owns the admin socket,
// by which the commands of this program talk to the one that runs, and what those commands do
// when none runs. It leaves all behaviour to the packages that it joins.
package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/xid"
	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/hooks/access"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/hooks/health"
	"github.com/tarsd/tarsd/hooks/observe"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/internal/trace"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/storage"
	"github.com/tarsd/tarsd/web"
)

// stopWithin is the one deadline of a stop. A service manager is promised 3 s; the rest is for
// the process to end.
const stopWithin = 2500 * time.Millisecond

// stopPolite is how long HTTP requests get to end before they are cut: a client that sends half a
// request must not use up the time of those whose messages have to reach the disk.
const stopPolite = 300 * time.Millisecond

// Options of Start and Run.
type Options struct {
	Config  *config.Loaded
	Version string
	Log     zerolog.Logger

	services []service // in place of catalog, for tests
	patience int       // what the deadlines of a stop are multiplied with, for tests on a busy machine; 0 means 1
}

// App is a running tarsd. Its goroutines are owned by wg; the first of them that fails where it
// must not reports to failed.
type App struct {
	o       Options
	cfg     config.Config
	log     zerolog.Logger
	id      string // of this start, so that a client of the admin socket sees a restart
	started time.Time

	db        *storage.DB
	users     *access.Users
	policy    *access.Policy
	engine    *delivery.Engine
	audit     *observe.Audit
	peers     *health.Watcher
	broker    *broker.Broker
	memory    *broker.Memory
	ws        *broker.WebSocket
	listeners []*broker.Listener
	web       *web.Server
	sessions  *web.Sessions

	tracer     *trace.Tracer // nil: off
	supervisor *services.Supervisor
	mcp        http.Handler // the tools service; nil when it does not run here

	ready   atomic.Bool
	wg      sync.WaitGroup
	failed  chan error  // capacity 1
	restore chan string // capacity 1: a verified file that is to take the place of the data
	steps   []step      // how to stop what has started, in the order of the start
}

type step struct {
	name string
	stop func(ctx context.Context) error
}

// Run starts tarsd and keeps it until ctx ends or a part fails that tarsd cannot be without.
// A restore ends one run and begins the next.
func Run(ctx context.Context, o Options) error {
	defer tune()()
	for {
		a, err := Start(ctx, o)
		if err != nil {
			return err
		}
		staged, err := a.wait(ctx)
		err = errors.Join(err, a.Stop())
		if staged == "" {
			return err
		}
		err = errors.Join(err, finishRestore(dataFile(a.cfg), staged))
		if err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		a.log.Info().Msg("restored; starting again")
	}
}

// wait blocks until there is a reason to stop: ctx, a failed part or a staged restore.
func (a *App) wait(ctx context.Context) (staged string, err error) {
	select {
	case <-ctx.Done():
		a.log.Info().Msg("stopping")
	case err = <-a.failed:
		a.log.Error().Err(err).Msg("stopping")
	case staged = <-a.restore:
		a.log.Info().Msg("stopping to restore")
	}
	return staged, err
}

// Start builds and starts everything. When it returns without an error all listeners are bound
// and served. Errors are for people: they say what was tried and what to do.
func Start(ctx context.Context, o Options) (*App, error) {
	a := &App{
		o: o, cfg: o.Config.Config, log: o.Log, id: xid.New().String(), started: time.Now(),
		failed: make(chan error, 1), restore: make(chan string, 1),
	}
	err := a.start(ctx)
	if err == nil {
		a.ready.Store(true)
		a.announce()
		return a, nil
	}
	if stop := a.Stop(); stop != nil {
		a.log.Warn().Err(stop).Msg("stopped after a failed start")
	}
	return nil, err
}

func (a *App) start(ctx context.Context) error {
	dir, err := filepath.Abs(a.cfg.DataDir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	a.cfg.DataDir = dir
	for _, part := range a.parts() {
		if err := part(ctx); err != nil {
			return err
		}
	}
	for _, l := range a.listeners {
		l.Serve(a.broker) // returns at once; on a goroutine of its own it could come behind Stop
	}
	if a.web != nil {
		a.wg.Go(func() { a.fail(a.web.Serve()) })
	}
	return nil
}

// parts are the steps of a start, in order; a stop goes through those that took place in reverse.
func (a *App) parts() []func(context.Context) error {
	if a.cfg.Broker.Remote() {
		return []func(context.Context) error{a.openServiceStorage, a.startTrace, a.makeServices, a.bindServiceWeb, a.runServices}
	}
	return []func(context.Context) error{
		a.openStorage, a.openAccess, a.startEngine, a.startObservers, a.startBroker, a.startHealth, a.startTrace, a.makeServices,
		a.bindListeners, a.bindWeb, a.bindAdmin, a.runServices,
	}
}

// fail reports the end of a part that must not end; nil is no failure.
func (a *App) fail(err error) {
	if err == nil {
		return
	}
	select {
	case a.failed <- err:
	default: // one reason is enough
	}
}

func (a *App) onStop(name string, stop func(ctx context.Context) error) {
	a.steps = append(a.steps, step{name, stop})
}

// Stop stops everything that was started, last first, within one deadline, and waits for it.
func (a *App) Stop() error {
	ctx, cancel := a.timeout(context.Background(), stopWithin)
	defer cancel()
	a.ready.Store(false)
	var errs []error
	for i := len(a.steps) - 1; i >= 0; i-- {
		t0, s := time.Now(), a.steps[i]
		if err := s.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.name, err))
		}
		a.log.Debug().Str("part", s.name).Dur("took", time.Since(t0)).Msg("stopped")
	}
	a.steps = nil
	if err := within(ctx, a.wg.Wait); err != nil {
		errs = append(errs, fmt.Errorf("stop: %w", err))
	}
	return errors.Join(errs...)
}

// timeout is context.WithTimeout for a part of a stop.
func (a *App) timeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d*time.Duration(max(a.o.patience, 1)))
}

// within calls f, which takes no context, and gives up on it when ctx ends; f then ends with the
// process.
func within(ctx context.Context, f func()) error {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Dial connects to the broker inside this process.
func (a *App) Dial(ctx context.Context) (net.Conn, error) { return a.memory.Dial(ctx) }

// Listeners are the real addresses, as URLs; none when the broker is elsewhere.
func (a *App) Listeners() []string {
	urls := make([]string, len(a.listeners))
	for i, l := range a.listeners {
		urls[i] = l.URL()
	}
	return urls
}

// HTTP is the real address of the HTTP port; empty if there is none.
func (a *App) HTTP() string {
	if a.web == nil {
		return ""
	}
	return a.web.Addr().String()
}

// dataFile is the one file of the data directory.
func dataFile(c config.Config) string { return filepath.Join(c.DataDir, "tarsd.db") }

// openData opens the data file and words what can go wrong for an owner.
func openData(c config.Config, lock time.Duration, log zerolog.Logger) (*storage.DB, error) {
	o := storage.Options{
		Path: dataFile(c), Gather: time.Duration(c.CommitGather), LockTimeout: lock,
		Log: log,
	}
	if c.Durability == config.Relaxed {
		o.Durability = storage.Relaxed
	}
	db, err := storage.Open(o)
	if errors.Is(err, storage.ErrLocked) {
		return nil, fmt.Errorf("data directory %s is in use by another tarsd: stop it, or name another directory with --data: %w", c.DataDir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", c.DataDir, err)
	}
	return db, nil
}

func (a *App) openStorage(context.Context) error {
	if err := os.MkdirAll(a.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	db, err := openData(a.cfg, time.Second, a.log)
	if err != nil {
		return err
	}
	a.db = db
	// A restore that was cut off by the end of the process left its copy; the directory is ours.
	if left, err := filepath.Glob(filepath.Join(a.cfg.DataDir, stagedFiles)); err == nil {
		for _, name := range left {
			os.Remove(name)
		}
	}
	a.onStop("storage", func(ctx context.Context) error {
		var err error
		if late := within(ctx, func() { err = db.Close() }); late != nil {
			return late
		}
		return err
	})
	return nil
}
