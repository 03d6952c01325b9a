package delivery

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tarsd/tarsd/internal/wire"
)

// TapOptions of Engine.Tap.
type TapOptions struct {
	Filters []string // topics to see; may be empty, and as for a subscriber "#" has no "$" topics
	Clients bool     // see connections begin and end
	Entries int      // most that wait for Take; 0 means 1024
	Bytes   int      // most bytes of messages that wait; 0 means 4 MiB
}

// keptEntries is how much of a queue stays when it is empty: a burst should not hold its memory.
const keptEntries = 256

// TakenOver is the reason of a connection's end when another one of the same client has its session.
const TakenOver = "session taken over"

// SightKind says what a Sight is of.
type SightKind byte

// The kinds.
const (
	SawMessage    SightKind = iota // a message of a client, a will or a message of the server
	SawConnect                     // a client has its CONNACK
	SawDisconnect                  // a connection has ended; not told while the broker stops
)

// Sight is one thing that a Tap saw. Nothing in it may be changed.
type Sight struct {
	Kind SightKind
	At   time.Time

	// Of a message.
	Topic   string
	From    string // client id of the publisher, also for its will; empty: the server itself
	Payload []byte
	Props   []byte // raw MQTT 5 properties that are forwarded
	QoS     byte
	Retain  bool
	IsWill  bool // the will of From, which is gone

	// Of a connection. The same pointer tells its beginning and its end.
	Peer   *Peer
	Will   string // topic of the will in its CONNECT; empty: none
	Clean  bool   // it ended with a DISCONNECT of the client
	Reason string // why it ended; empty after a DISCONNECT
}

// Tap sees copies of messages and the comings and goings of clients, in the order in which they
// happen for each topic and client. It never makes anybody wait: what finds its queue full is lost
// to it and counted. Its methods may be called from any goroutine.
type Tap struct {
	e     *Engine
	o     TapOptions
	ready chan struct{} // capacity 1
	lost  atomic.Uint64

	mu     sync.Mutex
	queue  []Sight
	bytes  int
	closed bool
}

// Tap begins to watch. Close ends it.
func (e *Engine) Tap(o TapOptions) *Tap {
	if o.Entries <= 0 {
		o.Entries = 1024
	}
	if o.Bytes <= 0 {
		o.Bytes = 4 << 20
	}
	t := &Tap{e: e, o: o, ready: make(chan struct{}, 1)}
	e.tapMu.Lock()
	defer e.tapMu.Unlock()
	e.setTaps(append(slices.Clone(e.taps()), t))
	return t
}

// taps are those that watch now; the slice does not change.
func (e *Engine) taps() []*Tap {
	if p := e.tapList.Load(); p != nil {
		return *p
	}
	return nil
}

// setTaps puts a new list in force. tapMu is held.
func (e *Engine) setTaps(list []*Tap) {
	e.tapList.Store(&list)
	e.trie.setTaps(list)
}

// Close ends the watching. What waits can still be taken.
func (t *Tap) Close() {
	t.e.tapMu.Lock()
	t.e.setTaps(slices.DeleteFunc(slices.Clone(t.e.taps()), func(x *Tap) bool { return x == t }))
	t.e.tapMu.Unlock()
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
}

// Ready receives when there is something to Take.
func (t *Tap) Ready() <-chan struct{} { return t.ready }

// Take appends all that waits to buf, oldest first.
func (t *Tap) Take(buf []Sight) []Sight {
	t.mu.Lock()
	defer t.mu.Unlock()
	buf = append(buf, t.queue...)
	clear(t.queue)
	t.queue, t.bytes = t.queue[:0], 0
	if cap(t.queue) > keptEntries {
		t.queue = nil
	}
	return buf
}

// Lost is how much found the queue full.
func (t *Tap) Lost() uint64 { return t.lost.Load() }

// Publish is Engine.Publish of a message which this tap does not see: what a watcher says does not
// come back to it.
func (t *Tap) Publish(topic string, payload []byte, qos byte, retain bool) {
	t.e.publishOwn(t, topic, payload, qos, retain)
}

// put queues one entry of about n bytes.
func (t *Tap) put(s Sight, n int) {
	t.mu.Lock()
	full := t.closed || len(t.queue) >= t.o.Entries || t.bytes+n > t.o.Bytes
	if !full {
		t.queue = append(t.queue, s)
		t.bytes += n
	}
	t.mu.Unlock()
	if full {
		t.lost.Add(1)
	}
	select {
	case t.ready <- struct{}{}: // also when it is lost: the watcher has to hear of that
	default:
	}
}

// wants reports whether one of the tap's filters matches.
func (t *Tap) wants(topic string) bool {
	return slices.ContainsFunc(t.o.Filters, func(f string) bool { return wire.Match(f, topic) })
}

// tell shows a message to the taps of its topic, except the one that it is from.
func (e *Engine) tell(p *publication, taps []*Tap, own *Tap, will bool) {
	now := e.now()
	for _, t := range taps {
		if t == own {
			continue
		}
		m := p.keep()
		t.put(Sight{
			Kind: SawMessage, At: now, Topic: m.topic, From: p.from, Payload: m.payload, Props: m.props, QoS: p.qos, Retain: p.retain,
			IsWill: will,
		}, len(m.topic)+len(m.payload)+len(m.props))
	}
}

// tellClient shows the beginning or the end of a connection. The session is locked, so that the
// order is right.
func (e *Engine) tellClient(kind SightKind, l *link) {
	s := Sight{Kind: kind, Peer: l.peer}
	for _, t := range e.taps() {
		if !t.o.Clients {
			continue
		}
		if s.At.IsZero() {
			s.At = e.now()
			if w := l.conn.Connect().Will; w != nil {
				s.Will = w.Topic
			}
			if kind == SawDisconnect {
				s.Clean = l.conn.Disconnected() != nil
				s.Reason = l.conn.Reason()
			}
		}
		t.put(s, 0)
	}
}

// EachRetained calls f for the retained messages that match the filter, until it returns false.
// Messages that come meanwhile may be seen or not. The message must not be changed.
func (e *Engine) EachRetained(filter string, f func(m Sight) bool) {
	now := e.now()
	for c := e.ret.cursor(&subscription{filter: filter}); c.node != nil; c.advance() {
		m := c.node.msg.Load()
		if m == nil {
			continue // removed meanwhile
		}
		if _, _, expired := m.left(now); expired {
			continue
		}
		s := Sight{
			Kind: SawMessage, At: time.UnixMilli(m.stored), Topic: m.topic, From: m.from, Payload: m.payload, Props: m.props,
			QoS: m.qos, Retain: true,
		}
		if !f(s) {
			return
		}
	}
}

// Client describes the session of one client id.
func (e *Engine) Client(id string) (ClientInfo, bool) {
	e.mu.Lock()
	s := e.sessions[id]
	e.mu.Unlock()
	if s == nil || s.orphan {
		return ClientInfo{}, false
	}
	return s.info(), true
}
