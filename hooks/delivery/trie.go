package delivery

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// subscription is one filter of one session. It does not change: subscribing again makes
// a new one.
type subscription struct {
	session *session
	name    string // as the client gave it, with $share
	filter  string
	group   string // name of the share; empty if not shared
	qos     byte
	subID   uint32
	noLocal bool
	rap     bool // retain as published
	rh      byte // retain handling
	replay  bool // its retained messages were not all sent yet
}

// target is the subscription alone as something that a message goes to.
func (s *subscription) target() target {
	t := target{session: s.session, qos: s.qos, noLocal: s.noLocal, rap: s.rap}
	if s.subID > 0 {
		t.subIDs = []uint32{s.subID}
	}
	return t
}

// target is one session that a topic goes to. Overlapping subscriptions of a session are one
// target with the largest QoS and all identifiers.
type target struct {
	session *session
	subIDs  []uint32
	qos     byte
	noLocal bool
	rap     bool
}

// match is what a topic goes to. It does not change.
type match struct {
	targets []target
	groups  []*group
	taps    []*Tap
	durable bool // somebody's queue is kept on disk
}

// group is the members of one shared subscription: the same share name and filter.
type group struct {
	name, filter string
	mu           sync.Mutex
	members      []*subscription // in order of subscribing
	next         int
}

// node is one level of the subscription trie.
type node struct {
	kids   map[string]*node
	subs   []*subscription
	groups []*group
}

// trie holds all subscriptions. A change advances the generation of the first topic levels it
// can concern, which is how cached matches are found to be stale.
type trie struct {
	mu     sync.RWMutex
	root   node
	taps   []*Tap // not in the tree: there are few, and a match is cached
	subs   int
	shared int
	all    atomic.Uint64              // wildcard in the first level
	first  [generations]atomic.Uint64 // by hash of the first level
}

const generations = 64

