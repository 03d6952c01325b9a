package client

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Acknowledgements go out in the order of the messages, when every queue that wants one has it.
func TestHold(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := f.start(noHealth, func(o *Options) { o.SessionExpiry = time.Hour })
	release := make(chan struct{})
	var slow []string
	done := make(chan struct{}, 100)
	_, err := c.SubscribeRaw("slow", 1, func(_ context.Context, m RawMessage) error {
		<-release
		slow = append(slow, string(m.Payload))
		done <- struct{}{}
		return nil
	}, Queue(2, Hold))
	require.NoError(t, err)
	quick := raws(t, c, "quick", 1)
	require.NoError(t, c.Ready(soon(t)))
	for i := range 6 { // one runs, two are queued, three are held
		f.send("slow", fmt.Sprint(i), 1, uint16(i+1)) //nolint:gosec // small
		if i == 0 {
			assert.Equal(t, uint16(1), ackOf(t, f))
			require.Eventually(t, func() bool { return c.Stats().Subscriptions[0].Queued == 0 }, 20*time.Second, time.Millisecond)
		}
	}
	f.send("quick", "q", 1, 7)
	assert.Equal(t, "q", texts(t, quick, 1)[0], "others go on")
	assert.Equal(t, uint16(2), ackOf(t, f))
	assert.Equal(t, uint16(3), ackOf(t, f))
	assert.Empty(t, f.acks, "4 is held, and 7 waits behind it")
	s := c.Stats().Subscriptions[0]
	assert.Equal(t, 2, s.Queued)
	assert.Equal(t, 3, s.Held)

	// The connection ends: what was held comes again; 7 had been taken and is not repeated.
	f.set(func(f *fake) { f.present = true })
	f.cut()
	require.Eventually(t, func() bool { return c.Stats().Reconnects == 1 && c.Stats().Connected }, 20*time.Second, time.Millisecond)
	assert.Zero(t, c.Stats().Subscriptions[0].Held)
	for i := 3; i < 6; i++ {
		f.send("slow", fmt.Sprint(i), 1, uint16(i+1), dup) //nolint:gosec // small
	}
	f.send("quick", "q", 1, 7, dup)
	f.send("quick", "r", 1, 8)
	assert.Equal(t, "r", texts(t, quick, 1)[0], "q has been there")
	close(release)
	for range 6 {
		get(t, done)
	}
	for i := 4; i <= 8; i++ {
		assert.Equal(t, uint16(i), ackOf(t, f)) //nolint:gosec // small
	}
	f.stop(c)
	assert.Equal(t, []string{"0", "1", "2", "3", "4", "5"}, slow)
}

// TestWhatComesAgain: after a lost connection a message goes to those alone who had not taken it, if it is
// the same one.
func TestWhatComesAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		payload string
		change  func(*packets.Publish)
		taken   bool // the quick one has had it
	}{
		"the same":      {"x", dup, true},
		"other content": {"y", dup, false},
		"not sent yet":  {"x", func(*packets.Publish) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			cl := f.start(noHealth, func(o *Options) { o.SessionExpiry = time.Hour })
			release := make(chan struct{})
			_, err := cl.SubscribeRaw("a/b", 1, func(context.Context, RawMessage) error { <-release; return nil }, Queue(1, Hold))
			require.NoError(t, err)
			quick := raws(t, cl, "a/#", 1)
			require.NoError(t, cl.Ready(soon(t)))
			for i := range 3 { // one runs, one is queued, one is held
				f.send("a/b", "x", 1, uint16(i+1), func(p *packets.Publish) { p.Payload = append(p.Payload, bytes.Repeat([]byte{'x'}, 2-i)...) }) //nolint:gosec // small
				get(t, quick)
				require.Eventually(t, func() bool { s := cl.Stats().Subscriptions[0]; return s.Received == i+1 && (i > 0 || s.Queued == 0) }, 20*time.Second, time.Millisecond)
			}
			require.Equal(t, 1, cl.Stats().Subscriptions[0].Held)
			f.set(func(f *fake) { f.present = true })
			f.cut()
			require.Eventually(t, func() bool { return cl.Stats().Reconnects == 1 && cl.Stats().Connected }, 20*time.Second, time.Millisecond)
			f.send("a/b", c.payload, 1, 3, c.change)
			f.send("a/z", "end", 1, 4)
			if !c.taken {
				assert.Equal(t, c.payload, string(get(t, quick).Payload))
			}
			assert.Equal(t, "end", string(get(t, quick).Payload))
			assert.Equal(t, 3, cl.Stats().Subscriptions[0].Received, "the slow one gets it again")
			close(release)
			f.stop(cl)
		})
	}
}

// TestHeldOutlivesTheSession: a session in memory ends with its connection, and nobody sends again what
// was held.
func TestHeldOutlivesTheSession(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := f.start(noHealth, func(o *Options) { o.Window = 4 })
	release, got := make(chan struct{}), make(chan string, 100)
	_, err := c.SubscribeRaw("slow", 1, func(_ context.Context, m RawMessage) error {
		<-release
		got <- string(m.Payload)
		return nil
	}, Queue(1, Hold))
	require.NoError(t, err)
	require.NoError(t, c.Ready(soon(t)))
	send := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			f.send("slow", fmt.Sprint(i), 1, uint16(i+1)) //nolint:gosec // small
			require.Eventually(t, func() bool {           // the first one runs, the second one is queued
				return c.Stats().Subscriptions[0].Received == i+1 && (i > 0 || c.Stats().Subscriptions[0].Queued == 0)
			}, 20*time.Second, time.Millisecond)
		}
	}
	cut := func(n int) {
		t.Helper()
		f.cut()
		require.Eventually(t, func() bool { return c.Stats().Reconnects == n && c.Stats().Connected }, 20*time.Second, time.Millisecond)
	}
	send(0, 5)
	cut(1)
	assert.Equal(t, 3, c.Stats().Subscriptions[0].Held)
	send(5, 8)
	cut(2)
	s := c.Stats().Subscriptions[0]
	assert.Equal(t, 4, s.Held, "bounded by the window")
	assert.Equal(t, 2, s.Dropped)
	send(8, 9)
	close(release)
	for _, want := range []string{"0", "1", "2", "3", "4", "5", "8"} {
		assert.Equal(t, want, get(t, got))
	}
	f.stop(c)
	assert.Empty(t, got)
}
