package brokertest_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/internal/wire"
)

// BenchmarkRoundTrip measures publish to own subscription and back, 128 bytes, in one process:
// what it costs a service to be an ordinary client, over the in-memory listener and over TCP.
func BenchmarkRoundTrip(b *testing.B) {
	broker := brokertest.Start(b)
	for _, transport := range []string{"memory", "tcp"} {
		b.Run("raw/"+transport, func(b *testing.B) { rawRoundTrip(b, broker.Dial(b, transport)) })
		b.Run("autopaho/qos0/"+transport, func(b *testing.B) { pahoRoundTrip(b, broker, transport, 0) })
		b.Run("autopaho/qos1/"+transport, func(b *testing.B) { pahoRoundTrip(b, broker, transport, 1) })
	}
}

func rawRoundTrip(b *testing.B, c net.Conn) {
	connect := append([]byte{0x10, 16, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 4}, "rawc"...)
	exchange(b, c, connect, 4)
	exchange(b, c, []byte{0x82, 6, 0, 1, 0, 1, 'r', 0}, 5)
	out := wire.OutPublish{Version: wire.V311, Topic: "r", Payload: make([]byte, 128)}
	total, rem, props := out.Size()
	frame := out.Append(make([]byte, 0, total), rem, props, true)
	got := make([]byte, total)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(frame); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, got); err != nil {
			b.Fatal(err)
		}
	}
	_, _ = c.Write([]byte{0xe0, 0})
}

func exchange(b *testing.B, c net.Conn, request []byte, answer int) {
	b.Helper()
	_, err := c.Write(request)
	require.NoError(b, err)
	_, err = io.ReadFull(c, make([]byte, answer))
	require.NoError(b, err)
}

func pahoRoundTrip(b *testing.B, broker *brokertest.Broker, transport string, qos byte) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	got := make(chan struct{}, 1)
	server, err := url.Parse("mqtt://127.0.0.1:1883")
	require.NoError(b, err)
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{server},
		KeepAlive:  60,
		AttemptConnection: func(context.Context, autopaho.ClientConfig, *url.URL) (net.Conn, error) {
			return broker.Dial(b, transport), nil
		},
		ClientConfig: paho.ClientConfig{
			ClientID: "auto",
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){
				func(paho.PublishReceived) (bool, error) { got <- struct{}{}; return true, nil },
			},
		},
	})
	require.NoError(b, err)
	require.NoError(b, cm.AwaitConnection(ctx))
	_, err = cm.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "auto/r", QoS: qos}}})
	require.NoError(b, err)
	p := &paho.Publish{Topic: "auto/r", QoS: qos, Payload: make([]byte, 128)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cm.Publish(ctx, p); err != nil {
			b.Fatal(err)
		}
		<-got
	}
	require.NoError(b, cm.Disconnect(ctx))
	<-cm.Done()
}
