package conformance

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// flowChecks are flow control and packet sizes.
func flowChecks() []check {
	return []check{
		{v5: "3.3.4-9 4.9.0-1 4.9.0-2", what: "the server keeps to the client's Receive Maximum", run: receiveMaximum},
		{v5: "3.3.4-10 4.9.0-3", what: "other packets are answered while the quota is used up", run: quotaUsedUp},
		{v5: "4.9.0-2", what: "the quota comes back with PUBACK, PUBCOMP and a failed PUBREC", run: quotaComesBack},
		{v5: "3.3.4-7", what: "a client beyond the server's Receive Maximum is cut off", run: beyondReceiveMaximum},
		{v5: "3.1.2-24", what: "packets beyond the client's maximum are not sent", run: maximumPacket},
		{v5: "3.1.2-25", what: "an oversized message counts as sent", run: oversizedCountsAsSent},
		{v5: "3.3.4-7", what: "the narrow Receive Maximum is announced and held", on: narrow, run: narrowReceive},
		{v5: "3.2.2-15", what: "a packet beyond the server's maximum is refused", on: narrow, run: narrowPacket},
		{v5: "3.3.2-9", what: "the narrow Topic Alias Maximum is announced and held", on: narrow, run: narrowAlias},
	}
}

func receiveMaximum(e *env) {
	sub, pub := e.connect("sub", prop(wt.Num(wt.ReceiveMaximum, 3))), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	var first []wt.Packet
	for i := range 8 {
		m := e.msg("t", fmt.Sprint(i), 1+byte(i%2))
		pub.Publish(m)
		if i < 3 {
			first = append(first, sub.ExpectPublish(m.Topic, m.Payload))
		}
	}
	e.nothing(pub, sub, 0) // QoS 0 is outside of the quota, so it can prove that nothing else came
	for i, p := range first {
		sub.Acknowledge(p)
		first[i] = sub.ExpectPublish(e.topic("t"), fmt.Sprint(3+i)) // one in, one out
	}
	e.nothing(pub, sub, 0)
}

func quotaUsedUp(e *env) {
	sub, pub := e.connect("sub", prop(wt.Num(wt.ReceiveMaximum, 1))), e.connect("pub")
	sub.Subscribe(e.sub("t", 1), e.sub("zero", 0))
	pub.Publish(e.msg("t", "1", 1))
	pub.Publish(e.msg("t", "2", 1))
	one := sub.ExpectPublish(e.topic("t"), "1")
	sub.ExpectQuiet()
	sub.Subscribe(e.sub("u", 0))
	sub.Unsubscribe(e.topic("u"))
	sub.Publish(e.msg("other", "x", 2))
	pub.Publish(e.msg("zero", "x", 0))
	sub.ExpectPublish(e.topic("zero"), "x")
	sub.Acknowledge(one)
	sub.Receive(e.topic("t"), "2")
}

func quotaComesBack(e *env) {
	sub, pub := e.connect("sub", prop(wt.Num(wt.ReceiveMaximum, 1))), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	for i, qos := range []byte{2, 2, 1, 2} {
		pub.Publish(e.msg("t", fmt.Sprint(i), qos))
	}
	p := sub.ExpectPublish(e.topic("t"), "0")
	sub.Send(wt.AckCode(wt.PUBREC, p.ID, 0x80)) // refused: that ends it
	p = sub.ExpectPublish(e.topic("t"), "1")
	sub.Send(wt.Ack(wt.PUBREC, p.ID))
	sub.ExpectAck(wt.PUBREL, p.ID)
	sub.ExpectQuiet() // received, but not complete
	sub.Send(wt.Ack(wt.PUBCOMP, p.ID))
	sub.Receive(e.topic("t"), "2")
	sub.Receive(e.topic("t"), "3")
}

