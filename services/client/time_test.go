package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/contract"
)

// slowly has the default backoff.
func slowly(o *Options) { o.BackoffMin, o.BackoffMax = 0, 0 }

// The reference has the two delays and never reads them (client.md 11.1).
func TestBackoffDoublesWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.down = true
		c := f.start(slowly)
		time.Sleep(time.Minute)
		f.set(func(f *fake) { f.down = false })
		require.NoError(t, c.Await(context.Background()))
		gaps := map[time.Duration]bool{}
		for i := 1; i < len(f.dialed()); i++ {
			want := min(DefaultBackoffLow<<(i-1), DefaultBackoffHigh)
			gap := f.dialed()[i].Sub(f.dialed()[i-1])
			assert.LessOrEqual(t, gap, want, "wait %d", i)
			assert.GreaterOrEqual(t, gap, want/2, "wait %d", i)
			gaps[gap] = true
		}
		assert.Greater(t, len(f.dialed()), 12)
		assert.Greater(t, len(gaps), 4, "no jitter")

		// After a connection that lasted, the wait is a short one again.
		time.Sleep(time.Minute)
		f.cut()
		time.Sleep(DefaultBackoffLow)
		synctest.Wait()
		assert.True(t, c.Stats().Connected)
		f.stop(c)
	})
}

// Two clients with one id must not chase each other at full speed.
func TestBackoffGrowsWhenConnectionsDoNotLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.start(slowly)
		for range 200 {
			require.NoError(t, c.Await(context.Background()))
			f.cut()
			time.Sleep(time.Millisecond)
			if time.Since(f.dialed()[0]) > time.Minute {
				break
			}
		}
		assert.Less(t, len(f.dialed()), 30)
		f.stop(c)
	})
}

func TestWatchdog(t *testing.T) {
	t.Run("three pings without an answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			c := f.start(slowly)
			require.NoError(t, c.Await(context.Background()))
			time.Sleep(time.Hour + time.Second)
			assert.Len(t, f.dialed(), 1, "a connection that answers is left alone")
			f.set(func(f *fake) { f.mute = true })
			time.Sleep(3*DefaultHeartbeat - 2*time.Second)
			assert.True(t, c.Stats().Connected)
			time.Sleep(2 * time.Second)
			f.set(func(f *fake) { f.mute = false })
			time.Sleep(DefaultBackoffHigh)
			if assert.Len(t, f.dialed(), 2) {
				assert.LessOrEqual(t, f.dialed()[1].Sub(f.dialed()[0]), time.Hour+3*DefaultHeartbeat+DefaultBackoffLow, "not later")
			}
			assert.Equal(t, 1, c.Stats().Reconnects)
			f.stop(c)
		})
	})
	t.Run("acknowledgements that are owed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			f.deaf = true
			c := f.start(slowly, noHealth)
			require.NoError(t, c.Await(context.Background()))
			r, err := c.PublishRaw(context.Background(), "a", nil, 1, false)
			require.NoError(t, err)
			assert.True(t, r.Queued, "the connection went while it waited")
			assert.GreaterOrEqual(t, time.Since(f.dialed()[0]), DefaultAckTimeout)
			assert.LessOrEqual(t, time.Since(f.dialed()[0]), DefaultAckTimeout+DefaultHeartbeat)
			f.set(func(f *fake) { f.deaf = false })
			time.Sleep(time.Minute)
			assert.Zero(t, c.Stats().Publishes.Waiting)
			f.stop(c)
		})
	})
	t.Run("a broker that says nothing after CONNECT", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			f.nosub = true
			c := f.start(slowly)
			raws(t, c, "a", 1)
			time.Sleep(2 * DefaultConnectTimeout)
			assert.GreaterOrEqual(t, len(f.dialed()), 2, "SUBSCRIBE without an answer")
			assert.False(t, c.Stats().Connected)
			f.stop(c)
		})
	})
}

// Heartbeats are bare, under the client id, from the beginning on; a busy loop they are not
// (client.md 1 and 11.9).
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.start(func(o *Options) { o.Heartbeat = time.Second })
		require.NoError(t, c.Await(context.Background()))
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		assert.Len(t, f.beats, 3)
		p := <-f.beats
		assert.Equal(t, "system/keepalive/tars-x", p.Topic)
		assert.Equal(t, byte(0), p.QoS)
		assert.False(t, p.Retain)
		assert.JSONEq(t, `{"ok":true,"event":"heartbeat","timestamp":946684800}`, string(p.Payload))
		f.set(func(f *fake) { f.down = true })
		f.cut()
		time.Sleep(time.Minute)
		assert.Len(t, f.beats, 2, "none without a connection")
		f.set(func(f *fake) { f.down = false })
		f.stop(c)

		f = newFake(t)
		c = f.start(func(o *Options) { o.Heartbeat = -1 })
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Empty(t, f.beats)
		assert.Len(t, f.dialed(), 1, "pings go on")
		f.set(func(f *fake) { f.mute = true })
		time.Sleep(2 * time.Minute)
		assert.Greater(t, len(f.dialed()), 1, "and so does the watchdog")
		f.set(func(f *fake) { f.mute = false })
		time.Sleep(time.Minute)
		f.stop(c)
	})
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.down = true
		c := f.start(slowly, noHealth)
		for _, expiry := range []time.Duration{time.Second, time.Minute, 0} {
			r, err := c.PublishRaw(context.Background(), "a", []byte(expiry.String()), 1, false, WithExpiry(expiry))
			require.NoError(t, err)
			assert.True(t, r.Queued)
		}
		time.Sleep(10 * time.Second)
		f.set(func(f *fake) { f.down = false })
		first := get(t, f.pubs)
		assert.Equal(t, "1m0s", string(first.Payload))
		require.NotNil(t, first.Properties.MessageExpiry)
		assert.LessOrEqual(t, *first.Properties.MessageExpiry, uint32(50), "what it waited here counts")
		assert.Equal(t, "0s", string(get(t, f.pubs).Payload))
		synctest.Wait()
		assert.Equal(t, 1, c.Stats().Publishes.Expired)
		f.stop(c)
	})
}

