package mqttcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// link is one connection to a server, of either protocol generation. Its methods other than
// publish and disconnect are for one goroutine.
type link interface {
	// subscribe returns one code for each filter.
	subscribe(ctx context.Context, filters []string) ([]byte, error)
	unsubscribe(ctx context.Context, filters []string) error
	// publish sends a message and does not wait for the acknowledgement, which comes on the
	// channel: nil, or why the server refused. The channel stays silent when the connection is
	// lost before.
	publish(ctx context.Context, m *message) (<-chan error, error)
	// lost is closed at the end of the connection; err then tells why.
	lost() <-chan struct{}
	err() error
	// disconnect says good-bye. With publishWill the server sends the will all the same, where
	// the protocol can say so.
	disconnect(publishWill bool)
}

// handler takes an inbound message on the link's goroutine. The message is acknowledged after
// handler returned true, and not at all if it returned false.
type handler func(m *message) bool

// watch keeps what the tap of a connection saw.
type watch struct {
	o   *options
	out io.Writer

	mu      sync.Mutex
	id      string                   // of the client, for debug output
	acked   map[uint16]chan struct{} // inbound messages whose last acknowledgement is waited for
	done    map[uint16]bool          // inbound messages which are acknowledged to the end
	second  map[uint16]bool          // inbound QoS 2 messages between PUBLISH and PUBREL
	connack byte                     // code of the CONNACK
	old     bool                     // the CONNACK was one of MQTT 3
}

func newWatch(o *options, out io.Writer) *watch {
	return &watch{o: o, out: out, id: o.id, acked: map[uint16]chan struct{}{}, done: map[uint16]bool{}, second: map[uint16]bool{}}
}

func (w *watch) see(sent bool, p *packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.o.debug {
		debug(w.out, w.id, sent, p)
	}
	switch {
	case sent && (p.kind == packetPuback || p.kind == packetPubcomp):
		w.done[p.id()] = true
		if c := w.acked[p.id()]; c != nil {
			close(c)
			delete(w.acked, p.id())
		}
	case !sent && p.kind == packetPubrel:
		delete(w.second, p.id())
	case !sent && p.kind == packetConnack && len(p.head) > 1:
		w.connack, w.old = p.head[1], p.length == 2
		if p.head[0]&1 == 0 { // no session: what was begun in an earlier one is void
			clear(w.second)
		}
	}
}

// assigned notes the client id that the server chose.
func (w *watch) assigned(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.id = id
}

// begin notes an inbound message. It answers false for a QoS 2 message that was seen before.
func (w *watch) begin(id uint16, qos byte, dup bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.done, id)
	if qos < 2 {
		return true
	}
	again := dup && w.second[id]
	w.second[id] = true
	return !again
}

// waitAcked waits until the last acknowledgement of an inbound message has left, for a while.
func (w *watch) waitAcked(id uint16, gone <-chan struct{}) {
	w.mu.Lock()
	if w.done[id] {
		w.mu.Unlock()
		return
	}
	c := make(chan struct{})
	w.acked[id] = c
	w.mu.Unlock()
	select {
	case <-c:
	case <-gone:
	case <-time.After(5 * time.Second): // a server that does not answer PUBREC
	}
}

// connackCode is the refusal that a CONNACK carried, in the numbers of its protocol.
func (w *watch) connackCode() (code byte, old bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.connack, w.old
}

var errUnsupportedVersion = errors.New("the server does not speak MQTT 5")

// connect opens a link, with MQTT 5 unless asked otherwise, and with 3.1.1 if the server turns
// out not to know 5 and no version was asked for.
func connect(ctx context.Context, o *options, w *watch, clean bool, h handler) (link, bool, error) {
	if o.version == v311 || o.version == v31 {
		return connect3(ctx, o, w, clean, h)
	}
	l, present, err := connect5(ctx, o, w, clean, h)
	if errors.Is(err, errUnsupportedVersion) && o.version == 0 {
		o.version = v311
		return connect3(ctx, o, w, clean, h)
	}
	return l, present, err
}

// refused makes the error of a CONNACK that says no. The exit code is the MQTT code.
func refused(code byte, text string) error {
	return exitf(int(code), "connection refused: %s", text)
}

func cannotConnect(o *options, err error) error {
	return exitf(exitUsage, "cannot connect to %s: %s", &o.server, err)
}

// serverEnd is the DISCONNECT of a server.
type serverEnd struct {
	code   byte
	detail string
}

func (e *serverEnd) Error() string {
	return "the server ended the connection: " + reason(e.code, e.detail)
}

// final tells whether coming back would be wrong: somebody else has the client id, or the server
// sent us away.
func (e *serverEnd) final() bool {
	switch e.code {
	case 0x87, 0x8A, 0x8E, 0x98, 0x9C, 0x9D:
		return true
	}
	return false
}

// reasons are the codes of MQTT 5 that a client can get as an answer.
var reasons = map[byte]string{
	0x10: "no matching subscribers", 0x11: "no subscription existed", 0x80: "unspecified error", 0x81: "malformed packet",
	0x82: "protocol error", 0x83: "implementation specific error", 0x84: "unsupported protocol version", 0x85: "client identifier not valid",
	0x86: "bad user name or password", 0x87: "not authorized", 0x88: "server unavailable", 0x89: "server busy", 0x8A: "banned",
	0x8B: "server shutting down", 0x8C: "bad authentication method", 0x8D: "keep alive timeout", 0x8E: "session taken over",
	0x8F: "topic filter invalid", 0x90: "topic name invalid", 0x91: "packet identifier in use", 0x93: "receive maximum exceeded",
	0x94: "topic alias invalid", 0x95: "packet too large", 0x96: "message rate too high", 0x97: "quota exceeded",
	0x98: "administrative action", 0x99: "payload format invalid", 0x9A: "retain not supported", 0x9B: "QoS not supported",
	0x9C: "use another server", 0x9D: "server moved", 0x9E: "shared subscriptions not supported", 0x9F: "connection rate exceeded",
	0xA0: "maximum connect time", 0xA1: "subscription identifiers not supported", 0xA2: "wildcard subscriptions not supported",
}

func reason(code byte, detail string) string {
	text := reasons[code]
	if text == "" {
		text = fmt.Sprintf("reason code %d", code)
	}
	if detail != "" && detail != text {
		text += ": " + detail
	}
	return text
}
