package health

import (
	"slices"
	"strings"

	"github.com/tarsd/tarsd/hooks/delivery"
)

func (t *table) connected(s delivery.Sight) {
	id := s.Peer.ID
	own := t.names.ofClient(id)
	if own != "" && !t.may(s.Peer, own) {
		own = ""
	}
	rs := slices.Clone(t.bound[id])
	if own != "" {
		if r := t.record(own, s.At); r != nil {
			t.unbind(r)
			rs = append(slices.DeleteFunc(rs, func(x *record) bool { return x == r }), r)
		}
	}
	for _, r := range rs {
		if r.name != own && len(r.conns) > 0 && r.conn(id) == nil {
			continue
		}
		level, isHealth := strings.CutPrefix(s.Will, healthPrefix)
		r.connect(conn{id: id, since: s.At, peer: s.Peer, will: isHealth && t.names.of(level) == r.name})
		r.logins++
		t.judge(r, s.At)
	}
}

// maxConns bounds the connections of one peer that are told apart, such as an old and a new
// version at once.
const maxConns = 8

func (r *record) connect(c conn) {
	r.conns = slices.DeleteFunc(r.conns, func(x conn) bool { return x.id == c.id })
	if len(r.conns) == maxConns {
		r.conns = slices.Delete(r.conns, 0, 1)
	}
	c.back = r.was
	r.conns = append(r.conns, c)
	r.seen, r.heard, r.began, r.client = true, c.since, c.since, c.id
}

func (t *table) disconnected(s delivery.Sight) {
	rs := slices.Clone(t.bound[s.Peer.ID])
	if r := t.records[t.names.ofClient(s.Peer.ID)]; r != nil && !slices.Contains(rs, r) {
		rs = append(rs, r)
	}
	for _, r := range rs {
		n := len(r.conns)
		r.conns = slices.DeleteFunc(r.conns, func(c conn) bool {
			return c.id == s.Peer.ID && (c.peer == nil || c.peer == s.Peer)
		})
		// What it said may be handled after it has gone.
		spoke := n == 0 && r.last != nil && r.last.from == s.Peer.ID && !r.last.at.Before(s.Peer.Since)
		if n == len(r.conns) && !spoke {
			continue
		}
		r.clean, r.reason, r.heard, r.seen = s.Clean, why(s.Reason), s.At, true
		if !s.Clean && s.Reason != delivery.TakenOver {
			r.losses++
		}
		t.judge(r, s.At)
	}
}
