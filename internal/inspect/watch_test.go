package inspect

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestViolations(t *testing.T) {
	t.Parallel()
	m := New(small())
	m.Add(text("tts/say", `{"text":"hello"}`))
	m.Add(text("tts/say", `{"id":"1","type":"tts.say","source":"me","data":{"txt":"hello"}}`))
	m.Add(text("unknown/topic", "x"))
	m.Add(retained("system/health/x", ""))
	list, n := m.Violations()
	require.Len(t, list, 1)
	assert.EqualValues(t, 1, n)
	assert.Equal(t, Violation{At: t0, Topic: "tts/say", Problem: "tts/say: txt: unknown key", From: "me"}, list[0])
	assert.EqualValues(t, 1, m.Topic("tts/say").Violations)
	for range 5 {
		m.Add(later(text("tts/say", `x`), time.Hour))
	}
	list, n = m.Violations()
	assert.Len(t, list, 3, "the newest")
	assert.EqualValues(t, 6, n)
}

func TestDrops(t *testing.T) {
	t.Parallel()
	m := New(small())
	_, _, known := m.Dropped()
	assert.False(t, known)
	m.Add(text(auditTopic, `{"ts":"2026-03-05T07:08:09Z","event":"drop","client":"slow","topic":"a/b","reason":"queue full","count":7}`))
	m.Add(text(auditTopic, `{"event":"refused","client":"cam","reason":"bad user name or password","code":134}`))
	m.Add(text(auditTopic, `{"event":"connect","client":"cam"}`))
	m.Add(text(auditTopic, `{`))
	list, n := m.Drops()
	assert.EqualValues(t, 2, n)
	assert.Equal(t, Drop{At: t0, Kind: "drop", Client: "slow", Topic: "a/b", Reason: "queue full", Count: 7}, list[0])
	assert.Equal(t, 1, list[1].Count)

	m.Add(retained(lostTopic, "12"))
	m.Add(retained(droppedTopic+"rate", "2"))
	m.Add(retained(droppedTopic+"queue full", "10"))
	m.Add(retained(droppedTopic+"odd", "many"))
	total, reasons, known := m.Dropped()
	assert.True(t, known)
	assert.EqualValues(t, 12, total)
	assert.Equal(t, []Reason{{"queue full", 10}, {"rate", 2}}, reasons)
}

func TestClientsByAudit(t *testing.T) {
	t.Parallel()
	m := New(small())
	for _, ev := range []string{
		`{"event":"connect","client":"a","user":"u","remote":"1.2.3.4:5","listener":"tcp://:1883"}`,
		`{"event":"connect","client":"b"}`, `{"event":"disconnect","client":"b"}`, `{"event":"drop","client":"b","count":3}`,
		`{"event":"publish_refused","client":"x"}`, `{"event":"disconnect","client":"a"}`, `{"event":"connect","client":"a","user":"v"}`,
	} {
		m.Add(text(auditTopic, ev))
	}
	list, full := m.Clients()
	assert.False(t, full)
	require.Len(t, list, 2)
	assert.Equal(t, "b", list[0].ID, "drops come first")
	assert.EqualValues(t, 3, list[0].Dropped)
	assert.False(t, list[0].Connected, "what is dropped for a session that waits connects nobody")
	assert.Equal(t, &Client{ID: "a", User: "v", Connected: true, Since: t0}, list[1])
	m.Add(text(auditTopic, `{"event":"session_end","client":"b"}`))
	list, _ = m.Clients()
	assert.Len(t, list, 1)

	m.SetClients(Clients{Clients: []Client{{ID: "z", Queued: 1}, {ID: "y"}, {ID: "x"}}, More: 1}, t0)
	m.Add(text(auditTopic, `{"event":"connect","client":"q"}`))
	list, full = m.Clients()
	assert.True(t, full)
	require.Len(t, list, 2, "the limit")
	assert.Equal(t, "z", list[0].ID, "queues come next")
	assert.Equal(t, []string{"2 clients beyond 2"}, m.Hit())
}

// Who comes and goes with another name each time leaves room for others.
func TestGoneClientsGiveWay(t *testing.T) {
	t.Parallel()
	m := New(small())
	event := func(sec int, what, id string) {
		m.Add(later(text(auditTopic, `{"event":"`+what+`","client":"`+id+`"}`), time.Duration(sec)*time.Second))
	}
	event(0, "connect", "stays")
	for i := range 5 {
		event(2*i, "connect", fmt.Sprint("pub", i))
		event(2*i+1, "disconnect", fmt.Sprint("pub", i))
	}
	event(20, "connect", "last")
	list, _ := m.Clients()
	require.Len(t, list, 2)
	assert.Equal(t, []string{"last", "stays"}, []string{list[0].ID, list[1].ID})
	assert.Empty(t, m.Hit())
}

func TestHealthByTopic(t *testing.T) {
	t.Parallel()
	m := New(small())
	m.Add(retained("system/health/stt", `{"id":"1","type":"health.status","ts":1,"source":"stt","data":{"ok":false,"event":"error","err":"no microphone","timestamp":1789999990.5}}`))
	m.Add(retained("system/health/movement-esp32", `{"ok":true,"event":"ready","timestamp":12}`))
	m.Add(retained("system/health/bad", `{"ok":"perhaps"}`))
	m.Add(later(text("system/keepalive/tars-stt", `{"timestamp":1}`), time.Second))
	list, full := m.Peers()
	assert.False(t, full)
	require.Len(t, list, 2)
	assert.Equal(t, &Peer{Name: "movement-esp32", State: "ready", Up: true, Since: t0}, list[0], "a device's clock is none")
	assert.Equal(t, &Peer{
		Name: "stt", State: "error", Err: "no microphone", Since: time.UnixMilli(1789999990500), LastSeen: t0.Add(time.Second),
	}, list[1])
	m.Add(retained("system/health/stt", ""))
	list, _ = m.Peers()
	assert.Len(t, list, 1)

	m.SetPeers([]Peer{{Name: "wake", Up: true}})
	m.Add(retained("system/health/late", `{"ok":true}`))
	list, full = m.Peers()
	assert.True(t, full)
	require.Len(t, list, 1, "the broker's verdict counts")
	assert.Equal(t, "wake", list[0].Name)
}
