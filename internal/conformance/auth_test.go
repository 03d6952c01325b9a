package conformance

import (
	"github.com/stretchr/testify/assert"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// authChecks are enhanced authentication, as far as a server without any method shows it.
func authChecks() []check {
	return []check{
		{v5: "3.15.1-1", what: "AUTH with other flags closes", run: authFlags},
		{v5: "4.12.0-1", what: "an unknown authentication method is refused", run: authUnknown},
		{v5: "4.12.0-6", what: "no method in, no method out", run: authNotSent},
		{v5: "4.12.0-7", what: "AUTH without a method closes", run: authUnasked},
	}
}

func authFlags(e *env) {
	for _, flags := range []byte{1, 2, 15} {
		e.closes("AUTH", e.connect("a"), []byte{wt.AUTH<<4 | flags, 0})
	}
}

func authUnknown(e *env) {
	for _, props := range []wt.Props{
		{wt.Str(wt.AuthMethod, "no such method")},
		{wt.Str(wt.AuthMethod, "no such method"), wt.Str(wt.AuthData, "data")},
	} {
		code := e.refuses("method", e.options("a", prop(props...)).Bytes(e.version))
		assert.Contains(e, []byte{0, 0x8c, 0x87}, code)
	}
}

func authNotSent(e *env) {
	c, ack := e.connack("a")
	assert.False(e, ack.Props.Has(wt.AuthMethod))
	assert.False(e, ack.Props.Has(wt.AuthData))
	c.ExpectQuiet()
}

func authUnasked(e *env) {
	for _, code := range []byte{0, 0x18, 0x19} {
		e.closes("AUTH", e.connect("a"), wt.Auth(code, wt.Str(wt.AuthMethod, "m")))
	}
}
