package conformance

import (
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// propertyChecks are the properties of PUBLISH in version 5.
func propertyChecks() []check {
	return []check{
		{v5: "3.3.2-4", what: "payload format is passed on", run: forwarded(wt.Num(wt.PayloadFormat, 1))},
		{v5: "3.3.2-4", what: "payload format 2 closes", run: payloadFormat2},
		{v5: "3.3.2-5", what: "an expired message is not delivered", run: expired},
		{v5: "3.3.2-6", what: "message expiry is counted down", run: countdown},
		{v5: "3.3.2-13", what: "a response topic is UTF-8", run: badProperty(wt.ResponseTopic, badStrings...)},
		{v5: "3.3.2-14", what: "wildcards in a response topic close", run: badProperty(wt.ResponseTopic, "a/#", "+", "a/+/b")},
		{v5: "3.3.2-15", what: "a response topic is passed on", run: forwarded(wt.Str(wt.ResponseTopic, "answer/to/é"))},
		{v5: "3.3.2-16", what: "correlation data is passed on", run: forwarded(wt.Str(wt.CorrelationData, "\x00\xff binary"))},
		{v5: "3.3.2-17 3.3.2-18", what: "user properties are passed on in order", run: forwarded(
			wt.User("b", "1"), wt.User("a", "2"), wt.User("b", "3"), wt.User("", ""), wt.User("b", "1"))},
		{v5: "3.3.2-19", what: "a content type is UTF-8", run: badProperty(wt.ContentType, badStrings...)},
		{v5: "3.3.2-20", what: "a content type is passed on", run: forwarded(wt.Str(wt.ContentType, "text/plain; é"))},
		{v5: "3.3.4-6", what: "a subscription identifier from a client closes", run: subIDFromClient},
	}
}

// forwarded sends a message with properties to subscribers here, away and later.
func forwarded(props ...wt.Prop) func(e *env) {
	return func(e *env) {
		want := wt.Props(props)
		here, away, pub := e.connect("here"), e.connect("away", e.kept()), e.connect("pub")
		here.Subscribe(e.sub("t", 1))
		away.Subscribe(e.sub("t", 2))
		away.Disconnect()
		m := e.retained("t", "payload", 2)
		m.Props = want
		pub.Publish(m)
		assert.Equal(e, want, here.Receive(m.Topic, m.Payload).Props, "here")
		assert.Equal(e, want, e.connect("away", e.kept()).Receive(m.Topic, m.Payload).Props, "away")
		later := e.connect("later")
		later.Subscribe(e.sub("t", 0))
		assert.Equal(e, want, later.Receive(m.Topic, m.Payload).Props, "retained")
	}
}

// badProperty sends a string property that is not allowed, in a message and in a Will.
func badProperty(id byte, values ...string) func(e *env) {
	return func(e *env) {
		for _, v := range values {
			m := e.msg("t", "x", 0)
			m.Props = wt.Props{wt.Str(id, v)}
			e.closes("PUBLISH", e.connect("a"), m.Bytes(e.version))
			e.refuses("Will", e.options("b", will(wt.Will{Topic: "w", Props: m.Props})).Bytes(e.version))
		}
	}
}

func payloadFormat2(e *env) {
	m := e.msg("t", "x", 0)
	m.Props = wt.Props{wt.Num(wt.PayloadFormat, 2)}
	e.closes("PUBLISH", e.connect("a"), m.Bytes(e.version))
}

func expired(e *env) {
	away, pub := e.connect("away", e.kept()), e.connect("pub")
	away.Subscribe(e.sub("t", 1))
	away.Disconnect()
	short, long := e.msg("t", "short", 1), e.msg("t", "long", 1)
	short.Props, long.Props = wt.Props{wt.Num(wt.MessageExpiry, 1)}, wt.Props{wt.Num(wt.MessageExpiry, 100)}
	pub.Publish(short)
	pub.Publish(long)
	pub.Publish(e.msg("t", "for ever", 1))
	kept := e.retained("r", "x", 1)
	kept.Props = short.Props
	pub.Publish(kept)
	e.elapse(2200 * time.Millisecond)
	c := e.connect("away", e.kept())
	p := c.Receive(e.topic("t"), "long")
	left, _ := p.Props.Get(wt.MessageExpiry)
	assert.InDelta(e, 97, left, 2, "seconds left")
	assert.False(e, c.Receive(e.topic("t"), "for ever").Props.Has(wt.MessageExpiry), "no expiry where the sender set none")
	e.noReplay(pub, c, e.sub("r", 1))
}

func countdown(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 1))
	m := e.retained("t", "x", 1)
	m.Props = wt.Props{wt.Num(wt.MessageExpiry, 50)}
	pub.Publish(m)
	left, ok := sub.Receive(m.Topic, "x").Props.Get(wt.MessageExpiry)
	require.True(e, ok)
	assert.InDelta(e, 50, left, 1)
	e.elapse(2100 * time.Millisecond)
	late := e.connect("late")
	late.Subscribe(e.sub("t", 1))
	left, ok = late.Receive(m.Topic, "x").Props.Get(wt.MessageExpiry)
	require.True(e, ok)
	assert.InDelta(e, 47.5, left, 1.5)
}

func subIDFromClient(e *env) {
	m := e.msg("t", "x", 0)
	m.Props = wt.Props{wt.Num(wt.SubscriptionID, 1)}
	e.closes("PUBLISH", e.connect("a"), m.Bytes(e.version))
}
