package delivery_test

import (
	"fmt"
	"os"
	"path/filepath"
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

// Each test here is a fault that the engine had once.

// v3.1.1: PUBREL for an id that is gone, behind one that waits for the store: no PUBCOMP ever.
func TestPubcompOfUnknownIDBehindAStoredAck(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()))
	s, _ := client(t, b, wire.V5, kept("s"))
	s.Subscribe(wt.Filter{Name: "t", Opts: 1})
	p, _ := client(t, b, wire.V311, wt.Connect{ClientID: "p", Persist: true})
	p.Send(wt.Publish{Topic: "t", Payload: "x", QoS: 2, ID: 1}.Bytes(wire.V311))
	p.ExpectAck(wt.PUBREC, 1)
	p.Send(wt.Publish{Topic: "t", Payload: "y", QoS: 2, ID: 2}.Bytes(wire.V311))
	p.ExpectAck(wt.PUBREC, 2)
	p.Send(wt.Ack(wt.PUBREL, 2))
	p.ExpectAck(wt.PUBCOMP, 2) // and suppose that it is lost with the connection:
	p.Drop()
	p, _ = client(t, b, wire.V311, wt.Connect{ClientID: "p", Persist: true})
	p.Timeout = 2 * time.Second
	p.Send(wt.Ack(wt.PUBREL, 1), wt.Ack(wt.PUBREL, 2)) // resume, as [MQTT-4.4.0-1] wants
	p.ExpectAck(wt.PUBCOMP, 1)
	got, err := p.TryNext()
	require.NoError(t, err, "PUBCOMP 2 never comes")
	assert.Equal(t, uint16(2), got.ID)
}

// the same towards a subscriber that also publishes: PUBREC for an unknown id gets no PUBREL.
func TestPubrelOfUnknownIDBehindAStoredAck(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()))
	s, _ := client(t, b, wire.V5, kept("s"))
	s.Subscribe(wt.Filter{Name: "t", Opts: 1})
	p, _ := client(t, b, wire.V311, wt.Connect{ClientID: "p", Persist: true})
	p.Timeout = 2 * time.Second
	p.Send(wt.Publish{Topic: "t", Payload: "x", QoS: 1, ID: 1}.Bytes(wire.V311), wt.Ack(wt.PUBREC, 77))
	p.ExpectAck(wt.PUBACK, 1)
	_, err := p.TryNext()
	require.NoError(t, err, "PUBREL 77 never comes")
}

// QoS 0 members of a shared subscription never get a durable QoS 2 message.
func TestSharedMemberOfQoS0GetsDurableQoS2(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()))
	s, _ := client(t, b, wire.V5, kept("s"))
	s.Subscribe(wt.Filter{Name: "t", Opts: 1})
	m, _ := client(t, b, wire.V5, wt.Connect{ClientID: "m"})
	m.Timeout = 2 * time.Second
	m.Subscribe(wt.Filter{Name: "$share/g/t", Opts: 0})
	p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
	p.Publish(wt.Publish{Topic: "t", Payload: "one", QoS: 1})
	m.Receive("t", "one")
	p.Publish(wt.Publish{Topic: "t", Payload: "two", QoS: 2})
	s.Receive("t", "one")
	s.Receive("t", "two")
	_, err := m.TryNext()
	require.NoError(t, err, "the QoS 0 member got nothing of the QoS 2 message")
}

// one full member of a group: QoS 1 is given to the next, QoS 2 is lost for the group though acknowledged.
func TestSharedMemberWithAFullQueueIsPassedOver(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprint(qos), func(t *testing.T) {
			b := brokertest.Start(t, brokertest.WithStore(t.TempDir()), limits(func(l *delivery.Limits) { l.QueueMessages = 2 }))
			s, _ := client(t, b, wire.V5, kept("other"))
			s.Subscribe(wt.Filter{Name: "t", Opts: 1}) // somebody else takes it, so the publisher is told success
			full, _ := client(t, b, wire.V5, kept("full"))
			full.Subscribe(wt.Filter{Name: "$share/g/t", Opts: 2}, wt.Filter{Name: "fill", Opts: 1})
			free, _ := client(t, b, wire.V5, kept("free"))
			free.Timeout = 2 * time.Second
			free.Subscribe(wt.Filter{Name: "$share/g/t", Opts: 2})
			p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
			for range 2 {
				p.Publish(wt.Publish{Topic: "fill", QoS: 1})
				full.Expect(wt.PUBLISH) // no ack: full
			}
			got := 0
			free.Timeout = 500 * time.Millisecond
			for i := range 4 {
				p.Publish(wt.Publish{Topic: "t", Payload: fmt.Sprint(i), QoS: qos})
				s.Receive("t", fmt.Sprint(i))
				if m, err := free.TryNext(); err == nil {
					got++
					free.Acknowledge(m)
				}
			}
			assert.Equal(t, 4, got, "of 4 messages for the group")
		})
	}
}

