package health

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/services/contract"
)

// story drives a table with a script, at a time of its own.
//
//	+ID [will]            a client connects, with a will on its health topic
//	-ID, ~ID              its connection is lost; it disconnects
//	ID: NAME ok|bad EVENT [ERR...]    it publishes a retained health message, in an envelope
//	ID. NAME ok|bad EVENT            the same, bare and with a clock that counts from power-on
//	will ID NAME EVENT    its will is published
//	server: NAME ...      a message of the server
//	clear NAME            a retained message is cleared
//	beat ID               a heartbeat
//	wait 5s
//	= NAME STATE          expected state
//	> NAME ok|bad EVENT   expected publication, in order; ">" alone: none since
type story struct {
	t     *testing.T
	table *table
	now   time.Time
	peers map[string]*delivery.Peer
	ids   int
	kept  map[string][]byte // by topic level
	log   []string          // publications
}

func (s *story) Tap(delivery.TapOptions) *delivery.Tap { return nil }
func (s *story) EachRetained(string, func(delivery.Sight) bool) {
}
func (s *story) Client(id string) (delivery.ClientInfo, bool) {
	p := s.peers[id]
	return delivery.ClientInfo{Connected: p != nil}, p != nil
}

func newStory(t *testing.T, change func(*Options)) *story {
	t.Helper()
	s := &story{t: t, now: time.Unix(1_790_000_000, 0), peers: map[string]*delivery.Peer{}, kept: map[string][]byte{}}
	o := &Options{
		Engine: s, Heartbeat: 5 * time.Second, Grace: 30 * time.Second, ErrorHold: time.Minute, Log: zerolog.Nop(),
		Harmless: []string{"frame_timeout", "invalid_command"},
		NewID:    func() string { s.ids++; return fmt.Sprintf("%032x", s.ids) },
		Now:      func() time.Time { return s.now },
	}
	if change != nil {
		change(o)
	}
	s.table = newTable(o, s.now)
	return s
}

func (s *story) run(script string) {
	s.t.Helper()
	for line := range strings.SplitSeq(script, "\n") {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) == "" {
			continue
		}
		s.step(strings.Fields(line))
	}
}

func (s *story) step(f []string) {
	s.t.Helper()
	word := strings.Join(f, " ")
	switch {
	case f[0] == "wait":
		d, err := time.ParseDuration(f[1])
		require.NoError(s.t, err)
		s.wait(d)
	case f[0] == "=":
		r := s.table.records[f[1]]
		require.NotNil(s.t, r, word)
		assert.Equal(s.t, f[2], string(r.state), "%s (%s)", word, r.err)
	case f[0] == ">":
		s.expect(f[1:])
	case f[0] == "beat":
		s.message(f[1], "system/keepalive/"+f[1], fmt.Sprintf(`{"ok":true,"event":"heartbeat","timestamp":%.3f}`, unix(s.now)-0.002), false)
	case f[0] == "clear":
		delete(s.kept, f[1])
		s.message("owner", healthPrefix+f[1], "", true)
	case f[0] == "will":
		s.kept[f[2]] = envelope("will", f[1], false, f[3], "", unix(s.now))
		s.see(delivery.Sight{Topic: healthPrefix + f[2], From: f[1], Payload: s.kept[f[2]], Retain: true, IsWill: true})
	case f[0][0] == '+':
		p := &delivery.Peer{ID: f[0][1:], Since: s.now}
		s.peers[p.ID] = p
		c := delivery.Sight{Kind: delivery.SawConnect, Peer: p}
		if len(f) > 1 {
			c.Will = healthPrefix + s.table.names.of(p.ID)
		}
		s.see(c)
	case f[0][0] == '-' || f[0][0] == '~':
		p := s.peers[f[0][1:]]
		require.NotNil(s.t, p, word)
		delete(s.peers, p.ID)
		s.see(delivery.Sight{Kind: delivery.SawDisconnect, Peer: p, Clean: f[0][0] == '~', Reason: "closed by peer"})
	default:
		s.ping(f)
	}
}

func (s *story) ping(f []string) {
	s.t.Helper()
	from, bare := strings.CutSuffix(f[0], ".")
	from = strings.TrimSuffix(from, ":")
	if from == "server" {
		from = ""
	}
	s.ids++
	b := envelope(fmt.Sprintf("%032x", s.ids), from, f[2] == "ok", f[3], strings.Join(f[4:], " "), unix(s.now))
	if bare {
		b = fmt.Appendf(nil, `{"ok": %t, "event": %q, "timestamp": 12}`, f[2] == "ok", f[3])
	}
	s.kept[f[1]] = b
	s.message(from, healthPrefix+f[1], string(b), true)
}

func envelope(id, from string, ok bool, event, err string, ts float64) []byte {
	data := map[string]any{"message_id": "m" + id, "ok": ok, "event": event, "timestamp": ts}
	if err != "" {
		data["err"] = err
	}
	b, _ := json.Marshal(map[string]any{"id": id, "type": "health.status", "ts": ts, "source": from, "data": data})
	return b
}

func (s *story) message(from, topic, payload string, retain bool) {
	s.see(delivery.Sight{Topic: topic, From: from, Payload: []byte(payload), Retain: retain})
}

func (s *story) see(x delivery.Sight) {
	x.At = s.now
	s.table.see(x)
	s.collect()
	s.now = s.now.Add(time.Millisecond)
}

func (s *story) wait(d time.Duration) {
	end := s.now.Add(d)
	for !s.table.next.IsZero() && !s.table.next.After(end) {
		if s.table.next.After(s.now) {
			s.now = s.table.next
		}
		s.table.due(s.now)
		s.collect()
	}
	s.now = end
}

// collect notes what was published, as a retained message too.
func (s *story) collect() {
	for _, p := range s.table.out {
		level := strings.TrimPrefix(p.topic, healthPrefix)
		if len(p.payload) == 0 {
			delete(s.kept, level)
			s.log = append(s.log, level+" cleared")
			continue
		}
		s.kept[level] = p.payload
		m, err := contract.Health.At(level).Decode(p.payload) // strict: as a peer reads it
		require.NoError(s.t, err, "%s", p.payload)
		word, form := "bad", ""
		if m.Data.OK {
			word = "ok"
		}
		if m.Bare {
			form = " bare"
		}
		s.log = append(s.log, level+" "+word+" "+contract.Value(m.Data.Event)+form)
	}
	s.table.out = nil
}

func (s *story) expect(want []string) {
	s.t.Helper()
	if len(want) == 0 {
		assert.Empty(s.t, s.log)
		s.log = nil
		return
	}
	if assert.NotEmpty(s.t, s.log, "want %s", strings.Join(want, " ")) {
		assert.Equal(s.t, strings.Join(want, " "), s.log[0])
		s.log = s.log[1:]
	}
}

// said is the retained message of a topic level, decoded.
func (s *story) said(level string) contract.Message[contract.HealthPing] {
	s.t.Helper()
	m, err := contract.Health.At(level).Decode(s.kept[level])
	require.NoError(s.t, err)
	return m
}
