package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func noHealth(o *Options) { o.NoHealth = true }

func publish(t testing.TB, c *Client, topic, payload string, qos byte) Receipt {
	t.Helper()
	r, err := c.PublishRaw(soon(t), topic, []byte(payload), qos, false)
	require.NoError(t, err)
	return r
}

// The order of publishes holds over an outage, and what was in flight comes first.
func TestOutboxKeepsOrder(t *testing.T) {
	for _, present := range []bool{true, false} {
		for _, qos := range []byte{1, 2} {
			t.Run(fmt.Sprintf("session %v QoS %d", present, qos), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFake(t)
					f.deaf, f.present = true, present
					c := f.start(noHealth)
					require.NoError(t, c.Await(context.Background()))
					var wg sync.WaitGroup
					for i := range 3 { // in flight
						wg.Go(func() { assert.True(t, publish(t, c, "a", fmt.Sprint(i), qos).Queued) })
						synctest.Wait()
					}
					ids := []uint16{get(t, f.pubs).PacketID, get(t, f.pubs).PacketID, get(t, f.pubs).PacketID}
					f.set(func(f *fake) { f.down = true })
					f.cut()
					wg.Wait()
					for i := 3; i < 6; i++ {
						assert.True(t, publish(t, c, "a", fmt.Sprint(i), qos).Queued)
					}
					f.set(func(f *fake) { f.down, f.deaf = false, false })
					for i := range 6 {
						p := get(t, f.pubs)
						assert.Equal(t, fmt.Sprint(i), string(p.Payload))
						again := present && i < 3
						assert.Equal(t, again, p.Duplicate, "DUP says that it was sent before, in this session")
						if again {
							assert.Equal(t, ids[i], p.PacketID)
						}
					}
					synctest.Wait()
					s := c.Stats().Publishes
					assert.Equal(t, 6, s.Published)
					assert.Equal(t, 6, s.Queued)
					assert.Zero(t, s.Waiting)
					f.stop(c)
				})
			})
		}
	}
}

// A QoS 2 message of which PUBREC has come goes on with PUBREL in the same session.
func TestReleaseGoesOn(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.present = true
	c := f.start(noHealth)
	require.NoError(t, c.Await(soon(t)))
	for i := range 10 {
		assert.False(t, publish(t, c, "a", fmt.Sprint(i), 2).Queued)
	}
	assert.Equal(t, 10, c.Stats().Publishes.Published)
	f.stop(c)
}

func TestOutboxIsBounded(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.down = true
	c := f.start(noHealth, func(o *Options) { o.Outbox, o.OutboxBytes = 3, 10000 })
	for range 3 {
		assert.True(t, publish(t, c, "a", "", 1).Queued)
	}
	_, err := c.PublishRaw(soon(t), "a", nil, 1, false)
	require.ErrorIs(t, err, ErrQueueFull, "offline it does not wait")
	_, err = c.PublishRaw(soon(t), "a", make([]byte, 20000), 1, false)
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = c.PublishRaw(soon(t), "a", nil, 0, false)
	require.ErrorIs(t, err, ErrOffline)
	assert.Equal(t, PublishStats{Queued: 3, Refused: 2, Waiting: 3}, c.Stats().Publishes)

	f.set(func(f *fake) { f.down, f.deaf = false, true })
	require.NoError(t, c.Await(soon(t)))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = c.PublishRaw(ctx, "a", nil, 1, false)
	require.ErrorIs(t, err, ErrQueueFull, "connected it waits for room")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	f.set(func(f *fake) { f.deaf = false })
	f.cut()
	require.Eventually(t, func() bool { return c.Stats().Publishes.Waiting == 0 }, 20*time.Second, time.Millisecond)
	f.stop(c)

	d := f.start(noHealth, func(o *Options) { o.Offline = OfflineDrop })
	f.set(func(f *fake) { f.down = true })
	f.cut()
	require.Eventually(t, func() bool { return !d.Stats().Connected }, 20*time.Second, time.Millisecond)
	assert.True(t, publish(t, d, "a", "", 0).Dropped)
	assert.Equal(t, 1, d.Stats().Publishes.Dropped)
	f.stop(d)
}