// firstLevel hashes the first level of a topic or filter (FNV-1a).
func firstLevel(s string) uint32 {
	h := uint32(2166136261)
	for i := 0; i < len(s) && s[i] != '/'; i++ {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h % generations
}

// generation grows with every change that concerns the topic.
func (t *trie) generation(topicHash uint32) uint64 {
	return t.all.Load() + t.first[topicHash].Load()
}

func (t *trie) advance(filter string) {
	if filter[0] == '+' || filter[0] == '#' {
		t.all.Add(1)
		return
	}
	t.first[firstLevel(filter)].Add(1)
}

// add stores s, replacing an earlier subscription of the session under the same name, and
// returns the group of a shared one.
func (t *trie) add(s *subscription) *group {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.advance(s.filter) // after the change: a match that was made before it is stale
	n := &t.root
	for level := range strings.SplitSeq(s.filter, "/") {
		k := n.kids[level]
		if k == nil {
			k = &node{}
			if n.kids == nil {
				n.kids = map[string]*node{}
			}
			n.kids[strings.Clone(level)] = k
		}
		n = k
	}
	if s.group != "" {
		return t.addShared(n, s)
	}
	for i, old := range n.subs {
		if old.session == s.session {
			n.subs = slices.Clone(n.subs)
			n.subs[i] = s
			return nil
		}
	}
	n.subs = append(n.subs, s)
	t.subs++
	return nil
}

func (t *trie) addShared(n *node, s *subscription) *group {
	var g *group
	for _, have := range n.groups {
		if have.name == s.group {
			g = have
		}
	}
	if g == nil {
		g = &group{name: s.group, filter: s.filter}
		n.groups = append(n.groups, g)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, old := range g.members {
		if old.session == s.session {
			g.members[i] = s
			return g
		}
	}
	g.members = append(g.members, s)
	t.shared++
	return g
}

// remove takes s out and prunes empty levels.
func (t *trie) remove(s *subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.advance(s.filter)
	levels := strings.Split(s.filter, "/")
	path := make([]*node, 1, len(levels)+1)
	path[0] = &t.root
	for _, level := range levels {
		k := path[len(path)-1].kids[level]
		if k == nil {
			return
		}
		path = append(path, k)
	}
	n := path[len(path)-1]
	if s.group != "" {
		t.removeShared(n, s)
	} else if i := slices.IndexFunc(n.subs, func(x *subscription) bool { return x.session == s.session }); i >= 0 {
		n.subs = slices.Delete(slices.Clone(n.subs), i, i+1)
		t.subs--
	}
	for i := len(levels); i > 0; i-- {
		if k := path[i]; len(k.kids)+len(k.subs)+len(k.groups) > 0 {
			break
		}
		delete(path[i-1].kids, levels[i-1])
	}
}

func (t *trie) removeShared(n *node, s *subscription) {
	for gi, g := range n.groups {
		if g.name != s.group {
			continue
		}
		g.mu.Lock()
		if i := slices.IndexFunc(g.members, func(x *subscription) bool { return x.session == s.session }); i >= 0 {
			g.members = slices.Delete(g.members, i, i+1)
			t.shared--
		}
		empty := len(g.members) == 0
		g.mu.Unlock()
		if empty {
			n.groups = slices.Delete(slices.Clone(n.groups), gi, gi+1)
		}
		return
	}
}

// find returns the group of a share name and filter, or nil.
func (t *trie) find(name, filter string) *group {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := &t.root
	for level := range strings.SplitSeq(filter, "/") {
		if n = n.kids[level]; n == nil {
			return nil
		}
	}
	for _, g := range n.groups {
		if g.name == name {
			return g
		}
	}
	return nil
}

func (t *trie) counts() (subs, shared int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.subs, t.shared
}

// match collects whom a topic goes to.
func (t *trie) match(topic string) *match {
	c := collector{m: &match{}, topic: topic}
	t.mu.RLock()
	defer t.mu.RUnlock()
	c.walk(&t.root, topic, true)
	for _, tap := range t.taps {
		if tap.wants(topic) {
			c.m.taps = append(c.m.taps, tap)
		}
	}
	return c.m
}

// setTaps changes who watches.
func (t *trie) setTaps(taps []*Tap) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.all.Add(1)
	t.taps = taps
}

type collector struct {
	m     *match
	topic string
	index map[*session]int // of targets, made when there are more than a few
}

func (c *collector) walk(n *node, rest string, first bool) {
	level, tail, more := strings.Cut(rest, "/")
	dollar := first && strings.HasPrefix(level, "$") // [MQTT-4.7.2-1]
	if !dollar {
		c.add(n.kids["#"])
	}
	step := func(k *node) {
		if k == nil {
			return
		}
		if more {
			c.walk(k, tail, false)
			return
		}
		c.add(k)
		c.add(k.kids["#"]) // "a/#" matches "a", section 4.7.1.2
	}
	step(n.kids[level])
	if !dollar {
		step(n.kids["+"])
	}
}

func (c *collector) add(n *node) {
	if n == nil {
		return
	}
	for _, s := range n.subs {
		c.subscriber(s)
	}
	for _, g := range n.groups {
		c.m.groups = append(c.m.groups, g)
		g.mu.Lock()
		for _, s := range g.members {
			c.m.durable = c.m.durable || (s.qos > 0 && s.session.persistent.Load())
		}
		g.mu.Unlock()
	}
}

func (c *collector) subscriber(s *subscription) {
	c.m.durable = c.m.durable || (s.qos > 0 && s.session.persistent.Load())
	i, ok := c.position(s.session)
	if !ok {
		c.m.targets = append(c.m.targets, s.target())
		if c.index != nil {
			c.index[s.session] = i
		}
		return
	}
	t := &c.m.targets[i]
	t.qos = max(t.qos, s.qos) // [MQTT-3.3.4-2]
	t.noLocal = t.noLocal && s.noLocal
	t.rap = t.rap || s.rap
	if s.subID > 0 {
		t.subIDs = append(t.subIDs, s.subID) // [MQTT-3.3.4-3]
	}
}

// position finds the target of a session, or the index that a new one gets. A map pays only
// when there are many.
func (c *collector) position(s *session) (int, bool) {
	if c.index != nil {
		if i, ok := c.index[s]; ok {
			return i, true
		}
		return len(c.m.targets), false
	}
	for i := range c.m.targets {
		if c.m.targets[i].session == s {
			return i, true
		}
	}
	if len(c.m.targets) >= 16 {
		c.index = make(map[*session]int, 64)
		for i := range c.m.targets {
			c.index[c.m.targets[i].session] = i
		}
	}
	return len(c.m.targets), false
}

// pick chooses the member that gets the next message: a connected one, in turn; else one whose
// queue is kept; else nil. except is passed over.
func (g *group) pick(except *session, qos byte) *subscription {
	g.mu.Lock()
	defer g.mu.Unlock()
	var offline *subscription
	n := len(g.members)
	for k := range n {
		i := (g.next + k) % n
		s := g.members[i]
		if s.session == except {
			continue
		}
		if s.session.link.Load() != nil {
			g.next = i + 1
			return s
		}
		if offline == nil && min(qos, s.qos) > 0 && s.session.persistent.Load() {
			offline = s
		}
	}
	g.next++
	return offline
}
