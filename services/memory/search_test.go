package memory

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/contract"
)

// ask is a query as the contract fills it in.
func ask(text string, k int) asked {
	return asked{Query: contract.Query{Text: text, TopK: k, ContextWindow: 1, Strategy: hybrid}, now: time.Now()}
}

func found(t testing.TB, r contract.QueryResults) (texts, places []string) {
	t.Helper()
	for _, x := range r.Results {
		texts = append(texts, x.Document.(contract.Object)["text"].(string))
		places = append(places, x.ContextType)
	}
	return texts, places
}

// meaning is the fake embedder's vector.
func meaning(t testing.TB, text string) []float32 {
	t.Helper()
	v, err := (&fakeEmbedder{}).Embed(t.Context(), []string{text})
	require.NoError(t, err)
	return v[0]
}

// withVectors is newBook with vectors.
func withVectors(t testing.TB, all ...string) *book {
	t.Helper()
	b := newBook(t, nil, all...)
	for _, r := range b.missing(1000) {
		require.NoError(t, b.setVectors([]uint64{r.id}, [][]float32{meaning(t, r.text)}))
	}
	return b
}

func TestHybrid(t *testing.T) {
	t.Parallel()
	b := withVectors(t, "the sky is blue", "my brother lives in London", "I like pizza", "he said pizza is an Italian dish")
	res := b.answer(ask("pizza", 2), meaning(t, "pizza"))
	got, places := found(t, res)
	assert.Contains(t, got, "I like pizza")
	assert.Equal(t, []string{"target", "target"}, places)
	assert.Equal(t, 2, res.K)
	assert.Equal(t, hybrid, res.Strategy)
	assert.Equal(t, "pizza", res.Query)
	assert.InDelta(t, 2.0/61, *res.Results[0].Score, 0.0006, "first by both, or first and second")
	assert.GreaterOrEqual(t, *res.Results[0].Score, *res.Results[1].Score)
	assert.Equal(t, 3, *res.Results[indexOf(got, "I like pizza")].TokenCount, "three words, times 1.3, rounded down")
	assert.False(t, res.Truncated)
	assert.Equal(t, "2025-10-09T08:53:22Z", *res.Results[indexOf(got, "I like pizza")].Timestamp)

	q := ask("which relative is in a city", 1)
	res = b.answer(q, meaning(t, q.Text))
	got, _ = found(t, res)
	assert.Equal(t, []string{"my brother lives in London"}, got, "by meaning: no word of it is there")

	q.Strategy = "whatever"
	assert.Equal(t, hybrid, b.answer(q, nil).Strategy, "an unknown strategy is the default one, and says so")
}

func indexOf(all []string, s string) int {
	for i := range all {
		if all[i] == s {
			return i
		}
	}
	return 0
}

// TestSimilarityIsNotHybrid: reference defect 4.
func TestSimilarityIsNotHybrid(t *testing.T) {
	t.Parallel()
	b := withVectors(t, "a dog barks", "zebra zebra zebra")
	q := ask("pet zebra", 2)
	q.Strategy = similarity
	res := b.answer(q, meaning(t, "pet"))
	got, _ := found(t, res)
	assert.Equal(t, "a dog barks", got[0])
	assert.InDelta(t, 0.9, *res.Results[0].Score, 0.1, "the score is the cosine")
	assert.Equal(t, similarity, res.Strategy)

	res = b.answer(q, nil)
	got, _ = found(t, res)
	assert.Equal(t, []string{"zebra zebra zebra"}, got)
	assert.Equal(t, words, res.Strategy, "without vectors it says what was done instead")
}

// TestRecent: reference defect 4: same order and count, with a budget or without.
func TestRecent(t *testing.T) {
	t.Parallel()
	b := newBook(t, nil, "one", "two", "three", "four", "five")
	q := ask("", 3)
	q.Strategy = recent
	res := b.answer(q, nil)
	got, _ := found(t, res)
	assert.Equal(t, []string{"five", "four", "three"}, got)
	assert.Equal(t, 1.0, *res.Results[0].Score)
	q.MaxTokens = new(100)
	res = b.answer(q, nil)
	got, _ = found(t, res)
	assert.Equal(t, []string{"five", "four", "three"}, got)
	assert.Equal(t, 3, res.K)
	q.MaxTokens = new(2)
	res = b.answer(q, nil)
	got, _ = found(t, res)
	assert.Equal(t, []string{"five", "four"}, got)
	assert.True(t, res.Truncated)
	assert.Equal(t, 2, *res.TotalTokens)
}

func TestBudget(t *testing.T) {
	t.Parallel()
	long := "pizza " + strings.Repeat("word ", 99)
	b := newBook(t, nil, "pizza one two three four five six", "pizza and cheese", long)
	q := ask("pizza", 5)
	q.MaxTokens = new(12)
	res := b.answer(q, nil)
	assert.Equal(t, 12, *res.TotalTokens)
	assert.Equal(t, 2, res.K)
	assert.True(t, res.Truncated)

	b = newBook(t, nil, long, "something else")
	q.MaxTokens, q.IncludeContext = new(10), true
	res = b.answer(q, nil)
	_, places := found(t, res)
	assert.Equal(t, []string{"target"}, places, "the first is always there; then nothing more fits (reference defect 4: the contexts were not cut)")
	assert.True(t, res.Truncated)
	assert.Equal(t, 130, *res.TotalTokens)
}

