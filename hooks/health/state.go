package health

import (
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/hooks/delivery"
)

// State is the broker's verdict on one peer.
type State string

// The states. Those which the broker may have to say itself are the event words of its messages.
const (
	Unknown      State = "unknown"      // not seen since the start
	Connected    State = "connected"    // connected, and has not said yet that it is ready
	Ready        State = "ready"        // by its own word
	Reconnected  State = "reconnected"  // ready, and back after its connection was lost
	Failing      State = "error"        // connected; its own last word is that it is not well
	Stale        State = "stale"        // connected; three heartbeats are missing
	Restarting   State = "restarting"   // its supervisor starts it again
	Disconnected State = "disconnected" // gone without a word, or without the right one
	Shutdown     State = "shutdown"     // gone as it said
)

// good reports whether a peer in this state works.
func (s State) good() bool { return s == Ready || s == Reconnected }

// Times that are not worth a key of the configuration.
const (
	missed      = 3 // heartbeats
	gaps        = 4 // between heartbeats, from which their interval is learned
	minInterval = time.Second
	maxInterval = 10 * time.Minute
	// restartWait is how long a service may be restarting without a connection: then its
	// supervisor is gone too.
	restartWait = 5 * time.Minute
)

// conn is one connection of a peer.
type conn struct {
	id    string // client id
	since time.Time
	peer  *delivery.Peer // nil for a foreign one that was bound by what it said
	will  bool           // its will is a health message: it speaks for itself when it is back
	back  bool           // the peer was ready before
	said  *ping          // its newest health message
	beat  time.Time      // of its newest heartbeat; zero: it sends none
}

// record is what is known of one peer.
type record struct {
	name   string
	listed bool   // by configuration; never forgotten
	needed bool   // required
	inside bool   // a service of this process
	bound  string // foreign client id that speaks for it

	topics []string        // last levels of its health topics, its name first
	kept   map[string]ping // what is retained there now, by last level
	bare   map[string]bool // form that peers use there, if they do

	conns   []conn    // oldest first; of the peer itself, or one foreign one
	began   time.Time // when the newest of them began, also after its end
	last    *ping     // newest health message of anybody but us
	client  string    // id of its newest connection, also after its end
	reason  string    // of the loss
	clean   bool      // the loss was a DISCONNECT
	seen    bool      // was connected since the start
	spoke   bool      // it, or somebody for it, has sent a health message or a heartbeat since the start
	was     bool      // was ready, and has not taken it back
	everUp  bool      // was ready since the start
	heard   time.Time
	grace   time.Time // until then a restart of the broker excuses its absence
	state   State
	since   time.Time
	err     string
	next    time.Time // when the verdict changes by itself; zero: never
	checkAt time.Time // when to compare the retained messages with the verdict; zero: never

	interval                 []time.Duration // gaps between heartbeats, oldest first
	delay                    time.Duration   // of the last heartbeat, by its own clock
	delayed                  bool            // delay is known
	restarts, losses, logins int
}

// verdict is what judge finds.
type verdict struct {
	state State
	event string // for Failing, the peer's own word
	err   string
	next  time.Time // when to ask again; zero: when something happens
}

// judge derives the verdict from what is known.
func (r *record) judge(o *Options, now time.Time) verdict {
	if len(r.conns) == 0 {
		return r.judgeGone(o, now)
	}
	c := &r.conns[len(r.conns)-1]
	v := r.judgeWord(o, c, now)
	if v.state == Shutdown || v.state == Restarting {
		return v
	}
	if beat := r.lastBeat(); !beat.IsZero() {
		due := beat.Add(r.patience(o))
		if !now.Before(due) {
			return verdict{state: Stale, err: "no heartbeat for " + now.Sub(beat).Round(time.Second).String()}
		}
		v.next = earlier(v.next, due)
	}
	return v
}

// judgeWord is the verdict on a connected peer by what it says. c is its newest connection.
func (r *record) judgeWord(o *Options, c *conn, now time.Time) verdict {
	p := r.word(c)
	switch {
	case p == nil && !c.will && c.back:
		return verdict{state: Reconnected} // older peers and firmware do not say it
	case p == nil && !c.will && !c.beat.IsZero():
		return verdict{state: Ready} // all that it ever says
	case p == nil:
		return verdict{state: Connected}
	case p.ok && p.event == string(Reconnected):
		return verdict{state: Reconnected}
	case p.ok || slices.Contains(o.Harmless, p.event):
		return verdict{state: Ready}
	case p.event == string(Shutdown):
		return verdict{state: Shutdown}
	case p.event == string(Restarting):
		return verdict{state: Restarting, err: p.err}
	}
	v := verdict{state: Failing, event: p.event, err: p.err}
	if v.err == "" {
		v.err = p.event
	}
	if r.was && !c.will { // an older peer never takes an error back
		if over := p.at.Add(o.ErrorHold); now.Before(over) {
			v.next = over
		} else {
			return verdict{state: Ready}
		}
	}
	return v
}

