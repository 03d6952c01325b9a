package conformance

import (
	"fmt"

	"github.com/stretchr/testify/assert"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// unsubscribeChecks are sections 3.10 and 3.11.
func unsubscribeChecks() []check {
	return []check{
		{v3: "3.10.1-1", v5: "3.10.1-1", what: "UNSUBSCRIBE with other flags closes", run: unsubscribeFlags},
		{v3: "3.10.3-1", v5: "3.10.3-1", what: "a filter in UNSUBSCRIBE is UTF-8", run: unsubscribeUTF8},
		{v3: "3.10.3-2", v5: "3.10.3-2", what: "UNSUBSCRIBE without a filter closes", run: unsubscribeEmpty},
		{v3: "3.10.4-1", v5: "3.10.4-1", what: "filters are compared character by character", run: unsubscribeExact},
		{v3: "3.10.4-2", v5: "3.10.4-2", what: "nothing new after UNSUBACK", run: unsubscribeStops},
		{v3: "3.10.4-3", v5: "3.10.4-3", what: "what was begun is completed", run: unsubscribeCompletes},
		{v3: "3.10.4-4 3.10.4-5", v5: "3.10.4-4 3.10.4-5", what: "UNSUBACK comes in any case", run: unsuback},
		{v3: "3.10.4-6", v5: "3.10.4-6", what: "several filters are as several UNSUBSCRIBEs", run: unsubscribeSeveral},
		{v5: "3.11.3-1 3.11.3-2", what: "there is a code for each filter, in order", run: unsubackCodes},
	}
}

func unsubscribeFlags(e *env) {
	b := wt.Unsubscribe(e.version, 1, nil, e.topic("t"))
	for flags := range byte(16) {
		if flags != 2 {
			e.closes(fmt.Sprintf("flags %04b", flags), e.connect("a"), append([]byte{wt.UNSUBSCRIBE<<4 | flags}, b[1:]...))
		}
	}
}

func unsubscribeUTF8(e *env) {
	for _, bad := range badStrings {
		e.closes("filter", e.connect("a"), wt.Unsubscribe(e.version, 1, nil, e.topic("ok"), bad))
	}
}

func unsubscribeEmpty(e *env) {
	e.closes("no filter", e.connect("a"), wt.Unsubscribe(e.version, 1, nil))
}

func unsubscribeExact(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("a/b", 1), e.sub("a/+", 1), e.sub("a/#", 1))
	sub.Unsubscribe(e.topic("A/b"), e.topic("a/b/"), e.topic("a"), e.topic("+/b"), e.topic("#"))
	sub.Unsubscribe(e.topic("a/+"))
	sub.Unsubscribe(e.topic("a/#"))
	pub.Publish(e.msg("a/x", "no longer", 1))
	pub.Publish(e.msg("a/b", "still", 1))
	sub.Receive(e.topic("a/b"), "still")
	e.nothing(pub, sub, 1)
	sub.Unsubscribe(e.topic("a/b"))
	pub.Publish(e.msg("a/b", "no longer", 1))
	e.nothing(pub, sub, 1)
}

func unsubscribeStops(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 0))
	for range 5 {
		pub.Publish(e.msg("t", "x", 0))
		sub.ExpectPublish(e.topic("t"), "x")
		sub.Unsubscribe(e.topic("t"))
		pub.Publish(e.msg("t", "y", 0))
		e.nothing(pub, sub, 0)
		sub.Subscribe(e.sub("t", 0))
	}
}

func unsubscribeCompletes(e *env) {
	sub, pub := e.connect("sub", e.kept()), e.connect("pub")
	sub.Subscribe(e.sub("t", 2))
	pub.Publish(e.msg("t", "1", 1))
	pub.Publish(e.msg("t", "2", 2))
	one := sub.ExpectPublish(e.topic("t"), "1")
	two := sub.ExpectPublish(e.topic("t"), "2")
	sub.Unsubscribe(e.topic("t"))
	sub.Drop() // neither was acknowledged: both come again
	c := e.connect("sub", e.kept())
	assert.Equal(e, one.ID, c.Receive(e.topic("t"), "1").ID)
	assert.Equal(e, two.ID, c.Receive(e.topic("t"), "2").ID)
	c.ExpectQuiet()
}

func unsuback(e *env) {
	c := e.connect("a")
	for _, id := range []uint16{3, 65535} {
		c.Send(wt.Unsubscribe(e.version, id, nil, e.topic("never")))
		assert.Equal(e, id, c.Expect(wt.UNSUBACK).ID)
		c.ExpectQuiet()
	}
}

func unsubscribeSeveral(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("a", 1), e.sub("b", 1), e.sub("c", 1))
	sub.Unsubscribe(e.topic("a"), e.topic("none"), e.topic("c"), e.topic("a"))
	sub.ExpectQuiet()
	for _, topic := range []string{"a", "b", "c"} {
		pub.Publish(e.msg(topic, topic, 1))
	}
	sub.Receive(e.topic("b"), "b")
	e.nothing(pub, sub, 1)
}

func unsubackCodes(e *env) {
	c := e.connect("a")
	c.Subscribe(e.sub("a", 0), e.sub("b/+", 1), e.sub("c/#", 2))
	p := c.Unsubscribe(e.topic("none"), e.topic("c/#"), e.topic("b/+"), e.topic("other"), e.topic("a"), e.topic("a"))
	assert.Equal(e, []byte{0x11, 0, 0, 0x11, 0, 0x11}, p.Codes)
}
