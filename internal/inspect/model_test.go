package inspect

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var t0 = time.Unix(1_790_000_000, 0)

// small are limits that a test can reach.
func small() Limits {
	return Limits{
		Nodes: 10, Depth: 4, NameBytes: 200, History: 3, Bytes: 4096, Payload: 1000, Turns: 3, Problems: 3, Clients: 2, Peers: 2, ChecksASec: 5,
		SearchBytes: 100,
	}
}

func text(topic, payload string) Message {
	return Message{Topic: topic, Payload: []byte(payload), At: t0}
}

func retained(topic, payload string) Message {
	m := text(topic, payload)
	m.Retain = true
	return m
}

func later(m Message, d time.Duration) Message {
	m.At = t0.Add(d)
	return m
}

// outline is the tree as lines.
func outline(n *Node) []string {
	var out []string
	for _, k := range n.kids {
		out = append(out, fmt.Sprintf("%s%s %d/%d of %d", strings.Repeat(" ", k.Depth-1), k.Name, k.Count, k.Below, k.Topics))
		out = append(out, outline(k)...)
	}
	return out
}

func TestTree(t *testing.T) {
	t.Parallel()
	m := New(DefaultLimits())
	for _, topic := range []string{"b", "a/y", "a/x/1", "a/x/1", "a/x", "a//", "$SYS/up"} {
		m.Add(text(topic, "12"))
	}
	assert.Equal(t, []string{
		"$SYS 0/1 of 1", " up 1/1 of 1", "a 0/5 of 4", "  0/1 of 1", "   1/1 of 1", " x 1/3 of 2", "  1 2/2 of 1", " y 1/1 of 1", "b 1/1 of 1",
	}, outline(m.Root))
	n := m.Topic("a/x/1")
	require.NotNil(t, n)
	assert.Equal(t, "a/x/1", n.Path)
	assert.Equal(t, "a/x", n.Parent.Path)
	assert.EqualValues(t, 4, n.Bytes)
	assert.Nil(t, m.Topic("a"), "a level without a message is no topic")
	messages, bytes := m.Totals()
	assert.EqualValues(t, 7, messages)
	assert.EqualValues(t, 14, bytes)
	assert.Equal(t, "a//", m.Topic("a//").Path)
	assert.Empty(t, m.Hit())
}

func TestRates(t *testing.T) {
	t.Parallel()
	m := New(DefaultLimits())
	for sec := range 10 {
		for i := range 20 {
			m.Add(later(text("a/b", "x"), time.Duration(sec)*time.Second+time.Duration(i)*time.Millisecond))
		}
	}
	now := t0.Add(10 * time.Second)
	assert.InDelta(t, 20, m.Rate(now), 0)
	assert.Equal(t, []uint32{20, 20, 20}, m.Topic("a/b").Spark(now, 3))
	m.Add(later(text("a/slow", "x"), 10*time.Second))
	assert.InDelta(t, 1, m.Topic("a/slow").Rate(now), 0, "the first second counts")
	now = t0.Add(40 * time.Second)
	assert.InDelta(t, 200./40, m.Topic("a/b").Rate(now), 0.01, "few: over the last minute")
	assert.InDelta(t, 1./30, m.Topic("a/slow").Rate(now), 0.01)
	assert.Equal(t, []uint32{0, 0, 0}, m.Topic("a/b").Spark(now, 3))
	assert.InDelta(t, 0, m.Rate(t0.Add(5*time.Minute)), 0)
	ring := New(DefaultLimits()) // seconds come round
	many(ring, 30, text("a", "x"))
	ring.Add(later(text("a", "x"), 50*time.Second))
	assert.InDelta(t, 1./59, ring.Rate(t0.Add(65*time.Second)), 0.001)

	m.Add(text("a/b", "x")) // a clock that was put back
	assert.EqualValues(t, 201, m.Topic("a/b").Count)
	assert.Equal(t, make([]uint32, 3), New(small()).Root.Spark(t0, 3))
}

