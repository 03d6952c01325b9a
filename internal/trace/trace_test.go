package trace

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tarsd/tarsd/services/client"
)

// collector is a scripted OTLP collector: each request gets the next answer, then 200.
type collector struct {
	*httptest.Server
	t       *testing.T
	mu      sync.Mutex
	answers []int
	paths   []string
	headers []http.Header
	spans   chan received
	asked   chan struct{}
}

type received struct {
	*otlp.Span
	resource map[string]string
}

func collect(t *testing.T, answers ...int) *collector {
	t.Helper()
	c := &collector{t: t, answers: answers, spans: make(chan received, 10_000), asked: make(chan struct{}, 10_000)}
	c.Server = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c.asked <- struct{}{}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paths, c.headers = append(c.paths, r.URL.Path), append(c.headers, r.Header)
	code := http.StatusOK
	if len(c.answers) > 0 {
		code, c.answers = c.answers[0], c.answers[1:]
	}
	if code != http.StatusOK {
		w.WriteHeader(code)
		return
	}
	var data otlp.TracesData
	if !assert.NoError(c.t, proto.Unmarshal(body, &data)) {
		return
	}
	for _, rs := range data.ResourceSpans {
		for _, s := range rs.ScopeSpans[0].Spans {
			c.spans <- received{s, attributes(rs.Resource.Attributes)}
		}
	}
}

func attributes(kv []*common.KeyValue) map[string]string {
	m := map[string]string{}
	for _, a := range kv {
		m[a.Key] = a.Value.GetStringValue()
	}
	return m
}

func (c *collector) next() received {
	c.t.Helper()
	select {
	case s := <-c.spans:
		return s
	case <-time.After(10 * time.Second):
		c.t.Fatal("no span arrives")
		return received{}
	}
}

func tracer(t *testing.T, o Options) *Tracer {
	t.Helper()
	if o.Queue == 0 {
		o.Queue = 100
	}
	o.Log, o.gather, o.retry = zerolog.New(zerolog.NewTestWriter(t)), time.Millisecond, time.Millisecond
	o.Version = "9"
	tr, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { shut(t, tr) })
	return tr
}

// shut closes at once: the collector may be one that never answers.
func shut(t *testing.T, tr *Tracer) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, tr.Close(ctx))
}

func TestSpansReachTheCollector(t *testing.T) {
	t.Parallel()
	c := collect(t)
	tr := tracer(t, Options{Endpoint: c.URL, Headers: map[string]string{"authorization": "Bearer x"}})

	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	before := time.Now()
	handle, end := tr.Start(t.Context(), client.Span{
		Kind: client.SpanHandle, Client: "router", Topic: "stt/final", ID: "abc",
		Turn: client.Turn{ID: "turn1", Origin: "page", TraceParent: parent},
	})
	publish, endPublish := tr.Start(t.Context(), client.Span{Kind: client.SpanPublish, Client: "router", Topic: "tts/say", Turn: client.Turn{TraceParent: handle}})
	endPublish(errors.New("refused \xff" + strings.Repeat("x", 1000)))
	end(nil)

	p, h := c.next(), c.next()
	assert.Equal(t, publish, "00-"+hex.EncodeToString(p.TraceId)+"-"+hex.EncodeToString(p.SpanId)+"-01")
	assert.Equal(t, handle, "00-"+hex.EncodeToString(h.TraceId)+"-"+hex.EncodeToString(h.SpanId)+"-01")
	assert.Equal(t, "0af7651916cd43dd8448eb211c80319c", hex.EncodeToString(h.TraceId), "the trace goes on")
	assert.Equal(t, h.TraceId, p.TraceId)
	assert.Equal(t, "b7ad6b7169203331", hex.EncodeToString(h.ParentSpanId))
	assert.Equal(t, h.SpanId, p.ParentSpanId, "what a handler publishes is inside it")
	assert.Equal(t, "handle stt/final", h.Name)
	assert.Equal(t, otlp.Span_SPAN_KIND_CONSUMER, h.Kind)
	assert.Nil(t, h.Status)
	assert.Equal(t, map[string]string{
		"messaging.system": "mqtt", "messaging.operation.type": "process", "messaging.destination.name": "stt/final",
		"messaging.message.conversation_id": "abc", "tars.turn": "turn1", "tars.origin": "page",
	}, attributes(h.Attributes))
	assert.Equal(t, map[string]string{"service.name": "router", "service.namespace": "tarsd", "service.version": "9"}, h.resource)
	assert.Equal(t, "publish tts/say", p.Name)
	assert.Equal(t, otlp.Span_SPAN_KIND_PRODUCER, p.Kind)
	assert.Equal(t, otlp.Status_STATUS_CODE_ERROR, p.Status.Code)
	assert.Regexp(t, `^refused �x+\.\.\.$`, p.Status.Message)
	assert.Less(t, len(p.Status.Message), textBytes+10)
	assert.GreaterOrEqual(t, h.StartTimeUnixNano, uint64(before.UnixNano()))
	assert.GreaterOrEqual(t, h.EndTimeUnixNano, p.EndTimeUnixNano)
	c.mu.Lock()
	defer c.mu.Unlock()
	assert.Equal(t, "/v1/traces", c.paths[0])
	assert.Equal(t, "Bearer x", c.headers[0].Get("Authorization"))
	assert.Equal(t, "application/x-protobuf", c.headers[0].Get("Content-Type"))
}

