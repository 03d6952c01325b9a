package delivery

import (
	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/storage"
)

// publication is one message on its way to its subscribers. Its slices may be valid during the
// call only; keep makes the copy that something may hold.
type publication struct {
	topic     string
	payload   []byte
	props     []byte
	from      string
	qos       byte
	retain    bool
	hasExpiry bool
	expiry    uint32 // seconds
	expires   int64  // Unix ms; 0 = never
	stored    int64  // Unix ms
	transient bool   // never on disk
	kept      *message
}

// keep returns the message as something that may be held. It is made once.
func (p *publication) keep() *message {
	if p.kept == nil {
		b := make([]byte, len(p.payload)+len(p.props))
		n := copy(b, p.payload)
		copy(b[n:], p.props)
		m := &message{
			topic: p.topic, payload: b[:n:n], from: p.from,
			stored: p.stored, expires: p.expires, qos: p.qos, retain: p.retain,
		}
		if len(p.props) > 0 {
			m.props = b[n:]
		}
		p.kept = m
		p.payload, p.props = m.payload, m.props // from here on large payloads go by reference
	}
	return p.kept
}

// courier takes messages to the outbound buffers of subscribers and remembers which of them
// have to be written. It belongs to one goroutine.
type courier struct {
	e       *Engine
	own     *Tap // does not see what this courier delivers; may be nil
	will    bool // what it delivers is a will
	touched []*broker.Conn
	out     wire.OutPublish
	enc     [12]encoded // by version, QoS and retain; valid for the message of this deliver
	used    uint16
	direct  int // bytes that this batch delivered; large batches are written early
}

// encoded is a PUBLISH that fits many subscribers. The packet id, if any, is at id.
type encoded struct {
	b  []byte
	id int
}

// Limits of a batch: beyond them it is worth more to begin writing than to gather.
const (
	encodeFrom = 3       // subscribers from which a message is encoded once and copied
	flushBytes = 1 << 20 // bytes delivered
	groupTries = 8       // members of a shared subscription that are asked when queues are full
)

// result tells what became of a delivery.
type result struct {
	taken   int  // sessions that have it, or had a connection for it at QoS 0
	refused int  // sessions whose queue is full
	stored  bool // a record of it was submitted
}

// touch notes that the connection has something to be written.
func (c *courier) touch(conn *broker.Conn) {
	if conn.Mark() {
		c.touched = append(c.touched, conn)
	}
}

// flush writes what the batch buffered.
func (c *courier) flush() {
	for i, conn := range c.touched {
		conn.Flush()
		c.touched[i] = nil
	}
	c.touched, c.direct = c.touched[:0], 0
}

// deliver gives p to everybody in m. from is the publisher's session, for no-local.
func (c *courier) deliver(p *publication, m *match, from *session) (r result) {
	c.used = 0
	many := len(m.targets) >= encodeFrom
	for i := range m.targets {
		t := &m.targets[i]
		if t.noLocal && t.session == from { // [MQTT-3.8.3-3]
			continue
		}
		c.toTarget(p, t, nil, many, &r)
	}
	for _, g := range m.groups {
		c.toGroup(p, g, nil, &r)
	}
	if len(m.taps) > 0 {
		c.e.tell(p, m.taps, c.own, c.will)
	}
	if c.direct > flushBytes {
		c.flush()
	}
	return r
}

// toTarget gives p to one session.
func (c *courier) toTarget(p *publication, t *target, g *group, many bool, r *result) {
	if qos := min(p.qos, t.qos); qos > 0 { // [MQTT-3.8.4-8]
		t.session.take(c, p, t, g, qos, waiting, many, r)
		return
	}
	l := t.session.link.Load()
	if l == nil {
		return
	}
	if l.queues(t.qos) {
		p.stamp(c.e.now)
		t.session.take(c, p, t, g, 1, waiting, many, r)
		return
	}
	r.taken++
	switch c.send(l, p, t, 0, 0, many) {
	case broker.Buffered:
		c.touch(l.conn)
	case broker.Full:
		l.conn.Flush()
		c.e.counts.drop(t.session.id, p.topic, "buffer_full")
	case broker.TooLarge:
		c.e.counts.drop(t.session.id, p.topic, "packet_too_large")
	case broker.Closed:
	}
}