func TestRetained(t *testing.T) {
	t.Parallel()
	m := New(DefaultLimits())
	m.Add(retained("a", "1"))
	n := m.Topic("a")
	assert.True(t, n.Retained)
	assert.True(t, n.RetainedEarly, "the first may be a replay")
	m.Add(later(retained("a", "2"), time.Second))
	assert.False(t, n.RetainedEarly)
	assert.Equal(t, t0.Add(time.Second), n.RetainedSince)
	m.Add(later(text("a", "3"), 2*time.Second))
	assert.True(t, n.Retained, "what is not retained leaves it")
	m.Add(retained("b/c", "x"))
	assert.Len(t, m.Root.Retaining(), 2)
	m.Pause(true)
	m.Add(retained("a", ""))
	assert.False(t, n.Retained, "also while paused")
	assert.Equal(t, "b/c", m.Root.Retaining()[0].Path)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		add  func(m *Model)
		want string
	}{
		"levels": {func(m *Model) {
			for i := range 20 {
				m.Add(text(fmt.Sprint(i), ""))
			}
		}, "10 messages on topics beyond the 10 levels"},
		"names":    {func(m *Model) { m.Add(text(strings.Repeat("n", 201), "")) }, "1 messages on topics beyond"},
		"payload":  {func(m *Model) { m.Add(text("a", strings.Repeat("p", 1001))) }, "1 values cut at"},
		"checking": {func(m *Model) { many(m, 7, retained("system/health/x", "{}")) }, "2 messages not checked"},
		"bytes": {func(m *Model) {
			for i := range 5 {
				m.Add(text(fmt.Sprint(i), strings.Repeat("p", 900)))
			}
		}, "2 old values given up"},
		"clients": {func(m *Model) { m.SetClients(Clients{Clients: make([]Client, 0), More: 3}, t0) }, "3 clients beyond 2"},
		"peers":   {func(m *Model) { m.SetPeers([]Peer{{Name: "a"}, {Name: "b"}, {Name: "c"}}) }, "1 names with a health beyond 2"},
		"peers by topic": {func(m *Model) {
			for i := range 3 {
				m.Add(retained(fmt.Sprintf("system/health/%d", i), `{"ok":true}`))
			}
		}, "1 names with a health beyond 2"},
		"clients by audit": {func(m *Model) {
			for i := range 3 {
				m.Add(text(auditTopic, fmt.Sprintf(`{"event":"connect","client":"c%d"}`, i)))
			}
		}, "1 clients beyond 2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := New(small())
			tt.add(m)
			require.Len(t, m.Hit(), 1)
			assert.Contains(t, m.Hit()[0], tt.want)
		})
	}
}

