// Package servicetest runs a broker with clients and supervised services for the tests of
// services, and records what is published.
package servicetest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// within is how long the helpers wait for something that should be quick.
const within = 10 * time.Second

// Bus is a broker on loopback. If the test fails, its log is printed.
type Bus struct {
	Broker *brokertest.Broker
	log    zerolog.Logger
}

// Start runs a broker until the test ends.
func Start(t testing.TB, opts ...brokertest.Option) *Bus {
	t.Helper()
	return &Bus{Broker: brokertest.Start(t, opts...), log: zerolog.New(zerolog.NewTestWriter(t))}
}

// Options are those of the client of a service called name, in this process.
func (b *Bus) Options(name string) client.Options {
	return client.Options{Dial: b.dial, ID: "tars-" + name, Name: name, Log: b.log}
}

func (b *Bus) dial(ctx context.Context) (net.Conn, error) { return b.Broker.DialMemory(ctx) }

// Client connects as the service called name, and closes at the test's end.
func (b *Bus) Client(t testing.TB, name string) *client.Client {
	t.Helper()
	return Connect(t, b.Options(name))
}

// Connect connects a client with any options, waits until it is connected, and closes it at the
// test's end.
func Connect(t testing.TB, o client.Options) *client.Client {
	t.Helper()
	c, err := client.Connect(context.Background(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Logf("close %s: %v", o.ID, err) // such as: the broker went first
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	require.NoError(t, c.Await(ctx), "connect %s", o.ID)
	return c
}

// Run supervises a service until the test ends, and waits until it is ready. The supervisor is for
// tests that look at it, or stop it early.
func (b *Bus) Run(t testing.TB, s services.Service) *services.Supervisor {
	t.Helper()
	return Supervise(t, s, func(string) client.Options { return b.Options(s.Name()) })
}

// Supervise is Run with any options of the client.
func Supervise(t testing.TB, s services.Service, options func(name string) client.Options) *services.Supervisor {
	t.Helper()
	ready := make(chan struct{}, 1)
	sup, err := services.New(services.Options{
		Services: []services.Service{s},
		Connect: func(name string, _ zerolog.Logger) (*client.Client, error) {
			return client.Connect(context.Background(), options(name))
		},
		Changed: func(s services.Status) {
			if s.State == services.Ready {
				select {
				case ready <- struct{}{}:
				default: // once is enough
				}
			}
		},
		Log: zerolog.New(zerolog.NewTestWriter(t)),
	})
	require.NoError(t, err)
	require.NoError(t, sup.Start())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err := sup.Stop(ctx); err != nil {
			t.Errorf("stop %s: %v", s.Name(), err)
		}
	})
	select {
	case <-ready:
	case <-time.After(within):
		require.FailNow(t, "service is not ready", "%+v", sup.Status())
	}
	return sup
}

// Collector has what was published on a topic since it was made.
type Collector[T any] struct {
	topic string
	got   chan client.Message[T]
}

// Collect subscribes c to a topic, waits until the broker has the subscription, and keeps what
// comes, retained messages too.
func Collect[T any](t testing.TB, c *client.Client, topic contract.Topic[T]) *Collector[T] {
	t.Helper()
	col := &Collector[T]{topic: topic.Name, got: make(chan client.Message[T], 100_000)}
	_, err := client.Subscribe(c, topic, func(_ context.Context, m client.Message[T]) error {
		col.got <- m
		return nil
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	require.NoError(t, c.Ready(ctx), "subscribe to %s", topic.Name)
	return col
}

// Next waits for the next message; the test fails if none comes.
func (c *Collector[T]) Next(t testing.TB) client.Message[T] {
	t.Helper()
	return c.Find(t, func(client.Message[T]) bool { return true })
}

// Find waits for the next message that ok accepts, and drops those before it.
func (c *Collector[T]) Find(t testing.TB, ok func(client.Message[T]) bool) client.Message[T] {
	t.Helper()
	timeout := time.After(within)
	for n := 0; ; n++ {
		select {
		case m := <-c.got:
			if ok(m) {
				return m
			}
		case <-timeout:
			require.FailNow(t, "no message", "%s: none that is wanted among %d", c.topic, n)
		}
	}
}

// Len is how many messages wait for Next.
func (c *Collector[T]) Len() int { return len(c.got) }
