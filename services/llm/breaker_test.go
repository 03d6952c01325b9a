package llm

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/llm/chat"
)

// stub is a provider that does what it is told.
type stub func(context.Context, chat.Request, func(string) error) (chat.Answer, error)

func (stub) Name() string { return "stub" }

func (s stub) Complete(ctx context.Context, q chat.Request, say func(string) error) (chat.Answer, error) {
	return s(ctx, q, say)
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fail error
		asked, changes := 0, 0
		b := newBreaker(stub(func(context.Context, chat.Request, func(string) error) (chat.Answer, error) {
			asked++
			return chat.Answer{}, fail
		}), func() { changes++ })
		ask := func() error {
			_, err := b.Complete(t.Context(), chat.Request{}, nil)
			return err
		}
		state := func() breakerState { s, _ := b.State(); return s }

		fail = chat.Errorf(chat.Refused, "no")
		for range 10 {
			require.ErrorIs(t, ask(), fail)
		}
		assert.Equal(t, closed, state(), "the request's own fault does not open it")

		down := chat.Errorf(chat.Unreachable, "down")
		fail = down
		require.Error(t, ask())
		require.Error(t, ask())
		fail = nil
		require.NoError(t, ask(), "a success begins the count anew")
		fail = down
		for range breakAfter {
			require.ErrorIs(t, ask(), down)
		}
		assert.Equal(t, open, state())
		assert.Equal(t, 1, changes)

		was := asked
		err := ask()
		var e *chat.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, was, asked, "nobody is asked")
		assert.Equal(t, down.Spoken(), e.Spoken(), "spoken like the failure behind it")
		assert.Contains(t, b.String(), "breaker open after unreachable: down")

		time.Sleep(breakFor)
		require.ErrorIs(t, ask(), down)
		assert.Equal(t, was+1, asked, "one try")
		time.Sleep(breakFor)
		require.Error(t, ask())
		assert.Equal(t, was+1, asked, "the wait doubles")
		time.Sleep(breakFor)
		fail = nil
		require.NoError(t, ask())
		assert.Equal(t, closed, state())
		assert.Equal(t, "breaker closed", b.String())
	})
}

func TestBreakerTriesOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		gate := make(chan error)
		b := newBreaker(stub(func(context.Context, chat.Request, func(string) error) (chat.Answer, error) {
			asked++
			return chat.Answer{}, <-gate
		}), nil)
		ask := func() { _, _ = b.Complete(t.Context(), chat.Request{}, nil) }
		for range breakAfter {
			go ask()
			gate <- &chat.Error{Kind: chat.Busy, After: 20 * time.Second}
			synctest.Wait()
		}
		time.Sleep(19 * time.Second)
		ask()
		assert.Equal(t, breakAfter, asked, "the server's own wait counts")
		time.Sleep(time.Second)
		go ask()
		synctest.Wait()
		ask()
		assert.Equal(t, breakAfter+1, asked, "the others do not wait for the try")
		gate <- errors.New("cancelled")
		synctest.Wait()
		go ask()
		synctest.Wait()
		assert.Equal(t, breakAfter+2, asked, "a cancelled try says nothing: the next one tries")
		gate <- nil
		synctest.Wait()
		s, _ := b.State()
		assert.Equal(t, closed, s)
	})
}

// TestCancelsDoNotOpenTheBreaker: a person who often interrupts has not been failed by the provider,
// although the connection that is closed under it reports an error.
func TestCancelsDoNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	b := newBreaker(stub(func(ctx context.Context, _ chat.Request, _ func(string) error) (chat.Answer, error) {
		<-ctx.Done()
		return chat.Answer{}, chat.Errorf(chat.Unreachable, "ask: %w", context.Cause(ctx))
	}), nil)
	for range 3 * breakAfter {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errCancelled)
		_, err := b.Complete(ctx, chat.Request{}, nil)
		require.Error(t, err)
	}
	state, _ := b.State()
	assert.Equal(t, closed, state)
	for range breakAfter { // a turn that took too long is its fault
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(chat.Errorf(chat.Slow, "no answer"))
		_, err := b.Complete(ctx, chat.Request{}, nil)
		require.Error(t, err)
	}
	state, _ = b.State()
	assert.Equal(t, open, state)
}
