package delivery

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/storage"
)

// neverExpires is the Session Expiry Interval of a session that does not expire.
const neverExpires = 0xFFFFFFFF

// session is the state that MQTT keeps for one client id, connected or not.
type session struct {
	e          *Engine
	id         string
	link       atomic.Pointer[link] // where deliveries go; nil while not connected
	persistent atomic.Bool          // outlives its connection
	peer       atomic.Pointer[Peer] // of the last connection
	user       atomic.Pointer[string]
	deferred   atomic.Int32 // QoS 2 messages of this client that are delivered after their commit
	sentRec    *sentRecord
	rec        *sessionRecord

	owner  *link         // whose session it is, from CONNECT to the end of the connection; guarded by Engine.mu
	orphan bool          // not a session: holds the will of one that did not outlive the process
	ending chan struct{} // not nil: the session is being ended, closed when it is; guarded by Engine.mu

	mu        sync.Mutex
	expiry    uint32 // seconds after the connection; neverExpires
	lost      time.Time
	gone      bool // the session has ended: nothing may be added
	condemned bool // ends with its connection, whatever its expiry
	recorded  bool // there is a session record on disk
	q         queue
	counted   int64 // what Engine.queued holds of q.bytes
	marked    uint64
	marking   uint64
	inbound   map[uint16]inboundState
	subs      map[string]*subscription
	cursors   []*cursor
	will      *will
	timer     *time.Timer // session expiry
}

// inboundState is what is known of a QoS 2 packet id of the client.
type inboundState byte

const (
	inboundPending inboundState = iota // its commit has not finished
	inboundMemory                      // accepted, not on disk
	inboundDisk                        // accepted, on disk
)

func (s *session) lastPeer() *Peer {
	if p := s.peer.Load(); p != nil {
		return p
	}
	return &Peer{ID: s.id, User: *s.user.Load()}
}

// take queues p for the session, or sends it at once, as an item of the given state. With g it
// came through that shared subscription.
func (s *session) take(c *courier, p *publication, t *target, g *group, qos, state byte, many bool, r *result) (seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.link.Load()
	if s.gone || (l == nil && !s.persistent.Load()) {
		return 0
	}
	l.clear(p.topic)
	if reason := s.room(p); reason != "" {
		r.refused++
		s.e.counts.drop(s.id, p.topic, reason)
		return 0
	}
	seq = s.q.next()
	record := s.e.store != nil && s.persistent.Load() && p.topic[0] != '$' && !p.transient
	direct := state == waiting && l != nil && s.q.sent == s.q.n && s.q.inflight < l.window && s.q.n < maxID-1
	// QoS 2 leaves after its commit: a crash before would give its packet id to another message,
	// which the client would take for a repeat.
	wait := direct && record && qos == 2
	direct = direct && !wait
	it := item{subIDs: t.subIDs, qos: qos, state: state, retain: p.retain && t.rap, group: g}
	if s.persistent.Load() || !direct || g != nil {
		it.msg = p.keep()
	}
	if record {
		it.rec = &queueRecord{session: s.id, seq: seq, m: it.msg, subIDs: t.subIDs, qos: qos, retain: it.retain}
		if g != nil {
			it.rec.group = g.name + "/" + g.filter
		}
		if state != held { // a held one is submitted with the message's other records
			s.e.submitEntry(s, it.rec, direct)
			r.stored = true
		}
	}
	r.taken++
	if direct {
		s.direct(c, l, p, t, &it, seq, many)
	}
	s.q.push(it)
	switch it.state {
	case sent:
		s.q.sent++
		s.q.inflight++
	case finished:
		s.q.sent++
		s.q.trim()
	}
	s.settle()
	if wait {
		s.pump(l) // which sends it when the store says so
		c.touch(l.conn)
	}
	return seq
}

// direct sends p now; what it cannot send stays waiting.
func (s *session) direct(c *courier, l *link, p *publication, t *target, it *item, seq uint64, many bool) {
	switch c.send(l, p, t, it.qos, packetID(seq), many) {
	case broker.Buffered:
		it.state = sent
		c.touch(l.conn)
	case broker.TooLarge: // [MQTT-3.1.2-25]: as if it had been sent and acknowledged
		s.e.counts.drop(s.id, p.topic, "packet_too_large")
		s.forget(it)
		it.state = finished
	case broker.Full:
		it.msg = p.keep()
		l.conn.WantRoom()
		c.touch(l.conn)
	case broker.Closed: // the session keeps it for the next connection
		it.msg = p.keep()
	}
}

// forget deletes the record of an item that is finished. s.mu is held.
func (s *session) forget(it *item) {
	if it.rec != nil {
		s.e.submit(delWeak(it.rec))
	}
}

// drop ends item i without its acknowledgement. s.mu is held.
func (s *session) drop(i int, reason string) {
	it := s.q.at(i)
	topic := ""
	if it.msg != nil {
		topic = it.msg.topic
	}
	s.forget(it)
	s.e.counts.drop(s.id, topic, reason)
	s.q.finish(i)
}

