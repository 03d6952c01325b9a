package conformance

import (
	"fmt"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// resendChecks are section 4.4: what is sent again after a reconnect.
func resendChecks() []check {
	return []check{
		{v3: "3.3.1-1 4.3.2-1", v5: "3.3.1-1 4.3.2-3", what: "an unacknowledged QoS 1 message is sent again with DUP", run: resendUnacked(1)},
		{v3: "3.3.1-1 4.3.3-1", v5: "3.3.1-1 4.3.3-3", what: "an unreceived QoS 2 message is sent again with DUP", run: resendUnacked(2)},
		{v3: "4.3.3-1 4.4.0-1", v5: "4.3.3-5 4.3.3-6 4.4.0-1", what: "PUBREL is sent again, the message is not", run: resendPubrel},
		{v3: "4.4.0-1", v5: "4.4.0-1", what: "original identifiers are kept", run: resendIDs},
		{v5: "4.4.0-1", what: "nothing is sent again while the connection lasts", run: noResend},
		{v3: "4.3.3-2", v5: "4.3.3-10", what: "QoS 2 is completed across connections", run: inboundAcross},
		{v3: "4.4.0-1", v5: "4.4.0-1", what: "what was acknowledged is not sent again", run: ackedNotResent},
	}
}

func resendUnacked(qos byte) func(e *env) {
	return func(e *env) {
		sub, pub := e.connect("sub", e.kept()), e.connect("pub")
		sub.Subscribe(e.sub("t", 2))
		pub.Publish(e.msg("t", "x", qos))
		first := sub.ExpectPublish(e.topic("t"), "x")
		assert.False(e, first.Dup)
		sub.Drop()
		for range 2 { // twice: sending it again does not acknowledge it
			c := e.connect("sub", e.kept())
			p := c.ExpectPublish(e.topic("t"), "x")
			assert.True(e, p.Dup)
			assert.Equal(e, first.ID, p.ID)
			assert.Equal(e, qos, p.QoS)
			c.ExpectQuiet()
			c.Drop()
		}
		c := e.connect("sub", e.kept())
		c.Receive(e.topic("t"), "x")
		c.Disconnect()
		e.connect("sub", e.kept()).ExpectQuiet()
	}
}

func resendPubrel(e *env) {
	sub, pub := e.connect("sub", e.kept()), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	pub.Publish(e.msg("t", "x", 2))
	p := sub.ExpectPublish(e.topic("t"), "x")
	sub.Send(wt.Ack(wt.PUBREC, p.ID))
	sub.ExpectAck(wt.PUBREL, p.ID)
	sub.Drop()
	for range 2 {
		c := e.connect("sub", e.kept())
		c.ExpectAck(wt.PUBREL, p.ID)
		c.ExpectQuiet()
		c.Drop()
	}
	c := e.connect("sub", e.kept())
	c.ExpectAck(wt.PUBREL, p.ID)
	c.Send(wt.Ack(wt.PUBCOMP, p.ID))
	c.ExpectQuiet()
	c.Drop()
	e.connect("sub", e.kept()).ExpectQuiet()
}

func resendIDs(e *env) {
	sub, pub := e.connect("sub", e.kept()), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	ids := map[string]uint16{}
	for i := range 6 {
		m := e.msg("t", fmt.Sprint(i), 1+byte(i%2))
		pub.Publish(m)
		ids[m.Payload] = sub.ExpectPublish(m.Topic, m.Payload).ID
	}
	sub.Drop()
	c := e.connect("sub", e.kept())
	for i := range 6 {
		p := c.Expect(wt.PUBLISH)
		assert.Equal(e, fmt.Sprint(i), p.Payload)
		assert.Equal(e, ids[p.Payload], p.ID)
	}
}

func noResend(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	for _, qos := range []byte{1, 2} {
		pub.Publish(e.msg("t", "x", qos))
		sub.ExpectPublish(e.topic("t"), "x")
	}
	for range 3 {
		e.nothing(pub, sub, 1)
	}
}

func inboundAcross(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub", e.kept())
	sub.Subscribe(e.sub("t", 2))
	m := e.msg("t", "x", 2)
	m.ID = 7
	pub.Send(m.Bytes(e.version))
	pub.ExpectAck(wt.PUBREC, 7)
	pub.Drop()
	pub = e.connect("pub", e.kept())
	m.Dup = true
	pub.Send(m.Bytes(e.version)) // the client did not see the PUBREC
	pub.ExpectAck(wt.PUBREC, 7)
	pub.Send(wt.Ack(wt.PUBREL, 7))
	pub.Drop() // nor the PUBCOMP
	pub = e.connect("pub", e.kept())
	pub.Send(wt.Ack(wt.PUBREL, 7))
	p := pub.Expect(wt.PUBCOMP)
	require.EqualValues(e, 7, p.ID)
	sub.Receive(m.Topic, "x")
	e.nothing(pub, sub, 2)
}

func ackedNotResent(e *env) {
	sub, pub := e.connect("sub", e.kept()), e.connect("pub")
	sub.Subscribe(e.sub("t", 1))
	var got []wt.Packet
	for i := range 4 {
		m := e.msg("t", fmt.Sprint(i), 1)
		pub.Publish(m)
		got = append(got, sub.ExpectPublish(m.Topic, m.Payload))
	}
	sub.Send(wt.Ack(wt.PUBACK, got[0].ID), wt.Ack(wt.PUBACK, got[2].ID))
	sub.ExpectQuiet()
	sub.Drop()
	c := e.connect("sub", e.kept())
	c.Receive(e.topic("t"), "1")
	c.Receive(e.topic("t"), "3")
	c.ExpectQuiet()
}
