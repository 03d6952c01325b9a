package conformance

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// overlapChecks are several subscriptions of one client that match one message. A server may
// send one copy for all of them or one for each.
func overlapChecks() []check {
	return []check{
		{v3: "3.3.5-1", v5: "3.3.4-2", what: "overlapping filters deliver at the highest QoS", run: highestQoS},
		{v5: "3.3.4-3 3.3.4-4 3.3.4-5", what: "subscription identifiers are sent along", run: subscriptionIDs},
		{v5: "3.3.4-3", what: "a subscription identifier goes with a retained message", run: subIDRetained},
		{v5: "3.3.4-3", what: "a subscription identifier is kept with its session", run: subIDKept},
		{v5: "3.8.4-3", what: "a replaced subscription has the new identifier", run: subIDReplaced},
	}
}

// copies publishes a message and collects what arrives of it, up to a sentinel behind it.
func (e *env) copies(from, to *wt.Conn, m wt.Publish) []wt.Packet {
	e.Helper()
	end := wt.Filter{Name: e.sentinel(), Opts: 2}
	to.Subscribe(end)
	from.Publish(m)
	from.Publish(wt.Publish{Topic: end.Name, Payload: "end", QoS: m.QoS})
	var got []wt.Packet
	for {
		p := to.Next()
		switch { // copies may follow each other before the first is completed
		case p.Type == wt.PUBREL:
			to.Send(wt.Ack(wt.PUBCOMP, p.ID))
			continue
		case p.QoS > 0:
			to.Send(wt.Ack([]byte{0, wt.PUBACK, wt.PUBREC}[p.QoS], p.ID))
		}
		require.Equal(e, wt.PUBLISH, p.Type, "%s", p)
		if p.Topic == end.Name {
			assert.Empty(e, ids([]wt.Packet{p}), "subscription identifiers of the sentinel")
			return got
		}
		require.Equal(e, m.Topic, p.Topic)
		require.Equal(e, m.Payload, p.Payload)
		got = append(got, p)
	}
}

func highestQoS(e *env) {
	for _, filters := range [][]wt.Filter{
		{e.sub("a/b", 0), e.sub("a/+", 2), e.sub("a/#", 1)},
		{e.sub("a/#", 2), e.sub("a/b", 0)},
	} {
		sub, pub := e.connect("sub"), e.connect("pub")
		sub.Subscribe(filters...)
		var best byte
		for _, p := range e.copies(pub, sub, e.msg("a/b", "x", 2)) {
			best = max(best, p.QoS)
		}
		assert.Equal(e, byte(2), best)
	}
}

// ids are the subscription identifiers of all copies.
func ids(got []wt.Packet) []uint32 {
	var out []uint32
	for _, p := range got {
		for _, x := range p.Props.All(wt.SubscriptionID) {
			out = append(out, x.Num)
		}
	}
	return out
}

func subscriptionIDs(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.SubscribeWith(wt.Props{wt.Num(wt.SubscriptionID, 1)}, e.sub("a/b", 2))
	sub.SubscribeWith(wt.Props{wt.Num(wt.SubscriptionID, 268435455)}, e.sub("a/+", 2))
	sub.SubscribeWith(wt.Props{wt.Num(wt.SubscriptionID, 128)}, e.sub("#", 2))
	sub.Subscribe(e.sub("+/b", 2)) // this one has none
	got := e.copies(pub, sub, e.msg("a/b", "x", 2))
	assert.ElementsMatch(e, []uint32{1, 268435455, 128}, ids(got))
	if len(got) > 1 {
		for _, p := range got {
			assert.LessOrEqual(e, len(ids([]wt.Packet{p})), 1, "a copy for each subscription has its identifier alone")
		}
	}
}

func subIDRetained(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	pub.Publish(e.retained("t", "x", 1))
	sub.SubscribeWith(wt.Props{wt.Num(wt.SubscriptionID, 7)}, e.sub("t", 1))
	assert.Equal(e, []uint32{7}, ids([]wt.Packet{sub.Receive(e.topic("t"), "x")}))
}

func subIDKept(e *env) {
	sub, pub := e.connect("sub", e.kept()), e.connect("pub")
	sub.SubscribeWith(wt.Props{wt.Num(wt.SubscriptionID, 7)}, e.sub("t", 1))
	sub.Disconnect()
	pub.Publish(e.msg("t", "queued", 1))
	sub = e.connect("sub", e.kept())
	assert.Equal(e, []uint32{7}, ids([]wt.Packet{sub.Receive(e.topic("t"), "queued")}))
	pub.Publish(e.msg("t", "live", 1))
	assert.Equal(e, []uint32{7}, ids([]wt.Packet{sub.Receive(e.topic("t"), "live")}))
}

func subIDReplaced(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.SubscribeWith(wt.Props{wt.Num(wt.SubscriptionID, 7)}, e.sub("t", 1))
	sub.SubscribeWith(wt.Props{wt.Num(wt.SubscriptionID, 8)}, e.sub("t", 1))
	pub.Publish(e.msg("t", "x", 1))
	assert.Equal(e, []uint32{8}, ids([]wt.Packet{sub.Receive(e.topic("t"), "x")}))
	sub.Subscribe(e.sub("t", 1))
	pub.Publish(e.msg("t", "y", 1))
	assert.Empty(e, ids([]wt.Packet{sub.Receive(e.topic("t"), "y")}))
}