func many(m *Model, n int, msg Message) {
	for range n {
		m.Add(msg)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	m := New(small())
	for i := range 5 {
		m.Add(text("a", fmt.Sprint(i)))
	}
	n := m.Topic("a")
	var got []string
	for _, e := range n.History() {
		got = append(got, string(e.Payload))
	}
	assert.Equal(t, []string{"2", "3", "4"}, got)
	assert.Equal(t, "4", string(n.Last().Payload))
	assert.EqualValues(t, 5, n.Count)

	m.Add(text("b", strings.Repeat("x", 2000)))
	e := m.Topic("b").Last()
	assert.True(t, e.Cut())
	assert.Len(t, e.Payload, 1000)
	assert.Less(t, cap(e.Payload), 2000, "the rest is not held")
	assert.Equal(t, 2000, e.Size)
}

// A message that is kept holds nothing of the packet that it came in, which may be far larger.
func TestKeptIsCopied(t *testing.T) {
	t.Parallel()
	m := New(small())
	packet := make([]byte, 1<<20)
	topic := strings.Repeat("n", 100)
	for range 2 {
		m.Add(Message{Topic: strings.Clone(topic), Payload: packet[len(packet)-5:], Props: make([]Prop, 1000), At: t0})
	}
	n := m.Topic(topic)
	packet[len(packet)-1] = 'x'
	for _, e := range n.History() {
		assert.Equal(t, make([]byte, 5), e.Payload)
		assert.Less(t, cap(e.Props), 2*maxProps)
		assert.Same(t, unsafe.StringData(n.Path), unsafe.StringData(e.Topic), "one name for all")
	}
}

// What is kept stays below the limit whatever comes, and the newest is there.
func TestBytesAreBounded(t *testing.T) {
	t.Parallel()
	m := New(small())
	for i := range 1000 {
		m.Add(text(fmt.Sprintf("t/%d", i%8), strings.Repeat("x", i%700)))
		require.LessOrEqual(t, m.store.bytes, 4096)
		sum := 0
		for e := m.store.first; e != nil; e = e.next {
			sum += e.cost
		}
		require.Equal(t, sum, m.store.bytes)
	}
	assert.False(t, m.store.last.Shed)
	m.Add(text("t/0", strings.Repeat("x", 1000)))
	for i := range 4 {
		m.Add(text(fmt.Sprintf("t/%d", i+1), strings.Repeat("x", 1000)))
	}
	n := m.Topic("t/0")
	require.Len(t, n.History(), 1, "what was given up goes, but for the newest")
	assert.True(t, n.Last().Shed)
	assert.Nil(t, n.Last().Payload)
	assert.Equal(t, 1000, n.Last().Size)
	m.Add(text("t/0", "new"))
	require.Len(t, n.History(), 1)
	assert.Equal(t, "new", string(n.Last().Payload))
}

func TestDeepTopics(t *testing.T) {
	t.Parallel()
	m := New(small())
	m.Add(text("a/b/c/d/e/f", ""))
	m.Add(text("a/b/c/d/e/g", ""))
	assert.Equal(t, []string{"a 0/2 of 2", " b 0/2 of 2", "  c 0/2 of 2", "   d/e/f 1/1 of 1", "   d/e/g 1/1 of 1"}, outline(m.Root))
}

func TestPause(t *testing.T) {
	t.Parallel()
	m := New(DefaultLimits())
	m.Add(text("a", "1"))
	v := m.Version()
	m.Pause(true)
	m.Add(text("a", "2"))
	on, n := m.Paused()
	assert.True(t, on)
	assert.EqualValues(t, 1, n)
	assert.EqualValues(t, 2, m.Topic("a").Count)
	assert.Equal(t, "1", string(m.Topic("a").Last().Payload))
	m.Pause(false)
	m.Add(text("a", "3"))
	assert.Equal(t, "3", string(m.Topic("a").Last().Payload))
	on, n = m.Paused()
	assert.False(t, on)
	assert.Zero(t, n)
	assert.Greater(t, m.Version(), v)
}

func TestBroker(t *testing.T) {
	t.Parallel()
	m := New(DefaultLimits())
	assert.Empty(t, m.Broker())
	m.Add(retained("$SYS/broker/version", "mosquitto version 2.0.21"))
	assert.Equal(t, "mosquitto version 2.0.21", m.Broker())
	assert.False(t, m.IsTarsd())
	m.Add(retained("$SYS/broker/version", "tarsd version 1"))
	assert.True(t, m.IsTarsd())
}

func BenchmarkAdd(b *testing.B) {
	for name, payload := range map[string]string{
		"system/keepalive/stt": `{"ok":true,"event":"heartbeat","timestamp":1790000000}`,
		"other/topic":          `{"at":1790000000,"text":"some words to fill a message of a usual size"}`,
	} {
		b.Run(strings.ReplaceAll(name, "/", "_"), func(b *testing.B) {
			b.ReportAllocs()
			l := DefaultLimits()
			l.ChecksASec = 1 << 30
			m := New(l)
			msg := text(name, payload)
			for b.Loop() {
				m.Add(msg)
			}
		})
	}
}

// FuzzAdd feeds whatever may come, on the topics that are looked into, and reads everything that is shown.
func FuzzAdd(f *testing.F) {
	f.Add("wake/event", `{"type":"wake"}`, "t1", true)
	f.Add("tts/status", `{"event":"speaking_end"}`, "t1", false)
	f.Add(auditTopic, `{"event":"drop","client":"x","count":-4}`, "", false)
	f.Add("system/health/x", `{"ok":false,"timestamp":1e300}`, "", true)
	f.Add("//", "\xff\x00", "\xff", true)
	f.Fuzz(func(t *testing.T, topic, payload, turn string, retain bool) {
		m := New(small())
		msg := text(topic, payload)
		msg.Retain, msg.Props = retain, []Prop{{"turn", turn}, {"origin", turn}}
		for i := range 3 {
			m.Add(later(msg, time.Duration(i)*time.Second))
			m.Add(later(text("dialogue/text", payload), time.Duration(i)*time.Second))
		}
		m.Rows(map[*Node]bool{}, m.Query(topic), m.Query(payload))
		m.Find(m.Query(payload), nil, nil, true)
		m.Clients()
		m.Peers()
		m.Dropped()
		for _, n := range m.topics {
			for _, e := range n.History() {
				for _, hex := range []bool{false, true} {
					for _, l := range ValueOf(e, hex, 80).Lines {
						require.Equal(t, l, Clean(l))
					}
				}
				require.Equal(t, Line(e, 80), Clean(Line(e, 80)))
			}
		}
		for _, turn := range m.Turns() {
			require.LessOrEqual(t, len(turn.ids), maxIDs)
		}
	})
}
