package router

import (
	"context"
	"sync"
	"sync/atomic"
)

// maxWaiting bounds what waits in a lane. A broker that takes nothing for so long has ended the
// dialogue anyhow.
const maxWaiting = 512

// lanes are the ways by which effects are published: each kind that is urgent has its own, so that a
// stop waits for nothing, not even for the acknowledgement of another one. Within a lane the order
// is kept. A stop takes away what waits in the lane of speech, questions and motions, a hush the first two.
type lanes struct {
	speech, motion, model outbox // pause, resume, stop; the emergency stop; cancels
	rest, states          outbox
	hushes, stops         atomic.Uint64 // stops of all speech and of all motion so far
}

func newLanes(do func(context.Context, effect)) *lanes {
	l := &lanes{}
	for _, o := range l.all() {
		o.wake = make(chan struct{}, 1)
		o.do = func(ctx context.Context, e queued) { l.carryOut(ctx, e, do) }
	}
	return l
}

func (l *lanes) all() []*outbox { return []*outbox{&l.speech, &l.motion, &l.model, &l.rest, &l.states} }

// ends counts the stops that take an effect with them when it is not carried out yet; nil for one that
// stays. What changes the memory or the persona does: it was said, and understood.
func (l *lanes) ends(e effect) *atomic.Uint64 {
	switch e.(type) {
	case saySpeech, askModel:
		return &l.hushes
	case move, release:
		return &l.stops
	}
	return nil
}

// put hands an effect to its lane.
func (l *lanes) put(e effect) {
	o := &l.rest
	switch e := e.(type) {
	case controlSpeech:
		o = &l.speech
		if e.action == "stop" && e.utt == "" {
			l.hushes.Add(1)
		}
	case halt:
		o = &l.motion
	case cancelModel:
		o = &l.model
	case stateChange:
		o = &l.states
	case dropMotion:
		l.stops.Add(1)
		return
	}
	q := queued{effect: e}
	if n := l.ends(e); n != nil {
		q.stops = n.Load()
	}
	o.put(q)
}

// void reports whether an effect must not be carried out any more.
func (l *lanes) void(q queued) bool {
	n := l.ends(q.effect)
	return broken(q.effect) || (n != nil && q.stops < n.Load())
}

func (l *lanes) carryOut(ctx context.Context, q queued, do func(context.Context, effect)) {
	if l.void(q) {
		return
	}
	do(ctx, q.effect)
	if l.void(q) {
		if e := undo(q.effect); e != nil {
			l.put(e)
		}
	}
}

// run works until ctx ends and all lanes have stopped.
func (l *lanes) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, o := range l.all() {
		wg.Go(func() { o.run(ctx) })
	}
	wg.Wait()
}

// queued is an effect and the count of those stops that end it, when it was made.
type queued struct {
	effect
	stops uint64
}

// outbox carries out effects in order, on one goroutine, so that the machine never waits. mu guards
// what follows it.
type outbox struct {
	do   func(context.Context, queued)
	wake chan struct{} // capacity 1

	mu      sync.Mutex
	waiting []queued
}

// put adds one effect; over the bound the oldest goes.
func (o *outbox) put(q queued) {
	o.mu.Lock()
	if len(o.waiting) >= maxWaiting {
		o.waiting = o.waiting[1:]
	}
	o.waiting = append(o.waiting, q)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) next() (queued, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return queued{}, false
	}
	q := o.waiting[0]
	o.waiting[0] = queued{} // or it would be held as long as the array
	o.waiting = o.waiting[1:]
	return q, true
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
			q, ok := o.next()
			if !ok {
				break
			}
			o.do(ctx, q)
		}
	}
}
