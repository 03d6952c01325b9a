package llm_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm"
	"github.com/tarsd/tarsd/services/llm/llmtest"
	"github.com/tarsd/tarsd/services/llm/openai"
	"github.com/tarsd/tarsd/services/servicetest"
)

const secret = "sk-very-secret-0123456789"

// nobody is an address where nothing listens.
const nobody = "http://127.0.0.1:1/v1"

func options(url string) llm.Options {
	return llm.Options{
		Provider: llm.Auto, URL: url, Key: func() (string, error) { return secret, nil }, Model: "m", OllamaURL: nobody,
		MaxTokens: 256, Window: 8192, Temperature: 0.7, TopP: 1,
		Timeouts: openai.Timeouts{Connect: 5 * time.Second, First: 10 * time.Second, Idle: 10 * time.Second},
		Turn:     30 * time.Second, Concurrency: 4, Queue: 4, Location: time.UTC,
		Memory: llm.Memory{TopK: 5, Tokens: 2000, Around: 1, Strategy: "hybrid", Template: llm.DefaultTemplate, Wait: 10 * time.Second},
		Tools:  llm.Tools{Enabled: true, Rounds: 3, Calls: 4, Timeout: 10 * time.Second, Bytes: 4096},
	}
}

// offlineOnly is a service without a model.
func offlineOnly(o *llm.Options) { o.Provider, o.URL, o.Key = llm.Auto, "", nil }

// world is a bus with the llm service on it, and somebody who asks.
type world struct {
	t      testing.TB
	bus    *servicetest.Bus
	sup    *services.Supervisor
	asker  *client.Client
	stream *servicetest.Collector[contract.ChatDelta]
	resp   *servicetest.Collector[contract.ChatResponse]
	health *servicetest.Collector[contract.HealthPing]
	log    *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func start(t testing.TB, s *llmtest.Server, change ...func(*llm.Options)) *world {
	t.Helper()
	url := nobody
	if s != nil {
		url = s.URL
	}
	o := options(url)
	for _, f := range change {
		f(&o)
	}
	w := &world{t: t, bus: servicetest.Start(t), log: &syncBuffer{}}
	w.asker = w.bus.Client(t, "router")
	w.stream = servicetest.Collect(t, w.asker, contract.LLMStream)
	w.resp = servicetest.Collect(t, w.asker, contract.LLMResponse)
	w.health = servicetest.Collect(t, w.asker, contract.Health.At("llm"))
	w.sup = supervise(t, w.bus, llm.New(o), w.log)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.log.String())
		}
	})
	return w
}

// publish sends a message as the asker does.
func publish[T any](w *world, topic contract.Topic[T], data T, opts ...client.PublishOption) {
	w.t.Helper()
	_, err := client.Publish(w.t.Context(), w.asker, topic, data, opts...)
	require.NoError(w.t, err)
}

// ask sends a request with the envelope id "e-"+id.
func (w *world) ask(id, text string, change ...func(*contract.ChatRequest)) {
	w.t.Helper()
	q := contract.New[contract.ChatRequest]()
	q.ID, q.Text = id, text
	for _, f := range change {
		f(&q)
	}
	publish(w, contract.LLMRequest, q, client.WithID("e-"+id))
}

// response waits for the response to id; it fails on a response to anything else.
func (w *world) response(id string) contract.ChatResponse {
	w.t.Helper()
	m := w.resp.Next(w.t)
	require.Equal(w.t, id, m.Data.ID)
	require.Equal(w.t, "e-"+id, m.ID, "the envelope id of the request")
	return m.Data
}

// streamed collects the stream of id up to its end: the text, and the deltas without the last.
func (w *world) streamed(id string) (string, []string) {
	w.t.Helper()
	var text string
	var deltas []string
	for seq := 0; ; seq++ {
		m := w.stream.Next(w.t)
		require.Equal(w.t, id, m.Data.ID)
		require.Equal(w.t, "e-"+id, m.ID)
		require.Equal(w.t, seq, *m.Data.Seq, "seq begins at 0 and has no gap")
		if m.Data.Done {
			assert.Nil(w.t, m.Data.Delta)
			return text, deltas
		}
		text += *m.Data.Delta
		deltas = append(deltas, *m.Data.Delta)
	}
}

// answer waits for a streamed answer, and checks that stream and response agree.
func (w *world) answer(id string) string {
	w.t.Helper()
	text, _ := w.streamed(id)
	r := w.response(id)
	require.NotNil(w.t, r.Reply, "error: %s", contract.Value(r.Error))
	assert.Nil(w.t, r.Error)
	assert.Equal(w.t, text, *r.Reply)
	return text
}

// failure waits for a turn that fails: its stream ends, then its response has the sentence.
func (w *world) failure(id string) string {
	w.t.Helper()
	w.streamed(id)
	r := w.response(id)
	assert.Nil(w.t, r.Reply)
	require.NotNil(w.t, r.Error)
	return *r.Error
}

// quiet asserts that nothing more came, after one further turn has come and gone.
func (w *world) quiet() {
	w.t.Helper()
	w.ask("quiet", " ")
	assert.Equal(w.t, "I did not hear a question.", w.failure("quiet"))
	assert.Zero(w.t, w.stream.Len())
	assert.Zero(w.t, w.resp.Len())
}

// system is the system prompt of a request.
func system(r llmtest.Request) string {
	var out []string
	for _, m := range r.Messages {
		if m.Role == "system" {
			out = append(out, m.Content)
		}
	}
	return strings.Join(out, "\n")
}

// supervise runs a service like servicetest, with its log in a buffer.
func supervise(t testing.TB, bus *servicetest.Bus, s services.Service, log *syncBuffer) *services.Supervisor {
	t.Helper()
	ready := make(chan struct{}, 1)
	sup, err := services.New(services.Options{
		Services: []services.Service{s},
		Connect: func(name string, l zerolog.Logger) (*client.Client, error) {
			o := bus.Options(name)
			o.Log = l
			return client.Connect(context.Background(), o)
		},
		Changed: func(s services.Status) {
			if s.State == services.Ready {
				select {
				case ready <- struct{}{}:
				default:
				}
			}
		},
		Log: zerolog.New(log),
	})
	require.NoError(t, err)
	require.NoError(t, sup.Start())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		assert.NoError(t, sup.Stop(ctx))
	})
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		require.FailNow(t, "not ready", log.String())
	}
	return sup
}
