package health

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/delivery"
)

// A message that is carried to another name is the same message.
func TestMirrorKeepsTheEnvelope(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	s.run("+tars-stt\n tars-stt: tars-stt ok ready")
	assert.JSONEq(t, string(s.kept["tars-stt"]), string(s.kept["stt"]))

	s.run("+tars-esp32\n tars-esp32. movement-esp32 ok ready")
	assert.JSONEq(t, `{"ok":true,"event":"ready","timestamp":12}`, string(s.kept["movement-esp32"]), "stays as it is on its own topic")
	m := s.said("movement-controller")
	assert.False(t, m.Bare)
	assert.Equal(t, "movement-esp32", m.Source)
	assert.Len(t, m.ID, 32)
	assert.Equal(t, m.ID, s.said("tars-esp32").ID)
	assert.InDelta(t, unix(s.now), m.Data.Timestamp, 1, "the board's clock is not passed on")
	assert.InDelta(t, unix(s.now), m.TS, 1)

	// The other way: an envelope under another name reaches the page that reads the bare form.
	s.run("+host\n host: movement-controller bad overheated")
	assert.True(t, s.said("movement-esp32").Bare)
	assert.False(t, s.said("movement-esp32").Data.OK)
}

func TestVerdictMessage(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	s.run("+tars-tts\n tars-tts: tts ok ready\n -tars-tts\n wait 1s")
	m := s.said("tts")
	assert.Equal(t, "health.status", m.Type)
	assert.Equal(t, "tarsd", m.Source)
	assert.Equal(t, "closed by peer", *m.Data.Err)
	assert.InDelta(t, unix(s.now), m.TS, 2)
	assert.Equal(t, m.ID, s.said("tars-tts").ID)
}

// After a restart of the broker what was retained holds for a while.
func TestRestart(t *testing.T) {
	t.Parallel()
	kept := func(s *story, from, level string, ok bool, event string) delivery.Sight {
		s.ids++
		s.kept[level] = envelope(fmt.Sprint(s.ids), from, ok, event, "", unix(s.now))
		return delivery.Sight{Topic: healthPrefix + level, From: from, Payload: s.kept[level], Retain: true, At: s.now.Add(-time.Hour)}
	}
	for name, test := range map[string]struct {
		retained func(s *story) []delivery.Sight
		script   string
	}{
		"never comes back": {func(s *story) []delivery.Sight {
			return []delivery.Sight{kept(s, "tars-tts", "tars-tts", true, "ready"), kept(s, "", "tts", true, "ready")}
		}, `
			= tts unknown
			wait 29s
			= tts unknown
			>
			wait 2s
			= tts disconnected
			> tts bad disconnected
			> tars-tts bad disconnected
			wait 24h
			>`},
		"comes back without a word": {func(s *story) []delivery.Sight {
			return []delivery.Sight{kept(s, "tars-tts", "tars-tts", true, "ready"), kept(s, "", "tts", true, "ready")}
		}, `
			wait 10s
			+tars-tts
			wait 1h
			= tts reconnected
			>`},
		"the other name is missing": {func(s *story) []delivery.Sight {
			return []delivery.Sight{kept(s, "tars-tts", "tars-tts", true, "ready")}
		}, `
			> tts ok ready
			+tars-tts
			wait 1h
			>`},
		"gone as it said": {func(s *story) []delivery.Sight {
			return []delivery.Sight{kept(s, "tars-tts", "tars-tts", false, "shutdown"), kept(s, "", "tts", false, "shutdown")}
		}, `
			= tts shutdown
			wait 1h
			>`},
		"gone before, and back without a word": {func(s *story) []delivery.Sight {
			return []delivery.Sight{kept(s, "", "tars-tts", false, "disconnected"), kept(s, "", "tts", false, "disconnected")}
		}, `
			= tts disconnected
			+tars-tts
			= tts reconnected
			wait 1s
			> tts ok reconnected
			> tars-tts ok reconnected`},
		"a foreign speaker": {func(s *story) []delivery.Sight {
			return []delivery.Sight{kept(s, "bridge", "garden", true, "ready")}
		}, `
			+bridge
			= garden reconnected
			wait 1h
			>
			-bridge
			wait 1s
			> garden bad disconnected`},
		"an error of a service that is not there": {func(s *story) []delivery.Sight {
			return []delivery.Sight{kept(s, "tars-memory", "memory", false, "oops"), kept(s, "", "tars-memory", false, "oops")}
		}, `
			wait 31s
			= memory disconnected
			> memory bad disconnected
			> tars-memory bad disconnected`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStory(t, nil)
			s.table.load(test.retained(s), s.now)
			s.collect()
			s.run(test.script)
		})
	}
}

