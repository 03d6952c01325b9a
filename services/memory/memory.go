package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/memory/persona"
)

// Options configure New.
type Options struct {
	Records Store // nil: nothing outlives the process
	Traits  Store // of the persona, as they were changed; nil likewise

	Embedder   Embedder // nil: words only
	NoEmbedder error    // why there is none although one is wanted; shown on the health topic

	MaxRecords int           // 0: no limit
	Refuse     bool          // at the limit take no more; else the oldest goes, facts last
	MaxAge     time.Duration // of what was said; facts stay. 0: no limit

	Character  string // name of the persona
	Characters string // directory of persona files; may be missing
}

// Memory is the service. What it holds between messages belongs to one run.
type Memory struct {
	o       Options
	bus     *client.Client
	log     zerolog.Logger
	book    *book
	vectors *vectors
	persona *character

	mu      sync.Mutex // guards what follows
	ready   bool
	trouble map[string]error // by what is concerned
}

var (
	_ services.Service = (*Service)(nil)
	_ services.Checker = (*Service)(nil)
)

// Service makes a Memory for each run.
type Service struct{ o Options }

// New makes the service.
func New(o Options) *Service {
	if o.Records == nil {
		o.Records = newVolatile()
	}
	if o.Traits == nil {
		o.Traits = newVolatile()
	}
	return &Service{o}
}

// Name implements services.Service.
func (*Service) Name() string { return "memory" }

// Check says how the persona and the embedder are.
func (s *Service) Check(context.Context) []services.Finding {
	out := []services.Finding{{Verdict: services.Fine, Text: "persona " + s.o.Character}}
	if _, err := persona.Load(s.o.Characters, s.o.Character); err != nil {
		out[0] = services.Finding{Verdict: services.Warning, Text: err.Error()}
	}
	switch {
	case s.o.Embedder != nil:
		out = append(out, services.Finding{Verdict: services.Fine, Text: "retrieval by words and by meaning, embedder " + s.o.Embedder.ID()})
	case s.o.NoEmbedder != nil:
		out = append(out, services.Finding{Verdict: services.Warning, Text: "retrieval by words only: " + s.o.NoEmbedder.Error()})
	default:
		out = append(out, services.Finding{Verdict: services.Fine, Text: "retrieval by words only"})
	}
	return out
}

