package inspect

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/contract"
)

// Violation is a message that breaks the contract.
type Violation struct {
	At      time.Time
	Topic   string
	Problem string
	From    string // source of its envelope, or ""
}

// Drop is something that did not get through, as the audit stream tells.
type Drop struct {
	At                          time.Time
	Kind, Client, Topic, Reason string
	Count                       int
}

// Violations are the newest that broke the contract, and how many there were.
func (m *Model) Violations() ([]Violation, uint64) { return m.violations.list, m.broken }

// Drops are the newest drops and refusals, and how many were told.
func (m *Model) Drops() ([]Drop, uint64) { return m.drops.list, m.drops.n }

// Names of what a broker publishes of itself.
const (
	auditTopic   = "$SYS/tarsd/audit"
	droppedTopic = "$SYS/tarsd/dropped/"
	lostTopic    = "$SYS/broker/publish/messages/dropped" // Mosquitto's name
)

// Reason is a cause of drops and how many messages it cost since the broker started.
type Reason struct {
	Name string
	N    uint64
}

// Dropped is what the broker says it dropped since its start, and by reason where it says so.
func (m *Model) Dropped() (total uint64, reasons []Reason, known bool) {
	if n := m.Topic(lostTopic); n != nil {
		total, known = figure(n.Last())
	}
	if top := m.branch(strings.TrimSuffix(droppedTopic, "/")); top != nil {
		for _, k := range top.kids {
			if n, ok := figure(k.Last()); ok {
				reasons = append(reasons, Reason{k.Name, n})
			}
		}
	}
	slices.SortFunc(reasons, func(a, b Reason) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) })
	return total, reasons, known
}

func figure(e *Entry) (uint64, bool) {
	if e == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(string(e.Payload), 10, 64)
	return n, err == nil
}

// branch finds a node by its path, or nil.
func (m *Model) branch(path string) *Node {
	n := m.Root
	for name := range strings.SplitSeq(path, "/") {
		i, ok := n.kid(name)
		if !ok {
			return nil
		}
		n = n.kids[i]
	}
	return n
}

// source is who an envelope says it is from.
func source(msg *Message) string {
	e, _, _ := contract.Peek(msg.Payload)
	return clip(e.Source)
}

// event is an entry of the audit stream, see docs/observability.md.
type event struct {
	Time                                          time.Time `json:"ts"`
	Kind                                          string    `json:"event"`
	Client, User, Remote, Listener, Topic, Reason string
	Count                                         int
}

// system takes in what the broker says of itself. What it retains is read where it is shown.
func (m *Model) system(msg *Message) {
	if msg.Topic != auditTopic {
		return
	}
	var ev event
	if json.Unmarshal(msg.Payload, &ev) != nil { // a newer broker, or somebody else
		return
	}
	switch ev.Kind {
	case "drop", "publish_refused", "subscribe_refused", "refused", "audit_lost":
		m.drops.add(Drop{
			At: msg.At, Kind: ev.Kind, Client: clip(ev.Client), Topic: clip(ev.Topic), Reason: clip(ev.Reason), Count: max(ev.Count, 1),
		})
	}
	m.clients.audit(&ev, msg.At)
}

// Client is a session at the broker.
type Client struct {
	ID            string    `json:"id"`
	User          string    `json:"user,omitempty"`
	Remote        string    `json:"remote,omitempty"`
	Listener      string    `json:"listener,omitempty"`
	Version       byte      `json:"version,omitempty"` // 3, 4 or 5
	Connected     bool      `json:"connected"`
	Since         time.Time `json:"since"` // of the connection, or of its loss
	Subscriptions int       `json:"subscriptions"`
	Queued        int       `json:"queued"`
	Inflight      int       `json:"inflight"`
	QueuedBytes   int64     `json:"queued_bytes"`
	BufferedBytes int64     `json:"buffered_bytes"` // waiting for the socket
	Received      uint64    `json:"received"`       // PUBLISH packets from it
	Sent          uint64    `json:"sent"`
	Dropped       uint64    `json:"dropped"`
	LastPacket    time.Time `json:"last_packet,omitzero"`
}

// Clients is what the broker's admin socket tells of its sessions.
type Clients struct {
	Clients []Client `json:"clients"`
	More    int      `json:"more,omitempty"` // sessions that are not listed
}

// clients are those that are known: all of them from the admin socket, or those of the audit stream.
type clients struct {
	max  int
	byID map[string]*Client
	full bool // the list is the broker's
	lost uint64
	at   time.Time
}

