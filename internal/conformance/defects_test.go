package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// defects are the faults that were found in the library which the broker is built around, by
// their number in the project's list. Each has to stay impossible.
var defects = []struct {
	name  string
	alone bool // measures the process, so nothing else may run
	run   func(t *testing.T)
}{
	{"defect_01 packet identifiers of both directions are apart", false, bothVersions(defect01)},
	{"defect_02 flow control loses nothing", false, defect02},
	{"defect_03 queues keep their order", false, bothVersions(defect03)},
	{"defect_04 DUP is set on what was sent before only", false, bothVersions(defect04)},
	{"defect_05 a repeated QoS 2 message is accepted", false, defect05},
	{"defect_06 a refused QoS 2 message gets PUBREC", false, defect06},
	{"defect_07 retained replay is complete", false, defect07},
	{"defect_08 # matches its parent level", false, bothVersions(defect08)},
	{"defect_09 bad filters are refused", false, bothVersions(defect09)},
	{"defect_10 idle is idle", true, defect10},
	{"defect_11 messages get no expiry from the server", false, defect11},
	{"defect_12 Wills keep delay, properties and retention", false, defect12},
	{"defect_13 an expired session leaves nothing behind", false, defect13},
	{"defect_14 CONNACK tells the limits", false, defect14},
	{"defect_15 an oversized message holds nothing up", false, defect15},
	{"defect_16 a stuck connection is taken over", false, defect16},
	{"defect_17 silent connections end and count", false, defect17},
	{"defect_18 a failed accept is not the end", true, defect18},
	{"defect_19 a length costs no memory", true, defect19},
	{"defect_20 a Will is subject to the policy", false, bothVersions(defect20)},
	{"defect_21 an alias is subject to the policy", false, defect21},
	{"defect_22 what no rule allows is denied", false, defect22},
	{"defect_23 WebSockets are checked", false, defect23},
	{"defect_24 payloads stay out of the log", false, defect24},
	{"defect_25 keep alive does not overflow", false, bothVersions(defect25)},
	{"defect_26 nothing locks up", false, defect26},
	{"defect_27 nothing races", false, defect27},
	{"defect_28 a session belongs to its user", false, bothVersions(defect28)},
}

func TestDefects(t *testing.T) {
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			if !d.alone {
				t.Parallel()
			}
			d.run(t)
		})
	}
}

// rig is a broker of its own for one defect.
type rig struct {
	*env
	b *brokertest.Broker
}

func newRig(t *testing.T, version byte, opts ...brokertest.Option) *rig {
	t.Helper()
	b := brokertest.Start(t, opts...)
	return &rig{env: newEnv(t, &own{Broker: b}, version, "tcp"), b: b}
}

func bothVersions(f func(t *testing.T, version byte)) func(t *testing.T) {
	return func(t *testing.T) {
		for _, v := range versions {
			t.Run(v.name, func(t *testing.T) {
				t.Parallel()
				f(t, v.level)
			})
		}
	}
}

func limits(f func(l *delivery.Limits)) brokertest.Option { return brokertest.WithLimits(f) }

func defect01(t *testing.T, version byte) {
	e := newRig(t, version)
	c, pub := e.connect("a", e.kept()), e.connect("pub")
	c.Subscribe(e.sub("t", 2))
	var ids []uint16
	for i := range 4 {
		m := e.msg("t", fmt.Sprint(i), 1+byte(i%2))
		pub.Publish(m)
		ids = append(ids, c.ExpectPublish(m.Topic, m.Payload).ID)
	}
	// The client happens to use the identifiers of the server.
	for i, id := range ids {
		m := e.msg("other", "x", 2-byte(i%2))
		m.ID = id
		c.Publish(m)
	}
	c.Drop()
	c = e.connect("a", e.kept())
	for i, id := range ids {
		p := c.ExpectPublish(e.topic("t"), fmt.Sprint(i))
		assert.Equal(t, id, p.ID)
	}
}

func defect02(t *testing.T) {
	e := newRig(t, wt.V5)
	two := prop(wt.Num(wt.ReceiveMaximum, 2))
	c, pub := e.connect("a", e.kept(), two), e.connect("pub")
	c.Subscribe(e.sub("t", 1))
	for i := range 10 {
		pub.Publish(e.msg("t", fmt.Sprint(i), 1))
	}
	c.Receive(e.topic("t"), "0")
	c.Receive(e.topic("t"), "1")
	c.ExpectPublish(e.topic("t"), "2")
	c.ExpectPublish(e.topic("t"), "3")
	c.ExpectQuiet()
	c.Drop()
	c = e.connect("a", e.kept(), two)
	for i := 2; i < 10; i++ {
		c.Receive(e.topic("t"), fmt.Sprint(i))
	}
	e.nothing(pub, c, 1)
}

// offline queues n messages for an absent session.
func (e *rig) offline(n int) {
	e.Helper()
	c, pub := e.connect("away", e.kept()), e.connect("pub")
	c.Subscribe(e.sub("t", 2))
	c.Disconnect()
	for i := range n {
		pub.Publish(e.msg("t", fmt.Sprint(i), 1+byte(i%2)))
	}
}

