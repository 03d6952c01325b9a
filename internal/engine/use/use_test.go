package use

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/enginetest"
)

func open(tb testing.TB) *Encoder {
	tb.Helper()
	return enginetest.Open(tb, func() (*Encoder, error) { return Open(tb.Context()) }, ErrNoWeights)
}

type recorded struct {
	Text   string
	Tokens []int32
	Vector []float32
}

// reference reads what the JavaScript package gave; testdata/README says how it was recorded.
func reference(tb testing.TB) (all []recorded) {
	tb.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	require.NoError(tb, err)
	require.NoError(tb, json.Unmarshal(raw, &all))
	require.Len(tb, all, 20)
	return all
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

func TestEqualsReference(t *testing.T) {
	t.Parallel()
	e := open(t)
	worst, far := 1.0, 0.0
	for _, want := range reference(t) {
		assert.Equal(t, want.Tokens[:min(len(want.Tokens), maxTokens)], e.Tokens(want.Text), "%q", want.Text)
		got, err := e.Embed(t.Context(), []string{want.Text})
		require.NoError(t, err)
		require.Len(t, got[0], Dim)
		worst = min(worst, cosine(got[0], want.Vector))
		for i := range got[0] {
			far = max(far, math.Abs(float64(got[0][i]-want.Vector[i])))
		}
	}
	t.Logf("least cosine %.7f, largest difference %.6f", worst, far)
	assert.Greater(t, worst, 0.9999)
	assert.Less(t, far, 0.001)
}

// TestBatch: several texts at once give what each gives alone, in their order.
func TestBatch(t *testing.T) {
	t.Parallel()
	e := open(t)
	texts := []string{""}
	for _, r := range reference(t) {
		texts = append(texts, r.Text)
	}
	all, err := e.Embed(t.Context(), texts)
	require.NoError(t, err)
	require.Len(t, all, len(texts))
	assert.Equal(t, make([]float32, Dim), all[0], "no text is like nothing")
	for i, text := range texts[1:] {
		one, err := e.Embed(t.Context(), []string{text})
		require.NoError(t, err)
		assert.InDelta(t, 1, cosine(one[0], all[i+1]), 1e-6, "%q", text)
	}
}

func TestMeaning(t *testing.T) {
	t.Parallel()
	v, err := open(t).Embed(t.Context(), []string{
		"my brother lives in london", "where does my brother live?", "turn the robot left", "rotate to the left please",
	})
	require.NoError(t, err)
	assert.InDelta(t, 0.52, cosine(v[0], v[1]), 0.01)
	assert.InDelta(t, 0.45, cosine(v[2], v[3]), 0.01)
	assert.Less(t, cosine(v[0], v[2]), 0.25)
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	e := open(t)
	want, err := e.Embed(t.Context(), []string{"five at once"})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			got, err := e.Embed(t.Context(), []string{"five at once"})
			assert.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
	wg.Wait()
}

// TestLongText: cost is bounded, whatever comes.
func TestLongText(t *testing.T) {
	t.Parallel()
	e := open(t)
	for _, text := range []string{strings.Repeat("a", 1<<20), strings.Repeat("\ufdfa", 1<<18), strings.Repeat("🤖", 1<<18), "\xff\xfe\x00"} {
		assert.LessOrEqual(t, len(e.Tokens(text)), maxTokens)
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	t.Parallel()
	raw, err := assets.ReadFile("assets/" + PackedName)
	if err != nil {
		t.Skip(ErrNoWeights)
	}
	enginetest.RefusesDamage(t, raw, func(b []byte) error { _, err := Load(t.Context(), bytes.NewReader(b), int64(len(b))); return err }, ErrWeights)
}

// calledReader calls before each read.
type calledReader struct {
	io.ReaderAt
	before func()
}

func (c calledReader) ReadAt(p []byte, off int64) (int, error) {
	c.before()
	return c.ReaderAt.ReadAt(p, off)
}

// TestGivenUp: who waits for the encoder at a stop waits for a piece of its work, not for all of it.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	raw, err := assets.ReadFile("assets/" + PackedName)
	if err != nil {
		t.Skip(ErrNoWeights)
	}
	for _, at := range []int{0, 1, 3} {
		ctx, cancel := context.WithCancel(t.Context())
		if at == 0 {
			cancel()
		}
		reads := 0
		_, err = Load(ctx, calledReader{bytes.NewReader(raw), func() {
			if reads++; reads == at {
				cancel()
			}
		}}, int64(len(raw)))
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, at, reads)
	}
	weights := []float32{7, 7}
	(&reader{err: context.Canceled}).halves(weights)
	assert.Equal(t, []float32{7, 7}, weights, "millions of numbers are not made of nothing")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	loaded := false
	e, err := Load(ctx, calledReader{bytes.NewReader(raw), func() {
		if loaded {
			cancel() // while the text goes into the network
		}
	}}, int64(len(raw)))
	require.NoError(t, err)
	loaded = true
	_, err = e.Embed(ctx, []string{"one text"})
	require.ErrorIs(t, err, context.Canceled)
}

func TestHalf(t *testing.T) {
	t.Parallel()
	for h := range 1 << 16 {
		f := fromHalf(uint16(h))
		if f != f {
			continue
		}
		require.Equal(t, uint16(h), toHalf(f), "%#x is %g", h, f)
	}
	for _, c := range []struct {
		f    float32
		want uint16
	}{{1, 0x3c00}, {1.0004, 0x3c00}, {1.0006, 0x3c01}, {65520, 0x7c00}, {-65504, 0xfbff}, {2.9e-8, 0}, {3.1e-8, 1}, {float32(math.Inf(1)), 0x7c00}} {
		assert.Equal(t, c.want, toHalf(c.f), "%g", c.f)
	}
	assert.True(t, math.IsNaN(float64(fromHalf(toHalf(float32(math.NaN()))))))
}

func FuzzTokens(f *testing.F) {
	m := newModel()
	m.setVocab([]string{"", "", "", "", "", "", "▁a", "b", "ab", "▁", "a"}, []float64{0, 0, 0, 0, 0, 0, -1, -2, -2.5, -3, 0})
	for _, s := range []string{"", "a", "ab ba", "日本", "\xff", "a\u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ids := m.tokens(s)
		if len(ids) > maxTokens || slices.ContainsFunc(ids, func(id int32) bool { return id < 0 || id > 10 }) {
			t.Fatal(ids)
		}
	})
}

func BenchmarkEmbed(b *testing.B) {
	e := open(b)
	texts := make([]string, 0, 20)
	for _, r := range reference(b)[:7] {
		texts = append(texts, r.Text)
	}
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, err := e.Embed(b.Context(), texts[i%7:i%7+1]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
	b.Run("batch", func(b *testing.B) {
		for b.Loop() {
			if _, err := e.Embed(b.Context(), texts); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N*len(texts)), "ms/text")
	})
}

func BenchmarkOpen(b *testing.B) {
	enginetest.BenchOpen(b, func() (*Encoder, error) { return Open(b.Context()) }, ErrNoWeights)
}
