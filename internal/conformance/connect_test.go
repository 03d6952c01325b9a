package conformance

import (
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// connectChecks are section 3.1: what a CONNECT packet may look like and what it starts.
func connectChecks() []check {
	return []check{
		{v3: "3.1.0-1", v5: "3.1.0-1", what: "the first packet has to be CONNECT", run: connectFirst},
		{v3: "3.1.0-2", v5: "3.1.0-2 3.2.0-2", what: "a second CONNECT closes", run: connectTwice},
		{v3: "3.1.2-1", v5: "3.1.2-1", what: "another protocol name is refused", run: protocolName},
		{v3: "3.1.2-2", v5: "3.1.2-2", what: "an unknown protocol level is refused", run: protocolLevel},
		{v3: "3.1.2-3", v5: "3.1.2-3", what: "the reserved connect flag is refused", run: connectReserved},
		{v3: "3.1.2-24", v5: "3.1.2-22 3.2.2-22", what: "silence beyond keep alive closes as a failure", run: keepAlive},
		{v3: "3.1.2-24", v5: "3.1.2-22", what: "any packet keeps alive", run: keptAlive},
		{v5: "3.1.2-22", what: "the server's own keep alive holds", on: shortAlive, run: serverKeepAlive},
		{v3: "3.1.3-2", v5: "3.1.3-2", what: "sessions belong to client ids", run: sessionsByID},
		{v3: "3.1.3-3", v5: "3.1.3-3", what: "a missing client id is refused", run: noClientID},
		{v3: "3.1.3-4", v5: "3.1.3-4 3.1.3-8", what: "a client id is UTF-8", run: clientIDUTF8},
		{v3: "3.1.3-5", v5: "3.1.3-5", what: "client ids of 1 to 23 letters and digits are allowed", run: clientIDs},
		{v3: "3.1.3-6", what: "an empty client id with a clean session is given one", run: emptyID},
		{v3: "3.1.3-7 3.1.3-8 3.1.3-9", what: "an empty client id with a kept session is refused", run: emptyIDKept},
		{v5: "3.1.3-6 3.1.3-7 3.2.2-16", what: "an empty client id is assigned one that works", run: assignedID},
		{v3: "3.1.4-1", v5: "3.1.4-1", what: "a malformed CONNECT closes", run: malformedConnect},
		{v3: "3.1.4-2", v5: "3.1.4-3", what: "a second connection takes over", run: takeover},
		{v3: "3.1.4-3", v5: "3.1.4-4", what: "clean start applies at a take-over", run: takeoverClean},
		{v3: "3.1.4-4 3.2.0-1", v5: "3.1.4-5 3.2.0-1", what: "CONNACK comes before anything else", run: connackFirst},
		{v3: "3.1.4-5", v5: "3.1.4-6", what: "what follows a refused CONNECT is not looked at", run: refusedData},
	}
}

func connectFirst(e *env) {
	for what, b := range map[string][]byte{
		"PUBLISH":    e.msg("t", "x", 0).Bytes(e.version),
		"SUBSCRIBE":  wt.Subscribe(e.version, 1, nil, e.sub("t", 0)),
		"PINGREQ":    wt.Ping(),
		"DISCONNECT": wt.Bye(0),
	} {
		c := e.dial(what)
		_ = c.TrySend(b)
		assert.Nil(e, c.ExpectRefused(), what)
	}
}

func connectTwice(e *env) {
	for what, o := range map[string]wt.Connect{"same id": e.options("a"), "other id": e.options("b")} {
		c := e.connect("a")
		e.closes(what, c, o.Bytes(e.version))
	}
}

func protocolName(e *env) {
	for _, name := range []string{"MQTX", "mqtt", "MQTTT", "MQT", "", "\xff"} {
		o := e.options("a")
		o.Name = name
		b := o.Bytes(e.version)
		if name == "" { // Bytes fills it in
			b = wt.Frame(wt.CONNECT<<4, append([]byte{0, 0}, b[2+6:]...))
		}
		e.refuses("name "+name, b)
	}
}

func protocolLevel(e *env) {
	for _, level := range []byte{1, 2, 6, 7, 0x7f} {
		o := e.options("a")
		o.Level = level
		c := e.dial(fmt.Sprintf("level %d", level))
		c.Send(o.Bytes(e.version))
		// A server of both versions answers in the one that is nearer.
		c.Version = wt.V5
		if level < wt.V311 {
			c.Version = wt.V311
		}
		p := c.ExpectRefused()
		if !e.v5() {
			require.NotNil(e, p, "CONNACK for level %d", level)
		}
		if p != nil { // 1 is how 3.1.1 says it, 0x84 how 5.0 does
			assert.Contains(e, []byte{1, 0x84}, p.Code, "CONNACK for level %d", level)
		}
	}
}

func connectReserved(e *env) {
	e.refuses("reserved flag", e.options("a", with(func(o *wt.Connect) { o.SetFlags = wt.FlagReserved })).Bytes(e.version))
}

func keepAlive(e *env) {
	watch := e.connect("watch")
	watch.Subscribe(e.sub("will", 0))
	c := e.connect("quiet", with(func(o *wt.Connect) { o.KeepAlive = 1 }), will(wt.Will{Topic: e.topic("will"), Payload: "gone"}))
	start := time.Now()
	if p := c.ExpectClosed(); p != nil {
		assert.Equal(e, byte(0x8d), p.Code, "reason of DISCONNECT")
	}
	took := time.Since(start)
	assert.GreaterOrEqual(e, took, 900*time.Millisecond, "closed before keep alive was over")
	assert.Less(e, took, 4*time.Second, "closed long after one and a half times keep alive")
	watch.ExpectPublish(e.topic("will"), "gone")
}

// keptAlive sends no PINGREQ, only messages, and receives none.
func keptAlive(e *env) {
	c := e.connect("busy", with(func(o *wt.Connect) { o.KeepAlive = 2 }))
	for range 9 { // longer than one and a half times two seconds
		before := time.Now()
		e.elapse(400 * time.Millisecond)
		if time.Since(before) > 2*time.Second {
			e.Skip("this machine is too busy to keep a connection alive")
		}
		c.Publish(e.msg("t", "x", 0))
	}
	c.ExpectQuiet()
}

func serverKeepAlive(e *env) {
	c, ack := e.connack("a", with(func(o *wt.Connect) { o.KeepAlive = 600 }))
	n, ok := ack.Props.Get(wt.ServerKeepAlive)
	require.True(e, ok, "CONNACK has a Server Keep Alive")
	require.EqualValues(e, 1, n)
	if p := c.ExpectClosed(); p != nil {
		assert.Equal(e, byte(0x8d), p.Code, "reason of DISCONNECT")
	}
}

func sessionsByID(e *env) {
	a := e.connect("a", e.kept())
	a.Subscribe(e.sub("a", 0))
	a.Disconnect()
	_, other := e.connack("b", e.kept())
	assert.False(e, other.Present, "session of another id")
	_, longer := e.connack("aa", e.kept())
	assert.False(e, longer.Present, "session of an id that begins the same")
	_, same := e.connack("a", e.kept())
	assert.True(e, same.Present, "session of the same id")
}

func noClientID(e *env) {
	e.refuses("no payload", e.options("a", with(func(o *wt.Connect) { o.NoPayload = true })).Bytes(e.version))
}

func clientIDUTF8(e *env) {
	for _, bad := range badStrings {
		e.refuses("client id", wt.Connect{ClientID: e.prefix + bad}.Bytes(e.version))
	}
}

func clientIDs(e *env) {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	// Ids of one letter are shared by all runs: each takes letters of its own.
	run := 2*strings.Index("tcp ws memory", e.transport) + int(e.version) - int(wt.V311)
	for i, r := range letters {
		if i%18 != run {
			continue
		}
		c := e.dial(string(r))
		c.Connect(wt.Connect{ClientID: string(r)})
	}
	for i := 0; i < len(letters); i += 10 {
		id := (e.prefix + letters[i:] + letters)[:23]
		c := e.dial(id)
		c.Connect(wt.Connect{ClientID: id})
		c.ExpectQuiet()
	}
}

func emptyID(e *env) {
	a, b := e.dial("a"), e.dial("b")
	a.Connect(wt.Connect{})
	b.Connect(wt.Connect{}) // an id of its own: a is not taken over
	a.Subscribe(e.sub("t", 0))
	b.Publish(e.msg("t", "x", 0))
	a.ExpectPublish(e.topic("t"), "x")
}

func emptyIDKept(e *env) {
	assert.Equal(e, byte(2), e.refuses("empty id", wt.Connect{Persist: true}.Bytes(e.version)))
}

func assignedID(e *env) {
	a, b := e.dial("a"), e.dial("b")
	kept := wt.Connect{Persist: true, Props: wt.Props{wt.Num(wt.SessionExpiry, 60)}}
	first, _ := a.Connect(kept).Props.Text(wt.AssignedClientID)
	second, _ := b.Connect(wt.Connect{}).Props.Text(wt.AssignedClientID)
	require.NotEmpty(e, first, "Assigned Client Identifier")
	require.NotEmpty(e, second, "Assigned Client Identifier, clean start")
	assert.NotEqual(e, first, second)
	a.ExpectQuiet()
	a.Subscribe(e.sub("t", 0))
	a.Disconnect()
	again := e.dial("again")
	kept.ClientID = first
	p := again.Connect(kept)
	assert.True(e, p.Present, "the assigned id resumes its session")
	assert.False(e, p.Props.Has(wt.AssignedClientID), "nothing was assigned this time")
	again.Disconnect(wt.Num(wt.SessionExpiry, 0))
}

// malformedConnects are cut or padded packets that cannot be a CONNECT.
func malformedConnects(e *env) map[string][]byte {
	whole := e.options("a", will(wt.Will{Topic: "t", Payload: "p"}), with(func(o *wt.Connect) {
		o.User, o.Password = ptr("user"), ptr("password")
	})).Bytes(e.version)
	cases := map[string][]byte{
		"empty":                   wt.Frame(wt.CONNECT<<4, nil),
		"only a name":             wt.Frame(wt.CONNECT<<4, wt.String(nil, "MQTT")),
		"no keep alive":           wt.Frame(wt.CONNECT<<4, append(wt.String(nil, "MQTT"), e.version, 2)),
		"user, but not there":     e.options("a", with(func(o *wt.Connect) { o.SetFlags = wt.FlagUser })).Bytes(e.version),
		"bytes behind the end":    e.options("a", with(func(o *wt.Connect) { o.Tail = []byte("tail") })).Bytes(e.version),
		"client id beyond packet": e.options("a", with(func(o *wt.Connect) { o.NoPayload, o.Tail = true, []byte{0, 99, 'a'} })).Bytes(e.version),
		"password cut":            wt.Frame(wt.CONNECT<<4, whole[2:len(whole)-3]),
	}
	if e.v5() {
		for what, p := range map[string]wt.Props{
			"receive maximum 0":       {wt.Num(wt.ReceiveMaximum, 0)},
			"maximum packet size 0":   {wt.Num(wt.MaximumPacketSize, 0)},
			"request problem info 2":  {wt.Num(wt.RequestProblemInfo, 2)},
			"request response info 2": {wt.Num(wt.RequestResponseInfo, 2)},
			"session expiry twice":    {wt.Num(wt.SessionExpiry, 1), wt.Num(wt.SessionExpiry, 1)},
			"data without method":     {wt.Str(wt.AuthData, "x")},
			"property of PUBLISH":     {wt.Num(wt.TopicAlias, 1)},
			"unknown property":        {wt.Num(0x7e, 0)},
		} {
			cases[what] = e.options("a", prop(p...)).Bytes(e.version)
		}
		cases["will delay twice"] = e.options("a", will(wt.Will{
			Topic: "t", Props: wt.Props{wt.Num(wt.WillDelay, 1), wt.Num(wt.WillDelay, 1)},
		})).Bytes(e.version)
	}
	return cases
}

func malformedConnect(e *env) {
	for what, b := range malformedConnects(e) {
		code := e.refuses(what, b)
		if !e.v5() {
			assert.Zero(e, code, "%s: closed without a CONNACK", what)
		}
	}
	huge := e.dial("huge")
	_ = huge.TrySend([]byte{wt.CONNECT << 4, 0xff, 0xff, 0xff, 0xff}, []byte(strings.Repeat("x", 10)))
	huge.ExpectRefused()
}

func takeover(e *env) {
	old := e.connect("a")
	renewed := e.connect("a")
	p := old.ExpectClosed()
	if e.v5() {
		require.NotNil(e, p, "the old connection is told")
		assert.Equal(e, byte(0x8e), p.Code, "session taken over")
	}
	renewed.ExpectQuiet()
}

func takeoverClean(e *env) {
	old := e.connect("a", e.kept())
	old.Subscribe(e.sub("t", 1))
	kept, ack := e.connack("a", e.kept())
	assert.True(e, ack.Present, "kept: the session goes on")
	old.ExpectClosed()
	pub := e.connect("pub")
	pub.Publish(e.msg("t", "x", 1))
	kept.Receive(e.topic("t"), "x")
	clean, ack := e.connack("a")
	assert.False(e, ack.Present, "clean: a new session")
	kept.ExpectClosed()
	pub.Publish(e.msg("t", "y", 1))
	e.nothing(pub, clean, 1)
}

func connackFirst(e *env) {
	a := e.connect("a", e.kept())
	a.Subscribe(e.sub("t", 1))
	a.Disconnect()
	pub := e.connect("pub")
	for range 3 {
		pub.Publish(e.msg("t", "queued", 1))
	}
	// All at once: the answers may not overtake the CONNACK, nor may the queue.
	c := e.dial("a")
	c.Send(e.options("a", e.kept()).Bytes(e.version), wt.Subscribe(e.version, 9, nil, e.sub("u", 0)), wt.Ping())
	p := c.Expect(wt.CONNACK)
	assert.Zero(e, p.Code)
	assert.True(e, p.Present)
	got := map[byte]int{}
	for range 5 {
		p := c.Next()
		got[p.Type]++
		if p.Type == wt.PUBLISH {
			c.Send(wt.Ack(wt.PUBACK, p.ID))
		}
	}
	assert.Equal(e, map[byte]int{wt.PUBLISH: 3, wt.SUBACK: 1, wt.PINGRESP: 1}, got)
}

func refusedData(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 0))
	bad := wt.Connect{Persist: true}.Bytes(e.version) // empty client id and a kept session
	if e.v5() {
		bad = e.options("bad", prop(wt.Str(wt.AuthMethod, "no such method"))).Bytes(e.version)
	}
	c := e.dial("bad")
	_ = c.TrySend(bad, e.msg("t", "from the refused", 0).Bytes(e.version))
	c.ExpectRefused()
	e.nothing(pub, sub, 0)
}
