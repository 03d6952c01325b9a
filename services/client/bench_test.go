package client_test

import (
	"context"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

func quiet(o *client.Options) { o.Log = zerolog.Nop() }

// over runs a benchmark with a client over each transport.
func over(b *testing.B, f func(b *testing.B, c *client.Client)) {
	for _, name := range []string{"memory", "tcp"} {
		b.Run(name, func(b *testing.B) {
			broker := brokertest.Start(b)
			dial := memory
			if name == "tcp" {
				dial = tcp
			}
			c := dial(b, broker, "bench", quiet)
			require.NoError(b, c.Ready(within(b)))
			b.ReportAllocs()
			f(b, c)
		})
	}
}

var words = contract.FinalTranscript{Text: "what is the weather like on the way to the station"} //nolint:gochecknoglobals // a constant

// BenchmarkPublish publishes a transcript, typed, QoS 1, and waits for the acknowledgement. The
// broker's allocations count too.
func BenchmarkPublish(b *testing.B) {
	over(b, func(b *testing.B, c *client.Client) {
		ctx := context.Background()
		for b.Loop() {
			if _, err := client.Publish(ctx, c, contract.STTFinal, words); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPublishParallel does so with many at once.
func BenchmarkPublishParallel(b *testing.B) {
	over(b, func(b *testing.B, c *client.Client) {
		b.SetParallelism(50)
		b.RunParallel(func(pb *testing.PB) {
			ctx := context.Background()
			for pb.Next() {
				if _, err := client.Publish(ctx, c, contract.STTFinal, words); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkRoundTrip publishes QoS 0 bytes and waits until the handler has them.
func BenchmarkRoundTrip(b *testing.B) {
	over(b, func(b *testing.B, c *client.Client) {
		got := make(chan struct{}, 1)
		_, err := c.SubscribeRaw("bench", 0, func(context.Context, client.RawMessage) error {
			got <- struct{}{}
			return nil
		})
		require.NoError(b, err)
		require.NoError(b, c.Ready(within(b)))
		ctx := context.Background()
		payload := make([]byte, 128)
		for b.Loop() {
			if _, err := c.PublishRaw(ctx, "bench", payload, 0, false); err != nil {
				b.Fatal(err)
			}
			<-got
		}
	})
}

// BenchmarkTypedRoundTrip does so with a transcript and QoS 1: envelope, validation, dedup and
// acknowledgements both ways.
func BenchmarkTypedRoundTrip(b *testing.B) {
	over(b, func(b *testing.B, c *client.Client) {
		got := make(chan struct{}, 1)
		_, err := client.Subscribe(c, contract.STTFinal, func(context.Context, client.Message[contract.FinalTranscript]) error {
			got <- struct{}{}
			return nil
		})
		require.NoError(b, err)
		require.NoError(b, c.Ready(within(b)))
		ctx := context.Background()
		for b.Loop() {
			if _, err := client.Publish(ctx, c, contract.STTFinal, words); err != nil {
				b.Fatal(err)
			}
			<-got
		}
	})
}

// BenchmarkRequest asks and is answered, all by one client.
func BenchmarkRequest(b *testing.B) {
	over(b, func(b *testing.B, c *client.Client) {
		_, err := client.Subscribe(c, contract.MemoryQuery, func(ctx context.Context, m client.Message[contract.Query]) error {
			_, err := client.Reply(ctx, c, m, contract.MemoryResults, contract.QueryResults{Query: m.Data.Text, K: 1})
			return err
		})
		require.NoError(b, err)
		require.NoError(b, c.Ready(within(b)))
		ctx := context.Background()
		for b.Loop() {
			if _, err := client.Request(ctx, c, contract.MemoryQuery, contract.MemoryResults, contract.Query{Text: "who"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
