package inspect

import (
	"fmt"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/contract"
)

// Model is what is known of a broker. It is for one goroutine at a time.
type Model struct {
	Root *Node

	lim    Limits
	topics map[string]*Node
	nodes  int
	names  int // bytes
	seq    uint64
	store  store

	total, totalBytes uint64
	began             time.Time
	paused            bool
	unkept            uint64 // counted while paused

	beyond   uint64 // messages on topics that found no place in the tree
	cut      uint64 // payloads cut
	checkSec int64
	checked  int
	skipped  uint64 // messages that were not checked

	turns      []*Turn  // oldest first
	orphan     *Message // began an exchange, without an id
	violations ring[Violation]
	drops      ring[Drop]
	broken     uint64 // violations, all
	clients    clients
	health     health
	version    uint64
}

// New makes an empty model.
func New(l Limits) *Model {
	return &Model{
		Root: &Node{}, lim: l, topics: map[string]*Node{},
		violations: ring[Violation]{max: l.Problems}, drops: ring[Drop]{max: l.Problems},
		clients: clients{max: l.Clients, byID: map[string]*Client{}}, health: health{max: l.Peers, by: map[string]*Peer{}},
	}
}

// Version changes with everything that the model is told.
func (m *Model) Version() uint64 { return m.version }

// Add takes one message in.
func (m *Model) Add(msg Message) {
	m.version++
	m.total++
	m.totalBytes += uint64(len(msg.Payload))
	if m.began.IsZero() {
		m.began = msg.At
	}
	n := m.node(msg.Topic)
	if n == nil {
		m.beyond++
		m.Root.Below++
		m.Root.rate.add(msg.At.Unix())
	} else {
		n.count(&msg)
	}
	if m.paused {
		m.unkept++
		return
	}
	if n != nil {
		m.keep(n, &msg)
	}
	if strings.HasPrefix(msg.Topic, "$SYS/") {
		m.system(&msg)
		return
	}
	m.check(n, &msg)
	m.pulse(&msg)
	m.hear(&msg)
}

// node finds the place of a topic, or makes it. It is nil where there is no room.
func (m *Model) node(topic string) *Node {
	if n := m.topics[topic]; n != nil {
		return n
	}
	at, rest, start := m.Root, topic, 0
	for {
		name, more, deeper := strings.Cut(rest, "/")
		if at.Depth == m.lim.Depth-1 {
			name, deeper = rest, false
		}
		i, ok := at.kid(name)
		if !ok {
			if m.nodes >= m.lim.Nodes || m.names+len(topic) > m.lim.NameBytes {
				return nil
			}
			k := &Node{Name: name, Path: topic[:start+len(name)], Parent: at, Depth: at.Depth + 1}
			at.kids = append(at.kids, nil)
			copy(at.kids[i+1:], at.kids[i:])
			at.kids[i] = k
			m.nodes++
		}
		at = at.kids[i]
		if !deeper {
			break
		}
		start += len(name) + 1
		rest = more
	}
	m.topics[topic] = at
	m.names += len(topic)
	return at
}

// Topic finds a topic that has had a message, or nil.
func (m *Model) Topic(topic string) *Node {
	if n := m.topics[topic]; n != nil && n.Count > 0 {
		return n
	}
	return nil
}

// check judges a message by the contract, as many a second as the limit says. n is nil beyond the tree.
func (m *Model) check(n *Node, msg *Message) {
	if len(msg.Payload) == 0 && msg.Retain { // it clears
		return
	}
	if sec := msg.At.Unix(); sec != m.checkSec {
		m.checkSec, m.checked = sec, 0
	}
	if _, ok := contract.Lookup(msg.Topic); !ok {
		return
	}
	if m.checked++; m.checked > m.lim.ChecksASec {
		m.skipped++
		return
	}
	if err := contract.Validate(msg.Topic, msg.Payload); err != nil {
		if n != nil {
			n.Violations++
		}
		m.broken++
		m.violations.add(Violation{At: msg.At, Topic: clip(msg.Topic), Problem: clip(err.Error()), From: source(msg)})
	}
}

// Pause stops the keeping of values; counts and rates go on. Not paused goes on with everything.
func (m *Model) Pause(on bool) {
	m.version++
	m.paused = on
	if !on {
		m.unkept = 0
	}
}

// Paused reports whether values are kept, and how many messages were only counted.
func (m *Model) Paused() (bool, uint64) { return m.paused, m.unkept }

// Totals are the messages and the bytes of payloads so far.
func (m *Model) Totals() (messages, bytes uint64) { return m.total, m.totalBytes }

// Rate is how many messages a second come on all topics, those of the server too.
func (m *Model) Rate(now time.Time) float64 { return m.Root.Rate(now) }

// Hit are the limits that left something out, a line each.
func (m *Model) Hit() []string {
	var out []string
	say := func(n uint64, format string, a ...any) {
		if n > 0 {
			out = append(out, fmt.Sprintf(format, a...))
		}
	}
	say(m.beyond, "%d messages on topics beyond the %d levels that are kept", m.beyond, m.lim.Nodes)
	say(m.store.shed, "%d old values given up to stay below %d MiB", m.store.shed, m.lim.Bytes>>20)
	say(m.cut, "%d values cut at %d KiB", m.cut, m.lim.Payload>>10)
	say(m.skipped, "%d messages not checked against the contract: more than %d a second", m.skipped, m.lim.ChecksASec)
	say(m.clients.lost, "%d clients beyond %d", m.clients.lost, m.clients.max)
	say(m.health.lost, "%d names with a health beyond %d", m.health.lost, m.health.max)
	return out
}

// Broker is what the broker says it is, or "".
func (m *Model) Broker() string {
	if n := m.Topic("$SYS/broker/version"); n != nil && n.Last() != nil {
		return clip(string(n.Last().Payload))
	}
	return ""
}

// IsTarsd reports whether the broker says that it is tarsd.
func (m *Model) IsTarsd() bool { return strings.HasPrefix(m.Broker(), "tarsd ") }

// maxText bounds what is kept of other people's texts, in bytes.
const maxText = 512

// clip cuts a text without cutting a letter.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// ring keeps the newest of many.
type ring[T any] struct {
	max  int
	list []T
	n    uint64 // all that came
}

func (r *ring[T]) add(v T) {
	r.n++
	if len(r.list) < r.max {
		r.list = append(r.list, v)
		return
	}
	copy(r.list, r.list[1:])
	r.list[len(r.list)-1] = v
}
