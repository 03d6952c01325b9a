package audio

import (
	"context"
	"errors"
	"sync"
	"time"
)

// gate lets one caller at a time work with a device, and a flush overtake all who work or wait.
type gate struct {
	turn chan struct{} // holds a token while somebody works

	mu     sync.Mutex // guards what follows; never held while waiting
	inside map[*context.CancelCauseFunc]struct{}
	closed bool
}

func newGate() *gate {
	return &gate{turn: make(chan struct{}, 1), inside: map[*context.CancelCauseFunc]struct{}{}}
}

// enter waits for its turn. The context that it returns ends with the caller's, and with ErrFlushed
// or ErrClosed for cause when a flush overtakes; leave must be called.
func (g *gate) enter(ctx context.Context) (in context.Context, leave func(), err error) {
	in, cancel := context.WithCancelCause(ctx)
	g.mu.Lock()
	if g.closed {
		cancel(ErrClosed)
	}
	g.inside[&cancel] = struct{}{}
	g.mu.Unlock()
	out := func() {
		g.mu.Lock()
		delete(g.inside, &cancel)
		g.mu.Unlock()
		cancel(nil)
	}
	select {
	case g.turn <- struct{}{}:
		if in.Err() == nil {
			return in, func() { out(); <-g.turn }, nil
		}
		<-g.turn // both came at the same moment
	case <-in.Done():
	}
	err = context.Cause(in)
	out()
	return nil, nil, err
}

// overtake ends all who are inside, for cause, and returns when it has the turn itself. ErrClosed
// keeps everybody out for good; it reports whether that was new.
func (g *gate) overtake(cause error) (leave func(), fresh bool) {
	g.mu.Lock()
	fresh = !g.closed
	g.closed = g.closed || errors.Is(cause, ErrClosed)
	for cancel := range g.inside {
		(*cancel)(cause)
	}
	g.mu.Unlock()
	g.turn <- struct{}{}
	return func() { <-g.turn }, fresh
}

// sleep waits, unless the context ends before.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
