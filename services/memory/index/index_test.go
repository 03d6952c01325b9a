package index

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func ids(hits []Hit) []uint64 {
	out := []uint64{}
	for _, h := range hits {
		out = append(out, h.ID)
	}
	return out
}

func filled(texts ...string) *Index {
	x := New()
	for i, s := range texts {
		x.Add(uint64(i+1), s)
	}
	return x
}

func TestTerms(t *testing.T) {
	t.Parallel()
	var s stemmer
	for text, want := range map[string]string{
		"My brother lives in London.":      "brother live london",
		"Where does my brother live?":      "brother live",
		"my sister’s birthday, 3rd of May": "sister birthday 3rd",
		"what is it":                       "",
		"東京 tower":                         "東 京 tower",
		"  ... !! ":                        "",
		"naïve CAFÉ":                       "naïv café",
		strings.Repeat("x", 100):           "",
	} {
		assert.Equal(t, want, strings.Join(s.terms(text), " "), text)
	}
}

// TestWords: the scores are those of the formula, worked out by hand here.
func TestWords(t *testing.T) {
	t.Parallel()
	x := filled("red apple", "green apple tree garden", "blue sky", "apple apple")
	hits := x.Words("apples", 10, nil)
	assert.Equal(t, []uint64{4, 1, 2}, ids(hits))
	idf := math.Log(1 + (4-3+0.5)/(3+0.5))
	average := 10.0 / 4
	assert.InDelta(t, idf*2/(2+1.5*(0.25+0.75*2/average)), hits[0].Score, 1e-6)
	assert.InDelta(t, idf*1/(1+1.5*(0.25+0.75*4/average)), hits[2].Score, 1e-6)
	assert.Empty(t, x.Words("what is the", 10, nil), "no words, no hits")
	assert.Empty(t, x.Words("piano", 10, nil), "a text without the words is no hit")
	assert.Equal(t, []uint64{4}, ids(x.Words("apple", 1, nil)))
	assert.Equal(t, []uint64{1, 2}, ids(x.Words("apple", 2, func(id uint64) bool { return id == 4 })))
	assert.Empty(t, New().Words("apple", 3, nil))
}

func TestRemove(t *testing.T) {
	t.Parallel()
	texts := []string{"red apple", "apple tree", "tree house"}
	x, y := filled(texts...), New()
	assert.True(t, x.Remove(2, texts[1]))
	assert.False(t, x.Remove(2, texts[1]))
	assert.False(t, x.Remove(9, ""))
	y.Add(1, texts[0])
	y.Add(3, texts[2])
	assert.Equal(t, y.Words("apple tree house", 5, nil), x.Words("apple tree house", 5, nil), "as if it had never been there")
	assert.Equal(t, 2, x.Len())
}

func TestOrder(t *testing.T) {
	t.Parallel()
	x := New()
	for _, id := range []uint64{10, 30, 20, 50, 40, 20} { // 20 a second time: no matter
		x.Add(id, "text")
	}
	var last, first []uint64
	x.Last(func(id uint64) bool { last = append(last, id); return len(last) < 4 })
	x.First(func(id uint64) bool { first = append(first, id); return true })
	assert.Equal(t, []uint64{50, 40, 30, 20}, last)
	assert.Equal(t, []uint64{10, 20, 30, 40, 50}, first)
	assert.Equal(t, []uint64{20, 30}, x.From(11, 2))
	assert.Equal(t, []uint64{50}, x.From(50, 2))
	assert.Empty(t, x.From(51, 2))
	before, after := x.Around(20, 2)
	assert.Equal(t, []uint64{10}, before)
	assert.Equal(t, []uint64{30, 40}, after)
	before, after = x.Around(21, 2)
	assert.Empty(t, append(before, after...))
	assert.True(t, x.Has(20))
	assert.False(t, x.Has(25))
	x.Add(21, "text")
	x.Add(22, "text")
	for id, want := range map[uint64]uint64{20: 23, 21: 23, 25: 25, 50: 51, 60: 60, 1: 1} {
		assert.Equal(t, want, x.Free(id), "%d", id)
	}
}

func TestFuse(t *testing.T) {
	t.Parallel()
	out := Fuse(3, []Hit{{1, 9}, {2, 8}}, []Hit{{2, 5}, {3, 4}})
	assert.Equal(t, []uint64{2, 1, 3}, ids(out))
	assert.InDelta(t, 1.0/62+1.0/61, out[0].Score, 1e-12)
	assert.InDelta(t, 1.0/61+1.0/64, out[1].Score, 1e-12, "missing: rank of total + 1")
	assert.InDelta(t, 1.0/64+1.0/62, out[2].Score, 1e-12)
	assert.Empty(t, Fuse(0))
	one := Fuse(1, []Hit{{1, 1}}, []Hit{{1, 1}})
	assert.InDelta(t, 2.0/61, one[0].Score, 1e-12, "the most there can be")
}

