package conformance

import (
	"time"

	"github.com/stretchr/testify/assert"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// willChecks are the Will: when it is published, when not, and how.
func willChecks() []check {
	return []check{
		{v3: "3.1.2-8", v5: "3.1.2-7 3.1.2-8", what: "a broken connection publishes the Will", run: willOnDrop},
		{v3: "3.1.2-8", v5: "3.1.2-8", what: "a protocol error publishes the Will", run: willOnError},
		{v3: "3.1.2-8", v5: "3.1.2-8", what: "a take-over publishes the Will", run: willOnTakeover},
		{v3: "3.1.2-10 3.14.4-3", v5: "3.1.2-10 3.14.4-3", what: "DISCONNECT discards the Will", run: willDiscarded},
		{v3: "3.1.2-10", v5: "3.1.2-10", what: "a Will is published once", run: willOnce},
		{v3: "3.1.2-12", what: "without a Will nothing is published", run: noWill},
		{v3: "3.1.2-16", v5: "3.1.2-14", what: "a Will is not retained unless it says so", run: willNotRetained},
		{v3: "3.1.2-17", v5: "3.1.2-15", what: "a retained Will is retained", run: willRetained},
		{v5: "3.1.2-8", what: "DISCONNECT with code 4 publishes the Will", run: willOnCode4},
		{v5: "3.1.2-8", what: "a Will waits for its delay", run: willDelayed},
		{v5: "3.1.2-8", what: "the end of the session cuts the delay short", run: willAtSessionEnd},
		{v5: "3.1.3-9", what: "a new connection before the delay is over stops the Will", run: willStopped},
		{v5: "3.1.3-10", what: "user properties of a Will keep their order", run: willProperties},
	}
}

// watcher subscribes to the Will topic of the run.
func (e *env) watcher() *wt.Conn {
	e.Helper()
	w := e.connect("watch")
	w.Subscribe(e.sub("w", 2))
	return w
}

// dying is a client whose Will says its name.
func (e *env) dying(name string, mods ...mod) *wt.Conn {
	e.Helper()
	return e.connect(name, append([]mod{will(wt.Will{Topic: e.topic("w"), Payload: name, QoS: 1})}, mods...)...)
}

func willOnDrop(e *env) {
	w := e.watcher()
	e.dying("a").Drop()
	assert.False(e, w.Receive(e.topic("w"), "a").Retain)
	if e.v5() { // a session that is kept does not keep the Will back without a delay
		e.dying("b", e.kept()).Drop()
		w.Receive(e.topic("w"), "b")
	}
}

func willOnError(e *env) {
	w := e.watcher()
	e.closes("type 0", e.dying("a"), []byte{0, 0})
	w.Receive(e.topic("w"), "a")
	e.closes("second CONNECT", e.dying("b"), e.options("b").Bytes(e.version))
	w.Receive(e.topic("w"), "b")
}

func willOnTakeover(e *env) {
	w := e.watcher()
	old := e.dying("a")
	e.connect("a")
	old.ExpectClosed()
	w.Receive(e.topic("w"), "a")
}

func willDiscarded(e *env) {
	w := e.watcher()
	e.dying("polite").Disconnect()
	e.dying("polite").Disconnect()
	// The Will of another is the sentinel: it takes the same path, later.
	e.dying("sentinel").Drop()
	w.Receive(e.topic("w"), "sentinel")
	w.ExpectQuiet()
}

func willOnce(e *env) {
	w := e.watcher()
	e.dying("a", e.kept()).Drop()
	w.Receive(e.topic("w"), "a")
	c := e.connect("a", e.kept()) // the same session, this time without a Will
	c.Drop()
	e.connect("a", e.kept()).Drop()
	e.dying("sentinel").Drop()
	w.Receive(e.topic("w"), "sentinel")
}

func noWill(e *env) {
	w := e.connect("watch")
	w.Subscribe(e.sub("#", 1))
	e.connect("a").Drop()
	e.connect("a").Drop()
	e.dying("sentinel").Drop()
	w.Receive(e.topic("w"), "sentinel")
}

func willNotRetained(e *env) {
	w := e.watcher()
	e.dying("a").Drop()
	w.Receive(e.topic("w"), "a")
	e.noReplay(w, e.connect("late"), e.sub("w", 1))
}

func willRetained(e *env) {
	w := e.watcher()
	e.connect("a", will(wt.Will{Topic: e.topic("w"), Payload: "last", QoS: 1, Retain: true})).Drop()
	w.Receive(e.topic("w"), "last")
	late := e.connect("late")
	late.Subscribe(e.sub("w", 1))
	p := late.Receive(e.topic("w"), "last")
	assert.True(e, p.Retain)
}

func willOnCode4(e *env) {
	w := e.watcher()
	c := e.dying("a")
	c.Send(wt.Bye(4))
	c.ExpectClosed()
	w.Receive(e.topic("w"), "a")
}

func (e *env) delayedWill(payload string, delay uint32) mod {
	return will(wt.Will{Topic: e.topic("w"), Payload: payload, QoS: 1, Props: wt.Props{wt.Num(wt.WillDelay, delay)}})
}

func willDelayed(e *env) {
	w := e.watcher()
	start := time.Now()
	e.connect("a", e.kept(), e.delayedWill("late", 2)).Drop()
	e.dying("b").Drop()
	w.Receive(e.topic("w"), "b") // the one without a delay overtakes
	w.Receive(e.topic("w"), "late")
	took := time.Since(start)
	assert.GreaterOrEqual(e, took, 2*time.Second)
	assert.Less(e, took, 4*time.Second)
}

func willAtSessionEnd(e *env) {
	w := e.watcher()
	// No expiry: the session ends with the connection, and the Will does not wait.
	e.connect("a", e.delayedWill("a", 100)).Drop()
	w.Receive(e.topic("w"), "a")
	// A clean start ends the session that the Will belongs to.
	e.connect("b", e.kept(), e.delayedWill("b", 100)).Drop()
	e.connect("b")
	w.Receive(e.topic("w"), "b")
	start := time.Now()
	e.connect("c", prop(wt.Num(wt.SessionExpiry, 1)), e.delayedWill("c", 100)).Drop()
	w.Receive(e.topic("w"), "c")
	assert.Less(e, time.Since(start).Seconds(), 4.0)
}

func willStopped(e *env) {
	w := e.watcher()
	e.connect("a", e.kept(), e.delayedWill("a", 1)).Drop()
	c, ack := e.connack("a", e.kept())
	assert.True(e, ack.Present)
	// The same delay, started later, is the sentinel.
	e.connect("b", e.kept(), e.delayedWill("b", 2)).Drop()
	w.Receive(e.topic("w"), "b")
	c.Disconnect(wt.Num(wt.SessionExpiry, 0))
}

func willProperties(e *env) {
	w := e.watcher()
	props := wt.Props{
		wt.Num(wt.PayloadFormat, 1), wt.Str(wt.ContentType, "text/plain"), wt.Str(wt.ResponseTopic, "answer"),
		wt.Str(wt.CorrelationData, "\x00\x01"), wt.User("b", "1"), wt.User("a", "2"), wt.User("b", "1"), wt.User("", ""),
	}
	e.connect("a", will(wt.Will{Topic: e.topic("w"), Payload: "x", Props: props})).Drop()
	p := w.Receive(e.topic("w"), "x")
	assert.Equal(e, props.All(wt.UserProperty), p.Props.All(wt.UserProperty))
	for _, id := range []byte{wt.ContentType, wt.ResponseTopic, wt.CorrelationData, wt.PayloadFormat} {
		assert.Equal(e, props.All(id), p.Props.All(id))
	}
}
