package drive

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/tarsd/tarsd/services/movement/plan"
)

// Request is a move that somebody asked for.
type Request struct {
	ID     string
	Name   string
	Speed  float64 // 0.1 to 1
	Move   plan.Move
	Native bool // Options.Native runs it, and not the planner
	Tag    any  // comes back with every event
}

// Kind is what happened to a request.
type Kind string

// The kinds of events. Each request that was accepted has exactly one of the last three, at the end.
const (
	Queued    Kind = "queued"
	Started   Kind = "started"
	FrameSent Kind = "frame_sent" // a pose of the plan was reached
	Completed Kind = "completed"
	Failed    Kind = "failed"
	Cancelled Kind = "cancelled"
)

// Event is one step in the life of a request.
type Event struct {
	Request Request
	Kind    Kind
	Seq     int // of FrameSent: 0 to Total-1
	Total   int // poses of the plan; 0 for a native run
	Err     error
}

// Options of New. Event and Changed are called from several goroutines, must not block, and must
// not call the engine.
type Options struct {
	Planner plan.Planner
	Driver  Driver
	Period  time.Duration // between two poses; 0: 20 ms
	Queue   int           // requests that may wait; 0: 16
	IdleOff time.Duration // outputs go off after so long without a move; 0: 10 s, below 0: never
	Hold    bool          // Run leaves the outputs on at its end, unless it ends a move
	DeadMan time.Duration // silence that ends manual control; 0: 500 ms
	// Before is waited for before each request, such as for a machine that is busy with something else.
	Before func(ctx context.Context, r Request) error
	// Settled is waited for behind the last pose of a plan, such as for a machine that confirms poses.
	Settled func(ctx context.Context) error
	// Native runs a request on a machine that has the move itself.
	Native func(ctx context.Context, r Request) error
	// Alive is asked while something moves, for how long it has: false means that nobody could stop it.
	Alive   func(running time.Duration) bool
	Event   func(Event)
	Changed func() // State would say something new, other than a pose
}

// again is how long an unconfirmed "off" waits for its repetition.
const again = 100 * time.Millisecond

// Engine runs requests one after the other. Its methods may be called from any goroutine.
type Engine struct {
	o    Options
	gate *gate
	wake chan struct{} // something for the loop
	told chan struct{} // the gate was stopped: see that it is confirmed

	mu      sync.Mutex // what follows; may be held when gate.mu is taken
	planner plan.Planner
	queue   []Request
	current *Request
	abort   context.CancelCauseFunc // of current
	manual  manual
	closed  bool
	broken  bool // a move was ended by the end of Run
}

// New makes an engine. Nothing moves, and nothing is sent to the driver, before Run.
func New(o Options) *Engine {
	if o.Period <= 0 {
		o.Period = 20 * time.Millisecond
	}
	if o.Queue <= 0 {
		o.Queue = 16
	}
	if o.IdleOff < 0 {
		o.IdleOff = math.MaxInt64
	}
	if o.IdleOff == 0 {
		o.IdleOff = 10 * time.Second
	}
	if o.DeadMan <= 0 {
		o.DeadMan = 500 * time.Millisecond
	}
	if o.Alive == nil {
		o.Alive = func(time.Duration) bool { return true }
	}
	if o.Before == nil {
		o.Before = func(context.Context, Request) error { return nil }
	}
	if o.Settled == nil {
		o.Settled = func(context.Context) error { return nil }
	}
	if o.Event == nil {
		o.Event = func(Event) {}
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	return &Engine{
		o: o, planner: o.Planner, gate: &gate{drv: o.Driver, cal: o.Planner.Cal},
		wake: make(chan struct{}, 1), told: make(chan struct{}, 1),
	}
}

// Run moves until ctx ends, and then switches everything off before it returns, for at most 0.4 s
// if the driver does not confirm.
func (e *Engine) Run(ctx context.Context) {
	var wg sync.WaitGroup
	bg, cancel := context.WithCancel(ctx)
	wg.Go(func() { e.confirm(bg) })
	defer func() { // also when a panic comes through
		cancel()
		wg.Wait()
		e.shut()
	}()
	idle := time.NewTimer(e.o.IdleOff)
	defer idle.Stop()
	for ctx.Err() == nil {
		if e.next(ctx) {
			idle.Reset(e.o.IdleOff)
			continue
		}
		select {
		case <-ctx.Done():
		case <-e.wake:
		case <-idle.C:
			if !e.gate.end() {
				idle.Reset(again)
			}
			e.o.Changed()
		}
	}
}

// next runs one request, if there is one.
func (e *Engine) next(ctx context.Context) bool {
	e.mu.Lock()
	if len(e.queue) == 0 || e.gate.stopped() {
		e.mu.Unlock()
		return false
	}
	r := e.queue[0]
	e.queue = e.queue[1:]
	rctx, abort := context.WithCancelCause(ctx)
	e.current, e.abort = &r, abort
	planner := e.planner
	e.mu.Unlock()

	e.o.Changed()
	err := e.run(rctx, r, planner)
	if err != nil && ctx.Err() != nil {
		err = ErrShutdown
	}
	abort(nil)
	e.mu.Lock()
	e.current, e.abort = nil, nil
	e.broken = ctx.Err() != nil
	if e.manual.id == r.ID {
		e.manual = manual{}
	}
	e.mu.Unlock()
	e.end(r, err)
	if errors.Is(err, ErrLost) {
		e.clear(err) // what waits would begin without anybody who could stop it
	}
	e.o.Changed()
	return true
}

// end reports the end of a request.
func (e *Engine) end(r Request, err error) {
	kind := Completed
	switch {
	case err == nil:
	case isOne(err, ErrStopped, ErrShutdown):
		kind = Cancelled
	default:
		kind = Failed
	}
	e.o.Event(Event{Request: r, Kind: kind, Err: err})
}

// shut is the end of the engine: nothing waits, nothing is on.
func (e *Engine) shut() {
	e.mu.Lock()
	e.closed = true
	waiting, broken := e.queue, e.broken || e.current != nil
	e.queue = nil
	e.mu.Unlock()
	for _, r := range waiting {
		e.end(r, ErrShutdown)
	}
	if e.o.Hold && !broken {
		return
	}
	for deadline := time.Now().Add(400 * time.Millisecond); !e.gate.end() && time.Now().Before(deadline); {
		pause(context.Background(), e.o.Period)
	}
}

// confirm repeats "off" after a stop until the driver confirms it.
func (e *Engine) confirm(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.told:
		}
		for e.gate.stopped() && !e.gate.end() {
			if !pause(ctx, again) {
				return
			}
		}
		e.o.Changed()
	}
}