// A client that connects, or a Kick, while its session is being ended by a timer.
func TestSessionIsUsedWhileItEnds(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"reconnect", "kick"} {
		t.Run(what, func(t *testing.T) {
			in, out := make(chan struct{}), make(chan struct{})
			var once sync.Once
			b := brokertest.Start(t, brokertest.WithEvents(func(ev delivery.Event) {
				if ev.Kind == "will" { // stands for a will that takes a while to deliver
					once.Do(func() { close(in); <-out })
				}
			}))
			o := kept("c")
			o.Props = wt.Props{wt.Num(wt.SessionExpiry, 1)}
			o.Will = &wt.Will{Topic: "w", Payload: "x", Props: wt.Props{wt.Num(wt.WillDelay, 60)}}
			c, _ := client(t, b, wire.V5, o)
			c.Drop()
			<-in
			defer close(out)
			if what == "kick" {
				assert.NotPanics(t, func() {
					b.Engine.Kick(func(p *delivery.Peer) bool { return p.ID == "c" }, wire.NotAuthorized, "x")
				})
				return
			}
			c2 := wt.New(t, b.Dial(t, "memory"), wire.V5)
			c2.Send(wt.Connect{ClientID: "c"}.Bytes(wire.V5))
			c2.Timeout = time.Second
			_, err := c2.TryNext()
			assert.ErrorContains(t, err, "timeout", "it should wait for the end of the session, but: %v", err)
		})
	}
}

// Two QoS 2 retained messages of one topic in a commit that fails.
func TestRefusedRetainedMessagesAreTakenBack(t *testing.T) {
	t.Parallel()
	x := startGated(t, nil)
	p, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "p"})
	p.Publish(wt.Publish{Topic: "r", Payload: "old", QoS: 1, Retain: true})
	x.idle(t)
	x.g.close()
	p.Send(wt.Publish{Topic: "r", Payload: "A", QoS: 2, Retain: true, ID: 1}.Bytes(wire.V5), wt.Publish{Topic: "r", Payload: "B", QoS: 2, Retain: true, ID: 2}.Bytes(wire.V5))
	require.Eventually(t, func() bool { return x.g.waiting() == 2 }, time.Second, time.Millisecond)
	x.g.fail()
	assert.Equal(t, byte(wire.QuotaExceeded), p.Expect(wt.PUBREC).Code)
	assert.Equal(t, byte(wire.QuotaExceeded), p.Expect(wt.PUBREC).Code)
	x.g.open()
	s, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "s"})
	s.Subscribe(wt.Filter{Name: "r"})
	assert.Equal(t, "old", s.Expect(wt.PUBLISH).Payload)
}

// After a failed commit the sent marker is not written any more: DUP lies after a crash.
func TestSentMarkerAfterAFailedCommit(t *testing.T) {
	t.Parallel()
	x := startGated(t, nil)
	s, _ := x.dial(t, wire.V5, kept("s"))
	s.Subscribe(wt.Filter{Name: "t", Opts: 2})
	p, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "p"})
	x.idle(t)
	x.g.close()
	p.Send(wt.Publish{Topic: "t", Payload: "A", QoS: 2, ID: 1}.Bytes(wire.V5))
	require.Eventually(t, func() bool { return x.g.waiting() == 1 }, time.Second, time.Millisecond)
	x.g.fail()
	assert.Equal(t, byte(wire.QuotaExceeded), p.Expect(wt.PUBREC).Code)
	x.g.open()
	pass(p, 300*time.Millisecond) // the engine looks at the disk again
	p.Publish(wt.Publish{Topic: "t", Payload: "B", QoS: 1})
	s.ExpectPublish("t", "B") // sent, not acknowledged
	s.ExpectQuiet()
	assert.Equal(t, 1, x.g.has("queue "), "the entry is on disk")
	assert.Equal(t, 1, x.g.has("sent "), "and that it was sent")
}

func TestRetainedQoS0OnAFullDisk(t *testing.T) {
	t.Parallel()
	x := startGated(t, nil)
	p, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "p"})
	x.g.mu.Lock()
	x.g.bad, x.g.shut = true, true
	x.g.mu.Unlock()
	pass(p, 300*time.Millisecond)
	for range 2000 {
		p.Publish(wt.Publish{Topic: "r", Payload: "x", Retain: true})
	}
	p.ExpectQuiet()
	assert.LessOrEqual(t, x.g.waiting(), 2, "one record of a topic is enough")
	x.g.mu.Lock()
	x.g.bad = false
	x.g.mu.Unlock()
}

