package client

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tarsd/tarsd/services/contract"
)

// Policy says what a full queue does with a message.
type Policy byte

// The policies.
const (
	// DropOldest drops the oldest message in the queue and counts it. It is what QoS 0 has
	// without an option.
	DropOldest Policy = iota + 1
	// DropNewest drops the new message and counts it.
	DropNewest
	// Hold leaves the new message unacknowledged until there is room, so that the broker keeps
	// what is more than the window. It is what QoS 1 and 2 have without an option. A QoS 0
	// message cannot be held and is dropped.
	Hold
)

// SubscribeOption changes a subscription.
type SubscribeOption func(*subscribeOptions)

type subscribeOptions struct {
	queue   int
	bytes   int
	policy  Policy
	workers int
	maxQoS  byte
	answers bool
	asIs    bool
}

// Queue bounds the subscription's queue to n messages, at least 1, and says what happens when it
// is full.
func Queue(n int, p Policy) SubscribeOption {
	return func(o *subscribeOptions) { o.queue, o.policy = max(n, 1), p }
}

// QueueBytes bounds the queue in bytes of packets too. One message has room in any case.
func QueueBytes(n int) SubscribeOption { return func(o *subscribeOptions) { o.bytes = max(n, 1) } }

// MaxQoS subscribes with at most this QoS.
func MaxQoS(qos byte) SubscribeOption { return func(o *subscribeOptions) { o.maxQoS = qos } }

// AsPublished asks the broker to leave the retain flag as the publisher set it, so that Retained tells
// of every message which changes retained state, and no longer replays from others. A broker may send one
// copy of a message for several subscriptions of a client; then it holds for all of them.
func AsPublished() SubscribeOption { return func(o *subscribeOptions) { o.asIs = true } }

// Workers runs up to n handlers at once, in no particular order. Without it there is one, and the
// order is that of arrival.
func Workers(n int) SubscribeOption {
	return func(o *subscribeOptions) { o.workers = min(max(n, 1), 256) }
}

// Subscription is a handler and its queue. mu guards what follows it; it is held across nothing.
// Each worker is a goroutine that the client waits for.
type Subscription struct {
	c       *Client
	filter  string
	qos     byte
	policy  Policy
	handle  func(context.Context, *RawMessage) (verdict, error)
	answers bool    // it is the client's own, for requests
	asIs    bool    // AsPublished
	failing limiter // of log lines about handlers and contracts

	mu       sync.Mutex
	ready    sync.Cond // there is something in queue, or the end
	limit    int
	maxBytes int    // of the queue; 0: any
	queue    []item // acknowledged, or QoS 0
	bytes    int    // of the queue
	held     []item // behind the queue; unacknowledged, but for what is left of a session that has ended
	draining bool   // workers end when the queue is empty
	closed   bool   // workers end now
	stats    SubscriptionStats
	workers  sync.WaitGroup

	w *wire // guarded by Client.mu
}

// item is a message in a queue. ack is nil when nobody waits for it.
type item struct {
	m   *inbound
	ack *ack
}

// verdict is what became of a message, apart from an error.
type verdict byte

const (
	verdictHandled verdict = iota
	verdictInvalid
	verdictDuplicate
)

// Filter is the topic filter.
func (s *Subscription) Filter() string { return s.filter }

// offer hands a message to the subscription. It never waits. When ack is not nil the subscription
// counts as one of those who are to take it.
func (s *Subscription) offer(m *inbound, k *ack) {
	s.mu.Lock()
	if s.closed || s.draining {
		s.mu.Unlock()
		if k != nil && !s.c.closing() { // at the client's end the broker keeps it
			k.taken()
		}
		return
	}
	s.stats.Received++
	took := true
	switch {
	case !s.full(m) && len(s.held) == 0:
		s.push(m)
	case s.policy == Hold && k != nil:
		s.held = append(s.held, item{m, k})
		took = false
	case s.policy == DropOldest:
		for s.full(m) {
			s.pop()
			s.stats.Dropped++
		}
		s.push(m)
	default:
		s.stats.Dropped++
	}
	s.mu.Unlock()
	s.ready.Signal()
	if took && k != nil {
		k.taken()
	}
}

// full reports whether the queue has no room for m. mu is held.
func (s *Subscription) full(m *inbound) bool {
	return len(s.queue) >= s.limit || s.maxBytes > 0 && len(s.queue) > 0 && s.bytes+m.size > s.maxBytes
}

// push adds m to the queue. mu is held.
func (s *Subscription) push(m *inbound) {
	s.queue = append(s.queue, item{m: m})
	s.bytes += m.size
}

// pop takes the oldest out of the queue. mu is held.
func (s *Subscription) pop() *inbound {
	m := s.queue[0].m
	s.queue[0] = item{}
	if s.queue = s.queue[1:]; len(s.queue) == 0 && cap(s.queue) < 16 {
		s.queue = nil
	}
	s.bytes -= m.size
	return m
}

// take waits for a message. ok is false at the end.
func (s *Subscription) take() (m *inbound, ok bool) {
	s.mu.Lock()
	for len(s.queue) == 0 && !s.closed && !s.draining {
		s.ready.Wait()
	}
	if s.closed || len(s.queue) == 0 {
		s.mu.Unlock()
		return nil, false
	}
	m = s.pop()
	var k *ack
	if len(s.held) > 0 {
		k = s.held[0].ack
		s.push(s.held[0].m)
		s.held[0] = item{}
		if s.held = s.held[1:]; len(s.held) == 0 {
			s.held = nil
		}
	}
	s.mu.Unlock()
	if k != nil {
		k.taken()
	}
	return m, true
}

