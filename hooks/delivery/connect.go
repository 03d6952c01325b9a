package delivery

import (
	"context"
	"time"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/internal/wire"
)

// maxClientID bounds a client id, which is part of keys, logs and topics. In bytes.
const maxClientID = 1024

// takeoverWait is how long a new connection waits for the old one of its client id to end.
// The old reader is woken at once; it can be late only when it waits for the disk.
const takeoverWait = 2 * time.Second

// Admission is the answer to a CONNECT.
type Admission struct {
	Code    wire.Code // wire.Success: the connection may go on
	Reason  string
	Present bool // there was a session

	SessionExpiry uint32 // seconds; what the session really gets
	KeepAlive     uint16 // seconds; what the connection really gets
	link          *link
}

// Connect authenticates a connection and gives it its session, taking it over from an older
// connection. peer has everything but User and Roles, which the policy sets. It is called on
// the connection's reader goroutine, before the CONNACK; Start has to follow when that is sent.
func (e *Engine) Connect(ctx context.Context, conn *broker.Conn, peer *Peer) Admission {
	cp := conn.Connect()
	terms := e.termsOf(peer)
	a := e.admit(ctx, cp, peer)
	if a.Code != wire.Success {
		e.refused(peer, a)
		e.holdRefusal(ctx, terms)
		return a
	}
	l := &link{
		e: e, conn: conn, peer: peer, version: cp.Version, terms: terms,
		window:   int(min(cp.ReceiveMaximum, e.lim.Inflight)),
		aliasMax: min(cp.TopicAliasMaximum, e.lim.TopicAliasMaximum),
	}
	if l.aliasMax > 0 {
		l.aliasesOut = map[string]uint16{}
	}
	l.courier.e = e
	for _, h := range e.hooks {
		if in := h.Attach(peer); in != nil {
			l.inspectors = append(l.inspectors, in)
			l.follower.add(in)
		}
	}
	peer.KeepAlive = a.KeepAlive // before claim, which lets others see the peer
	l.pace()
	if a.Code, a.Reason = e.claim(l, cp, &a); a.Code != wire.Success {
		e.refused(peer, a)
		e.holdRefusal(ctx, terms)
		return a
	}
	conn.Attach(l, cp.MaximumPacket, l.keepAlive(a.KeepAlive))
	a.link = l
	return a
}

// refused counts a connection that is not let in, and says so.
func (e *Engine) refused(p *Peer, a Admission) {
	e.counts.refused.Add(1)
	e.event(Event{
		Kind: "refused", Client: p.ID, User: p.User, Remote: p.Remote, Listener: p.Listener, Reason: a.Reason, Code: a.Code,
	})
}

// admit checks a CONNECT against limits and policy.
func (e *Engine) admit(ctx context.Context, cp *wire.ConnectPacket, peer *Peer) Admission {
	refuse := func(c wire.Code, reason string) Admission { return Admission{Code: c, Reason: reason} }
	switch {
	case cp.AuthMethod != "":
		return refuse(wire.BadAuthenticationMethod, "authentication method not supported")
	case len(peer.ID) > maxClientID:
		return refuse(wire.ClientIDNotValid, "client id longer than 1024 bytes")
	case cp.Will != nil && cp.Will.QoS > e.lim.MaxQoS:
		return refuse(wire.QoSNotSupported, "QoS of the will not supported") // [MQTT-3.2.2-12]
	case cp.Will != nil && cp.Will.Retain && !e.lim.Retain:
		return refuse(wire.RetainNotSupported, "retained will not supported") // [MQTT-3.2.2-13]
	}
	var user *string
	if cp.HasUser {
		user = &cp.User
	}
	if code, reason := e.policy.Authenticate(ctx, peer, user, cp.Password); code != wire.Success {
		return refuse(code, reason)
	}
	if w := cp.Will; w != nil {
		if w.Topic[0] == '$' || !e.policy.MayPublish(peer, w.Topic) {
			return refuse(wire.NotAuthorized, "will topic not authorized")
		}
		if len(w.Topic) > e.lim.TopicBytes || levels(w.Topic) > e.lim.TopicLevels {
			return refuse(wire.TopicNameInvalid, "will topic longer or deeper than allowed")
		}
	}
	a := Admission{SessionExpiry: e.expiryFor(cp), KeepAlive: cp.KeepAlive}
	if limit := e.lim.KeepAlive; limit > 0 && cp.Version >= wire.V5 && (cp.KeepAlive == 0 || cp.KeepAlive > limit) {
		a.KeepAlive = limit // [MQTT-3.1.2-21]; 3.1.1 has no way to say so
	}
	return a
}

