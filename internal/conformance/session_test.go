package conformance

import (
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// sessionChecks are what is kept between connections, and for how long.
func sessionChecks() []check {
	return []check{
		{v3: "3.1.2-4", v5: "3.1.2-5", what: "a kept session is resumed", run: resumes},
		{v3: "3.1.2-5 4.5.0-1", v5: "3.1.2-23 4.5.0-1", what: "messages are kept for an absent session", run: queued},
		{v3: "3.1.2-6", v5: "3.1.2-4", what: "a clean start discards the session", run: discarded},
		{v5: "3.1.2-6", what: "without a session a new one is made", run: created},
		{v3: "3.1.2.7", what: "retained messages outlive sessions", run: retainedOutlives},
		{v3: "4.1.0-1 4.1.0-2", v5: "4.1.0-1", what: "a session lasts as long as its connection", run: lastsConnection},
		{v5: "4.1.0-2", what: "a session ends when its expiry has passed", run: expires},
		{v5: "4.1.0-2", what: "a session without expiry ends with its connection", run: endsAtOnce},
		{v5: "4.1.0-2", what: "DISCONNECT may shorten the expiry", run: shortened},
		{v5: "4.13.1-1", what: "DISCONNECT may not start an expiry", run: notStarted},
		{v3: "4.5.0-1", v5: "4.5.0-1", what: "every matching session gets the message", run: everySession},
	}
}

func resumes(e *env) {
	c, ack := e.connack("a", e.kept())
	assert.False(e, ack.Present)
	c.Subscribe(e.sub("t", 1))
	c.Disconnect()
	c, ack = e.connack("a", e.kept())
	assert.True(e, ack.Present)
	pub := e.connect("pub")
	pub.Publish(e.msg("t", "x", 1))
	c.Receive(e.topic("t"), "x")
}

func queued(e *env) {
	c := e.connect("a", e.kept())
	c.Subscribe(e.sub("one", 1), e.sub("two", 2))
	c.Disconnect()
	pub := e.connect("pub")
	pub.Publish(e.msg("one", "1", 1))
	pub.Publish(e.msg("two", "2", 2))
	pub.Publish(e.msg("other", "3", 1))
	c = e.connect("a", e.kept())
	assert.Equal(e, byte(1), c.Receive(e.topic("one"), "1").QoS)
	assert.Equal(e, byte(2), c.Receive(e.topic("two"), "2").QoS)
	c.ExpectQuiet()
	c.Disconnect()
	c = e.connect("a", e.kept()) // what was acknowledged is gone
	c.ExpectQuiet()
}

func discarded(e *env) {
	c := e.connect("a", e.kept())
	c.Subscribe(e.sub("t", 1))
	c.Disconnect()
	pub := e.connect("pub")
	pub.Publish(e.msg("t", "queued", 1))
	c, ack := e.connack("a")
	assert.False(e, ack.Present)
	e.nothing(pub, c, 1) // neither the queue
	pub.Publish(e.msg("t", "subscribed", 1))
	e.nothing(pub, c, 1) // nor the subscription
	c.Disconnect()
	_, ack = e.connack("a", e.kept())
	assert.False(e, ack.Present, "the clean session was not kept either")
}

func created(e *env) {
	c, ack := e.connack("a", with(func(o *wt.Connect) { o.Persist = true }))
	assert.False(e, ack.Present)
	c.Subscribe(e.sub("t", 0))
	c.Publish(e.msg("t", "x", 0))
	c.ExpectPublish(e.topic("t"), "x")
}

func retainedOutlives(e *env) {
	pub := e.connect("pub", e.kept())
	pub.Publish(e.retained("t", "x", 1))
	pub.Disconnect()
	e.connect("pub").Disconnect()
	sub := e.connect("sub")
	sub.Subscribe(e.sub("t", 0))
	assert.True(e, sub.ExpectPublish(e.topic("t"), "x").Retain)
}

func lastsConnection(e *env) {
	c, pub := e.connect("a"), e.connect("pub")
	c.Subscribe(e.sub("t", 1))
	for range 3 {
		c.ExpectQuiet()
		pub.Publish(e.msg("t", "x", 1))
		c.Receive(e.topic("t"), "x")
	}
}

func expires(e *env) {
	c := e.connect("a", with(func(o *wt.Connect) { o.Persist = true }), prop(wt.Num(wt.SessionExpiry, 1)))
	c.Subscribe(e.sub("t", 1))
	c.Disconnect()
	e.elapse(2500 * time.Millisecond)
	_, ack := e.connack("a", e.kept())
	assert.False(e, ack.Present)
}

func endsAtOnce(e *env) {
	c := e.connect("a", with(func(o *wt.Connect) { o.Persist = true }))
	c.Subscribe(e.sub("t", 1))
	c.Disconnect()
	_, ack := e.connack("a", e.kept())
	assert.False(e, ack.Present)
}

func shortened(e *env) {
	c := e.connect("a", e.kept())
	c.Disconnect(wt.Num(wt.SessionExpiry, 0))
	c, ack := e.connack("a", with(func(o *wt.Connect) { o.Persist = true }))
	assert.False(e, ack.Present, "0 in DISCONNECT ends the session")
	c.Disconnect()
	c = e.connect("a", prop(wt.Num(wt.SessionExpiry, 1)))
	c.Disconnect(wt.Num(wt.SessionExpiry, 300)) // it may also be made longer
	e.elapse(1500 * time.Millisecond)
	c, ack = e.connack("a", e.kept())
	assert.True(e, ack.Present, "300 in DISCONNECT keeps the session")
	c.Disconnect(wt.Num(wt.SessionExpiry, 0))
}

func notStarted(e *env) {
	c := e.connect("a", with(func(o *wt.Connect) { o.Persist = true }))
	code := e.closes("session expiry in DISCONNECT", c, wt.Bye(0, wt.Num(wt.SessionExpiry, 60)))
	assert.Contains(e, []byte{0, 0x82}, code)
	_, ack := e.connack("a", e.kept())
	assert.False(e, ack.Present)
}

func everySession(e *env) {
	pub := e.connect("pub")
	away := e.connect("away", e.kept())
	away.Subscribe(e.sub("t/#", 1))
	away.Disconnect()
	var here []*wt.Conn
	for _, filter := range []string{"t/a", "t/+", "+/a", "#"} {
		c := e.connect("f" + string(rune('0'+len(here))))
		c.Subscribe(e.sub(filter, 1))
		here = append(here, c)
	}
	pub.Publish(e.msg("t/a", "x", 1))
	for _, c := range here {
		require.Equal(e, byte(1), c.Receive(e.topic("t/a"), "x").QoS)
	}
	e.connect("away", e.kept()).Receive(e.topic("t/a"), "x")
}
