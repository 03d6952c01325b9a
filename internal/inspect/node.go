package inspect

import (
	"slices"
	"strings"
	"time"
)

// window is for how many seconds a node remembers how many messages came.
const window = 60

// Node is a level of the topic tree. It may be a topic, a branch, or both.
type Node struct {
	Name   string // of the level, as it came
	Path   string // the whole topic up to here
	Parent *Node  // nil: the root
	Depth  int    // 0 is the root

	Count  uint64 // messages on the topic itself
	Bytes  uint64 // of their payloads
	Below  uint64 // messages here and below
	Topics int    // topics here and below

	Retained      bool // the topic has a retained message, as far as is known
	RetainedSince time.Time
	RetainedEarly bool // it was there when it was first seen; RetainedSince is the latest it can be

	Violations uint64 // messages on the topic that break the contract

	kids    []*Node // by name
	history []*Entry
	rate    rate
}

// Kids are the levels below, by name. The slice must not be changed.
func (n *Node) Kids() []*Node { return n.kids }

// History is what is kept of the topic's messages, oldest first. The slice must not be changed, and
// holds until the next message.
func (n *Node) History() []*Entry { return n.history }

// Last is the newest message of the topic itself, or nil.
func (n *Node) Last() *Entry {
	if len(n.history) == 0 {
		return nil
	}
	return n.history[len(n.history)-1]
}

// IsTopic reports whether messages came on the node itself.
func (n *Node) IsTopic() bool { return n.Count > 0 }

// count notes a message on the node, here and above.
func (n *Node) count(msg *Message) {
	n.Count++
	n.Bytes += uint64(len(msg.Payload))
	fresh, sec := n.Count == 1, msg.At.Unix()
	for p := n; p != nil; p = p.Parent {
		p.Below++
		p.rate.add(sec)
		if fresh {
			p.Topics++
		}
	}
	n.retain(msg)
}

// kid finds the level of that name below, or where it belongs.
func (n *Node) kid(name string) (int, bool) {
	return slices.BinarySearchFunc(n.kids, name, func(k *Node, name string) int { return strings.Compare(k.Name, name) })
}

// retained counts the topics here and below that have a retained message.
func (n *Node) retained(f func(*Node)) {
	if n.Retained {
		f(n)
	}
	for _, k := range n.kids {
		k.retained(f)
	}
}

// Retaining are the topics here and below that have a retained message, as far as is known, in order.
func (n *Node) Retaining() []*Node {
	var all []*Node
	n.retained(func(k *Node) { all = append(all, k) })
	return all
}

// rate counts messages per second over the last window seconds.
type rate struct {
	first, last int64 // Unix seconds; 0: nothing came
	sec         [window]uint32
}

func (r *rate) add(sec int64) {
	r.advance(sec)
	if r.first == 0 {
		r.first = sec
	}
	r.sec[r.last%window]++
}

// advance clears the seconds in which nothing came. Time that runs backwards counts as now.
func (r *rate) advance(sec int64) {
	if r.last == 0 || sec-r.last >= window {
		r.sec = [window]uint32{}
		r.last = max(sec, r.last)
		return
	}
	for r.last < sec {
		r.last++
		r.sec[r.last%window] = 0
	}
}

// at is how many came in the second that is ago before the present one.
func (r *rate) at(ago int64) uint32 { return r.sec[(r.last-ago)%window] }

// over are messages per second over the last n whole seconds, or as many as there have been.
func (r *rate) over(sec int64, n int64) float64 {
	if r.last == 0 {
		return 0
	}
	r.advance(sec)
	n = min(n, r.last-r.first)
	if n <= 0 { // the first second is not over
		return float64(r.at(0))
	}
	sum := uint64(0)
	for i := int64(1); i <= n; i++ {
		sum += uint64(r.at(i))
	}
	return float64(sum) / float64(n)
}

// rateOver is over how many seconds a rate is taken; rates below one a second over longer.
const (
	rateOver = 5
	slowOver = window - 1
)

// Rate is how many messages a second come here and below: over the last five seconds, or the last
// minute where that is few.
func (n *Node) Rate(now time.Time) float64 {
	if r := n.rate.over(now.Unix(), rateOver); r >= 1 {
		return r
	}
	return n.rate.over(now.Unix(), slowOver)
}

// Spark are the messages here and below in each of the last n seconds, at most a minute, oldest
// first; the present second, which is not over, is not among them.
func (n *Node) Spark(now time.Time, last int) []uint32 {
	last = min(last, window-1)
	out := make([]uint32, last)
	if n.rate.last == 0 {
		return out
	}
	n.rate.advance(now.Unix())
	for i := range out {
		out[i] = n.rate.at(int64(last - i))
	}
	return out
}
