package llm

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/chat"
	"github.com/tarsd/tarsd/services/llm/llmtest"
	"github.com/tarsd/tarsd/services/llm/offline"
	"github.com/tarsd/tarsd/services/llm/openai"
	"github.com/tarsd/tarsd/services/servicetest"
)

func bareOptions() Options {
	return Options{
		Provider: Auto, OllamaURL: "http://127.0.0.1:1/v1", Turn: time.Minute, Concurrency: 1, Queue: 1, Location: time.UTC,
		MaxTokens: 100, Window: 4096, Memory: Memory{Wait: time.Millisecond, TopK: 1, Tokens: 100, Strategy: "hybrid", Template: DefaultTemplate},
		Timeouts: openai.Timeouts{Connect: time.Second, First: time.Second, Idle: time.Second},
	}
}

// bareRun is a run without subscriptions, whose handlers the test calls.
func bareRun(t *testing.T) (*run, *servicetest.Collector[contract.ChatResponse]) {
	t.Helper()
	bus := servicetest.Start(t)
	resp := servicetest.Collect(t, bus.Client(t, "router"), contract.LLMResponse)
	m, err := newModels(bareOptions(), zerolog.Nop())
	require.NoError(t, err)
	r := &run{
		o: bareOptions(), bus: bus.Client(t, "llm"), log: zerolog.Nop(), models: m, started: time.Now(),
		turns: map[string]*turn{}, cancels: map[string]time.Time{}, lookups: map[string][]chan contract.QueryResults{},
		calls: map[string]chan contract.ToolResult{}, parts: map[string]offline.Part{},
	}
	r.brain = offline.New(r.scene)
	t.Cleanup(func() {
		r.end()
		m.close()
	})
	return r, resp
}

// A cancel and its request have queues of their own: which of them is handled first says nothing.
func TestACancelThatOvertakesItsRequest(t *testing.T) {
	t.Parallel()
	r, resp := bareRun(t)
	now := time.Now()
	asks := func(id string, at time.Time) string {
		m := client.Message[contract.ChatRequest]{Received: at}
		m.ID, m.Data = "e", contract.ChatRequest{ID: id, Text: "two plus two"}
		r.request(t.Context(), newTurn(t.Context(), r, client.Turn{}, m))
		got := resp.Next(t).Data
		if got.Error != nil {
			return *got.Error
		}
		return *got.Reply
	}
	cancel := func(id string, at time.Time) {
		m := client.Message[contract.ChatCancel]{Received: at}
		m.Data.ID = id
		require.NoError(t, r.cancel(t.Context(), m))
	}
	cancel("a", now)
	assert.Equal(t, contract.ChatCancelled, asks("a", now.Add(-time.Millisecond)), "the request came first")
	assert.Equal(t, "That is 4.", asks("a", now.Add(-time.Millisecond)), "once")
	cancel("b", now)
	assert.Equal(t, "That is 4.", asks("b", now.Add(time.Millisecond)), "it is of an older request with this id")
	m := client.Message[contract.ChatRequest]{Received: now}
	m.Data = contract.ChatRequest{ID: "c", Text: "two plus two"}
	waits := newTurn(t.Context(), r, client.Turn{}, m)
	r.turns["c"] = waits
	cancel("c", now.Add(-time.Millisecond))
	r.forget(waits)
	waits.begin()
	assert.Equal(t, "That is 4.", *resp.Next(t).Data.Reply, "it came before the request")
	for i := range 3 * maxCancels {
		cancel(string(rune('a'+i)), now)
	}
	assert.LessOrEqual(t, len(r.cancels), maxCancels)
}

func TestPartsAreBounded(t *testing.T) {
	t.Parallel()
	r, _ := bareRun(t)
	say := func(topic string, ok bool, err string) {
		m := client.Message[contract.HealthPing]{Topic: "system/health/" + topic}
		m.Data = contract.HealthPing{OK: ok, Err: &err}
		require.NoError(t, r.health(t.Context(), m))
	}
	say("llm", false, "not told of")
	say("tars-llm", false, "not told of")
	say("tars-stt", true, "")
	say("stt", false, "no microphone")
	assert.Equal(t, []offline.Part{{Name: "hearing", Err: "no microphone"}}, r.scene().Parts, "the two names are one part")
	for i := range 200 {
		say("x"+string(rune('A'+i)), true, "")
	}
	assert.Len(t, r.scene().Parts, maxParts)
	say("stt", true, "")
	assert.Contains(t, r.scene().Parts, offline.Part{Name: "hearing", OK: true}, "known ones go on")
}