func TestSpansOfSeveralServicesInOneRequest(t *testing.T) {
	t.Parallel()
	c := collect(t)
	tr := tracer(t, Options{Endpoint: c.URL + "/otlp/spans"})
	for _, name := range []string{"stt", "tts", "stt"} {
		_, end := tr.Start(t.Context(), client.Span{Client: name, Topic: "x"})
		end(nil)
	}
	require.NoError(t, tr.Close(t.Context()), "Close sends what waits")
	names := map[string]int{}
	for range 3 {
		names[c.next().resource["service.name"]]++
	}
	assert.Equal(t, map[string]int{"stt": 2, "tts": 1}, names)
	assert.Equal(t, "/otlp/spans", c.paths[0], "a path is kept")
	sent, dropped := tr.Spans()
	assert.Equal(t, [2]uint64{3, 0}, [2]uint64{sent, dropped})
}

func TestNewTraceAndUnsampledParent(t *testing.T) {
	t.Parallel()
	c := collect(t)
	tr := tracer(t, Options{Endpoint: c.URL})
	unsampled, end := tr.Start(t.Context(), client.Span{Topic: "quiet", Turn: client.Turn{TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}})
	end(nil)
	assert.Regexp(t, `^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-00$`, unsampled, "handed on, not recorded")
	one, end1 := tr.Start(t.Context(), client.Span{Topic: "one"})
	two, end2 := tr.Start(t.Context(), client.Span{Topic: "two", Turn: client.Turn{TraceParent: "nonsense"}})
	end1(nil)
	end2(nil)
	assert.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`, one)
	assert.NotEqual(t, one[:35], two[:35], "each is a trace of its own")
	s := c.next()
	assert.Equal(t, "handle one", s.Name)
	assert.Empty(t, s.ParentSpanId)
}

// A collector that is away, hangs or refuses costs a bounded number of spans in memory, and no
// time.
func TestCollectorAway(t *testing.T) {
	t.Parallel()
	hang, err := net.Listen("tcp", "127.0.0.1:0") // accepts by its backlog and never answers
	require.NoError(t, err)
	defer hang.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	for name, address := range map[string]string{"hangs": hang.Addr().String(), "gone": gone.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := tracer(t, Options{Endpoint: "http://" + address, Queue: 50})
			t0 := time.Now()
			for range 10_000 {
				_, end := tr.Start(t.Context(), client.Span{Topic: "x"})
				end(nil)
			}
			assert.Less(t, time.Since(t0), 2*time.Second)
			assert.LessOrEqual(t, len(tr.queue), 50)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			t0 = time.Now()
			require.NoError(t, tr.Close(ctx))
			assert.Less(t, time.Since(t0), 5*time.Second)
			sent, dropped := tr.Spans()
			assert.Zero(t, sent)
			assert.Equal(t, uint64(10_000), dropped, "each is accounted for")
		})
	}
}

func TestAnswersOfTheCollector(t *testing.T) {
	t.Parallel()
	c := collect(t, 503, 429, 502, 400)
	tr := tracer(t, Options{Endpoint: c.URL})
	_, end := tr.Start(t.Context(), client.Span{Topic: "refused"})
	end(nil)
	for range 4 {
		<-c.asked // three times to come again, then no
	}
	_, end = tr.Start(t.Context(), client.Span{Topic: "taken"})
	end(nil)
	assert.Equal(t, "handle taken", c.next().Name)
	require.NoError(t, tr.Close(t.Context()))
	sent, dropped := tr.Spans()
	assert.Equal(t, [2]uint64{1, 1}, [2]uint64{sent, dropped})
}

// What a collector asks for is respected, and Close does not wait for more spans to send together.
func TestRetryAfterAndClose(t *testing.T) {
	t.Parallel()
	asked := make(chan time.Time, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- time.Now()
		if len(asked) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	tr := tracer(t, Options{Endpoint: srv.URL})
	_, end := tr.Start(t.Context(), client.Span{Topic: "x"})
	end(nil)
	require.Eventually(t, func() bool { return len(asked) == 2 }, 10*time.Second, time.Millisecond)
	first, second := <-asked, <-asked
	assert.GreaterOrEqual(t, second.Sub(first), time.Second)

	slow, err := New(Options{Endpoint: srv.URL, Queue: 10, Log: zerolog.Nop(), gather: time.Hour})
	require.NoError(t, err)
	_, end = slow.Start(t.Context(), client.Span{Topic: "x"})
	end(nil)
	require.Eventually(t, func() bool { return len(slow.queue) == 0 }, 10*time.Second, time.Millisecond, "it gathers")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	asked <- time.Time{} // so that the answer is a good one
	require.NoError(t, slow.Close(ctx))
	sent, _ := slow.Spans()
	assert.Equal(t, uint64(1), sent)
}

// The endpoint's password is in no log line.
func TestPasswordIsNotLogged(t *testing.T) {
	t.Parallel()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	var log strings.Builder // one goroutine writes, and Close waits for it
	tr, err := New(Options{Endpoint: "http://u:hunter2@" + gone.Addr().String() + "/?key=hunter2", Queue: 1, Log: zerolog.New(&log), gather: time.Millisecond})
	require.NoError(t, err)
	_, end := tr.Start(t.Context(), client.Span{Topic: "x"})
	end(nil)
	require.NoError(t, tr.Close(t.Context()))
	assert.Contains(t, log.String(), "does not answer")
	assert.NotContains(t, log.String(), "hunter2")
}

// A redirect is not followed: the headers are for the host that was named.
func TestNoRedirect(t *testing.T) {
	t.Parallel()
	other := collect(t)
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	tr := tracer(t, Options{Endpoint: srv.URL})
	_, end := tr.Start(t.Context(), client.Span{Topic: "x"})
	end(nil)
	require.NoError(t, tr.Close(t.Context()))
	assert.Empty(t, other.paths)
	_, dropped := tr.Spans()
	assert.Equal(t, uint64(1), dropped)
}

func TestNewRefusesEndpoints(t *testing.T) {
	t.Parallel()
	for _, e := range []string{"", "collector:4318", "grpc://collector", "http://", "http://u:hunter2@h:x"} {
		_, err := New(Options{Endpoint: e})
		require.Error(t, err, e)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

func TestParseParent(t *testing.T) {
	t.Parallel()
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for s, ok := range map[string]bool{
		good:                      true,
		good[:54] + "0":           true,
		"cc" + good[2:]:           true,
		"cc" + good[2:] + "-what": true,
		"cc" + good[2:] + "what":  false,
		good + "-what":            false,
		"ff" + good[2:]:           false,
		good[:54]:                 false,
		strings.ToUpper(good):     false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01": false,
		"00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01": false,
		"": false,
	} {
		c, got := parseParent(s)
		assert.Equal(t, ok, got, s)
		if ok {
			assert.Equal(t, "00"+s[2:55], c.String())
		}
	}
}

func FuzzParseParent(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Fuzz(func(t *testing.T, s string) {
		if c, ok := parseParent(s); ok {
			again, ok := parseParent(c.String())
			require.True(t, ok)
			require.Equal(t, c, again)
		}
	})
}

func BenchmarkSpan(b *testing.B) {
	tr, err := New(Options{Endpoint: "http://127.0.0.1:1", Queue: 100, Log: zerolog.Nop()})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, end := tr.Start(b.Context(), client.Span{Topic: "x"})
		end(nil)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(b, tr.Close(ctx))
}
