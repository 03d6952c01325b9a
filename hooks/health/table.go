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

// sorted are the records by name.
func (t *table) sorted() []*record {
	list := make([]*record, 0, len(t.records))
	for _, r := range t.records {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *record) int { return cmp.Compare(a.name, b.name) })
	return list
}
