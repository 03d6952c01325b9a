package health

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/services/contract"
)

const (
	// maxRecords bounds the peers that are watched: names are chosen by strangers.
	maxRecords = 1024
	// evictEvery is the least time between two searches for a record to forget.
	evictEvery = time.Second
	// settle is how long the broker waits before it speaks: the peer itself, its will or the hook
	// that speaks for it may say the same, and a connection that was replaced is back by then.
	settle = 300 * time.Millisecond
)

var (
	healthPrefix    = strings.TrimSuffix(contract.Health.Name, "+")
	keepalivePrefix = strings.TrimSuffix(contract.Keepalive.Name, "+")
)

// publication is one retained message to publish.
type publication struct {
	topic   string
	payload []byte // empty: clear
}

// table is all records. It is pure: time comes with what it sees, and what it wants published
// gathers in out.
type table struct {
	o       *Options
	names   names
	records map[string]*record
	bound   map[string][]*record // by foreign client id
	out     []publication
	next    time.Time // the earliest of all records' next and checkAt; zero: none
	evicted time.Time

	malformed, refused uint64 // messages that are no health messages; names that found no place
}

func newTable(o *Options, now time.Time) *table {
	t := &table{o: o, names: newNames(o.Names), records: map[string]*record{}, bound: map[string][]*record{}}
	for name := range t.names.others {
		t.add(name, now).listed = true
	}
	for _, name := range slices.Concat(o.Required, o.Services) {
		if name = t.names.of(name); name == "" {
			continue // not a name; the configuration was checked
		}
		r := t.record(name, now)
		r.listed, r.needed = true, true
		r.inside = r.inside || slices.Contains(o.Services, name)
	}
	return t
}

func (t *table) add(name string, now time.Time) *record {
	r := &record{
		name: name, topics: append([]string{name}, t.names.others[name]...), kept: map[string]ping{}, bare: map[string]bool{},
		state: Unknown, since: now, heard: now,
	}
	t.records[name] = r
	return r
}

// record finds or makes the record of a name. It is nil when there is no room.
func (t *table) record(name string, now time.Time) *record {
	if r := t.records[name]; r != nil {
		return r
	}
	if len(t.records) >= maxRecords && !t.evict(now) {
		t.refused++
		return nil
	}
	return t.add(name, now)
}

// evict forgets the peer that was heard of least recently, of those that are not connected and not
// listed.
func (t *table) evict(now time.Time) bool {
	if now.Sub(t.evicted) < evictEvery {
		return false
	}
	t.evicted = now
	var old *record
	for _, r := range t.records {
		if !r.listed && len(r.conns) == 0 && (old == nil || r.heard.Before(old.heard)) {
			old = r
		}
	}
	if old == nil {
		return false
	}
	t.forget(old)
	return true
}

func (t *table) forget(r *record) {
	t.unbind(r)
	delete(t.records, r.name)
}

// see takes one thing that the tap saw.
func (t *table) see(s delivery.Sight) {
	switch s.Kind {
	case delivery.SawConnect:
		t.connected(s)
	case delivery.SawDisconnect:
		t.disconnected(s)
	case delivery.SawMessage:
		if level, ok := strings.CutPrefix(s.Topic, healthPrefix); ok {
			t.health(level, s)
		} else if level, ok := strings.CutPrefix(s.Topic, keepalivePrefix); ok {
			t.heartbeat(level, s)
		}
	}
}

// may reports whether a client can be the peer that its id names: the id is its own choice, and
// gives nobody a voice.
func (t *table) may(p *delivery.Peer, name string) bool {
	if t.o.MayPublish == nil {
		return true
	}
	return slices.ContainsFunc(slices.Concat([]string{name, legacyPrefix + name}, t.names.others[name]), func(level string) bool {
		return t.o.MayPublish(p, healthPrefix+level)
	})
}

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

// takenOver is the reason of a connection whose client has come again.
const takenOver = "session taken over"

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
		if !s.Clean && s.Reason != takenOver {
			r.losses++
		}
		t.judge(r, s.At)
	}
}

