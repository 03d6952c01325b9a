package client_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/internal/cutproxy"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// Close works off what is queued, and cancels what takes too long.
func TestCloseDrains(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	pub := memory(t, b, "pub")
	for _, patient := range []bool{true, false} {
		c := memory(t, b, "x", func(o *client.Options) {
			if !patient {
				o.Drain = 20 * time.Millisecond
			}
		})
		entered, handled := make(chan struct{}, 10), make(chan error, 10)
		release := make(chan struct{})
		_, err := client.Subscribe(c, contract.STTFinal, func(ctx context.Context, _ client.Message[contract.FinalTranscript]) error {
			entered <- struct{}{}
			if patient {
				<-release
			} else {
				<-ctx.Done()
			}
			handled <- ctx.Err()
			return ctx.Err()
		})
		require.NoError(t, err)
		require.NoError(t, c.Ready(within(t)))
		for range 3 {
			_, err := client.Publish(within(t), pub, contract.STTFinal, contract.FinalTranscript{Text: "x"})
			require.NoError(t, err)
		}
		next(t, entered)
		require.Eventually(t, func() bool { return c.Stats().Subscriptions[0].Queued == 2 }, wait, time.Millisecond)
		var wg sync.WaitGroup
		wg.Go(func() { assert.NoError(t, c.Close(within(t))) })
		close(release)
		wg.Wait()
		if patient {
			assert.Len(t, handled, 3)
			require.NoError(t, next(t, handled))
		} else {
			assert.Len(t, handled, 1)
			require.ErrorIs(t, next(t, handled), context.Canceled)
		}
	}
}

// A handler that waits for an answer when Close is called gets it.
func TestCloseLetsAnswersCome(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c, server := memory(t, b, "x"), memory(t, b, "memory")
	asked, release, got := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	_, err := client.Subscribe(server, contract.MemoryQuery, func(ctx context.Context, m client.Message[contract.Query]) error {
		close(asked)
		<-release
		_, err := client.Reply(ctx, server, m, contract.MemoryResults, contract.QueryResults{})
		return err
	})
	require.NoError(t, err)
	_, err = client.Subscribe(c, contract.STTFinal, func(ctx context.Context, _ client.Message[contract.FinalTranscript]) error {
		_, err := client.Request(ctx, c, contract.MemoryQuery, contract.MemoryResults, contract.Query{})
		got <- err
		return err
	})
	require.NoError(t, err)
	require.NoError(t, server.Ready(within(t)))
	require.NoError(t, c.Ready(within(t)))
	_, err = client.Publish(within(t), server, contract.STTFinal, contract.FinalTranscript{Text: "x"})
	require.NoError(t, err)
	next(t, asked)
	closed := make(chan error, 1)
	go func() { closed <- c.Close(within(t)) }()
	require.Eventually(t, func() bool { // it has begun
		_, err := c.SubscribeRaw("x", 0, func(context.Context, client.RawMessage) error { return nil })
		return errors.Is(err, client.ErrClosed)
	}, wait, time.Millisecond)
	close(release)
	require.NoError(t, next(t, got))
	require.NoError(t, next(t, closed))
}

func TestSubscriptionClose(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := memory(t, b, "x")
	got := make(chan string, 10)
	var sub *client.Subscription
	set := make(chan struct{})
	sub, err := client.Subscribe(c, contract.STTFinal, func(ctx context.Context, m client.Message[contract.FinalTranscript]) error {
		<-set
		got <- m.Data.Text
		return sub.Close(ctx) // by its own handler
	})
	require.NoError(t, err)
	close(set)
	again := collect(t, c, contract.STTFinal)
	require.NoError(t, c.Ready(within(t)))
	say := func(s string) {
		_, err := client.Publish(within(t), c, contract.STTFinal, contract.FinalTranscript{Text: s})
		require.NoError(t, err)
		assert.Equal(t, s, next(t, again).Data.Text)
	}
	say("one")
	assert.Equal(t, "one", next(t, got))
	require.Eventually(t, func() bool { return len(c.Stats().Subscriptions) == 1 }, wait, time.Millisecond)
	say("two")
	assert.Empty(t, got)
	require.NoError(t, sub.Close(within(t)))
}

// After Reset a client is as new, and says ready although there was an error.
func TestReset(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c, watcher := memory(t, b, "x"), memory(t, b, "watcher")
	seen := collect(t, watcher, contract.Health.At("x"))
	require.NoError(t, watcher.Ready(within(t)))
	old := collect(t, c, contract.STTFinal)
	require.NoError(t, c.Ready(within(t)))
	ask := func() {
		t.Helper()
		_, err := client.Subscribe(c, contract.MemoryQuery, func(ctx context.Context, m client.Message[contract.Query]) error {
			_, err := client.Reply(ctx, c, m, contract.MemoryResults, contract.QueryResults{})
			return err
		})
		require.NoError(t, err)
		_, err = client.Request(within(t), c, contract.MemoryQuery, contract.MemoryResults, contract.Query{})
		require.NoError(t, err)
	}
	ask()
	require.NoError(t, c.Health(within(t), false, "restarting", errors.New("it broke")))
	entered := make(chan struct{})
	_, err := client.Subscribe(c, contract.TTSSay, func(ctx context.Context, _ client.Message[contract.Say]) error {
		close(entered)
		<-ctx.Done() // at Reset
		return ctx.Err()
	})
	require.NoError(t, err)
	require.NoError(t, c.Ready(within(t))) // and says nothing: the error stays
	_, err = client.Publish(within(t), c, contract.TTSSay, contract.Say{Text: "x"})
	require.NoError(t, err)
	next(t, entered)
	require.NoError(t, c.Reset(within(t)))
	now := collect(t, c, contract.STTFinal)
	require.NoError(t, c.Ready(within(t)))
	_, err = client.Publish(within(t), c, contract.STTFinal, contract.FinalTranscript{Text: "x"})
	require.NoError(t, err)
	next(t, now)
	assert.Empty(t, old)
	ask() // with a subscription to the answers of its own
	for _, want := range []string{"ready", "restarting", "ready"} {
		_, what := event(t, seen)
		assert.Equal(t, want, what)
	}
}

// Nothing stays behind.
func TestNothingLeaks(t *testing.T) { //nolint:paralleltest // it counts goroutines
	b := brokertest.Start(t)
	p := cutproxy.Start(t, cutproxy.TCP(b.TCP))
	mine := func() int {
		buf := make([]byte, 4<<20)
		return strings.Count(string(buf[:runtime.Stack(buf, true)]), "services/client.(*") + strings.Count(string(buf), "paho.golang")
	}
	before := mine()
	for range 5 {
		c, err := client.Connect(t.Context(), client.Options{URL: "tcp://" + p.Addr(), ID: "tars-x", BackoffMin: time.Millisecond, BackoffMax: time.Millisecond})
		require.NoError(t, err)
		collect(t, c, contract.STTFinal, client.Workers(3))
		require.NoError(t, c.Ready(within(t)))
		p.Cut()
		require.NoError(t, c.Await(within(t)))
		require.NoError(t, c.Close(within(t)))
	}
	require.Eventually(t, func() bool { return mine() <= before }, wait, 10*time.Millisecond)
}
