package conformance

import (
	"fmt"

	"github.com/stretchr/testify/assert"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// publishChecks are section 3.3: the fixed header, the topic, who gets what.
func publishChecks() []check {
	return []check{
		{v3: "3.3.1-2 4.3.1-1", v5: "3.3.1-2 4.3.1-1", what: "QoS 0 never has DUP", run: noDupAtQoS0},
		{v3: "3.3.1-3", v5: "3.3.1-3 4.3.2-2 4.3.3-2", what: "DUP is not passed on", run: dupNotForwarded},
		{v3: "3.3.1-4", v5: "3.3.1-4", what: "QoS 3 closes", run: qos3},
		{v3: "3.3.2-1", v5: "3.3.2-1", what: "a topic name is UTF-8", run: topicUTF8},
		{v3: "3.3.2-2 4.7.1-1", v5: "3.3.2-2 4.7.0-1", what: "wildcards in a topic name close", run: wildcardTopic},
		{v3: "3.3.2-3", v5: "3.3.2-3", what: "only topics that match are sent", run: onlyMatching},
		{v3: "3.3.4-1", v5: "3.3.4-1", what: "each QoS has its answer", run: answers},
		{v3: "3.3.5-2", what: "a refused publisher gets an acknowledgement or is cut off", on: guarded, run: refusedPublish},
		{v5: "3.4.2-1 3.5.2-1 4.3.3-9", what: "a refused publisher is told", on: guarded, run: refusedPublish5},
		{v5: "3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3 3.9.2-1 3.9.2-2 3.11.2-1 3.11.2-2", what: "answers keep to the client's maximum packet size", run: smallAnswers},
		{v5: "3.14.2-3 3.14.2-4", what: "DISCONNECT keeps to the client's maximum packet size", run: smallDisconnect},
	}
}

func noDupAtQoS0(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 0))
	for qos := range byte(3) {
		pub.Publish(e.msg("t", "x", qos))
		p := sub.ExpectPublish(e.topic("t"), "x")
		assert.Zero(e, p.QoS)
		assert.False(e, p.Dup)
	}
}

func dupNotForwarded(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	for _, qos := range []byte{1, 2} {
		m := e.msg("t", fmt.Sprint(qos), qos)
		m.Dup = true
		pub.Publish(m)
		assert.False(e, sub.Receive(m.Topic, m.Payload).Dup, "QoS %d", qos)
	}
}

func qos3(e *env) {
	for _, id := range []uint16{0, 1} {
		m := e.msg("t", "x", 3)
		m.ID = id
		e.closes("QoS 3", e.connect("a"), m.Bytes(e.version))
	}
}

func topicUTF8(e *env) {
	for _, bad := range badStrings {
		e.closes("topic", e.connect("a"), wt.Publish{Topic: bad, Payload: "x"}.Bytes(e.version))
	}
	e.closes("topic beyond the packet", e.connect("a"), wt.Frame(wt.PUBLISH<<4, []byte{0, 9, 'a'}))
}

func wildcardTopic(e *env) {
	sub := e.connect("sub")
	sub.Subscribe(e.sub("#", 0))
	for _, bad := range []string{"#", "a/#", "+", "a/+/b", "a+", "a#b"} {
		e.closes(bad, e.connect("a"), e.msg(bad, "x", 0).Bytes(e.version))
	}
	e.nothing(e.connect("pub"), sub, 0)
}

func onlyMatching(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("a/+/c", 1), e.sub("d/#", 1), e.sub("e", 1))
	want := map[string]bool{
		"a/b/c": true, "a//c": true, "d/x/y": true, "d": true, "d/": true, "e": true,
		"a/b": false, "a/b/c/d": false, "ab/c": false, "e/": false, "/e": false, "E": false, "dd": false, "a/b/cc": false,
	}
	for topic, match := range want {
		pub.Publish(e.msg(topic, topic, 1))
		if match {
			sub.Receive(e.topic(topic), topic)
		} else {
			e.nothing(pub, sub, 1)
		}
	}
}