// A client id is its client's choice: who may not publish a health message is nobody's peer.
func TestClientIDIsNoVoice(t *testing.T) {
	t.Parallel()
	s := newStory(t, func(o *Options) {
		o.MayPublish = func(p *delivery.Peer, topic string) bool {
			return p.ID != "tars-llm" && topic == "system/health/tars-stt"
		}
	})
	s.table.load([]delivery.Sight{{Topic: healthPrefix + "llm", From: "tars-llm", Payload: envelope("1", "llm", true, "ready", "", 1), Retain: true}}, s.now)
	s.log, s.table.out = nil, nil
	s.run(`
		+tars-llm
		= llm unknown
		-tars-llm
		+tars-stt
		= stt connected
		wait 31s
		= llm disconnected
		> llm bad disconnected
		> tars-llm bad disconnected`)
	assert.NotContains(t, s.table.records, "nobody")
}

func TestRequired(t *testing.T) {
	t.Parallel()
	s := newStory(t, func(o *Options) { o.Services = []string{"stt"}; o.Required = []string{"tars-esp32", "lamp"} })
	w := &Watcher{o: *s.table.o, table: s.table, tap: &delivery.Tap{}, started: s.now}
	assert.Equal(t, []string{"lamp", "movement-esp32", "stt"}, w.Verdict().Down)
	assert.Empty(t, w.Verdict().Failed, "they have time to come")
	assert.False(t, w.Verdict().Ready)

	s.run("+tars-stt will\n +tars-esp32\n tars-esp32. movement-esp32 ok ready")
	assert.Equal(t, []string{"lamp", "stt"}, w.Verdict().Down, "a service of ours says when it is ready")
	s.run("tars-stt: stt ok ready")
	assert.True(t, w.Verdict().Ready)
	s.run("+tars-lamp")
	assert.Empty(t, w.Verdict().Down, "who never speaks of its health is as well as its connection")
	s.run("-tars-lamp")
	assert.Equal(t, []string{"lamp"}, w.Verdict().Down)
	s.run("-tars-stt")
	assert.Equal(t, []string{"stt"}, w.Verdict().Failed, "it was up, so there is nothing to wait for")
	assert.True(t, w.Verdict().Ready, "and stays: who depends on it starts once")
	s.run("wait 31s")
	assert.Equal(t, "lamp is disconnected, stt is disconnected", w.Verdict().Reason())

	b, err := json.Marshal(w.Report())
	require.NoError(t, err)
	assert.Contains(t, string(b), `"name":"movement-esp32","state":"ready","up":true,"required":true`)
	assert.NotContains(t, string(b), "router", "nobody knows of it")
}

func TestFigures(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	w := &Watcher{o: *s.table.o, table: s.table, tap: &delivery.Tap{}, started: s.now}
	s.run(`
		+tars-stt will
		tars-stt: stt ok ready
		beat tars-stt
		wait 4s
		beat tars-stt
		tars-stt: stt bad restarting one
		tars-stt: stt bad restarting two
		tars-stt: stt ok ready
		-tars-stt
		+tars-stt will
		beat tars-stt`)
	rep := w.Report()
	require.Len(t, rep.Peers, 1)
	p := rep.Peers[0]
	assert.Equal(t, 2, p.Restarts)
	assert.Equal(t, 1, p.Losses)
	assert.Equal(t, 2, p.Connects)
	assert.InDelta(t, 4001, p.IntervalMS, 1)
	require.NotNil(t, p.LatencyMS)
	assert.InDelta(t, 2, *p.LatencyMS, 0.5)
	assert.Equal(t, []string{"tars-stt"}, p.Clients)

	s.message("tars-stt", "system/keepalive/tars-stt", `{"ok":true,"event":"heartbeat","timestamp":12}`, false)
	assert.Nil(t, w.Report().Peers[0].LatencyMS, "a clock that counts from power-on tells no latency")
}

