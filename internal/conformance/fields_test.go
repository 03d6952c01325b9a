package conformance

import (
	"github.com/stretchr/testify/assert"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// connectFieldChecks are the connect flags and the fields that they announce.
func connectFieldChecks() []check {
	return []check{
		{v3: "3.1.2-9", v5: "3.1.2-9", what: "a Will flag without the Will is refused", run: willMissing},
		{v3: "3.1.2-11 3.1.2-13", v5: "3.1.2-11", what: "Will QoS without a Will is refused", run: willQoSAlone},
		{v3: "3.1.2-15", v5: "3.1.2-13", what: "Will Retain without a Will is refused", run: willRetainAlone},
		{v3: "3.1.2-14", v5: "3.1.2-12", what: "Will QoS 3 is refused, others hold", run: willQoS},
		{v3: "3.1.2-18", v5: "3.1.2-16", what: "a user name without its flag is refused", run: userWithoutFlag},
		{v3: "3.1.2-19", v5: "3.1.2-17", what: "a user name flag without a name is refused", run: flagWithoutUser},
		{v3: "3.1.2-20", v5: "3.1.2-18", what: "a password without its flag is refused", run: passwordWithoutFlag},
		{v3: "3.1.2-21", v5: "3.1.2-19", what: "a password flag without a password is refused", run: flagWithoutPassword},
		{v3: "3.1.2-22", what: "a password without a user name is refused", run: passwordAlone},
		{v5: "3.1.2-19", what: "a password may come without a user name", run: passwordAlone5},
		{v3: "3.1.3-1", v5: "3.1.3-1", what: "fields stand in their order", run: fieldOrder},
		{v3: "3.1.3-10", v5: "3.1.3-11", what: "a Will topic is UTF-8", run: willTopicUTF8},
		{v3: "3.1.3-11", v5: "3.1.3-12", what: "a user name is UTF-8", run: userUTF8},
		{v5: "3.1.2-28", what: "no response information unless asked", run: noResponseInfo},
		{v5: "3.1.2-29", what: "no reasons in words where they are not wanted", run: noProblemInfo},
	}
}

func willMissing(e *env) {
	e.refuses("no fields", e.options("a", with(func(o *wt.Connect) { o.SetFlags = wt.FlagWill })).Bytes(e.version))
	half := wt.String(nil, e.topic("t"))
	if e.v5() {
		half = append([]byte{0}, half...)
	}
	e.refuses("no message", e.options("a", with(func(o *wt.Connect) { o.SetFlags, o.Tail = wt.FlagWill, half })).Bytes(e.version))
}

func willQoSAlone(e *env) {
	for _, f := range []byte{wt.FlagWillQoS1, wt.FlagWillQoS2} {
		e.refuses("will qos", e.options("a", with(func(o *wt.Connect) { o.SetFlags = f })).Bytes(e.version))
	}
}

func willRetainAlone(e *env) {
	e.refuses("will retain", e.options("a", with(func(o *wt.Connect) { o.SetFlags = wt.FlagWillRetain })).Bytes(e.version))
}

func willQoS(e *env) {
	e.refuses("qos 3", e.options("a", will(wt.Will{Topic: "t", QoS: 3})).Bytes(e.version))
	watch := e.connect("watch")
	watch.Subscribe(e.sub("w", 2))
	for qos := range byte(3) {
		c := e.connect("a", will(wt.Will{Topic: e.topic("w"), Payload: "x", QoS: qos}))
		c.Drop()
		assert.Equal(e, qos, watch.Receive(e.topic("w"), "x").QoS)
	}
}

func userWithoutFlag(e *env) {
	e.refuses("user", e.options("a", with(func(o *wt.Connect) { o.User, o.DropFlags = ptr("u"), wt.FlagUser })).Bytes(e.version))
}

func flagWithoutUser(e *env) {
	e.refuses("user", e.options("a", with(func(o *wt.Connect) { o.SetFlags = wt.FlagUser })).Bytes(e.version))
}

func passwordWithoutFlag(e *env) {
	e.refuses("password", e.options("a", with(func(o *wt.Connect) {
		o.User, o.Password, o.DropFlags = ptr("u"), ptr("p"), wt.FlagPassword
	})).Bytes(e.version))
}

func flagWithoutPassword(e *env) {
	e.refuses("password", e.options("a", with(func(o *wt.Connect) { o.User, o.SetFlags = ptr("u"), wt.FlagPassword })).Bytes(e.version))
}

func passwordAlone(e *env) {
	e.refuses("password", e.options("a", with(func(o *wt.Connect) { o.Password = ptr("p") })).Bytes(e.version))
}

func passwordAlone5(e *env) {
	e.connect("a", with(func(o *wt.Connect) { o.Password = ptr("p") })).ExpectQuiet()
}

func fieldOrder(e *env) {
	watch := e.connect("watch")
	watch.Subscribe(e.sub("#", 2))
	var props wt.Props
	if e.v5() {
		props = wt.Props{wt.Str(wt.ContentType, "text/plain")}
	}
	user := with(func(o *wt.Connect) { o.User, o.Password = ptr("user"), ptr("password") })
	c := e.connect("id", will(wt.Will{Topic: e.topic("will"), Payload: "message", QoS: 1, Props: props}), user)
	renewed := e.connect("id", user) // the first field is the client id: this takes over
	c.ExpectClosed()
	p := watch.Receive(e.topic("will"), "message")
	if e.v5() {
		assert.Equal(e, props, p.Props)
	}
	renewed.ExpectQuiet()
}

func willTopicUTF8(e *env) {
	for _, bad := range append(badStrings, "a\x00b") {
		e.refuses("will topic", e.options("a", will(wt.Will{Topic: bad, Payload: "x"})).Bytes(e.version))
	}
	e.refuses("wildcard", e.options("a", will(wt.Will{Topic: e.topic("+/x"), Payload: "x"})).Bytes(e.version))
	e.refuses("empty", e.options("a", will(wt.Will{Topic: "", Payload: "x"})).Bytes(e.version))
}

func userUTF8(e *env) {
	for _, bad := range append(badStrings, "a\x00b") {
		e.refuses("user", e.options("a", with(func(o *wt.Connect) { o.User, o.Password = &bad, ptr("p") })).Bytes(e.version))
	}
}

func noResponseInfo(e *env) {
	_, ack := e.connack("a")
	assert.False(e, ack.Props.Has(wt.ResponseInfo), "not asked for")
	_, ack = e.connack("b", prop(wt.Num(wt.RequestResponseInfo, 0)))
	assert.False(e, ack.Props.Has(wt.ResponseInfo), "declined")
}

func noProblemInfo(e *env) {
	c := e.connect("a", prop(wt.Num(wt.RequestProblemInfo, 0)))
	c.Send(wt.Subscribe(e.version, 1, wt.Props{wt.User("k", "v")}, e.sub("ok", 2), wt.Filter{Name: "$share/g/" + e.topic("ok")}))
	answers := []wt.Packet{c.Expect(wt.SUBACK)}
	c.Send(wt.Unsubscribe(e.version, 2, wt.Props{wt.User("k", "v")}, e.topic("none")))
	answers = append(answers, c.Expect(wt.UNSUBACK))
	m := e.msg("nobody", "x", 1)
	m.ID, m.Props = 3, wt.Props{wt.User("k", "v")}
	c.Send(m.Bytes(e.version))
	answers = append(answers, c.Expect(wt.PUBACK))
	m.QoS = 2
	c.Send(m.Bytes(e.version))
	answers = append(answers, c.Expect(wt.PUBREC))
	c.Send(wt.Ack(wt.PUBREL, 99))
	answers = append(answers, c.Expect(wt.PUBCOMP))
	for _, p := range answers {
		assert.False(e, p.Props.Has(wt.ReasonString), "reason string in %s", p)
		assert.False(e, p.Props.Has(wt.UserProperty), "user property in %s", p)
	}
}