func answers(e *env) {
	c := e.connect("a")
	for _, qos := range []byte{0, 1, 2} {
		c.Publish(e.msg("t", "x", qos)) // wants PUBACK, or PUBREC and PUBCOMP
		c.ExpectQuiet()                 // and nothing more
	}
}

func refusedPublish(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("#", 2))
	for _, qos := range []byte{1, 2} {
		c := e.connect("c")
		c.Send(wt.Publish{Topic: "deny/" + e.prefix, Payload: "x", QoS: qos, ID: 7}.Bytes(e.version))
		p, err := c.TryNext()
		if err != nil {
			continue // cut off
		}
		want := map[byte]byte{1: wt.PUBACK, 2: wt.PUBREC}[qos]
		assert.Equal(e, want, p.Type)
		assert.EqualValues(e, 7, p.ID)
	}
	e.nothing(pub, sub, 2)
}

func refusedPublish5(e *env) {
	c := e.connect("c")
	send := func(topic string, qos byte, id uint16) wt.Packet {
		c.Send(wt.Publish{Topic: topic, Payload: "x", QoS: qos, ID: id}.Bytes(e.version))
		return c.Next()
	}
	p := send("deny/"+e.prefix, 1, 7)
	assert.Equal(e, wt.PUBACK, p.Type)
	assert.Equal(e, byte(0x87), p.Code)
	p = send("deny/"+e.prefix, 2, 7)
	assert.Equal(e, wt.PUBREC, p.Type)
	assert.Equal(e, byte(0x87), p.Code)
	// The refusal ended that exchange: the identifier is free, and what comes with it is new.
	sub := e.connect("sub")
	sub.Subscribe(e.sub("t", 2))
	p = send(e.topic("t"), 2, 7)
	assert.Equal(e, wt.PUBREC, p.Type)
	assert.Less(e, p.Code, byte(0x80))
	c.Send(wt.Ack(wt.PUBREL, 7))
	c.ExpectAck(wt.PUBCOMP, 7)
	sub.Receive(e.topic("t"), "x")
}

func smallAnswers(e *env) {
	const size = 24
	c := e.connect("a", prop(wt.Num(wt.MaximumPacketSize, size)))
	ask := func(b []byte, typ byte) {
		e.Helper()
		c.Send(b)
		p := c.Expect(typ)
		assert.LessOrEqual(e, p.Size, size, "%s", p)
	}
	long := wt.Props{wt.User("a long key of the sender", "and a long value of it")}
	ask(wt.Subscribe(e.version, 1, long, e.sub("t", 0), wt.Filter{Name: "$share/g/" + e.topic("u")}), wt.SUBACK)
	ask(wt.Unsubscribe(e.version, 2, long, e.topic("t"), e.topic("none")), wt.UNSUBACK)
	m := e.msg("nobody", "x", 1)
	m.ID, m.Props = 3, long
	ask(m.Bytes(e.version), wt.PUBACK)
	m.QoS = 2
	ask(m.Bytes(e.version), wt.PUBREC)
	ask(wt.Ack(wt.PUBREL, 3), wt.PUBCOMP)
	ask(wt.Ack(wt.PUBREL, 4), wt.PUBCOMP) // not known
	c.Send(wt.Ack(wt.PUBREC, 5))          // not known
	if p, err := c.TryNext(); err == nil && p.Type == wt.PUBREL {
		assert.LessOrEqual(e, p.Size, size, "%s", p)
	}
}

func smallDisconnect(e *env) {
	c := e.connect("a", prop(wt.Num(wt.MaximumPacketSize, 20)))
	e.connect("a")
	if p := c.ExpectClosed(); p != nil {
		assert.LessOrEqual(e, p.Size, 20)
	}
	c = e.connect("b", prop(wt.Num(wt.MaximumPacketSize, 20)))
	c.Send([]byte{0, 0})
	if p := c.ExpectClosed(); p != nil {
		assert.LessOrEqual(e, p.Size, 20)
	}
}
