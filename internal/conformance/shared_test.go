package conformance

import (
	"fmt"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// sharedChecks are shared subscriptions, section 4.8.2.
func sharedChecks() []check {
	return []check{
		{v5: "4.8.2-1", what: "a shared filter needs a share name", run: badFilters("$share/", "$share//a", "$share/g")},
		{v5: "4.8.2-2", what: "a share name has no wildcard and is followed by a filter", run: badFilters("$share/g+/a", "$share/+/a", "$share/#/a", "$share/g#/a", "$share/g/", "$share/g/a#")},
		{v5: "4.8.2-1", what: "each message goes to one member", run: oneMember},
		{v5: "4.8.2-1", what: "groups and plain subscriptions each get the message", run: groups},
		{v5: "4.8.2-3", what: "the QoS granted to the member holds", run: sharedQoS},
		{v5: "4.8.2-4", what: "QoS 2 is completed with the member that has it", run: sharedQoS2},
		{v5: "4.8.2-5", what: "QoS 2 is not handed to another member", run: sharedQoS2Ends},
		{v5: "4.8.2-6", what: "what a member refuses goes to nobody else", run: sharedRefused},
		{v5: "3.3.1-9", what: "a shared subscription gets no retained messages", run: sharedRetained},
	}
}

// share is a filter shared by group g of this run.
func (e *env) share(filter string, opts byte) wt.Filter {
	return wt.Filter{Name: "$share/g" + e.prefix + "/" + e.topic(filter), Opts: opts}
}

func oneMember(e *env) {
	pub := e.connect("pub")
	var members []*wt.Conn
	for i := range 3 {
		m := e.connect(fmt.Sprintf("m%d", i))
		m.Subscribe(e.share("t/#", 1))
		members = append(members, m)
	}
	var want, got []string
	for i := range 12 {
		want = append(want, fmt.Sprint(i))
		pub.Publish(e.msg("t/x", fmt.Sprint(i), 1))
	}
	end := wt.Filter{Name: e.sentinel(), Opts: 1}
	for i, m := range members {
		m.Send(wt.Subscribe(e.version, 900, nil, end))
		for done := false; !done; {
			p := m.Next()
			switch {
			case p.Type == wt.SUBACK:
				pub.Publish(wt.Publish{Topic: end.Name, Payload: fmt.Sprint(i), QoS: 1})
			case p.Topic == end.Name:
				m.Acknowledge(p)
				done = p.Payload == fmt.Sprint(i)
			default:
				require.Equal(e, wt.PUBLISH, p.Type, "%s", p)
				m.Acknowledge(p)
				got = append(got, p.Payload)
			}
		}
	}
	assert.ElementsMatch(e, want, got)
}

func groups(e *env) {
	one, two, plain, pub := e.connect("one"), e.connect("two"), e.connect("plain"), e.connect("pub")
	one.Subscribe(e.share("t", 1))
	two.Subscribe(wt.Filter{Name: "$share/other" + e.prefix + "/" + e.topic("t"), Opts: 1})
	plain.Subscribe(e.sub("t", 1))
	pub.Publish(e.msg("t", "x", 1))
	for _, c := range []*wt.Conn{one, two, plain} {
		c.Receive(e.topic("t"), "x")
		e.nothing(pub, c, 1)
	}
}

func sharedQoS(e *env) {
	pub := e.connect("pub")
	for granted := range byte(3) {
		m := e.connect("m")
		m.Subscribe(e.share("t", granted))
		for qos := range byte(3) {
			pub.Publish(e.msg("t", "x", qos))
			assert.Equal(e, min(qos, granted), m.Receive(e.topic("t"), "x").QoS)
		}
	}
}

// inDelivery has one of two members receive a QoS 2 message without completing it; it
// returns who has it, the other, and the message.
func (e *env) inDelivery(pub *wt.Conn) (has, other *wt.Conn, p wt.Packet) {
	e.Helper()
	has = e.connect("has", e.kept())
	has.Subscribe(e.share("t", 2))
	pub.Publish(e.msg("t", "x", 2))
	p = has.ExpectPublish(e.topic("t"), "x")
	other = e.connect("other")
	other.Subscribe(e.share("t", 2))
	return has, other, p
}

func sharedQoS2(e *env) {
	pub := e.connect("pub")
	has, other, p := e.inDelivery(pub)
	has.Drop()
	has = e.connect("has", e.kept())
	again := has.Receive(e.topic("t"), "x")
	assert.Equal(e, p.ID, again.ID)
	assert.True(e, again.Dup)
	e.nothing(pub, other, 2)
}

func sharedQoS2Ends(e *env) {
	pub := e.connect("pub")
	has, other, p := e.inDelivery(pub)
	has.Send(wt.Ack(wt.PUBREC, p.ID))
	has.ExpectAck(wt.PUBREL, p.ID)
	has.Disconnect(wt.Num(wt.SessionExpiry, 0))
	e.nothing(pub, other, 2)
}

func sharedRefused(e *env) {
	pub, has := e.connect("pub"), e.connect("has")
	has.Subscribe(e.share("t", 2))
	pub.Publish(e.msg("t", "1", 1))
	pub.Publish(e.msg("t", "2", 2))
	one, two := has.ExpectPublish(e.topic("t"), "1"), has.ExpectPublish(e.topic("t"), "2")
	other := e.connect("other")
	other.Subscribe(e.share("t", 2))
	has.Send(wt.AckCode(wt.PUBACK, one.ID, 0x80), wt.AckCode(wt.PUBREC, two.ID, 0x80))
	has.ExpectQuiet()
	e.nothing(pub, other, 2)
	e.nothing(pub, has, 2)
}

func sharedRetained(e *env) {
	pub, m := e.connect("pub"), e.connect("m")
	pub.Publish(e.retained("t", "x", 1))
	e.noReplay(pub, m, e.share("t", 1))
}
