package delivery_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

func TestFollower(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T, hooks ...delivery.Hook) (*gated, *adviser, *wt.Conn) {
		a := advise(delivery.Terms{})
		x := startGated(t, nil, append([]delivery.Hook{a}, hooks...)...)
		d, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "dev"})
		a.heard(t, 1)
		return x, a, d
	}
	t.Run("nobody cares", func(t *testing.T) {
		t.Parallel()
		_, a, d := start(t)
		for qos := range byte(3) {
			d.Publish(wt.Publish{Topic: "a", QoS: qos})
			assert.Equal(t, "taken true", a.heard(t, 1)[1+qos])
		}
	})
	t.Run("a later hook objects", func(t *testing.T) {
		t.Parallel()
		_, a, d := start(t, ignore{})
		d.Publish(wt.Publish{Topic: "a", QoS: 1})
		assert.Equal(t, []string{"began", "taken false"}, a.heard(t, 1))
	})
	t.Run("after the commit", func(t *testing.T) {
		t.Parallel()
		x, a, d := start(t)
		s, _ := x.dial(t, wire.V5, kept("s"))
		s.Subscribe(wt.Filter{Name: "a", Opts: 2})
		x.idle(t)
		x.g.close()
		d.Send(wt.Publish{Topic: "a", QoS: 2, ID: 1}.Bytes(wire.V5))
		d.ExpectQuiet()
		assert.Len(t, a.log, 1)
		x.g.open()
		d.ExpectAck(wt.PUBREC, 1)
		assert.Equal(t, []string{"began", "later true"}, a.heard(t, 1))
		d.Publish(wt.Publish{Topic: "b"})
		assert.Equal(t, "taken true", a.heard(t, 1)[2], "the next one is told of by itself")
	})
	t.Run("the commit fails", func(t *testing.T) {
		t.Parallel()
		x, a, d := start(t)
		s, _ := x.dial(t, wire.V5, kept("s"))
		s.Subscribe(wt.Filter{Name: "a", Opts: 2})
		x.idle(t)
		x.g.close()
		d.Send(wt.Publish{Topic: "a", QoS: 2, ID: 1}.Bytes(wire.V5))
		d.ExpectQuiet()
		x.g.fail()
		assert.Equal(t, byte(wire.QuotaExceeded), d.Expect(wt.PUBREC).Code)
		assert.Equal(t, []string{"began", "later false"}, a.heard(t, 1))
	})
	t.Run("queue full", func(t *testing.T) {
		t.Parallel()
		a := advise(delivery.Terms{})
		b := brokertest.Start(t, brokertest.WithHooks(a), limits(func(l *delivery.Limits) { l.QueueMessages = 1 }))
		s, _ := client(t, b, wire.V5, kept("s"))
		s.Subscribe(wt.Filter{Name: "a", Opts: 1})
		s.Drop()
		require.Eventually(t, func() bool { i, _ := b.Engine.Client("s"); return !i.Connected }, 5*time.Second, time.Millisecond)
		d := device(t, b, wt.Connect{})
		d.Publish(wt.Publish{Topic: "a", QoS: 1})
		d.Publish(wt.Publish{Topic: "a", QoS: 1}) // 3.1.1: acknowledged, and not taken
		assert.Equal(t, []string{"began", "taken true", "taken false"}, a.heard(t, 3))
	})
}

// repeats is a hook that takes every message for a repeat.
type repeats struct{ ignore }

func (repeats) Attach(*delivery.Peer) delivery.Inspector { return repeats{} }
func (repeats) OnMessage(m *delivery.Message) delivery.Verdict {
	if !strings.HasPrefix(m.Topic, "again") {
		return delivery.Verdict{}
	}
	return delivery.Verdict{Action: delivery.Repeat, Reason: "duplicate"}
}

// TestRepeatIsAcknowledgedBehindWhatItRepeats: the promise of an acknowledgement is that of the first one.
func TestRepeatIsAcknowledgedBehindWhatItRepeats(t *testing.T) {
	t.Parallel()
	for qos := byte(1); qos <= 2; qos++ {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			t.Parallel()
			x := startGated(t, nil, repeats{})
			s, _ := x.dial(t, wire.V5, kept("s"))
			s.Subscribe(wt.Filter{Name: "a", Opts: 1})
			x.idle(t)
			p, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "p"})
			q, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "q"})
			x.g.close()
			p.Send(wt.Publish{Topic: "a", QoS: 1, ID: 1}.Bytes(wire.V5))
			p.ExpectQuiet()
			q.Send(wt.Publish{Topic: "again", QoS: qos, ID: 1}.Bytes(wire.V5))
			q.ExpectQuiet()
			x.g.open()
			ack := []byte{0, wt.PUBACK, wt.PUBREC}[qos]
			q.ExpectAck(ack, 1)
			p.ExpectAck(wt.PUBACK, 1)
			if qos == 2 {
				q.Send(wt.Ack(wt.PUBREL, 1))
				q.ExpectAck(wt.PUBCOMP, 1)
			}
		})
	}
}
