package delivery

import (
	"container/heap"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// retainedNode is one level of the retained tree.
type retainedNode struct {
	name   string
	parent *retainedNode
	msg    atomic.Pointer[message]
	latest *latestRecord // of the messages of QoS 0; nil after any other
	kids   map[string]*retainedNode
	order  []*retainedNode // the kids in order of arrival; only appended to until compacted into a new slice
	dead   int             // removed kids that order still holds
	gone   bool
}

// retained is the index of retained messages, a tree by topic level. Cursors walk it while it
// changes: they hold slices of order, which are never changed in place.
type retained struct {
	mu      sync.RWMutex
	root    retainedNode
	count   int
	bytes   int64
	undone  map[*message]*message // messages that were taken back, and what they replaced
	buried  map[string]*message   // tombstones, by topic
	expiry  expiryHeap
	timer   *time.Timer
	now     func() time.Time
	expired func(m *message) // called with mu held for each message that has expired
}

// get returns the message of exactly this topic, or nil.
func (r *retained) get(topic string) *message {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if n := r.lookup(topic); n != nil {
		return n.msg.Load()
	}
	return nil
}

// lookup finds a node. mu is held.
func (r *retained) lookup(topic string) *retainedNode {
	n := &r.root
	for level := range strings.SplitSeq(topic, "/") {
		if n = n.kids[level]; n == nil {
			return nil
		}
	}
	return n
}

// room reports whether topic may get a message of that size within the limits.
func (r *retained) room(topic string, size int64, maxCount int, maxBytes int64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.count < maxCount && r.bytes+size <= maxBytes {
		return true
	}
	n := r.lookup(topic)
	if n == nil {
		return false
	}
	old := n.msg.Load()
	return old != nil && r.bytes-old.size()+size <= maxBytes
}

// set stores m, or removes the message of topic if m is nil. stored runs with the lock held, so
// that the order on disk is the order in memory; it gets the topic's node, nil if there was none
// to remove, and the message that was there.
func (r *retained) set(topic string, m *message, stored func(n *retainedNode, old *message)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, old := r.replace(topic, m)
	if stored != nil {
		stored(n, old)
	}
}

// replace is set with mu held.
func (r *retained) replace(topic string, m *message) (n *retainedNode, old *message) {
	if m == nil {
		if n = r.lookup(topic); n != nil {
			if old = n.msg.Swap(nil); old != nil {
				r.count--
				r.bytes -= old.size()
				r.prune(n)
			}
			n.latest = nil
		}
		return n, old
	}
	n = r.insert(m.topic)
	if old = n.msg.Swap(m); old == nil {
		r.count++
		if old = r.buried[topic]; old != nil {
			delete(r.buried, topic)
		}
	} else {
		r.bytes -= old.size()
	}
	r.bytes += m.size()
	if m.expires != 0 {
		r.schedule(m)
	}
	return n, old
}

// A tombstone stands for the removal of a retained message that is not committed yet. No
// retained message is empty, so that is how it is told from one.
func tombstone(m *message) bool { return m != nil && len(m.payload) == 0 }

// bury notes a tombstone: what is set next replaces it. mu is held.
func (r *retained) bury(m *message) {
	if r.buried == nil {
		r.buried = map[string]*message{}
	}
	r.buried[m.topic] = m
}

// restore takes m back, which replaced old: the disk did not take it. m is a tombstone if old was
// removed. A message that has come since stays, and should it be taken back too, what it
// replaced is old and not m.
func (r *retained) restore(topic string, m, old *message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		before, ok := r.undone[old]
		if !ok {
			break
		}
		delete(r.undone, old)
		old = before
	}
	if tombstone(old) {
		old = nil
	}
	var now *message
	if n := r.lookup(topic); n != nil {
		now = n.msg.Load()
	}
	if now == nil {
		now = r.buried[topic]
	}
	if now == m {
		delete(r.buried, topic)
		r.replace(topic, old)
		return
	}
	if r.undone == nil {
		r.undone = map[*message]*message{}
	}
	r.undone[m] = old
}

// settled forgets what restore remembers: the disk takes messages.
func (r *retained) settled() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.undone)
	clear(r.buried)
}

// insert finds or makes the node of a topic. mu is held.
func (r *retained) insert(topic string) *retainedNode {
	n := &r.root
	for level := range strings.SplitSeq(topic, "/") {
		k := n.kids[level]
		if k == nil {
			k = &retainedNode{name: level, parent: n} // a substring of the message's topic
			if n.kids == nil {
				n.kids = map[string]*retainedNode{}
			}
			n.kids[level] = k
			n.order = append(n.order, k)
		}
		n = k
	}
	return n
}

// prune removes nodes that hold nothing any more. mu is held.
func (r *retained) prune(n *retainedNode) {
	for n.parent != nil && n.msg.Load() == nil && len(n.kids) == 0 {
		p := n.parent
		n.gone = true
		delete(p.kids, n.name)
		if p.dead++; p.dead > 64 && p.dead > len(p.order)/2 || len(p.kids) == 0 {
			alive := make([]*retainedNode, 0, len(p.kids))
			for _, k := range p.order {
				if !k.gone {
					alive = append(alive, k)
				}
			}
			p.order, p.dead = alive, 0
		}
		n = p
	}
}

