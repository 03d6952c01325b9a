package conformance

import (
	"time"

	"github.com/stretchr/testify/assert"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// qosChecks are section 4.3: the delivery protocols while the connection holds.
func qosChecks() []check {
	return []check{
		{v3: "4.3.1-1", v5: "4.3.1-1", what: "QoS 0 goes from end to end", run: endToEnd(0)},
		{v3: "4.3.2-1", v5: "4.3.2-2", what: "QoS 1 goes from end to end", run: endToEnd(1)},
		{v3: "4.3.3-1", v5: "4.3.3-2 4.3.3-4", what: "QoS 2 goes from end to end", run: endToEnd(2)},
		{v3: "4.3.2-2", v5: "4.3.2-4", what: "QoS 1 is acknowledged", run: puback},
		{v3: "4.3.2-2", v5: "4.3.2-5", what: "after PUBACK the same identifier is a new message", run: sameIDQoS1},
		{v3: "4.3.3-2", v5: "4.3.3-8 4.3.3-11", what: "QoS 2 is received and completed", run: pubrec},
		{v3: "4.3.3-2", v5: "4.3.3-10", what: "a repeated QoS 2 message is not delivered again", run: repeatQoS2},
		{v3: "4.3.3-2", v5: "4.3.3-12", what: "after PUBCOMP the same identifier is a new message", run: sameIDQoS2},
		{v5: "3.7.2-1", what: "PUBREL of nothing gets PUBCOMP", run: pubrelUnknown},
		{v5: "3.6.2-1", what: "PUBREC of nothing gets PUBREL", run: pubrecUnknown},
		{v5: "4.3.3-13", what: "an expired QoS 2 message is still completed", run: completesExpired},
		{v5: "4.3.3-7", what: "a message that was sent does not expire", run: sentDoesNotExpire},
		{v5: "4.4.0-2", what: "a message that the client refused is not sent again", run: refusedByClient},
	}
}

func endToEnd(qos byte) func(e *env) {
	return func(e *env) {
		sub, pub := e.connect("sub"), e.connect("pub")
		sub.Subscribe(e.sub("t", qos))
		for _, payload := range []string{"one", "", "two"} {
			pub.Publish(e.msg("t", payload, qos))
			p := sub.Receive(e.topic("t"), payload)
			assert.Equal(e, qos, p.QoS)
			assert.False(e, p.Dup)
		}
		sub.ExpectQuiet()
	}
}

func puback(e *env) {
	c := e.connect("a")
	m := e.msg("t", "x", 1)
	var all []byte
	for id := uint16(1); id <= 5; id++ {
		m.ID = id
		all = append(all, m.Bytes(e.version)...)
	}
	c.Send(all)
	for id := uint16(1); id <= 5; id++ {
		c.ExpectAck(wt.PUBACK, id)
	}
	c.ExpectQuiet()
}

func sameIDQoS1(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 1))
	for i := range 4 {
		m := e.msg("t", "x", 1)
		m.ID, m.Dup = 7, i%2 == 1
		pub.Publish(m)
		sub.Receive(m.Topic, "x")
	}
}

func pubrec(e *env) {
	c := e.connect("a")
	m := e.msg("t", "x", 2)
	m.ID = 77
	c.Send(m.Bytes(e.version))
	c.ExpectAck(wt.PUBREC, 77)
	c.ExpectQuiet() // nothing more until PUBREL
	c.Send(wt.Ack(wt.PUBREL, 77))
	c.ExpectAck(wt.PUBCOMP, 77)
	c.ExpectQuiet()
}

func repeatQoS2(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	m := e.msg("t", "x", 2)
	m.ID = 7
	for range 3 {
		pub.Send(m.Bytes(e.version))
		pub.ExpectAck(wt.PUBREC, 7)
		m.Dup = true
	}
	pub.Send(wt.Ack(wt.PUBREL, 7))
	pub.ExpectAck(wt.PUBCOMP, 7)
	sub.Receive(m.Topic, "x")
	e.nothing(pub, sub, 2)
}

func sameIDQoS2(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	for i := range 3 {
		m := e.msg("t", "x", 2)
		m.ID, m.Dup = 7, i > 0
		pub.Publish(m)
		sub.Receive(m.Topic, "x")
	}
}

func pubrelUnknown(e *env) {
	c := e.connect("a")
	c.Send(wt.Ack(wt.PUBREL, 999))
	p := c.Expect(wt.PUBCOMP)
	assert.EqualValues(e, 999, p.ID)
	assert.Contains(e, []byte{0, 0x92}, p.Code)
	c.ExpectQuiet()
}

func pubrecUnknown(e *env) {
	c := e.connect("a")
	c.Send(wt.Ack(wt.PUBREC, 999))
	p := c.Next()
	if p.Type == wt.DISCONNECT { // a protocol error is a possible reading
		return
	}
	assert.Equal(e, wt.PUBREL, p.Type)
	assert.EqualValues(e, 999, p.ID)
	assert.Contains(e, []byte{0, 0x92}, p.Code)
}

func completesExpired(e *env) {
	c := e.connect("a")
	m := e.msg("t", "x", 2)
	m.ID, m.Props = 7, wt.Props{wt.Num(wt.MessageExpiry, 1)}
	c.Send(m.Bytes(e.version))
	c.ExpectAck(wt.PUBREC, 7)
	e.elapse(2200 * time.Millisecond)
	c.Send(m.Bytes(e.version))
	c.ExpectAck(wt.PUBREC, 7)
	c.Send(wt.Ack(wt.PUBREL, 7))
	c.ExpectAck(wt.PUBCOMP, 7)
}

func sentDoesNotExpire(e *env) {
	sub, pub := e.connect("sub", e.kept()), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	m := e.msg("t", "x", 2)
	m.Props = wt.Props{wt.Num(wt.MessageExpiry, 1)}
	pub.Publish(m)
	first := sub.ExpectPublish(m.Topic, "x")
	sub.Drop()
	e.elapse(2200 * time.Millisecond)
	again := e.connect("sub", e.kept()).Receive(m.Topic, "x")
	assert.Equal(e, first.ID, again.ID)
	assert.True(e, again.Dup)
}

func refusedByClient(e *env) {
	sub, pub := e.connect("sub", e.kept()), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	pub.Publish(e.msg("t", "1", 1))
	pub.Publish(e.msg("t", "2", 2))
	sub.Send(wt.AckCode(wt.PUBACK, sub.ExpectPublish(e.topic("t"), "1").ID, 0x80))
	sub.Send(wt.AckCode(wt.PUBREC, sub.ExpectPublish(e.topic("t"), "2").ID, 0x83))
	sub.ExpectQuiet() // no PUBREL for a refused one
	sub.Drop()
	again := e.connect("sub", e.kept())
	again.ExpectQuiet()
	e.nothing(pub, again, 2)
}
