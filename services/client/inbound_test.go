package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/contract"
)

// ackOf waits for an acknowledgement and returns its packet id.
func ackOf(t *testing.T, f *fake) uint16 {
	t.Helper()
	return get(t, f.acks).PacketID()
}

// texts reads n payloads.
func texts(t *testing.T, ch <-chan RawMessage, n int) []string {
	t.Helper()
	var s []string
	for range n {
		s = append(s, string(get(t, ch).Payload))
	}
	return s
}

// Overlapping subscriptions deliver each message once to each handler, whatever the broker does
// (the reference runs one handler only, client.md 11.3).
func TestOverlap(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T, subIDs bool) (f *fake, c *Client, wide, narrow <-chan RawMessage) {
		f = newFake(t)
		if !subIDs {
			no := byte(0)
			f.props = &packets.Properties{SubIDAvailable: &no}
		}
		c = f.start(noHealth)
		wide, narrow = raws(t, c, "a/#", 1), raws(t, c, "a/+", 1)
		require.NoError(t, c.Ready(soon(t)))
		return f, c, wide, narrow
	}
	check := func(t *testing.T, f *fake, c *Client, wide, narrow <-chan RawMessage, acks int) {
		f.send("a/b", "end", 1, 99)
		for range acks + 1 {
			get(t, f.acks)
		}
		for _, ch := range []<-chan RawMessage{wide, narrow} {
			assert.Equal(t, []string{"x", "y"}, texts(t, ch, 2))
		}
		assert.Equal(t, "end", texts(t, wide, 1)[0])
		assert.Equal(t, "end", texts(t, narrow, 1)[0])
		f.stop(c)
		assert.Empty(t, wide)
		assert.Empty(t, narrow)
	}
	t.Run("one copy with all identifiers", func(t *testing.T) {
		t.Parallel()
		f, c, wide, narrow := begin(t, true)
		for i, s := range []string{"x", "y"} {
			b := (&publication{topic: "a/b", payload: []byte(s), qos: 1}).appendTo(nil, uint16(i+1), 1, false, 0) //nolint:gosec // small
			// Several identifiers are more than paho can write: put them in by hand, one of them twice.
			b[1] += 6
			b[9] = 6
			b = append(b[:10], append([]byte{idSubID, 1, idSubID, 2, idSubID, 1}, b[10:]...)...)
			f.raw(b)
		}
		check(t, f, c, wide, narrow, 2)
	})
	t.Run("a copy for each", func(t *testing.T) {
		t.Parallel()
		f, c, wide, narrow := begin(t, true)
		for i, s := range []string{"x", "y"} {
			f.send("a/b", s, 1, uint16(2*i+1), subID(1)) //nolint:gosec // small
			f.send("a/b", s, 1, uint16(2*i+2), subID(2)) //nolint:gosec // small
		}
		check(t, f, c, wide, narrow, 4)
	})
	t.Run("no identifiers and one copy", func(t *testing.T) {
		t.Parallel()
		f, c, wide, narrow := begin(t, false)
		f.send("a/b", "x", 1, 1)
		f.send("a/b", "y", 1, 2)
		check(t, f, c, wide, narrow, 2)
	})
	t.Run("no identifiers and a copy for each", func(t *testing.T) {
		t.Parallel()
		f, c, wide, narrow := begin(t, false)
		for i, s := range []string{"x", "y"} {
			f.send("a/b", s, 1, uint16(2*i+1)) //nolint:gosec // small
			f.send("a/b", s, 1, uint16(2*i+2)) //nolint:gosec // small
		}
		check(t, f, c, wide, narrow, 4)
	})
	t.Run("the same filter twice", func(t *testing.T) {
		t.Parallel()
		f := newFake(t)
		c := f.start(noHealth)
		one, two := raws(t, c, "a/b", 0), raws(t, c, "a/b", 1)
		require.NoError(t, c.Ready(soon(t)))
		f.send("a/b", "x", 1, 1, subID(1))
		assert.Equal(t, "x", texts(t, one, 1)[0])
		assert.Equal(t, "x", texts(t, two, 1)[0])
		raws(t, c, "a/b", 0)
		require.NoError(t, c.Ready(soon(t)))
		var last *packets.Subscribe
		for len(f.subs) > 0 {
			last = <-f.subs
		}
		assert.Equal(t, byte(1), last.Subscriptions[0].QoS, "the highest counts")
		f.stop(c)
	})
}

