package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/internal/cutproxy"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// flow publishes 200 transcripts a second on one client and counts them on another, until stop is
// closed; then everything that was accepted must have come, once, in order.
type flow struct {
	t        *testing.T
	from     *client.Client
	stop     chan struct{}
	done     sync.WaitGroup
	mu       sync.Mutex
	got      []string
	accepted []string
}

func startFlow(t *testing.T, from, to *client.Client) *flow {
	t.Helper()
	f := &flow{t: t, from: from, stop: make(chan struct{})}
	_, err := client.Subscribe(to, contract.STTFinal, func(_ context.Context, m client.Message[contract.FinalTranscript]) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.got = append(f.got, m.Data.Text)
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, to.Ready(within(t)))
	require.NoError(t, from.Ready(within(t)))
	f.done.Go(f.publish)
	return f
}

func (f *flow) publish() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-f.stop:
			return
		case <-tick.C:
		}
		text := fmt.Sprint(i)
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		_, err := client.Publish(ctx, f.from, contract.STTFinal, contract.FinalTranscript{Text: text})
		cancel()
		if err == nil {
			f.accepted = append(f.accepted, text)
		} else if !errors.Is(err, client.ErrQueueFull) {
			f.t.Errorf("publish %d: %v", i, err)
		}
	}
}

func (f *flow) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.got)
}

// more waits for n further messages.
func (f *flow) more(n int) {
	f.t.Helper()
	want := f.count() + n
	require.Eventually(f.t, func() bool { return f.count() >= want }, wait, time.Millisecond)
}

func (f *flow) check() {
	f.t.Helper()
	close(f.stop)
	f.done.Wait()
	assert.Eventually(f.t, func() bool { return f.count() >= len(f.accepted) }, wait, time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	assert.Equal(f.t, f.accepted, f.got)
	f.t.Logf("%d messages", len(f.got))
}

// Links are cut under a flow: nothing that was accepted is lost, and nothing is handled twice.
func TestLinksAreCut(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	p := cutproxy.Start(t, cutproxy.TCP(b.TCP))
	over := func(o *client.Options) { o.URL = "tcp://" + p.Addr() }
	f := startFlow(t, connect(t, client.Options{}, "from", over), connect(t, client.Options{}, "to", over))
	for range 50 {
		f.more(3)
		p.Cut()
	}
	f.more(1)
	f.check()
}

func TestBrokerRestarts(t *testing.T) {
	t.Parallel()
	for name, restarts := range map[string]int{"tcp": 10, "memory": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t, brokertest.WithStore(t.TempDir()), brokertest.KeepPorts())
			over := func(o *client.Options) { o.URL = "tcp://" + b.TCP() }
			if name == "memory" {
				// The session ends with the connection, so that a message for a subscriber that
				// is not there yet has nowhere to wait. One that persists has.
				over = func(o *client.Options) { o.Dial, o.SessionExpiry = b.DialMemory, time.Hour }
			}
			to := connect(t, client.Options{}, "to", over)
			from := connect(t, client.Options{}, "from", over)
			f := startFlow(t, from, to)
			for i := range restarts {
				f.more(5)
				b.Restart(t)
				back := time.Now()
				for _, c := range []*client.Client{from, to} {
					require.Eventually(t, func() bool { return c.Stats().Connected && c.Stats().Reconnects > i }, 10*time.Second, time.Millisecond)
				}
				assert.Less(t, time.Since(back), 10*time.Second)
			}
			f.check()
		})
	}
}

