package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/delivery"
)

// fakeEngine remembers what was published.
type fakeEngine struct {
	mu        sync.Mutex
	stats     delivery.Stats
	clients   []delivery.ClientInfo
	published []string // topic and payload
	values    map[string]string
	retain    map[string]bool
	block     chan struct{} // Publish waits for it when set
}

func (f *fakeEngine) Stats() delivery.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Dropped = maps.Clone(f.stats.Dropped)
	return s
}

func (f *fakeEngine) Clients() []delivery.ClientInfo { return f.clients }

func (f *fakeEngine) PublishBytes() (uint64, uint64) { return 7, 9 }

func (f *fakeEngine) Publish(topic string, payload []byte, qos byte, retain bool) {
	if f.block != nil {
		<-f.block
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.values == nil {
		f.values, f.retain = map[string]string{}, map[string]bool{}
	}
	f.published = append(f.published, topic+" "+string(payload))
	f.values[topic], f.retain[topic] = string(payload), retain
}

func (f *fakeEngine) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.published
	f.published = nil
	return p
}

// Mosquitto 2.0's own list, as `mosquitto_sub -t '$SYS/#'` shows it.
var mosquittoTopics = strings.Fields(`bytes/received bytes/sent clients/active clients/connected clients/disconnected
clients/expired clients/inactive clients/maximum clients/total heap/current heap/maximum messages/received messages/sent
messages/stored publish/bytes/received publish/bytes/sent publish/messages/dropped publish/messages/received
publish/messages/sent shared_subscriptions/count store/messages/bytes store/messages/count subscriptions/count uptime version`)

func TestSysNames(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{stats: delivery.Stats{Started: time.Now().Add(-42 * time.Second), ClientsConnected: 3, ClientsTotal: 5,
		Retained: 2, Queued: 4, RetainedBytes: 10, QueuedBytes: 20, Dropped: map[string]uint64{"queue_full": 8, "a/+#": 1}}}
	s := NewSys(SysOptions{Engine: e, Version: "1.2.3", Expired: func() uint64 { return 6 }, Sockets: func() uint64 { return 11 }})
	s.pass(time.Now())
	for _, name := range mosquittoTopics {
		assert.Contains(t, e.values, sysPrefix+name)
	}
	assert.Contains(t, e.values, "$SYS/broker/retained messages/count")
	for _, l := range []string{"messages/received", "messages/sent", "publish/dropped", "publish/received", "publish/sent",
		"bytes/received", "bytes/sent", "connections", "sockets"} {
		for _, m := range []string{"1min", "5min", "15min"} {
			assert.Equal(t, "0.00", e.values["$SYS/broker/load/"+l+"/"+m], l)
		}
	}
	want := map[string]string{
		"uptime": "42 seconds", "version": "tarsd version 1.2.3", "clients/disconnected": "2", "clients/expired": "6",
		"messages/stored": "6", "store/messages/bytes": "30", "publish/bytes/received": "7", "publish/bytes/sent": "9",
	}
	for name, v := range want {
		assert.Equal(t, v, e.values[sysPrefix+name], name)
	}
	assert.Equal(t, "8", e.values["$SYS/tarsd/dropped/queue_full"])
	assert.Equal(t, "1", e.values["$SYS/tarsd/dropped/a___"], "a reason must not make wildcards or levels")
	for topic, retain := range e.retain {
		assert.True(t, retain, topic)
	}
}

func TestSysPublishesOnlyChanges(t *testing.T) {
	t.Parallel()
	start := time.Now()
	e := &fakeEngine{stats: delivery.Stats{Started: start}}
	s := NewSys(SysOptions{Engine: e})
	s.pass(start)
	e.take()
	s.pass(start.Add(10 * time.Second))
	for _, p := range e.take() {
		if !strings.HasPrefix(p, "$SYS/broker/uptime ") && !strings.HasPrefix(p, "$SYS/broker/heap/") {
			t.Errorf("an idle broker published %q", p)
		}
	}
	e.stats.MessagesReceived = 600
	s.pass(start.Add(20 * time.Second))
	assert.Contains(t, e.take(), "$SYS/broker/messages/received 600")
}

func TestSysLoadFollowsMosquittosFormula(t *testing.T) {
	t.Parallel()
	start := time.Now()
	e := &fakeEngine{stats: delivery.Stats{Started: start}}
	s := NewSys(SysOptions{Engine: e})
	s.pass(start)
	want := [3]float64{}
	for i := range 200 {
		e.stats.PublishReceived += 100 // 600 a minute
		s.pass(start.Add(time.Duration(i+1) * 10 * time.Second))
		for k, minutes := range []float64{1, 5, 15} {
			want[k] = 600 + math.Exp(-10/(60*minutes))*(want[k]-600)
		}
		assert.Equal(t, fmt.Sprintf("%.2f", want[1]), e.values["$SYS/broker/load/publish/received/5min"])
	}
	assert.Equal(t, "600.00", e.values["$SYS/broker/load/publish/received/1min"])
	for i := range 2000 { // and back to nothing, after which it is quiet
		s.pass(start.Add(time.Duration(i+201) * 10 * time.Second))
	}
	assert.Equal(t, "0.00", e.values["$SYS/broker/load/publish/received/15min"])
}

func TestSysRunTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fakeEngine{stats: delivery.Stats{Started: time.Now()}}
		s := NewSys(SysOptions{Engine: e})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(35 * time.Second) // fake
		synctest.Wait()
		assert.Equal(t, "30 seconds", e.values["$SYS/broker/uptime"])
		cancel()
		require.NoError(t, <-done)
	})
}

