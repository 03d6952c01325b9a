package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What we write is what others read.
func TestPublishIsReadByPaho(t *testing.T) {
	t.Parallel()
	p := publication{
		topic: "a/b", payload: bytes.Repeat([]byte("x"), 300), qos: 2, retain: true, props: []UserProperty{{"k", "v"}, {"k", ""}},
		contentType: "text/plain", response: "r", correlation: []byte{0, 1},
	}
	b := p.appendTo(nil, 0x1234, 2, true, 1500*time.Millisecond)
	assert.LessOrEqual(t, len(b), p.wireSize())
	cp, err := packets.ReadPacket(bytes.NewReader(b))
	require.NoError(t, err)
	got := cp.Content.(*packets.Publish)
	assert.Equal(t, "a/b", got.Topic)
	assert.Equal(t, p.payload, got.Payload)
	assert.Equal(t, uint16(0x1234), got.PacketID)
	assert.Equal(t, byte(2), got.QoS)
	assert.True(t, got.Retain)
	assert.True(t, got.Duplicate)
	assert.Equal(t, uint32(2), *got.Properties.MessageExpiry)
	assert.Equal(t, []packets.User{{Key: "k", Value: "v"}, {Key: "k"}}, got.Properties.User)
	assert.Equal(t, "text/plain", got.Properties.ContentType)
	assert.Equal(t, "r", got.Properties.ResponseTopic)
	assert.Equal(t, []byte{0, 1}, got.Properties.CorrelationData)
}

func TestPublishChecks(t *testing.T) {
	t.Parallel()
	for _, p := range []publication{
		{topic: ""}, {topic: "a/+"}, {topic: "a\x00"}, {topic: "\xff"}, {topic: "a", qos: 3}, {topic: strings.Repeat("a", 70000)},
		{topic: "a", response: "#"}, {topic: "a", props: []UserProperty{{"k", "\xff"}}}, {topic: "a", correlation: make([]byte, 70000)},
	} {
		require.Error(t, p.check())
	}
	for filter, ok := range map[string]bool{"": false, "a": true, "#": true, "a/#": true, "a/#/b": false, "a#": false, "+/b/+": true, "a+/b": false, "$share/g/a": true} {
		assert.Equal(t, ok, validFilter(filter), filter)
	}
}

// bytesConn is a connection from which bytes come, and into which any go.
type bytesConn struct {
	net.Conn
	r io.Reader
}

func (c bytesConn) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c bytesConn) Write(p []byte) (int, error) { return len(p), nil }
func (c bytesConn) Close() error                { return nil }

// FuzzInbound reads any bytes as paho does, with subscriptions that match everything.
func FuzzInbound(f *testing.F) {
	connack := []byte{0x20, 3, 0, 0, 0}
	for _, p := range []publication{{topic: "tts/say", payload: []byte(`{"text":"x"}`), qos: 1, props: []UserProperty{{"turn", "t"}}}, {topic: "a", qos: 2, response: "r"}} {
		f.Add(p.appendTo(connack, 7, p.qos, true, time.Second))
	}
	f.Add(append(connack, 0x40, 2, 0, 1, 0x50, 4, 0, 1, 0x80, 0, 0x62, 2, 0, 1, 0xe0, 0))
	f.Add(append(connack, 0x90, 6, 0xea, 0x61, 3, 11, 1, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := fuzzClient(t)
		l := newLink(c, bytesConn{r: bytes.NewReader(b)})
		for {
			p, err := packets.ReadPacket(l)
			if err != nil {
				break
			}
			if p.Type == packets.PUBLISH {
				t.Fatal("a message got past the link")
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		for _, s := range c.subs {
			s.stop(true)
			s.workers.Wait()
		}
		c.cancel()
	})
}

// fuzzClient is a client without a connection.
func fuzzClient(t *testing.T) *Client {
	t.Helper()
	f := newFake(t)
	f.down = true
	o := Options{Dial: f.dial, ID: "x", Log: zerolog.Nop(), MaxPacket: 1 << 20}
	if _, err := o.complete(); err != nil {
		t.Fatal(err)
	}
	c := bare(t.Context(), o)
	for _, filter := range []string{"#", "+/say", "a"} {
		if _, err := c.SubscribeRaw(filter, 2, func(context.Context, RawMessage) error { return errors.New("no") }, Queue(1, Hold)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// bare is a client that does not even try to connect.
func bare(ctx context.Context, o Options) *Client {
	c := &Client{opts: o, out: newOutbox(&o), kick: make(chan struct{}, 1), changed: make(chan struct{}), byID: map[uint32]*wire{}}
	c.received.ids = map[uint16]bool{}
	c.life, c.cancel = context.WithCancel(ctx)
	c.runs = c.life
	return c
}

// TestTurnFrom: what a turn is made of can be sent on.
func TestTurnFrom(t *testing.T) {
	t.Parallel()
	assert.Equal(t, Turn{"a", "page", "00-1"}, turnFrom([]UserProperty{{"turn", "a"}, {"x", "y"}, {"origin", "page"}, {"traceparent", "00-1"}}))
	for _, bad := range []string{"\xff", "a\x00", strings.Repeat("a", maxTurnProp+1)} {
		assert.Zero(t, turnFrom([]UserProperty{{"turn", bad}, {"origin", bad}, {"traceparent", bad}}), "%.9q", bad)
	}
}