func TestQueueBytes(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := f.start(noHealth)
	release, entered := make(chan struct{}), make(chan struct{}, 10)
	got := make(chan string, 10)
	_, err := c.SubscribeRaw("a", 0, func(_ context.Context, m RawMessage) error {
		entered <- struct{}{}
		<-release
		got <- string(m.Payload[:1])
		return nil
	}, Queue(100, DropOldest), QueueBytes(1000))
	require.NoError(t, err)
	flush := raws(t, c, "b", 0)
	require.NoError(t, c.Ready(soon(t)))
	for i, n := range []int{1, 400, 400, 400, 2000, 100, 400} { // the first is with the handler
		f.send("a", fmt.Sprint(i)+strings.Repeat("x", n), 0, 0)
		if i == 0 {
			get(t, entered)
		}
		f.send("b", "", 0, 0)
		get(t, flush)
		assert.Equal(t, []int{0, 0, 0, 1, 3, 4, 4}[i], c.Stats().Subscriptions[0].Dropped, "after %d", i)
	}
	close(release)
	for _, want := range []string{"0", "5", "6"} {
		assert.Equal(t, want, get(t, got))
	}
	f.send("a", "7"+strings.Repeat("x", 400), 0, 0)
	assert.Equal(t, "7", get(t, got), "what was taken makes room")
	f.stop(c)
}

func TestDropPolicies(t *testing.T) {
	t.Parallel()
	for policy, want := range map[Policy][]string{DropOldest: {"0", "4", "5"}, DropNewest: {"0", "1", "2"}, Hold: {"0", "1", "2"}} {
		f := newFake(t)
		c := f.start(noHealth)
		release, entered := make(chan struct{}), make(chan struct{}, 10)
		got := make(chan string, 10)
		_, err := c.SubscribeRaw("a", 0, func(_ context.Context, m RawMessage) error {
			entered <- struct{}{}
			<-release
			got <- string(m.Payload)
			return nil
		}, Queue(2, policy))
		require.NoError(t, err)
		flush := raws(t, c, "b", 0)
		require.NoError(t, c.Ready(soon(t)))
		for i := range 6 {
			f.send("a", fmt.Sprint(i), 0, 0)
			if i == 0 {
				get(t, entered)
			}
		}
		f.send("b", "", 0, 0)
		get(t, flush)
		assert.Equal(t, 3, c.Stats().Subscriptions[0].Dropped)
		close(release)
		for _, w := range want {
			assert.Equal(t, w, get(t, got), "policy %d", policy)
		}
		f.stop(c)
	}
}

// A QoS 2 message that comes again before its PUBREL is one message.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := f.start(noHealth)
	got := raws(t, c, "a", 2)
	require.NoError(t, c.Ready(soon(t)))
	f.send("a", "1", 2, 1)
	assert.Equal(t, packets.PUBREC, get(t, f.acks).Type)
	f.send("a", "1", 2, 1, dup)
	assert.Equal(t, packets.PUBREC, get(t, f.acks).Type)
	f.set(func(f *fake) { f.present = true })
	f.cut()
	require.Eventually(t, func() bool { return c.Stats().Reconnects == 1 }, 20*time.Second, time.Millisecond)
	f.send("a", "1", 2, 1, dup)
	assert.Equal(t, packets.PUBREC, get(t, f.acks).Type)
	f.raw([]byte{typePubrel<<4 | 2, 2, 0, 1})
	assert.Equal(t, packets.PUBCOMP, get(t, f.acks).Type)
	f.send("a", "2", 2, 1, dup)
	assert.Equal(t, []string{"1", "2"}, texts(t, got, 2))
	f.stop(c)
	assert.Empty(t, got)
}

