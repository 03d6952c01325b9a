package llm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tarsd/tarsd/services/llm/chat"
)

// The circuit breaker: after so many failed rounds in a row it answers at once for a while, which
// doubles with each failed try.
const (
	breakAfter = 3
	breakFor   = 5 * time.Second
	breakMost  = time.Minute
)

// breakerState is what health says of a breaker.
type breakerState string

const (
	closed   breakerState = "closed"    // requests pass
	open     breakerState = "open"      // requests fail at once
	halfOpen breakerState = "half open" // one request is tried
)

// breaker keeps a person from waiting for a provider that is known to be down, and a provider that
// is down from being asked by everybody. mu guards everything below it.
type breaker struct {
	inner   chat.Provider
	changed func() // told of a new state, without the lock; may be nil

	mu    sync.Mutex
	state breakerState
	fails int
	wait  time.Duration
	until time.Time
	last  *chat.Error // of the failure that opened it
}

func newBreaker(p chat.Provider, changed func()) *breaker {
	return &breaker{inner: p, changed: changed, state: closed}
}

// Name implements chat.Provider.
func (b *breaker) Name() string { return b.inner.Name() }

// Complete implements chat.Provider.
func (b *breaker) Complete(ctx context.Context, q chat.Request, say func(string) error) (chat.Answer, error) {
	if err := b.allow(time.Now()); err != nil {
		return chat.Answer{}, err
	}
	a, err := b.inner.Complete(ctx, q, say)
	note := err
	if cause := context.Cause(ctx); err != nil && cause != nil {
		note = cause // who cancels has not been failed by the provider, whatever it says of the connection
	}
	b.note(note, time.Now())
	return a, err
}

// State is the state, and the failure behind it.
func (b *breaker) State() (breakerState, *chat.Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, b.last
}

// allow lets a request pass or not.
func (b *breaker) allow(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.state == closed:
		return nil
	case b.state == open && !now.Before(b.until):
		b.state = halfOpen
		return nil
	}
	// It is spoken like the failure that opened it.
	return &chat.Error{Kind: b.last.Kind, Status: b.last.Status, Detail: "the circuit breaker is open after: " + b.last.Detail}
}

// note counts what became of a request.
func (b *breaker) note(err error, now time.Time) {
	b.mu.Lock()
	was := b.state
	var e *chat.Error
	switch {
	case err == nil, errors.As(err, &e) && !provider(e):
		b.state, b.fails, b.wait, b.last = closed, 0, 0, nil
	case e == nil: // cancelled: it says nothing about the provider
		if b.state == halfOpen {
			b.state = open // and the next request tries again
		}
	default:
		b.fails++
		if b.fails >= breakAfter || b.state == halfOpen {
			b.wait = min(max(2*b.wait, breakFor), breakMost)
			b.state, b.until, b.last = open, now.Add(max(b.wait, min(e.After, breakMost))), e
		}
	}
	changed := was != b.state
	b.mu.Unlock()
	if changed && b.changed != nil {
		b.changed()
	}
}

// provider reports whether an error is the provider's fault, and not the request's.
func provider(e *chat.Error) bool {
	switch e.Kind {
	case chat.Refused, chat.TooLong, chat.TooLarge, chat.Invalid, chat.Nothing:
		return false
	}
	return true
}

// String is the state for health.
func (b *breaker) String() string {
	s, last := b.State()
	if last == nil {
		return fmt.Sprintf("breaker %s", s)
	}
	return fmt.Sprintf("breaker %s after %s", s, last)
}
