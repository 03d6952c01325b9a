package delivery

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tarsd/tarsd/storage"
)

// load reads everything from the store. Records that make no sense are counted and skipped:
// one of them is not a reason to serve nobody.
func (e *Engine) load() error {
	ld := loader{e: e, bad: map[storage.Bucket]int{}}
	steps := []struct {
		b storage.Bucket
		f func(k, v []byte) error
	}{
		{bucketSessions, ld.session},
		{bucketSubscriptions, ld.subscription},
		{bucketSent, ld.sent},
		{bucketQueue, ld.queue},
		{bucketInbound, ld.inbound},
		{bucketRetained, ld.retained},
		{bucketWills, ld.will},
	}
	for _, step := range steps {
		err := e.store.Range(step.b, nil, func(k, v []byte) error {
			err := step.f(k, v)
			if err != nil {
				ld.bad[step.b]++
			}
			if errors.Is(err, errNoSession) { // of no use to anybody
				e.submit(del(&rawRecord{bucket: step.b, key: bytes.Clone(k)}))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("bucket %s: %w", step.b, err)
		}
	}
	for b, n := range ld.bad {
		e.log.Warn().Str("bucket", string(b)).Int("records", n).Msg("records skipped")
	}
	ld.finish()
	return nil
}

// errNoSession says that the session of a record is not there any more.
var errNoSession = errors.New("record of no session")

// becomeOrphan takes everything from a session that should have ended with the process but its
// will. s.mu is held.
func (s *session) becomeOrphan() {
	w := s.will
	s.will = nil
	ops := s.deletions()
	s.will, s.orphan, s.recorded = w, true, false
	for name, sub := range s.subs {
		s.e.trie.remove(sub)
		delete(s.subs, name)
	}
	s.q, s.cursors, s.inbound = queue{base: 1}, nil, nil
	s.settle()
	s.e.submit(ops...)
}

// loader turns records back into sessions.
type loader struct {
	e   *Engine
	bad map[storage.Bucket]int
}

func (ld *loader) session(k, v []byte) error {
	d := newDecoder(v)
	expiry, lost, user := d.uint32(), int64(d.uint64()), d.string()
	if d.err != nil {
		return d.err
	}
	s := ld.e.newSession(string(k), user)
	s.expiry, s.recorded = expiry, true
	s.persistent.Store(expiry > 0)
	s.lost = ld.e.now()
	if lost > 0 {
		s.lost = time.UnixMilli(lost)
	}
	ld.e.sessions[s.id] = s
	return nil
}

// of finds the session of a key.
func (ld *loader) of(k []byte) (*session, []byte, error) {
	id, rest, err := splitKey(k)
	if err != nil {
		return nil, nil, err
	}
	s := ld.e.sessions[id]
	if s == nil {
		return nil, nil, errNoSession
	}
	return s, rest, nil
}

func (ld *loader) subscription(k, v []byte) error {
	s, name, err := ld.of(k)
	if err != nil {
		return err
	}
	sub, err := decodeSubscription(s, string(name), v)
	if err != nil {
		return err
	}
	s.subs[sub.name] = sub
	ld.e.trie.add(sub)
	return nil
}

func (ld *loader) sent(k, v []byte) error {
	d := newDecoder(v)
	through := d.uint64()
	s := ld.e.sessions[string(k)]
	if s == nil {
		return errNoSession
	}
	if d.err != nil {
		return d.err
	}
	s.sentRec.through.Store(through)
	s.marked, s.marking = through, through
	return nil
}

// maxGap bounds the holes between two entries of a queue: acknowledged ones whose neighbours
// are in flight, see session.room.
const maxGap = 4 * maxID

func (ld *loader) queue(k, v []byte) error {
	s, rest, err := ld.of(k)
	if err != nil {
		return err
	}
	if len(rest) != 8 {
		return errCodec
	}
	seq := binary.BigEndian.Uint64(rest)
	it, err := ld.item(s, seq, v)
	if err != nil {
		return err
	}
	if s.q.n == 0 {
		s.q.base = seq
	}
	if seq < s.q.next() || seq-s.q.next() > maxGap {
		return errCodec
	}
	for s.q.next() < seq {
		s.q.push(item{state: finished})
	}
	s.q.push(it)
	s.settle()
	return nil
}

func (ld *loader) item(s *session, seq uint64, v []byte) (item, error) {
	d := newDecoder(v)
	rec := &queueRecord{session: s.id, seq: seq}
	rec.slot.Loaded()
	if d.byte() == 1 {
		rec.released.Store(true)
		return item{rec: rec, qos: 2, state: released, onDisk: true}, d.err
	}
	it := item{rec: rec, qos: d.byte(), retain: d.byte() == 1, state: waiting}
	for n := d.byte(); n > 0 && d.err == nil; n-- {
		it.subIDs = append(it.subIDs, d.uint32())
	}
	group := d.string()
	it.msg = d.message()
	if d.err != nil || it.qos < 1 || it.qos > 2 {
		return item{}, errCodec
	}
	if name, filter, ok := cutGroup(group); ok {
		it.group = ld.e.trie.find(name, filter)
	}
	it.dup = seq <= s.sentRec.through.Load()
	rec.m, rec.subIDs, rec.group, rec.qos, rec.retain = it.msg, it.subIDs, group, it.qos, it.retain
	return it, nil
}

// cutGroup splits what queueRecord.group holds. A share name holds no "/". [MQTT-4.8.2-2]
func cutGroup(s string) (name, filter string, ok bool) {
	name, filter, ok = strings.Cut(s, "/")
	return name, filter, ok && name != "" && filter != ""
}

func (ld *loader) inbound(k, _ []byte) error {
	s, rest, err := ld.of(k)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		return errCodec
	}
	if s.inbound == nil {
		s.inbound = map[uint16]inboundState{}
	}
	s.inbound[binary.BigEndian.Uint16(rest)] = inboundDisk
	return nil
}

func (ld *loader) retained(k, v []byte) error {
	d := newDecoder(v)
	m := d.message()
	if d.err != nil || !bytes.Equal(k, []byte(m.topic)) {
		return errCodec
	}
	if _, _, expired := m.left(ld.e.now()); expired {
		ld.e.submit(delWeak(retainedRecord{m}))
		return nil
	}
	ld.e.ret.set(m.topic, m, nil)
	return nil
}

func (ld *loader) will(k, v []byte) error {
	w, user, err := decodeWill(string(k), v)
	if err != nil {
		return err
	}
	s := ld.e.sessions[w.client]
	if s == nil {
		s = ld.e.newSession(w.client, user)
		s.orphan = true
		ld.e.sessions[s.id] = s
	}
	s.will = w
	return nil
}

// finish starts the clocks, and ends the sessions that should not have outlived the process.
func (ld *loader) finish() {
	e := ld.e
	sessions := make([]*session, 0, len(e.sessions)) // timers that are due change the map
	for _, s := range e.sessions {
		sessions = append(sessions, s)
	}
	for _, s := range sessions {
		s.mu.Lock()
		// Sequence numbers go on behind what was ever sent, or a new message would look like
		// one that was.
		if through := s.sentRec.through.Load(); s.q.n == 0 {
			s.q.base = max(s.q.base, through+1)
		} else if through >= s.q.next() && through-s.q.next() < maxGap {
			for s.q.next() <= through {
				s.q.push(item{state: finished})
			}
		}
		for _, sub := range s.subs {
			if sub.replay {
				s.cursors = append(s.cursors, e.ret.cursor(sub))
			}
		}
		if w := s.will; w != nil {
			w.arm(s, max(time.Duration(w.delay)*time.Second, willGrace))
		}
		over := s.expiry == 0 && !s.orphan
		switch {
		case over && s.will != nil:
			s.becomeOrphan()
			over = false
		case s.orphan || over:
		case s.expiry != neverExpires:
			left := time.Duration(s.expiry)*time.Second - e.now().Sub(s.lost)
			s.expireIn(left)
		}
		s.mu.Unlock()
		if over {
			e.endIfUnowned(s, "session_expired")
		}
	}
}
