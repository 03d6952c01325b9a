package conformance

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// endChecks are PINGREQ, PUBREL flags, DISCONNECT and the ends of connections.
func endChecks() []check {
	return []check{
		{v3: "3.6.1-1", v5: "3.6.1-1", what: "PUBREL with other flags closes", run: pubrelFlags},
		{v3: "3.12.4-1", v5: "3.12.4-1", what: "PINGREQ is answered", run: ping},
		{v3: "3.14.1-1", v5: "3.14.1-1", what: "DISCONNECT with other flags closes as an error", run: disconnectFlags},
		{v5: "3.14.2-1 3.14.2-2 4.13.2-1", what: "the server's DISCONNECT has a code and no session expiry", run: serverDisconnect},
		{v3: "3.14.4-1 3.14.4-2", v5: "3.14.4-1 3.14.4-2", what: "nothing is sent behind DISCONNECT", run: nothingBehind},
		{v3: "7.1.1-1", v5: "4.2.0-1", what: "packets may come in any pieces", run: pieces},
	}
}

func pubrelFlags(e *env) {
	for _, flags := range []byte{0, 1, 3, 4, 6, 10} {
		c := e.connect("a")
		m := e.msg("t", "x", 2)
		m.ID = 1
		c.Send(m.Bytes(e.version))
		c.ExpectAck(wt.PUBREC, 1)
		e.closes("PUBREL", c, wt.Frame(wt.PUBREL<<4|flags, []byte{0, 1}))
	}
}

func ping(e *env) {
	c := e.connect("a")
	for range 3 {
		c.Send(wt.Ping(), wt.Ping())
		c.Expect(wt.PINGRESP)
		c.Expect(wt.PINGRESP)
	}
}

func disconnectFlags(e *env) {
	w := e.watcher()
	for _, flags := range []byte{1, 2, 8} {
		c := e.dying("a")
		code := e.closes("DISCONNECT", c, []byte{wt.DISCONNECT<<4 | flags, 0})
		assert.Contains(e, []byte{0, 0x81, 0x82}, code)
		w.Receive(e.topic("w"), "a") // it was an error, not a leave
	}
}

func serverDisconnect(e *env) {
	cases := map[string][]byte{
		"malformed":      {0, 0},
		"second CONNECT": e.options("a").Bytes(e.version),
		"bad flags":      {wt.PINGREQ<<4 | 1, 0},
	}
	for what, b := range cases {
		e.closes(what, e.connect("a"), b) // the reader knows codes and properties
	}
	old := e.connect("b", e.kept())
	e.connect("b", e.kept())
	p := old.ExpectClosed()
	require.NotNil(e, p)
	assert.Equal(e, byte(0x8e), p.Code)
}

func nothingBehind(e *env) {
	sub, pub := e.connect("sub"), e.connect("pub")
	sub.Subscribe(e.sub("t", 0))
	c := e.connect("a")
	c.Subscribe(e.sub("u", 0))
	// All in one write: what stands behind DISCONNECT is not looked at.
	c.Send(wt.Bye(0), wt.Ping(), e.msg("t", "x", 0).Bytes(e.version), e.msg("u", "x", 0).Bytes(e.version))
	if p := c.ExpectClosed(); p != nil {
		e.Fatalf("got %s after DISCONNECT", *p)
	}
	e.nothing(pub, sub, 0)
}

func pieces(e *env) {
	sub, pub := e.connect("sub"), e.dial("pub")
	sub.Subscribe(e.sub("t", 1))
	m := e.msg("t", "payload", 1)
	m.ID = 1
	all := append(e.options("pub").Bytes(e.version), m.Bytes(e.version)...)
	m.ID = 2
	all = append(all, m.Bytes(e.version)...)
	for i := range all { // byte by byte
		pub.Send(all[i : i+1])
	}
	require.Zero(e, pub.Expect(wt.CONNACK).Code)
	for id := uint16(1); id <= 2; id++ {
		pub.ExpectAck(wt.PUBACK, id)
		sub.Receive(e.topic("t"), "payload")
	}
}
