package conformance

import (
	"fmt"
	"slices"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// topicChecks are section 4.7.
func topicChecks() []check {
	return []check{
		{v3: "4.7.1-2", v5: "4.7.1-1", what: "# has to be the last level", run: badFilters("a#", "#a", "a/#/b", "##", "a/b#", "#/", "a/#b")},
		{v3: "4.7.1-3", v5: "4.7.1-2", what: "+ has to be a whole level", run: badFilters("a+", "+a", "a/b+", "a/+b/c", "++", "a+/#")},
		{v3: "4.7.1-2 4.7.1-3", v5: "4.7.1-1 4.7.1-2", what: "wildcards match as they should", run: wildcards},
		{v3: "4.7.2-1", v5: "4.7.2-1", what: "leading wildcards do not match topics with $", run: dollar},
		{v3: "4.7.3-1", v5: "4.7.3-1", what: "topics and filters are not empty", run: emptyTopics},
		{v3: "4.7.3-2", v5: "4.7.3-2", what: "topics and filters have no U+0000", run: nulTopics},
		{v3: "4.7.3-4", v5: "4.7.3-4", what: "topics are not normalized", run: notNormalized},
	}
}

// badFilters have to be refused, each by its code or by the end of the connection.
func badFilters(filters ...string) func(e *env) {
	return func(e *env) {
		for _, f := range filters {
			c := e.connect("a")
			c.Name = f
			c.Send(wt.Subscribe(e.version, 1, nil, wt.Filter{Name: f}))
			p, err := c.TryNext()
			switch {
			case err != nil: // closed
			case p.Type == wt.DISCONNECT:
				assert.Contains(e, []byte{0x81, 0x82, 0x8f}, p.Code, "filter %s", f)
			case p.Type == wt.SUBACK:
				require.Len(e, p.Codes, 1)
				assert.Contains(e, []byte{0x80, 0x8f}, p.Codes[0], "filter %s", f)
			default:
				e.Fatalf("filter %s: got %s", f, p)
			}
		}
	}
}

func wildcards(e *env) {
	topics := []string{"a", "a/b", "a/b/c", "/", "/a", "a/", "a//b", "b/b/b"}
	want := map[string][]string{
		"#":     topics,
		"+":     {"a"},
		"a/#":   {"a", "a/b", "a/b/c", "a/", "a//b"},
		"a/+":   {"a/b", "a/"},
		"+/b":   {"a/b"},
		"+/+":   {"a/b", "/", "/a", "a/"},
		"/+":    {"/", "/a"},
		"+/b/#": {"a/b", "a/b/c", "b/b/b"},
		"a/+/b": {"a//b"},
		"+/+/+": {"a/b/c", "a//b", "b/b/b"},
		"a/b/#": {"a/b", "a/b/c"},
		"/#":    {"/", "/a"},
	}
	pub := e.connect("pub")
	var n int
	end := e.sentinel()
	subs := map[string]*wt.Conn{}
	for filter := range want {
		n++
		subs[filter] = e.connect(fmt.Sprintf("sub%d", n))
		subs[filter].Subscribe(e.sub(filter, 1), wt.Filter{Name: end, Opts: 1})
	}
	for _, topic := range topics {
		pub.Publish(e.msg(topic, topic, 1))
	}
	pub.Publish(wt.Publish{Topic: end, QoS: 1})
	for filter, list := range want {
		sub := subs[filter]
		sub.Name = filter
		for _, topic := range topics {
			if slices.Contains(list, topic) {
				sub.Receive(e.topic(topic), topic)
			}
		}
		sub.Receive(end, "")
	}
}

// insider is a target that can be made to publish topics which it does not take from clients.
type insider interface{ Publish(topic, payload string) }

func dollar(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	// These see what others publish meanwhile; only the topics of this run are looked for.
	sub.Send(wt.Subscribe(e.version, 1, nil, wt.Filter{Name: "#"}, wt.Filter{Name: "+/t"}, wt.Filter{Name: "+/#"}))
	for sub.Next().Type != wt.SUBACK { // messages of others may come before it
	}
	name := "$" + e.prefix + "/t"
	pub.Publish(wt.Publish{Topic: name, Payload: "x"}) // a server may refuse to pass this on at all
	if in, ok := e.target.(insider); ok {
		exact := e.connect("exact")
		exact.Subscribe(wt.Filter{Name: "$" + e.prefix + "/#"})
		in.Publish(name, "from inside")
		exact.ExpectPublish(name, "from inside")
	}
	pub.Publish(wt.Publish{Topic: e.topic("sentinel"), Payload: "sentinel"})
	for {
		p := sub.Expect(wt.PUBLISH)
		require.NotEqual(e, name, p.Topic, "matched by a leading wildcard")
		if p.Topic == e.topic("sentinel") {
			break
		}
	}
}

func emptyTopics(e *env) {
	m := wt.Publish{Payload: "x"}
	e.closes("topic", e.connect("a"), m.Bytes(e.version))
	badFilters("")(e)
	c := e.connect("b")
	c.Send(wt.Unsubscribe(e.version, 1, nil, ""))
	if p, err := c.TryNext(); err == nil && p.Type == wt.UNSUBACK && e.v5() {
		assert.NotEqual(e, byte(0), p.Codes[0], "an empty filter cannot have been subscribed to")
	}
}

func nulTopics(e *env) {
	for _, topic := range []string{"\x00", "a\x00", "\x00/a", "a/\x00/b"} {
		e.closes("PUBLISH", e.connect("a"), e.msg(topic, "x", 0).Bytes(e.version))
		e.closes("SUBSCRIBE", e.connect("a"), wt.Subscribe(e.version, 1, nil, e.sub(topic, 0)))
		e.closes("UNSUBSCRIBE", e.connect("a"), wt.Unsubscribe(e.version, 1, nil, e.topic(topic)))
	}
}

func notNormalized(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	pairs := [][2]string{
		{"caf\u00e9", "cafe\u0301"}, {"a", "A"}, {"a/b", "a//b"}, {"a b", "a  b"}, {"x", "x/"}, {"x", "/x"}, {"./y", "y"},
		{"%20", " "}, {"\u212b", "\u00c5"}, {"\U0001f916", "\ufffd"}, {"zero\u200bwidth", "zerowidth"},
	}
	for _, p := range pairs {
		sub.Subscribe(e.sub(p[0], 1))
		pub.Publish(e.msg(p[1], "other", 1))
		pub.Publish(e.msg(p[0], "same", 1))
		sub.Receive(e.topic(p[0]), "same")
		sub.Unsubscribe(e.topic(p[1]))
		pub.Publish(e.msg(p[0], "still", 1))
		sub.Receive(e.topic(p[0]), "still")
		sub.Unsubscribe(e.topic(p[0]))
	}
}
