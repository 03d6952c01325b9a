package delivery_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// events collects the audit stream.
type events struct {
	mu   sync.Mutex
	list []delivery.Event
}

func (e *events) add(ev delivery.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
}

func client(t *testing.T, b *brokertest.Broker, version byte, o wt.Connect) (*wt.Conn, wt.Packet) {
	t.Helper()
	c := wt.New(t, b.Dial(t, "memory"), version)
	c.Name = o.ClientID
	return c, c.Connect(o)
}

// kept is a CONNECT for a session that outlives its connection.
func kept(id string) wt.Connect {
	return wt.Connect{ClientID: id, Persist: true, Props: wt.Props{wt.Num(wt.SessionExpiry, 3600)}}
}

func limits(f func(*delivery.Limits)) brokertest.Option { return brokertest.WithLimits(f) }

func TestQueuePolicies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		policy delivery.QueuePolicy
		age    time.Duration
		want   []string
		code   byte // of the last PUBACK
		reason string
	}{
		{"refuse", delivery.QueueRefuse, time.Hour, []string{"0", "1", "2"}, byte(wire.QuotaExceeded), "queue_full"},
		{"drop oldest", delivery.QueueDropOldest, time.Hour, []string{"3", "4", "5"}, 0, "queue_drop_oldest"},
		{"expire, nothing old", delivery.QueueExpire, time.Hour, []string{"0", "1", "2"}, byte(wire.QuotaExceeded), "queue_full"},
		{"expire, all old", delivery.QueueExpire, 0, nil, 0, "queue_age"},
	} {
		for _, size := range []string{"count", "bytes"} {
			t.Run(c.name+" by "+size, func(t *testing.T) {
				t.Parallel()
				b := brokertest.Start(t, limits(func(l *delivery.Limits) {
					l.QueuePolicy, l.QueueAge = c.policy, c.age
					if size == "count" {
						l.QueueMessages = 3
					} else {
						l.QueueBytes = 600 // a message counts for about 160
					}
				}))
				s, _ := client(t, b, wire.V5, kept("s"))
				s.Subscribe(wt.Filter{Name: "q", Opts: 1})
				s.Disconnect()
				p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
				var code byte
				for i := range 6 {
					id := p.NextID()
					p.Send(wt.Publish{Topic: "q", Payload: fmt.Sprint(i), QoS: 1, ID: id}.Bytes(wire.V5))
					code = p.Expect(wt.PUBACK).Code
				}
				assert.Equal(t, c.code, code)
				s, ack := client(t, b, wire.V5, kept("s"))
				assert.True(t, ack.Present)
				for _, want := range c.want {
					s.Receive("q", want)
				}
				s.ExpectQuiet()
				st := b.Engine.Stats()
				assert.Positive(t, st.Dropped[c.reason], "%v", st.Dropped)
				assert.Zero(t, st.Queued)
				assert.Zero(t, st.QueuedBytes)
			})
		}
	}
}

func TestTotalQueueBytes(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, limits(func(l *delivery.Limits) { l.QueueTotalBytes = 1000 }))
	for _, id := range []string{"a", "b"} {
		s, _ := client(t, b, wire.V5, kept(id))
		s.Subscribe(wt.Filter{Name: id, Opts: 1})
		s.Disconnect()
	}
	p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
	p.Publish(wt.Publish{Topic: "a", Payload: strings.Repeat("x", 700), QoS: 1})
	p.Send(wt.Publish{Topic: "b", Payload: strings.Repeat("x", 700), QoS: 1, ID: 9}.Bytes(wire.V5))
	assert.Equal(t, byte(wire.QuotaExceeded), p.Expect(wt.PUBACK).Code)
	assert.EqualValues(t, 1, b.Engine.Stats().Dropped["queue_total_bytes"])
}