// health takes a health message.
func (t *table) health(level string, s delivery.Sight) {
	name := t.names.of(level)
	if name == "" {
		t.refused++
		return
	}
	if len(s.Payload) == 0 {
		if s.Retain {
			t.cleared(name, level, s.At)
		}
		return
	}
	p, ok := parsePing(s.Payload)
	if !ok {
		t.malformed++
		if r := t.records[name]; r != nil && s.Retain {
			delete(r.kept, level)
		}
		return
	}
	r := t.record(name, s.At)
	if r == nil {
		return
	}
	p.from, p.at = s.From, s.At
	t.note(r, level, p, s)
	t.judge(r, s.At)
	if v := r.judge(t.o, s.At); s.Retain && v.says(p, true) {
		t.mirror(r, level, p, s.Payload)
	}
}

// note files a health message with its record.
func (t *table) note(r *record, level string, p ping, s delivery.Sight) {
	r.topic(level)
	r.bare[level] = p.bare
	if s.Retain {
		r.kept[level] = p
	}
	if !s.IsWill {
		r.heard, r.spoke = s.At, true
		if c := t.speaker(r, s.From, s.At); c != nil {
			c.said = &p
		}
	}
	r.last = &p
	if p.event == string(Restarting) && !p.ok {
		r.restarts++
	}
}

// topic makes level one of the record's topics.
func (r *record) topic(level string) {
	if !slices.Contains(r.topics, level) && len(r.topics) < 2*maxConns {
		r.topics = append(r.topics, level)
	}
}

// speaker is the connection by which a client speaks for the record; nil for the server, for a
// client that has gone, and for one that speaks of a peer which is here itself.
func (t *table) speaker(r *record, from string, now time.Time) *conn {
	if c := r.conn(from); c != nil || from == "" {
		return c
	}
	own := t.names.ofClient(from) == r.name
	if !own {
		if len(r.conns) > 0 && r.bound == "" {
			return nil
		}
		t.bind(r, from)
	}
	info, ok := t.o.Engine.Client(from)
	if !ok || !info.Connected {
		return nil
	}
	if !own {
		r.conns = nil // one foreign speaker at a time
	}
	r.connect(conn{id: from, since: now})
	return r.conn(from)
}

func (t *table) bind(r *record, id string) {
	if r.bound == id {
		return
	}
	t.unbind(r)
	r.bound = id
	t.bound[id] = append(t.bound[id], r)
}

// unbind ends what a foreign client has to do with the record.
func (t *table) unbind(r *record) {
	if r.bound == "" {
		return
	}
	id := r.bound
	r.conns = slices.DeleteFunc(r.conns, func(c conn) bool { return c.id == id })
	if rest := slices.DeleteFunc(t.bound[id], func(x *record) bool { return x == r }); len(rest) > 0 {
		t.bound[id] = rest
	} else {
		delete(t.bound, id)
	}
	r.bound = ""
}

// heartbeat takes a sign of life.
func (t *table) heartbeat(level string, s delivery.Sight) {
	name := t.names.of(level)
	if name == "" || s.IsWill {
		t.refused++
		return
	}
	p, ok := parsePing(s.Payload)
	if !ok {
		t.malformed++
		return
	}
	r := t.record(name, s.At)
	if r == nil {
		return
	}
	c := t.speaker(r, s.From, s.At)
	if c == nil {
		return
	}
	if !c.beat.IsZero() {
		r.learn(s.At.Sub(c.beat))
	}
	c.beat, r.heard, r.spoke = s.At, s.At, true
	p.at = s.At
	r.delay, r.delayed = p.latency()
	t.judge(r, s.At)
}

// cleared follows an owner who removes a retained health message: what was known of the peer by
// its words goes with it, and if it is not connected, all of it.
func (t *table) cleared(name, level string, now time.Time) {
	r := t.records[name]
	if r == nil {
		return
	}
	delete(r.kept, level)
	for _, other := range r.topics {
		if _, there := r.kept[other]; there {
			delete(r.kept, other)
			t.out = append(t.out, publication{topic: healthPrefix + other})
		}
	}
	r.last, r.was, r.checkAt = nil, false, time.Time{}
	for i := range r.conns {
		r.conns[i].said = nil
	}
	if len(r.conns) == 0 {
		if !r.listed {
			t.forget(r)
			return
		}
		t.unbind(r)
		r.seen, r.spoke = false, false
	}
	t.judge(r, now)
}

