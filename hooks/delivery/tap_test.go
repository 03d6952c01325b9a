package delivery_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// seen takes sights until there are n.
func seen(t *testing.T, tap *delivery.Tap, n int) []delivery.Sight {
	t.Helper()
	var got []delivery.Sight
	late := time.After(10 * time.Second)
	for len(got) < n {
		select {
		case <-tap.Ready():
			got = tap.Take(got)
		case <-late:
			require.Len(t, got, n)
		}
	}
	require.Len(t, got, n)
	return got
}

func TestTapSeesMessages(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{false, true} {
		t.Run("stored "+strconv.FormatBool(stored), func(t *testing.T) {
			t.Parallel()
			var opts []brokertest.Option
			if stored {
				opts = append(opts, brokertest.WithStore(t.TempDir()))
			}
			b := brokertest.Start(t, opts...)
			tap := b.Engine.Tap(delivery.TapOptions{Filters: []string{"a/+", "a/#"}})
			other := b.Engine.Tap(delivery.TapOptions{Filters: []string{"#"}})
			// A queue that is kept makes QoS 2 wait for the disk.
			keeper, _ := client(t, b, wire.V311, wt.Connect{ClientID: "keeper", Persist: true})
			keeper.Subscribe(wt.Filter{Name: "a/2", Opts: 2})
			c, _ := client(t, b, wire.V5, wt.Connect{ClientID: "c", Will: &wt.Will{Topic: "a/will", Payload: "w", Retain: true}})
			c.Publish(wt.Publish{Topic: "elsewhere", Payload: "x"})
			c.Publish(wt.Publish{Topic: "a/0", Payload: "0", Props: wt.Props{wt.User("k", "v")}})
			c.Publish(wt.Publish{Topic: "a/1", Payload: "1", QoS: 1, Retain: true})
			c.Publish(wt.Publish{Topic: "a/2", Payload: "2", QoS: 2})
			c.Publish(wt.Publish{Topic: "a/1", QoS: 1, Retain: true})
			got := seen(t, tap, 4)
			b.Engine.Publish("a/server", []byte("s"), 0, false)
			tap.Publish("a/own", []byte("o"), 0, false)
			c.Drop()
			got = append(got, seen(t, tap, 2)...)

			line := func(s delivery.Sight) string {
				return strings.Join([]string{s.From, s.Topic, string(s.Payload), strconv.Itoa(int(s.QoS)), strconv.FormatBool(s.Retain)}, " ")
			}
			lines := make([]string, len(got))
			for i, s := range got {
				lines[i] = line(s)
				assert.WithinDuration(t, time.Now(), s.At, time.Minute)
			}
			assert.Equal(t, []string{"c a/0 0 0 false", "c a/1 1 1 true", "c a/2 2 2 false", "c a/1  1 true", " a/server s 0 false", "c a/will w 0 true"}, lines)
			assert.Contains(t, string(got[0].Props), "k")
			assert.True(t, got[5].IsWill)
			assert.False(t, got[3].IsWill)
			b.Engine.Publish("$SYS/x", []byte("x"), 0, false)
			all := seen(t, other, 8)
			assert.Equal(t, " a/own o 0 false", line(all[6]), "another tap sees it")
			assert.Zero(t, tap.Lost())
		})
	}
}