// toGroup gives p to one member of a shared subscription. [MQTT-4.8.2-4]
func (c *courier) toGroup(p *publication, g *group, except *session, r *result) {
	tried := r.refused
	for range groupTries {
		s := g.pick(except, p.qos)
		if s == nil {
			return
		}
		t := s.target()
		var one result
		c.toTarget(p, &t, g, false, &one)
		r.taken += one.taken
		r.stored = r.stored || one.stored
		if one.taken > 0 {
			r.refused = tried
			return
		}
		r.refused = tried + one.refused // neither: the member is just leaving
	}
}

// send encodes p for one connection, as its subscription t wants it, and appends it to the
// connection's buffer. With many the encoding is shared with other subscribers.
func (c *courier) send(l *link, p *publication, t *target, qos byte, id uint16, many bool) broker.Outcome {
	retain := p.retain && t.rap // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
	c.direct += len(p.payload) + 16
	if many && len(t.subIDs) == 0 && l.aliasesOut == nil && len(p.payload) < 4<<10 && !l.rewrites() {
		e := c.encode(l.version, p, qos, retain)
		if qos > 0 {
			e.b[e.id], e.b[e.id+1] = byte(id>>8), byte(id)
		}
		return l.conn.AppendRaw(e.b, len(p.payload), true)
	}
	o := &c.out
	*o = wire.OutPublish{
		Version: l.version, QoS: qos, Retain: retain, Topic: p.topic, ID: id, Props: p.props,
		Expiry: p.expiry, HasExpiry: p.hasExpiry, SubIDs: t.subIDs, Payload: p.payload,
	}
	if many {
		p.keep() // so that a large payload is shared
		o.Payload, o.Props = p.payload, p.props
	}
	return l.append(o, true, p.kept != nil)
}

// encode returns p as it is for every subscriber of this version, QoS and retain flag.
func (c *courier) encode(version byte, p *publication, qos byte, retain bool) *encoded {
	i := int(qos) * 4
	if version >= wire.V5 {
		i += 2
	}
	if retain {
		i++
	}
	e := &c.enc[i]
	if c.used&(1<<i) != 0 {
		return e
	}
	c.used |= 1 << i
	o := &c.out
	*o = wire.OutPublish{
		Version: version, QoS: qos, Retain: retain, Topic: p.topic, ID: 1, Props: p.props,
		Expiry: p.expiry, HasExpiry: p.hasExpiry, Payload: p.payload,
	}
	total, rem, props := o.Size()
	e.b = o.Append(e.b[:0], rem, props, true)
	e.id = total - rem + 2 + len(p.topic)
	return e
}

// append queues o on l's connection, with a topic alias where the client allows one.
func (l *link) append(o *wire.OutPublish, limit, share bool) broker.Outcome {
	l.rewrite(o)
	if l.aliasesOut == nil {
		return l.conn.AppendPublish(o, limit, share)
	}
	// The message that sets an alias has to be in the buffer before the next one uses it.
	l.aliasMu.Lock()
	defer l.aliasMu.Unlock()
	alias, known := l.aliasesOut[o.Topic]
	switch {
	case known:
		o.Alias, o.OmitTopic = alias, true
	case len(l.aliasesOut) < int(l.aliasMax):
		o.Alias = uint16(len(l.aliasesOut) + 1) // [MQTT-3.1.2-26]
	}
	r := l.conn.AppendPublish(o, limit, share)
	if r == broker.Buffered && o.Alias > 0 && !known {
		l.aliasesOut[o.Topic] = o.Alias
	}
	return r
}

// submitEntry hands a queue entry to the store. For one that is sent right away the sent marker
// goes first, see sentRecord.
func (e *Engine) submitEntry(s *session, rec *queueRecord, direct bool) {
	if direct && s.sentRec.raise(rec.seq) {
		e.store.Submit(storage.Keep, nil, len(rec.m.payload)+96, putWeak(s.sentRec), put(rec))
		return
	}
	e.store.Submit(storage.Keep, nil, len(rec.m.payload)+96, put(rec))
}