// expiryFor is the session expiry in seconds that a client gets.
func (e *Engine) expiryFor(cp *wire.ConnectPacket) uint32 {
	want := cp.SessionExpiry
	if cp.Version < wire.V5 {
		want = 0
		if !cp.CleanStart {
			want = neverExpires
		}
	}
	return e.capExpiry(want)
}

func (e *Engine) capExpiry(want uint32) uint32 {
	if most := int64(e.lim.SessionExpiry / time.Second); most > 0 && int64(want) > most {
		return uint32(most)
	}
	return want
}

// claim finds or makes the session of l's client id and makes l its owner.
func (e *Engine) claim(l *link, cp *wire.ConnectPacket, a *Admission) (wire.Code, string) {
	id := l.peer.ID
	for {
		e.mu.Lock()
		if e.closing {
			e.mu.Unlock()
			return wire.ServerShuttingDown, "server shutting down"
		}
		s := e.sessions[id]
		// A session without a user may pass to one: that is how an owner gives a device its name.
		if s != nil && *s.user.Load() != l.peer.User && *s.user.Load() != "" {
			e.mu.Unlock()
			return wire.NotAuthorized, "client id belongs to another user"
		}
		switch {
		case s == nil:
		case s.ending != nil:
			ending := s.ending
			e.mu.Unlock()
			if !waitFor(ending, storeWait) {
				return wire.ServerBusy, "the session of before has not ended yet"
			}
			continue
		case s.owner != nil:
			old := s.owner
			e.mu.Unlock()
			e.takeOver(old)
			continue
		case cp.CleanStart || s.orphan: // [MQTT-3.1.2-4]
			s.ending = make(chan struct{})
			e.mu.Unlock()
			s.returned()
			e.end(s, "")
			continue
		}
		if s == nil && len(e.sessions) >= e.lim.Sessions {
			e.mu.Unlock()
			return wire.QuotaExceeded, "too many sessions"
		}
		if s == nil {
			s = e.newSession(id, l.peer.User)
			e.sessions[id] = s
		} else {
			a.Present = true
		}
		s.owner, l.s = l, s
		e.mu.Unlock()
		e.adopt(s, l, cp, a)
		if cp.Will != nil && e.store != nil && !e.storeBad() {
			// The will is a promise from the CONNACK on. If the disk fails now, it is one for the
			// life of this process.
			ctx, cancel := context.WithTimeout(context.Background(), storeWait)
			_ = e.store.Sync(ctx)
			cancel()
		}
		return wire.Success, ""
	}
}

// takeOver ends an older connection of a client id. [MQTT-3.1.4-3]
func (e *Engine) takeOver(old *link) {
	e.event(Event{Kind: "takeover", Client: old.peer.ID, User: old.peer.User, Remote: old.peer.Remote, Code: wire.SessionTakenOver})
	old.conn.Disconnect(wire.SessionTakenOver, TakenOver)
	waitFor(old.conn.Done(), takeoverWait)
	e.release(old) // does nothing if the old reader has done it
}

// waitFor waits until done is closed, and reports whether it was within the time.
func waitFor(done <-chan struct{}, most time.Duration) bool {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

func (e *Engine) newSession(id, user string) *session {
	s := &session{e: e, id: id, sentRec: &sentRecord{session: id}, rec: &sessionRecord{id: id}, q: queue{base: 1}, subs: map[string]*subscription{}}
	s.user.Store(&user)
	return s
}

// adopt gives the session what the new connection says of it.
func (e *Engine) adopt(s *session, l *link, cp *wire.ConnectPacket, a *Admission) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer.Store(l.peer)
	s.user.Store(&l.peer.User)
	s.stopTimers()
	s.lost = time.Time{} // a clock that is just running out does not concern it any more
	if s.will != nil {   // back before its delay was over: [MQTT-3.1.3-9]
		s.forgetWill()
	}
	s.setExpiry(a.SessionExpiry)
	if w := cp.Will; w != nil {
		s.setWill(w)
	}
	if a.Present {
		s.recheck(l.peer)
	}
}