// lines is a log that a test can read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A panic, an error and a message that breaks the contract cost that message and nothing else.
func TestBadHandlersAndMessages(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	log := &lines{}
	c := f.start(noHealth, func(o *Options) { o.Log = zerolog.New(log) })
	done := make(chan string, 10)
	_, err := Subscribe(c, contract.TTSSay, func(ctx context.Context, m Message[contract.Say]) error {
		defer func() { done <- m.Data.Text }()
		l := Log(ctx)
		l.Info().Msg("handling")
		switch m.Data.Text {
		case "panic":
			panic("oh no")
		case "error":
			return errors.New("cannot")
		}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, c.Ready(soon(t)))
	envelope := `{"id":"%s","type":"tts.say","ts":1,"source":"x","data":{"text":"%s"}}`
	f.send("tts/say", fmt.Sprintf(envelope, "id-1", "panic"), 1, 1)
	get(t, done)
	f.send("tts/say", `{"text":"secret words","unknown":1}`, 1, 2)
	f.send("tts/say", `not JSON`, 1, 3)
	f.send("tts/say", fmt.Sprintf(envelope, "id-2", "error"), 1, 4)
	get(t, done)
	f.send("tts/say", fmt.Sprintf(envelope, "id-3", "fine"), 1, 5)
	assert.Equal(t, "fine", get(t, done))
	for i := 1; i <= 5; i++ {
		assert.Equal(t, uint16(i), ackOf(t, f)) //nolint:gosec // small
	}
	require.Eventually(t, func() bool { return c.Stats().Subscriptions[0].Handled == 1 }, 20*time.Second, time.Millisecond)
	s := c.Stats().Subscriptions[0]
	assert.Equal(t, 5, s.Received)
	assert.Equal(t, 2, s.Failed)
	assert.Equal(t, 1, s.Panics)
	assert.Equal(t, 2, s.Invalid)
	text := log.String()
	assert.Contains(t, text, "handler panicked")
	assert.Contains(t, text, "inbound_test.go", "the stack")
	assert.Contains(t, text, `"topic":"tts/say"`)
	assert.Contains(t, text, `"id":"id-1"`)
	assert.Contains(t, text, `{"level":"info","topic":"tts/say","id":"id-3","turn":"id-3","message":"handling"}`)
	assert.NotContains(t, text, "secret words")
	assert.Less(t, strings.Count(text, "not as the contract"), 2, "one line a second")
	f.stop(c)
}

// Handlers learn the topic, not the filter (client.md 11.4), and what else there is to know.
func TestMessageFields(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := f.start(noHealth)
	got := make(chan Message[contract.HealthPing], 1)
	_, err := Subscribe(c, contract.Health, func(_ context.Context, m Message[contract.HealthPing]) error {
		got <- m
		return nil
	})
	require.NoError(t, err)
	raw := raws(t, c, "+/health/stt", 1)
	require.NoError(t, c.Ready(soon(t)))
	f.send("system/health/stt", `{"ok":true}`, 1, 1, dup, func(p *packets.Publish) {
		p.Retain = true
		p.Properties.User = []packets.User{{Key: "a", Value: "b"}}
		p.Properties.ResponseTopic, p.Properties.CorrelationData, p.Properties.ContentType = "r", []byte("c"), "t"
	})
	m := get(t, got)
	assert.Equal(t, "system/health/stt", m.Topic)
	assert.True(t, m.Retained)
	assert.True(t, m.Dup)
	assert.True(t, m.Bare)
	assert.Equal(t, byte(1), m.QoS)
	assert.Equal(t, []UserProperty{{"a", "b"}}, m.Props)
	assert.WithinDuration(t, time.Now(), m.Received, time.Minute)
	r := get(t, raw)
	assert.Equal(t, "r", r.ResponseTopic)
	assert.Equal(t, "c", string(r.Correlation))
	assert.Equal(t, "t", r.ContentType)
	f.stop(c)
}

// A repeated command is handled once; a failed one again (client.md 11.8).
func TestSubscriptionDropsRepeats(t *testing.T) {
	t.Parallel()
	require.True(t, contract.TTSSay.Dedup)
	f := newFake(t)
	c := f.start(noHealth)
	var calls atomic.Int32
	done := make(chan int32, 10)
	_, err := Subscribe(c, contract.TTSSay, func(context.Context, Message[contract.Say]) error {
		n := calls.Add(1)
		done <- n
		if n == 1 {
			return errors.New("not this time")
		}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, c.Ready(soon(t)))
	for i := range 4 {
		f.send("tts/say", `{"id":"1","type":"tts.say","ts":1,"source":"x","data":{"text":"a"}}`, 1, uint16(i+1)) //nolint:gosec // small
	}
	for i := range 2 { // bare: always new
		f.send("tts/say", `{"text":"a","message_id":"m"}`, 1, uint16(i+5)) //nolint:gosec // small
	}
	for i := range 4 {
		assert.Equal(t, int32(i+1), get(t, done)) //nolint:gosec // small
	}
	require.Eventually(t, func() bool { return c.Stats().Subscriptions[0].Handled == 3 }, 20*time.Second, time.Millisecond)
	s := c.Stats().Subscriptions[0]
	assert.Equal(t, 2, s.Duplicates)
	assert.Equal(t, 1, s.Failed)
	f.stop(c)
	assert.Empty(t, done)
}

// A broker that breaks the protocol loses the connection, nothing more.
func TestHostileBroker(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"alias":            {0x30, 7, 0, 1, 'a', 3, idTopicAlias, 0, 1},
		"wildcard topic":   {0x30, 4, 0, 1, '#', 0},
		"empty topic":      {0x30, 3, 0, 0, 0},
		"QoS 3":            {0x36, 6, 0, 1, 'a', 0, 1, 0},
		"no packet id":     {0x32, 6, 0, 1, 'a', 0, 0, 0},
		"cut short":        {0x30, 2, 0, 9},
		"huge":             {0x30, 0xff, 0xff, 0xff, 0x7f},
		"endless length":   {0x30, 0xff, 0xff, 0xff, 0xff, 0xff},
		"second CONNACK":   {0x20, 3, 0, 0, 0},
		"type 0":           {0x00, 0},
		"bad SUBACK":       {0x90, 1, 0},
		"short PUBACK":     {0x40, 1, 0},
		"unknown property": {0x30, 6, 0, 1, 'a', 2, 99, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			c := f.start(noHealth, func(o *Options) { o.Heartbeat = -1 }) // it is not the watchdog that finds it
			got := raws(t, c, "#", 1)
			require.NoError(t, c.Ready(soon(t)))
			f.raw(b)
			require.Eventually(t, func() bool { return c.Stats().Reconnects == 1 && c.Stats().Connected }, 20*time.Second, time.Millisecond)
			f.send("a", "after", 1, 1)
			assert.Equal(t, "after", string(get(t, got).Payload))
			f.stop(c)
		})
	}
	t.Run("more than the window", func(t *testing.T) {
		t.Parallel()
		f := newFake(t)
		c := f.start(noHealth, func(o *Options) { o.Window, o.Queue = 5, 1 })
		block := make(chan struct{})
		_, err := c.SubscribeRaw("a", 1, func(context.Context, RawMessage) error { <-block; return nil })
		require.NoError(t, err)
		require.NoError(t, c.Ready(soon(t)))
		var b []byte
		for i := range 10 {
			b = (&publication{topic: "a", qos: 1}).appendTo(b, uint16(i+1), 1, false, 0) //nolint:gosec // small
		}
		f.raw(b)
		require.Eventually(t, func() bool { return c.Stats().Reconnects == 1 }, 20*time.Second, time.Millisecond)
		close(block)
		f.stop(c)
	})
}
