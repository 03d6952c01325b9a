package delivery

import (
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/storage"
)

// deferred is a QoS 2 message whose delivery waits for the commit that holds its packet id and
// the queue entries of all its subscribers: a crash leaves all of it or nothing.
type deferred struct {
	l     *link
	id    uint16
	p     publication // kept
	match *match
	held  []heldItem
	// Members of shared subscriptions with QoS 0, which get it without a queue.
	unqueued []target
	late     []target // see latecomers
	old      *message // retained message that it replaced
	told     []func(taken bool)
}

// heldItem is a place in a queue that waits for its commit.
type heldItem struct {
	s      *session
	seq    uint64
	group  *group
	rec    *queueRecord
	marked bool // the commit also says that it was sent
}

// inboundRecord is the record of an accepted QoS 2 packet id.
func inboundRecord(session string, id uint16) *rawRecord {
	return &rawRecord{bucket: bucketInbound, key: inboundKey(nil, session, id), value: []byte{codecVersion}}
}

// acceptDeferred takes a durable QoS 2 message.
func (l *link) acceptDeferred(id uint16, p *publication, t *topicEntry) {
	e := l.e
	size := p.keep().size()
	d := &deferred{l: l, id: id, p: *p, match: t.targets(&e.trie)}
	if p.retain && len(p.payload) > 0 && !e.ret.room(p.topic, size, e.lim.RetainedMessages, e.lim.RetainedBytes) {
		e.counts.drop(l.peer.ID, p.topic, "retained_full")
		l.ackRefused(id, wire.QuotaExceeded)
		return
	}
	var r result
	ops := d.holdAll(&r)
	if r.taken == 0 && r.refused > 0 && !p.retain {
		l.ackRefused(id, wire.QuotaExceeded)
		return
	}
	if l.s.persistent.Load() {
		ops = append(ops, put(inboundRecord(l.peer.ID, id)))
	}
	l.remember(id, inboundPending)
	l.s.deferred.Add(1)
	l.stored.Add(1)
	d.told = l.follower.later()
	defer d.buryGhosts()
	if p.retain && p.topic[0] != '$' {
		d.retain(t, ops)
	} else {
		d.submit(ops)
	}
}

func (d *deferred) submit(ops []storage.Op) {
	d.l.e.store.Submit(storage.Discard, d, len(d.p.payload)+128, ops...)
}

// retain makes the message the retained one of its topic, and submits it.
func (d *deferred) retain(t *topicEntry, ops []storage.Op) {
	e, msg := d.l.e, d.p.kept
	now := msg // what the topic has from now on
	if tombstone(msg) {
		now = nil
	}
	e.ret.set(d.p.topic, now, func(n *retainedNode, old *message) {
		d.old, d.late = old, d.latecomers(t.targets(&e.trie))
		if n != nil {
			n.latest = nil // a later message of QoS 0 comes behind this one in the file
		}
		switch {
		case now != nil:
			ops = append(ops, put(retainedRecord{msg}))
		case old != nil:
			ops = append(ops, del(retainedRecord{old}))
		}
		if now == nil {
			e.ret.bury(msg)
		}
		d.submit(ops)
	})
}

// latecomers are the targets of now for whom nothing is held. They got the retained message of before
// and are to get the one that took its place, when it is committed. Only a crash right then would keep it
// from them: their sessions cannot be locked here, so that it is not in their queues by that commit.
func (d *deferred) latecomers(now *match) (late []target) {
	if now == d.match {
		return nil
	}
	had := make(map[*session]struct{}, len(d.match.targets))
	for i := range d.match.targets {
		had[d.match.targets[i].session] = struct{}{}
	}
	for _, t := range now.targets {
		if _, ok := had[t.session]; !ok { // the publisher is none: it is here
			late = append(late, t)
		}
	}
	return late
}

// ackRefused answers a QoS 2 message that nobody can take.
func (l *link) ackRefused(id uint16, code wire.Code) {
	if l.version < wire.V5 {
		l.remember(id, inboundMemory)
		code = wire.Success
	}
	l.ack(wire.TypePubrec, id, code)
}

// buryGhosts deletes the records of sessions that ended between hold and the submission: theirs
// were deleted before these were put.
func (d *deferred) buryGhosts() {
	for _, h := range d.held {
		h.s.mu.Lock()
		if h.s.gone && h.rec != nil {
			d.l.e.submit(del(h.rec), del(h.s.sentRec))
		}
		h.s.mu.Unlock()
	}
}

// holdAll holds the message for everybody who gets it.
func (d *deferred) holdAll(r *result) (ops []storage.Op) {
	for i := range d.match.targets {
		t := &d.match.targets[i]
		if t.noLocal && t.session == d.l.s {
			continue
		}
		if t.qos == 0 { // gets it when it is committed
			if t.session.link.Load() != nil {
				r.taken++
			}
			continue
		}
		ops = d.hold(t, nil, r, ops)
	}
	for _, g := range d.match.groups {
		ops = d.holdGroup(g, r, ops)
	}
	return ops
}

