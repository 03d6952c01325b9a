package drive

import (
	"errors"
	"sync"
	"time"

	"github.com/tarsd/tarsd/services/movement/plan"
)

// Driver moves servos. Its methods are called by one goroutine at a time and return soon.
type Driver interface {
	// Write sets the pulses, which are within the limits of the joints; 0 is no pulse.
	Write(p plan.Pose) error
	// Off ends all pulses. Nil means that they are known to have ended; after an error it is
	// called again.
	Off() error
}

// The reasons why nothing moves, or why a move ended before its end.
var (
	ErrStopped   = errors.New("stopped until resume")
	ErrQueueFull = errors.New("queue_full")
	ErrBusy      = errors.New("busy")
	ErrManual    = errors.New("manual control is on")
	ErrLost      = errors.New("control lost")
	ErrSilent    = errors.New("manual control fell silent")
	ErrShutdown  = errors.New("shutdown")
	ErrNotOff    = errors.New("the stop is not confirmed yet")
)

// gate is the only way to the driver. Its lock is the innermost: nothing is taken under it.
type gate struct {
	mu      sync.Mutex
	drv     Driver
	cal     plan.Calibration
	reason  string // why it is stopped; empty when it is not
	off     bool   // the driver confirmed that all outputs are off
	pose    plan.Pose
	last    plan.Pose // pulses of before the outputs went off: where the joints are, as far as we know
	moved   time.Time
	clamped int // pulses that were out of their limits: none, unless the planner is wrong
	err     error
}

// write sends a pose unless the gate is stopped. Joints that are off stay so unless they are
// used: a limp arm does not jump because a leg moves. What changes nothing is not sent.
func (g *gate) write(p plan.Pose, used [plan.Joints]bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reason != "" {
		return ErrStopped
	}
	safe := g.cal.Clamp(p)
	if safe != p {
		g.clamped++
	}
	for j := range safe {
		if g.pose[j] == 0 && !used[j] {
			safe[j] = 0
		}
	}
	if safe == g.pose && g.err == nil && !g.off {
		return nil
	}
	g.off = false
	if g.err = g.drv.Write(safe); g.err != nil {
		return g.err
	}
	if safe != g.pose {
		g.moved = time.Now()
	}
	g.pose = safe
	for j, t := range safe {
		if t != 0 {
			g.last[j] = t
		}
	}
	return nil
}

// stop latches the gate and switches everything off. It reports whether it was open before.
func (g *gate) stop(reason string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := g.reason == ""
	if first {
		g.reason = reason
	}
	g.off = false // said again, so asked again
	g.endLocked()
	return first
}

// end switches everything off, and reports whether that is confirmed.
func (g *gate) end() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.off {
		g.endLocked()
	}
	return g.off
}

func (g *gate) endLocked() {
	if g.err = g.drv.Off(); g.err == nil {
		g.off = true
	}
	if g.pose != (plan.Pose{}) {
		g.pose, g.moved = plan.Pose{}, time.Now()
	}
}

func (g *gate) resume() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reason != "" && !g.off {
		return ErrNotOff
	}
	g.reason = ""
	return nil
}

// calibrate changes where the joints' positions lie; the caller has checked it.
func (g *gate) calibrate(c plan.Calibration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cal = c
}

// position is where the joints are believed to be; 0 is unknown.
func (g *gate) position() plan.Pose {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}

func (g *gate) stopped() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reason != ""
}