// audit follows who comes and goes, where nobody gives the whole list.
func (c *clients) audit(ev *event, at time.Time) {
	if c.full || ev.Client == "" {
		return
	}
	switch ev.Kind {
	case "connect", "disconnect", "session_end", "drop":
	default:
		return
	}
	if ev.Kind == "session_end" {
		delete(c.byID, clip(ev.Client))
		return
	}
	x := c.byID[clip(ev.Client)]
	if x == nil {
		if len(c.byID) >= c.max && !c.forget() {
			c.lost++
			return
		}
		// Unless this is its end it is there, or its session is: until somebody says more.
		x = &Client{ID: clip(ev.Client), User: clip(ev.User), Remote: clip(ev.Remote), Listener: clip(ev.Listener), Connected: true}
		c.byID[x.ID] = x
	}
	switch ev.Kind {
	case "connect":
		x.Connected, x.Since, x.User, x.Remote, x.Listener = true, at, clip(ev.User), clip(ev.Remote), clip(ev.Listener)
	case "disconnect":
		x.Connected, x.Since = false, at
	case "drop":
		x.Dropped += uint64(max(ev.Count, 1)) //nolint:gosec // positive
	}
}

// forget makes room by who is gone for longest, and reports whether there is one: a session that ends
// with its connection is told of as a disconnect only.
func (c *clients) forget() bool {
	var oldest *Client
	for _, x := range c.byID {
		if !x.Connected && (oldest == nil || x.Since.Before(oldest.Since)) {
			oldest = x
		}
	}
	if oldest == nil {
		return false
	}
	delete(c.byID, oldest.ID)
	return true
}

// SetClients replaces the list of clients by the broker's own.
func (m *Model) SetClients(list Clients, at time.Time) {
	m.version++
	c := &m.clients
	c.full, c.at, c.lost = true, at, uint64(max(list.More, 0)) //nolint:gosec // not negative
	clear(c.byID)
	for i := range list.Clients {
		if len(c.byID) >= c.max {
			c.lost++
			continue
		}
		c.byID[list.Clients[i].ID] = &list.Clients[i]
	}
}

// Clients are the clients that are known, those with most trouble first: drops, then queue, then by
// name. full says whether they are all, with all their figures; else they are those that came, went
// or lost something since the model began.
func (m *Model) Clients() (list []*Client, full bool) {
	for _, c := range m.clients.byID {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Client) int {
		return cmp.Or(cmp.Compare(b.Dropped, a.Dropped), cmp.Compare(b.Queued, a.Queued), cmp.Compare(a.ID, b.ID))
	})
	return list, m.clients.full
}

// Peer is the health of a service or device.
type Peer struct {
	Name      string
	State     string
	Up        bool
	Required  bool
	Since     time.Time
	LastSeen  time.Time
	LatencyMS *float64
	Restarts  int
	Drops     uint64
	Err       string
}

// health is the verdict of the broker, or what is said on system/health and system/keepalive.
type health struct {
	max  int
	by   map[string]*Peer
	full bool
	lost uint64
}

// SetPeers replaces what is known of health by the broker's verdict.
func (m *Model) SetPeers(list []Peer) {
	m.version++
	h := &m.health
	h.full, h.lost = true, 0
	clear(h.by)
	for i := range list {
		if len(h.by) >= h.max {
			h.lost++
			continue
		}
		h.by[list[i].Name] = &list[i]
	}
}

// Peers is the health of all that are known, by name. full says whether it is the broker's verdict;
// else it is what was said last on system/health.
func (m *Model) Peers() (list []*Peer, full bool) {
	for _, p := range m.health.by {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *Peer) int { return strings.Compare(a.Name, b.Name) })
	return list, m.health.full
}

const (
	healthPrefix    = "system/health/"
	keepalivePrefix = "system/keepalive/"
)

// pulse takes in a message about health.
func (m *Model) pulse(msg *Message) {
	h := &m.health
	if h.full {
		return
	}
	if name, ok := strings.CutPrefix(msg.Topic, keepalivePrefix); ok {
		if p := h.by[strings.TrimPrefix(name, "tars-")]; p != nil && !msg.Retain {
			p.LastSeen = msg.At
		}
		return
	}
	name, ok := strings.CutPrefix(msg.Topic, healthPrefix)
	if !ok {
		return
	}
	if len(msg.Payload) == 0 {
		delete(h.by, name)
		return
	}
	d, err := contract.Health.Decode(msg.Payload)
	if err != nil {
		return
	}
	p := h.by[name]
	if p == nil {
		if len(h.by) >= h.max {
			h.lost++
			return
		}
		p = &Peer{Name: name}
		h.by[name] = p
	}
	p.Up, p.State, p.Err = d.Data.OK, clip(contract.Value(d.Data.Event)), clip(contract.Value(d.Data.Err))
	if p.Since = stamp(d.Data.Timestamp); p.Since.IsZero() {
		p.Since = msg.At
	}
	if !msg.Retain {
		p.LastSeen = msg.At
	}
}

// stamp is a time that a message carries, or zero if it cannot be one: devices count from their start.
func stamp(ts float64) time.Time {
	if ts < 1e9 || ts > 1e11 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ts * 1e3))
}