func (r *retained) totals() (count int, bytes int64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.count, r.bytes
}

// ---- expiry

type expiring struct {
	at int64 // Unix ms
	m  *message
}

type expiryHeap []expiring

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h expiryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *expiryHeap) Push(x any) { *h = append(*h, x.(expiring)) }

// Pop implements heap.Interface.
func (h *expiryHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = expiring{}
	*h = old[:len(old)-1]
	return x
}

// schedule sees to it that m is removed when it expires. mu is held.
func (r *retained) schedule(m *message) {
	heap.Push(&r.expiry, expiring{m.expires, m})
	if len(r.expiry) > 1024 && len(r.expiry) > 2*r.count {
		r.sweepStale()
	}
	r.arm()
}

// sweepStale drops heap entries of messages that were replaced meanwhile: a topic that is set
// often with a long expiry would otherwise grow the heap. mu is held.
func (r *retained) sweepStale() {
	kept := r.expiry[:0]
	for _, e := range r.expiry {
		if n := r.lookup(e.m.topic); n != nil && n.msg.Load() == e.m {
			kept = append(kept, e)
		}
	}
	clear(r.expiry[len(kept):])
	r.expiry = kept
	heap.Init(&r.expiry)
}

func (r *retained) arm() {
	if len(r.expiry) == 0 {
		return
	}
	wait := time.Duration(r.expiry[0].at-r.now().UnixMilli()) * time.Millisecond
	if r.timer == nil {
		r.timer = time.AfterFunc(max(wait, 0), r.expire)
		return
	}
	r.timer.Reset(max(wait, 0))
}

// expire removes what is due.
func (r *retained) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now().UnixMilli()
	for len(r.expiry) > 0 && r.expiry[0].at <= now {
		m := heap.Pop(&r.expiry).(expiring).m
		if n := r.lookup(m.topic); n != nil && n.msg.CompareAndSwap(m, nil) {
			r.count--
			r.bytes -= m.size()
			n.latest = nil
			r.prune(n)
			r.expired(m)
		}
	}
	r.arm()
}

func (r *retained) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
}

// ---- replay

// cursor walks the retained messages that a filter matches. It needs memory for one frame per
// topic level, however many messages there are.
type cursor struct {
	r      *retained
	sub    *subscription
	levels []string
	stack  []cursorFrame
	node   *retainedNode // the current one; nil at the end
}

type cursorFrame struct {
	node  *retainedNode
	list  []*retainedNode // snapshot of order for a wildcard; nil for an exact level
	i     int
	depth int  // index in levels of what is matched among node's kids
	deep  bool // below a '#': everything matches
	self  bool // node itself is still to be visited
}

// cursor starts a replay for a subscription.
func (r *retained) cursor(s *subscription) *cursor {
	c := &cursor{r: r, sub: s, levels: strings.Split(s.filter, "/")}
	c.stack = []cursorFrame{{node: &r.root}}
	c.advance()
	return c
}

// advance moves node to the next match.
func (c *cursor) advance() {
	c.r.mu.RLock()
	defer c.r.mu.RUnlock()
	for c.node = nil; len(c.stack) > 0; {
		f := &c.stack[len(c.stack)-1]
		if f.self {
			f.self = false
			if f.node.msg.Load() != nil {
				c.node = f.node
				return
			}
		}
		k := c.step(f)
		if k == nil {
			c.stack = c.stack[:len(c.stack)-1]
		}
	}
}

// step pushes the frame of the next kid of f that matches, and returns the kid; nil when there
// is none.
func (c *cursor) step(f *cursorFrame) *retainedNode {
	if !f.deep && f.depth == len(c.levels) {
		return nil
	}
	if f.i == 0 && f.list == nil {
		switch {
		case f.deep || c.levels[f.depth] == "+" || c.levels[f.depth] == "#":
			f.list = f.node.order[:len(f.node.order):len(f.node.order)]
		default:
			f.i = 1
			k := f.node.kids[c.levels[f.depth]]
			if k != nil {
				c.push(k, f.depth+1, false)
			}
			return k
		}
	}
	deep := f.deep || (f.depth < len(c.levels) && c.levels[f.depth] == "#")
	for f.i < len(f.list) {
		k := f.list[f.i]
		f.i++
		if k.gone || (f.node.parent == nil && strings.HasPrefix(k.name, "$")) { // [MQTT-4.7.2-1]
			continue
		}
		c.push(k, f.depth+1, deep)
		return k
	}
	return nil
}

func (c *cursor) push(k *retainedNode, depth int, deep bool) {
	// "a/#" matches "a" itself: visit the node where only '#' is left.
	last := depth == len(c.levels) || (depth == len(c.levels)-1 && c.levels[depth] == "#")
	c.stack = append(c.stack, cursorFrame{node: k, depth: depth, deep: deep, self: deep || last})
}
