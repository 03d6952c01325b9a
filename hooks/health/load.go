package health

import (
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/hooks/delivery"
)

// load takes the retained messages of the run before. What they say holds for a while: clients
// need time to come back after a restart of the broker.
func (t *table) load(kept []delivery.Sight, now time.Time) {
	slices.SortStableFunc(kept, func(a, b delivery.Sight) int { return a.At.Compare(b.At) })
	newest := map[*record]int{}
	for i, s := range kept {
		level := strings.TrimPrefix(s.Topic, healthPrefix)
		name := t.names.of(level)
		p, ok := parsePing(s.Payload)
		if name == "" || !ok {
			continue
		}
		r := t.record(name, now)
		if r == nil {
			continue
		}
		p.from, p.at = s.From, s.At
		r.topic(level)
		r.kept[level], r.bare[level], r.last = p, p.bare, &p
		newest[r] = i
	}
	for r, i := range newest {
		p := r.last
		r.was = p.ok || p.event == string(Disconnected) || p.event == string(Stale)
		r.grace = now.Add(t.o.Grace)
		if p.from != "" && t.names.ofClient(p.from) != r.name {
			t.bind(r, p.from)
		}
		level := strings.TrimPrefix(kept[i].Topic, healthPrefix)
		if slices.ContainsFunc(r.topics, func(other string) bool {
			k, there := r.kept[other]
			return !there || k.ok != p.ok || k.event != p.event
		}) {
			t.mirror(r, level, *p, kept[i].Payload)
		}
		t.judge(r, now)
	}
}

// resync puts right what was lost: the tap's queue was full. Heartbeats get the benefit of the
// doubt.
func (t *table) resync(kept []delivery.Sight, now time.Time) {
	for _, r := range t.records {
		for i := range r.conns {
			if c := &r.conns[i]; !c.beat.IsZero() {
				c.beat = now
			}
		}
		for _, id := range slices.Concat(r.topics, []string{r.bound, legacyPrefix + r.name}) {
			t.resyncClient(r, id, now)
		}
		t.judge(r, now)
	}
	for _, s := range kept {
		level := strings.TrimPrefix(s.Topic, healthPrefix)
		p, ok := parsePing(s.Payload)
		if r := t.records[t.names.of(level)]; r != nil && ok {
			if k, there := r.kept[level]; there && k.ok == p.ok && k.event == p.event && k.id == p.id {
				continue
			}
		}
		s.At = now
		t.see(s)
	}
}

// resyncClient compares one connection of a record with what the engine knows.
func (t *table) resyncClient(r *record, id string, now time.Time) {
	info, ok := t.o.Engine.Client(id)
	here := id != "" && ok && info.Connected
	c := r.conn(id)
	switch {
	case here && c == nil && (r.bound == id || t.names.ofClient(id) == r.name && t.may(&info.Peer, r.name)):
		r.connect(conn{id: id, since: now})
		r.logins++
	case !here && c != nil:
		r.conns = slices.DeleteFunc(r.conns, func(x conn) bool { return x.id == id })
		r.clean, r.reason = false, why("")
		r.losses++
	}
}
