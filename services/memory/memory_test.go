package memory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// rig is the service on a broker, and a client that plays everybody else.
type rig struct {
	t   *testing.T
	bus *servicetest.Bus
	c   *client.Client
}

func start(t *testing.T, o Options) *rig {
	t.Helper()
	if o.Character == "" {
		o.Character = "TARS"
	}
	bus := servicetest.Start(t)
	bus.Run(t, New(o))
	return &rig{t, bus, bus.Client(t, "router")}
}

func inTurn(ctx context.Context, turn string) context.Context {
	return client.WithTurn(ctx, client.Turn{ID: turn, Origin: "kitchen"})
}

// say publishes a transcript of a turn, and waits until it can be found.
func (r *rig) say(turn, text string) {
	r.t.Helper()
	_, err := client.Publish(inTurn(r.t.Context(), turn), r.c, contract.STTFinal, contract.FinalTranscript{Text: text, Lang: "en", IsFinal: true})
	require.NoError(r.t, err)
	r.settled(text)
}

// settled waits until a text is among the newest.
func (r *rig) settled(text string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		for _, got := range r.query(contract.Query{Text: "", TopK: 50, Strategy: recent}) {
			if got == text {
				return true
			}
		}
		return false
	}, 10*time.Second, 5*time.Millisecond)
}

func (r *rig) query(q contract.Query) []string {
	r.t.Helper()
	m, err := client.Request(r.t.Context(), r.c, contract.MemoryQuery, contract.MemoryResults, q)
	require.NoError(r.t, err)
	var out []string
	for _, x := range m.Data.Results {
		out = append(out, x.Document.(contract.Object)["text"].(string))
	}
	return out
}

func (r *rig) forget(ctx context.Context, f contract.Forget) contract.Forgotten {
	r.t.Helper()
	m, err := client.Request(ctx, r.c, contract.MemoryForget, contract.MemoryForgotten, f)
	require.NoError(r.t, err)
	return m.Data
}

func (r *rig) texts() []string {
	r.t.Helper()
	return r.query(contract.Query{Text: "", TopK: 50, Strategy: recent})
}

// TestWhatIsKept: turns, typed or said, and whole answers, with role, turn and origin. Reference
// defect 2: the transcript branch could not be reached, and every sentence that was spoken,
// announcements and acknowledgements too, was kept.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	ctx := inTurn(t.Context(), "turn-1")
	r.say("turn-1", "My brother lives in London.")
	_, err := client.Publish(ctx, r.c, contract.TTSSay, contract.Say{Text: "System online.", SystemAnnounce: new(true)})
	require.NoError(t, err)
	_, err = client.Publish(ctx, r.c, contract.LLMStream, contract.ChatDelta{ID: "u1", Seq: new(0), Delta: new("Not")})
	require.NoError(t, err)
	for _, reply := range []contract.ChatResponse{{ID: "u0", Reply: new("half"), Error: new("timed out")}, {ID: "u0"}, {ID: "u2", Reply: new("I do not know."), Provider: new("offline")}, {ID: "u1", Reply: new("Noted. London it is.")}} {
		_, err = client.Publish(ctx, r.c, contract.LLMResponse, reply)
		require.NoError(t, err)
	}
	_, err = client.Publish(t.Context(), r.c, contract.DialogueText, contract.TypedText{Text: "typed on the page", Origin: new("page-7"), Lang: new("en")})
	require.NoError(t, err)
	_, err = client.Publish(t.Context(), r.c, contract.STTFinal, contract.FinalTranscript{Text: " ... ", Lang: "en", IsFinal: true})
	require.NoError(t, err)
	r.settled("typed on the page")
	r.settled("Noted. London it is.")
	assert.ElementsMatch(t, []string{"My brother lives in London.", "Noted. London it is.", "typed on the page"}, r.texts())

	m, err := client.Request(t.Context(), r.c, contract.MemoryQuery, contract.MemoryResults, contract.Query{Text: "london", TopK: 5, Strategy: hybrid})
	require.NoError(t, err)
	require.Equal(t, 2, m.Data.K)
	for _, x := range m.Data.Results {
		doc := x.Document.(contract.Object)
		assert.Equal(t, "turn-1", doc["turn"])
		assert.Equal(t, "kitchen", doc["origin"])
		assert.NotNil(t, x.Timestamp)
		assert.Equal(t, map[string]any{"My brother lives in London.": "user", "Noted. London it is.": "assistant"}[doc["text"].(string)], doc["role"])
	}
}

