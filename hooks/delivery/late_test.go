package delivery_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// TestSubscriberBetweenMatchAndRetain: who subscribes while a retained message waits for the disk
// gets the one of before as retained, and must not miss the new one.
func TestSubscriberBetweenMatchAndRetain(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			t.Parallel()
			x := startGated(t, nil)
			p, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "p"})
			s, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "s"})
			p.Publish(wt.Publish{Topic: "a", Payload: "one", QoS: 1, Retain: true})
			full := make(chan chan struct{})
			x.g.mu.Lock()
			x.g.full = full
			x.g.mu.Unlock()
			p.Send(wt.Publish{Topic: "a", Payload: "two", QoS: qos, Retain: true, ID: 77}.Bytes(wire.V5))
			room := <-full // its subscribers are looked up, and it waits
			x.g.mu.Lock()
			x.g.full = nil
			x.g.mu.Unlock()
			s.Subscribe(wt.Filter{Name: "a", Opts: 2})
			s.Receive("a", "one")
			close(room)
			s.Receive("a", "two")
		})
	}
}

// stop is a hook whose messages wait for the test when their subscribers are known and queued.
type stop struct{ reached, resume chan struct{} }

func (stop) Name() string                                 { return "stop" }
func (s stop) Attach(*delivery.Peer) delivery.Inspector   { return s }
func (stop) OnMessage(*delivery.Message) delivery.Verdict { return delivery.Verdict{} }
func (stop) Outcome(bool)                                 {}
func (s stop) Later() func(bool) {
	s.reached <- struct{}{}
	<-s.resume
	return func(bool) {}
}

// TestSubscriberBetweenQueueAndRetain: the same a moment later, when QoS 2 is in the queues of its
// subscribers and not retained yet.
func TestSubscriberBetweenQueueAndRetain(t *testing.T) {
	t.Parallel()
	h := stop{make(chan struct{}), make(chan struct{})}
	x := startGated(t, nil, h)
	p, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "p"})
	early, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "early"})
	early.Subscribe(wt.Filter{Name: "a", Opts: 2})
	p.Publish(wt.Publish{Topic: "a", Payload: "one", QoS: 1, Retain: true})
	early.Receive("a", "one")
	p.Send(wt.Publish{Topic: "a", Payload: "two", QoS: 2, Retain: true, ID: 77}.Bytes(wire.V5))
	<-h.reached
	var late []*wt.Conn
	for qos := range byte(3) {
		c, _ := x.dial(t, wire.V5, wt.Connect{ClientID: fmt.Sprint("late", qos)})
		c.Subscribe(wt.Filter{Name: "a", Opts: qos})
		c.Receive("a", "one")
		late = append(late, c)
	}
	early.Subscribe(wt.Filter{Name: "#", Opts: 2 | wt.RetainNever}) // it has it already
	close(h.resume)
	for qos, c := range late {
		assert.Equal(t, byte(qos), c.Receive("a", "two").QoS)
		c.ExpectQuiet()
	}
	early.Receive("a", "two")
	early.ExpectQuiet()
}

// TestQueueOfALostConnection: what a session that ends with its connection still held is counted,
// unless its client said goodbye.
func TestQueueOfALostConnection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(*wt.Conn)
		want uint64
	}{
		"lost":    {func(c *wt.Conn) { c.Drop() }, 2},
		"goodbye": {func(c *wt.Conn) { c.Disconnect() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := startGated(t, nil)
			p, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "p"})
			s, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "s"})
			s.Subscribe(wt.Filter{Name: "a", Opts: 1})
			for _, text := range []string{"one", "two"} {
				p.Publish(wt.Publish{Topic: "a", Payload: text, QoS: 1})
				s.ExpectPublish("a", text) // and not acknowledged
			}
			c.end(s)
			require.Eventually(t, func() bool { return x.e.Stats().ClientsTotal == 1 }, 5*time.Second, time.Millisecond)
			assert.Equal(t, c.want, x.e.Stats().Dropped["connection_lost"])
		})
	}
}
