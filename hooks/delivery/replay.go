package delivery

import (
	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/storage"
)

// replayHigh is how much of a replay may wait for the socket, in bytes. More is read from the
// index when it has drained: a replay needs memory for a buffer, not for the replay.
const replayHigh = 64 << 10

// replay sends retained messages as far as buffer and quota allow. s.mu is held.
func (s *session) replay(l *link) {
	for len(s.cursors) > 0 {
		c := s.cursors[0]
		for c.node != nil {
			if l.conn.Pending() > replayHigh {
				l.conn.WantRoom()
				return
			}
			m := c.node.msg.Load()
			if m == nil || (c.sub.noLocal && m.from == s.id) {
				c.advance()
				continue
			}
			if l.ofBefore(m) {
				s.e.counts.drop(s.id, m.topic, "too_old")
				c.advance()
				continue
			}
			var more bool
			if l.replayQoS(m, c.sub) == 0 {
				more = s.replayNow(l, c)
			} else {
				more = s.replayQueued(l, c, m)
			}
			if !more {
				return
			}
		}
		s.replayed(c.sub)
		s.cursors[0] = nil
		s.cursors = s.cursors[1:]
	}
	s.cursors = nil
}

// replayNow sends the current message of c at QoS 0. It is read with the buffer locked, so
// that a newer live message cannot be in the buffer before it.
func (s *session) replayNow(l *link, c *cursor) bool {
	src := retainedSource{c: c, l: l, s: s}
	o := &l.replayOut
	r, _ := l.conn.AppendFrom(&src, o)
	switch r {
	case broker.Closed:
		return false
	case broker.TooLarge:
		s.e.counts.drop(s.id, o.Topic, "packet_too_large")
	default:
	}
	c.advance()
	return true
}

// retainedSource gives the message at a cursor.
type retainedSource struct {
	c *cursor
	l *link
	s *session
}

// Next implements broker.Source.
func (r *retainedSource) Next(o *wire.OutPublish) bool {
	m := r.c.node.msg.Load()
	if m == nil {
		return false
	}
	*o = wire.OutPublish{Version: r.l.version, Retain: true}
	if r.c.sub.subID > 0 {
		o.SubIDs = []uint32{r.c.sub.subID}
	}
	ok := m.outgoing(o, r.s.e.now)
	if ok {
		r.l.rewrite(o)
	}
	return ok
}

// replayQueued puts the current message of c into the queue: QoS 1 and 2 need a packet id and,
// for a session that is kept, a record. s.mu is held.
func (s *session) replayQueued(l *link, c *cursor, m *message) bool {
	if s.q.sent < s.q.n || s.q.inflight >= l.window || s.q.n >= maxID-1 {
		return false // acknowledgements call pump, which comes here again
	}
	if _, _, expired := m.left(s.e.now()); expired {
		c.advance()
		return true
	}
	it := item{msg: m, qos: l.replayQoS(m, c.sub), retain: true, state: waiting}
	if c.sub.subID > 0 {
		it.subIDs = []uint32{c.sub.subID}
	}
	seq := s.q.next()
	if s.e.store != nil && s.persistent.Load() && m.topic[0] != '$' {
		it.rec = &queueRecord{session: s.id, seq: seq, m: m, subIDs: it.subIDs, qos: it.qos, retain: true}
		if it.qos == 2 {
			it.state = held
			s.sentRec.raise(seq)
			s.e.store.Submit(storage.Keep, replayDone{s, seq}, len(m.payload)+96, put(s.sentRec), put(it.rec))
		} else {
			s.e.submitEntry(s, it.rec, true)
			s.marked = max(s.marked, seq)
		}
	}
	s.q.push(it)
	s.settle()
	c.advance()
	if it.state == held {
		return false // nothing behind it is sent before its commit, which calls pump
	}
	p := s.q.at(s.q.n - 1)
	switch s.emit(l, p, seq) {
	case broker.Buffered:
		p.state = sent
		s.q.sent++
		s.q.inflight++
		return true
	case broker.TooLarge:
		s.drop(s.q.n-1, "packet_too_large")
		return true
	case broker.Full:
		l.conn.WantRoom()
	case broker.Closed:
	}
	return false
}

// replayDone releases a QoS 2 message of a replay when its record is on disk.
type replayDone struct {
	s   *session
	seq uint64
}

// Committed implements storage.Done.
func (d replayDone) Committed(err error) {
	d.s.commit(heldItem{s: d.s, seq: d.seq, marked: true}, err == nil)
}

// replayed notes that a subscription has had its retained messages. s.mu is held.
func (s *session) replayed(sub *subscription) {
	if s.e.store != nil && s.persistent.Load() && s.subs[sub.name] == sub {
		done := *sub
		done.replay = false
		s.e.submit(putWeak(subscriptionRecord(&done)))
	}
}