// TestOneTurn: the question of a turn is kept, answered from memory, and not its own hit.
func TestOneTurn(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Embedder: &fakeEmbedder{id: "fake"}})
	r.say("turn-1", "My brother lives in London.")
	r.say("turn-2", "Where does my brother live?")
	m, err := client.Request(inTurn(t.Context(), "turn-2"), r.c, contract.MemoryQuery, contract.MemoryResults,
		contract.Query{Text: "Where does my brother live?", TopK: 5, Strategy: hybrid}, client.WithID("question"))
	require.NoError(t, err)
	require.Len(t, m.Data.Results, 1)
	assert.Equal(t, "My brother lives in London.", m.Data.Results[0].Document.(contract.Object)["text"])
	assert.Equal(t, "question", m.ID)
}

// TestLegacyPeers: no turn travels; the query's envelope id is the message_id of the transcript.
func TestLegacyPeers(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	results := servicetest.Collect(t, r.c, contract.MemoryResults)
	raw := func(topic, payload string) {
		t.Helper()
		_, err := r.c.PublishRaw(t.Context(), topic, []byte(payload), 1, false)
		require.NoError(t, err)
	}
	r.say("old", "I like pizza with ham")
	raw("stt/final", `{"id":"e1","type":"stt.final","ts":1760000000,"source":"stt","data":{"message_id":"m1","text":"which pizza do I like","lang":"en","confidence":null,"utt_id":null,"ts":1760000000,"is_final":true}}`)
	r.settled("which pizza do I like")
	results.Find(t, func(m client.Message[contract.QueryResults]) bool { return len(m.Data.Results) == 2 })
	raw("memory/query", `{"id":"m1","type":"memory.query","ts":1760000001,"source":"llm-worker","data":{"message_id":"x","text":"which pizza do I like","top_k":5,"max_tokens":2000,"include_context":true,"context_window":1,"retrieval_strategy":"hybrid"}}`)
	m := results.Next(t)
	assert.Equal(t, "m1", m.ID)
	assert.Equal(t, "memory.results", m.Type)
	require.Len(t, m.Data.Results, 1)

	// Reference defect 5: nobody got an answer to any of these.
	for payload, id := range map[string]string{
		`{"id":"b1","type":"memory.query","ts":1,"source":"x","data":{"text":"pizza","top_k":99,"max_tokens":99999}}`: "b1",
		`{"id":"b2","type":"memory.query","ts":1,"source":"x","data":{"query":"pizza"}}`:                              "b2",
		`{"id":"b3","type":"memory.query","ts":1,"source":"x","data":{"text":"  "}}`:                                  "b3",
		`{"message_id":"b4","text":7}`: "b4",
		`pizza`:                        "",
	} {
		raw("memory/query", payload)
		m := results.Next(t)
		if id == "" {
			assert.Len(t, m.Data.Results, 2, payload)
			continue
		}
		assert.Equal(t, id, m.ID, payload)
		assert.Equal(t, id == "b1" || id == "b2", m.Data.K > 0, payload)
	}
}

