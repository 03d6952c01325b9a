package conformance

import (
	"fmt"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// aliasChecks are topic aliases, both ways.
func aliasChecks() []check {
	return []check{
		{v5: "3.1.2-26 3.3.2-11", what: "aliases of the server stay within the client's maximum", run: serverAliases},
		{v5: "3.1.2-27", what: "no aliases for a client that wants none", run: noServerAliases},
		{v5: "3.3.2-7", what: "aliases end with the connection", run: aliasEnds},
		{v5: "3.3.2-8", what: "alias 0 closes", run: aliasZero},
		{v5: "3.3.2-9", what: "an alias beyond the server's maximum closes", run: aliasTooHigh},
		{v5: "3.3.2-9", what: "an alias that stands for nothing closes", run: aliasUnknown},
		{v5: "3.3.2-12", what: "every alias up to the server's maximum works", run: allAliases},
	}
}

func alias(m wt.Publish, n uint32) wt.Publish {
	m.Props = append(m.Props, wt.Num(wt.TopicAlias, n))
	return m
}

// aliasMaximum is what the server allows this connection.
func aliasMaximum(ack wt.Packet) uint32 {
	n, _ := ack.Props.Get(wt.TopicAliasMaximum)
	return n
}

func serverAliases(e *env) {
	sub, pub := e.connect("sub", prop(wt.Num(wt.TopicAliasMaximum, 2))), e.connect("pub")
	sub.Subscribe(e.sub("#", 1))
	names := map[uint32]string{}
	for i := range 12 {
		topic, payload := fmt.Sprintf("topic/%d", i%4), fmt.Sprint(i)
		pub.Publish(e.msg(topic, payload, byte(i%2)))
		p := sub.Expect(wt.PUBLISH)
		name := p.Topic
		if n, ok := p.Props.Get(wt.TopicAlias); ok {
			require.True(e, n >= 1 && n <= 2, "alias %d", n)
			if name == "" {
				name = names[n]
			}
			names[n] = name
		}
		assert.Equal(e, e.topic(topic), name)
		assert.Equal(e, payload, p.Payload)
		sub.Acknowledge(p)
	}
}

func noServerAliases(e *env) {
	absent, zero, pub := e.connect("absent"), e.connect("zero", prop(wt.Num(wt.TopicAliasMaximum, 0))), e.connect("pub")
	absent.Subscribe(e.sub("t", 0))
	zero.Subscribe(e.sub("t", 0))
	for i := range 3 {
		m := e.msg("t", fmt.Sprint(i), 0)
		pub.Publish(m)
		assert.False(e, absent.ExpectPublish(m.Topic, m.Payload).Props.Has(wt.TopicAlias))
		assert.False(e, zero.ExpectPublish(m.Topic, m.Payload).Props.Has(wt.TopicAlias))
	}
}

func aliasEnds(e *env) {
	c, ack := e.connack("a", e.kept())
	if aliasMaximum(ack) == 0 {
		e.Skip("the server takes no aliases")
	}
	c.Publish(alias(e.msg("t", "x", 1), 1))
	c.Publish(alias(wt.Publish{Payload: "y", QoS: 1}, 1))
	c.Drop()
	c = e.connect("a", e.kept())
	e.closes("alias of the last connection", c, alias(wt.Publish{Payload: "z"}, 1).Bytes(e.version))
}

func aliasZero(e *env) {
	code := e.closes("alias 0", e.connect("a"), alias(e.msg("t", "x", 0), 0).Bytes(e.version))
	assert.Contains(e, []byte{0, 0x81, 0x82, 0x94}, code)
}

func aliasTooHigh(e *env) {
	c, ack := e.connack("a")
	n := aliasMaximum(ack)
	if n == 65535 {
		e.Skip("there is no alias beyond 65535")
	}
	code := e.closes("alias too high", c, alias(e.msg("t", "x", 0), n+1).Bytes(e.version))
	assert.Contains(e, []byte{0, 0x81, 0x82, 0x94}, code)
}

func aliasUnknown(e *env) {
	code := e.closes("alias without topic", e.connect("a"), alias(wt.Publish{Payload: "x"}, 1).Bytes(e.version))
	assert.Contains(e, []byte{0, 0x81, 0x82, 0x94}, code)
	code = e.closes("neither topic nor alias", e.connect("a"), wt.Publish{Payload: "x"}.Bytes(e.version))
	assert.Contains(e, []byte{0, 0x81, 0x82, 0x90}, code)
}

func allAliases(e *env) {
	sub := e.connect("sub")
	sub.Subscribe(e.sub("#", 1))
	pub, ack := e.connack("pub")
	top := aliasMaximum(ack)
	if top == 0 {
		e.Skip("the server takes no aliases")
	}
	for _, n := range []uint32{1, (top + 1) / 2, top} {
		topic := fmt.Sprintf("t/%d", n)
		pub.Publish(alias(e.msg(topic, "full", 1), n))
		pub.Publish(alias(wt.Publish{Payload: "short", QoS: 1}, n))
		for _, payload := range []string{"full", "short"} {
			p := sub.Receive(e.topic(topic), payload)
			assert.False(e, p.Props.Has(wt.TopicAlias), "the publisher's alias is not passed on")
		}
	}
	pub.Publish(alias(e.msg("other", "x", 1), 1)) // an alias may be given a new meaning
	sub.Receive(e.topic("other"), "x")
	pub.Publish(alias(wt.Publish{Payload: "y", QoS: 1}, 1))
	sub.Receive(e.topic("other"), "y")
}