// Submit puts a request into the queue.
func (e *Engine) Submit(r Request) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return ErrShutdown
	case e.gate.stopped():
		return ErrStopped
	case e.manual.id != "":
		return ErrManual
	case len(e.queue) >= e.o.Queue:
		return ErrQueueFull
	}
	e.queue = append(e.queue, r)
	e.o.Event(Event{Request: r, Kind: Queued}) // under the lock, so that it comes before Started
	e.poke()
	return nil
}

// Stop is the emergency stop: outputs off, everything that waits or runs cancelled, and the latch
// set until Resume. It may be called again; then everything is told to be off once more.
func (e *Engine) Stop(reason string) {
	e.gate.stop(reason)
	select {
	case e.told <- struct{}{}:
	default:
	}
	e.clear(ErrStopped)
	e.o.Changed()
}

// Lose ends what moves and forgets what waits, without the latch.
func (e *Engine) Lose(why error) {
	e.clear(fmt.Errorf("%w: %w", ErrLost, why))
	e.o.Changed()
}

// clear cancels everything.
func (e *Engine) clear(cause error) {
	e.mu.Lock()
	waiting := e.queue
	e.queue = nil
	if e.abort != nil {
		e.abort(cause)
	}
	if e.current == nil || e.current.ID != e.manual.id {
		e.manual = manual{}
	}
	e.mu.Unlock()
	for _, r := range waiting {
		e.o.Event(Event{Request: r, Kind: Cancelled, Err: cause})
	}
}

// Stopped reports whether the latch is set.
func (e *Engine) Stopped() bool { return e.gate.stopped() }

// Resume opens the latch. It fails while the driver has not confirmed that everything is off.
func (e *Engine) Resume() error {
	if err := e.gate.resume(); err != nil {
		return err
	}
	e.o.Changed()
	return nil
}

// Calibrate takes another calibration for the moves that begin from now on.
func (e *Engine) Calibrate(c plan.Calibration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.planner.Cal = c
	e.gate.calibrate(c)
}

// State is what the engine does at one moment.
type State struct {
	Current   *Request // nil: nothing runs
	Waiting   []string // names of the requests in the queue
	Limit     int      // of the queue
	Stopped   string   // reason of the stop; empty: not stopped
	Confirmed bool     // all outputs are off, and the driver said so
	Manual    string   // who has manual control; empty: nobody
	Pose      plan.Pose
	Last      plan.Pose // pulses of before the outputs went off; 0 is a joint that never had any
	Moved     time.Time // last change of a pulse
	Clamped   int       // poses that had to be brought into their limits
	Err       error     // of the last thing that the driver was told
}

// State returns the present state.
func (e *Engine) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := State{Limit: e.o.Queue, Manual: e.manual.id}
	if e.current != nil {
		r := *e.current
		s.Current = &r
	}
	for _, r := range e.queue {
		s.Waiting = append(s.Waiting, r.Name)
	}
	g := e.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	s.Stopped, s.Confirmed, s.Pose, s.Last, s.Moved, s.Clamped, s.Err = g.reason, g.off, g.pose, g.last, g.moved, g.clamped, g.err
	return s
}

func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// pause waits; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