func TestDedup(t *testing.T) {
	key := func(id string) dedupKey { return dedupKey{topic: "t", typ: "x", id: id} }
	ok := func() error { return nil }
	t.Run("ttl slides", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDedup(dedupTTL, dedupEntries)
			said := func(k string) verdict { v, _ := d.once(t.Context(), key(k), ok); return v }
			assert.Equal(t, verdictHandled, said("a"))
			for range 10 {
				time.Sleep(dedupTTL)
				assert.Equal(t, verdictDuplicate, said("a"))
			}
			time.Sleep(dedupTTL + 1)
			assert.Equal(t, verdictHandled, said("a"))
			assert.Equal(t, 1, d.old.Len())
			time.Sleep(dedupTTL + 1)
			said("b")
			assert.Len(t, d.seen, 1, "old ones go")
		})
	})
	t.Run("bounded", func(t *testing.T) {
		d := newDedup(dedupTTL, 3)
		for _, k := range []string{"a", "b", "c", "a", "d"} {
			_, _ = d.once(t.Context(), key(k), ok)
		}
		v, _ := d.once(t.Context(), key("b"), ok)
		assert.Equal(t, verdictHandled, v, "b was the oldest")
		v, _ = d.once(t.Context(), key("d"), ok)
		assert.Equal(t, verdictDuplicate, v)
	})
	// The reference marks before it processes (client.md 11.8).
	t.Run("a failure is not seen", func(t *testing.T) {
		d := newDedup(dedupTTL, 3)
		_, err := d.once(t.Context(), key("a"), func() error { return errors.New("no") })
		require.Error(t, err)
		assert.Panics(t, func() { _, _ = d.once(t.Context(), key("a"), func() error { panic("no") }) })
		v, err := d.once(t.Context(), key("a"), ok)
		require.NoError(t, err)
		assert.Equal(t, verdictHandled, v)
	})
	t.Run("a copy waits for the one that runs", func(t *testing.T) {
		for _, fail := range []error{nil, errors.New("no")} {
			synctest.Test(t, func(t *testing.T) {
				d := newDedup(dedupTTL, 3)
				release, got := make(chan struct{}), make(chan verdict, 1)
				go func() {
					_, _ = d.once(t.Context(), key("a"), func() error { <-release; return fail })
				}()
				synctest.Wait()
				go func() { v, _ := d.once(t.Context(), key("a"), ok); got <- v }()
				synctest.Wait()
				assert.Empty(t, got)
				close(release)
				want := verdictDuplicate
				if fail != nil {
					want = verdictHandled
				}
				assert.Equal(t, want, <-got)
			})
		}
	})
}

func TestDedupKeys(t *testing.T) {
	t.Parallel()
	say := func(id, typ, text string) Message[contract.Say] {
		m := Message[contract.Say]{Topic: "tts/say"}
		m.ID, m.Type, m.Data = id, typ, contract.Say{Text: text}
		return m
	}
	of := keyOf[contract.Say]()
	must := func(m Message[contract.Say]) dedupKey {
		k, ok := of(&m)
		require.True(t, ok)
		return k
	}
	base := must(say("1", "tts.say", "hello"))
	assert.Equal(t, base, must(say("1", "tts.say", "hello")))
	assert.NotEqual(t, base, must(say("2", "tts.say", "hello")), "id")
	assert.NotEqual(t, base, must(say("1", "tts.said", "hello")), "type: a stream and its response share the id")
	assert.NotEqual(t, base, must(say("1", "tts.say", "good bye")), "content")
	elsewhere := say("1", "tts.say", "hello")
	elsewhere.Topic = "tts/say/2"
	assert.NotEqual(t, base, must(elsewhere), "topic")
	bare := say("1", "", "hello")
	bare.Bare = true
	_, ok := of(&bare)
	assert.False(t, ok, "bare JSON has no key")
	long := say(strings.Repeat("1", dedupID), "tts.say", "hello")
	_, ok = of(&long)
	assert.False(t, ok, "2,048 of them must not fill the memory")
	// The hash is the same in every process (client.md 11.8).
	type text struct{ Text string }
	m := Message[text]{}
	m.ID, m.Data.Text = "1", "hello"
	k, ok := keyOf[text]()(&m)
	require.True(t, ok)
	assert.Equal(t, uint64(0x77036add6f1186b6), k.sum)

	delta := func(seq *int, text string) dedupKey {
		m := Message[contract.ChatDelta]{}
		m.ID, m.Data = "1", contract.ChatDelta{ID: "1", Seq: seq, Delta: &text}
		k, ok := keyOf[contract.ChatDelta]()(&m)
		require.True(t, ok)
		return k
	}
	assert.Equal(t, delta(new(1), "a"), delta(new(1), "b"), "with seq, content does not count")
	assert.NotEqual(t, delta(new(1), "a"), delta(new(2), "a"))
	assert.NotEqual(t, delta(nil, "a"), delta(nil, "b"))
}
