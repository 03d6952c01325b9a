package crash

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// The attacks of TestHostile that speak proper MQTT and want too much.

// deepTopics: topics and filters of thousands of levels and of the greatest length.
func deepTopics(h *hostile) {
	end := time.Now().Add(2 * time.Second)
	refused := 0
	for i := 0; time.Now().Before(end); i++ {
		topic := strings.Repeat("a/", 1+i%32767)
		if i%2 == 0 {
			topic = strings.Repeat("a/", 10000)
		}
		p := batch{
			id: "deep", version: byte(4 + i%2), qos: 1, retain: i%3 == 0, topic: func(int) string { return topic }, n: 1, size: 10, window: 1, patience: 5 * time.Second,
		}
		if _, err := p.publish(h.t.Context(), h.b.addr); err != nil {
			require.NotErrorIs(h.t, err, os.ErrDeadlineExceeded, "a topic of %d levels gets no answer", len(topic)/2)
			refused++
		}
		c := h.must(rawmqtt.ConnectOptions{ID: "deep", Version: rawmqtt.V5, Clean: true})
		filter := strings.Repeat("+/", 10000) + "#"
		c.Send(func(b []byte) []byte { return rawmqtt.AppendSubscribe(b, rawmqtt.V5, 1, 0, filter) })
		require.NoError(h.t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
		f, err := c.Next()
		require.NotErrorIs(h.t, err, os.ErrDeadlineExceeded, "a filter of 10,000 levels gets no answer")
		if err == nil && f.Type == rawmqtt.Suback && !mosquitto() {
			_, codes, err := f.Codes(rawmqtt.V5)
			require.NoError(h.t, err)
			assert.GreaterOrEqual(h.t, codes[0], byte(0x80), "a filter of 10,000 levels")
		}
		c.Close()
	}
	if !mosquitto() {
		assert.Positive(h.t, refused, "topics of 10,000 levels")
	}
}

// manyTopics: a message on each of very many topics, and far more retained ones than are allowed.
func manyTopics(h *hostile) {
	t := h.t
	c := h.must(rawmqtt.ConnectOptions{ID: "many", Version: rawmqtt.V5, Clean: true})
	for i := range 300000 {
		n := c.Queue(func(b []byte) []byte {
			return rawmqtt.AppendPublish(b, rawmqtt.V5, rawmqtt.Message{Topic: fmt.Appendf(nil, "bomb/%d/%d", i, i*7919), Payload: []byte("x")})
		})
		if n > mib {
			drainTo(t.Context().Done(), c)
		}
	}
	c.Send(func(b []byte) []byte { return rawmqtt.AppendEmpty(b, rawmqtt.Pingreq) })
	require.NoError(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
	f, err := c.Next()
	require.NoError(t, err)
	require.Equal(t, rawmqtt.Pingresp, f.Type)

	acked, err := batch{
		id: "retained", version: rawmqtt.V5, qos: 1, retain: true, topic: func(i int) string { return fmt.Sprintf("keep/%d", i) }, n: 60000, size: 100, window: 500, patience: 10 * time.Second,
	}.publish(t.Context(), h.b.addr)
	if mosquitto() {
		return
	}
	assert.ErrorIs(t, err, errCode(0x97), "more retained messages than limits.retained_messages")
	assert.InDelta(t, 20000, len(acked), 1000, "limits.retained_messages")
}

// drainTo flushes and waits until the writer has taken what is queued.
func drainTo(stop <-chan struct{}, c *rawmqtt.Conn) {
	c.Flush()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for c.Queue(func(b []byte) []byte { return b }) > 0 {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// manySubscriptions: clients that subscribe to thousands of wildcards each, and
// messages that match many of them.
func manySubscriptions(h *hostile) {
	t := h.t
	var refused atomic.Int64
	each(10, func(i int) {
		c, err := h.connect(rawmqtt.ConnectOptions{ID: fmt.Sprintf("subs%d", i), Version: rawmqtt.V5, Clean: true})
		if err != nil {
			return
		}
		for k := range 50 {
			filters := make([]string, 100)
			for j := range filters {
				filters[j] = fmt.Sprintf("+/+/%d/%d/+/#", k, j)
			}
			c.Send(func(b []byte) []byte { return rawmqtt.AppendSubscribe(b, rawmqtt.V5, uint16(k+1), 0, filters...) })
			if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				return
			}
			f, err := c.Next()
			if err != nil {
				return // thrown out is fine
			}
			if _, codes, err := f.Codes(rawmqtt.V5); err == nil && len(codes) > 0 && codes[len(codes)-1] >= 0x80 {
				refused.Add(1)
			}
		}
	})
	if !mosquitto() {
		assert.Positive(t, refused.Load(), "5,000 subscriptions of a client, allowed are 1,000")
	}
}

// idTheft: clients that fight for the same ids, with sessions that hold something.
func idTheft(h *hostile) {
	var wins, losses, slow atomic.Int64
	end := time.Now().Add(3 * time.Second)
	each(8, func(i int) {
		for n := 0; time.Now().Before(end); n++ {
			t0 := time.Now()
			c, err := h.connect(rawmqtt.ConnectOptions{
				ID: fmt.Sprintf("victim%d", i%2), Version: byte(4 + n%2), Clean: n%5 == 0, WillTopic: "stolen", WillPayload: []byte("x"),
			})
			if time.Since(t0) > 2*time.Second {
				slow.Add(1)
			}
			if err != nil { // somebody else took it meanwhile
				losses.Add(1)
				continue
			}
			wins.Add(1)
			c.Send(func(b []byte) []byte { return rawmqtt.AppendSubscribe(b, c.Version, 1, 1, "victim/#", "stolen") })
			if n%3 == 0 {
				c.Close()
			} // else the socket stays open and nobody reads it
		}
	})
	h.t.Logf("%d takeovers, and %d clients that lost the id before their CONNACK", wins.Load(), losses.Load())
	assert.Zero(h.t, slow.Load(), "takeovers that waited for the old connection")
	assert.Positive(h.t, wins.Load())
}

// stuckReaders: subscribers that never read, and a flood for them. The flood's publisher
// must not wait for them.
func stuckReaders(h *hostile) {
	t := h.t
	const n, messages, size = 20, 2000, 64 << 10
	for i := range n {
		c := h.must(rawmqtt.ConnectOptions{ID: fmt.Sprintf("stuck%d", i), Version: byte(4 + i%2), Clean: i%4 < 2, Expiry: uint32(600 * (i % 4 / 2))})
		c.Send(func(b []byte) []byte { return rawmqtt.AppendSubscribe(b, c.Version, 1, 1, "flood/#") })
		require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		f, err := c.Next()
		require.NoError(t, err)
		require.Equal(t, rawmqtt.Suback, f.Type)
	}
	var wg sync.WaitGroup
	wg.Go(func() { // QoS 1: queues fill up and refuse; either way there is an answer to each
		for i := range 200 {
			_, err := batch{
				id: "flood1", version: rawmqtt.V5, qos: 1, topic: func(int) string { return "flood/1" }, first: i * 100, n: 100, size: 4000, window: 50, patience: 10 * time.Second,
			}.publish(t.Context(), h.b.addr)
			if err != nil && !errors.Is(err, errCode(0x97)) {
				assert.NoError(t, err, "QoS 1 flood")
				return
			}
		}
	})
	c := h.must(rawmqtt.ConnectOptions{ID: "flood0", Clean: true})
	t0 := time.Now()
	for range messages {
		if c.Queue(func(b []byte) []byte {
			return rawmqtt.AppendPublish(b, rawmqtt.V311, rawmqtt.Message{Topic: []byte("flood/0"), Payload: make([]byte, size)})
		}) > mib {
			drainTo(t.Context().Done(), c)
		}
	}
	c.Send(func(b []byte) []byte { return rawmqtt.AppendEmpty(b, rawmqtt.Pingreq) })
	require.NoError(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
	f, err := c.Next()
	require.NoError(t, err)
	require.Equal(t, rawmqtt.Pingresp, f.Type)
	t.Logf("%d MiB for %d subscribers that do not read were taken in %v", messages*size/mib, n, time.Since(t0).Round(time.Millisecond))
	wg.Wait()
}
