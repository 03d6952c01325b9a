package conformance

import (
	"fmt"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// retainChecks are retained messages.
func retainChecks() []check {
	return []check{
		{v3: "3.3.1-5", v5: "3.3.1-5", what: "a retained message is stored with its QoS", run: retainStored},
		{v3: "3.3.1-5", v5: "3.3.1-5", what: "a retained message replaces the last one", run: retainReplaced},
		{v3: "3.3.1-6 3.3.1-8", v5: "3.3.1-9", what: "a new subscription gets every retained message that matches", run: retainReplayed},
		{v3: "3.3.1-7", what: "a retained QoS 0 message discards the one before", run: retainQoS0},
		{v3: "3.3.1-9", v5: "3.3.1-12", what: "forwarded messages do not have RETAIN", run: retainCleared},
		{v3: "3.3.1-10", v5: "3.3.1-6", what: "an empty retained message removes and is delivered", run: retainRemoved},
		{v3: "3.3.1-11", v5: "3.3.1-7", what: "an empty message is not retained", run: retainEmpty},
		{v3: "3.3.1-12", v5: "3.3.1-8", what: "a message without RETAIN leaves the retained one alone", run: retainUntouched},
		{v5: "3.3.1-10", what: "retain handling 1 replays for new subscriptions only", run: retainIfNew},
		{v5: "3.3.1-11", what: "retain handling 2 does not replay", run: retainNever},
		{v5: "3.3.1-13", what: "retain as published keeps RETAIN", run: retainAsPublished},
	}
}

func retainStored(e *env) {
	pub := e.connect("pub")
	for qos := range byte(3) {
		pub.Publish(e.retained(fmt.Sprintf("t/%d", qos), "x", qos))
	}
	pub.Disconnect()
	sub := e.connect("sub")
	for qos := range byte(3) {
		topic := fmt.Sprintf("t/%d", qos)
		sub.Subscribe(e.sub(topic, 2))
		p := sub.Receive(e.topic(topic), "x")
		assert.Equal(e, qos, p.QoS)
		assert.True(e, p.Retain)
	}
}

func retainReplaced(e *env) {
	pub, sub := e.connect("pub"), e.connect("sub")
	for i := range 3 {
		pub.Publish(e.retained("t", fmt.Sprint(i), 1))
	}
	sub.Subscribe(e.sub("t", 1))
	sub.Receive(e.topic("t"), "2")
	sub.ExpectQuiet()
}

// replay subscribes and collects retained messages up to that of a sentinel.
func (e *env) replay(sub, pub *wt.Conn, filters ...wt.Filter) map[string]string {
	e.Helper()
	end := e.sentinel()
	pub.Publish(wt.Publish{Topic: end, Payload: "sentinel", QoS: 1, Retain: true})
	sub.Send(wt.Subscribe(e.version, sub.NextID(), nil, filters...), wt.Subscribe(e.version, sub.NextID(), nil, wt.Filter{Name: end, Opts: 1}))
	got := map[string]string{}
	for {
		p := sub.Next()
		if p.Type == wt.SUBACK {
			continue
		}
		require.Equal(e, wt.PUBLISH, p.Type, "%s", p)
		sub.Acknowledge(p)
		if p.Topic == end {
			break
		}
		assert.True(e, p.Retain, "%s", p)
		got[p.Topic[len(e.prefix)+1:]] += p.Payload
	}
	sub.Unsubscribe(end)
	pub.Publish(wt.Publish{Topic: end, QoS: 1, Retain: true})
	return got
}

func retainReplayed(e *env) {
	pub := e.connect("pub")
	for _, topic := range []string{"a", "a/b", "a/b/c", "a/x/c", "a/", "b/b", "/a"} {
		pub.Publish(e.retained(topic, "x", 1))
	}
	cases := map[string][]string{
		"a":     {"a"},
		"a/b":   {"a/b"},
		"a/+":   {"a/b", "a/"},
		"+/b":   {"a/b", "b/b"},
		"a/#":   {"a", "a/b", "a/b/c", "a/x/c", "a/"},
		"a/+/c": {"a/b/c", "a/x/c"},
		"+":     {"a"},
		"none":  nil,
	}
	for filter, topics := range cases {
		want := map[string]string{}
		for _, topic := range topics {
			want[topic] = "x"
		}
		sub := e.connect("sub")
		assert.Equal(e, want, e.replay(sub, pub, e.sub(filter, 1)), "filter %s", filter)
	}
}

func retainQoS0(e *env) {
	pub, sub := e.connect("pub"), e.connect("sub")
	pub.Publish(e.retained("t", "old", 1))
	pub.Publish(e.retained("t", "new", 0))
	got := e.replay(sub, pub, e.sub("t", 1))
	assert.NotContains(e, got["t"], "old")
}

func retainCleared(e *env) {
	pub, sub := e.connect("pub"), e.connect("sub")
	sub.Subscribe(e.sub("t", 1))
	pub.Publish(e.retained("t", "x", 1))
	assert.False(e, sub.Receive(e.topic("t"), "x").Retain)
	pub.Publish(e.msg("t", "y", 1))
	assert.False(e, sub.Receive(e.topic("t"), "y").Retain)
}

func retainRemoved(e *env) {
	pub, here := e.connect("pub"), e.connect("here")
	here.Subscribe(e.sub("t", 1))
	pub.Publish(e.retained("t", "x", 1))
	pub.Publish(e.retained("t", "", 1))
	here.Receive(e.topic("t"), "x")
	assert.False(e, here.Receive(e.topic("t"), "").Retain)
	e.noReplay(pub, e.connect("late"), e.sub("t", 1))
}

func retainEmpty(e *env) {
	pub := e.connect("pub")
	for qos := range byte(3) {
		pub.Publish(e.retained("t", "", qos))
	}
	e.noReplay(pub, e.connect("late"), e.sub("t", 1))
}

func retainUntouched(e *env) {
	pub := e.connect("pub")
	pub.Publish(e.msg("none", "x", 1))
	pub.Publish(e.retained("t", "kept", 1))
	pub.Publish(e.msg("t", "other", 1))
	pub.Publish(e.msg("t", "", 1))
	late := e.connect("late")
	e.noReplay(pub, late, e.sub("none", 1))
	late.Subscribe(e.sub("t", 1))
	late.Receive(e.topic("t"), "kept")
}

func retainIfNew(e *env) {
	pub, sub := e.connect("pub"), e.connect("sub", e.kept())
	pub.Publish(e.retained("t", "x", 1))
	once := e.sub("t", 1|wt.RetainIfNew)
	assert.Len(e, e.replay(sub, pub, once), 1, "new")
	assert.Empty(e, e.replay(sub, pub, once), "existing")
	sub.Unsubscribe(e.topic("t"))
	assert.Len(e, e.replay(sub, pub, once), 1, "new again")
	sub.Disconnect()
	sub = e.connect("sub", e.kept())
	assert.Empty(e, e.replay(sub, pub, once), "existing in a resumed session")
	assert.Len(e, e.replay(sub, pub, e.sub("t", 1)), 1, "handling 0 replays for an existing one too")
}

func retainNever(e *env) {
	pub, sub := e.connect("pub"), e.connect("sub")
	pub.Publish(e.retained("t", "x", 1))
	assert.Empty(e, e.replay(sub, pub, e.sub("t", 1|wt.RetainNever)))
	pub.Publish(e.msg("t", "y", 1))
	sub.Receive(e.topic("t"), "y")
}

func retainAsPublished(e *env) {
	pub, sub := e.connect("pub"), e.connect("sub")
	sub.Subscribe(e.sub("t", 1|wt.RetainAsPublished), e.sub("u", 1))
	pub.Publish(e.retained("t", "x", 1))
	assert.True(e, sub.Receive(e.topic("t"), "x").Retain)
	pub.Publish(e.msg("t", "y", 1))
	assert.False(e, sub.Receive(e.topic("t"), "y").Retain)
	pub.Publish(e.retained("u", "z", 1))
	assert.False(e, sub.Receive(e.topic("u"), "z").Retain)
	// Of a kept session as well.
	away := e.connect("away", e.kept())
	away.Subscribe(e.sub("v", 1|wt.RetainAsPublished))
	away.Disconnect()
	pub.Publish(e.retained("v", "x", 1))
	assert.True(e, e.connect("away", e.kept()).Receive(e.topic("v"), "x").Retain)
}