// word is the newest health message that tells of the connections there are: their own, or one of
// somebody else since the newest began, such as a supervisor. That the peer is gone nobody has to
// tell the broker; such a message is a will of an older connection.
func (r *record) word(newest *conn) *ping {
	var p *ping
	for i := range r.conns {
		if s := r.conns[i].said; s != nil && (p == nil || s.at.After(p.at)) {
			p = s
		}
	}
	if l := r.last; l != nil && r.conn(l.from) == nil && l.event != string(Disconnected) && !l.at.Before(newest.since) &&
		(p == nil || l.at.After(p.at)) {
		p = l
	}
	return p
}

// judgeGone is the verdict on a peer without a connection.
func (r *record) judgeGone(o *Options, now time.Time) verdict {
	l := r.last
	last := "" // its bad word since its last connection began
	if l != nil && !l.ok && !l.at.Before(r.began) {
		last = l.event
	}
	switch {
	case !r.seen && l == nil:
		return verdict{state: Unknown}
	case last == string(Shutdown):
		return verdict{state: Shutdown}
	case last == string(Restarting) && (r.seen || now.Before(r.grace)):
		if over := l.at.Add(restartWait); now.Before(over) {
			return verdict{state: Restarting, err: l.err, next: over}
		}
		return verdict{state: Disconnected, err: l.err}
	case !r.seen && last == string(Disconnected):
		return verdict{state: Disconnected, err: l.err}
	case !r.seen && now.Before(r.grace):
		return verdict{state: Unknown, next: r.grace}
	case !r.seen && r.bound == "" && r.spoke: // said by the server, of nobody that we know
		return r.asSaid(l, o)
	case !r.seen:
		return verdict{state: Disconnected, err: "has not come back since the broker started"}
	case r.clean && r.bound != "" && l != nil:
		// A tool that spoke for somebody else and has gone: its word stays.
		return r.asSaid(l, o)
	case r.clean:
		return verdict{state: Disconnected, err: "left without saying that it shuts down"}
	}
	return verdict{state: Disconnected, err: r.reason}
}

// asSaid is the verdict by the last message alone.
func (r *record) asSaid(l *ping, o *Options) verdict {
	switch {
	case l == nil:
		return verdict{state: Unknown}
	case l.ok && l.event == string(Reconnected):
		return verdict{state: Reconnected}
	case l.ok || slices.Contains(o.Harmless, l.event):
		return verdict{state: Ready}
	}
	for _, s := range []State{Disconnected, Shutdown, Restarting, Stale} {
		if l.event == string(s) {
			return verdict{state: s, err: l.err}
		}
	}
	return verdict{state: Failing, event: l.event, err: l.err}
}

// patience is how long a heartbeat may be away: three intervals, and a bit for the network.
func (r *record) patience(o *Options) time.Duration {
	i := r.pace(o)
	return missed*i + i/10
}

// pace is the interval of the peer's heartbeats: the middle one of the last gaps.
func (r *record) pace(o *Options) time.Duration {
	n := len(r.interval)
	if n == 0 {
		return o.Heartbeat
	}
	sorted := slices.Sorted(slices.Values(r.interval))
	return min(max(sorted[(n-1)/2], minInterval), maxInterval)
}

// lastBeat is the newest sign of life of a peer that sends heartbeats; zero if it sends none.
func (r *record) lastBeat() time.Time {
	var t time.Time
	for i := range r.conns {
		c := &r.conns[i]
		if c.beat.IsZero() {
			continue
		}
		if c.beat.After(t) {
			t = c.beat
		}
		if c.said != nil && c.said.at.After(t) {
			t = c.said.at
		}
	}
	return t
}

// learn notes the gap between two heartbeats of one connection.
func (r *record) learn(gap time.Duration) {
	if gap < minInterval/2 {
		return // a repeat
	}
	if len(r.interval) == gaps {
		r.interval = append(r.interval[:0], r.interval[1:]...)
	}
	r.interval = append(r.interval, gap)
}

// conn finds a connection by client id, or nil.
func (r *record) conn(id string) *conn {
	for i := range r.conns {
		if r.conns[i].id == id && id != "" {
			return &r.conns[i]
		}
	}
	return nil
}

// says reports whether a retained message tells the verdict. Of a peer that has not said anything
// there is nothing to tell.
func (v verdict) says(p ping, there bool) bool {
	switch v.state {
	case Unknown, Connected:
		return true
	case Ready, Reconnected:
		return there && p.ok
	case Failing:
		return there && !p.ok && p.event == v.event
	}
	return there && !p.ok && p.event == string(v.state)
}

// word is the event of the broker's own message.
func (v verdict) word() string {
	if v.state == Failing && v.event != "" {
		return v.event
	}
	return string(v.state)
}

// up reports whether the peer works as far as one can know: one that never speaks of its health
// is as well as its connection.
func (r *record) up() bool {
	return r.state.good() || r.state == Connected && !r.speaks()
}

// speaks reports whether the peer tells of itself when it is ready.
func (r *record) speaks() bool {
	return r.inside || r.spoke || slices.ContainsFunc(r.conns, func(c conn) bool { return c.will })
}

// why is the reason of a lost connection without addresses: health is for everybody to read.
func why(reason string) string {
	if reason == "" || strings.Contains(reason, ": ") {
		return "connection lost"
	}
	return tidy(reason, maxErr)
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
