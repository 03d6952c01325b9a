package delivery

import (
	"sync"
	"sync/atomic"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/storage"
)

// topicCacheSize is how many topics a connection's cache holds before it starts anew.
const topicCacheSize = 1024

// link is the engine's side of one connection; it is the connection's broker.Receiver.
type link struct {
	e       *Engine
	s       *session
	conn    *broker.Conn
	peer    *Peer
	version byte
	window  int    // unacknowledged QoS 1 and 2 messages that the client takes; guarded by the session's lock
	terms   *Terms // nil: as everybody

	aliasMax   uint16            // outbound topic aliases that the client takes
	aliasMu    sync.Mutex        // aliasesOut, and the order of what uses it
	aliasesOut map[string]uint16 // nil if aliasMax is 0

	replayOut wire.OutPublish // guarded by the session's lock

	// Of the reader goroutine.
	courier    courier
	in         wire.PublishPacket
	msg        Message       // what inspectors see; here so that it is not allocated for each message
	aliases    []*topicEntry // inbound, by alias
	topics     map[string]*topicEntry
	last       *topicEntry
	inspectors []Inspector
	follower   follower
	replays    []*subscription // retained messages to send after the SUBACK
	published  uint64          // PUBLISH packets since the last flush
	payload    uint64          // bytes of their payloads

	pubIn   atomic.Uint64
	unacked atomic.Int32 // inbound QoS 1 and 2 messages that count against Receive Maximum
	stored  atomic.Int32 // acknowledgements that wait for the store
	started atomic.Bool
	ended   atomic.Bool
	told    bool // taps were shown its beginning; guarded by the session's lock
	paced   pacing
}

// topicEntry is what a connection knows of a topic that it publishes to.
type topicEntry struct {
	topic   string
	hash    uint32
	gen     uint64
	match   *match
	refused string // reason why the client may not publish there; empty if it may
	code    wire.Code
}

var _ broker.Receiver = (*link)(nil)

// The errors that end a connection because of a message.
var (
	errReceiveMaximum = &wire.Error{Code: wire.ReceiveMaximumExceeded, Reason: "receive maximum exceeded"}                       // [MQTT-3.3.4-7]
	errAliasRange     = &wire.Error{Code: wire.TopicAliasInvalid, Reason: "topic alias larger than the maximum"}                 // [MQTT-3.3.2-9]
	errAliasUnknown   = &wire.Error{Code: wire.ProtocolError, Reason: "protocol error: empty topic and a topic alias never set"} // section 3.3.2.3.4
	errQoS            = &wire.Error{Code: wire.QoSNotSupported, Reason: "QoS not supported"}                                     // [MQTT-3.2.2-11]
	errRetain         = &wire.Error{Code: wire.RetainNotSupported, Reason: "retain not supported"}                               // [MQTT-3.2.2-14]
	errTopicLimit     = &wire.Error{Code: wire.TopicNameInvalid, Reason: "topic longer or deeper than allowed"}
	errTakenOver      = &wire.Error{Code: wire.SessionTakenOver, Reason: TakenOver}
	errStore          = &wire.Error{Code: wire.QuotaExceeded, Reason: "storage does not take messages"}
)

// Receive implements broker.Receiver.
func (l *link) Receive(f []byte, header int) error {
	if l.ended.Load() { // taken over while it waited for the disk: the session is another's
		return errTakenOver
	}
	typ := f[0] >> 4
	if typ == wire.TypePublish {
		if err := l.in.Parse(f, header, l.version); err != nil {
			return err
		}
		l.published++
		l.payload += uint64(len(l.in.Payload))
		return l.onPublish(&l.in)
	}
	a, err := wire.ParseAck(f, header, l.version)
	if err != nil {
		return err
	}
	switch typ {
	case wire.TypePuback:
		l.onPuback(a)
	case wire.TypePubrec:
		l.onPubrec(a)
	case wire.TypePubrel:
		l.onPubrel(a)
	case wire.TypePubcomp:
		l.onPubcomp(a)
	}
	return nil
}

// Flush implements broker.Receiver.
func (l *link) Flush() {
	if l.published > 0 {
		l.pubIn.Add(l.published)
		l.e.counts.pubIn.Add(l.published)
		l.e.counts.payloadIn.Add(l.payload)
		l.published, l.payload = 0, 0
	}
	l.courier.flush()
}

// Drained implements broker.Receiver.
func (l *link) Drained() {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.s.link.Load() == l {
		l.s.pump(l)
	}
}

// Closed implements broker.Receiver.
func (l *link) Closed() {
	l.Flush()
	l.e.release(l)
}

