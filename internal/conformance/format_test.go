package conformance

import (
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// formatChecks are chapters 1 and 2: encodings, flags, packet identifiers.
func formatChecks() []check {
	return []check{
		{v3: "1.5.3-1", v5: "1.5.4-1", what: "ill-formed UTF-8 closes", run: illFormed},
		{v3: "1.5.3-2", v5: "1.5.4-2", what: "U+0000 in a string closes", run: nulls},
		{v3: "1.5.3-3", v5: "1.5.4-3", what: "a byte order mark is part of the string", run: byteOrderMark},
		{v5: "1.5.5-1", what: "lengths are encoded in as few bytes as possible", run: minimalVarint},
		{v5: "1.5.7-1", what: "both halves of a user property are UTF-8", run: pairUTF8},
		{v3: "2.2.2-1 2.2.2-2", v5: "2.1.3-1", what: "wrong reserved flags close", run: reservedFlags},
		{v3: "2.3.1-1", v5: "2.2.1-3", what: "packet identifier 0 closes", run: zeroID},
		{v3: "2.3.1-4", v5: "2.2.1-4 4.3.2-1 4.3.3-1", what: "identifiers of the server are not 0 and not in use", run: serverIDs},
		{v3: "2.3.1-5", v5: "2.2.1-2", what: "QoS 0 has no packet identifier", run: noIDAtQoS0},
		{v3: "2.3.1-6", v5: "2.2.1-5", what: "acknowledgements carry the identifier of the message", run: ackIDs},
		{v3: "2.3.1-7", v5: "2.2.1-6", what: "SUBACK and UNSUBACK carry the identifier of the request", run: subackIDs},
		{v5: "2.2.2-1", what: "property length 0 is sent and demanded", run: propertyLength},
		{v3: "4.8.0-1", v5: "4.13.1-1", what: "malformed packets close", run: malformed},
	}
}

// badStrings cannot be UTF-8: a lone continuation, overlong forms, a surrogate, a code point
// beyond the last one, a cut sequence.
var badStrings = []string{"a\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xc3"}

func illFormed(e *env) {
	for _, bad := range badStrings {
		e.closes("topic", e.connect("a"), e.msg(bad, "x", 0).Bytes(e.version))
		e.closes("filter", e.connect("b"), wt.Subscribe(e.version, 1, nil, e.sub(bad, 0)))
		e.closes("unsubscribe", e.connect("c"), wt.Unsubscribe(e.version, 1, nil, e.topic(bad)))
		e.refuses("client id", wt.Connect{ClientID: e.id(bad)}.Bytes(e.version))
	}
}

func nulls(e *env) {
	e.closes("topic", e.connect("a"), e.msg("a\x00b", "x", 0).Bytes(e.version))
	e.closes("filter", e.connect("b"), wt.Subscribe(e.version, 1, nil, e.sub("a\x00b", 0)))
	e.closes("unsubscribe", e.connect("c"), wt.Unsubscribe(e.version, 1, nil, e.topic("a\x00b")))
	e.refuses("client id", wt.Connect{ClientID: e.id("a\x00b")}.Bytes(e.version))
	e.refuses("user name", wt.Connect{ClientID: e.id("d"), User: ptr("a\x00b"), Password: ptr("x")}.Bytes(e.version))
}

func byteOrderMark(e *env) {
	const bom = "\ufeff"
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("x", 0), e.sub(bom+"x"+bom, 0))
	pub.Publish(e.msg(bom+"x", "other topic", 0))
	pub.Publish(e.msg(bom+"x"+bom, "1", 0))
	sub.ExpectPublish(e.topic(bom+"x"+bom), "1")
	pub.Publish(e.msg("x", "2", 0))
	sub.ExpectPublish(e.topic("x"), "2")
}

func minimalVarint(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("v", 0))
	for _, n := range []int{0, 100, 110, 120, 127, 128, 1000, 16370, 16383, 16384, 20000} {
		m := e.msg("v", strings.Repeat("x", n), 0)
		m.Props = wt.Props{wt.User("k", strings.Repeat("v", n))}
		pub.Publish(m)
		sub.ExpectPublish(m.Topic, m.Payload) // the reader refuses a length that is too long
	}
	// And the other way: a length that is longer than it has to be is malformed.
	long := append(wt.String(nil, e.topic("v")), 0x80, 0x00)
	e.closes("property length", e.connect("long"), wt.Frame(wt.PUBLISH<<4, long))
}

func pairUTF8(e *env) {
	for _, p := range []wt.Prop{wt.User("k\xff", "v"), wt.User("k", "v\xff"), wt.User("k\x00", "v"), wt.User("k", "\xed\xb0\x80")} {
		m := e.msg("t", "x", 0)
		m.Props = wt.Props{p}
		e.closes("PUBLISH", e.connect("a"), m.Bytes(e.version))
		e.refuses("CONNECT", wt.Connect{ClientID: e.id("b"), Props: wt.Props{p}}.Bytes(e.version))
	}
}

