package delivery

import (
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/storage"
)

// onPuback ends a QoS 1 delivery.
func (l *link) onPuback(a wire.AckPacket) {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link.Load() != l {
		return
	}
	i, ok := s.q.find(a.ID)
	if !ok {
		return
	}
	it := s.q.at(i)
	if it.qos != 1 || it.state != sent {
		return
	}
	s.acknowledged(l, i)
}

// acknowledged ends item i and sends what the client's quota now allows. s.mu is held.
func (s *session) acknowledged(l *link, i int) {
	s.forget(s.q.at(i))
	s.q.finish(i)
	l.ackBehind()
	if s.q.sent < s.q.n || len(s.cursors) > 0 {
		s.pump(l)
		l.courier.touch(l.conn)
		return
	}
	s.settle()
}

// onPubrec takes the first half of a QoS 2 delivery's acknowledgement.
func (l *link) onPubrec(a wire.AckPacket) {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link.Load() != l {
		return
	}
	i, ok := s.q.find(a.ID)
	if !ok || s.q.at(i).qos != 2 {
		if a.Code < wire.UnspecifiedError { // an error ends the exchange, section 4.3.3
			l.ack(wire.TypePubrel, a.ID, wire.PacketIDNotFound)
		}
		return
	}
	it := s.q.at(i)
	if a.Code >= wire.UnspecifiedError {
		if it.state == sent {
			s.acknowledged(l, i)
		}
		return
	}
	if it.state == released {
		if it.rec == nil || it.onDisk {
			l.ack(wire.TypePubrel, a.ID, wire.Success)
		}
		return
	}
	it.state = released
	if it.rec == nil {
		l.ack(wire.TypePubrel, a.ID, wire.Success)
		return
	}
	// On disk before PUBREL leaves: with PUBREL the client forgets the id, and sending the
	// message again after a crash would then be a second delivery.
	it.rec.released.Store(true)
	s.e.store.Submit(storage.Keep, releasedDone{s, s.q.seq(i)}, 0, put(it.rec))
}

// releasedDone sends the PUBREL of an item whose release is on disk.
type releasedDone struct {
	s   *session
	seq uint64
}

// Committed implements storage.Done.
func (d releasedDone) Committed(error) {
	s := d.s
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.bySeq(d.seq)
	if it == nil || it.state != released {
		return
	}
	it.onDisk = true
	l := s.link.Load()
	if l == nil || int(d.seq-s.q.base) >= s.q.sent {
		return // pump will send it
	}
	l.conn.AppendAck(wire.TypePubrel, packetID(d.seq), wire.Success)
	s.e.notified.touch(l.conn)
}

// onPubcomp ends a QoS 2 delivery.
func (l *link) onPubcomp(a wire.AckPacket) {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link.Load() != l {
		return
	}
	if i, ok := s.q.find(a.ID); ok && s.q.at(i).state == released {
		s.acknowledged(l, i)
	}
}

// onPubrel ends an inbound QoS 2 message: its packet id is free again.
func (l *link) onPubrel(a wire.AckPacket) {
	s := l.s
	s.mu.Lock()
	state, ok := s.inbound[a.ID]
	if state == inboundPending && ok {
		s.mu.Unlock()
		return // its PUBREC has not been sent: not an answer to anything
	}
	delete(s.inbound, a.ID)
	s.mu.Unlock()
	switch {
	case !ok:
		l.ack(wire.TypePubcomp, a.ID, wire.PacketIDNotFound) // section 4.3.3; after a lost PUBCOMP
	case state == inboundDisk:
		// Gone from disk before PUBCOMP leaves: the client may use the id for another message.
		l.stored.Add(1)
		l.e.store.Submit(storage.Keep, &storedAck{l: l, typ: wire.TypePubcomp, id: a.ID}, 0, del(inboundRecord(l.peer.ID, a.ID)))
	default:
		l.ack(wire.TypePubcomp, a.ID, wire.Success)
	}
}
