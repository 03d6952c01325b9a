package conformance

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// connackChecks are section 3.2. The reader of wiretest refuses reserved flags, codes and
// properties that CONNACK does not have, so every connection checks those as well.
func connackChecks() []check {
	return []check{
		{v5: "3.2.2-1", what: "reserved flags of CONNACK are 0", run: connackFlags},
		{v3: "3.2.2-1", v5: "3.2.2-2", what: "a clean start has no session present", run: cleanNotPresent},
		{v3: "3.2.2-2 3.2.2-3", v5: "3.2.2-3", what: "session present tells the truth", run: present},
		{v3: "3.2.2-4 3.2.2-5", v5: "3.2.2-6 3.2.2-7", what: "a refusal has no session present and closes", run: refusal},
		{v3: "3.2.2-6", what: "without a fitting code there is no CONNACK", run: noCode},
		{v5: "3.2.2-8", what: "CONNACK has a code of its table", run: connackCode},
		{v5: "3.2.2-19 3.2.2-20", what: "CONNACK keeps to the client's maximum packet size", run: connackSize},
		{v5: "3.14.0-1", what: "no DISCONNECT before CONNACK", run: noEarlyDisconnect},
		{v3: "3.2.2-4 3.2.2-5", v5: "3.1.4-2 3.2.2-6 3.2.2-7", what: "a refused user is told", on: guarded, run: refusedUser},
	}
}

func connackFlags(e *env) {
	_, fresh := e.connack("a", e.kept())
	assert.Zero(e, fresh.AckFlags)
	_, again := e.connack("a", e.kept())
	assert.Equal(e, byte(1), again.AckFlags)
}

func cleanNotPresent(e *env) {
	_, ack := e.connack("a")
	assert.False(e, ack.Present)
	e.connect("b", e.kept()).Disconnect()
	_, ack = e.connack("b")
	assert.False(e, ack.Present)
	assert.Zero(e, ack.Code)
}

func present(e *env) {
	c, ack := e.connack("a", e.kept())
	assert.False(e, ack.Present)
	c.Disconnect()
	c, ack = e.connack("a", e.kept())
	assert.True(e, ack.Present)
	c.Drop()
	_, ack = e.connack("a", e.kept())
	assert.True(e, ack.Present, "also after a broken connection")
}

// refused is a CONNECT of client a which a server has to refuse with a code. In 3.1.1 there is
// only the empty client id, in 5.0 the session of a is there.
func (e *env) refused() []byte {
	if e.v5() {
		return e.options("a", e.kept(), prop(wt.Str(wt.AuthMethod, "no such method"))).Bytes(e.version)
	}
	return wt.Connect{Persist: true}.Bytes(e.version)
}

func refusal(e *env) {
	e.connect("a", e.kept()).Disconnect()
	c := e.dial("a")
	c.Send(e.refused())
	p := c.ExpectRefused()
	if !e.v5() {
		require.NotNil(e, p, "CONNACK")
	}
	if p != nil {
		assert.NotZero(e, p.Code)
		assert.False(e, p.Present)
	}
}

func noCode(e *env) {
	for what, b := range malformedConnects(e) {
		assert.Zero(e, e.refuses(what, b), what)
	}
}

func connackCode(e *env) {
	e.connect("a").ExpectQuiet()
	c := e.dial("b")
	c.Send(e.refused())
	c.ExpectRefused() // the reader knows the table
}

func connackSize(e *env) {
	const size = 64
	_, ack := e.connack("a", prop(wt.Num(wt.MaximumPacketSize, size)))
	assert.LessOrEqual(e, ack.Size, size)
	c := e.dial("b")
	c.Send(e.options("b", prop(wt.Num(wt.MaximumPacketSize, 20), wt.Str(wt.AuthMethod, "no such method"))).Bytes(e.version))
	if p := c.ExpectRefused(); p != nil {
		assert.LessOrEqual(e, p.Size, 20)
	}
}

func noEarlyDisconnect(e *env) {
	for what, b := range malformedConnects(e) {
		e.refuses(what, b) // refuses takes a CONNACK only
	}
}

func refusedUser(e *env) {
	e.connect("a", e.kept()).Disconnect()
	c := e.dial("mallory")
	c.Send(e.options("a", e.kept(), with(func(o *wt.Connect) { o.User, o.Password = ptr("mallory"), ptr("guess") })).Bytes(e.version))
	p := c.ExpectRefused()
	require.NotNil(e, p, "CONNACK")
	if e.v5() {
		assert.Contains(e, []byte{0x86, 0x87}, p.Code)
	} else {
		assert.Contains(e, []byte{4, 5}, p.Code)
	}
	_, ack := e.connack("a", e.kept())
	assert.True(e, ack.Present, "the session was left alone")
}