func TestTapSeesClients(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	tap := b.Engine.Tap(delivery.TapOptions{Clients: true})
	c, _ := client(t, b, wire.V311, wt.Connect{ClientID: "c", Will: &wt.Will{Topic: "w", Payload: "w"}})
	client(t, b, wire.V5, wt.Connect{ClientID: "c"})
	c.ExpectClosed()
	got := seen(t, tap, 3)
	assert.Equal(t, []delivery.SightKind{delivery.SawConnect, delivery.SawDisconnect, delivery.SawConnect},
		[]delivery.SightKind{got[0].Kind, got[1].Kind, got[2].Kind})
	assert.Same(t, got[0].Peer, got[1].Peer)
	assert.NotSame(t, got[0].Peer, got[2].Peer)
	assert.Equal(t, "w", got[0].Will)
	assert.Empty(t, got[2].Will)
	assert.Equal(t, "session taken over", got[1].Reason)
	assert.False(t, got[1].Clean)

	d, _ := client(t, b, wire.V5, wt.Connect{ClientID: "d"})
	d.Disconnect()
	got = seen(t, tap, 2)
	assert.True(t, got[1].Clean)
	e, _ := client(t, b, wire.V311, wt.Connect{ClientID: "e", Persist: true})
	e.Drop()
	got = seen(t, tap, 2)
	assert.False(t, got[1].Clean)
	assert.NotEmpty(t, got[1].Reason)
	assert.Equal(t, "e", got[1].Peer.ID)

	info, ok := b.Engine.Client("e")
	assert.True(t, ok)
	assert.False(t, info.Connected)
	_, ok = b.Engine.Client("nobody")
	assert.False(t, ok)

	f, _ := client(t, b, wire.V311, wt.Connect{ClientID: "f", Persist: true})
	seen(t, tap, 1)
	b.Engine.Stopping() // what ends now is ended by the broker
	f.Drop()
	require.Eventually(t, func() bool { i, _ := b.Engine.Client("f"); return !i.Connected }, 10*time.Second, time.Millisecond)
	assert.Empty(t, tap.Take(nil))
}

func TestTapIsBounded(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	few := b.Engine.Tap(delivery.TapOptions{Filters: []string{"#"}, Entries: 3})
	small := b.Engine.Tap(delivery.TapOptions{Filters: []string{"#"}, Bytes: 1000})
	for range 10 {
		b.Engine.Publish("t", make([]byte, 300), 0, false)
	}
	assert.Len(t, few.Take(nil), 3)
	assert.Equal(t, uint64(7), few.Lost())
	assert.Len(t, small.Take(nil), 3)
	assert.Equal(t, uint64(7), small.Lost())
	b.Engine.Publish("t", make([]byte, 300), 0, false)
	assert.Len(t, few.Take(nil), 1, "there is room again")
	few.Close()
	b.Engine.Publish("t", nil, 0, false)
	assert.Empty(t, few.Take(nil))
	assert.Len(t, small.Take(nil), 2)
}

// Taps come and go while messages flow; a topic that was matched before is matched again.
func TestTapsComeAndGo(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c, _ := client(t, b, wire.V5, wt.Connect{ClientID: "c"})
	c.Publish(wt.Publish{Topic: "t", Payload: "before", QoS: 1})
	tap := b.Engine.Tap(delivery.TapOptions{Filters: []string{"t"}})
	c.Publish(wt.Publish{Topic: "t", Payload: "while", QoS: 1})
	tap.Close()
	c.Publish(wt.Publish{Topic: "t", Payload: "after", QoS: 1})
	got := tap.Take(nil)
	require.Len(t, got, 1)
	assert.Equal(t, "while", string(got[0].Payload))

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				x := b.Engine.Tap(delivery.TapOptions{Filters: []string{"#"}, Clients: true})
				b.Engine.Publish("t", []byte("x"), 0, false)
				x.Close()
			}
		})
	}
	wg.Wait()
}

func TestEachRetained(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c, _ := client(t, b, wire.V5, wt.Connect{ClientID: "c"})
	for _, topic := range []string{"h/a", "h/b", "h/b/c", "other"} {
		c.Publish(wt.Publish{Topic: topic, Payload: topic, QoS: 1, Retain: true})
	}
	var got []string
	b.Engine.EachRetained("h/+", func(m delivery.Sight) bool {
		got = append(got, m.Topic+" "+m.From+" "+string(m.Payload))
		return true
	})
	assert.Equal(t, []string{"h/a c h/a", "h/b c h/b"}, got)
	n := 0
	b.Engine.EachRetained("#", func(delivery.Sight) bool { n++; return n < 2 })
	assert.Equal(t, 2, n)
}