// A restart of the broker loses nothing: queues with their order and DUP, half-finished QoS 2
// of both directions, retained messages, subscriptions.
func TestRestart(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()))
	s, _ := client(t, b, wire.V5, kept("s"))
	s.Subscribe(wt.Filter{Name: "a/#", Opts: 2}, wt.Filter{Name: "b", Opts: 1})
	p, _ := client(t, b, wire.V5, kept("p"))

	p.Publish(wt.Publish{Topic: "a/1", Payload: "released", QoS: 2})
	released := s.ExpectPublish("a/1", "released")
	s.Send(wt.Ack(wt.PUBREC, released.ID))
	s.ExpectAck(wt.PUBREL, released.ID) // and never a PUBCOMP
	p.Publish(wt.Publish{Topic: "a/2", Payload: "sent", QoS: 2})
	sent := s.ExpectPublish("a/2", "sent")
	p.Publish(wt.Publish{Topic: "b", Payload: "sent too", QoS: 1})
	s.ExpectPublish("b", "sent too")
	s.Drop()
	require.Eventually(t, func() bool { return b.Engine.Stats().ClientsConnected == 1 }, 5*time.Second, time.Millisecond)
	for i := range 5 {
		p.Publish(wt.Publish{Topic: "b", Payload: fmt.Sprint("offline ", i), QoS: 1})
	}
	p.Publish(wt.Publish{Topic: "r/kept", Payload: "v1", QoS: 1, Retain: true})
	p.Publish(wt.Publish{Topic: "r/kept", Payload: "v2", QoS: 1, Retain: true})
	p.Publish(wt.Publish{Topic: "r/gone", Payload: "v1", QoS: 1, Retain: true})
	p.Publish(wt.Publish{Topic: "r/gone", Payload: "", QoS: 1, Retain: true})
	half := wt.Publish{Topic: "b", Payload: "half", QoS: 2, ID: 1000}
	p.Send(half.Bytes(wire.V5))
	p.ExpectAck(wt.PUBREC, 1000)

	b.Restart(t)

	p, ack := client(t, b, wire.V5, kept("p"))
	require.True(t, ack.Present)
	half.Dup = true
	p.Send(half.Bytes(wire.V5)) // as if the PUBREC had not come
	p.ExpectAck(wt.PUBREC, 1000)
	p.Send(wt.Ack(wt.PUBREL, 1000))
	p.ExpectAck(wt.PUBCOMP, 1000)

	s, ack = client(t, b, wire.V5, kept("s"))
	require.True(t, ack.Present)
	assert.Equal(t, released.ID, s.Expect(wt.PUBREL).ID)
	again := s.ExpectPublish("a/2", "sent")
	assert.Equal(t, sent.ID, again.ID)
	assert.True(t, again.Dup)
	first := s.ExpectPublish("b", "sent too")
	assert.True(t, first.Dup)
	s.Send(wt.Ack(wt.PUBCOMP, released.ID), wt.Ack(wt.PUBREC, again.ID), wt.Ack(wt.PUBACK, first.ID))
	for i := range 5 {
		m := s.Expect(wt.PUBLISH)
		assert.Equal(t, fmt.Sprint("offline ", i), m.Payload)
		assert.False(t, m.Dup, m.Payload)
		s.Send(wt.Ack(wt.PUBACK, m.ID))
	}
	m := s.Expect(wt.PUBLISH)
	assert.Equal(t, "half", m.Payload)
	s.Send(wt.Ack(wt.PUBACK, m.ID))
	s.ExpectAck(wt.PUBREL, again.ID)
	s.Send(wt.Ack(wt.PUBCOMP, again.ID))
	s.ExpectQuiet()

	n, _ := client(t, b, wire.V5, wt.Connect{ClientID: "n"})
	n.Subscribe(wt.Filter{Name: "r/#", Opts: 1})
	got := n.Receive("r/kept", "v2")
	assert.True(t, got.Retain)
	n.ExpectQuiet()
	p.Publish(wt.Publish{Topic: "b", Payload: "still subscribed", QoS: 1})
	s.Receive("b", "still subscribed")
}

// What was delivered and acknowledged is not in the file after a stop.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()))
	s, _ := client(t, b, wire.V5, kept("s"))
	s.Subscribe(wt.Filter{Name: "#", Opts: 2})
	p, _ := client(t, b, wire.V5, kept("p"))
	for i := range 50 {
		p.Publish(wt.Publish{Topic: "t", Payload: fmt.Sprint(i), QoS: 1})
		s.Receive("t", fmt.Sprint(i))
		p.Publish(wt.Publish{Topic: "t", Payload: fmt.Sprint(i), QoS: 2})
		s.Receive("t", fmt.Sprint(i))
	}
	s.ExpectQuiet()
	p.ExpectQuiet()
	require.NoError(t, b.Store().Sync(t.Context()))
	b.Restart(t)
	assert.Zero(t, b.Engine.Stats().Queued)
	s, _ = client(t, b, wire.V5, wt.Connect{ClientID: "s"}) // clean start
	s.Disconnect()
	p, _ = client(t, b, wire.V5, wt.Connect{ClientID: "p"})
	p.Disconnect()
	b.Restart(t)
	st := b.Engine.Stats()
	assert.Zero(t, st.ClientsTotal)
	assert.Zero(t, st.Subscriptions)
}

