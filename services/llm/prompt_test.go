package llm

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/chat"
)

func turns(texts ...string) []chat.Message {
	var out []chat.Message
	for i, s := range texts {
		out = append(out, chat.Message{Role: []string{chat.User, chat.Assistant}[i%2], Content: s})
	}
	return out
}

func TestTokens(t *testing.T) {
	t.Parallel()
	assert.Zero(t, tokens(""))
	for text, real := range map[string]int{ // as OpenAI's tables count them, for orientation
		"What is the capital of France?":                          7,
		"The quick brown fox jumps over the lazy dog.":            10,
		"Donaudampfschifffahrtsgesellschaftskapitän":              14,
		"日本の首都はどこですか":                                             10,
		"Где находится библиотека?":                               8,
		`{"type":"object","properties":{"a":{"type":"integer"}}}`: 14,
	} {
		assert.GreaterOrEqual(t, tokens(text), real*9/10, text)
		assert.LessOrEqual(t, tokens(text), real*2, text)
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "short", strings.Repeat("some words ", 200), strings.Repeat("ä", 500), strings.Repeat("日本", 500), strings.Repeat("x", 5000)} {
		for _, n := range []int{-1, 0, 1, 10, 100, 10_000} {
			got := shorten(s, n)
			assert.LessOrEqual(t, tokens(got), max(n, 0))
			assert.True(t, strings.HasPrefix(s, got))
			assert.True(t, got == strings.ToValidUTF8(got, ""), "cut within a sign")
			if tokens(s) <= n {
				assert.Equal(t, s, got)
			} else if n > 0 {
				assert.Greater(t, tokens(got), n*8/10-2, "%d of %.10q", n, s)
			}
		}
	}
}

func TestFit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", 100) // 143 tokens, 147 as a message
	b := budget{window: 1000, answer: 200, notes: 200}
	p := prompt{system: "Be brief.", text: "Question?", history: turns("first", "one", "second", "two")}
	m, _, err := b.fit(p, DefaultTemplate)
	require.NoError(t, err)
	assert.Equal(t, append(append([]chat.Message{{Role: chat.System, Content: "Be brief."}}, p.history...), chat.Message{Role: chat.User, Content: "Question?"}), m)

	p.history = turns(long, long, long, long, long, long, long, "last")
	m, _, err = b.fit(p, DefaultTemplate)
	require.NoError(t, err)
	assert.LessOrEqual(t, costOf(m), b.window-b.answer-slack)
	assert.Equal(t, "last", m[len(m)-2].Content, "the newest stay")
	assert.Equal(t, chat.User, m[1].Role, "it does not begin with an answer")
	assert.Greater(t, len(m), 4)

	p.notes = []chat.Note{{Text: "I live\n in London", Speaker: chat.User, At: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)}, {Text: long}, {Text: long}, {Text: "short", Speaker: chat.Assistant}}
	m, notes, err := b.fit(p, DefaultTemplate)
	require.NoError(t, err)
	assert.LessOrEqual(t, costOf(m), b.window-b.answer-slack)
	assert.Len(t, notes, 3, "those that fit")
	assert.Contains(t, m[len(m)-1].Content, "- (the user said, 2026-01-02 03:04) I live in London\n- word word")
	assert.Contains(t, m[len(m)-1].Content, "- (you said) short")
	assert.True(t, strings.HasSuffix(m[len(m)-1].Content, "\n\nQuestion?"))

	p.system = strings.Repeat("persona ", 5000)
	m, _, err = b.fit(p, DefaultTemplate)
	require.NoError(t, err)
	assert.LessOrEqual(t, costOf(m), b.window-b.answer-slack, "the persona gives way")
	assert.Equal(t, chat.System, m[0].Role)

	p.text = strings.Repeat(long, 10)
	_, _, err = b.fit(p, DefaultTemplate)
	var e *chat.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, chat.TooLong, e.Kind)
}

// A stray brace or an unknown placeholder in a template made every request of the reference fail.
func TestTemplates(t *testing.T) {
	t.Parallel()
	b := budget{window: 4000, answer: 200, notes: 200}
	for template, want := range map[string]string{
		"{context} | {user}":         "- {user} | Q {context}",
		"{ {unknown} {0} %s {user} ": "{ {unknown} {0} %s Q {context} ",
		"no place":                   "no place",
	} {
		m, _, err := b.fit(prompt{text: "Q {context}", notes: []chat.Note{{Text: "{user}"}}}, template)
		require.NoError(t, err)
		assert.Equal(t, want, m[0].Content, "what is put in is not looked through again")
	}
}

// The reference's router sends the question in the history as well.
func TestConversation(t *testing.T) {
	t.Parallel()
	history := []contract.ChatTurn{{Role: "user", Content: "Hello."}, {Role: "assistant", Content: " Hi. "}, {Role: "assistant", Content: " "}, {Role: "user", Content: "Joke?"}}
	assert.Equal(t, turns("Hello.", "Hi."), conversation(history, "Joke?"))
	assert.Equal(t, turns("Hello.", "Hi.", "Joke?"), conversation(history, "Other?"))
	assert.Len(t, recent(turns(strings.Split(strings.Repeat("a ", 999), " ")...), 1e9, maxHistory), maxHistory)
}