func defect03(t *testing.T, version byte) {
	e := newRig(t, version, brokertest.WithStore(t.TempDir()))
	e.offline(30)
	e.b.Restart(t)
	c, ack := e.connack("away", e.kept())
	require.True(t, ack.Present)
	e.drain(c, 30)
	c.ExpectQuiet()
}

func defect04(t *testing.T, version byte) {
	e := newRig(t, version, brokertest.WithStore(t.TempDir()))
	e.offline(6)
	c := e.connect("away", e.kept())
	sent := map[string]bool{}
	for i := range 6 {
		p := c.ExpectPublish(e.topic("t"), fmt.Sprint(i))
		assert.False(t, p.Dup, "first delivery of %d", i)
		sent[p.Payload] = true
	}
	c.Drop()
	e.b.Restart(t)
	pub := e.connect("pub")
	pub.Publish(e.msg("t", "6", 1)) // queued after the restart, and never sent
	c = e.connect("away", e.kept())
	for i := range 7 {
		p := c.ExpectPublish(e.topic("t"), fmt.Sprint(i))
		assert.Equal(t, sent[p.Payload], p.Dup, "DUP of %d", i)
	}
}

func defect05(t *testing.T) {
	e := newRig(t, wt.V5, limits(func(l *delivery.Limits) { l.ReceiveMaximum = 5 }))
	sub, pub := e.connect("sub"), e.connect("pub", e.kept())
	sub.Subscribe(e.sub("t", 2))
	for i := range 12 { // more than the quota: a leak would end this
		m := e.msg("t", fmt.Sprint(i), 2)
		m.ID = 9
		pub.Send(m.Bytes(wt.V5))
		assert.Less(t, pub.ExpectAck(wt.PUBREC, 9).Code, byte(0x80))
		m.Dup = true
		pub.Drop()
		pub = e.connect("pub", e.kept())
		pub.Send(m.Bytes(wt.V5))
		assert.Less(t, pub.ExpectAck(wt.PUBREC, 9).Code, byte(0x80))
		pub.Send(wt.Ack(wt.PUBREL, 9))
		pub.ExpectAck(wt.PUBCOMP, 9)
		sub.Receive(m.Topic, m.Payload)
	}
	e.nothing(pub, sub, 2)
}

func defect06(t *testing.T) {
	e := newRig(t, wt.V5, brokertest.WithPolicy(guard{}))
	c := e.connect("a")
	for id := uint16(1); id < 4; id++ {
		c.Send(wt.Publish{Topic: "deny/x", QoS: 2, ID: id}.Bytes(wt.V5))
		p := c.Expect(wt.PUBREC)
		assert.Equal(t, id, p.ID)
		assert.Equal(t, byte(0x87), p.Code)
	}
}

func defect07(t *testing.T) {
	const n = 30_000
	e := newRig(t, wt.V5, brokertest.WithStore(t.TempDir()))
	pub := e.connect("pub")
	var batch []byte
	for i := range n {
		m := e.retained(fmt.Sprintf("r/%d/%d", i%100, i), fmt.Sprint(i), 0)
		batch = append(batch, m.Bytes(wt.V5)...)
		if len(batch) > 32<<10 {
			pub.Send(batch)
			batch = batch[:0]
		}
	}
	pub.Send(batch)
	pub.Publish(e.msg("end", "x", 1)) // the PUBACK comes behind all of them
	for _, read := range []struct {
		qos     byte
		restart bool
	}{{0, false}, {1, false}, {0, true}, {1, false}} {
		if read.restart {
			e.b.Restart(t)
		}
		sub := e.connect("sub")
		sub.Subscribe(e.sub("r/#", read.qos))
		seen := make(map[string]bool, n)
		for len(seen) < n {
			p := sub.Expect(wt.PUBLISH)
			require.True(t, p.Retain)
			require.False(t, seen[p.Topic], "%s came twice", p.Topic)
			seen[p.Topic] = true
		}
		sub.Disconnect()
	}
}

func defect08(t *testing.T, version byte) {
	e := newRig(t, version)
	sub, pub := e.connect("sub"), e.connect("pub")
	pub.Publish(e.retained("a", "x", 1))
	for filter, n := range map[string]int{"a/#": 1, "+/#": 1, "a": 1, "a/+": 0, "#": 1} {
		assert.Len(t, e.replay(sub, pub, e.sub(filter, 1)), n, "filter %s", filter)
		sub.Unsubscribe(e.topic(filter))
	}
	sub.Subscribe(e.sub("+/#", 1))
	sub.Receive(e.topic("a"), "x")
	pub.Publish(e.msg("a", "live", 1))
	sub.Receive(e.topic("a"), "live")
}