// A member that leaves gives what it has not finished to the others.
func TestSharedHandOver(t *testing.T) {
	t.Parallel()
	for _, persist := range []bool{false, true} {
		t.Run(fmt.Sprint("persistent ", persist), func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t)
			o := func(id string) wt.Connect {
				if persist {
					return kept(id)
				}
				return wt.Connect{ClientID: id}
			}
			m1, _ := client(t, b, wire.V5, o("m1"))
			m1.Subscribe(wt.Filter{Name: "$share/g/t", Opts: 1})
			p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
			for i := range 3 {
				p.Publish(wt.Publish{Topic: "t", Payload: fmt.Sprint(i), QoS: 1})
				m1.ExpectPublish("t", fmt.Sprint(i)) // no PUBACK
			}
			m2, _ := client(t, b, wire.V5, o("m2"))
			m2.Subscribe(wt.Filter{Name: "$share/g/t", Opts: 1})
			m1.Drop()
			for i := range 3 {
				m2.Receive("t", fmt.Sprint(i))
			}
			m2.ExpectQuiet()
			assert.Zero(t, b.Engine.Stats().Queued)
		})
	}
}

// A subscriber that reads nothing costs its publisher nothing, and a takeover of it is quick.
func TestStuckSubscriber(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithConnLimits(func(l *broker.ConnLimits) { l.BufferBytes = 2 << 20 }))
	s := wt.New(t, b.Dial(t, "tcp"), wire.V5)
	s.Connect(kept("s"))
	s.Subscribe(wt.Filter{Name: "zero"}, wt.Filter{Name: "one", Opts: 1})
	p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
	payload := strings.Repeat("x", 16<<10)
	for range 500 {
		p.Publish(wt.Publish{Topic: "zero", Payload: payload})
	}
	for range 500 {
		p.Publish(wt.Publish{Topic: "one", Payload: payload, QoS: 1})
	}
	st := b.Engine.Stats()
	assert.Positive(t, st.Dropped["buffer_full"], "%v", st.Dropped)
	s2, ack := client(t, b, wire.V5, kept("s"))
	require.True(t, ack.Present)
	for range 500 {
		m := s2.Expect(wt.PUBLISH)
		require.Equal(t, "one", m.Topic)
		s2.Acknowledge(m)
	}
	s2.ExpectQuiet()
	assert.Zero(t, b.Engine.Stats().Queued)
}

// A connection whose socket was full once is not closed by that write's time limit afterwards.
func TestSlowOnceIsNotDead(t *testing.T) {
	t.Parallel()
	const limit = 4 * time.Second // also for all that is published below, before s reads
	b := brokertest.Start(t, brokertest.WithConnLimits(func(l *broker.ConnLimits) { l.WriteTimeout = limit }))
	s := wt.New(t, b.Dial(t, "tcp"), wire.V5)
	s.Connect(wt.Connect{ClientID: "s"})
	s.Subscribe(wt.Filter{Name: "t"})
	p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
	payload := strings.Repeat("x", 1<<20)
	const n = 16 // more than a socket takes
	for range n {
		p.Publish(wt.Publish{Topic: "t", Payload: payload})
	}
	p.ExpectQuiet()
	for range n {
		s.ExpectPublish("t", payload)
	}
	pass(p, limit+500*time.Millisecond)
	p.Publish(wt.Publish{Topic: "t", Payload: "still here"})
	s.ExpectPublish("t", "still here")
}

func TestRetainedLimitsRefuse(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, limits(func(l *delivery.Limits) { l.RetainedMessages = 1 }))
	p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
	p.Publish(wt.Publish{Topic: "a", Payload: "1", QoS: 1, Retain: true})
	p.Publish(wt.Publish{Topic: "a", Payload: "2", QoS: 1, Retain: true})
	for _, qos := range []byte{1, 2} {
		p.Send(wt.Publish{Topic: "b", Payload: "1", QoS: qos, Retain: true, ID: 77}.Bytes(wire.V5))
		assert.Equal(t, byte(wire.QuotaExceeded), p.Next().Code)
	}
	p.Publish(wt.Publish{Topic: "b", Payload: "1", Retain: true}) // QoS 0: dropped, and counted
	p.ExpectQuiet()
	st := b.Engine.Stats()
	assert.Equal(t, 1, st.Retained)
	assert.EqualValues(t, 3, st.Dropped["retained_full"])
}

