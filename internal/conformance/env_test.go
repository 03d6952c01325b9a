package conformance

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// target is a broker under test.
type target interface {
	// Transports are what Dial can open, of "tcp", "ws" and "memory".
	Transports() []string
	Dial(t testing.TB, transport string) net.Conn
	// Variant is the same broker in another setting, or nil if it cannot be had.
	Variant(t testing.TB, name string) target
	// WebSocket is the address of its WebSocket listener, or "".
	WebSocket() string
	// Known explains a deviation that is known for a check, or is "".
	Known(version byte, check string) string
}

// Settings that some checks need.
const (
	plain      = ""
	qos1       = "max qos 1"        // Maximum QoS 1
	noRetain   = "no retain"        // retained messages not available
	shortAlive = "server keepalive" // Server Keep Alive 1 s
	narrow     = "narrow"           // Receive Maximum 3, Topic Alias Maximum 3, packets of 2048 bytes
	guarded    = "guarded"          // user "mallory" is refused; nobody may publish or subscribe below "deny/"
)

// env is what one run of a check has to work with.
type env struct {
	*testing.T
	target    target
	version   byte
	transport string
	prefix    string // of this run alone; no '/' in it
	n         int
}

var (
	runs atomic.Uint64
	// The start of the process tells client ids of one process from those of another, for
	// brokers that outlive it.
	epoch = strconv.FormatInt(time.Now().UnixNano()/1e6%36e8, 36)
)

func newEnv(t *testing.T, tgt target, version byte, transport string) *env {
	return &env{
		T: t, target: tgt, version: version, transport: transport,
		prefix: "c" + epoch + strconv.FormatUint(runs.Add(1), 36),
	}
}

func (e *env) v5() bool { return e.version == wt.V5 }

// topic is a topic or filter below the prefix of this run.
func (e *env) topic(s string) string { return e.prefix + "/" + s }

// id is a client id of this run.
func (e *env) id(name string) string { return e.prefix + name }

// dial opens a connection and sends nothing.
func (e *env) dial(name string) *wt.Conn {
	e.Helper()
	c := wt.New(e.T, e.target.Dial(e.T, e.transport), e.version)
	c.Name = name
	return c
}

type mod func(*wt.Connect)

// options are those of a client with a clean session, changed by mods.
func (e *env) options(name string, mods ...mod) wt.Connect {
	o := wt.Connect{ClientID: e.id(name)}
	for _, m := range mods {
		m(&o)
	}
	return o
}

// connect opens a connection and a session; without mods it is a clean one.
func (e *env) connect(name string, mods ...mod) *wt.Conn {
	e.Helper()
	c, _ := e.connack(name, mods...)
	return c
}

// connack is connect with the CONNACK.
func (e *env) connack(name string, mods ...mod) (*wt.Conn, wt.Packet) {
	e.Helper()
	c := e.dial(name)
	p := c.Connect(e.options(name, mods...))
	return c, p
}

// kept makes a session outlive its connection, in either version.
func (e *env) kept() mod {
	return func(o *wt.Connect) {
		o.Persist = true
		if e.v5() {
			o.Props = append(o.Props, wt.Num(wt.SessionExpiry, 300))
		}
	}
}

func prop(p ...wt.Prop) mod { return func(o *wt.Connect) { o.Props = append(o.Props, p...) } }

func with(f func(o *wt.Connect)) mod { return f }

// will gives the client a Will.
func will(w wt.Will) mod { return func(o *wt.Connect) { o.Will = &w } }

// sub is a filter below the prefix with options.
func (e *env) sub(filter string, opts byte) wt.Filter {
	return wt.Filter{Name: e.topic(filter), Opts: opts}
}

// msg is a message below the prefix.
func (e *env) msg(topic, payload string, qos byte) wt.Publish {
	return wt.Publish{Topic: e.topic(topic), Payload: payload, QoS: qos}
}

// retained is a retained message below the prefix.
func (e *env) retained(topic, payload string, qos byte) wt.Publish {
	m := e.msg(topic, payload, qos)
	m.Retain = true
	return m
}

// sentinel is a new topic that no filter below the prefix matches.
func (e *env) sentinel() string {
	e.n++
	return fmt.Sprintf("%s~%d", e.prefix, e.n)
}

// nothing proves that nothing which from published before is on its way to to: a message of
// the same QoS is published behind it and must be the next thing to arrive.
func (e *env) nothing(from, to *wt.Conn, qos byte) {
	e.Helper()
	end := e.sentinel()
	to.Subscribe(wt.Filter{Name: end, Opts: 2})
	from.Publish(wt.Publish{Topic: end, Payload: "sentinel", QoS: qos})
	to.Receive(end, "sentinel")
}

// noReplay subscribes and proves that no retained message follows: that of a sentinel, which
// is asked for next, must be the next thing to arrive. pub must not be sub.
func (e *env) noReplay(pub, sub *wt.Conn, filters ...wt.Filter) {
	e.Helper()
	end := e.sentinel()
	pub.Publish(wt.Publish{Topic: end, Payload: "sentinel", QoS: 1, Retain: true})
	sub.Subscribe(filters...)
	sub.Subscribe(wt.Filter{Name: end, Opts: 1})
	sub.Receive(end, "sentinel")
	sub.Unsubscribe(end)
	pub.Publish(wt.Publish{Topic: end, QoS: 1, Retain: true})
}

// closes sends bytes on a new session and proves that the server ends it; the answer is the
// reason code of its DISCONNECT, or 0 if there was none.
func (e *env) closes(what string, c *wt.Conn, b ...[]byte) byte {
	e.Helper()
	c.Name = what
	_ = c.TrySend(b...)
	p := c.ExpectClosed()
	if p == nil {
		return 0
	}
	require.GreaterOrEqual(e, p.Code, byte(0x80), "%s: reason code of DISCONNECT", what)
	return p.Code
}

// refuses sends bytes on a new connection and proves that no session comes of it. The answer
// is the code of the CONNACK, or 0 if there was none.
func (e *env) refuses(what string, b ...[]byte) byte {
	e.Helper()
	c := e.dial(what)
	_ = c.TrySend(b...)
	p := c.ExpectRefused()
	if p == nil {
		return 0
	}
	if e.v5() {
		require.GreaterOrEqual(e, p.Code, byte(0x80), "%s: reason code of CONNACK", what)
	}
	return p.Code
}

// elapse lets time pass where the protocol counts it: an expiry has no event that a client
// could wait for.
func (e *env) elapse(d time.Duration) {
	e.Helper()
	select {
	case <-time.After(d):
	case <-e.Context().Done():
		e.Fatal("the test was ended")
	}
}

func ptr(s string) *string { return &s }

// findTarget is the broker that the environment names, or ours.
func findTarget(t testing.TB) target {
	if u := os.Getenv("TARSD_CONFORMANCE_URL"); u != "" {
		return newURLTarget(t, u)
	}
	if bin := os.Getenv("TARSD_CONFORMANCE_MOSQUITTO"); bin != "" {
		return newMosquitto(t, bin)
	}
	return newOwn(t)
}
