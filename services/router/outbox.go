package router

import (
	"context"
	"sync"
)

// maxWaiting bounds what waits to be published. A broker that takes nothing for so long has ended
// the dialogue anyhow.
const maxWaiting = 512

// outbox carries out effects in order, on one goroutine, so that the machine never waits.
type outbox struct {
	do func(context.Context, effect)

	mu      sync.Mutex
	waiting []effect
	lost    int
	wake    chan struct{} // capacity 1
}

func newOutbox(do func(context.Context, effect)) *outbox {
	return &outbox{do: do, wake: make(chan struct{}, 1)}
}

// put adds one effect; over the bound the oldest goes, and is counted.
func (o *outbox) put(e effect) {
	o.mu.Lock()
	if len(o.waiting) >= maxWaiting {
		o.waiting = o.waiting[1:]
		o.lost++
	}
	o.waiting = append(o.waiting, e)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// sweep removes the effects of turns that were broken off.
func (o *outbox) sweep() {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.waiting[:0]
	for _, e := range o.waiting {
		if !pointless(e) {
			kept = append(kept, e)
		}
	}
	clear(o.waiting[len(kept):])
	o.waiting = kept
}

func (o *outbox) next() (effect, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return nil, false
	}
	e := o.waiting[0]
	o.waiting = o.waiting[1:]
	return e, true
}

// run works until ctx ends.
func (o *outbox) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		}
		for ctx.Err() == nil {
			e, ok := o.next()
			if !ok {
				break
			}
			o.do(ctx, e)
		}
	}
}
