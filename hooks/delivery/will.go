package delivery

import (
	"encoding/binary"
	"time"

	"github.com/tarsd/tarsd/internal/wire"
)

// willGrace is how long after a start wills of the run before wait at least for their clients
// to come back: a restart of the broker is not the death of its clients.
const willGrace = 5 * time.Second

// will is a Will Message of a session.
type will struct {
	m        *message // stored and expires are set when it is published
	delay    uint32   // seconds
	expiry   uint32   // seconds, if hasExpiry
	has      bool     // a message expiry was given
	client   string
	restored bool // of the run before
	stored   bool // there is a record of it
	timer    *time.Timer
}

// setWill stores the will of a CONNECT. s.mu is held.
func (s *session) setWill(w *wire.WillPacket) {
	s.will = &will{
		m: &message{
			topic: w.Topic, payload: w.Payload, props: w.Props, from: s.id, qos: w.QoS, retain: w.Retain,
		},
		delay: w.Delay, expiry: w.Expiry, has: w.HasExpiry, client: s.id,
	}
	if s.e.store != nil && !s.e.storeBad() { // else it is a promise for the life of this process
		s.will.stored = true
		s.e.submit(put(willRecord(s.id, *s.user.Load(), s.will)))
	}
}

// forgetWill deletes the will. s.mu is held.
func (s *session) forgetWill() {
	if s.will == nil {
		return
	}
	if s.will.timer != nil {
		s.will.timer.Stop()
	}
	if s.will.stored {
		s.e.submit(del(willKeyRecord(s.id)))
	}
	s.will = nil
}

// returned is called when a client is back: what a restart of the broker interrupted was not
// the end of its connection.
func (s *session) returned() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.will != nil && s.will.restored {
		s.forgetWill()
	}
}

// arm publishes the will after a delay, unless the client is back by then. s.mu is held.
func (w *will) arm(s *session, delay time.Duration) {
	w.timer = time.AfterFunc(delay, func() {
		s.mu.Lock()
		due := s.will == w && s.link.Load() == nil && !s.e.isClosing()
		if due {
			s.will = nil
		}
		s.mu.Unlock()
		if !due {
			return
		}
		s.e.publishWill(w)
		s.e.forgetWillOf(s, w)
		if s.orphan {
			s.e.endIfUnowned(s, "")
		}
	})
}

// forgetWillOf deletes the record of a will that was published, unless the client is back with
// another one.
func (e *Engine) forgetWillOf(s *session, w *will) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.stored && (s.will == nil || !s.will.stored) {
		e.submit(del(willKeyRecord(w.client)))
	}
}

// publishWill publishes a will. Its record is deleted afterwards, behind what this has stored.
func (e *Engine) publishWill(w *will) {
	m := *w.m
	m.stored = e.now().UnixMilli()
	if w.has {
		m.expires = m.stored + int64(w.expiry)*1000
	}
	c := &courier{e: e, will: true}
	if m.retain && len(m.payload) > 0 && !e.ret.room(m.topic, m.size(), e.lim.RetainedMessages, e.lim.RetainedBytes) {
		e.counts.drop(w.client, m.topic, "retained_full")
		m.retain = false
	}
	e.publishKept(c, &m, nil)
	c.flush()
	e.event(Event{Kind: "will", Client: w.client, Topic: m.topic})
}

func willKeyRecord(id string) *rawRecord {
	return &rawRecord{bucket: bucketWills, key: []byte(id)}
}

func willRecord(id, user string, w *will) *rawRecord {
	b := []byte{codecVersion, boolByte(w.has)}
	b = binary.BigEndian.AppendUint32(b, w.delay)
	b = binary.BigEndian.AppendUint32(b, w.expiry)
	b = appendString(b, user)
	return &rawRecord{bucket: bucketWills, key: []byte(id), value: appendMessage(b, w.m)}
}

func decodeWill(id string, v []byte) (w *will, user string, err error) {
	d := newDecoder(v)
	w = &will{client: id, restored: true, stored: true, has: d.byte() == 1}
	w.delay, w.expiry = d.uint32(), d.uint32()
	user = d.string()
	w.m = d.message()
	return w, user, d.err
}
