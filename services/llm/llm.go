// Package llm answers questions: with a language model behind an OpenAI-style interface, or, without
// one, with what the robot has on board. It owns the turns from llm/request to llm/response: how
// many run at once, their ends, what a model is told and what it may call. The providers below
// services/llm talk to models; the dialogue around a turn is the router's.
package llm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/chat"
	"github.com/tarsd/tarsd/services/llm/offline"
	"github.com/tarsd/tarsd/services/llm/openai"
)

// The providers of Options.
const (
	Auto    = "auto"    // a key or a URL that is set, else an Ollama on this machine, else offline
	OpenAI  = "openai"  // an OpenAI-style server
	Ollama  = "ollama"  // an Ollama
	Offline = "offline" // no network
)

// Options of New. All of them are set; internal/config has the defaults.
type Options struct {
	Provider string
	URL      string                 // base of the interface; empty: OpenAI's, or Ollama's on this machine
	Key      func() (string, error) // nil: there is none
	Model    string                 // empty: the first that the server lists, or DefaultModel at OpenAI's

	MaxTokens   int     // of an answer
	Window      int     // tokens that the model takes in, answer included
	Temperature float64 // 0..2
	TopP        float64 // 0..1
	Timeouts    openai.Timeouts
	Turn        time.Duration // from the request to the response, tools included
	Concurrency int           // turns at once
	Queue       int           // turns that wait; further ones fail

	Memory Memory
	Tools  Tools

	Location *time.Location // of the robot
	// OllamaURL takes the place of http://127.0.0.1:11434/v1 in tests.
	OllamaURL string
}

// Memory is how memory is asked.
type Memory struct {
	Enabled  bool          // for requests that do not say
	TopK     int           // 1..50
	Tokens   int           // of what was found, at most
	Around   int           // neighbours of each hit, 0..5
	Strategy string        // hybrid, recent or similarity
	Template string        // with {context} and {user}
	Wait     time.Duration // for an answer; the turn goes on without
}

// Tools is how tools are called.
type Tools struct {
	Enabled bool
	Rounds  int           // rounds of calls in one turn
	Calls   int           // calls in one turn
	Timeout time.Duration // of one call
	Bytes   int           // of one result
}

// DefaultModel is asked at OpenAI's when no model is set.
const DefaultModel = "gpt-4o-mini"

// Service is the llm service.
type Service struct{ o Options }

var (
	_ services.Service = (*Service)(nil)
	_ services.Checker = (*Service)(nil)
)

// New makes the service. Its options have been checked.
func New(o Options) *Service {
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.OllamaURL == "" {
		o.OllamaURL = "http://127.0.0.1:11434/v1"
	}
	return &Service{o}
}

// Name implements services.Service.
func (*Service) Name() string { return "llm" }

// Run implements services.Service.
func (s *Service) Run(ctx context.Context, rt services.Runtime) error {
	m, err := newModels(s.o, rt.Log)
	if err != nil {
		return err
	}
	defer m.close()
	r := &run{
		o: s.o, bus: rt.Bus, log: rt.Log, models: m, started: time.Now(),
		turns: map[string]*turn{}, cancels: map[string]time.Time{}, lookups: map[string][]chan contract.QueryResults{},
		calls: map[string]chan contract.ToolResult{}, parts: map[string]offline.Part{},
	}
	r.brain = offline.New(r.scene)
	m.probe(ctx)
	if err := r.subscribe(ctx); err != nil {
		return err
	}
	rt.Ready()
	r.tell(ctx)
	for {
		select {
		case <-ctx.Done():
			r.end()
			return nil
		case <-m.changed:
			r.tell(ctx)
		}
	}
}

// run is one run of the service. Its goroutines are the turns, which wg counts and end waits for.
// mu guards the maps and what stands with them; it is held across no call. A turn's own fields
// belong to its goroutine, except those that turn names.
type run struct {
	o       Options
	bus     *client.Client
	log     zerolog.Logger
	models  *models
	brain   *offline.Brain
	started time.Time
	persona persona
	tools   toolbox
	wg      sync.WaitGroup

	mu      sync.Mutex
	ending  bool
	turns   map[string]*turn // by request: those under way and those that wait
	waiting []*turn
	active  int
	cancels map[string]time.Time                    // of requests that have not come yet, by the time of arrival
	lookups map[string][]chan contract.QueryResults // questions to memory, by envelope id
	calls   map[string]chan contract.ToolResult     // by call
	parts   map[string]offline.Part
	battery offline.Battery
}