// TestContext: before and after, each once, none that is a target (reference defect 4), contexts
// before the targets.
func TestContext(t *testing.T) {
	t.Parallel()
	b := newBook(t, nil, "alpha", "pizza one", "beta", "pizza two", "gamma", "delta")
	q := ask("pizza", 5)
	q.IncludeContext = true
	got, places := found(t, b.answer(q, nil))
	assert.ElementsMatch(t, []string{"alpha", "beta", "gamma", "pizza one", "pizza two"}, got)
	assert.Equal(t, []string{"target", "target"}, places[3:])
	res := b.answer(q, nil)
	assert.Equal(t, 2, res.K, "contexts are not counted")
	for i := range 3 {
		assert.Zero(t, *res.Results[i].Score)
	}
	q.ContextWindow = 0
	assert.Len(t, b.answer(q, nil).Results, 2)

	b = newBook(t, nil, "same", "same", "before", "pizza", "after")
	q.ContextWindow = 1
	got, places = found(t, b.answer(q, nil))
	assert.Equal(t, []string{"before", "after", "pizza"}, got)
	assert.Equal(t, []string{"previous", "next", "target"}, places)
	q.MaxTokens = new(2)
	res = b.answer(q, nil)
	got, _ = found(t, res)
	assert.Equal(t, []string{"before", "pizza"}, got)
	assert.True(t, res.Truncated)

	// Texts that are equal are different records: the neighbours are the found one's.
	b = newBook(t, nil, "x1", "pizza", "x2", "y1", "pizza", "y2")
	q = ask("pizza", 1)
	q.IncludeContext = true
	got, _ = found(t, b.answer(q, nil))
	assert.Equal(t, []string{"y1", "y2", "pizza"}, got)
}

// TestNotItsOwnHit: reference defect 2: the question just asked was the best hit for itself.
func TestNotItsOwnHit(t *testing.T) {
	t.Parallel()
	now := float64(time.Now().UnixMilli()) / 1000
	for name, c := range map[string]struct {
		r record
		q asked
	}{
		"by its turn":      {record{turn: "t1", ts: now - 60}, asked{turn: "t1"}},
		"by its message":   {record{message: "m1", ts: now - 60}, asked{id: "m1"}},
		"legacy chain":     {record{turn: "e1", message: "m1", ts: now - 60}, asked{id: "m1", turn: "m1"}},
		"by time and text": {record{ts: now}, asked{}},
	} {
		b := withVectors(t, "my brother lives in London")
		c.r.role, c.r.text = roleUser, "Where does my brother live?"
		put(t, b, c.r)
		q := ask("where does my brother live", 5)
		q.id, q.turn = c.q.id, c.q.turn
		for _, strategy := range []string{hybrid, recent, similarity} {
			q.Strategy = strategy
			q.IncludeContext = true
			got, _ := found(t, b.answer(q, meaning(t, q.Text)))
			assert.Equal(t, []string{"my brother lives in London"}, got, "%s, %s", name, strategy)
		}
	}
	b := withVectors(t, "where does my brother live")
	got, _ := found(t, b.answer(ask("where does my brother live", 5), nil))
	assert.Len(t, got, 1, "what was said long ago is a memory")
}

// TestOnlyWordsAreIndexed: reference defect 1: ids, times and languages could be found.
func TestOnlyWordsAreIndexed(t *testing.T) {
	t.Parallel()
	b := newBook(t, nil)
	put(t, b, record{role: roleFact, text: "hello there", message: "4f3c2b1a", turn: "deadbeef", origin: "kitchen", lang: "en", ts: 1.76e9, tags: []string{"greeting"}})
	for _, q := range []string{"4f3c2b1a", "deadbeef", "kitchen", "en", "1760000000", "None", "True", "fact", "null"} {
		assert.Zero(t, b.answer(ask(q, 5), nil).K, q)
	}
	assert.Equal(t, 1, b.answer(ask("greeting", 5), nil).K, "tags are words to find it by")
}

// TestDocument: who said it, and when, is in the result (reference defect 1).
func TestDocument(t *testing.T) {
	t.Parallel()
	b := newBook(t, nil)
	id := put(t, b, record{role: roleAssistant, text: "hello", message: "m", turn: "t", origin: "o", lang: "en", ts: 1760000000.5, tags: []string{"g"}})
	raw, err := json.Marshal(b.answer(ask("hello", 1), nil).Results[0])
	require.NoError(t, err)
	assert.JSONEq(t, `{"document":{"id":"1760000000500","role":"assistant","text":"hello","message_id":"m","turn":"t","origin":"o","lang":"en","ts":1760000000.5,"tags":["g"]},
		"score":0.01639344262295082,"timestamp":"2025-10-09T08:53:20Z","context_type":"target","token_count":1}`, string(raw))
	assert.EqualValues(t, 1760000000500, id)
	put(t, b, record{role: roleUser, text: "timeless", ts: 0})
	assert.Nil(t, b.answer(ask("timeless", 1), nil).Results[0].Timestamp)
}

func TestSalvage(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]struct {
		text, id string
		k        int
		ok       bool
	}{
		`{"text":"pizza","top_k":99}`:                                {"pizza", "", 50, true},
		`{"query":"pizza","top_k":"3"}`:                              {"pizza", "", 3, true},
		`{"id":"a","type":"x","data":{"text":"pizza","k":4,"id":1}}`: {"pizza", "a", 5, true},
		`{"message_id":"b","text":7}`:                                {"", "b", 5, true},
		`pizza, please`:                                              {"pizza, please", "", 5, true},
		`[1,2]`:                                                      {"", "", 5, false},
		`17`:                                                         {"", "", 5, false},
		`{}`:                                                         {"", "", 5, false},
		`{"text":`:                                                   {`{"text":`, "", 5, false},
		``:                                                           {"", "", 5, false},
	} {
		q, id, ok := salvage([]byte(payload))
		assert.Equal(t, want.ok, ok, payload)
		assert.Equal(t, want.text, q.Text, payload)
		assert.Equal(t, want.id, id, payload)
		assert.Equal(t, want.k, q.TopK, payload)
	}
}
