package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/tarsd/tarsd/internal/wire"
)

// Terms is how the engine treats the connection of one client, where that is not as everybody's: for
// devices whose faults a broker can absorb. A zero field changes nothing. It must not change.
type Terms struct {
	// Window is how many messages are under way to it at most. It never gets QoS 2, and what would be
	// QoS 0 is QoS 1 while it is connected: the next message leaves after the acknowledgement.
	Window int
	// Queue is how many messages wait for it at most while it is connected; 0: as Limits says.
	Queue int
	// MaxAge is how long a message may wait for it; older ones are dropped. 0: for ever.
	MaxAge time.Duration
	// Fresh drops what was published before the connection began, queued, under way or retained, except on
	// the topics of Clear: a robot that is back makes no move that was asked for before, and none twice.
	Fresh bool
	// Clear are topics whose messages drop everything that waits before them, as "cleared": behind a stop
	// nothing is done any more that was asked for before.
	Clear []string
	// Nested is for a client that waits for a PUBACK of its own and answers what comes meanwhile. A
	// retained message of QoS 1 is one that it sends on its own account, any other is an answer. The
	// former's PUBACK is held back while a message is under way to it: the client handles that one first,
	// and its answer's PUBACK must be the next that it sees.
	Nested bool
	// Settle is how long the client has to be quiet after its CONNECT, or until it has subscribed to all
	// of Attach by itself, before deliveries begin.
	Settle time.Duration
	// Attach are subscriptions that the session gets at CONNECT if it lacks them, as far as the policy
	// allows, without retained messages.
	Attach []wire.Filter
	// Link is the time within which a dead link is noticed if the keep alive does not end the
	// connection; 0: the keep alive does.
	Link time.Duration
	// Rewrite gives the payload in the form that the client reads; nil: as it came. The result may be a part
	// of payload and must not change. It is called for each delivery, on any goroutine and with locks held.
	Rewrite func(topic string, payload []byte) []byte
	// HoldRefusal is how long the answer to a CONNECT that is refused takes.
	HoldRefusal time.Duration
}

// Adviser is a Hook that sets terms. Of several the first that has some counts.
type Adviser interface {
	Hook
	// Terms are those of a client; nil: none. Nothing of p but what its CONNECT claims is known yet.
	Terms(p *Peer) *Terms
}

// Binder is a Hook that publishes messages of the server. New calls Bind when everything is loaded,
// before anybody can connect.
type Binder interface {
	Hook
	Bind(e *Engine)
}

// Companion is an Inspector that is told of the life of its connection, on any goroutine and without
// locks. Ended is told of every connection that had the session, also of one that ended before Began, and
// if a later connection of the client has taken over, then perhaps during Began.
type Companion interface {
	Inspector
	Began(c *Line)
	Ended(reason string)
}

// Line is a connection as a Companion has it.
type Line struct{ l *link }

// LastPacket is when the client was last heard of.
func (c *Line) LastPacket() time.Time { return c.l.conn.Counters().LastPacket }

// MayPublish reports whether the policy lets the client publish to the topic by itself.
func (c *Line) MayPublish(topic string) bool { return c.l.e.policy.MayPublish(c.l.peer, topic) }

// Watched reports whether the system watches the link in place of the keep alive, see Terms.Link.
func (c *Line) Watched() bool { return c.l.paced.watched }

// Send sends a message of the server to this client alone, behind what waits for it. It is never kept
// on disk. It reports whether the session took it.
func (c *Line) Send(topic string, payload []byte) bool {
	l := c.l
	if l.s.link.Load() != l {
		return false
	}
	p := publication{
		topic: topic, payload: payload, qos: 1, stored: l.e.now().UnixMilli(), transient: true,
	}
	co := courier{e: l.e}
	var r result
	l.s.take(&co, &p, &target{session: l.s, qos: 1}, nil, 1, waiting, false, &r)
	co.flush()
	return r.taken > 0
}

func (e *Engine) termsOf(p *Peer) *Terms {
	for _, h := range e.hooks {
		if a, ok := h.(Adviser); ok {
			if t := a.Terms(p); t != nil {
				return t
			}
		}
	}
	return nil
}

// maxHeldRefusals bounds the connections that wait for their refusal at once; more are refused without.
const maxHeldRefusals = 64

