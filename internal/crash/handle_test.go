package crash

import (
	"fmt"

	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// handle judges and answers one packet.
func (c *client) handle(l *life, f rawmqtt.Frame) error {
	switch f.Type {
	case rawmqtt.Publish:
		return c.onPublish(l, f)
	case rawmqtt.Pubrel:
		return c.onPubrel(f)
	case rawmqtt.Puback, rawmqtt.Pubrec, rawmqtt.Pubcomp:
		return c.onAck(l, f)
	case rawmqtt.Suback:
		return c.onSuback(l, f)
	case rawmqtt.Disconnect:
		if l.dead.Load() { // a broker that is stopped nicely says goodbye
			return errDropped
		}
		return c.blame(ref{}, fmt.Errorf("%w: DISCONNECT % x", errClosed, f.Body))
	}
	return c.blame(ref{}, fmt.Errorf("%w: type %d", errUnexpected, f.Type))
}

func (c *client) onPublish(l *life, f rawmqtt.Frame) error {
	m, err := f.Message(c.version)
	if err != nil {
		return c.blame(ref{}, err)
	}
	st, seq, err := c.led.parse(m)
	here := ref{st, seq}
	if err != nil {
		return c.blame(here, err)
	}
	r := c.reading[st.id]
	if r == nil {
		return c.blame(here, fmt.Errorf("%w: no subscription for it", errUnexpected))
	}
	if c.open[m.ID] {
		return c.blame(here, fmt.Errorf("%w: %d", errPacketID, m.ID))
	}
	c.open[m.ID] = true
	if limit := int(c.receiveMaximum); limit > 0 && len(c.open) > limit+c.oldDone {
		return c.blame(here, fmt.Errorf("%w: %d, allowed %d", errFlow, len(c.open), limit))
	}
	ev := event{kind: evGot, stream: st.id, seq: seq, packet: m.ID, dup: m.Dup}
	if m.QoS == 2 {
		c.acks = append(c.acks, pendingAck{rawmqtt.Pubrec, m.ID})
		if old, ok := c.held[m.ID]; ok {
			ev.kind = evGotHeld
			c.ring.add(ev)
			if old != here {
				return c.blame(here, fmt.Errorf("%w: %d is still message %d of %v", errPacketID, m.ID, old.seq, old.stream))
			}
			return nil
		}
		c.held[m.ID] = here
	} else {
		c.acks = append(c.acks, pendingAck{rawmqtt.Puback, m.ID})
	}
	first, err := r.deliver(seq, m)
	if !first {
		ev.kind = evGotAgain
	}
	c.ring.add(ev)
	if err != nil {
		return c.blame(here, err)
	}
	l.count(first, m.Dup || st.qos == 1 && st.wasResent(seq))
	return nil
}

func (c *client) onPubrel(f rawmqtt.Frame) error {
	id, _, err := f.Ack()
	if err != nil {
		return c.blame(ref{}, err)
	}
	r, ok := c.held[id]
	if ok {
		c.ring.add(event{kind: evReleased, stream: r.stream.id, seq: r.seq, packet: id})
	} // else the PUBCOMP did not get through before, or the broker does not know that it did
	delete(c.held, id)
	c.acks = append(c.acks, pendingAck{rawmqtt.Pubcomp, id})
	return nil
}

// onAck handles what concerns the publisher's half.
func (c *client) onAck(l *life, f rawmqtt.Frame) error {
	id, code, err := f.Ack()
	if err != nil {
		return c.blame(ref{}, err)
	}
	i, oldest := c.find(f.Type, id)
	if i < 0 {
		return c.blame(ref{}, fmt.Errorf("%w: ack type %d for packet id %d, which is not in flight", errUnexpected, f.Type, id))
	}
	fl := c.inflight[i]
	ev := event{kind: evPuback, stream: fl.stream.id, seq: fl.seq, packet: id, code: code}
	switch {
	case f.Type == rawmqtt.Pubcomp:
		ev.kind = evPubcomp
		c.ring.add(ev)
		c.drop(i)
		c.completed(fl.stream)
		return nil
	case f.Type == rawmqtt.Pubrec:
		ev.kind = evPubrec
	}
	c.ring.add(ev)
	switch {
	case code != 0 && (code != 0x10 || !fl.stream.erases): // 0x10: no matching subscribers
		return c.blame(fl.ref, fmt.Errorf("%w: code %#02x", errRefused, code))
	case oldest != i: // MQTT-4.6.0-2, MQTT-4.6.0-3
		o := c.inflight[oldest]
		return c.blame(fl.ref, fmt.Errorf("%w: message %d of %v was sent before it", errAckOrder, o.seq, o.stream))
	}
	fl.stream.mu.Lock()
	fl.stream.acked = fl.seq + 1
	fl.stream.mu.Unlock()
	l.acks.Add(1)
	if f.Type == rawmqtt.Puback {
		c.drop(i)
		return nil
	}
	fl.received, c.recs = true, true
	c.ring.add(event{kind: evPubrel, stream: fl.stream.id, seq: fl.seq, packet: id})
	c.conn.Queue(func(b []byte) []byte { return rawmqtt.AppendAck(b, rawmqtt.Pubrel, id) })
	return nil
}

// find looks an identifier up among what is in flight: i is the flight that the ack can
// mean, or -1; oldest is the one that the broker has to acknowledge first.
func (c *client) find(typ byte, id uint16) (i, oldest int) {
	i, oldest = -1, -1
	qos := byte(1)
	if typ != rawmqtt.Puback {
		qos = 2
	}
	for k, f := range c.inflight {
		if f.stream.qos != qos || f.received != (typ == rawmqtt.Pubcomp) {
			continue
		}
		if oldest < 0 {
			oldest = k
		}
		if f.id == id {
			return k, oldest
		}
	}
	return i, oldest
}

// completed notes how far a QoS 2 stream is complete. PUBCOMPs need not come in order.
func (c *client) completed(s *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = s.sent
	for _, f := range c.inflight { // in the order of seq for each stream
		if f.stream == s {
			s.done = f.seq
			return
		}
	}
}

func (c *client) drop(i int) { c.inflight = append(c.inflight[:i], c.inflight[i+1:]...) }

// subscribe queues the SUBSCRIBE for pendingSub.
func (c *client) subscribe() {
	c.conn.Queue(func(b []byte) []byte { return rawmqtt.AppendSubscribe(b, c.version, 2, c.qos, c.pendingSub) })
}

func (c *client) onSuback(l *life, f rawmqtt.Frame) error {
	id, codes, err := f.Codes(c.version)
	if err != nil {
		return c.blame(ref{}, err)
	}
	for _, code := range codes {
		if code != c.qos {
			return c.blame(ref{}, fmt.Errorf("%w: SUBACK code %#02x", errRefused, code))
		}
	}
	c.ring.add(event{kind: evSuback, packet: id})
	if id == 1 {
		c.subscribed = true
		l.ready.Add(1)
		return nil
	}
	// From here on nothing that is published there may be lost, so it may begin.
	l.began(c.pendingSub)
	c.pendingSub = ""
	l.subacks.Add(1)
	return nil
}
