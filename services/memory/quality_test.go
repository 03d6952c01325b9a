package memory

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/use"
	"github.com/tarsd/tarsd/services/memory/index"
)

// labelled reads the facts, and the questions with the number of the fact that answers each.
func labelled(t testing.TB) (facts []string, questions []string, answers []int) {
	t.Helper()
	raw, err := os.ReadFile("testdata/quality.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(strings.TrimSpace(line), " | ")
		for _, q := range parts[1:] {
			questions, answers = append(questions, q), append(answers, len(facts))
		}
		facts = append(facts, parts[0])
	}
	require.GreaterOrEqual(t, len(facts), 150)
	require.GreaterOrEqual(t, len(questions), 100)
	return facts, questions, answers
}

func encoder(t testing.TB) *use.Encoder {
	t.Helper()
	e, err := use.Open(t.Context())
	if err != nil {
		t.Skip(err)
	}
	return e
}

// sharesWords reports whether a question has a word of weight in common with its fact; the table
// looks at those apart that have none.
func sharesWords(fact, question string) bool {
	x := index.New()
	x.Add(1, fact)
	return len(x.Words(question, 1, nil)) > 0
}

// TestQuality is the table of docs/memory.md: go test ./services/memory -run Quality -v
func TestQuality(t *testing.T) {
	t.Parallel()
	e := encoder(t)
	facts, questions, answers := labelled(t)
	b := newBook(t, nil)
	ids := make([]uint64, len(facts))
	for i, f := range facts {
		ids[i] = put(t, b, record{role: roleFact, text: f, ts: 1.76e9 + float64(i)})
	}
	v := newVectors(e, b, zerolog.Nop(), func(error) {})
	for n := 1; n > 0; {
		var err error
		n, err = v.step(t.Context())
		require.NoError(t, err)
	}
	ways := []struct{ name, strategy string }{{"words", words}, {"meaning", similarity}, {"fused", hybrid}}
	type tally struct{ at1, at5, of int }
	got := map[string]*tally{}
	for i, q := range questions {
		vector, err := e.Embed(t.Context(), []string{q})
		require.NoError(t, err)
		kind := "no word in common"
		if sharesWords(facts[answers[i]], q) {
			kind = "words in common"
		}
		for _, w := range ways {
			hits := b.hits(ask(q, 5), w.strategy, vector[0])
			at := slices.IndexFunc(hits, func(h index.Hit) bool { return h.ID == ids[answers[i]] })
			for _, group := range []string{"all", kind} {
				k := w.name + ", " + group
				if got[k] == nil {
					got[k] = &tally{}
				}
				got[k].of++
				if at >= 0 {
					got[k].at5++
				}
				if at == 0 {
					got[k].at1++
				}
			}
		}
	}
	t.Logf("%d facts, %d questions", len(facts), len(questions))
	for _, group := range []string{"all", "words in common", "no word in common"} {
		for _, w := range ways {
			s := got[w.name+", "+group]
			t.Logf("%-8s %-18s n=%3d recall@1 %.2f recall@5 %.2f", w.name, group, s.of, float64(s.at1)/float64(s.of), float64(s.at5)/float64(s.of))
		}
	}
	const common = "words in common"
	assert.Greater(t, got["fused, all"].at5, got["words, all"].at5)
	assert.GreaterOrEqual(t, got["fused, "+common].at1, got["meaning, "+common].at1, "what fusing is for: names and numbers")
	assert.GreaterOrEqual(t, got["fused, "+common].at1, got["words, "+common].at1)
	assert.Greater(t, float64(got["fused, all"].at5)/float64(len(questions)), 0.87)
}

// many makes n different sentences that people might say.
func many(n int) []string {
	r := rand.New(rand.NewPCG(1, 1))
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s %s %s %s %s %d", pick("my", "our", "the", "his", "her", "your"),
			pick("brother", "sister", "dog", "car", "house", "garden", "robot", "teacher", "neighbor", "doctor", "boat", "piano"),
			pick("likes", "needs", "has", "was near", "went to", "came from", "talks about", "forgot", "paid for", "waits for"),
			pick("a pizza", "the market", "London", "new shoes", "the train", "music", "a letter", "the lake", "some tools", "an old book", "the weather", "coffee"),
			pick("on monday", "in winter", "last year", "at night", "before lunch", "every day", "with Anna", "without a key", "for the children"), r.IntN(1000))
	}
	return out
}

// TestCandidatesOfSentences: choosing by bits among real vectors finds what comparing all finds.
func TestCandidatesOfSentences(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	e := encoder(t)
	facts, questions, _ := labelled(t)
	base := many(600)
	vectors, err := e.Embed(t.Context(), append(slices.Clone(facts), base...))
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(2, 2))
	full, all := index.New(), [][]float32{}
	const n = 10_000
	for i := range n { // sentences, and what lies between two of them
		v := vectors[i%len(vectors)]
		if i >= len(vectors) {
			w, share := vectors[r.IntN(len(vectors))], 0.2+0.6*r.Float32()
			v = slices.Clone(v)
			for j := range v {
				v[j] = share*v[j] + (1-share)*w[j] + 0.02*float32(r.NormFloat64())
			}
		}
		all = append(all, v)
		full.Add(uint64(i), "")
		full.SetVector(uint64(i), index.Quantise(v))
	}
	found, wanted := 0, 0
	for _, q := range questions[:15] {
		qv, err := e.Embed(t.Context(), []string{q})
		require.NoError(t, err)
		type scored struct {
			id    uint64
			score float64
		}
		exact := make([]scored, n)
		for i, v := range all {
			var dot, norm float64
			for j := range v {
				dot += float64(v[j]) * float64(qv[0][j])
				norm += float64(v[j]) * float64(v[j])
			}
			exact[i] = scored{uint64(i), dot * dot * sign(dot) / norm}
		}
		slices.SortFunc(exact, func(a, b scored) int { return cmpFloat(b.score, a.score) })
		for _, h := range full.Meaning(qv[0], 10, nil) {
			if slices.ContainsFunc(exact[:10], func(s scored) bool { return s.id == h.ID }) {
				found++
			}
			wanted++
		}
	}
	t.Logf("recall@10 against comparing all: %.4f", float64(found)/float64(wanted))
	assert.Greater(t, float64(found)/float64(wanted), 0.95)
}

func sign(f float64) float64 {
	if f < 0 {
		return -1
	}
	return 1
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