// Run implements services.Service.
func (s *Service) Run(ctx context.Context, rt services.Runtime) error {
	began := time.Now()
	name := ""
	if s.o.Embedder != nil {
		name = s.o.Embedder.ID()
	}
	b, err := openBook(s.o.Records, name, s.o.MaxRecords, s.o.Refuse, rt.Log)
	if err != nil {
		return err
	}
	m := &Memory{o: s.o, bus: rt.Bus, log: rt.Log, book: b, trouble: map[string]error{}}
	m.vectors = newVectors(s.o.Embedder, b, rt.Log, func(err error) { m.tell(ctx, "embedder", err) })
	if m.persona, err = newCharacter(s.o, rt.Log); err != nil {
		m.trouble["persona"] = err
	}
	if s.o.NoEmbedder != nil {
		m.trouble["embedder"] = s.o.NoEmbedder
	}
	if err := m.subscribe(); err != nil {
		return err
	}
	records, vectors := b.counts()
	rt.Log.Info().Int("records", records).Int("vectors", vectors).Dur("took", time.Since(began)).Msg("memories loaded")

	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.o.Embedder != nil {
		wg.Go(func() { m.vectors.work(ctx) })
	}
	wg.Go(func() { m.tend(ctx) })
	rt.Ready()
	m.mu.Lock()
	m.ready = true
	m.mu.Unlock()
	m.report(ctx)
	if err := m.persona.publish(ctx, m.bus); err != nil && ctx.Err() == nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// subscribe wires the topics. Queries, and what keeps or deletes, have a queue each, so that none
// waits for another kind.
func (m *Memory) subscribe() error {
	var errs []error
	add := func(_ *client.Subscription, err error) { errs = append(errs, err) }
	add(client.Subscribe(m.bus, contract.STTFinal, m.heard))
	add(client.Subscribe(m.bus, contract.DialogueText, m.typed))
	add(client.Subscribe(m.bus, contract.LLMResponse, m.answered))
	add(client.Subscribe(m.bus, contract.MemoryQuery, m.query))
	add(m.bus.SubscribeRaw(contract.MemoryQuery.Name, contract.MemoryQuery.QoS, m.badQuery))
	add(client.Subscribe(m.bus, contract.MemoryAdd, m.remember))
	add(client.Subscribe(m.bus, contract.MemoryForget, m.forget))
	add(client.Subscribe(m.bus, contract.MemoryExport, m.export))
	add(client.Subscribe(m.bus, contract.MemoryImport, m.importPage))
	add(client.Subscribe(m.bus, contract.CharacterGet, m.getCharacter))
	add(client.Subscribe(m.bus, contract.CharacterUpdate, m.updateCharacter))
	return errors.Join(errs...)
}

// tell notes that something is not well, or is again (nil), and says so on the health topic.
func (m *Memory) tell(ctx context.Context, what string, err error) {
	m.mu.Lock()
	was := m.trouble[what]
	if err == nil {
		delete(m.trouble, what)
	} else {
		m.trouble[what] = err
	}
	ready := m.ready
	m.mu.Unlock()
	if err != nil && was == nil {
		m.log.Warn().Ctx(ctx).Err(err).Str("what", what).Msg("memory is limited")
	}
	if ready && (was == nil) != (err == nil) {
		m.report(ctx)
	}
}

// report publishes how the service is. It works without vectors and with a wrong persona: only a
// disk that takes nothing makes it not ok.
func (m *Memory) report(ctx context.Context) {
	m.mu.Lock()
	ok, event := m.trouble["disk"] == nil, "ready"
	var all []error
	for _, what := range []string{"disk", "embedder", "persona"} {
		if err := m.trouble[what]; err != nil {
			all = append(all, err)
		}
	}
	switch {
	case !ok:
		event = "not_stored"
	case m.trouble["embedder"] != nil:
		event = "words_only"
	case len(all) > 0:
		event = "persona"
	}
	m.mu.Unlock()
	if err := m.bus.Health(ctx, ok, event, errors.Join(all...)); err != nil && ctx.Err() == nil {
		m.log.Warn().Ctx(ctx).Err(err).Msg("health not published")
	}
}

const (
	tendEvery = 5 * time.Second
	ageEvery  = time.Hour
)

// tend writes again what the disk did not take, and removes what is too old.
func (m *Memory) tend(ctx context.Context) {
	t := time.NewTicker(tendEvery)
	defer t.Stop()
	var aged time.Time
	for {
		if m.o.MaxAge > 0 && time.Since(aged) >= ageEvery {
			aged = time.Now()
			m.age(aged.Add(-m.o.MaxAge))
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		m.book.again()
		m.tell(ctx, "disk", m.book.problem())
	}
}

// age forgets what was said before a time. Facts stay, and what nobody knows the time of.
func (m *Memory) age(before time.Time) {
	old := m.book.all(func(r record) bool { return r.role != roleFact && r.when() != nil && r.ts < unix(before) })
	if len(old) == 0 {
		return
	}
	n := m.book.forget(old, func(err error) {
		if err != nil {
			m.log.Warn().Err(err).Msg("old memories not removed from the disk")
		}
	})
	m.log.Info().Int("records", n).Msg("old memories removed")
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// seconds is a time that a message gives, or now.
func seconds(ts float64) float64 {
	if !(ts > 0) || ts > unix(time.Now().Add(24*time.Hour)) {
		return unix(time.Now())
	}
	return ts
}

// keep adds what was said. The writing is done later, and the message is handled now.
func (m *Memory) keep(ctx context.Context, r record) {
	turn := client.TurnOf(ctx)
	r.turn, r.origin = turn.ID, orElse(r.origin, turn.Origin)
	r.ts = seconds(r.ts)
	r.tidy()
	if plainText(r.text) == "" || m.book.repeated(r.message, r.role) {
		return
	}
	_, _, err := m.book.add(r, nil, func(error) {}) // tend sees a failure, and tries again
	if err != nil {
		m.tell(ctx, "disk", err)
		return
	}
	m.vectors.more()
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (m *Memory) heard(ctx context.Context, msg client.Message[contract.FinalTranscript]) error {
	d := msg.Data
	m.keep(ctx, record{role: roleUser, text: d.Text, ts: d.TS, message: orElse(d.MessageID, msg.ID), lang: d.Lang})
	return nil
}

func (m *Memory) typed(ctx context.Context, msg client.Message[contract.TypedText]) error {
	d := msg.Data
	r := record{role: roleUser, text: d.Text, ts: d.TS, message: orElse(d.MessageID, msg.ID)}
	if d.Origin != nil {
		r.origin = *d.Origin
	}
	if d.Lang != nil {
		r.lang = *d.Lang
	}
	m.keep(ctx, r)
	return nil
}

// withoutModel is what the llm service calls itself as a provider when it has no model.
const withoutModel = "offline"

func (m *Memory) answered(ctx context.Context, msg client.Message[contract.ChatResponse]) error {
	d := msg.Data
	if d.Reply == nil || d.Error != nil { // half an answer is none to remember
		return nil
	}
	// Without a model an answer is a sum, a quote from here, or that nothing is known: kept, it would be
	// found in place of what it was made of.
	if contract.Value(d.Provider) == withoutModel {
		return nil
	}
	m.keep(ctx, record{role: roleAssistant, text: *d.Reply, ts: msg.TS, message: orElse(d.MessageID, msg.ID)})
	return nil
}

func (m *Memory) query(ctx context.Context, msg client.Message[contract.Query]) error {
	q := asked{Query: msg.Data, id: orElse(msg.ID, msg.Data.MessageID), turn: client.TurnOf(ctx).ID, now: time.Now()}
	_, err := client.Reply(ctx, m.bus, msg, contract.MemoryResults, m.search(ctx, q))
	return err
}

// badQuery answers what is not as the contract says, as well as that goes: who asks would wait for
// nothing otherwise. Only the text counts, and how many.
func (m *Memory) badQuery(ctx context.Context, raw client.RawMessage) error {
	if _, err := contract.MemoryQuery.Decode(raw.Payload); err == nil {
		return nil // query has it
	}
	q, id, ok := salvage(raw.Payload)
	if !ok {
		return nil
	}
	q.now = time.Now()
	var opts []client.PublishOption
	if id != "" {
		q.id = id
		opts = append(opts, client.WithID(id))
	}
	_, err := client.Publish(ctx, m.bus, contract.MemoryResults, m.search(ctx, q), opts...)
	return err
}

func (m *Memory) remember(ctx context.Context, msg client.Message[contract.Remember]) error {
	d := msg.Data
	turn := client.TurnOf(ctx)
	r := record{role: d.Role, text: d.Text, ts: seconds(d.TS), message: orElse(d.MessageID, msg.ID), turn: turn.ID, origin: turn.Origin, tags: slices.Clone(d.Tags)}
	r.tidy()
	done := make(chan error, 1)
	id, _, err := m.book.add(r, nil, func(err error) { done <- err })
	if err == nil {
		m.vectors.more()
		err = wait(ctx, done)
	}
	out := contract.Remembered{OK: err == nil}
	if err != nil {
		out.Err = new(err.Error())
	} else {
		out.ID = new(strconv.FormatUint(id, 10))
	}
	_, err = client.Reply(ctx, m.bus, msg, contract.MemoryAdded, out)
	return err
}

// wait waits for a write.
func wait(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Memory) forget(ctx context.Context, msg client.Message[contract.Forget]) error {
	d := msg.Data
	turn := client.TurnOf(ctx).ID
	ids, err := m.chosen(d, turn)
	out := contract.Forgotten{}
	if err == nil {
		if d.Last { // also the sentence that asks for it, which is not counted
			m.book.forget(m.book.turn(turn), func(error) {})
		}
		done := make(chan error, 1)
		out.Count = m.book.forget(ids, func(err error) { done <- err })
		err = wait(ctx, done)
	}
	if out.OK = err == nil; err != nil {
		out.Err = new(err.Error())
	}
	_, err = client.Reply(ctx, m.bus, msg, contract.MemoryForgotten, out)
	return err
}

// chosen returns the ids of what a request wants forgotten.
func (m *Memory) chosen(d contract.Forget, turn string) ([]uint64, error) {
	switch {
	case d.ID != nil:
		id, err := strconv.ParseUint(*d.ID, 10, 64)
		if err == nil {
			_, err = m.book.get(id)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %.40q", errNotFound, *d.ID)
		}
		return []uint64{id}, nil
	case d.Text != nil:
		text := " " + plainText(*d.Text) + " " // whole words: who says cat does not mean vacation
		if text == "  " {
			return nil, errors.New("the text to look for is blank")
		}
		return m.book.all(func(r record) bool {
			return (turn == "" || r.turn != turn) && strings.Contains(" "+plainText(r.text)+" ", text)
		}), nil
	case d.Last:
		return m.book.last(turn), nil
	case d.All:
		return m.book.all(nil), nil
	}
	return m.book.all(func(r record) bool {
		return (d.After == nil || r.ts >= *d.After) && (d.Before == nil || r.ts < *d.Before)
	}), nil
}
