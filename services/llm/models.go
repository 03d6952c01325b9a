package llm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/llm/chat"
	"github.com/tarsd/tarsd/services/llm/offline"
	"github.com/tarsd/tarsd/services/llm/openai"
)

// Looking for an Ollama: how long it takes at most, and how long a miss holds.
const (
	probeWithin = 500 * time.Millisecond
	probeAgain  = 30 * time.Second
)

// models knows who answers. mu guards what follows it; the goroutine that looks for an Ollama is
// counted by wg.
type models struct {
	o       Options
	log     zerolog.Logger
	auto    bool          // the offline brain helps out
	changed chan struct{} // capacity 1: what describe says has changed

	wg      sync.WaitGroup
	mu      sync.Mutex
	client  *openai.Client
	breaker *breaker // around client; nil when nobody but the offline brain answers
	probed  time.Time
	probing bool
}

func newModels(o Options, log zerolog.Logger) (*models, error) {
	m := &models{o: o, log: log, auto: o.Provider == Auto, changed: make(chan struct{}, 1)}
	switch {
	case o.Provider == Ollama:
		url := o.URL
		if url == "" {
			url = o.OllamaURL
		}
		return m, m.use(Ollama, url, o.Model)
	case o.Provider == OpenAI, m.auto && (o.Key != nil || o.URL != "" && strings.TrimRight(o.URL, "/") != openai.DefaultURL):
		url, model := o.URL, o.Model
		if url == "" {
			url = openai.DefaultURL
		}
		if model == "" && url == openai.DefaultURL {
			model = DefaultModel
		}
		return m, m.use(OpenAI, url, model)
	}
	return m, nil
}

// use makes a provider the one that answers.
func (m *models) use(name, url, model string) error {
	c, err := m.connect(name, url, model)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.client, m.breaker = c, newBreaker(c, m.notify)
	return nil
}

func (m *models) connect(name, url, model string) (*openai.Client, error) {
	return openai.New(openai.Options{
		Name: name, URL: url, Key: m.o.Key, Model: model, Timeouts: m.o.Timeouts,
		Retry: func(attempt int, cause error, wait time.Duration) {
			m.log.Info().Err(cause).Int("attempt", attempt).Dur("wait", wait).Msg("language model is asked again")
		},
	})
}

func (m *models) notify() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// provider is who answers; nil when only the offline brain can.
func (m *models) provider() *breaker {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.breaker
}

// name is what the model that is set up is called; empty when there is none.
func (m *models) name() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client == nil {
		return ""
	}
	if name := m.client.Model(); name != "" {
		return name
	}
	return m.client.Name()
}

// missing says why the provider cannot be asked at all.
func (m *models) missing() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client != nil && m.o.Key == nil && m.client.URL() == openai.DefaultURL {
		return chat.Errorf(chat.Key, "no key is set for %s", openai.DefaultURL)
	}
	return nil
}

// probe looks for an Ollama on this machine, if that is to be used.
func (m *models) probe(ctx context.Context) {
	m.mu.Lock()
	look := m.auto && m.client == nil
	m.probed = time.Now()
	m.mu.Unlock()
	if !look {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	c, err := openai.New(openai.Options{Name: Ollama, URL: m.o.OllamaURL, Timeouts: m.o.Timeouts})
	if err != nil {
		return // the address is ours
	}
	defer c.Close()
	names, err := c.Models(ctx)
	if err != nil || len(names) == 0 {
		m.log.Debug().Err(err).Msg("no Ollama here")
		return
	}
	model := "" // the first that can talk
	if slices.Contains(names, m.o.Model) {
		model = m.o.Model
	}
	if err := m.use(Ollama, m.o.OllamaURL, model); err == nil {
		m.log.Info().Str("url", m.o.OllamaURL).Msg("found an Ollama")
		m.notify()
	}
}

// refresh looks again, in the background, when the last look was long ago: the present question
// does not wait for it.
func (m *models) refresh(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.auto || m.client != nil || m.probing || time.Since(m.probed) < probeAgain || ctx.Err() != nil {
		return
	}
	m.probing = true
	m.wg.Go(func() {
		m.probe(ctx)
		m.mu.Lock()
		m.probing = false
		m.mu.Unlock()
	})
}

// describe is the health of the models: who answers, with which model, and the breaker.
func (m *models) describe() (event string, err error) {
	m.mu.Lock()
	b, c := m.breaker, m.client
	m.mu.Unlock()
	if b == nil {
		return fmt.Sprintf("ready (%s)", offline.Name), nil
	}
	who := strings.TrimSpace(c.Name() + " " + c.Model())
	if missing := m.missing(); missing != nil {
		return fmt.Sprintf("degraded (%s)", who), missing
	}
	state, last := b.State()
	if last == nil {
		return fmt.Sprintf("ready (%s, breaker %s)", who, state), nil
	}
	return fmt.Sprintf("degraded (%s, breaker %s)", who, state), last
}

// close ends what goes on in the background. No turn may be under way.
func (m *models) close() {
	m.wg.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client != nil {
		m.client.Close()
	}
}
