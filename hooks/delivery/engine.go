package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/storage"
)

// QueuePolicy says what happens to a QoS 1 or 2 message for a session whose queue is full.
type QueuePolicy byte

// The queue policies.
const (
	QueueRefuse     QueuePolicy = iota // the new message is not taken; its publisher is told if nobody took it
	QueueDropOldest                    // the oldest message that was not sent goes
	QueueExpire                        // messages older than Limits.QueueAge go; if there are none, QueueRefuse
)

// Limits bound what sessions may hold. Start from DefaultLimits: a zero is a limit of zero.
type Limits struct {
	ReceiveMaximum    uint16 // QoS 1 and 2 messages that a client may have unacknowledged
	Inflight          uint16 // the same towards a client that allows more
	TopicAliasMaximum uint16 // inbound aliases; also the most that are used outbound
	PacketBytes       int    // what the CONNACK announces; broker.ConnLimits enforces it
	MaxQoS            byte
	Retain            bool // retained messages are allowed
	RetainedMessages  int
	RetainedBytes     int64
	KeepAlive         uint16 // seconds; the longest that a client gets, 0 = any
	QueueMessages     int    // of one session
	QueueBytes        int64  // of one session
	QueueTotalBytes   int64  // of all sessions
	QueuePolicy       QueuePolicy
	QueueAge          time.Duration
	Sessions          int           // connected or kept
	SessionExpiry     time.Duration // the longest; what 3.1.1 sessions get
	Subscriptions     int           // of one session
	TopicLevels       int
	TopicBytes        int
}

// DefaultLimits are what tarsd runs with when nothing is configured.
func DefaultLimits() Limits {
	return Limits{
		ReceiveMaximum:    1000,
		Inflight:          1000,
		TopicAliasMaximum: 100,
		PacketBytes:       2 << 20,
		MaxQoS:            2,
		Retain:            true,
		RetainedMessages:  200_000,
		RetainedBytes:     256 << 20,
		QueueMessages:     10_000,
		QueueBytes:        64 << 20,
		QueueTotalBytes:   256 << 20,
		QueueAge:          24 * time.Hour,
		Sessions:          20_000,
		SessionExpiry:     30 * 24 * time.Hour,
		Subscriptions:     1000,
		TopicLevels:       32,
		TopicBytes:        1024,
	}
}

// Options of New. Policy must be set.
type Options struct {
	Limits Limits
	Store  Store // nil: nothing outlives the process
	Policy Policy
	Hooks  []Hook
	Events func(Event) // the audit stream; must not block. May be nil
	Log    zerolog.Logger
	Now    func() time.Time // time.Now if nil
}

// Engine holds all sessions, subscriptions and retained messages of a broker. Its methods may
// be called from any goroutine.
type Engine struct {
	lim    Limits
	store  Store
	policy Policy
	hooks  []Hook
	log    zerolog.Logger
	now    func() time.Time
	events func(Event)

	trie trie
	ret  retained

	tapMu   sync.Mutex // changes of tapList
	tapList atomic.Pointer[[]*Tap]

	mu       sync.Mutex // sessions, their owner, closing
	sessions map[string]*session
	closing  bool

	queued   atomic.Int64 // bytes in all queues
	holding  atomic.Int32 // refusals that are held back
	notified *courier     // of the store's notifier goroutine
	checked  atomic.Int64 // Unix ms of the last look at the store's state
	degraded atomic.Bool
	counts   counters
}