// setExpiry changes how long the session lives on after its connection. s.mu is held.
func (s *session) setExpiry(seconds uint32) {
	was := s.persistent.Load()
	s.expiry = seconds
	s.persistent.Store(seconds > 0)
	if was != (seconds > 0) && len(s.subs) > 0 {
		s.e.trie.all.Add(1) // cached matches know which of their sessions are kept
	}
	if s.persistent.Load() || s.recorded {
		s.save(0)
	}
}

// save writes the session's record. lost is when its connection ended, Unix ms, 0 while it is
// connected. s.mu is held.
func (s *session) save(lost int64) {
	if s.e.store == nil {
		return
	}
	s.recorded = true
	r := s.rec
	r.user.Store(s.user.Load())
	r.expiry.Store(s.expiry)
	r.lost.Store(lost)
	if !r.pending.Swap(true) {
		s.e.submit(put(r))
	}
}

// recheck drops subscriptions that the policy does not allow any more. s.mu is held.
func (s *session) recheck(p *Peer) {
	for _, sub := range s.subs {
		if !s.e.policy.MaySubscribe(p, sub.filter) {
			s.unsubscribe(sub)
			s.e.event(Event{Kind: "subscribe_refused", Client: s.id, User: p.User, Topic: sub.name, Reason: "not_authorized", Code: wire.NotAuthorized})
		}
	}
}

// Start begins deliveries on a connection whose CONNACK is in its buffer.
func (e *Engine) Start(a Admission) {
	l := a.link
	s := l.s
	e.counts.connected()
	l.started.Store(true)
	e.event(Event{Kind: "connect", Client: s.id, User: l.peer.User, Remote: l.peer.Remote, Listener: l.peer.Listener})
	l.conn.Established()
	l.attach()
	if l.begin() {
		l.tellBegan()
	}
}

// begin lets deliveries begin, unless the connection has lost its session meanwhile.
func (l *link) begin() bool {
	e, s := l.e, l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	e.mu.Lock()
	mine := s.owner == l
	e.mu.Unlock()
	if !mine || s.gone || l.ended.Load() {
		return false
	}
	if !e.policy.Current(l.peer) { // changed since Authenticate, and missed by Kick
		l.conn.Disconnect(wire.NotAuthorized, "access has changed")
		return false
	}
	s.link.Store(l)
	l.told = true
	e.tellClient(SawConnect, l)
	s.q.rewind()
	s.pump(l)
	l.courier.touch(l.conn)
	return true
}

// release ends what a connection has of its session. It may be called twice.
func (e *Engine) release(l *link) {
	if l.ended.Swap(true) {
		return
	}
	s := l.s
	n := l.conn.Counters()
	e.counts.closed(n)
	if l.started.Load() {
		e.counts.online.Add(-1)
	}
	e.event(Event{
		Kind: "disconnect", Client: s.id, User: l.peer.User, Remote: l.peer.Remote, Listener: l.peer.Listener, Reason: l.conn.Reason(),
	})
	s.mu.Lock()
	s.link.CompareAndSwap(l, nil)
	if d := l.conn.Disconnected(); d != nil {
		if d.HasSessionExpiry {
			s.setExpiry(e.capExpiry(d.SessionExpiry))
		}
		if d.Code == wire.Success { // [MQTT-3.14.4-3]
			s.forgetWill()
		}
	}
	if l.told && !e.isClosing() {
		e.tellClient(SawDisconnect, l)
	}
	l.paced.stop()
	s.q.rewind()
	s.lost = e.now()
	over := !s.persistent.Load() || s.condemned
	dropped := s.cutOff(l)
	s.mu.Unlock()
	l.tellEnded()
	s.handOver(over)
	if over {
		e.mu.Lock()
		s.owner, s.ending = nil, make(chan struct{})
		e.mu.Unlock()
		e.end(s, dropped)
		return
	}
	s.mu.Lock()
	if s.recorded {
		s.save(s.lost.UnixMilli())
	}
	will := s.connectionLost()
	s.mu.Unlock()
	if will != nil {
		e.publishWill(will)
		e.forgetWillOf(s, will)
	}
	e.mu.Lock()
	s.owner = nil
	e.mu.Unlock()
}
