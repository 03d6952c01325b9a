package conformance

import (
	"fmt"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// orderChecks are section 4.6. The first four rules of 5.0 speak of clients; the suite holds
// the server to them as well, as 3.1.1 does by 4.6.0-6.
func orderChecks() []check {
	return []check{
		{v3: "4.6.0-1", v5: "4.6.0-1", what: "messages are sent again in their order", run: orderResend},
		{v3: "4.6.0-2", v5: "4.6.0-2", what: "PUBACKs come in the order of the messages", run: orderPuback},
		{v3: "4.6.0-3", v5: "4.6.0-3", what: "PUBRECs come in the order of the messages", run: orderPubrec},
		{v3: "4.6.0-4", v5: "4.6.0-4", what: "PUBRELs come in the order of the PUBRECs", run: orderPubrel},
		{v3: "4.6.0-5 4.6.0-6", v5: "4.6.0-5 4.6.0-6", what: "messages of a publisher arrive in their order", run: orderDelivery},
		{v3: "4.6.0-6", v5: "4.6.0-5", what: "queued messages arrive in their order", run: orderQueued},
	}
}

func orderResend(e *env) {
	sub, pub := e.connect("sub", e.kept()), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	for i := range 15 {
		m := e.msg("t", fmt.Sprint(i), 1+byte(i%2))
		pub.Publish(m)
		sub.ExpectPublish(m.Topic, m.Payload)
	}
	sub.Drop()
	pub.Publish(e.msg("t", "15", 1)) // behind them, sent or not: the server may not know yet
	c := e.connect("sub", e.kept())
	for i := range 16 {
		p := c.Expect(wt.PUBLISH)
		require.Equal(e, fmt.Sprint(i), p.Payload)
		if i < 15 {
			assert.True(e, p.Dup, "DUP of %d", i)
		}
	}
}

// pipelined sends n messages at once; the server has a Receive Maximum of at least n.
func (e *env) pipelined(c *wt.Conn, n int, qos byte) {
	e.Helper()
	var all []byte
	for i := range n {
		m := e.msg("t", fmt.Sprint(i), qos)
		m.ID = uint16(1000 - 7*i)
		all = append(all, m.Bytes(e.version)...)
	}
	c.Send(all)
}

func orderPuback(e *env) {
	c := e.connect("a")
	e.pipelined(c, 18, 1)
	for i := range 18 {
		c.ExpectAck(wt.PUBACK, uint16(1000-7*i))
	}
}

func orderPubrec(e *env) {
	c := e.connect("a")
	e.pipelined(c, 18, 2)
	for i := range 18 {
		c.ExpectAck(wt.PUBREC, uint16(1000-7*i))
	}
	e.release(c, 18)
	for i := range 18 {
		c.ExpectAck(wt.PUBCOMP, uint16(1000-7*i))
	}
}

// release sends the PUBRELs for n pipelined messages of QoS 2.
func (e *env) release(c *wt.Conn, n int) {
	e.Helper()
	var all []byte
	for i := range n {
		all = append(all, wt.Ack(wt.PUBREL, uint16(1000-7*i))...)
	}
	c.Send(all)
}

func orderPubrel(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	e.pipelined(pub, 10, 2)
	var ids []uint16
	for i := range 10 {
		pub.ExpectAck(wt.PUBREC, uint16(1000-7*i))
	}
	e.release(pub, 10)
	for i := range 10 {
		ids = append(ids, sub.ExpectPublish(e.topic("t"), fmt.Sprint(i)).ID)
	}
	var all []byte
	for _, id := range ids {
		all = append(all, wt.Ack(wt.PUBREC, id)...)
	}
	sub.Send(all)
	for _, id := range ids {
		sub.ExpectAck(wt.PUBREL, id)
	}
}

func orderDelivery(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	for qos := range byte(3) {
		e.pipelined(pub, 18, qos)
		if qos == 2 { // some servers deliver at PUBREL
			for i := range 18 {
				pub.ExpectAck(wt.PUBREC, uint16(1000-7*i))
			}
			e.release(pub, 18)
		}
		e.drain(sub, 18)
		for i := range 18 {
			switch qos {
			case 1:
				pub.ExpectAck(wt.PUBACK, uint16(1000-7*i))
			case 2:
				pub.ExpectAck(wt.PUBCOMP, uint16(1000-7*i))
			}
		}
	}
}

func orderQueued(e *env) {
	away, pub := e.connect("away", e.kept()), e.connect("pub")
	away.Subscribe(e.sub("t", 2))
	away.Disconnect()
	for i := range 40 {
		pub.Publish(e.msg("t", fmt.Sprint(i), 1+byte(i%2)))
	}
	c := e.connect("away", e.kept())
	e.drain(c, 40)
	c.ExpectQuiet()
}

// drain reads n messages that were sent without a break: PUBRELs and messages come in any mixture,
// each in its own order.
func (e *env) drain(c *wt.Conn, n int) {
	e.Helper()
	var waiting []uint16
	for next := 0; next < n || len(waiting) > 0; {
		p := c.Next()
		if p.Type == wt.PUBREL {
			require.NotEmpty(e, waiting)
			require.Equal(e, waiting[0], p.ID)
			waiting = waiting[1:]
			c.Send(wt.Ack(wt.PUBCOMP, p.ID))
			continue
		}
		require.Equal(e, wt.PUBLISH, p.Type, "%s", p)
		require.Equal(e, fmt.Sprint(next), p.Payload)
		assert.False(e, p.Dup, "it was never sent before")
		next++
		switch p.QoS {
		case 1:
			c.Send(wt.Ack(wt.PUBACK, p.ID))
		case 2:
			waiting = append(waiting, p.ID)
			c.Send(wt.Ack(wt.PUBREC, p.ID))
		}
	}
}
