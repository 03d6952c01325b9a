package delivery

import (
	"context"
	"encoding/binary"
	"strings"

	"github.com/tarsd/tarsd/internal/wire"
)

// Subscribe handles a SUBSCRIBE of the connection and returns a reason code for each filter, in
// the terms of the client's protocol version. The retained messages follow with Replay. It may
// wait for the disk.
func (e *Engine) Subscribe(a Admission, p *wire.SubscribePacket) []byte {
	l := a.link
	codes := make([]byte, len(p.Filters))
	keep := e.store != nil && l.s.persistent.Load()
	taken := 0
	for i := range p.Filters {
		code := wire.QuotaExceeded
		if l.ended.Load() {
			code = wire.UnspecifiedError // taken over: the session is another connection's
		} else if !keep || !e.storeBad() {
			code = l.subscribe(&p.Filters[i], p.SubID)
		}
		codes[i] = byte(code)
		if code < wire.UnspecifiedError {
			taken++
		}
	}
	if keep && taken > 0 && !l.syncSession() {
		l.unsubscribeAll(p, codes)
	}
	for i, code := range codes {
		if code := wire.Code(code); code >= wire.UnspecifiedError {
			e.event(Event{Kind: "subscribe_refused", Client: l.s.id, User: l.peer.User, Topic: p.Filters[i].Name, Reason: code.String(), Code: code})
			if l.version < wire.V5 {
				codes[i] = byte(wire.UnspecifiedError) // the only failure of 3.1.1
			}
		}
	}
	return codes
}

// unsubscribeAll takes back subscriptions that the disk did not take: a SUBACK that grants them
// would be a promise that a crash breaks.
func (l *link) unsubscribeAll(p *wire.SubscribePacket, codes []byte) {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range codes {
		if sub := s.subs[p.Filters[i].Name]; sub != nil && wire.Code(codes[i]) < wire.UnspecifiedError {
			s.unsubscribe(sub)
			codes[i] = byte(wire.QuotaExceeded)
		}
	}
}

// syncSession waits until what a persistent session has changed is on disk, and reports whether
// it is.
func (l *link) syncSession() bool {
	if l.e.store == nil || !l.s.persistent.Load() {
		return true
	}
	l.Flush()
	ctx, cancel := context.WithTimeout(context.Background(), storeWait)
	defer cancel()
	return l.e.store.Sync(ctx) == nil
}

// subscribe handles one filter.
func (l *link) subscribe(f *wire.Filter, subID uint32) wire.Code {
	e, s := l.e, l.s
	group, filter, shared, ok := wire.SplitShare(f.Name)
	switch {
	case !ok || !wire.ValidFilter(filter):
		return wire.TopicFilterInvalid
	case len(filter) > e.lim.TopicBytes || levels(filter) > e.lim.TopicLevels:
		return wire.TopicFilterInvalid
	case !e.policy.MaySubscribe(l.peer, filter):
		return wire.NotAuthorized
	}
	sub := &subscription{
		session: s, name: strings.Clone(f.Name), subID: subID, qos: min(f.QoS, l.maxQoS()),
		noLocal: f.NoLocal, rap: f.RetainAsPublished, rh: f.RetainHandling,
	}
	sub.filter = strings.Clone(filter)
	if shared {
		sub.group = strings.Clone(group)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return wire.UnspecifiedError
	}
	old := s.subs[sub.name]
	if old == nil && len(s.subs) >= e.lim.Subscriptions {
		return wire.QuotaExceeded
	}
	sub.replay = !shared && e.lim.Retain && (f.RetainHandling == 0 || f.RetainHandling == 1 && old == nil) // [MQTT-3.3.1-9] .. [MQTT-3.3.1-11]
	s.subs[sub.name] = sub
	e.trie.add(sub)
	if old != nil {
		s.dropCursors(old)
	}
	if s.persistent.Load() && e.store != nil {
		s.recorded = true
		e.submit(put(subscriptionRecord(sub)))
	}
	if sub.replay {
		l.replays = append(l.replays, sub)
	}
	delete(l.paced.awaited, sub.name)
	return wire.Code(sub.qos)
}

// Replay sends the retained messages of the last SUBSCRIBE. It is called when the SUBACK is in
// the outbound buffer.
func (e *Engine) Replay(a Admission) {
	l := a.link
	l.subscribed()
	if len(l.replays) == 0 {
		return
	}
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range l.replays {
		if s.subs[sub.name] == sub && s.link.Load() == l {
			s.cursors = append(s.cursors, e.ret.cursor(sub))
		}
	}
	clear(l.replays)
	l.replays = l.replays[:0]
	if s.link.Load() == l {
		s.pump(l)
		l.courier.touch(l.conn)
	}
}

// Unsubscribe handles an UNSUBSCRIBE and returns a reason code for each filter.
func (e *Engine) Unsubscribe(a Admission, p *wire.UnsubscribePacket) []byte {
	l := a.link
	s := l.s
	codes := make([]byte, len(p.Filters))
	var groups []*group
	s.mu.Lock()
	for i, name := range p.Filters {
		if l.ended.Load() {
			codes[i] = byte(wire.UnspecifiedError)
			continue
		}
		sub := s.subs[name]
		if sub == nil {
			codes[i] = byte(wire.NoSubscriptionExisted)
			continue
		}
		if sub.group != "" {
			groups = append(groups, e.trie.find(sub.group, sub.filter))
		}
		s.unsubscribe(sub)
	}
	s.mu.Unlock()
	for _, g := range groups {
		if g != nil {
			s.handOverGroup(g, true)
		}
	}
	l.syncSession()
	return codes
}

// unsubscribe removes one subscription. s.mu is held.
func (s *session) unsubscribe(sub *subscription) {
	delete(s.subs, sub.name)
	s.e.trie.remove(sub)
	s.dropCursors(sub)
	if s.recorded {
		s.e.submit(del(subscriptionKeyRecord(s.id, sub.name)))
	}
}

// dropCursors ends the replays of a subscription. s.mu is held.
func (s *session) dropCursors(sub *subscription) {
	kept := s.cursors[:0]
	for _, c := range s.cursors {
		if c.sub != sub {
			kept = append(kept, c)
		}
	}
	clear(s.cursors[len(kept):])
	s.cursors = kept
}

func subscriptionKeyRecord(id, name string) *rawRecord {
	return &rawRecord{bucket: bucketSubscriptions, key: append(sessionKey(nil, id), name...)}
}

func subscriptionRecord(s *subscription) *rawRecord {
	r := subscriptionKeyRecord(s.session.id, s.name)
	r.value = binary.BigEndian.AppendUint32([]byte{
		codecVersion, s.qos, boolByte(s.noLocal), boolByte(s.rap), s.rh, boolByte(s.replay),
	}, s.subID)
	return r
}

func decodeSubscription(s *session, name string, v []byte) (*subscription, error) {
	d := newDecoder(v)
	sub := &subscription{session: s, name: name, qos: d.byte(), noLocal: d.byte() == 1, rap: d.byte() == 1, rh: d.byte(), replay: d.byte() == 1}
	sub.subID = d.uint32()
	group, filter, shared, ok := wire.SplitShare(name)
	if d.err != nil || !ok || !wire.ValidFilter(filter) || sub.qos > 2 {
		return nil, errCodec
	}
	sub.filter = filter
	if shared {
		sub.group = group
	}
	return sub, nil
}
