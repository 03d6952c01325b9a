package delivery

// handOver gives what the session got through shared subscriptions, and has not finished, to
// other members: QoS 1 messages, and those of QoS 2 that were never sent. With over the session
// ends; otherwise they go only if another member is connected. The session has no link.
func (s *session) handOver(over bool) {
	s.mu.Lock()
	var groups []*group
	for i := range s.q.n {
		if g := s.q.at(i).group; g != nil && !containsGroup(groups, g) {
			groups = append(groups, g)
		}
	}
	s.mu.Unlock()
	for _, g := range groups {
		s.handOverGroup(g, over)
	}
}

func containsGroup(groups []*group, g *group) bool {
	for _, x := range groups {
		if x == g {
			return true
		}
	}
	return false
}

// handOverGroup does it for one group, in the order of the queue.
func (s *session) handOverGroup(g *group, over bool) {
	if next := g.pick(s, 0); next == nil && !over {
		return // nobody else is connected: they wait for this session
	}
	s.mu.Lock()
	var moving []heldItem
	for i := range s.q.n {
		it := s.q.at(i)
		if it.group == g && it.state == waiting && it.msg != nil && (it.qos == 1 || !it.dup) {
			it.state = held // so that a new connection does not send it meanwhile
			moving = append(moving, heldItem{s: s, seq: s.q.seq(i)})
		}
	}
	s.mu.Unlock()
	c := &courier{e: s.e}
	for _, h := range moving {
		s.moveItem(c, g, h)
	}
	c.flush()
}

// moveItem gives one item to another member. Its new record is submitted before its old one
// is deleted.
func (s *session) moveItem(c *courier, g *group, h heldItem) {
	s.mu.Lock()
	it := s.bySeq(h.seq)
	if it == nil {
		s.mu.Unlock()
		return
	}
	m := it.msg
	s.mu.Unlock()
	p := publication{
		topic: m.topic, payload: m.payload, props: m.props, from: m.from, qos: m.qos, retain: m.retain,
		expires: m.expires, stored: m.stored, kept: m,
	}
	var r result
	var expired bool
	if p.expiry, p.hasExpiry, expired = m.left(s.e.now()); expired {
		s.e.counts.drop(s.id, p.topic, "expired")
		r.taken++ // by nobody: it only has to leave the queue
	} else {
		c.used = 0
		c.toGroup(&p, g, s, &r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	it = s.bySeq(h.seq)
	if it == nil {
		return
	}
	if r.taken > 0 {
		s.forget(it)
		s.q.finish(int(h.seq - s.q.base))
	} else {
		it.state = waiting
	}
	s.settle()
	if l := s.link.Load(); l != nil {
		s.pump(l)
		c.touch(l.conn)
	}
}