// subscribe makes all subscriptions. Requests come last: what they need to know comes first.
func (r *run) subscribe(ctx context.Context) error {
	var errs []error
	add := func(_ *client.Subscription, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("subscribe: %w", err))
		}
	}
	add(client.Subscribe(r.bus, contract.CharacterCurrent, func(_ context.Context, m client.Message[contract.Character]) error {
		r.persona.current(m.Data)
		return nil
	}))
	add(client.Subscribe(r.bus, contract.CharacterResult, func(_ context.Context, m client.Message[contract.CharacterAnswer]) error {
		r.persona.answer(m.Data)
		return nil
	}))
	add(client.Subscribe(r.bus, contract.Health, r.health))
	add(client.Subscribe(r.bus, contract.MovementStatus, r.movement))
	add(client.Subscribe(r.bus, contract.MemoryResults, r.found))
	if r.o.Tools.Enabled {
		add(client.Subscribe(r.bus, contract.ToolsRegistry, r.registry))
		add(client.Subscribe(r.bus, contract.ToolCallResult, r.called))
	}
	add(client.Subscribe(r.bus, contract.LLMCancel, r.cancel))
	add(client.Subscribe(r.bus, contract.LLMRequest, func(of context.Context, m client.Message[contract.ChatRequest]) error {
		r.request(ctx, newTurn(ctx, r, client.TurnOf(of), m))
		return nil
	}))
	add(r.bus.SubscribeRaw(contract.LLMRequest.Name, contract.LLMRequest.QoS, r.broken))
	return errors.Join(errs...)
}

// registry takes the list of tools.
func (r *run) registry(ctx context.Context, m client.Message[contract.Tools]) error {
	problems := r.tools.replace(m.Data.Tools)
	for _, err := range problems[:min(len(problems), 5)] {
		r.log.Warn().Ctx(ctx).Err(err).Msg("tool left out")
	}
	r.log.Info().Ctx(ctx).Int("tools", len(m.Data.Tools)-len(problems)).Int("left_out", len(problems)).Msg("tools")
	return nil
}

// request begins a turn, or lets it wait. One that is under way already is not begun again: its
// response is still to come.
func (r *run) request(ctx context.Context, t *turn) {
	r.models.refresh(ctx)
	r.mu.Lock()
	at, cancelled := r.cancels[t.id]
	delete(r.cancels, t.id)
	var err error
	switch {
	case r.turns[t.id] != nil:
		r.mu.Unlock()
		t.cancel(nil)
		r.log.Warn().Ctx(ctx).Str("id", t.id).Msg("request is being answered already")
		return
	case len(t.id) > maxID:
		err = chat.Errorf(chat.Invalid, "the id has %d bytes", len(t.id))
	case r.ending:
		err = errStopping
	case cancelled && !at.Before(t.came):
		err = errCancelled
	case r.active < r.o.Concurrency:
		r.active++
		r.turns[t.id] = t
		r.wg.Go(t.begin)
	case len(r.waiting) < r.o.Queue:
		r.turns[t.id] = t
		r.waiting = append(r.waiting, t)
	default:
		err = chat.Errorf(chat.Busy, "%d turns under way and %d waiting", r.active, len(r.waiting))
	}
	r.mu.Unlock()
	if err != nil {
		t.cancel(err)
		t.finish(err)
	}
}

// forget takes a turn out of those under way.
func (r *run) forget(t *turn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.turns, t.id)
}

// done frees the place of a turn, and begins the next one.
func (r *run) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) > 0 && !r.ending {
		next := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.wg.Go(next.begin)
		return
	}
	r.active--
}

var (
	errCancelled = errors.New("cancelled")
	errStopping  = chat.Errorf(chat.Stopping, "the service ends")
)

// maxCancels bounds the cancels that are remembered, and cancelFor how long: only as long as a
// request may be on its way through another queue.
const (
	maxCancels = 64
	cancelFor  = 10 * time.Second
)

// cancel ends a turn that was asked for before. A cancel can overtake its request, which has a queue
// of its own, and be overtaken by one that came later; the times of arrival tell. It is remembered
// for a request that may still be in the queue.
func (r *run) cancel(_ context.Context, m client.Message[contract.ChatCancel]) error {
	if len(m.Data.ID) > maxID {
		return nil // there is no such request
	}
	r.mu.Lock()
	t := r.turns[m.Data.ID]
	if t == nil {
		for id, at := range r.cancels {
			if m.Received.Sub(at) > cancelFor || len(r.cancels) >= maxCancels {
				delete(r.cancels, id)
			}
		}
		r.cancels[m.Data.ID] = m.Received
	}
	if t == nil || m.Received.Before(t.came) {
		r.mu.Unlock()
		return nil
	}
	t.cancel(errCancelled)
	waited := r.unqueue(t)
	r.mu.Unlock()
	if waited {
		t.finish(errCancelled)
	}
	return nil
}

// unqueue takes a turn that has not begun out of the queue. The lock is held.
func (r *run) unqueue(t *turn) bool {
	for i, w := range r.waiting {
		if w == t {
			r.waiting = append(r.waiting[:i:i], r.waiting[i+1:]...)
			delete(r.turns, t.id)
			return true
		}
	}
	return false
}

// end ends all turns and waits for their responses.
func (r *run) end() {
	r.mu.Lock()
	r.ending = true
	waiting := r.waiting
	r.waiting = nil
	for _, t := range r.turns {
		t.cancel(errStopping)
	}
	r.mu.Unlock()
	for _, t := range waiting {
		t.finish(errStopping)
	}
	r.wg.Wait()
}

// tell says on the health topic who answers, and whether that works. The service itself is well
// even when the model is away: who asks gets an answer in any case.
func (r *run) tell(ctx context.Context) {
	event, err := r.models.describe()
	if ctx.Err() != nil {
		return
	}
	if herr := r.bus.Health(ctx, true, event, err); herr != nil {
		r.log.Debug().Err(herr).Msg("health not published")
	}
}