func TestRememberAndForget(t *testing.T) {
	t.Parallel()
	s := newVolatile()
	r := start(t, Options{Records: s})
	ctx := inTurn(t.Context(), "turn-1")
	r.say("turn-0", "hello there")
	r.say("turn-1", "Remember that the key is under the mat")
	m, err := client.Request(ctx, r.c, contract.MemoryAdd, contract.MemoryAdded, contract.Remember{Text: "the key is under the mat", Role: "fact", Tags: []string{"door"}})
	require.NoError(t, err)
	assert.True(t, m.Data.OK)
	require.NotNil(t, m.Data.ID)
	assert.Equal(t, []string{"the key is under the mat"}, r.query(contract.Query{Text: "door", TopK: 5, Strategy: hybrid}))

	// "forget that": what was said before this, and not the sentence that asks for it alone.
	r.say("turn-2", "Forget that")
	f := r.forget(inTurn(t.Context(), "turn-2"), contract.Forget{Last: true})
	assert.True(t, f.OK)
	assert.Equal(t, 2, f.Count, "the sentence and the fact of that turn")
	assert.Equal(t, []string{"hello there"}, r.texts())

	f = r.forget(t.Context(), contract.Forget{ID: new("999")})
	assert.False(t, f.OK)
	assert.Contains(t, *f.Err, "no such memory")
	m, err = client.Request(t.Context(), r.c, contract.MemoryAdd, contract.MemoryAdded, contract.Remember{Text: "a", Role: "fact"})
	require.NoError(t, err)
	assert.Equal(t, 1, r.forget(t.Context(), contract.Forget{ID: m.Data.ID}).Count)

	for i := range 5 {
		_, err = client.Request(t.Context(), r.c, contract.MemoryAdd, contract.MemoryAdded, contract.Remember{Text: fmt.Sprintf("pizza %d", i), Role: "fact", TS: 1000 + float64(i)})
		require.NoError(t, err)
	}
	assert.Equal(t, 2, r.forget(t.Context(), contract.Forget{After: new(1001.0), Before: new(1003.0)}).Count)
	assert.Equal(t, []string{"hello there", "pizza 4", "pizza 3", "pizza 0"}, r.texts())
	assert.Equal(t, 1, r.forget(t.Context(), contract.Forget{Text: new("PIZZA 4.")}).Count)
	assert.False(t, r.forget(t.Context(), contract.Forget{Text: new(" . ")}).OK)
	assert.Zero(t, r.forget(t.Context(), contract.Forget{Text: new("pizz")}).Count, "whole words")
	r.say("turn-3", "forget about pizza 3")
	assert.Equal(t, 1, r.forget(inTurn(t.Context(), "turn-3"), contract.Forget{Text: new("pizza 3")}).Count, "not the sentence that asks for it")
	assert.Equal(t, 3, r.forget(t.Context(), contract.Forget{All: true}).Count)
	assert.Empty(t, r.texts())
	assert.Empty(t, s.records, "and nothing is left on disk")
}

func TestExportAndImport(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	page := contract.ImportMemory{}
	for i := range 700 {
		page.Records = append(page.Records, contract.MemoryRecord{Text: fmt.Sprintf("text %d", i), Role: "user", TS: 1.7e9 + float64(i)/100, Tags: []string{"t"}})
	}
	page.Records = append(page.Records, contract.MemoryRecord{Text: "  ", Role: "user"})
	load := func() contract.ImportedMemory {
		m, err := client.Request(t.Context(), r.c, contract.MemoryImport, contract.MemoryImported, page)
		require.NoError(t, err)
		require.True(t, m.Data.OK, m.Data.Err)
		return m.Data
	}
	got := load()
	assert.Equal(t, 700, got.Added)
	assert.Equal(t, 1, got.Skipped)
	assert.Equal(t, 701, load().Skipped, "what is there is not added twice")

	var all []contract.MemoryRecord
	var after *string
	for pages := 1; ; pages++ {
		m, err := client.Request(t.Context(), r.c, contract.MemoryExport, contract.MemoryExported, contract.ExportMemory{After: after, Limit: 300})
		require.NoError(t, err)
		require.Nil(t, m.Data.Err)
		all = append(all, m.Data.Records...)
		if after = m.Data.Next; after == nil {
			assert.Equal(t, 3, pages)
			break
		}
	}
	require.Len(t, all, 700)
	for i, rec := range all {
		want := page.Records[i]
		want.ID = rec.ID
		require.Equal(t, want, rec)
	}
	m, err := client.Request(t.Context(), r.c, contract.MemoryExport, contract.MemoryExported, contract.ExportMemory{After: new("x"), Limit: 1})
	require.NoError(t, err)
	assert.Contains(t, *m.Data.Err, "no id")
}