// Many publish at once, some with no patience; what was accepted arrives, and each publisher's
// messages arrive in order.
func TestManyPublishersAndCuts(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	p := cutproxy.Start(t, cutproxy.TCP(b.TCP))
	from := connect(t, client.Options{URL: "tcp://" + p.Addr()}, "from")
	to := connect(t, client.Options{URL: "tcp://" + p.Addr()}, "to", func(o *client.Options) { o.Queue, o.Window = 4, 8 })
	got := collect(t, to, contract.TTSSay)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("from: %+v\nto: %+v", from.Stats(), to.Stats())
		}
	})
	require.NoError(t, to.Ready(within(t)))
	require.NoError(t, from.Ready(within(t)))
	const publishers, each = 8, 100
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted, gave := map[string]bool{}, map[string]bool{}
	for who := range publishers {
		wg.Go(func() {
			for i := range each {
				text := fmt.Sprintf("%d %d", who, i)
				ctx, cancel := context.WithTimeout(context.Background(), wait)
				if i%7 == 0 {
					cancel()
					ctx, cancel = context.WithTimeout(context.Background(), 500*time.Microsecond)
				}
				_, err := client.Publish(ctx, from, contract.TTSSay, contract.Say{Text: text})
				cancel()
				mu.Lock()
				switch {
				case err == nil:
					accepted[text] = true
				case errors.Is(err, client.ErrUnconfirmed):
					gave[text] = true
				case !errors.Is(err, client.ErrNotSent):
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	stop := make(chan struct{})
	var cutter sync.WaitGroup
	cutter.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				p.Cut()
			}
		}
	})
	wg.Wait()
	close(stop)
	cutter.Wait()
	last := map[string]int{}
	for len(accepted) > 0 {
		m := next(t, got)
		var who string
		var i int
		_, err := fmt.Sscan(m.Data.Text, &who, &i)
		require.NoError(t, err)
		if n, ok := last[who]; ok {
			assert.Greater(t, i, n, "publisher %s", who)
		}
		last[who] = i
		if !accepted[m.Data.Text] {
			assert.True(t, gave[m.Data.Text], "%q: not accepted, or twice", m.Data.Text)
		}
		delete(accepted, m.Data.Text)
	}
}

func event(t *testing.T, ch <-chan client.Message[contract.HealthPing]) (ok bool, event string) {
	t.Helper()
	m := next(t, ch)
	return m.Data.OK, contract.Value(m.Data.Event)
}

// Health is ready after the subscriptions, not before; a crash is seen; an error is said again
// after a reconnect and can be cleared (client.md 11.5 and 11.6).
func TestHealth(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	p := cutproxy.Start(t, cutproxy.TCP(b.TCP))
	watcher := memory(t, b, "watcher")
	seen := collect(t, watcher, contract.Health.At("stt"))
	require.NoError(t, watcher.Await(within(t)))
	c := connect(t, client.Options{URL: "tcp://" + p.Addr()}, "stt")
	expect := func(wantOK bool, want string) {
		t.Helper()
		ok, what := event(t, seen)
		assert.Equal(t, want, what)
		assert.Equal(t, wantOK, ok)
	}
	require.NoError(t, c.Await(within(t)))
	assert.Empty(t, seen, "not ready before Ready")
	require.NoError(t, c.Ready(within(t)))
	expect(true, "ready")
	p.Cut()
	expect(false, "disconnected")
	expect(true, "reconnected")

	require.NoError(t, c.Health(within(t), false, "engine", errors.New("no microphone")))
	m := next(t, seen)
	assert.Equal(t, "no microphone", contract.Value(m.Data.Err))
	assert.Equal(t, "stt", m.Source)
	require.NoError(t, c.Health(within(t), false, "engine", errors.New("no \xff")))
	assert.Equal(t, "no \uFFFD", contract.Value(next(t, seen).Data.Err), "errors may quote bytes")
	p.Cut()
	expect(false, "disconnected")
	expect(false, "engine")
	require.NoError(t, c.Health(within(t), true, "engine", nil))
	expect(true, "engine")
	require.NoError(t, c.Close(within(t)))
	expect(false, "shutdown")

	// It is retained, and a client of the same name can follow (client.md 11.9).
	late := collect(t, watcher, contract.Health)
	m = next(t, late)
	assert.True(t, m.Retained)
	assert.Equal(t, "system/health/stt", m.Topic)
	require.NoError(t, memory(t, b, "stt").Ready(within(t)))
	expect(true, "ready")
}

// A half-open link is found by the watchdog.
func TestStalledLink(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	p := cutproxy.Start(t, cutproxy.TCP(b.TCP))
	c := connect(t, client.Options{URL: "tcp://" + p.Addr()}, "x", func(o *client.Options) { o.Heartbeat = 20 * time.Millisecond })
	require.NoError(t, c.Ready(within(t)))
	p.Stall(true)
	r, err := client.Publish(within(t), c, contract.STTFinal, contract.FinalTranscript{Text: "x"})
	require.NoError(t, err)
	assert.True(t, r.Queued)
	p.Stall(false)
	require.Eventually(t, func() bool { return c.Stats().Reconnects >= 1 && c.Stats().Publishes.Waiting == 0 }, wait, time.Millisecond)
}

