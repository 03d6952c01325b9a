package conformance

import (
	"fmt"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// subscribeChecks are sections 3.8 and 3.9.
func subscribeChecks() []check {
	return []check{
		{v3: "3.8.1-1", v5: "3.8.1-1", what: "SUBSCRIBE with other flags closes", run: subscribeFlags},
		{v3: "3.8.3-1", v5: "3.8.3-1", what: "a topic filter is UTF-8", run: filterUTF8},
		{v3: "3.8.3-2", what: "filters with wildcards are supported or refused", run: wildcardsSupported},
		{v3: "3.8.3-3", v5: "3.8.3-2", what: "SUBSCRIBE without a filter closes", run: noFilter},
		{v3: "3-8.3-4", what: "a requested QoS beyond 2 closes", run: requestedQoS},
		{v5: "3.8.3-5", what: "reserved options close", run: reservedOptions},
		{v5: "4.13.1-1", what: "options that do not exist close", run: badOptions},
		{v5: "3.8.3-3", what: "no local keeps own messages away", run: noLocal},
		{v5: "3.8.3-4", what: "no local on a shared subscription closes", run: noLocalShared},
		{v3: "3.8.4-1 3.8.4-2", v5: "3.8.4-1 3.8.4-2", what: "SUBSCRIBE is answered with its identifier", run: suback},
		{v3: "3.8.4-3", v5: "3.8.4-3", what: "the same filter replaces the subscription", run: replaced},
		{v3: "3.8.4-3", v5: "3.8.4-4", what: "a replaced subscription replays and loses nothing", run: replacedReplay},
		{v3: "3.8.4-4", v5: "3.8.4-5", what: "several filters are as several SUBSCRIBEs", run: severalFilters},
		{v3: "3.8.4-5 3.9.3-1", v5: "3.8.4-6 3.8.4-7 3.9.3-1", what: "there is a code for each filter, in order", run: codesInOrder},
		{v3: "3.8.4-6", v5: "3.8.4-8", what: "messages have the lower of both QoS", run: lowerQoS},
		{v3: "3.9.3-2", v5: "3.9.3-2", what: "SUBACK has codes of its table", run: subackCodes},
	}
}

func subscribeFlags(e *env) {
	b := wt.Subscribe(e.version, 1, nil, e.sub("t", 0))
	for flags := range byte(16) {
		if flags != 2 {
			e.closes(fmt.Sprintf("flags %04b", flags), e.connect("a"), append([]byte{wt.SUBSCRIBE<<4 | flags}, b[1:]...))
		}
	}
}

func filterUTF8(e *env) {
	for _, bad := range badStrings {
		e.closes("filter", e.connect("a"), wt.Subscribe(e.version, 1, nil, e.sub("ok", 0), wt.Filter{Name: bad}))
	}
}

func wildcardsSupported(e *env) {
	c := e.connect("a")
	c.Send(wt.Subscribe(e.version, 1, nil, e.sub("+", 0), e.sub("#", 0)))
	for _, code := range c.Expect(wt.SUBACK).Codes {
		assert.Contains(e, []byte{0, 0x80}, code)
	}
}

func noFilter(e *env) {
	e.closes("no filter", e.connect("a"), wt.Subscribe(e.version, 1, nil))
}

func requestedQoS(e *env) {
	for _, opts := range []byte{3, 4, 8, 0x10, 0x80, 0x41} {
		e.closes(fmt.Sprintf("qos %02x", opts), e.connect("a"), wt.Subscribe(e.version, 1, nil, e.sub("t", opts)))
	}
}

func reservedOptions(e *env) {
	for _, opts := range []byte{0x40, 0x80, 0xc1} {
		code := e.closes(fmt.Sprintf("options %02x", opts), e.connect("a"), wt.Subscribe(e.version, 1, nil, e.sub("t", opts)))
		assert.Contains(e, []byte{0, 0x81, 0x82}, code)
	}
}

func badOptions(e *env) {
	for _, opts := range []byte{0x03, 0x30} { // QoS 3, retain handling 3
		code := e.closes(fmt.Sprintf("options %02x", opts), e.connect("a"), wt.Subscribe(e.version, 1, nil, e.sub("t", opts)))
		assert.Contains(e, []byte{0, 0x81, 0x82}, code)
	}
	for _, p := range []wt.Props{
		{wt.Num(wt.SubscriptionID, 0)},
		{wt.Num(wt.SubscriptionID, 1), wt.Num(wt.SubscriptionID, 2)},
		{wt.Num(wt.MessageExpiry, 1)},
	} {
		e.closes("property", e.connect("a"), wt.Subscribe(e.version, 1, p, e.sub("t", 0)))
	}
}

func noLocal(e *env) {
	a, b := e.connect("a"), e.connect("b")
	a.Subscribe(e.sub("t", 1|wt.NoLocal), e.sub("u", 1))
	a.Publish(e.msg("t", "own", 1))
	b.Publish(e.msg("t", "other", 1))
	a.Receive(e.topic("t"), "other")
	e.nothing(b, a, 1)
}

func noLocalShared(e *env) {
	f := wt.Filter{Name: "$share/g/" + e.topic("t"), Opts: 1 | wt.NoLocal}
	code := e.closes("no local", e.connect("a"), wt.Subscribe(e.version, 1, nil, f))
	assert.Contains(e, []byte{0, 0x82}, code)
}

func suback(e *env) {
	c := e.connect("a")
	for _, id := range []uint16{1, 300, 65535, 1} {
		c.Send(wt.Subscribe(e.version, id, nil, e.sub("t", 0)))
		assert.Equal(e, id, c.Expect(wt.SUBACK).ID)
		c.ExpectQuiet()
	}
}

func replaced(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	for _, qos := range []byte{2, 0, 1} {
		sub.Subscribe(e.sub("t", qos))
		pub.Publish(e.msg("t", "x", 2))
		assert.Equal(e, qos, sub.Receive(e.topic("t"), "x").QoS)
		e.nothing(pub, sub, 0) // once, not once for each SUBSCRIBE
	}
	sub.Unsubscribe(e.topic("t"))
	pub.Publish(e.msg("t", "x", 2))
	e.nothing(pub, sub, 2)
}

func replacedReplay(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	pub.Publish(e.retained("t", "kept", 1))
	sub.Subscribe(e.sub("t", 1))
	sub.Receive(e.topic("t"), "kept")
	// Messages are on their way while the subscription is replaced again and again.
	want := map[string]bool{}
	for i := range 10 {
		m := e.msg("t", fmt.Sprint(i), 1)
		m.ID = uint16(100 + i)
		want[m.Payload] = true
		pub.Send(m.Bytes(e.version))
		sub.Send(wt.Subscribe(e.version, uint16(500+i), nil, e.sub("t", 1)))
	}
	replays, subacks := 0, 0
	for replays < 10 || subacks < 10 || len(want) > 0 {
		p := sub.Next()
		switch {
		case p.Type == wt.SUBACK:
			subacks++
		case p.Type == wt.PUBLISH && p.Payload == "kept":
			assert.True(e, p.Retain)
			replays++
			sub.Acknowledge(p)
		default:
			require.Equal(e, wt.PUBLISH, p.Type, "%s", p)
			require.True(e, want[p.Payload], "%s", p)
			delete(want, p.Payload)
			sub.Acknowledge(p)
		}
	}
}

func severalFilters(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	pub.Publish(e.retained("b", "kept", 1))
	id := sub.NextID()
	sub.Send(wt.Subscribe(e.version, id, nil, e.sub("a", 0), e.sub("b", 1), e.sub("a", 2)))
	assert.Equal(e, []byte{0, 1, 2}, sub.Expect(wt.SUBACK).Codes)
	sub.Receive(e.topic("b"), "kept")
	pub.Publish(e.msg("a", "x", 2))
	assert.Equal(e, byte(2), sub.Receive(e.topic("a"), "x").QoS, "the later of two equal filters holds")
	e.nothing(pub, sub, 2)
}

func codesInOrder(e *env) {
	c := e.connect("a")
	var filters []wt.Filter
	var want []byte
	for i := range 9 {
		filters = append(filters, e.sub(fmt.Sprintf("f/%d", i), byte(2-i%3)))
		want = append(want, byte(2-i%3))
	}
	assert.Equal(e, want, c.Subscribe(filters...).Codes)
}

func lowerQoS(e *env) {
	pub := e.connect("pub")
	for granted := range byte(3) {
		sub := e.connect(fmt.Sprintf("sub%d", granted))
		sub.Subscribe(e.sub("t", granted))
		for qos := range byte(3) {
			pub.Publish(e.msg("t", "x", qos))
			assert.Equal(e, min(qos, granted), sub.Receive(e.topic("t"), "x").QoS, "published %d, granted %d", qos, granted)
		}
	}
}

func subackCodes(e *env) {
	c := e.connect("a")
	c.Send(wt.Subscribe(e.version, 1, nil, e.sub("a", 0), e.sub("b/+", 1), e.sub("#", 2)))
	assert.Len(e, c.Expect(wt.SUBACK).Codes, 3) // the reader knows the table
}