// TestHealth: reference defect 5: one error, and the service was unhealthy for good.
func TestHealth(t *testing.T) {
	t.Parallel()
	s := newBrittle()
	e := &fakeEmbedder{id: "fake", fail: errors.New("connection refused")}
	bus := servicetest.Start(t)
	watch := bus.Client(t, "watch")
	health := servicetest.Collect(t, watch, contract.Health.At("memory"))
	bus.Run(t, New(Options{Records: s, Embedder: e, Character: "TARS"}))
	r := &rig{t, bus, bus.Client(t, "router")}
	state := func(event string, ok bool) {
		t.Helper()
		m := health.Find(t, func(m client.Message[contract.HealthPing]) bool { return m.Data.Event != nil && *m.Data.Event == event })
		assert.Equal(t, ok, m.Data.OK)
	}
	state("ready", true)
	r.say("t", "I like pizza")
	state("words_only", true)
	assert.Equal(t, []string{"I like pizza"}, r.query(contract.Query{Text: "pizza", TopK: 1, Strategy: hybrid}), "it answers all the same")
	e.setFail(nil)
	state("ready", true)

	_, err := watch.PublishRaw(t.Context(), "memory/query", []byte(`{"id":"x","type":"memory.query","ts":1,"source":"x","data":{"text":"a","top_k":1000}}`), 1, false)
	require.NoError(t, err)
	s.set(errors.New("no space left on device"), false)
	m, err := client.Request(t.Context(), r.c, contract.MemoryAdd, contract.MemoryAdded, contract.Remember{Text: "a", Role: "fact"})
	require.NoError(t, err)
	assert.False(t, m.Data.OK)
	assert.Contains(t, *m.Data.Err, "no space left")
	f := r.forget(t.Context(), contract.Forget{Text: new("pizza")})
	assert.False(t, f.OK, "it is still in the data file")
	assert.Contains(t, *f.Err, "no space left")
	state("not_stored", false)
	s.set(nil, false)
	state("ready", true)
}

func TestNoWeights(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	health := servicetest.Collect(t, bus.Client(t, "watch"), contract.Health.At("memory"))
	svc := New(Options{NoEmbedder: errors.New("run make assets"), Character: "TARS"})
	bus.Run(t, svc)
	m := health.Find(t, func(m client.Message[contract.HealthPing]) bool {
		return m.Data.Event != nil && *m.Data.Event == "words_only"
	})
	assert.True(t, m.Data.OK)
	assert.Equal(t, "run make assets", *m.Data.Err)
	assert.Len(t, svc.Check(t.Context()), 2)
}

// TestRepeatedMessage: the broker may deliver twice; a restart does not forget that.
func TestRepeatedMessage(t *testing.T) {
	t.Parallel()
	s := newVolatile()
	for range 2 {
		r := start(t, Options{Records: s})
		for range 2 {
			_, err := r.c.PublishRaw(t.Context(), "stt/final", []byte(`{"id":"e1","type":"stt.final","ts":1760000000,"source":"stt","data":{"message_id":"m1","text":"once","lang":"en","ts":1760000000}}`), 1, false)
			require.NoError(t, err)
		}
		r.say("t2", "marker")
		n := 0
		for _, text := range r.texts() {
			if text == "once" {
				n++
			}
		}
		assert.Equal(t, 1, n)
	}
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	s := newVolatile()
	b := newBook(t, s, "old")
	put(t, b, record{role: roleFact, text: "old fact", ts: 1.76e9 + 5})
	put(t, b, record{role: roleUser, text: "timeless"})
	r := start(t, Options{Records: s, MaxAge: 24 * time.Hour})
	require.Eventually(t, func() bool { return len(r.texts()) == 2 }, 10*time.Second, 5*time.Millisecond)
	assert.ElementsMatch(t, []string{"old fact", "timeless"}, r.texts())
}

func (r *rig) section(u contract.UpdateCharacter) contract.CharacterSection {
	r.t.Helper()
	m, err := client.Request(r.t.Context(), r.c, contract.CharacterUpdate, contract.CharacterResult, contract.UpdateCharacter{Trait: u.Trait, Reset: u.Reset})
	require.NoError(r.t, err)
	require.NotNil(r.t, m.Data.Section)
	return *m.Data.Section
}

func trait(name string, v int) contract.UpdateCharacter {
	return contract.UpdateCharacter{Trait: &contract.SetTrait{Section: "traits", Trait: name, Value: v}}
}

