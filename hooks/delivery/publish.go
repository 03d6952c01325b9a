package delivery

import (
	"context"
	"time"

	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/storage"
)

// onPublish handles one inbound message, on the reader goroutine.
func (l *link) onPublish(p *wire.PublishPacket) error {
	if p.QoS > l.e.lim.MaxQoS {
		return errQoS
	}
	if p.Retain && !l.e.lim.Retain {
		return errRetain
	}
	t, err := l.entry(p)
	if err != nil {
		return err
	}
	if p.QoS > 0 {
		if err := l.quota(p); err != nil {
			return err
		}
		if p.QoS == 2 && l.repeated(p.ID) {
			return nil
		}
	}
	if t.refused != "" {
		l.e.counts.refuse(l.peer, t.topic, t.refused, t.code)
		l.refuse(p, t.code)
		return nil
	}
	if len(l.inspectors) > 0 {
		if deliver, err := l.inspect(p, t.topic); err != nil || !deliver {
			return err
		}
	}
	err = l.accept(p, t)
	l.follower.outcome()
	return err
}

// quota counts p against the client's allowance. MQTT 3.1.1 has none; there the reader waits
// for the store instead.
func (l *link) quota(p *wire.PublishPacket) error {
	n := l.unacked.Add(1)
	if l.version >= wire.V5 {
		if n > int32(l.e.lim.ReceiveMaximum) {
			return errReceiveMaximum
		}
		return nil
	}
	if l.stored.Load() < max(int32(l.e.lim.ReceiveMaximum), 16) {
		return nil
	}
	l.Flush()
	ctx, cancel := context.WithTimeout(context.Background(), storeWait)
	defer cancel()
	if l.e.store.Sync(ctx) != nil {
		return errStore
	}
	if l.ended.Load() {
		return errTakenOver
	}
	return nil
}

// storeWait bounds how long a connection's reader waits for the disk.
const storeWait = 10 * time.Second

// repeated answers a QoS 2 PUBLISH whose packet id is known: it was accepted before.
// [MQTT-4.3.3-10]
func (l *link) repeated(id uint16) bool {
	s := l.s
	s.mu.Lock()
	state, ok := s.inbound[id]
	s.mu.Unlock()
	if !ok {
		return false
	}
	if state == inboundPending {
		l.stored.Add(1)
		l.e.store.Submit(storage.Discard, &storedAck{l: l, typ: wire.TypePubrec, id: id, dup: true}, 0)
		return true
	}
	l.ack(wire.TypePubrec, id, wire.Success)
	return true
}

// refuse acknowledges a message that is not taken: with its reason where the protocol has one.
// In 3.1.1 the choice is a positive acknowledgement or the end of the connection
// [MQTT-3.3.5-2]; the former keeps a client with one wrong topic from reconnecting for ever.
func (l *link) refuse(p *wire.PublishPacket, code wire.Code) {
	if p.QoS == 0 {
		return
	}
	typ := wire.TypePuback
	if p.QoS == 2 {
		typ = wire.TypePubrec
		if l.version < wire.V5 || code < wire.UnspecifiedError {
			l.remember(p.ID, inboundMemory)
		}
	}
	if l.version < wire.V5 {
		code = wire.Success
	}
	l.ack(typ, p.ID, code)
}

// remember notes an accepted QoS 2 packet id.
func (l *link) remember(id uint16, state inboundState) {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inbound == nil {
		s.inbound = map[uint16]inboundState{}
	}
	s.inbound[id] = state
}

// forgetID frees the packet id of a QoS 2 message that was not accepted.
func (l *link) forgetID(id uint16) {
	l.s.mu.Lock()
	delete(l.s.inbound, id)
	l.s.mu.Unlock()
}

// inspect runs the hooks. It reports whether p goes on; if not, p is answered.
func (l *link) inspect(p *wire.PublishPacket, topic string) (bool, error) {
	l.msg = Message{Topic: topic, Payload: p.Payload, Props: p.Props, QoS: p.QoS, Retain: p.Retain, Dup: p.Dup}
	for _, in := range l.inspectors {
		v := in.OnMessage(&l.msg)
		if v.Action == Deliver {
			continue
		}
		l.follower.outcome()
		if v.Action == Absorb {
			l.refuse(p, wire.Success)
			return false, nil
		}
		l.e.counts.refuse(l.peer, topic, v.Reason, v.Code)
		switch v.Action {
		case Repeat:
			l.ackRepeat(p)
		case Ignore:
			l.refuse(p, wire.Success)
		case Refuse:
			l.refuse(p, v.Code)
		default:
			return false, &wire.Error{Code: v.Code, Reason: v.Reason}
		}
		return false, nil
	}
	return true, nil
}