func direction(r *rand.Rand, dim int) []float32 {
	v := make([]float32, dim)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func TestQuantise(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	x := New()
	x.Add(1, "")
	for range 50 {
		v := direction(r, 100)
		require.True(t, x.SetVector(1, Quantise(v)))
		assert.InDelta(t, 1, x.Meaning(v, 1, nil)[0].Score, 0.0002)
	}
	assert.Nil(t, Quantise(make([]float32, 4)))
	assert.Nil(t, Quantise([]float32{float32(math.NaN()), 1}))
	assert.Nil(t, Quantise([]float32{float32(math.Inf(1)), 1}))
	assert.False(t, x.SetVector(1, Quantise(make([]float32, 100))))
	assert.False(t, x.SetVector(1, Quantise([]float32{1, 2})), "another length")
	assert.False(t, x.SetVector(2, Quantise(direction(r, 100))), "no such text")
	assert.Empty(t, x.Meaning([]float32{1, 2}, 5, nil))
	assert.Empty(t, x.Meaning(make([]float32, 100), 5, nil))
}

// TestCompact: many removals move the rest together, and change no answer.
func TestCompact(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	x, y := New(), New()
	words := strings.Fields("red green blue apple tree house sky river stone road")
	for id := uint64(1); id <= 3000; id++ {
		text := words[r.IntN(10)] + " " + words[r.IntN(10)]
		v := Quantise(direction(r, 70))
		x.Add(id, text)
		if id%3 != 0 {
			x.SetVector(id, v)
		}
		if id%2 == 0 {
			x.Remove(id, text)
			continue
		}
		y.Add(id, text)
		if id%3 != 0 {
			y.SetVector(id, v)
		}
	}
	assert.Less(t, len(x.docs), 2600, "compacted")
	assert.Equal(t, y.Len(), x.Len())
	assert.Equal(t, y.Vectors(), x.Vectors())
	assert.Equal(t, y.Missing(5), x.Missing(5))
	q := direction(r, 70)
	assert.Equal(t, y.Meaning(q, 20, nil), x.Meaning(q, 20, nil))
	assert.Equal(t, y.Words("green river", 20, nil), x.Words("green river", 20, nil))
}

// TestCandidates: choosing by bits finds what comparing everything finds. Random directions are the
// hardest case, since nothing is near; the queries here are like a text, as questions are.
func TestCandidates(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	const n, dim = 3 * exactUntil, 128
	x := New()
	all := make([][]float32, n)
	for i := range all {
		all[i] = direction(r, dim)
		x.Add(uint64(i), "")
		x.SetVector(uint64(i), Quantise(all[i]))
	}
	found := 0
	for range 50 {
		want := r.IntN(n)
		q := slices.Clone(all[want])
		for i, f := range direction(r, dim) {
			q[i] += 1.5 * f // a cosine of about 0.55
		}
		hits := x.Meaning(q, 5, nil)
		require.Len(t, hits, 5)
		if hits[0].ID == uint64(want) {
			found++
		}
	}
	assert.GreaterOrEqual(t, found, 49)
	skipped := x.Meaning(all[7], 5, func(id uint64) bool { return id == 7 })
	assert.NotContains(t, ids(skipped), uint64(7))
	assert.Len(t, skipped, 5)
}

func FuzzTerms(f *testing.F) {
	for _, s := range []string{"", "don't", "'''", "\xff\xfe", "東京", "running runs ran"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x := New()
		x.Add(1, s)
		x.Words(s, 3, nil)
		x.Remove(1, s)
		if x.words != 0 || len(x.terms) != 0 {
			t.Fatal(x.words, x.terms)
		}
	})
}

func benchIndex(n int) (*Index, *rand.Rand) {
	r := rand.New(rand.NewPCG(7, 8))
	zipf := rand.NewZipf(r, 1.1, 10, 30_000)
	x := New()
	for id := range n {
		var b strings.Builder
		for range 8 {
			fmt.Fprintf(&b, "w%d ", zipf.Uint64())
		}
		x.Add(uint64(id), b.String())
		x.SetVector(uint64(id), Quantise(direction(r, 512)))
	}
	return x, r
}

func BenchmarkQuery(b *testing.B) {
	x, r := benchIndex(100_000)
	q := direction(r, 512)
	b.Run("words", func(b *testing.B) {
		for b.Loop() {
			x.Words("w0 w3 w40 w500 w6000", 50, nil)
		}
	})
	b.Run("meaning", func(b *testing.B) {
		for b.Loop() {
			x.Meaning(q, 50, nil)
		}
	})
	b.Run("add", func(b *testing.B) {
		id := uint64(1 << 40)
		for b.Loop() {
			x.Add(id, "w0 w3 w40 w500 w6000 something else")
			id++
		}
	})
}
