package delivery

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/internal/wire"
)

// counters are the engine's totals, and the drops by client and reason.
type counters struct {
	e         *Engine
	started   time.Time
	connects  atomic.Uint64
	refused   atomic.Uint64
	pubIn     atomic.Uint64
	payloadIn atomic.Uint64 // bytes
	most      atomic.Int64  // clients connected at once
	online    atomic.Int64

	mu      sync.Mutex
	past    broker.Counters // sums over connections that have ended
	dropped map[string]uint64
	clients map[string]map[string]uint64
	total   uint64
	folded  map[foldKey]*Event // events of this second
	timer   *time.Timer
	stopped bool
}

// foldKey is what events have to share to be one event with a count.
type foldKey struct{ kind, client, reason string }

// Bounds of what hostile clients could make grow.
const (
	maxDropClients = 10_000
	maxFolded      = 1000
	foldFor        = time.Second
)

func (c *counters) init(e *Engine) {
	c.e, c.started = e, e.now()
	c.dropped, c.clients, c.folded = map[string]uint64{}, map[string]map[string]uint64{}, map[foldKey]*Event{}
}

// connected counts a client that has its CONNACK.
func (c *counters) connected() {
	c.connects.Add(1)
	n := c.online.Add(1)
	for {
		have := c.most.Load()
		if n <= have || c.most.CompareAndSwap(have, n) {
			return
		}
	}
}

// drop counts one message that a client does not get, or that was not taken from it.
func (c *counters) drop(client, topic, reason string) {
	c.count(Event{Kind: "drop", Client: client, Topic: topic, Reason: reason, Count: 1})
}

// drops counts n of them.
func (c *counters) drops(client, topic, reason string, n int) {
	c.count(Event{Kind: "drop", Client: client, Topic: topic, Reason: reason, Count: n})
}

// refuse counts a message that was not taken from its publisher.
func (c *counters) refuse(p *Peer, topic, reason string, code wire.Code) {
	c.count(Event{Kind: "publish_refused", Client: p.ID, User: p.User, Remote: p.Remote, Topic: topic, Reason: reason, Code: code, Count: 1})
}

func (c *counters) count(ev Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total += uint64(ev.Count)
	c.dropped[ev.Reason] += uint64(ev.Count)
	of := c.clients[ev.Client]
	if of == nil && len(c.clients) < maxDropClients {
		of = map[string]uint64{}
		c.clients[ev.Client] = of
	}
	if of != nil {
		of[ev.Reason] += uint64(ev.Count)
	}
	if c.e.events == nil || c.stopped {
		return
	}
	key := foldKey{ev.Kind, ev.Client, ev.Reason}
	if have := c.folded[key]; have != nil {
		have.Count += ev.Count
		return
	}
	if len(c.folded) >= maxFolded {
		key = foldKey{ev.Kind, "", ev.Reason}
		ev.Client, ev.User, ev.Remote, ev.Topic = "", "", "", ""
		if have := c.folded[key]; have != nil {
			have.Count += ev.Count
			return
		}
	}
	ev.Time = c.e.now()
	c.folded[key] = &ev
	if len(c.folded) == 1 {
		c.timer = time.AfterFunc(foldFor, c.tell)
	}
}

// tell passes on the folded events.
func (c *counters) tell() {
	c.mu.Lock()
	events := make([]*Event, 0, len(c.folded))
	for _, ev := range c.folded {
		events = append(events, ev)
	}
	clear(c.folded)
	c.mu.Unlock()
	for _, ev := range events {
		c.e.events(*ev)
	}
}

func (c *counters) stop() {
	c.mu.Lock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	if c.e.events != nil {
		c.tell()
	}
}

// closed adds the totals of a connection that has ended.
func (c *counters) closed(n broker.Counters) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.past.PacketsIn += n.PacketsIn
	c.past.PacketsOut += n.PacketsOut
	c.past.PublishOut += n.PublishOut
	c.past.BytesIn += n.BytesIn
	c.past.BytesOut += n.BytesOut
	c.past.PayloadOut += n.PayloadOut
}

// event passes one event of the audit stream on.
func (e *Engine) event(ev Event) {
	if e.events == nil {
		return
	}
	if ev.Time.IsZero() {
		ev.Time = e.now()
	}
	e.events(ev)
}

// all returns the sessions as of now.
func (e *Engine) all() []*session {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]*session, 0, len(e.sessions))
	for _, s := range e.sessions {
		if !s.orphan {
			list = append(list, s)
		}
	}
	return list
}

// Stats are the totals and gauges of the engine.
func (e *Engine) Stats() Stats {
	st := Stats{Started: e.counts.started, ClientsMaximum: int(e.counts.most.Load()), QueuedBytes: e.queued.Load()}
	for _, s := range e.all() {
		st.ClientsTotal++
		if l := s.link.Load(); l != nil {
			st.ClientsConnected++
			n := l.conn.Counters()
			st.MessagesReceived += n.PacketsIn
			st.MessagesSent += n.PacketsOut
			st.PublishSent += n.PublishOut
			st.BytesReceived += n.BytesIn
			st.BytesSent += n.BytesOut
		}
		s.mu.Lock()
		st.Queued += s.q.live
		st.Inflight += s.q.inflight
		s.mu.Unlock()
	}
	st.Subscriptions, st.SharedSubscriptions = e.trie.counts()
	st.Retained, st.RetainedBytes = e.ret.totals()
	st.PublishReceived = e.counts.pubIn.Load()
	st.Connects, st.Refused = e.counts.connects.Load(), e.counts.refused.Load()
	c := &e.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	st.MessagesReceived += c.past.PacketsIn
	st.MessagesSent += c.past.PacketsOut
	st.PublishSent += c.past.PublishOut
	st.BytesReceived += c.past.BytesIn
	st.BytesSent += c.past.BytesOut
	st.PublishDropped = c.total
	st.Dropped = maps.Clone(c.dropped)
	return st
}

// PublishBytes are the bytes of all payloads received and sent.
func (e *Engine) PublishBytes() (in, out uint64) {
	for _, s := range e.all() {
		if l := s.link.Load(); l != nil {
			out += l.conn.Counters().PayloadOut
		}
	}
	e.counts.mu.Lock()
	defer e.counts.mu.Unlock()
	return e.counts.payloadIn.Load(), out + e.counts.past.PayloadOut
}

// Clients describes all sessions, connected or not.
func (e *Engine) Clients() []ClientInfo {
	sessions := e.all()
	list := make([]ClientInfo, 0, len(sessions))
	for _, s := range sessions {
		list = append(list, s.info())
	}
	return list
}

func (s *session) info() ClientInfo {
	in := ClientInfo{Peer: *s.lastPeer()}
	if l := s.link.Load(); l != nil {
		n := l.conn.Counters()
		in.Connected, in.Since = true, l.peer.Since
		in.PublishReceived, in.PublishSent = l.pubIn.Load(), n.PublishOut
		in.BytesReceived, in.BytesSent = n.BytesIn, n.BytesOut
		in.BufferedBytes, in.LastPacket = int64(n.Pending), n.LastPacket
	}
	s.mu.Lock()
	if !in.Connected {
		in.Since = s.lost
	}
	in.SessionExpiry = s.expiry
	for name := range s.subs {
		in.Subscriptions = append(in.Subscriptions, name)
	}
	in.Queued, in.Inflight, in.QueuedBytes = s.q.live, s.q.inflight, s.q.bytes
	s.mu.Unlock()
	s.e.counts.mu.Lock()
	in.Dropped = maps.Clone(s.e.counts.clients[s.id])
	s.e.counts.mu.Unlock()
	return in
}