// holdGroup holds the message for one member of a shared subscription. Members whose queue is
// full are passed over, as in courier.toGroup.
func (d *deferred) holdGroup(g *group, r *result, ops []storage.Op) []storage.Op {
	for range groupTries {
		s := g.pick(nil, d.p.qos)
		if s == nil {
			return ops
		}
		t := s.target()
		if s.qos == 0 { // it gets the message when that is committed
			d.unqueued = append(d.unqueued, t)
			r.taken++
			return ops
		}
		taken := r.taken
		if ops = d.hold(&t, g, r, ops); r.taken > taken {
			return ops
		}
	}
	return ops
}

// hold queues the message for one session, to be sent when it is committed.
func (d *deferred) hold(t *target, g *group, r *result, ops []storage.Op) []storage.Op {
	seq := t.session.take(&d.l.courier, &d.p, t, g, min(d.p.qos, t.qos), held, false, r)
	if seq == 0 {
		return ops
	}
	s := t.session
	h := heldItem{s: s, seq: seq, group: g}
	var rec *queueRecord
	s.mu.Lock()
	if it := s.bySeq(seq); it != nil && it.rec != nil {
		rec = it.rec
		ops = append(ops, put(rec))
		// It will be sent right after this commit, as far as one can see: one commit for both.
		if l := s.link.Load(); l != nil && s.q.n-s.q.sent+s.q.inflight <= l.window {
			h.marked = true
			s.sentRec.raise(seq)
			ops = append(ops, put(s.sentRec))
		}
	}
	s.mu.Unlock()
	h.rec = rec
	d.held = append(d.held, h)
	return ops
}

// bySeq returns the item with a sequence number, or nil. s.mu is held.
func (s *session) bySeq(seq uint64) *item {
	if s.gone || seq < s.q.base || seq >= s.q.next() {
		return nil
	}
	it := s.q.at(int(seq - s.q.base))
	if it.state == finished {
		return nil
	}
	return it
}

// Committed implements storage.Done. It runs on the store's notifier goroutine.
func (d *deferred) Committed(err error) {
	l, e := d.l, d.l.e
	defer func() {
		l.s.deferred.Add(-1)
		l.stored.Add(-1)
	}()
	for _, h := range d.held {
		if h.marked && err != nil { // the marker was in what the disk did not take
			h.s.sentRec.pending.Store(false)
		}
		if there := h.s.commit(h, err == nil); !there && err == nil && h.group != nil {
			var r result // the member has left meanwhile
			e.notified.toGroup(&d.p, h.group, h.s, &r)
		}
	}
	for _, tell := range d.told {
		tell(err == nil)
	}
	if err != nil {
		d.withdraw()
		return
	}
	if d.p.retain {
		e.ret.settled()
	}
	for i := range d.match.targets {
		if t := &d.match.targets[i]; t.qos == 0 && !(t.noLocal && t.session == l.s) {
			var r result
			e.notified.toTarget(&d.p, t, nil, false, &r)
		}
	}
	for _, more := range [][]target{d.unqueued, d.late} {
		for i := range more {
			var r result
			e.notified.toTarget(&d.p, &more[i], nil, false, &r)
		}
	}
	if len(d.match.taps) > 0 {
		e.tell(&d.p, d.match.taps, nil, false)
	}
	state := inboundMemory
	if l.s.persistent.Load() {
		state = inboundDisk
	}
	l.s.mu.Lock()
	if have, ok := l.s.inbound[d.id]; ok && have == inboundPending {
		l.s.inbound[d.id] = state
	}
	l.s.mu.Unlock()
	l.conn.AppendAck(wire.TypePubrec, d.id, wire.Success)
	e.notified.touch(l.conn)
}

// withdraw undoes what a message that the disk did not take has changed.
func (d *deferred) withdraw() {
	l, e := d.l, d.l.e
	if d.p.retain {
		e.ret.restore(d.p.topic, d.p.kept, d.old)
	}
	l.forgetID(d.id)
	e.counts.refuse(l.peer, d.p.topic, "storage", errStore.Code)
	l.refuseStored()
	l.done(wire.TypePubrec, errStore.Code)
	if l.version >= wire.V5 {
		l.conn.AppendAck(wire.TypePubrec, d.id, errStore.Code)
		e.notified.touch(l.conn)
	}
}

// commit releases a held item, or drops it if its commit failed. It reports whether the item
// was there.
func (s *session) commit(h heldItem, ok bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.bySeq(h.seq)
	if it == nil || it.state != held {
		return false
	}
	if ok {
		it.state = waiting
		if h.marked {
			s.marked = max(s.marked, h.seq)
		}
	} else {
		s.q.finish(int(h.seq - s.q.base)) // its record was never written
	}
	s.settle()
	if l := s.link.Load(); l != nil {
		s.pump(l)
		s.e.notified.touch(l.conn)
	}
	return true
}