// entry finds what is known of the topic of a message, resolving a topic alias.
func (l *link) entry(p *wire.PublishPacket) (*topicEntry, error) {
	if p.Alias > l.e.lim.TopicAliasMaximum {
		return nil, errAliasRange
	}
	if len(p.Topic) == 0 {
		if int(p.Alias) >= len(l.aliases) || l.aliases[p.Alias] == nil {
			return nil, errAliasUnknown
		}
		return l.aliases[p.Alias], nil
	}
	t := l.last
	if t == nil || t.topic != string(p.Topic) {
		t = l.topics[string(p.Topic)]
		if t == nil {
			var err error
			if t, err = l.newEntry(string(p.Topic)); err != nil {
				return nil, err
			}
		}
		l.last = t
	}
	if p.Alias > 0 {
		for int(p.Alias) >= len(l.aliases) {
			l.aliases = append(l.aliases, nil)
		}
		l.aliases[p.Alias] = t
	}
	return t, nil
}

func (l *link) newEntry(topic string) (*topicEntry, error) {
	if len(topic) > l.e.lim.TopicBytes || levels(topic) > l.e.lim.TopicLevels {
		return nil, errTopicLimit
	}
	t := &topicEntry{topic: topic, hash: firstLevel(topic)}
	switch {
	case topic[0] == '$':
		t.refused, t.code = "topic_reserved", wire.TopicNameInvalid
	case !l.e.policy.MayPublish(l.peer, topic):
		t.refused, t.code = "not_authorized", wire.NotAuthorized
	}
	if l.topics == nil || len(l.topics) >= topicCacheSize {
		l.topics = make(map[string]*topicEntry, 8)
	}
	l.topics[topic] = t
	return t, nil
}

// targets returns whom the topic goes to, as of now.
func (t *topicEntry) targets(tr *trie) *match {
	if gen := tr.generation(t.hash); t.match == nil || t.gen != gen {
		t.gen = gen // read before the match: a change in between makes it stale
		t.match = tr.match(t.topic)
	}
	return t.match
}

func levels(topic string) int {
	n := 1
	for i := range len(topic) {
		if topic[i] == '/' {
			n++
		}
	}
	return n
}

// ack sends an acknowledgement of an inbound packet, behind those that wait for the store:
// acknowledgements keep the order of what they acknowledge. [MQTT-4.6.0-2] .. [MQTT-4.6.0-4]
func (l *link) ack(typ byte, id uint16, code wire.Code) {
	if l.stored.Load() > 0 {
		l.ackStored(typ, id, code)
		return
	}
	l.done(typ, code)
	l.conn.AppendAck(typ, id, code)
	l.courier.touch(l.conn)
}

// ackStored sends an acknowledgement when all that was submitted before is on disk.
func (l *link) ackStored(typ byte, id uint16, code wire.Code) {
	l.stored.Add(1)
	l.submitAck(&storedAck{l: l, typ: typ, id: id, code: code})
}

// submitAck hands an acknowledgement to the store. l.stored counts it already.
func (l *link) submitAck(a *storedAck) { l.e.store.Submit(a.mode(), a, 0) }

// done gives the client its quota back, before it can see the acknowledgement. The floor is
// what the client's own count has: a PUBCOMP may be for a message of an earlier connection.
func (l *link) done(typ byte, code wire.Code) {
	if typ == wire.TypePubrel || (typ == wire.TypePubrec && code < wire.UnspecifiedError) {
		return
	}
	for {
		n := l.unacked.Load()
		if n <= 0 || l.unacked.CompareAndSwap(n, n-1) {
			return
		}
	}
}

// storedAck is an acknowledgement at the store.
type storedAck struct {
	l    *link
	id   uint16
	typ  byte
	code wire.Code
	dup  bool // PUBREC for a repeated PUBLISH: only if the first one was accepted
	own  bool // of a message that the client sent on its own account, see Terms.Nested
}

// mode is that of the acknowledgement's submission, which has no operations. While the disk
// takes nothing, a message is kept and tried again, but its publisher hears at once that there
// is no promise; what ends an exchange waits.
func (a *storedAck) mode() storage.Mode {
	if a.typ == wire.TypePuback || a.typ == wire.TypePubrec {
		return storage.Discard
	}
	return storage.Keep
}

// Committed implements storage.Done.
func (a *storedAck) Committed(err error) {
	l, code := a.l, a.code
	if err != nil && a.mode() == storage.Discard {
		l.refuseStored()
		code = max(code, wire.QuotaExceeded)
	} else if a.dup && !l.s.holds(a.id) {
		code = wire.QuotaExceeded
	}
	l.done(a.typ, code)
	// MQTT 3.1.1 has no refusal of a message; what ends an exchange is sent without its code.
	if code < wire.UnspecifiedError || l.version >= wire.V5 || a.mode() == storage.Keep {
		l.appendAck(a.typ, a.id, code, a.own)
		l.e.notified.touch(l.conn)
	}
	l.stored.Add(-1)
}

// refuseStored ends the connection of a client that cannot be told otherwise that its message
// was not taken.
func (l *link) refuseStored() {
	if l.version < wire.V5 {
		l.conn.Disconnect(errStore.Code, errStore.Reason)
	}
}

// holds reports whether the QoS 2 packet id of the client is known.
func (s *session) holds(id uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.inbound[id]
	return ok
}