// holdRefusal lets a client that tries again without a pause wait for its answer.
func (e *Engine) holdRefusal(ctx context.Context, t *Terms) {
	if t == nil || t.HoldRefusal <= 0 {
		return
	}
	defer e.holding.Add(-1)
	if e.holding.Add(1) > maxHeldRefusals {
		return
	}
	timer := time.NewTimer(t.HoldRefusal)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// pacing is the state of a link with terms. The session's lock guards it, but for awaited.
type pacing struct {
	full    int  // the window once deliveries have begun
	watched bool // the link is watched in place of the keep alive; set before the CONNACK
	settle  *time.Timer
	behind  []heldAck           // acknowledgements that follow the delivery under way
	awaited map[string]struct{} // filters that the client is expected to subscribe to; of the reader
}

type heldAck struct {
	id   uint16
	code wire.Code
}

// pace applies the terms to a new link.
func (l *link) pace() {
	t := l.terms
	if t == nil {
		return
	}
	if t.Window > 0 {
		l.window = min(l.window, t.Window)
	}
	l.paced.full = l.window
	if t.Settle > 0 {
		l.window = 0
	}
}

// rewrites reports whether payloads are not sent to this client as they came.
func (l *link) rewrites() bool { return l.terms != nil && l.terms.Rewrite != nil }

// rewrite gives o the payload that the client reads.
func (l *link) rewrite(o *wire.OutPublish) {
	if l.rewrites() {
		o.Payload = l.terms.Rewrite(o.Topic, o.Payload)
	}
}

// keepAlive is the keep alive that ends the connection, in seconds.
func (l *link) keepAlive(agreed uint16) uint16 {
	if t := l.terms; t != nil && t.Link > 0 && l.conn.WatchLink(t.Link) {
		l.paced.watched = true
		return 0
	}
	return agreed
}

// maxQoS is the highest QoS that a subscription gets.
func (l *link) maxQoS() byte {
	if t := l.terms; t != nil && t.Window > 0 {
		return min(1, l.e.lim.MaxQoS)
	}
	return l.e.lim.MaxQoS
}

// queues reports whether a message of QoS 0 goes through the queue to a subscription with this QoS.
func (l *link) queues(subscribed byte) bool {
	return l.terms != nil && l.terms.Window > 0 && subscribed > 0
}

// replayQoS is the QoS of a retained message. s.mu is held.
func (l *link) replayQoS(m *message, sub *subscription) byte {
	if l.queues(sub.qos) {
		return 1
	}
	return min(m.qos, sub.qos)
}

// queueMessages is how many messages may wait. It may be called on nil.
func (l *link) queueMessages(limit int) int {
	if l == nil || l.terms == nil || l.terms.Queue == 0 {
		return limit
	}
	return min(limit, l.terms.Queue)
}

// clear drops what waits if a message on this topic does that. s.mu is held; l may be nil.
func (l *link) clear(topic string) {
	if l == nil || l.terms == nil || !slices.Contains(l.terms.Clear, topic) {
		return
	}
	q := &l.s.q
	for i := q.n - 1; i >= q.sent; i-- { // from the back: the front of the queue moves
		if st := q.at(i).state; st == waiting || st == held {
			l.s.drop(i, "cleared")
		}
	}
}

// tooOld reports whether a message has waited for too long. m may be nil.
func (l *link) tooOld(m *message) bool {
	if l.terms == nil || m == nil {
		return false
	}
	age := l.terms.MaxAge
	return l.ofBefore(m) || age > 0 && m.stored < l.e.now().Add(-age).UnixMilli()
}

// ofBefore reports whether a message is older than the connection, and for that not sent.
func (l *link) ofBefore(m *message) bool {
	t := l.terms
	return t != nil && t.Fresh && m.stored < l.peer.Since.UnixMilli() && !slices.Contains(t.Clear, m.topic)
}

// stamp gives a message of QoS 0 the time at which it begins to wait.
func (p *publication) stamp(now func() time.Time) {
	if p.stored != 0 {
		return
	}
	p.stored = now().UnixMilli()
	if p.kept != nil { // others hold it already
		m := *p.kept
		m.stored = p.stored
		p.kept = &m
	}
}

// attach gives the session the subscriptions that it lacks.
func (l *link) attach() {
	t := l.terms
	if t == nil {
		return
	}
	l.paced.awaited = make(map[string]struct{}, len(t.Attach))
	for _, f := range t.Attach {
		l.s.mu.Lock()
		have := l.s.subs[f.Name]
		l.s.mu.Unlock()
		if have == nil {
			f.RetainHandling = 2
			if code := l.subscribe(&f, 0); code >= wire.UnspecifiedError {
				l.e.event(Event{Kind: "subscribe_refused", Client: l.s.id, User: l.peer.User, Topic: f.Name, Reason: code.String(), Code: code})
			}
		}
		l.paced.awaited[f.Name] = struct{}{}
	}
	if t.Settle > 0 {
		l.s.mu.Lock()
		defer l.s.mu.Unlock()
		if !l.ended.Load() {
			l.paced.settle = time.AfterFunc(t.Settle, l.settled)
		}
	}
}

// settled begins deliveries when the client has been quiet for long enough.
func (l *link) settled() {
	l.s.mu.Lock()
	if left := l.terms.Settle - time.Since(l.conn.Counters().LastPacket); left > 0 && l.paced.settle != nil {
		l.paced.settle.Reset(left)
	} else {
		l.open()
	}
	l.s.mu.Unlock()
	l.conn.Flush()
}

// open begins deliveries, if they have not begun. s.mu is held; the caller flushes the connection.
func (l *link) open() {
	if l.paced.settle == nil {
		return
	}
	l.paced.stop()
	l.window = l.paced.full
	if l.s.link.Load() == l {
		l.s.pump(l)
	}
}

// subscribed begins deliveries when a SUBACK was the last that the client waited for.
func (l *link) subscribed() {
	if l.terms == nil || len(l.paced.awaited) > 0 {
		return
	}
	l.s.mu.Lock()
	l.open()
	l.s.mu.Unlock()
	l.courier.touch(l.conn)
}

// stop ends the wait for deliveries. s.mu is held.
func (p *pacing) stop() {
	if p.settle != nil {
		p.settle.Stop()
		p.settle = nil
	}
}

// own reports whether a message is one that the client waits for on its own account.
func (l *link) own(p *publication) bool {
	return l.terms != nil && l.terms.Nested && p.retain && p.qos == 1
}

// ackOwn acknowledges such a message.
func (l *link) ackOwn(id uint16, code wire.Code, stored bool) {
	if stored || l.stored.Load() > 0 {
		l.stored.Add(1)
		l.submitAck(&storedAck{l: l, typ: wire.TypePuback, id: id, code: code, own: true})
		return
	}
	l.done(wire.TypePuback, code)
	l.appendAck(wire.TypePuback, id, code, true)
	l.courier.touch(l.conn)
}

// appendAck puts an acknowledgement into the buffer. With own it waits for the delivery under way:
// whatever is under way now will be handled by the client before it looks for this.
func (l *link) appendAck(typ byte, id uint16, code wire.Code, own bool) {
	if own {
		l.s.mu.Lock()
		defer l.s.mu.Unlock()
		if l.s.link.Load() == l && l.s.q.inflight > 0 {
			l.paced.behind = append(l.paced.behind, heldAck{id, code})
			return
		}
	}
	l.conn.AppendAck(typ, id, code)
}

// ackBehind sends what waited for the delivery that has just ended. s.mu is held.
func (l *link) ackBehind() {
	if len(l.paced.behind) == 0 || l.s.q.inflight > 0 {
		return
	}
	for _, a := range l.paced.behind {
		l.conn.AppendAck(wire.TypePuback, a.id, a.code)
	}
	l.paced.behind = l.paced.behind[:0]
	l.courier.touch(l.conn)
}

// tellBegan tells the companions that deliveries have begun.
func (l *link) tellBegan() {
	for _, in := range l.inspectors {
		if c, ok := in.(Companion); ok {
			c.Began(&Line{l})
		}
	}
}

// tellEnded tells the companions that the connection has ended.
func (l *link) tellEnded() {
	for _, in := range l.inspectors {
		if c, ok := in.(Companion); ok {
			c.Ended(l.conn.Reason())
		}
	}
}