// The bound in bytes holds, too, and health gets through although the outbox is full.
func TestOutboxIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := f.start(func(o *Options) { o.OutboxBytes = 10000 })
	require.NoError(t, c.Ready(soon(t)))
	f.set(func(f *fake) { f.down, f.deaf = true, true })
	f.cut()
	require.Eventually(t, func() bool { return !c.Stats().Connected }, 20*time.Second, time.Millisecond)
	for range 2 {
		_, err := c.PublishRaw(soon(t), "a", make([]byte, 4790), 1, false) // two leave 18 bytes
		require.NoError(t, err)
	}
	_, err := c.PublishRaw(soon(t), "a", nil, 1, false)
	require.ErrorIs(t, err, ErrQueueFull)
	f.set(func(f *fake) { f.down = false })
	p := get(t, f.pubs) // ready
	for ; !strings.Contains(string(p.Payload), "reconnected"); p = get(t, f.pubs) {
	}
	assert.Equal(t, "system/health/x", p.Topic)
	for range spareSlots { // those that a broker does not acknowledge are bounded as well
		err = c.out.post(&publication{topic: "a", payload: make([]byte, 4500), qos: 1})
	}
	require.ErrorIs(t, err, ErrQueueFull)
	f.set(func(f *fake) { f.deaf = false })
	f.cut()
	f.stop(c)
}

// What the context's end leaves behind is told.
func TestPublishContext(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.deaf = true
	one := uint16(1)
	f.props = &packets.Properties{ReceiveMaximum: &one}
	c := f.start(noHealth)
	require.NoError(t, c.Await(soon(t)))
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	_, err := c.PublishRaw(short(), "a", []byte("sent"), 1, false)
	require.ErrorIs(t, err, ErrUnconfirmed)
	_, err = c.PublishRaw(short(), "a", []byte("not sent"), 1, false)
	require.ErrorIs(t, err, ErrNotSent, "the broker allows one at a time")
	f.set(func(f *fake) { f.deaf = false })
	f.cut()
	require.Eventually(t, func() bool { return c.Stats().Publishes.Published == 1 }, 20*time.Second, time.Millisecond)
	assert.Equal(t, "sent", string(get(t, f.pubs).Payload))
	assert.Equal(t, "sent", string(get(t, f.pubs).Payload), "again, since nobody had acknowledged it")
	assert.False(t, publish(t, c, "a", "third", 1).Queued)
	assert.Equal(t, "third", string(get(t, f.pubs).Payload))
	f.stop(c)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	t.Run("publish", func(t *testing.T) {
		t.Parallel()
		f := newFake(t)
		f.code = 0x87
		c := f.start(noHealth)
		require.NoError(t, c.Await(soon(t)))
		_, err := c.PublishRaw(soon(t), "a", nil, 1, false)
		var r *RefusedError
		require.ErrorAs(t, err, &r)
		assert.Equal(t, byte(0x87), r.Code)
		f.set(func(f *fake) { f.code = 0x10 }) // nobody subscribes: no error
		publish(t, c, "a", "", 1)
		f.stop(c)
	})
	t.Run("subscribe", func(t *testing.T) {
		t.Parallel()
		f := newFake(t)
		f.refuse = 0x87
		c := f.start(noHealth)
		raws(t, c, "a/#", 1)
		var r *RefusedError
		require.ErrorAs(t, c.Ready(soon(t)), &r)
		assert.Equal(t, "a/#", r.Topic)
		f.set(func(f *fake) { f.refuse = 0 })
		f.cut()
		require.NoError(t, awaitStanding(t, c), "the next connection asks again")
		f.stop(c)
	})
	t.Run("connect", func(t *testing.T) {
		t.Parallel()
		f := newFake(t)
		f.connack = 0x86
		c := f.start()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := c.Await(ctx)
		var r *RefusedError
		require.ErrorAs(t, err, &r)
		assert.Equal(t, byte(0x86), r.Code)
		f.stop(c)
	})
	t.Run("too large for the broker", func(t *testing.T) {
		t.Parallel()
		f := newFake(t)
		size := uint32(100)
		f.props = &packets.Properties{MaximumPacketSize: &size}
		f.down = true
		c := f.start(noHealth)
		assert.True(t, publish(t, c, "a", string(make([]byte, 200)), 1).Queued, "it cannot know yet")
		publish(t, c, "a", "small", 1)
		f.set(func(f *fake) { f.down = false })
		assert.Equal(t, "small", string(get(t, f.pubs).Payload))
		for _, qos := range []byte{0, 1} {
			_, err := c.PublishRaw(soon(t), "a", make([]byte, 200), qos, false)
			require.ErrorIs(t, err, ErrTooLarge)
		}
		f.stop(c)
	})
	t.Run("QoS of the broker", func(t *testing.T) {
		t.Parallel()
		f := newFake(t)
		zero := byte(0)
		f.props = &packets.Properties{MaximumQOS: &zero}
		c := f.start(noHealth)
		require.NoError(t, c.Await(soon(t)))
		publish(t, c, "a", "", 2)
		assert.Equal(t, byte(0), get(t, f.pubs).QoS)
		f.stop(c)
	})
}