func TestNewModels(t *testing.T) {
	t.Parallel()
	key := func() (string, error) { return "k", nil }
	for name, c := range map[string]struct {
		set      func(*Options)
		provider string
		url      string
		model    string
	}{
		"auto without anything":             {func(*Options) {}, "", "", ""},
		"auto with OpenAI's URL and no key": {func(o *Options) { o.URL = openai.DefaultURL + "/" }, "", "", ""},
		"auto with a key":                   {func(o *Options) { o.Key = key }, OpenAI, openai.DefaultURL, DefaultModel},
		"auto with a URL":                   {func(o *Options) { o.URL = "http://127.0.0.1:8080/v1" }, OpenAI, "http://127.0.0.1:8080/v1", OpenAI},
		"openai":                            {func(o *Options) { o.Provider, o.Model = OpenAI, "m" }, OpenAI, openai.DefaultURL, "m"},
		"ollama":                            {func(o *Options) { o.Provider = Ollama }, Ollama, "http://127.0.0.1:1/v1", Ollama},
		"offline with a key":                {func(o *Options) { o.Provider, o.Key = Offline, key }, "", "", ""},
	} {
		o := bareOptions()
		c.set(&o)
		m, err := newModels(o, zerolog.Nop())
		require.NoError(t, err, name)
		if c.provider == "" {
			assert.Nil(t, m.provider(), name)
			continue
		}
		assert.Equal(t, c.provider, m.provider().Name(), name)
		assert.Equal(t, c.url, m.client.URL(), name)
		assert.Equal(t, c.model, m.name(), name)
	}
	o := bareOptions()
	o.URL = "nonsense"
	_, err := newModels(o, zerolog.Nop())
	require.Error(t, err)
}

func TestAnOllamaThatStartsLaterIsFound(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t)
	s.Models()
	o := bareOptions()
	o.OllamaURL = s.URL
	m, err := newModels(o, zerolog.Nop())
	require.NoError(t, err)
	m.probe(t.Context())
	assert.Nil(t, m.provider(), "it has no model")
	s.Models("llama")
	m.refresh(t.Context())
	m.wg.Wait()
	assert.Nil(t, m.provider(), "looked a moment ago")
	m.mu.Lock()
	m.probed = m.probed.Add(-probeAgain)
	m.mu.Unlock()
	m.refresh(t.Context())
	m.refresh(t.Context())
	m.wg.Wait()
	require.NotNil(t, m.provider())
	<-m.changed
	m.close()
}

func TestCheck(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t)
	none := llmtest.Start(t)
	none.Models()
	key := func() (string, error) { return "secret-key", nil }
	for name, c := range map[string]struct {
		set  func(*Options)
		want []services.Finding
	}{
		"offline":    {func(o *Options) { o.Provider = Offline }, []services.Finding{{Verdict: services.Fine, Text: "answers without a language model (offline)"}}},
		"nothing":    {func(*Options) {}, []services.Finding{{Verdict: services.Fine, Text: "answers without a language model (offline): neither llm.key nor llm.url is set, and there is no Ollama on this machine"}}},
		"no key":     {func(o *Options) { o.Provider = OpenAI }, []services.Finding{{Verdict: services.Failure, Text: "key: no key is set for https://api.openai.com/v1"}}},
		"bad URL":    {func(o *Options) { o.URL = "x" }, []services.Finding{{Verdict: services.Failure, Text: "the URL of the language model is not like https://api.openai.com/v1"}}},
		"bad file":   {func(o *Options) { o.Key = func() (string, error) { return "", context.Canceled } }, []services.Finding{{Verdict: services.Failure, Text: "context canceled"}}},
		"works":      {func(o *Options) { o.URL, o.Key = s.URL, key }, []services.Finding{{Verdict: services.Fine, Text: "openai at " + s.URL + ", the first of its 1 models that can talk"}}},
		"with model": {func(o *Options) { o.URL, o.Model = s.URL, "m" }, []services.Finding{{Verdict: services.Fine, Text: "openai at " + s.URL + ", model m"}}},
		"no model":   {func(o *Options) { o.URL = none.URL }, []services.Finding{{Verdict: services.Warning, Text: "openai at " + none.URL + " has no model"}}},
		"Ollama":     {func(o *Options) { o.OllamaURL = s.URL }, []services.Finding{{Verdict: services.Fine, Text: "ollama at " + s.URL + ", the first of its 1 models that can talk"}}},
		"away": {func(o *Options) { o.URL = "http://127.0.0.1:1/v1" }, []services.Finding{{
			Verdict: services.Warning, Text: "openai at http://127.0.0.1:1/v1 lists no models now: unreachable: list the models: dial tcp 127.0.0.1:1: connect: connection refused",
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := bareOptions()
			c.set(&o)
			assert.Equal(t, c.want, New(o).Check(t.Context()))
		})
	}
	assert.True(t, plain("http://models.example/v1"))
	for _, safe := range []string{"https://models.example", "http://127.0.0.2:1", "http://[::1]:1", "http://localhost:1"} {
		assert.False(t, plain(safe), safe)
	}
}

func TestErrorsAreSentences(t *testing.T) {
	t.Parallel()
	for _, k := range []chat.Kind{
		chat.Unreachable, chat.Slow, chat.Cut, chat.Busy, chat.Server, chat.Garbled, chat.TooLarge, chat.TooLong, chat.Key, chat.Setup,
		chat.Refused, chat.Nothing, chat.Empty, chat.Invalid, chat.Stopping, "unheard of",
	} {
		s := (&chat.Error{Kind: k, Status: 500, Detail: "http://x/y"}).Spoken()
		assert.Regexp(t, `^(I|My|That|Something) [a-zA-Z ,.']+\.$`, s, k)
	}
}