// ownReceiveMaximum is how many messages the server takes before it has acknowledged one.
func ownReceiveMaximum(ack wt.Packet) int {
	if n, ok := ack.Props.Get(wt.ReceiveMaximum); ok {
		return int(n)
	}
	return 65535
}

// exceed sends one QoS 2 message more than the server takes and expects to be cut off.
func (e *env) exceed(c *wt.Conn, n int) {
	e.Helper()
	for i := range n {
		m := e.msg("t", "x", 2)
		m.ID = uint16(1 + i)
		c.Send(m.Bytes(e.version))
		c.ExpectAck(wt.PUBREC, m.ID)
	}
	m := e.msg("t", "x", 2)
	m.ID = uint16(1 + n)
	code := e.closes("one too many", c, m.Bytes(e.version))
	assert.Contains(e, []byte{0, 0x93}, code)
}

func beyondReceiveMaximum(e *env) {
	c, ack := e.connack("a")
	n := ownReceiveMaximum(ack)
	if n > 2000 {
		e.Skip("the server's Receive Maximum is too large to reach")
	}
	e.exceed(c, n)
}

func narrowReceive(e *env) {
	c, ack := e.connack("a")
	require.Equal(e, 3, ownReceiveMaximum(ack))
	// What is completed does not count.
	for range 10 {
		c.Publish(e.msg("t", "x", 2))
		c.Publish(e.msg("t", "x", 1))
	}
	e.exceed(c, 3)
}

func narrowPacket(e *env) {
	c, ack := e.connack("a")
	n, ok := ack.Props.Get(wt.MaximumPacketSize)
	require.True(e, ok, "CONNACK has a Maximum Packet Size")
	require.EqualValues(e, 2048, n)
	m := e.msg("t", "", 0)
	fits := 2048 - len(m.Bytes(e.version)) - 1
	m.Payload = strings.Repeat("x", fits)
	require.Len(e, m.Bytes(e.version), 2048)
	c.Publish(m)
	c.ExpectQuiet()
	m.Payload += "x"
	assert.Contains(e, []byte{0, 0x95}, e.closes("too large", c, m.Bytes(e.version)))
}

func narrowAlias(e *env) {
	c, ack := e.connack("a")
	require.EqualValues(e, 3, aliasMaximum(ack))
	c.Publish(alias(e.msg("t", "x", 1), 3))
	assert.Contains(e, []byte{0, 0x94}, e.closes("alias 4", c, alias(e.msg("t", "x", 0), 4).Bytes(e.version)))
}

func maximumPacket(e *env) {
	const size = 200
	sub, pub := e.connect("sub", prop(wt.Num(wt.MaximumPacketSize, size))), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	for qos := range byte(3) {
		pub.Publish(e.msg("t", strings.Repeat("x", size), qos))
		pub.Publish(e.msg("t", "small", qos))
		assert.LessOrEqual(e, sub.Receive(e.topic("t"), "small").Size, size)
	}
	props := e.msg("t", "properties count", 1)
	props.Props = wt.Props{wt.User("key", strings.Repeat("x", size))}
	pub.Publish(props)
	e.nothing(pub, sub, 1)
	kept := e.retained("t", strings.Repeat("x", size), 1)
	pub.Publish(kept)
	sub.Subscribe(e.sub("t", 1))
	e.nothing(pub, sub, 1)
}

func oversizedCountsAsSent(e *env) {
	o := prop(wt.Num(wt.MaximumPacketSize, 200), wt.Num(wt.ReceiveMaximum, 1))
	sub, pub := e.connect("sub", e.kept(), o), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	for i := range 5 {
		pub.Publish(e.msg("t", strings.Repeat("x", 300), 1+byte(i%2)))
	}
	pub.Publish(e.msg("t", "small", 1))
	sub.Receive(e.topic("t"), "small") // the quota was not used up
	sub.ExpectQuiet()
	sub.Drop()
	away := e.connect("sub", e.kept(), o)
	e.nothing(pub, away, 1) // and nothing waits for its acknowledgement
}
