package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// wait is the longest that anything may take.
const wait = 20 * time.Second

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	t.Cleanup(cancel)
	return ctx
}

// memory is a client of b over the in-memory listener.
func memory(t testing.TB, b *brokertest.Broker, name string, change ...func(*client.Options)) *client.Client {
	t.Helper()
	o := client.Options{Dial: b.DialMemory}
	return connect(t, o, name, change...)
}

// tcp is a client of b over TCP.
func tcp(t testing.TB, b *brokertest.Broker, name string, change ...func(*client.Options)) *client.Client {
	t.Helper()
	return connect(t, client.Options{URL: "tcp://" + b.TCP()}, name, change...)
}

func connect(t testing.TB, o client.Options, name string, change ...func(*client.Options)) *client.Client {
	t.Helper()
	o.ID, o.Log = "tars-"+name, zerolog.New(zerolog.NewTestWriter(t))
	o.BackoffMin, o.BackoffMax = 10*time.Millisecond, 50*time.Millisecond
	for _, f := range change {
		f(&o)
	}
	c, err := client.Connect(within(t), o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close(within(t))) })
	return c
}

// collect subscribes and hands on what comes.
func collect[T any](t testing.TB, c *client.Client, topic contract.Topic[T], opts ...client.SubscribeOption) <-chan client.Message[T] {
	t.Helper()
	ch := make(chan client.Message[T], 10000)
	_, err := client.Subscribe(c, topic, func(_ context.Context, m client.Message[T]) error {
		ch <- m
		return nil
	}, opts...)
	require.NoError(t, err)
	return ch
}

func next[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(wait):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

func TestPublishSubscribe(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	urls := map[string]func(*client.Options){
		"memory": func(o *client.Options) { o.Dial = b.DialMemory },
		"tcp":    func(o *client.Options) { o.URL = "mqtt://" + b.TCP() },
		"ws":     func(o *client.Options) { o.URL = b.WebSocket() },
	}
	for name, f := range urls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connect(t, client.Options{}, name, f)
			got := collect(t, c, contract.STTFinal)
			require.NoError(t, c.Ready(within(t)))
			r, err := client.Publish(within(t), c, contract.STTFinal, contract.FinalTranscript{Text: "hello " + name})
			require.NoError(t, err)
			assert.False(t, r.Queued)
			for {
				m := next(t, got)
				if m.Source != name {
					continue // of another transport
				}
				assert.Equal(t, r.ID, m.ID)
				assert.Equal(t, "stt.final", m.Type)
				assert.Equal(t, "stt/final", m.Topic)
				assert.Equal(t, "hello "+name, m.Data.Text)
				assert.InDelta(t, time.Now().Unix(), m.TS, 20)
				assert.Len(t, m.Data.MessageID, 32)
				assert.NotEqual(t, m.ID, m.Data.MessageID)
				assert.NotZero(t, m.Data.TS)
				break
			}
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	server, asker := memory(t, b, "memory"), memory(t, b, "llm")
	_, err := client.Subscribe(server, contract.MemoryQuery, func(ctx context.Context, m client.Message[contract.Query]) error {
		if m.Data.Text == "silence" {
			return errors.New("no answer to that")
		}
		_, err := client.Reply(ctx, server, m, contract.MemoryResults, contract.QueryResults{Query: m.Data.Text})
		return err
	})
	require.NoError(t, err)
	require.NoError(t, server.Ready(within(t)))
	m, err := client.Request(within(t), asker, contract.MemoryQuery, contract.MemoryResults, contract.Query{Text: "who"})
	require.NoError(t, err)
	assert.Equal(t, "who", m.Data.Query)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = client.Request(ctx, asker, contract.MemoryQuery, contract.MemoryResults, contract.Query{Text: "silence"})
	require.ErrorIs(t, err, client.ErrNoReply)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
