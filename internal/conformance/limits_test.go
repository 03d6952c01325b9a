package conformance

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// limitChecks are what a server must do that does not offer everything.
func limitChecks() []check {
	return []check{
		{v5: "3.2.2-9", what: "a lower Maximum QoS is announced", on: qos1, run: maxQoSAnnounced},
		{v5: "3.2.2-10", what: "subscriptions with a higher QoS are accepted", on: qos1, run: maxQoSSubscribe},
		{v5: "3.2.2-11", what: "a message of a higher QoS closes", on: qos1, run: maxQoSPublish},
		{v5: "3.2.2-12", what: "a Will of a higher QoS is refused", on: qos1, run: maxQoSWill},
		{v5: "3.2.2-13", what: "a retained Will is refused where nothing is retained", on: noRetain, run: noRetainWill},
		{v5: "3.2.2-14", what: "a retained message closes where nothing is retained", on: noRetain, run: noRetainPublish},
	}
}

func maxQoSAnnounced(e *env) {
	_, ack := e.connack("a")
	n, ok := ack.Props.Get(wt.MaximumQoS)
	require.True(e, ok, "CONNACK has a Maximum QoS")
	assert.EqualValues(e, 1, n)
}

func maxQoSSubscribe(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 2), e.sub("u", 1), e.sub("v", 0))
	pub.Publish(e.msg("t", "x", 1))
	assert.Equal(e, byte(1), sub.Receive(e.topic("t"), "x").QoS)
}

func maxQoSPublish(e *env) {
	m := e.msg("t", "x", 2)
	m.ID = 1
	assert.Contains(e, []byte{0, 0x9b}, e.closes("QoS 2", e.connect("a"), m.Bytes(e.version)))
}

func maxQoSWill(e *env) {
	code := e.refuses("Will QoS 2", e.options("a", will(wt.Will{Topic: "w", QoS: 2})).Bytes(e.version))
	assert.Contains(e, []byte{0, 0x9b}, code)
	e.connect("b", will(wt.Will{Topic: e.topic("w"), QoS: 1})).Disconnect()
}

func noRetainWill(e *env) {
	_, ack := e.connack("a")
	n, ok := ack.Props.Get(wt.RetainAvailable)
	require.True(e, ok, "CONNACK has Retain Available")
	assert.Zero(e, n)
	code := e.refuses("retained Will", e.options("a", will(wt.Will{Topic: "w", Retain: true})).Bytes(e.version))
	assert.Contains(e, []byte{0, 0x9a}, code)
}

func noRetainPublish(e *env) {
	assert.Contains(e, []byte{0, 0x9a}, e.closes("RETAIN", e.connect("a"), e.retained("t", "x", 0).Bytes(e.version)))
}