// accept takes a message that nobody objects to.
func (l *link) accept(p *wire.PublishPacket, t *topicEntry) error {
	m := t.targets(&l.e.trie)
	pub := publication{
		topic: t.topic, payload: p.Payload, props: p.Props, from: l.peer.ID, qos: p.QoS, retain: p.Retain,
		hasExpiry: p.HasExpiry, expiry: p.Expiry,
	}
	durable := l.e.store != nil && p.QoS > 0 && (p.Retain || m.durable)
	if durable || p.Retain || p.HasExpiry || p.QoS > 0 {
		now := l.e.now().UnixMilli()
		pub.stored = now
		if p.HasExpiry {
			pub.expires = now + int64(p.Expiry)*1000
		}
	}
	if durable {
		if err := l.waitStore(); err != nil {
			if l.version < wire.V5 {
				return err
			}
			l.e.counts.refuse(l.peer, t.topic, "storage", errStore.Code)
			l.refuse(p, errStore.Code)
			return nil
		}
		if l.ended.Load() { // taken over while it waited
			return errTakenOver
		}
	}
	if durable && p.QoS == 2 {
		l.acceptDeferred(p.ID, &pub, t)
		return nil
	}
	if l.s.deferred.Load() > 0 {
		if err := l.waitDeferred(); err != nil {
			return err
		}
		m = t.targets(&l.e.trie)
	}
	l.finish(p.ID, &pub, t, m)
	return nil
}

// waitDeferred waits until the QoS 2 messages before this one are delivered: messages of one
// publisher keep their order also when their QoS differs.
func (l *link) waitDeferred() error {
	l.Flush()
	ctx, cancel := context.WithTimeout(context.Background(), storeWait)
	defer cancel()
	_ = l.e.store.Sync(ctx) // while the disk takes nothing they are refused at once: nothing to wait for
	switch {
	case ctx.Err() != nil:
		return errStore
	case l.ended.Load():
		return errTakenOver
	}
	return nil
}

// expired is a context that has ended: with it Store.Wait only looks.
var expired = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// waitStore waits until the store has room, or says that it takes nothing.
func (l *link) waitStore() error {
	if l.e.storeBad() {
		return errStore
	}
	if l.e.store.Wait(expired) == nil {
		return nil
	}
	l.Flush() // before waiting: what this batch has buffered is for others
	ctx, cancel := context.WithTimeout(context.Background(), storeWait)
	defer cancel()
	if l.e.store.Wait(ctx) != nil {
		return errStore
	}
	return nil
}

// finish delivers a message and acknowledges it.
func (l *link) finish(id uint16, p *publication, t *topicEntry, m *match) {
	e := l.e
	code, stored := wire.Success, false
	if p.retain {
		var ok bool
		if ok, stored = e.retain(p); !ok {
			e.counts.drop(l.peer.ID, p.topic, "retained_full")
			if p.qos > 0 {
				code = wire.QuotaExceeded
			}
		}
		// Who subscribed since m got the message of before as retained, and is to get this one.
		m = t.targets(&e.trie)
	}
	var r result
	if code == wire.Success {
		r = l.courier.deliver(p, m, l.s)
		stored = stored || r.stored
		switch {
		case r.taken == 0 && r.refused > 0 && !p.retain:
			code = wire.QuotaExceeded
		case len(m.targets)+len(m.groups) == 0 && l.version >= wire.V5 && (!p.retain || len(p.payload) == 0):
			code = wire.NoMatchingSubscribers
		}
	}
	l.follower.taken = code < wire.UnspecifiedError
	if p.qos == 0 {
		return
	}
	typ := wire.TypePuback
	if p.qos == 2 {
		typ = wire.TypePubrec
	}
	if l.version < wire.V5 {
		code = wire.Success
	}
	if typ == wire.TypePubrec && code < wire.UnspecifiedError {
		l.remember(id, inboundMemory)
	}
	switch {
	case l.own(p):
		l.ackOwn(id, code, stored)
	case stored:
		l.ackStored(typ, id, code)
	default:
		l.ack(typ, id, code)
	}
}