// New makes an engine and loads what the store holds.
func New(o Options) (*Engine, error) {
	if o.Policy == nil {
		return nil, errors.New("delivery: no policy")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	e := &Engine{
		lim: o.Limits, store: o.Store, policy: o.Policy, hooks: o.Hooks, log: o.Log, now: o.Now, events: o.Events,
		sessions: map[string]*session{},
	}
	e.counts.init(e)
	e.notified = &courier{e: e}
	e.ret.now = o.Now
	e.ret.expired = func(m *message) { e.submit(delWeak(retainedRecord{m})) }
	if e.store != nil {
		if err := e.load(); err != nil {
			return nil, fmt.Errorf("load sessions: %w", err)
		}
		e.store.OnNotified(e.notified.flush)
	}
	for _, h := range e.hooks {
		if b, ok := h.(Binder); ok {
			b.Bind(e)
		}
	}
	return e, nil
}

// submit hands operations to the store that nobody waits for.
func (e *Engine) submit(ops ...storage.Op) {
	if e.store != nil {
		e.store.Submit(storage.Keep, nil, 0, ops...)
	}
}

// storeBad reports whether the store has stopped taking writes, such as on a full disk. It asks
// at most five times a second.
func (e *Engine) storeBad() bool {
	now := time.Now().UnixMilli()
	if at := e.checked.Load(); now-at >= 200 || now < at {
		e.checked.Store(now)
		st := e.store.State()
		if was := e.degraded.Swap(st.Degraded); was != st.Degraded {
			ev := Event{Kind: "storage", Reason: "takes writes again"}
			if st.Degraded {
				ev.Reason = st.Reason
			}
			e.event(ev)
		}
	}
	return e.degraded.Load()
}

// Publish delivers a message of the server itself. With retain it is kept in memory; messages
// under "$" are never written to disk.
func (e *Engine) Publish(topic string, payload []byte, qos byte, retain bool) {
	e.publishOwn(nil, topic, payload, qos, retain)
}

// publishOwn is Publish unseen by one tap.
func (e *Engine) publishOwn(own *Tap, topic string, payload []byte, qos byte, retain bool) {
	m := &message{topic: topic, payload: payload, qos: qos, retain: retain, stored: e.now().UnixMilli()}
	c := &courier{e: e, own: own}
	e.publishKept(c, m, nil)
	c.flush()
}

// publishKept publishes a message that is on the heap already and returns whether something of
// it went to the store.
func (e *Engine) publishKept(c *courier, m *message, from *session) (stored bool) {
	p := publication{
		topic: m.topic, payload: m.payload, props: m.props, from: m.from, qos: m.qos, retain: m.retain,
		expires: m.expires, stored: m.stored, kept: m,
	}
	if m.expires != 0 {
		secs, has, expired := m.left(e.now())
		if expired {
			return false
		}
		p.expiry, p.hasExpiry = secs, has
	}
	if m.retain {
		_, stored = e.retain(&p)
	}
	r := c.deliver(&p, e.trie.match(m.topic), from)
	return stored || r.stored
}

// retain stores or clears the retained message of p's topic. ok is false over the limits;
// stored tells that the store got it.
func (e *Engine) retain(p *publication) (ok, stored bool) {
	disk := e.store != nil && p.topic[0] != '$'
	if len(p.payload) == 0 { // [MQTT-3.3.1-6]
		e.ret.set(p.topic, nil, func(_ *retainedNode, old *message) {
			if disk && old != nil {
				op := del(retainedRecord{old})
				op.Weak = p.qos == 0
				e.submit(op)
				stored = true
			}
		})
		return true, stored
	}
	m := p.keep()
	if !e.ret.room(p.topic, m.size(), e.lim.RetainedMessages, e.lim.RetainedBytes) {
		return false, false
	}
	e.ret.set(p.topic, m, func(n *retainedNode, _ *message) {
		if disk {
			e.storeRetained(n, m)
			stored = true
		}
	})
	return true, stored
}

// storeRetained submits the record of a retained message. The index is locked.
func (e *Engine) storeRetained(n *retainedNode, m *message) {
	if m.qos > 0 {
		n.latest = nil // a later one of QoS 0 comes behind this in the file
		e.store.Submit(storage.Keep, nil, len(m.payload)+96, put(retainedRecord{m}))
		return
	}
	if n.latest == nil {
		n.latest = &latestRecord{topic: m.topic}
	}
	n.latest.m.Store(m)
	if !n.latest.pending.Swap(true) {
		e.store.Submit(storage.Keep, nil, len(m.payload)+96, putWeak(n.latest))
	}
}

// Kick disconnects the clients that match with code and reason, and returns how many. With
// wire.AdministrativeAction their sessions end too, also those that are not connected; with any
// other code they stay, and resuming them is up to the policy.
func (e *Engine) Kick(match func(*Peer) bool, code wire.Code, reason string) int {
	e.mu.Lock()
	var hit []*session
	for _, s := range e.sessions {
		if match(s.lastPeer()) {
			hit = append(hit, s)
		}
	}
	e.mu.Unlock()
	n := 0
	for _, s := range hit {
		e.mu.Lock()
		l := s.owner
		e.mu.Unlock()
		if code == wire.AdministrativeAction {
			s.mu.Lock()
			s.condemned = true
			s.mu.Unlock()
		}
		switch {
		case l != nil:
			l.conn.Disconnect(code, reason)
			n++
		case code == wire.AdministrativeAction:
			e.endIfUnowned(s, "session_kicked")
			n++
		}
	}
	return n
}

// Stopping lets no more sessions begin. From here on the end of a connection is not the end of
// its client: wills stay in the store and are published after a restart, unless their client is
// back by then.
func (e *Engine) Stopping() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closing = true
}

// Shutdown waits for the store. Connections must be closed by broker.Broker.Shutdown before.
func (e *Engine) Shutdown(ctx context.Context) error {
	e.mu.Lock()
	e.closing = true
	sessions := make([]*session, 0, len(e.sessions))
	for _, s := range e.sessions {
		sessions = append(sessions, s)
	}
	e.mu.Unlock()
	for _, s := range sessions {
		s.mu.Lock()
		s.stopTimers()
		s.mu.Unlock()
	}
	e.ret.stop()
	e.counts.stop()
	if e.store == nil {
		return nil
	}
	if err := e.store.Sync(ctx); err != nil {
		return fmt.Errorf("flush sessions: %w", err)
	}
	return nil
}
