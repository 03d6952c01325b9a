package delivery

import (
	"time"

	"github.com/tarsd/tarsd/storage"
)

// cutOff is why what the session still holds is dropped if it ends with the connection of l; empty if
// the client said goodbye, or nothing is held. s.mu is held.
func (s *session) cutOff(l *link) string {
	if s.q.live == 0 || l.conn.Disconnected() != nil || s.e.isClosing() {
		return ""
	}
	return "connection_lost"
}

// connectionLost starts the clocks of a session without a connection, and returns the will if
// it is due at once. s.mu is held.
func (s *session) connectionLost() *will {
	if s.e.isClosing() {
		return nil
	}
	if s.expiry != neverExpires {
		left := time.Duration(s.expiry)*time.Second - s.e.now().Sub(s.lost)
		s.expireIn(left)
	}
	w := s.will
	switch {
	case w == nil:
	case w.delay == 0:
		s.will = nil
		return w
	default:
		w.arm(s, time.Duration(w.delay)*time.Second)
	}
	return nil
}

// expireIn ends the session after a while, unless it had another connection meanwhile. s.mu is
// held.
func (s *session) expireIn(left time.Duration) {
	lost := s.lost
	s.timer = time.AfterFunc(max(left, 0), func() {
		s.mu.Lock()
		due := s.lost.Equal(lost)
		s.mu.Unlock()
		if !due || s.e.endIfUnowned(s, "session_expired") {
			return
		}
		s.mu.Lock() // its connection is still being let go, or another one has just come
		if s.lost.Equal(lost) && !s.gone {
			s.expireIn(time.Second)
		}
		s.mu.Unlock()
	})
}

func (e *Engine) isClosing() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closing
}

// endIfUnowned ends a session that has no connection, and reports whether it has or somebody
// else does.
func (e *Engine) endIfUnowned(s *session, reason string) bool {
	e.mu.Lock()
	if s.owner != nil {
		e.mu.Unlock()
		return false
	}
	if s.ending != nil || e.sessions[s.id] != s || e.closing {
		e.mu.Unlock()
		return true
	}
	s.ending = make(chan struct{})
	e.mu.Unlock()
	e.end(s, reason)
	return true
}

// end ends a session: its will is published, everything of it is deleted. The caller has set
// s.ending. reason names the drops of what was queued; empty if the client wanted it.
func (e *Engine) end(s *session, reason string) {
	s.mu.Lock()
	will := s.will
	s.stopTimers()
	s.gone = true
	s.link.Store(nil)
	for _, sub := range s.subs {
		e.trie.remove(sub)
	}
	ops := s.deletions()
	if reason != "" && s.q.live > 0 {
		e.counts.drops(s.id, "", reason, s.q.live)
	}
	s.q, s.cursors, s.inbound = queue{base: s.q.next()}, nil, nil
	s.settle()
	s.will = nil
	s.mu.Unlock()
	if will != nil && !e.isClosing() {
		e.publishWill(will)
	}
	e.submit(ops...) // the will's record among them
	e.mu.Lock()
	delete(e.sessions, s.id)
	close(s.ending)
	e.mu.Unlock()
	if reason != "" {
		e.event(Event{Kind: "session_end", Client: s.id, User: *s.user.Load(), Reason: reason})
	}
}

// deletions are the operations that delete everything of the session from disk. s.mu is held.
func (s *session) deletions() []storage.Op {
	if s.e.store == nil {
		return nil
	}
	var ops []storage.Op
	for i := range s.q.n {
		if it := s.q.at(i); it.rec != nil {
			ops = append(ops, delWeak(it.rec))
		}
	}
	if s.recorded {
		for name := range s.subs {
			ops = append(ops, del(subscriptionKeyRecord(s.id, name)))
		}
		for id, state := range s.inbound {
			if state != inboundMemory {
				ops = append(ops, del(inboundRecord(s.id, id)))
			}
		}
		ops = append(ops, del(s.rec), del(s.sentRec))
	}
	if s.will != nil && s.will.stored && !s.e.isClosing() {
		ops = append(ops, del(willKeyRecord(s.id)))
	}
	return ops
}
