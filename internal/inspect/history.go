package inspect

import (
	"bytes"
	"slices"
)

// Entry is a message that is kept. It does not change, but that its payload may be given up.
type Entry struct {
	Message        // Payload may be cut, see Size
	Size    int    // bytes of the payload as it came
	Seq     uint64 // of arrival, over all topics
	Shed    bool   // the payload was given up to stay within the limit

	cost       int
	node       *Node
	prev, next *Entry
	in         bool
}

// Cut reports whether the end of the payload is missing.
func (e *Entry) Cut() bool { return !e.Shed && len(e.Payload) < e.Size }

// entryCost is about what an entry takes besides its bytes.
const entryCost = 256

func costOf(m *Message, payload []byte) int {
	n := entryCost + len(payload)
	for _, p := range m.Props {
		n += len(p.Key) + len(p.Value) + 32
	}
	return n
}

// store is everything that is kept, oldest first, and what it costs.
type store struct {
	first, last *Entry
	bytes       int
	shed        uint64 // payloads given up
}

func (s *store) push(e *Entry) {
	e.in, e.prev = true, s.last
	if s.last != nil {
		s.last.next = e
	} else {
		s.first = e
	}
	s.last = e
	s.bytes += e.cost
}

func (s *store) remove(e *Entry) {
	if !e.in {
		return
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		s.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		s.last = e.prev
	}
	s.bytes -= e.cost
	e.in, e.prev, e.next = false, nil, nil
}

// trim gives up the oldest entries until what is kept costs at most limit. The newest of a topic stays
// in its history without its payload, so that people see that and when something came.
func (s *store) trim(limit int) {
	for s.bytes > limit && s.first != nil {
		e := s.first
		s.remove(e)
		e.Payload, e.Props, e.Shed = nil, nil, true
		s.shed++
		if e != e.node.Last() {
			e.node.history = slices.DeleteFunc(e.node.history, func(x *Entry) bool { return x == e })
		}
	}
}

// keep puts a message into the history of its node. What it keeps is its own: the payload as it came is
// a part of a packet that may be far larger, and would hold all of it.
func (m *Model) keep(n *Node, msg *Message) *Entry {
	m.seq++
	e := &Entry{Message: *msg, Size: len(msg.Payload), Seq: m.seq, node: n}
	e.Topic = n.Path
	e.Payload = bytes.Clone(e.Payload[:min(len(e.Payload), m.lim.Payload)])
	if e.Cut() {
		m.cut++
	}
	if len(e.Props) > maxProps {
		e.Props = slices.Clone(e.Props[:maxProps])
	}
	e.cost = costOf(&e.Message, e.Payload)
	switch last := len(n.history) - 1; {
	case last >= 0 && n.history[last].Shed: // it stayed for want of a newer one
		n.history[last] = e
	case len(n.history) >= m.lim.History:
		m.store.remove(n.history[0])
		copy(n.history, n.history[1:])
		n.history[last] = e
	default:
		n.history = append(n.history, e)
	}
	m.store.push(e)
	m.store.trim(m.lim.Bytes)
	return e
}

// maxProps is how many user properties of a message are kept.
const maxProps = 32

// retain notes what a message says about the retained message of its topic.
func (n *Node) retain(msg *Message) {
	if !msg.Retain {
		return
	}
	n.RetainedEarly = n.Count == 1 // it may be a replay, which does not say how old it is
	n.Retained, n.RetainedSince = len(msg.Payload) > 0, msg.At
}