// TestTraits: reference defect 6: updates were neither kept nor acknowledged, unknown traits were
// added, and the envelope id never changed.
func TestTraits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "TARS.toml"), []byte("[traits]\nhumor=90\nemotional_stability=100\nmood='calm'\n"), 0o600))
	traits := newVolatile()
	r := start(t, Options{Traits: traits, Characters: dir})
	current := servicetest.Collect(t, r.c, contract.CharacterCurrent)
	first := current.Next(t)
	late := servicetest.Collect(t, r.bus.Client(t, "late"), contract.CharacterCurrent).Next(t)
	assert.True(t, late.Retained, "published after the subscriptions, retained (reference defect 7)")
	assert.EqualValues(t, 90, first.Data.Traits["humor"])

	s := r.section(trait("humour", 75))
	assert.EqualValues(t, 75, s.Value.(contract.Object)["humor"], "British spelling")
	second := current.Next(t)
	assert.EqualValues(t, 75, second.Data.Traits["humor"])
	assert.NotEqual(t, first.ID, second.ID)
	assert.NotEqual(t, first.Data.MessageID, second.Data.MessageID)
	r.section(trait("Emotional Stability", 40))
	assert.EqualValues(t, 40, current.Next(t).Data.Traits["emotional_stability"])

	s = r.section(trait("charm", 1))
	assert.Contains(t, s.Value.(contract.Object)["error"], "unknown trait")
	assert.Equal(t, []any{"emotional_stability", "humor", "mood"}, s.Value.(contract.Object)["available"])

	require.NoError(t, os.WriteFile(filepath.Join(dir, "Kit.toml"), []byte("[traits]\nhumor=10\n"), 0o600))
	kit := start(t, Options{Traits: traits, Characters: dir, Character: "Kit"})
	assert.EqualValues(t, 10, servicetest.Collect(t, kit.c, contract.CharacterCurrent).Next(t).Data.Traits["humor"], "each persona has its own")

	r2 := start(t, Options{Traits: traits, Characters: dir})
	current2 := servicetest.Collect(t, r2.c, contract.CharacterCurrent)
	assert.EqualValues(t, 75, current2.Next(t).Data.Traits["humor"], "kept over a restart")
	_, err := r2.c.PublishRaw(t.Context(), "character/update", []byte(`{"id":"q","type":"character.update","ts":1,"source":"mcp","data":{"trait":"humor","value":"60"}}`), 1, false)
	require.NoError(t, err)
	assert.EqualValues(t, 60, current2.Next(t).Data.Traits["humor"], "without a section, as the tool server sends it")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "TARS.toml"), []byte("[traits]\nhumor=20\n"), 0o600))
	_, err = r2.c.PublishRaw(t.Context(), "character/update", []byte(`{"id":"r","type":"character.update","ts":1,"source":"mcp","data":{"reset_all":true}}`), 1, false)
	require.NoError(t, err)
	got := current2.Next(t)
	assert.EqualValues(t, 20, got.Data.Traits["humor"], "the file is read again")
	assert.Empty(t, traits.records)
}

func TestGetCharacter(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	get := func(section *string) contract.CharacterAnswer {
		m, err := client.Request(t.Context(), r.c, contract.CharacterGet, contract.CharacterResult, contract.GetCharacter{Section: section})
		require.NoError(t, err)
		return m.Data
	}
	all := get(nil).Character
	require.NotNil(t, all)
	assert.Equal(t, "TARS", all.Name)
	assert.Len(t, all.Traits, 18)
	assert.NotEmpty(t, all.MessageID)
	assert.EqualValues(t, 95, get(new("traits")).Section.Value.(contract.Object)["honesty"])
	assert.Equal(t, "TARS", get(new("name")).Section.Value)
	v := get(new("mood")).Section.Value.(contract.Object)
	assert.Contains(t, v["error"], "unknown section")
	assert.Len(t, v["available"], 10)
}

func TestBrokenPersona(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Kit.toml"), []byte("[info"), 0o600))
	bus := servicetest.Start(t)
	health := servicetest.Collect(t, bus.Client(t, "watch"), contract.Health.At("memory"))
	bus.Run(t, New(Options{Character: "Kit", Characters: dir}))
	m := health.Find(t, func(m client.Message[contract.HealthPing]) bool {
		return m.Data.Event != nil && *m.Data.Event == "persona"
	})
	assert.True(t, m.Data.OK)
	assert.Contains(t, *m.Data.Err, "Kit.toml")
	current := servicetest.Collect(t, bus.Client(t, "llm"), contract.CharacterCurrent).Next(t)
	assert.Equal(t, "Kit", current.Data.Name)
}
