package drive

import (
	"context"
	"errors"
	"time"

	"github.com/tarsd/tarsd/services/movement/plan"
)

// ManualName is the name of the request that manual control is.
const ManualName = "manual"

// maxFaults is how many writes in a row may fail before a move is given up.
const maxFaults = 3

// manual is what the holder of manual control wants.
type manual struct {
	id     string
	target plan.Pose // 0 leaves a joint alone
	speed  float64
	until  time.Time // silence ends it then
	over   bool
}

// run is the whole of one request.
func (e *Engine) run(ctx context.Context, r Request, planner plan.Planner) error {
	if err := e.o.Before(ctx, r); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	switch {
	case r.Name == ManualName:
		e.o.Event(Event{Request: r, Kind: Started})
		return e.follow(ctx, r.ID, planner)
	case r.Native:
		return e.native(ctx, r)
	}
	pl := planner.Plan(r.Move, e.gate.position(), r.Speed)
	e.o.Event(Event{Request: r, Kind: Started, Total: len(pl.Segments)})
	sent := 0
	err := e.ticks(ctx, func(at time.Duration) (bool, error) {
		pose, reached, done := pl.At(at)
		if len(pl.Segments) > 0 {
			if err := e.gate.write(pose, pl.Used); err != nil {
				return false, err
			}
		}
		for ; sent < reached; sent++ {
			e.o.Event(Event{Request: r, Kind: FrameSent, Seq: sent, Total: len(pl.Segments)})
		}
		return done, nil
	})
	if err != nil {
		return err
	}
	if !pl.Off {
		if err = e.o.Settled(ctx); err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	for !e.gate.end() { // such as "disable", which is done when it is off
		if !pause(ctx, again) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// ticks calls step once a period until it is done, with the time that has passed. A period that
// came late counts as two at most: what was missed is not caught up at full speed.
func (e *Engine) ticks(ctx context.Context, step func(at time.Duration) (done bool, err error)) error {
	tick := time.NewTicker(e.o.Period)
	defer tick.Stop()
	start := time.Now()
	last, at, faults := start, time.Duration(0), 0
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		now := time.Now()
		if !e.o.Alive(now.Sub(start)) {
			return ErrLost
		}
		at += min(now.Sub(last), 2*e.o.Period)
		last = now
		done, err := step(at)
		switch {
		case err == nil && done:
			return nil
		case err == nil:
			faults = 0
		case isOne(err, ErrStopped, ErrSilent):
			return err
		default:
			if faults++; faults >= maxFaults {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// native lets the machine run the request, and watches that it could be stopped.
func (e *Engine) native(ctx context.Context, r Request) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- e.o.Native(ctx, r) }()
	tick := time.NewTicker(again)
	defer tick.Stop()
	for start := time.Now(); ; {
		select {
		case err := <-done:
			if cause := context.Cause(ctx); err != nil && cause != nil {
				return cause
			}
			return err
		case <-tick.C:
			if !e.o.Alive(time.Since(start)) {
				cancel(ErrLost)
			}
		}
	}
}

// Setpoint is one message of manual control.
type Setpoint struct {
	ID      string        // of who controls; the first has it until release or silence
	Target  plan.Pose     // 0 leaves a joint alone
	Speed   float64       // 0.1 to 1
	Hold    time.Duration // silence after which it ends, if that is less than DeadMan; 0: DeadMan
	Release bool
	Tag     any
}

// Manual takes a setpoint, and with it a sign of life. The first one begins manual control, which
// needs a robot that does nothing else.
func (e *Engine) Manual(s Setpoint) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return ErrShutdown
	case e.gate.stopped():
		return ErrStopped
	case e.manual.id != "" && e.manual.id != s.ID:
		return ErrManual
	case e.manual.id == "" && s.Release:
		return nil
	case e.manual.id == "" && (e.current != nil || len(e.queue) > 0):
		return ErrBusy
	}
	if e.manual.id == "" {
		r := Request{ID: s.ID, Name: ManualName, Speed: s.Speed, Tag: s.Tag}
		e.queue = append(e.queue, r)
		e.o.Event(Event{Request: r, Kind: Queued})
		e.poke()
	}
	hold := e.o.DeadMan
	if s.Hold > 0 {
		hold = min(s.Hold, hold)
	}
	e.manual.id, e.manual.speed, e.manual.over, e.manual.until = s.ID, s.Speed, s.Release, time.Now().Add(hold)
	for j, t := range s.Target {
		if t != 0 {
			e.manual.target[j] = t
		}
	}
	return nil
}

// follow goes after the setpoints until they end.
func (e *Engine) follow(ctx context.Context, id string, planner plan.Planner) error {
	at := planner.Known(e.gate.position())
	return e.ticks(ctx, func(time.Duration) (bool, error) {
		e.mu.Lock()
		m := e.manual
		e.mu.Unlock()
		switch {
		case m.id != id || m.over:
			return true, nil
		case time.Now().After(m.until):
			return false, ErrSilent
		}
		var used [plan.Joints]bool
		for j, t := range m.target {
			used[j] = t != 0
		}
		next := planner.Approach(at, m.target, m.speed, e.o.Period)
		if err := e.gate.write(next, used); err != nil {
			return false, err
		}
		at = next
		return false, nil
	})
}

// isOne reports whether err is one of several.
func isOne(err error, of ...error) bool {
	for _, o := range of {
		if errors.Is(err, o) {
			return true
		}
	}
	return false
}