// Messages behind a QoS 2 message that waits for its commit keep their place, whatever their QoS,
// and one that is sent again on a new connection meanwhile comes once.
func TestMessagesBehindADeferredOne(t *testing.T) {
	t.Parallel()
	x := startGated(t, nil)
	s, _ := x.dial(t, wire.V5, kept("s"))
	s.Subscribe(wt.Filter{Name: "t", Opts: 2})
	live, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "live"})
	live.Subscribe(wt.Filter{Name: "+", Opts: 2})
	o := kept("p")
	p, _ := x.dial(t, wire.V5, o)
	x.idle(t)
	x.g.close() // a slow fsync
	messages := func(dup bool) [][]byte {
		return [][]byte{
			wt.Publish{Topic: "t", Payload: "A", QoS: 2, ID: 1, Dup: dup}.Bytes(wire.V5),
			wt.Publish{Topic: "n", Payload: "B", QoS: 2, ID: 2, Dup: dup}.Bytes(wire.V5),
			wt.Publish{Topic: "t", Payload: "C", QoS: 1, ID: 3, Dup: dup}.Bytes(wire.V5),
			wt.Publish{Topic: "t", Payload: "D", QoS: 2, ID: 4, Dup: dup}.Bytes(wire.V5),
		}
	}
	p.Send(messages(false)...)
	require.Eventually(t, func() bool { return x.g.waiting() >= 2 }, 5*time.Second, time.Millisecond)
	p.Drop()
	p = wt.New(t, x.pipe(t), wire.V5)
	p.Send(o.Bytes(wire.V5))
	pass(live, 50*time.Millisecond)
	x.g.open()
	require.True(t, p.Expect(wt.CONNACK).Present)
	p.Send(messages(true)...)
	p.ExpectAck(wt.PUBREC, 1) // whatever came before is answered behind it
	count, order := map[string]int{}, ""
	for released, over := 0, false; !over; {
		switch m := live.Next(); m.Type {
		case wt.PUBLISH:
			if count[m.Payload]++; count[m.Payload] == 1 {
				order += m.Payload
			}
			typ := wt.PUBACK
			if m.QoS == 2 {
				typ = wt.PUBREC
			}
			live.Send(wt.Ack(typ, m.ID))
		case wt.PUBREL:
			live.Send(wt.Ack(wt.PUBCOMP, m.ID))
			if released++; released == 3 {
				for _, id := range []uint16{2, 3, 4} { // everything was handled
					p.Expect(map[uint16]byte{2: wt.PUBREC, 3: wt.PUBACK, 4: wt.PUBREC}[id])
				}
				live.Send(wt.Ping())
			}
		case wt.PINGRESP:
			over = true
		}
	}
	assert.Equal(t, "ABCD", order)
	delete(count, "C") // sent twice at QoS 1, it may come twice
	assert.Equal(t, map[string]int{"A": 1, "B": 1, "D": 1}, count)
}

type ignore struct{}

func (ignore) Name() string                             { return "ignore" }
func (ignore) Attach(*delivery.Peer) delivery.Inspector { return ignore{} }
func (ignore) OnMessage(*delivery.Message) delivery.Verdict {
	return delivery.Verdict{Action: delivery.Ignore, Reason: "x"}
}

// Ignore of a QoS 2 message.
func TestIgnoredQoS2IsAnExchange(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithHooks(ignore{}))
	p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
	p.Send(wt.Publish{Topic: "t", Payload: "x", QoS: 2, ID: 1}.Bytes(wire.V5))
	p.ExpectAck(wt.PUBREC, 1)
	p.Send(wt.Ack(wt.PUBREL, 1))
	assert.Equal(t, byte(0), p.Expect(wt.PUBCOMP).Code)
}

// A will of a session that was resumed with expiry 0, and a crash.
func TestWillOfQoS2WaitsForItsCommit(t *testing.T) {
	t.Parallel()
	x := startGated(t, nil)
	s, _ := x.dial(t, wire.V5, kept("s"))
	s.Subscribe(wt.Filter{Name: "w", Opts: 2})
	c, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "c", Will: &wt.Will{Topic: "w", Payload: "gone", QoS: 2}})
	x.idle(t)
	x.g.close()
	c.Drop()
	s.Timeout = time.Second
	m, err := s.TryNext()
	assert.Error(t, err, "QoS 2 sent before anything of it is on disk: %s", m)
}

// A session resumed with expiry 0, its will, and a crash.
func TestWillOfASessionThatDoesNotSurvive(t *testing.T) {
	t.Parallel()
	for _, resumed := range []bool{false, true} {
		t.Run(fmt.Sprint("resumed ", resumed), func(t *testing.T) {
			dir := t.TempDir()
			b := brokertest.Start(t, brokertest.WithStore(dir))
			if resumed {
				c, _ := client(t, b, wire.V5, kept("c"))
				c.Disconnect()
			}
			o := kept("c")
			o.Props = nil // session expiry 0
			o.Will = &wt.Will{Topic: "w", Payload: "gone", QoS: 1}
			_, ack := client(t, b, wire.V5, o)
			require.Equal(t, resumed, ack.Present)
			require.NoError(t, b.Store().Sync(t.Context()))
			db, err := os.ReadFile(filepath.Join(dir, "tarsd.db"))
			require.NoError(t, err)
			dir2 := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir2, "tarsd.db"), db, 0o600))
			b2 := brokertest.Start(t, brokertest.WithStore(dir2)) // as after kill -9
			s, _ := client(t, b2, wire.V5, wt.Connect{ClientID: "s"})
			s.Subscribe(wt.Filter{Name: "w", Opts: 1})
			s.Timeout = 7 * time.Second // the grace is 5 s
			_, err = s.TryNext()
			assert.NoError(t, err, "the will of a client that did not come back")
		})
	}
}