// Names are chosen by strangers: what they can make grow has a bound, and who matters keeps a place.
func TestFlood(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	s.run("+tars-stt will\n tars-stt: stt ok ready")
	for i := range 10_000 {
		s.message("mallory", fmt.Sprintf("%sx%d", healthPrefix, i), `{"ok":true}`, true)
		s.message("mallory", fmt.Sprintf("%stars-y%d", healthPrefix, i), `{"ok":true}`, true)
		s.see(delivery.Sight{Kind: delivery.SawConnect, Peer: &delivery.Peer{ID: fmt.Sprintf("tars-z%d", i)}})
	}
	assert.LessOrEqual(t, len(s.table.records), maxRecords)
	assert.Positive(t, s.table.refused)
	s.run("= stt ready\n -tars-stt\n = stt disconnected")
	s.run("+tars-tts will\n tars-tts: tts ok ready\n = tts ready")

	for _, level := range []string{"", "a/b", "a b", "\x1b[31m", "ä", "..//", string(make([]byte, 65)), "tars-"} {
		n := len(s.table.records)
		s.message("mallory", healthPrefix+level, `{"ok":true}`, true)
		s.message("mallory", keepalivePrefix+level, `{"ok":true}`, false)
		if level != "tars-" { // a name like another
			assert.Len(t, s.table.records, n, "%q", level)
		}
	}
	many := newStory(t, nil) // one bound client for many names: ended at once
	many.run("+bridge")
	for i := range 500 {
		many.message("bridge", fmt.Sprintf("%sx%d", healthPrefix, i), `{"ok":true}`, true)
	}
	assert.Len(t, many.table.bound["bridge"], 500)
	many.run("-bridge\n = x0 disconnected\n = x499 disconnected")
}

func TestJunk(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	s.run("+tars-stt\n tars-stt: stt ok ready\n > tars-stt ok ready")
	for _, b := range []string{"x", "null", "[]", `"ok"`, `{}`, `{"ok":null}`, `{"ok":"yes"}`, `{"type":"x","data":{}}`, `{"type":"x","data":[1]}`} {
		s.message("tars-stt", healthPrefix+"stt", b, true)
		s.message("tars-stt", keepalivePrefix+"tars-stt", b, true)
	}
	assert.Equal(t, uint64(18), s.table.malformed)
	s.run("= stt ready\n >")
}

// What is not retained is not carried, since that would retain it; a will is no heartbeat; and what is
// shown of a message is short.
func TestWordsOfTheMoment(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	s.run("+tars-stt\n +tars-tts")
	s.message("tars-stt", healthPrefix+"stt", string(envelope("1", "stt", false, "oops", strings.Repeat("x", 5000), unix(s.now))), false)
	s.run("= stt error\n >")
	assert.Len(t, s.table.records["stt"].err, maxErr)
	s.see(delivery.Sight{Topic: keepalivePrefix + "tars-tts", From: "tars-tts", Payload: []byte(`{"ok":true}`), IsWill: true})
	s.run("= tts connected")
}

func TestResync(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	s.run("+tars-stt will\n tars-stt: stt ok ready\n beat tars-stt\n +tars-llm\n tars-llm: llm ok ready")
	s.log = nil
	// Lost: llm has gone, tts has come and said that it is ready, and heartbeats of stt.
	delete(s.peers, "tars-llm")
	s.peers["tars-tts"] = &delivery.Peer{ID: "tars-tts"}
	s.now = s.now.Add(20 * time.Second)
	tts := envelope("t1", "tars-tts", true, "ready", "", unix(s.now))
	s.table.resync([]delivery.Sight{
		{Topic: healthPrefix + "tts", From: "tars-tts", Payload: tts, Retain: true},
		{Topic: healthPrefix + "stt", From: "tars-stt", Payload: s.kept["stt"], Retain: true},
	}, s.now)
	s.collect()
	s.run(`
		= stt ready
		= llm disconnected
		= tts ready
		> tars-tts ok ready
		wait 1s
		> llm bad disconnected
		> tars-llm bad disconnected
		>`)
}