func reservedFlags(e *env) {
	id := []byte{0, 1}
	subscribe := wt.Subscribe(e.version, 1, nil, e.sub("f", 0))
	cases := map[string][]byte{
		"PUBACK":      wt.Frame(wt.PUBACK<<4|1, id),
		"PUBREC":      wt.Frame(wt.PUBREC<<4|2, id),
		"PUBREL":      wt.Frame(wt.PUBREL<<4, id),
		"PUBCOMP":     wt.Frame(wt.PUBCOMP<<4|8, id),
		"SUBSCRIBE":   append([]byte{wt.SUBSCRIBE << 4}, subscribe[1:]...),
		"UNSUBSCRIBE": append([]byte{wt.UNSUBSCRIBE<<4 | 3}, wt.Unsubscribe(e.version, 1, nil, "f")[1:]...),
		"PINGREQ":     {wt.PINGREQ<<4 | 1, 0},
		"DISCONNECT":  {wt.DISCONNECT<<4 | 2, 0},
	}
	for what, b := range cases {
		e.closes(what, e.connect(what), b)
	}
	connect := wt.Connect{ClientID: e.id("a")}.Bytes(e.version)
	connect[0] |= 1
	e.refuses("CONNECT", connect)
}

func zeroID(e *env) {
	for _, qos := range []byte{1, 2} {
		e.closes("PUBLISH", e.connect("a"), e.msg("t", "x", qos).Bytes(e.version))
	}
	e.closes("SUBSCRIBE", e.connect("b"), wt.Subscribe(e.version, 0, nil, e.sub("f", 0)))
	e.closes("UNSUBSCRIBE", e.connect("c"), wt.Unsubscribe(e.version, 0, nil, "f"))
}

func serverIDs(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	used := map[uint16]bool{}
	for i := range 10 {
		pub.Publish(e.msg("t", "x", 1+byte(i%2)))
		p := sub.ExpectPublish(e.topic("t"), "x") // never acknowledged, so the id stays in use
		assert.False(e, used[p.ID], "identifier %d is in use", p.ID)
		used[p.ID] = true
	}
}

func noIDAtQoS0(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	pub.Publish(e.msg("t", "\x00\x01payload", 0))
	p := sub.ExpectPublish(e.topic("t"), "\x00\x01payload")
	assert.Zero(e, p.QoS)
}

func ackIDs(e *env) {
	c := e.connect("a")
	for _, id := range []uint16{1, 2, 127, 128, 255, 256, 1000, 65535} {
		c.Publish(wt.Publish{Topic: e.topic("t"), QoS: 1, ID: id})
		c.Publish(wt.Publish{Topic: e.topic("t"), QoS: 2, ID: id})
	}
}

func subackIDs(e *env) {
	c := e.connect("a")
	for _, id := range []uint16{65535, 1, 256} {
		c.Send(wt.Subscribe(e.version, id, nil, e.sub("f", 0)))
		require.Equal(e, id, c.Expect(wt.SUBACK).ID)
		c.Send(wt.Unsubscribe(e.version, id, nil, e.topic("f")))
		require.Equal(e, id, c.Expect(wt.UNSUBACK).ID)
	}
}

func propertyLength(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 1))
	pub.Publish(e.msg("t", "x", 1))
	p := sub.ExpectPublish(e.topic("t"), "x") // the reader wants the length byte
	assert.Empty(e, p.Props)
	// Without the byte the packets are too short.
	e.closes("SUBSCRIBE", e.connect("a"), wt.Frame(wt.SUBSCRIBE<<4|2, []byte{0, 1}))
	e.closes("PUBLISH", e.connect("b"), wt.Frame(wt.PUBLISH<<4, wt.String(nil, e.topic("t"))))
}

func malformed(e *env) {
	topic := wt.String(nil, e.topic("t"))
	cases := map[string][]byte{
		"type 0":                  {0, 0},
		"remaining length":        {wt.PUBLISH << 4, 0xff, 0xff, 0xff, 0xff, 0x01},
		"CONNACK from a client":   {wt.CONNACK << 4, 2, 0, 0},
		"SUBACK from a client":    {wt.SUBACK << 4, 3, 0, 1, 0},
		"PINGRESP from a client":  {wt.PINGRESP << 4, 0},
		"PUBLISH without topic":   wt.Frame(wt.PUBLISH<<4, nil),
		"PUBLISH without id":      wt.Frame(wt.PUBLISH<<4|2, topic),
		"PUBACK without id":       wt.Frame(wt.PUBACK<<4, nil),
		"PUBREL with half an id":  wt.Frame(wt.PUBREL<<4|2, []byte{1}),
		"SUBSCRIBE cut":           wt.Frame(wt.SUBSCRIBE<<4|2, append([]byte{0, 1}, topic[:4]...)),
		"UNSUBSCRIBE without ids": wt.Frame(wt.UNSUBSCRIBE<<4|2, nil),
	}
	if e.v5() {
		cases["unknown property"] = wt.Publish{Topic: e.topic("t"), Props: wt.Props{wt.Num(0x7e, 1)}}.Bytes(e.version)
		cases["property twice"] = wt.Publish{Topic: e.topic("t"), Props: wt.Props{wt.Num(wt.PayloadFormat, 1), wt.Num(wt.PayloadFormat, 1)}}.Bytes(e.version)
		cases["property of another packet"] = wt.Publish{Topic: e.topic("t"), Props: wt.Props{wt.Num(wt.SessionExpiry, 1)}}.Bytes(e.version)
		cases["property cut"] = wt.Frame(wt.PUBLISH<<4, append(topic, 3, wt.MessageExpiry, 0, 0))
	} else {
		cases["AUTH in 3.1.1"] = wt.Frame(wt.AUTH<<4, nil)
		cases["PUBACK too long"] = wt.Frame(wt.PUBACK<<4, []byte{0, 1, 0})
		cases["PINGREQ with a payload"] = wt.Frame(wt.PINGREQ<<4, []byte{0})
	}
	for what, b := range cases {
		e.closes(what, e.connect("a"), b)
	}
}