func awaitStanding(t *testing.T, c *Client) error {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := c.Ready(soon(t))
		var r *RefusedError
		if !errors.As(err, &r) || time.Now().After(deadline) {
			return err
		}
		synctestFree()
	}
}

// synctestFree gives others the processor.
func synctestFree() { <-time.After(time.Millisecond) }

// The reference tracks names of topics without their QoS and never replays them (client.md 11.1).
func TestResubscribe(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := f.start(noHealth)
	want := map[string]byte{"a": 0, "b/+": 1, "c/#": 2}
	for filter, qos := range want {
		raws(t, c, filter, qos)
	}
	require.NoError(t, c.Ready(soon(t)))
	for round := range 3 {
		got := map[string]byte{}
		for range want {
			s := get(t, f.subs)
			got[s.Subscriptions[0].Topic] = s.Subscriptions[0].QoS
			require.NotNil(t, s.Properties.SubscriptionIdentifier)
		}
		assert.Equal(t, want, got, "round %d", round)
		f.cut()
	}
	for range want {
		get(t, f.subs)
	}
	require.NoError(t, c.Await(soon(t)))
	f.set(func(f *fake) { f.present = true })
	f.cut()
	for i := range 5 {
		assert.Equal(t, i == 0, get(t, f.connects).CleanStart)
	}
	require.NoError(t, c.Await(soon(t)))
	assert.Empty(t, f.subs, "a broker that knows the session knows the subscriptions")
	f.stop(c)
	assert.Equal(t, uint32(0), *get(t, f.ends).Properties.SessionExpiryInterval, "Close ends the session")
}

// Messages wait for the subscriptions: an answer to a request that waited must find us.
func TestSubscriptionsStandBeforeMessagesGo(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.nosub, f.down = true, true
	c := f.start(noHealth)
	raws(t, c, "a", 1)
	publish(t, c, "b", "", 1)
	f.set(func(f *fake) { f.down = false })
	get(t, f.subs)
	assert.False(t, c.Stats().Connected)
	assert.Empty(t, f.pubs)
	f.set(func(f *fake) { f.nosub = false })
	f.cut()
	get(t, f.subs)
	get(t, f.pubs)
	f.stop(c)
}

func TestCloseTellsWhatIsLeft(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.down = true
	c := f.start(func(o *Options) { o.Drain = 10 * time.Millisecond })
	publish(t, c, "a", "", 1)
	publish(t, c, "a", "", 1)
	err := c.Close(soon(t))
	require.ErrorIs(t, err, ErrNotSent)
	assert.Contains(t, err.Error(), "2 messages")
	require.NoError(t, c.Close(soon(t)), "twice is fine")
	_, err = c.PublishRaw(soon(t), "a", nil, 1, false)
	require.ErrorIs(t, err, ErrClosed)
	_, err = c.PublishRaw(soon(t), "a", nil, 0, false)
	require.ErrorIs(t, err, ErrClosed)
	_, err = c.SubscribeRaw("a", 1, func(context.Context, RawMessage) error { return nil })
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, c.Await(soon(t)), ErrClosed)
	f.wg.Wait()
}
