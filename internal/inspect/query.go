package inspect

import (
	"bytes"
	"strings"

	"github.com/tarsd/tarsd/services/contract"
)

// Query chooses topics by their name and by their newest payload. It remembers what it found, so that
// asking again about a topic which has not changed costs nothing.
type Query struct {
	Text   string
	filter string // an MQTT topic filter
	word   string // lower case
	limit  int    // bytes of a payload that are looked at

	found map[*Node]verdict
}

// verdict is an answer for the newest message of a topic.
type verdict struct {
	seq uint64
	yes bool
}

// Query makes one of what somebody typed, or nil if that is blank. A text with + or # is a topic
// filter; any other is searched for, in small and capital letters, in topics and in payloads.
func (m *Model) Query(text string) *Query {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	q := &Query{Text: text, limit: m.lim.SearchBytes, found: map[*Node]verdict{}}
	if strings.ContainsAny(text, "+#") {
		q.filter = text
	} else {
		q.word = strings.ToLower(text)
	}
	return q
}

// Match reports whether the topic itself is chosen, not what is below. A nil query chooses all.
func (q *Query) Match(n *Node) bool {
	if q == nil {
		return true
	}
	if !n.IsTopic() {
		return false
	}
	if q.filter != "" {
		return contract.Match(q.filter, n.Path)
	}
	seq := uint64(0)
	if e := n.Last(); e != nil {
		seq = e.Seq
	}
	if v, ok := q.found[n]; ok && v.seq == seq {
		return v.yes
	}
	v := verdict{seq, q.matches(n)}
	q.found[n] = v
	return v.yes
}

func (q *Query) matches(n *Node) bool {
	if strings.Contains(strings.ToLower(n.Path), q.word) {
		return true
	}
	e := n.Last()
	if e == nil {
		return false
	}
	return bytes.Contains(bytes.ToLower(e.Payload[:min(len(e.Payload), q.limit)]), []byte(q.word))
}

// Row is a line of the tree.
type Row struct {
	Node *Node
	Open bool
	Hit  bool // the search chooses it
}

// Rows are the lines of the tree with the branches in open unfolded. With a filter only what it
// chooses is there, and what leads to it, unfolded; with a search, what leads to its hits is not
// unfolded by itself: Find does the jumping.
func (m *Model) Rows(open map[*Node]bool, filter, search *Query) []Row {
	var rows []Row
	var walk func(n *Node) bool
	walk = func(n *Node) bool {
		hit := filter.Match(n)
		place := len(rows)
		rows = append(rows, Row{Node: n, Open: open[n] || filter != nil, Hit: search != nil && search.Match(n)})
		below := false
		if filter != nil || open[n] {
			for _, k := range n.kids {
				below = walk(k) || below
			}
		}
		if filter != nil && !hit && !below {
			rows = rows[:place]
			return false
		}
		return true
	}
	m.top(func(k *Node) { walk(k) })
	return rows
}

// top walks the first levels, those of the broker itself last.
func (m *Model) top(f func(*Node)) {
	for _, own := range []bool{false, true} {
		for _, k := range m.Root.kids {
			if strings.HasPrefix(k.Name, "$") == own {
				f(k)
			}
		}
	}
}

// Find is the next topic after from that search chooses and filter does not hide, in the order of the
// tree, from the top again after the last one; nil if there is none. back goes the other way.
func (m *Model) Find(search, filter *Query, from *Node, back bool) *Node {
	var first, before, after, last *Node
	passed := from == nil
	var walk func(n *Node)
	walk = func(n *Node) {
		if n == from {
			passed = true
		} else if search.Match(n) && filter.Match(n) {
			if first == nil {
				first = n
			}
			last = n
			if !passed {
				before = n
			} else if after == nil {
				after = n
			}
		}
		for _, k := range n.kids {
			walk(k)
		}
	}
	m.top(walk)
	pick := func(a, b *Node) *Node {
		if a != nil {
			return a
		}
		if b != nil {
			return b
		}
		if from != nil && search.Match(from) {
			return from
		}
		return nil
	}
	if back {
		return pick(before, last)
	}
	return pick(after, first)
}