// room makes room for p, as the policy allows, and returns the reason if there is none.
// s.mu is held.
func (s *session) room(p *publication) string {
	lim := &s.e.lim
	size := int64(len(p.payload) + len(p.topic) + len(p.props) + messageOverhead)
	most := s.link.Load().queueMessages(lim.QueueMessages)
	fits := func() bool {
		return s.q.live < most && s.q.bytes+size <= lim.QueueBytes
	}
	if s.e.queued.Load()+size > lim.QueueTotalBytes {
		return "queue_total_bytes"
	}
	if fits() {
		return ""
	}
	switch lim.QueuePolicy {
	case QueueDropOldest:
		// A client that acknowledges nothing of what it got would leave an ever wider gap
		// between what is in flight and what waits; packet ids cannot span it.
		for !fits() && s.q.n-s.q.live < maxID && s.dropFirst(func(*item) bool { return true }, "queue_drop_oldest") {
		}
	case QueueExpire:
		old := s.e.now().Add(-lim.QueueAge).UnixMilli()
		for !fits() && s.q.n-s.q.live < maxID && s.dropFirst(func(it *item) bool { return it.msg != nil && it.msg.stored <= old }, "queue_age") {
		}
	}
	if fits() {
		return ""
	}
	return "queue_full"
}

// dropFirst drops the oldest item that was not sent, if cond holds for it. s.mu is held.
func (s *session) dropFirst(cond func(*item) bool, reason string) bool {
	for i := s.q.sent; i < s.q.n; i++ {
		it := s.q.at(i)
		if it.state == finished && i == s.q.sent {
			s.q.sent++ // so that the next search begins behind it
		}
		if it.state == finished || it.state == released {
			continue
		}
		if it.state != waiting || !cond(it) {
			return false
		}
		s.drop(i, reason)
		return true
	}
	return false
}

// settle brings Engine.queued up to date. s.mu is held.
func (s *session) settle() {
	if d := s.q.bytes - s.counted; d != 0 {
		s.e.queued.Add(d)
		s.counted += d
	}
}

// pump sends what may be sent: the queue in order, then retained messages. s.mu is held, and
// l is s.link. The caller flushes l.conn, which calls pump again when there is room.
func (s *session) pump(l *link) {
	defer s.settle()
	for s.q.sent < s.q.n {
		i := s.q.sent
		it := s.q.at(i)
		if it.state == finished {
			s.q.sent++
			s.q.trim()
			continue
		}
		if it.state == held || s.q.inflight >= l.window || i >= maxID-1 {
			return
		}
		seq := s.q.seq(i)
		if it.state == released {
			s.passReleased(l, it, seq)
			continue
		}
		if s.stale(it) {
			s.drop(i, "expired")
			continue
		}
		if l.tooOld(it.msg) {
			s.drop(i, "too_old")
			continue
		}
		if it.rec != nil && !it.dup && seq > s.marked && !s.mark(seq, l) {
			return
		}
		switch s.emit(l, it, seq) {
		case broker.Buffered:
			it.state = sent
			s.q.sent++
			s.q.inflight++
		case broker.TooLarge:
			s.drop(i, "packet_too_large")
		case broker.Full:
			l.conn.WantRoom()
			return
		case broker.Closed:
			return
		}
	}
	s.replay(l)
}

// stale reports whether an item is past its message expiry or the queue's age limit.
func (s *session) stale(it *item) bool {
	m := it.msg
	if m == nil || it.dup { // [MQTT-3.3.2-5] concerns what delivery has not begun for
		return false
	}
	now := s.e.now()
	if _, _, expired := m.left(now); expired {
		return true
	}
	return s.e.lim.QueuePolicy == QueueExpire && m.stored <= now.Add(-s.e.lim.QueueAge).UnixMilli()
}

// emit encodes one queued item.
func (s *session) emit(l *link, it *item, seq uint64) broker.Outcome {
	o := wire.OutPublish{
		Version: l.version, QoS: it.qos, Dup: it.dup, Retain: it.retain, Topic: it.msg.topic, ID: packetID(seq),
		Props: it.msg.props, SubIDs: it.subIDs, Payload: it.msg.payload,
	}
	var expired bool
	if o.Expiry, o.HasExpiry, expired = it.msg.left(s.e.now()); expired {
		o.Expiry, o.HasExpiry = 0, true // begun before: finish it
	}
	return l.append(&o, true, true)
}

// passReleased sends the PUBREL of a released item again. s.mu is held.
func (s *session) passReleased(l *link, it *item, seq uint64) {
	s.q.sent++
	s.q.inflight++
	if it.rec == nil || it.onDisk {
		l.conn.AppendAck(wire.TypePubrel, packetID(seq), wire.Success)
	} // else its commit does it
}

// mark sees to it that the store knows that deliveries up to seq were sent, before they are:
// DUP tells the truth only so. It reports whether sending may go on now. s.mu is held.
func (s *session) mark(seq uint64, l *link) bool {
	if s.e.storeBad() {
		return true // getting messages out is worth more than a truthful DUP after a crash
	}
	if s.marking >= seq {
		return false // underway
	}
	// Everything that fits the window goes with one commit.
	last := s.q.base + uint64(min(s.q.n, s.q.sent+l.window-s.q.inflight)) - 1
	s.marking = last
	s.sentRec.raise(last)
	s.e.store.Submit(storage.Keep, marked{s, last}, 0, put(s.sentRec))
	return false
}

// marked continues a session's deliveries when its sent marker is on disk.
type marked struct {
	s       *session
	through uint64
}

// Committed implements storage.Done.
func (m marked) Committed(error) {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marked = max(s.marked, m.through)
	if l := s.link.Load(); l != nil {
		s.pump(l)
		s.e.notified.touch(l.conn)
	}
}

// stopTimers ends what would run later. s.mu is held.
func (s *session) stopTimers() {
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.will != nil && s.will.timer != nil {
		s.will.timer.Stop()
	}
}
