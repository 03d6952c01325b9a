package health

import (
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/hooks/delivery"
)

// Peer is the health of one service or device, as `tarsd status` and the admin socket show it.
type Peer struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	Up       bool      `json:"up"`             // it works, as far as can be known
	Required bool      `json:"required"`       // a service of this process, or listed in health.required
	Since    time.Time `json:"since,omitzero"` // of the state
	Err      string    `json:"err,omitempty"`

	Clients  []string  `json:"clients,omitempty"` // client ids of its connections, or of the last one
	LastSeen time.Time `json:"last_seen,omitzero"`
	// Interval of its heartbeats and latency of the last one, by the clock of the peer. Zero:
	// it sends none, or its clock is not synchronised.
	IntervalMS int64    `json:"heartbeat_interval_ms,omitempty"`
	LatencyMS  *float64 `json:"heartbeat_latency_ms,omitempty"`

	Connects int    `json:"connects"`          // since the broker started
	Losses   int    `json:"losses"`            // connections that ended without a DISCONNECT
	Restarts int    `json:"restarts"`          // by its supervisor, as it told
	Drops    uint64 `json:"drops"`             // messages that its clients did not get, or that were not taken from them
	Repeats  uint64 `json:"repeats,omitempty"` // of these none: messages that it sent again and that were delivered once
}

// Report is the health of all peers that are known or required, by name.
type Report struct {
	Since time.Time `json:"since"` // when the watching began
	Peers []Peer    `json:"peers"`
	Down  []string  `json:"down,omitempty"` // required, and not up
	// Failed are those of Down that had their time: they were up before, or the grace time after
	// the start is over.
	Failed []string `json:"failed,omitempty"`
	// Ready is whether every service of this process has been ready once.
	Ready bool `json:"ready"`

	Lost      uint64 `json:"lost,omitempty"`      // what the watcher could not keep up with
	Malformed uint64 `json:"malformed,omitempty"` // messages on health topics that are none
	Refused   uint64 `json:"refused,omitempty"`   // names that are none, or found no place among 1,024
}

// repeat is the reason under which hooks/dedup counts.
const repeat = "duplicate"

// Report tells the health of all peers as of now.
func (w *Watcher) Report() Report {
	rep := w.snapshot(func(r *record) bool { return r.needed || r.state != Unknown })
	for i := range rep.Peers {
		p := &rep.Peers[i]
		for _, id := range p.Clients {
			info, ok := w.o.Engine.Client(id)
			if !ok {
				continue
			}
			for reason, n := range info.Dropped {
				if reason == repeat {
					p.Repeats += n
				} else {
					p.Drops += n
				}
			}
			if info.Connected && info.LastPacket.After(p.LastSeen) {
				p.LastSeen = info.LastPacket
			}
		}
	}
	return rep
}

// Verdict is Report with the required peers alone and without the counters of the engine: cheap
// enough for a probe.
func (w *Watcher) Verdict() Report {
	return w.snapshot(func(r *record) bool { return r.needed })
}

func (w *Watcher) snapshot(wanted func(*record) bool) Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.table
	rep := Report{Since: w.started, Peers: []Peer{}, Ready: true, Lost: w.tap.Lost(), Malformed: t.malformed, Refused: t.refused}
	late := w.o.Now().Sub(w.started) > w.o.Grace
	for _, r := range t.sorted() {
		if r.inside && !r.everUp {
			rep.Ready = false
		}
		if !wanted(r) {
			continue
		}
		rep.Peers = append(rep.Peers, r.peer(&w.o))
		if r.needed && !r.up() {
			rep.Down = append(rep.Down, r.name)
			if late || r.everUp {
				rep.Failed = append(rep.Failed, r.name)
			}
		}
	}
	return rep
}

func (r *record) peer(o *Options) Peer {
	p := Peer{
		Name: r.name, State: r.state, Up: r.up(), Required: r.needed, Since: r.since, Err: r.err, Connects: r.logins, Losses: r.losses,
		Restarts: r.restarts,
	}
	if r.seen || r.spoke {
		p.LastSeen = r.heard
	}
	for i := range r.conns {
		p.Clients = append(p.Clients, r.conns[i].id)
	}
	if len(r.conns) == 0 && r.client != "" {
		p.Clients = []string{r.client}
	}
	if !r.lastBeat().IsZero() {
		p.IntervalMS = r.pace(o).Milliseconds()
		if r.delayed {
			ms := float64(r.delay.Microseconds()) / 1000
			p.LatencyMS = &ms
		}
	}
	return p
}

// Reason is one line on what failed; empty if nothing did.
func (rep Report) Reason() string {
	if len(rep.Failed) == 0 {
		return ""
	}
	parts := make([]string, 0, len(rep.Failed))
	for _, p := range rep.Peers {
		if p.Required && !p.Up && slices.Contains(rep.Failed, p.Name) {
			parts = append(parts, p.Name+" is "+string(p.State))
		}
	}
	return strings.Join(parts, ", ")
}

// Read makes a report of retained health messages alone, such as those of a broker elsewhere. Of a
// peer whose names do not agree the newest message counts, by its own clock.
func Read(kept []delivery.Sight, o Options) Report {
	now := time.Now()
	o.Services = nil
	t := newTable(o.defaults(), now)
	rep := Report{Since: now, Peers: []Peer{}, Ready: true}
	for _, s := range kept {
		level, ok := strings.CutPrefix(s.Topic, healthPrefix)
		p, isPing := parsePing(s.Payload)
		name := t.names.of(level)
		if !ok || !isPing || name == "" {
			rep.Malformed++
			continue
		}
		r := t.record(name, now)
		if r == nil || r.last != nil && r.last.time > p.time {
			continue
		}
		r.last, r.spoke = &p, true
	}
	for _, r := range t.sorted() {
		v := r.asSaid(r.last, t.o)
		if v.state == Unknown && !r.needed {
			continue
		}
		p := Peer{Name: r.name, State: v.state, Up: v.state.good(), Required: r.needed, Err: v.err}
		if r.last != nil && r.last.time > clockFrom {
			p.Since = time.UnixMicro(int64(r.last.time * 1e6))
		}
		rep.Peers = append(rep.Peers, p)
		if p.Required && !p.Up {
			rep.Down = append(rep.Down, p.Name)
		}
	}
	rep.Failed = rep.Down
	return rep
}