// A pass every ten seconds must not be seen in an idle broker's CPU.
func BenchmarkSysPass(b *testing.B) {
	e := &fakeEngine{stats: delivery.Stats{Started: time.Now()}}
	s := NewSys(SysOptions{Engine: e})
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(10 * time.Second)
		s.pass(now)
		e.published = e.published[:0]
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Split(strings.TrimSpace(s.b.String()), "\n")
}

func TestAuditLogsAndPublishes(t *testing.T) {
	t.Parallel()
	out := &syncBuffer{}
	a := NewAudit(AuditOptions{Log: zerolog.New(out)})
	e := &fakeEngine{}
	a.Event(delivery.Event{Time: time.Unix(1, 0).UTC(), Kind: "refused", Client: "c1", Remote: "10.0.0.1:5", Reason: "not_authorized", Code: 0x87})
	a.Event(delivery.Event{Time: time.Unix(2, 0).UTC(), Kind: "drop", Topic: AuditTopic, Client: "slow", Count: 3})
	a.Event(delivery.Event{Time: time.Unix(3, 0).UTC(), Kind: "session_end", Reason: "session_expired"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // Run drains what waits and ends
	require.NoError(t, a.Run(ctx, e))

	published := e.take()
	require.Len(t, published, 2, "an event about the audit topic must not come back as an event")
	topic, payload, _ := strings.Cut(published[0], " ")
	assert.Equal(t, AuditTopic, topic)
	var ev map[string]any
	require.NoError(t, json.Unmarshal([]byte(payload), &ev))
	assert.Equal(t, map[string]any{"ts": "1970-01-01T00:00:01Z", "event": "refused", "client": "c1", "remote": "10.0.0.1:5",
		"reason": "not_authorized", "code": 135.0}, ev)
	assert.False(t, e.retain[AuditTopic])
	lines := out.lines()
	require.Len(t, lines, 3)
	assert.Contains(t, lines[0], `"level":"warn"`)
	assert.Contains(t, lines[1], `"count":3`)
	assert.Contains(t, lines[2], `"level":"info"`)
	assert.EqualValues(t, 1, a.Expired())
}

// A stuck log or engine costs events, which are counted and told about, but never the caller.
func TestAuditNeverBlocks(t *testing.T) {
	t.Parallel()
	a := NewAudit(AuditOptions{Queue: 4, Log: zerolog.Nop()})
	e := &fakeEngine{block: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, e) }()
	for range 1000 {
		a.Event(delivery.Event{Kind: "drop", Reason: "rate"})
	}
	assert.GreaterOrEqual(t, a.Lost(), uint64(1000-4-1))
	close(e.block)
	cancel()
	require.NoError(t, <-done)
	var told float64
	for _, p := range e.take() {
		var ev map[string]any
		require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(p, AuditTopic+" ")), &ev))
		if ev["event"] == "audit_lost" {
			n, _ := ev["count"].(float64)
			told += n
		}
	}
	assert.EqualValues(t, a.Lost(), told)
}

func TestAuditLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &syncBuffer{}
		a := NewAudit(AuditOptions{Log: zerolog.New(out)})
		e := &fakeEngine{}
		for range 500 {
			a.handle(delivery.Event{Kind: "refused"}, e)
		}
		assert.Len(t, e.take(), 500, "the topic gets all")
		assert.Len(t, out.lines(), logBurst)
		time.Sleep(time.Second) // fake
		a.handle(delivery.Event{Kind: "refused"}, e)
		lines := out.lines()
		require.Len(t, lines, logBurst+2)
		assert.Contains(t, lines[logBurst], `"count":450`)
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{stats: delivery.Stats{Started: time.Now(), ClientsConnected: 3, Queued: 12, PublishReceived: 77,
		Dropped: map[string]uint64{"rate": 4, "queue_full": 5}}}
	for i := range 200 {
		e.clients = append(e.clients, delivery.ClientInfo{Peer: delivery.Peer{ID: fmt.Sprintf("c%03d", i)}, Queued: i,
			Dropped: map[string]uint64{"rate": uint64(i)}})
	}
	h := NewMetrics(MetricsOptions{Engine: e, Version: "9", AuditLost: func() uint64 { return 2 }, Connections: func() int { return 6 },
		Storage: func() Storage {
			return Storage{Degraded: true, Commits: 8, LastCommit: 1500 * time.Microsecond, FileBytes: 4096}
		}})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	body := w.Body.String()
	for _, line := range []string{
		"tarsd_clients_connected 3", "tarsd_queued_messages 12", "tarsd_publish_received_total 77", "tarsd_connections 6",
		`tarsd_dropped_total{reason="rate"} 4`, `tarsd_dropped_total{reason="queue_full"} 5`, `tarsd_build_info{version="9"} 1`,
		"tarsd_storage_degraded 1", "tarsd_storage_commits_total 8", "tarsd_storage_last_commit_seconds 0.0015",
		"tarsd_storage_file_bytes 4096", "tarsd_audit_lost_total 2",
		`tarsd_client_dropped_total{client="c199",reason="rate"} 199`, `tarsd_client_queued_messages{client="c150"} 150`,
	} {
		assert.Contains(t, body, line+"\n")
	}
	assert.Contains(t, body, "go_goroutines ")
	assert.Contains(t, body, "process_resident_memory_bytes ")
	assert.Equal(t, topClients, strings.Count(body, "\ntarsd_client_dropped_total{"), "ids of strangers make a bounded number of series")
	assert.NotContains(t, body, `client="c149"`)
}

func TestMetricsWithoutOptionalParts(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	NewMetrics(MetricsOptions{Engine: &fakeEngine{}}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	assert.Equal(t, 200, w.Code)
	assert.NotContains(t, w.Body.String(), "tarsd_storage")
}