func defect09(t *testing.T, version byte) {
	e := newRig(t, version)
	bad := []string{"foo+", "foo#", "a/+b/#", "#/a", "a/#/b", "+a"}
	if version == wt.V5 {
		bad = append(bad, "$share//x", "$share/g", "$share/g/", "$share/+/x")
	}
	badFilters(bad...)(e.env)
}

func defect11(t *testing.T) {
	e := newRig(t, wt.V5, brokertest.WithStore(t.TempDir()))
	away, here, pub := e.connect("away", e.kept()), e.connect("here"), e.connect("pub")
	away.Subscribe(e.sub("t", 1))
	away.Disconnect()
	here.Subscribe(e.sub("t", 1))
	pub.Publish(e.retained("t", "x", 1))
	assert.Empty(t, here.Receive(e.topic("t"), "x").Props)
	e.b.Restart(t)
	assert.Empty(t, e.connect("away", e.kept()).Receive(e.topic("t"), "x").Props)
	late := e.connect("late")
	late.Subscribe(e.sub("t", 1))
	assert.Empty(t, late.Receive(e.topic("t"), "x").Props)
}

func defect12(t *testing.T) {
	e := newRig(t, wt.V5, brokertest.WithStore(t.TempDir()))
	props := wt.Props{
		wt.Num(wt.PayloadFormat, 1), wt.Str(wt.ContentType, "text/plain"), wt.Str(wt.ResponseTopic, "answer"),
		wt.Str(wt.CorrelationData, "\x00id"), wt.User("k", "v"),
	}
	w := wt.Will{Topic: e.topic("w"), Payload: "gone", QoS: 1, Retain: true}
	w.Props = append(wt.Props{wt.Num(wt.WillDelay, 2), wt.Num(wt.MessageExpiry, 1000)}, props...)
	e.connect("a", e.kept(), will(w)).Drop()
	// And one whose session ends before its delay does.
	short := w
	short.Topic = e.topic("short")
	e.connect("b", prop(wt.Num(wt.SessionExpiry, 1)), will(short)).Drop()
	start := time.Now()
	require.Eventually(t, func() bool { return e.b.Engine.Stats().ClientsConnected == 0 }, 5*time.Second, time.Millisecond)
	e.b.Restart(t)
	watch := e.connect("watch")
	watch.Subscribe(e.sub("w", 1))
	p := watch.Receive(w.Topic, "gone")
	took := time.Since(start)
	assert.GreaterOrEqual(t, took, 1900*time.Millisecond)
	assert.Less(t, took, 15*time.Second) // after a restart clients get some seconds to come back
	left, ok := p.Props.Get(wt.MessageExpiry)
	require.True(t, ok)
	assert.InDelta(t, 1000, left, 3, "message expiry of the Will")
	for _, x := range props {
		assert.Contains(t, p.Props, x)
	}
	late := e.connect("late")
	late.Subscribe(e.sub("w", 1), e.sub("short", 1))
	for range 2 {
		assert.True(t, late.Expect(wt.PUBLISH).Retain)
	}
}

func defect13(t *testing.T) {
	e := newRig(t, wt.V5)
	c := e.connect("a", prop(wt.Num(wt.SessionExpiry, 1)))
	c.Subscribe(e.sub("a", 1), e.sub("b/#", 1), wt.Filter{Name: "$share/g/c", Opts: 1})
	s := e.b.Engine.Stats()
	require.Equal(t, 3, s.Subscriptions+s.SharedSubscriptions)
	c.Disconnect()
	require.Eventually(t, func() bool {
		s := e.b.Engine.Stats()
		return s.Subscriptions == 0 && s.SharedSubscriptions == 0 && s.ClientsTotal == 0
	}, 10*time.Second, 20*time.Millisecond)
}

func defect14(t *testing.T) {
	e := newRig(t, wt.V5, limits(func(l *delivery.Limits) {
		l.ReceiveMaximum, l.TopicAliasMaximum, l.PacketBytes, l.MaxQoS, l.Retain, l.KeepAlive = 7, 8, 4096, 1, false, 90
	}))
	_, ack := e.connack("a")
	for id, want := range map[byte]uint32{
		wt.ReceiveMaximum: 7, wt.TopicAliasMaximum: 8, wt.MaximumPacketSize: 4096, wt.MaximumQoS: 1, wt.RetainAvailable: 0, wt.ServerKeepAlive: 90,
	} {
		have, ok := ack.Props.Get(id)
		assert.True(t, ok, "property 0x%02x", id)
		assert.Equal(t, want, have, "property 0x%02x", id)
	}
	// Those are there, and may be left out only then.
	for _, id := range []byte{wt.WildcardAvailable, wt.SubIDAvailable, wt.SharedAvailable} {
		if have, ok := ack.Props.Get(id); ok {
			assert.EqualValues(t, 1, have, "property 0x%02x", id)
		}
	}
	c := e.connect("b")
	c.SubscribeWith(wt.Props{wt.Num(wt.SubscriptionID, 1)}, e.sub("+/#", 1), wt.Filter{Name: "$share/g/x", Opts: 1})
}