// judge brings the verdict on a record up to date.
func (t *table) judge(r *record, now time.Time) {
	v := r.judge(t.o, now)
	r.next = v.next
	if v.state != r.state {
		t.log(r, v)
		r.state, r.since = v.state, now
		switch {
		case v.state.good():
			r.was, r.everUp = true, true
		case v.state == Shutdown || v.state == Restarting:
			r.was = false
		}
	}
	r.err = v.err
	if r.checkAt.IsZero() && slices.ContainsFunc(r.topics, func(level string) bool { return !t.told(r, v, level) }) {
		r.checkAt = now.Add(settle)
	}
	t.wake(r.next)
	t.wake(r.checkAt)
}

// told reports whether the retained message of a topic tells the verdict, or none has to: of a
// peer that never spoke of its health the broker says nothing.
func (t *table) told(r *record, v verdict, level string) bool {
	if !r.spoke && r.last == nil {
		return true
	}
	p, there := r.kept[level]
	return v.says(p, there)
}

func (t *table) log(r *record, v verdict) {
	line := t.o.Log.Info()
	if bad := !v.state.good() && v.state != Connected && v.state != Shutdown; bad && r.needed && r.everUp {
		line = t.o.Log.Warn()
	}
	line.Str("peer", r.name).Str("state", string(v.state)).Str("was", string(r.state))
	if v.err != "" {
		line.Str("why", v.err)
	}
	line.Msg("health")
}

func (t *table) wake(at time.Time) {
	if !at.IsZero() {
		t.next = earlier(t.next, at)
	}
}

// due does what has become due.
func (t *table) due(now time.Time) {
	if t.next.IsZero() || now.Before(t.next) {
		return
	}
	t.next = time.Time{}
	for _, r := range t.sorted() {
		if !r.next.IsZero() && !now.Before(r.next) {
			t.judge(r, now)
		}
		if !r.checkAt.IsZero() && !now.Before(r.checkAt) {
			t.check(r, now)
		}
		t.wake(r.next)
		t.wake(r.checkAt)
	}
}

// check publishes the verdict where the retained message does not say it.
func (t *table) check(r *record, now time.Time) {
	r.checkAt = time.Time{}
	v := r.judge(t.o, now)
	p := ping{at: now, ok: v.state.good(), event: v.word(), err: v.err, id: t.o.NewID(), time: unix(now)}
	for _, level := range r.topics {
		if t.told(r, v, level) {
			continue
		}
		p.bare = r.bare[level]
		t.publish(r, level, p, source)
	}
}

// mirror carries a message of the peer to its other names.
func (t *table) mirror(r *record, level string, p ping, payload []byte) {
	if p.id == "" {
		p.id = t.o.NewID() // one for all names
	}
	for _, other := range r.topics {
		switch {
		case other == level:
		case p.bare == r.bare[other]:
			t.keep(r, other, p, payload)
		case p.bare: // into an envelope; a device's clock is not worth passing on
			w := p
			w.bare = false
			if w.time < clockFrom {
				w.time = unix(p.at)
			}
			t.publish(r, other, w, r.name)
		default: // out of it
			w := p
			w.bare = true
			t.keep(r, other, w, p.data)
		}
	}
}

// publish encodes a message for a topic of the record.
func (t *table) publish(r *record, level string, p ping, from string) {
	b, err := p.encode(level, from)
	if err != nil {
		t.o.Log.Error().Err(err).Str("peer", r.name).Msg("health message not encoded")
		return
	}
	t.keep(r, level, p, b)
}

func (t *table) keep(r *record, level string, p ping, payload []byte) {
	r.kept[level] = p
	t.out = append(t.out, publication{topic: healthPrefix + level, payload: payload})
}

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

// sorted are the records by name.
func (t *table) sorted() []*record {
	list := make([]*record, 0, len(t.records))
	for _, r := range t.records {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *record) int { return cmp.Compare(a.name, b.name) })
	return list
}