func TestSessionLimit(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, limits(func(l *delivery.Limits) { l.Sessions = 2 }))
	for _, id := range []string{"a", "b", "a", "b"} {
		c, _ := client(t, b, wire.V5, kept(id))
		c.Disconnect()
	}
	c := wt.New(t, b.Dial(t, "memory"), wire.V5)
	c.Send(kept("c").Bytes(wire.V5))
	assert.Equal(t, byte(wire.QuotaExceeded), c.Expect(wt.CONNACK).Code)
}

func TestKick(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	user := "u"
	o := kept("c")
	o.User = &user
	c, _ := client(t, b, wire.V5, o)
	c.Subscribe(wt.Filter{Name: "t", Opts: 1})
	byUser := func(p *delivery.Peer) bool { return p.User == user }
	assert.Equal(t, 1, b.Engine.Kick(byUser, wire.NotAuthorized, "password changed"))
	end := c.ExpectClosed()
	require.NotNil(t, end)
	assert.Equal(t, byte(wire.NotAuthorized), end.Code)
	c, ack := client(t, b, wire.V5, o)
	assert.True(t, ack.Present, "the session stays")
	c.Disconnect()
	assert.Equal(t, 1, b.Engine.Kick(byUser, wire.AdministrativeAction, "user deleted"))
	_, ack = client(t, b, wire.V5, o)
	assert.False(t, ack.Present, "the session is gone")
}

// Anonymous sessions may pass to a user, but no session to somebody else.
func TestSessionsBelongToTheirUser(t *testing.T) {
	t.Parallel()
	ev := &events{}
	b := brokertest.Start(t, brokertest.WithEvents(ev.add))
	alice, bob := "alice", "bob"
	as := func(user *string) wt.Connect {
		o := kept("c")
		o.User = user
		return o
	}
	c, _ := client(t, b, wire.V5, as(nil))
	c.Disconnect()
	c, ack := client(t, b, wire.V5, as(&alice))
	assert.True(t, ack.Present)
	for _, thief := range []*string{&bob, nil} {
		x := wt.New(t, b.Dial(t, "memory"), wire.V5)
		x.Send(as(thief).Bytes(wire.V5))
		p := x.Expect(wt.CONNACK)
		assert.Equal(t, byte(wire.NotAuthorized), p.Code)
	}
	c.ExpectQuiet() // and she was not disturbed
}

func TestShutdownKeepsWills(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()))
	s, _ := client(t, b, wire.V5, kept("s"))
	s.Subscribe(wt.Filter{Name: "will", Opts: 1})
	client(t, b, wire.V311, wt.Connect{ClientID: "w", Will: &wt.Will{Topic: "will", Payload: "gone", QoS: 1}})
	client(t, b, wire.V311, wt.Connect{ClientID: "back", Will: &wt.Will{Topic: "will", Payload: "back", QoS: 1}})
	b.Restart(t)
	s, _ = client(t, b, wire.V5, kept("s"))
	client(t, b, wire.V311, wt.Connect{ClientID: "back"})
	s.Receive("will", "gone") // after the grace of some seconds
	s.ExpectQuiet()
}

func TestServerMessages(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()))
	c, _ := client(t, b, wire.V311, wt.Connect{ClientID: "c"})
	c.Subscribe(wt.Filter{Name: "$SYS/#"}, wt.Filter{Name: "#"})
	c.ExpectQuiet() // the replay is over
	b.Engine.Publish("$SYS/x", []byte("1"), 0, true)
	c.ExpectPublish("$SYS/x", "1")
	c.ExpectQuiet()
	c.Send(wt.Publish{Topic: "$SYS/x", Payload: "forged", QoS: 1, ID: 5, Retain: true}.Bytes(wire.V311))
	c.ExpectAck(wt.PUBACK, 5)
	c.ExpectQuiet()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, b.Store().Sync(ctx))
	assert.Zero(t, b.Store().State().Records, "$SYS on disk")
}