// release forgets what is held from a connection that has ended, because the broker sends it again,
// and marks who did not take what. If the broker has ended the session too, nobody else has it: it
// waits for the handler, the oldest as many as a connection may have under way.
func (s *Subscription) release(sessionEnds bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sessionEnds {
		for i := range s.held {
			s.held[i].ack = nil
		}
		if more := len(s.held) - s.c.opts.Window; more > 0 {
			clear(s.held[s.c.opts.Window:])
			s.held = s.held[:s.c.opts.Window]
			s.stats.Dropped += more
		}
		return
	}
	for _, it := range s.held {
		it.ack.held = append(it.ack.held, s)
		s.stats.Received--
	}
	s.held = nil
}

// work is a worker.
func (s *Subscription) work(ctx context.Context) {
	for {
		m, ok := s.take()
		if !ok {
			return
		}
		s.run(ctx, &m.RawMessage)
	}
}

func (s *Subscription) run(ctx context.Context, m *RawMessage) {
	v, err := s.call(ctx, m)
	var p *panicError
	s.mu.Lock()
	switch {
	case v == verdictInvalid:
		s.stats.Invalid++
	case v == verdictDuplicate:
		s.stats.Duplicates++
	case err != nil:
		s.stats.Failed++
		if errors.As(err, &p) {
			s.stats.Panics++
		}
	default:
		s.stats.Handled++
	}
	s.mu.Unlock()
	if err != nil {
		s.report(v, m, err)
	}
}

// panicError is a panic of a handler.
type panicError struct {
	value any
	stack []byte
	id    string
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

func (s *Subscription) call(ctx context.Context, m *RawMessage) (v verdict, err error) {
	mc := &messageContext{Context: ctx, sub: s, turn: turnFrom(m.Props), topic: m.Topic, log: &s.c.opts.Log}
	defer func() {
		if r := recover(); r != nil {
			v, err = verdictHandled, &panicError{r, debug.Stack(), mc.id}
		}
		if err != nil && mc.id != "" {
			err = &messageError{err, mc.id, mc.turn.ID}
		}
	}()
	return s.handle(mc, m)
}

// messageError adds what a log line about a message has.
type messageError struct {
	error
	id, turn string
}

// Unwrap implements the errors package's convention.
func (e *messageError) Unwrap() error { return e.error }

// report logs what went wrong with a message. Values of it stay out: they may be transcripts.
func (s *Subscription) report(v verdict, m *RawMessage, err error) {
	suppressed, ok := s.failing.allow(time.Now())
	if !ok {
		return
	}
	e := s.c.opts.Log.Error() //nolint:zerologlint // sent below
	if v == verdictInvalid {
		e.Discard()
		e = s.c.opts.Log.Warn() //nolint:zerologlint // sent below
	}
	e.Str("topic", m.Topic)
	var me *messageError
	if errors.As(err, &me) {
		e.Str("id", me.id).Str("turn", me.turn)
	}
	if suppressed > 0 {
		e.Int("suppressed", suppressed)
	}
	var ce *contract.Error
	var p *panicError
	switch {
	case errors.As(err, &p):
		e.Err(p).Bytes("stack", p.stack).Msg("handler panicked")
	case v == verdictInvalid && errors.As(err, &ce):
		e.Str("field", ce.Field).Str("problem", ce.Problem).Msg("message is not as the contract says")
	case v == verdictInvalid:
		e.Err(err).Msg("message is not as the contract says")
	default:
		e.Err(err).Msg("handler failed")
	}
}

// stop ends the workers: at once, or when the queue is empty.
func (s *Subscription) stop(now bool) {
	s.mu.Lock()
	s.draining = true
	if now && !s.closed {
		s.closed = true
		s.stats.Lost += len(s.queue)
		s.queue, s.bytes = nil, 0
	}
	s.mu.Unlock()
	s.ready.Broadcast()
}

// Close ends the subscription: no message reaches the handler any more, what is queued is dropped,
// and the broker is told. It waits for the running handler, unless that is who calls, until ctx
// ends.
func (s *Subscription) Close(ctx context.Context) error {
	s.stop(true)
	s.mu.Lock()
	held := s.held
	s.held = nil
	s.mu.Unlock()
	for _, it := range held {
		if it.ack != nil {
			it.ack.taken()
		}
	}
	gone := s.c.remove(s)
	if m, ok := ctx.Value(messageKey{}).(*messageContext); !ok || m.sub != s {
		if err := wait(ctx, &s.workers); err != nil {
			return fmt.Errorf("close subscription %q: handler still runs: %w", s.filter, err)
		}
	}
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close subscription %q: %w", s.filter, ctx.Err())
	}
}

func (s *Subscription) snapshot() SubscriptionStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Filter, st.Queued, st.Held = s.filter, len(s.queue), len(s.held)
	return st
}

// wait waits for wg until ctx ends; then a goroutine goes on to wait, as long as wg does.
func wait(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		select {
		case <-done: // both: the work is done
			return nil
		default:
			return ctx.Err()
		}
	}
}

// limiter lets a line through about once a second and counts the others.
type limiter struct {
	mu         sync.Mutex
	next       time.Time
	suppressed int
}

func (l *limiter) allow(now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.next) {
		l.suppressed++
		return 0, false
	}
	suppressed, l.suppressed, l.next = l.suppressed, 0, now.Add(time.Second)
	return suppressed, true
}