// A handler may wait for other messages (client.md 11.2): here for the answer to a request, and
// for a message on a topic of its own client.
func TestHandlersMayWait(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	server, c := memory(t, b, "memory"), memory(t, b, "llm")
	_, err := client.Subscribe(server, contract.MemoryQuery, func(ctx context.Context, m client.Message[contract.Query]) error {
		_, err := client.Reply(ctx, server, m, contract.MemoryResults, contract.QueryResults{Query: m.Data.Text, K: 1})
		return err
	})
	require.NoError(t, err)
	others := collect(t, c, contract.TTSSay)
	answers := make(chan string, 100)
	_, err = client.Subscribe(c, contract.LLMRequest, func(ctx context.Context, m client.Message[contract.ChatRequest]) error {
		got, err := client.Request(ctx, c, contract.MemoryQuery, contract.MemoryResults, contract.Query{Text: m.Data.Text})
		if err != nil {
			return err
		}
		if _, err := client.Publish(ctx, c, contract.TTSSay, contract.Say{Text: got.Data.Query}); err != nil {
			return err
		}
		answers <- (<-others).Data.Text
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, server.Ready(within(t)))
	require.NoError(t, c.Ready(within(t)))
	for i := range 20 {
		_, err := client.Publish(within(t), server, contract.LLMRequest, contract.ChatRequest{ID: "1", Text: fmt.Sprint(i)})
		require.NoError(t, err)
	}
	for i := range 20 {
		assert.Equal(t, fmt.Sprint(i), next(t, answers))
	}
}

// Many requests at once, each with its own answer, from a server that is slow in its own order.
func TestRequestsAtOnce(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	server, c := memory(t, b, "memory"), tcp(t, b, "llm")
	_, err := client.Subscribe(server, contract.MemoryQuery, func(ctx context.Context, m client.Message[contract.Query]) error {
		_, err := client.Reply(ctx, server, m, contract.MemoryResults, contract.QueryResults{Query: m.Data.Text, K: 1})
		return err
	}, client.Workers(4))
	require.NoError(t, err)
	require.NoError(t, server.Ready(within(t)))
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			text := fmt.Sprint(i)
			m, err := client.Request(within(t), c, contract.MemoryQuery, contract.MemoryResults, contract.Query{Text: text})
			if assert.NoError(t, err) {
				assert.Equal(t, text, m.Data.Query)
			}
		})
	}
	wg.Wait()
}

// A turn goes from the first event to what it causes, through a service that knows nothing of it.
func TestTurn(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	spans := &tracer{}
	c, outside := memory(t, b, "router", func(o *client.Options) { o.Trace = spans }), memory(t, b, "stt")
	_, err := client.Subscribe(c, contract.STTFinal, func(ctx context.Context, m client.Message[contract.FinalTranscript]) error {
		_, err := client.Publish(ctx, c, contract.TTSSay, contract.Say{Text: m.Data.Text})
		return err
	})
	require.NoError(t, err)
	said := collect(t, outside, contract.TTSSay)
	require.NoError(t, c.Ready(within(t)))
	require.NoError(t, outside.Ready(within(t)))
	props := func(m client.Message[contract.Say]) map[string]string {
		all := map[string]string{}
		for _, p := range m.Props {
			all[p.Key] = p.Value
		}
		return all
	}
	first, err := client.Publish(within(t), outside, contract.STTFinal, contract.FinalTranscript{Text: "a"})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"turn": first.ID, "traceparent": "publish tts/say"}, props(next(t, said)), "the first event's id is the turn")

	ctx := client.WithTurn(within(t), client.Turn{ID: "T", Origin: "page-1", TraceParent: "P"})
	_, err = client.Publish(ctx, outside, contract.STTFinal, contract.FinalTranscript{Text: "b"})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"turn": "T", "origin": "page-1", "traceparent": "publish tts/say"}, props(next(t, said)))
	require.NoError(t, c.Close(within(t)))
	spans.mu.Lock()
	defer spans.mu.Unlock()
	assert.Contains(t, spans.log, "handle stt/final under P: <nil>")
	assert.Contains(t, spans.log, "publish tts/say under handle stt/final: <nil>")
}

type tracer struct {
	mu  sync.Mutex
	log []string
}

func (r *tracer) Start(_ context.Context, s client.Span) (string, func(error)) {
	name := "handle " + s.Topic
	if s.Kind == client.SpanPublish {
		name = "publish " + s.Topic
	}
	return name, func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.log = append(r.log, fmt.Sprintf("%s under %s: %v", name, s.Turn.TraceParent, err))
	}
}