func TestSystemPrompt(t *testing.T) {
	t.Parallel()
	c := contract.Character{
		Name: "TARS", Description: new("A robot."), SystemPrompt: new("You are TARS, a robot."),
		Traits:   contract.Object{"humor": 90.0, "verbosity": 10.0, "honesty": 50.0, "mood": "calm", "odd": true},
		Scenario: contract.Object{"world": "Space.", "context": "A ship.", "more": "no"},
		Notes:    contract.Object{"crisis_mode": "Stay calm.", "ärger": "Avoid.", "n": 3.0},
		Examples: contract.Object{"b": "User: Hi.\nTARS: Hi.", "a": "User: Joke?\nTARS: No.", "c": " "},
	}
	assert.Equal(t, `You are TARS, a robot.

World: Space.

Context: A ship.

Guidelines:
- Crisis Mode: Stay calm.
- Ärger: Avoid.

Examples of how you talk:
User: Joke?
TARS: No.

User: Hi.
TARS: Hi.

Personality, from 0 to 100: honesty: 50; humor: 90; mood: calm; verbosity: 10.

You joke often, dryly. You answer in one or two short sentences.

Extra.`, systemPrompt(c, " Extra. "))
	assert.Equal(t, "You are TARS. A robot.", systemPrompt(contract.Character{Name: "TARS", Description: new("A robot.")}, ""))
	assert.Equal(t, "You are TARS. Meta.", systemPrompt(contract.Character{Name: "TARS", SystemPrompt: new(" "), Meta: contract.Object{"description": "Meta."}}, ""))
	assert.Equal(t, "You are a helpful robot.", systemPrompt(contract.Character{}, ""))
	c.Notes = contract.Object{"x": strings.Repeat("ä", 20_000)}
	got := systemPrompt(c, "Extra.")
	assert.Less(t, len(got), maxPersona+20)
	assert.True(t, strings.HasSuffix(got, "\n\nExtra."), "the request's own part is not what is cut")
}

func TestPersonaUpdates(t *testing.T) {
	t.Parallel()
	var p persona
	p.answer(contract.CharacterAnswer{})
	p.current(contract.Character{Name: "TARS", Traits: contract.Object{"humor": 90.0}})
	section := func(name string, v any) {
		p.answer(contract.CharacterAnswer{Section: &contract.CharacterSection{Section: name, Value: v}})
	}
	section("traits", map[string]any{"humor": 50.0})
	section("systemprompt", "New.")
	section("description", "D.")
	section("scenario", map[string]any{"world": "W"})
	section("name", "CASE")
	section("name", " ")
	want := contract.Character{Name: "CASE", SystemPrompt: new("New."), Description: new("D."), Traits: contract.Object{"humor": 50.0}, Scenario: contract.Object{"world": "W"}}
	assert.Equal(t, want, p.snapshot())
	// The reference took the error about an unknown section for its content.
	section("traits", map[string]any{"error": "unknown section", "available": []any{"name"}})
	section("traits", "text")
	section("voices", map[string]any{"a": "b"})
	section("traits", nil)
	assert.Equal(t, want, p.snapshot())
	p.answer(contract.CharacterAnswer{Character: &contract.Character{Name: "KIPP"}})
	assert.Equal(t, contract.Character{Name: "KIPP"}, p.snapshot())
}

func TestNotes(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 10, 9, 8, 53, 20, 0, time.UTC)
	r := contract.QueryResults{Results: []contract.QueryResult{
		{Document: "plain", Timestamp: new("2025-10-09T08:53:20Z"), ContextType: "previous"},
		{Document: map[string]any{"text": "I like pizza", "is_final": true, "ts": 1760000000.0}},
		{Document: map[string]any{"text": "Noted.", "wake_ack": nil, "stt_ts": 1760000000.0}},
		{Document: map[string]any{"user_input": "a", "bot_response": "b"}},
		{Document: map[string]any{"content": "c", "role": "assistant", "timestamp": "1760000000"}},
		{Document: map[string]any{"message_id": "x"}},
		{Document: map[string]any{"text": "seconds since power-on", "ts": 12.5}},
		{Document: map[string]any{"text": "WHAT do I like"}},
		{Document: strings.Repeat("ä", 5000)},
	}}
	got := notesOf(r, "what do i like")
	require.Len(t, got, 7)
	for i, want := range []chat.Note{
		{Text: "plain", Context: true}, {Text: "I like pizza", Speaker: chat.User}, {Text: "Noted.", Speaker: chat.Assistant}, {Text: "a"},
		{Text: "c", Speaker: chat.Assistant}, {Text: "seconds since power-on"},
	} {
		if i != 3 && i != 5 {
			assert.True(t, got[i].At.Equal(at), "%d: %s", i, got[i].At)
			got[i].At = time.Time{}
		}
		assert.Equal(t, want, got[i])
	}
	assert.LessOrEqual(t, len(got[6].Text), maxNote)
}
