package openwakeword

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/enginetest"
	"github.com/tarsd/tarsd/internal/engine/nn"
	"github.com/tarsd/tarsd/internal/engine/onnx"
)

func open(tb testing.TB) *Chain {
	tb.Helper()
	return enginetest.Open(tb, Open, ErrNoWeights)
}

func run(c *Chain, sound []int16) (all []float32) {
	for ; len(sound) >= ChunkSamples; sound = sound[ChunkSamples:] {
		f, _ := c.Process(sound[:ChunkSamples])
		all = append(all, f...)
	}
	return all
}

// TestMelEqualsNative: the frames of ONNX Runtime, to 0.005 dB.
func TestMelEqualsNative(t *testing.T) {
	t.Parallel()
	c, sound, want := open(t), enginetest.Stream(t), enginetest.Native(t, "mel.f32")
	far, n := 0.0, 0
	for i := 0; (i+1)*ChunkSamples <= len(sound); i++ {
		c.Process(sound[i*ChunkSamples:][:ChunkSamples])
		if i%6 != 0 {
			continue
		}
		for _, v := range c.mel {
			far = max(far, math.Abs(float64(v-(want[n]/10+2))))
			n++
		}
	}
	require.Equal(t, len(want), n)
	t.Logf("%d values, largest difference %.6f", n, far)
	assert.Less(t, far, 0.0005)
}

// TestEmbeddingEqualsNative: what ONNX Runtime makes of the whole window for each chunk. The numbers
// reach from -51 to 73.
func TestEmbeddingEqualsNative(t *testing.T) {
	t.Parallel()
	got, want := run(open(t), enginetest.Stream(t)), enginetest.Native(t, "embedding.f32")
	far, mean := enginetest.Farthest(t, want, got)
	t.Logf("%d embeddings, largest difference %.6f, mean %.6f", len(want)/Dim, far, mean)
	assert.Less(t, far, 0.001)
	assert.Less(t, mean, 0.0001)
}

func TestReset(t *testing.T) {
	t.Parallel()
	c, speech := open(t), enginetest.Speech(t)
	enginetest.Streams(t, func() []float32 { return run(c, speech) }, c.Reset, func() []float32 {
		other := c.Another()
		c.Process(speech[5000 : 5000+ChunkSamples])
		return run(other, speech)
	})
	assert.Panics(t, func() { c.Process(make([]int16, ChunkSamples-1)) })
}

func TestStart(t *testing.T) {
	t.Parallel()
	c, speech := open(t), enginetest.Speech(t)
	quiet := c.Features()[:Dim]
	assert.Equal(t, quiet, c.Features()[15*Dim:], "quiet stands in for what was not heard")
	for i := range 8 {
		f, ok := c.Process(speech[i*ChunkSamples:][:ChunkSamples])
		assert.Equal(t, i >= settle, ok, "chunk %d", i)
		assert.Equal(t, f, c.Features()[15*Dim:])
		require.Len(t, c.Features(), Window*Dim)
	}
	c.Reset()
	_, ok := c.Process(speech[:ChunkSamples])
	assert.False(t, ok)
}

// TestExtremes: whatever the sound is, numbers come out.
func TestExtremes(t *testing.T) {
	t.Parallel()
	c := open(t)
	chunk := make([]int16, ChunkSamples)
	for round := range 60 {
		enginetest.Harsh(chunk, round)
		f, _ := c.Process(chunk)
		for _, v := range f {
			require.Less(t, math.Abs(float64(v)), 1e4)
		}
	}
}

// TestResetForgetsScores: the mean after a reset has nothing of what was before.
func TestResetForgetsScores(t *testing.T) {
	t.Parallel()
	d := NewDetector(open(t), NewHead("x", 0.5, 1)) // each score is a half
	chunk := make([]int16, ChunkSamples)
	for range 2 {
		var got []float32
		for range 12 {
			if s := d.Process(chunk); s > 0 {
				got = append(got, s)
			}
		}
		require.Greater(t, len(got), 3)
		assert.InDeltaSlice(t, []float32{0.5 / 3, 1. / 3, 0.5, 0.5}, got[:4], 1e-6)
		d.Reset()
	}
}

func TestNoAllocations(t *testing.T) {
	d := NewDetector(open(t), NewHead("x", 0.5, 32))
	chunk := enginetest.Speech(t)[4000 : 4000+ChunkSamples]
	assert.Zero(t, testing.AllocsPerRun(20, func() { d.Process(chunk) }))
}

func TestLoadRefusesDamage(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, nn.Write(&b, magic, newModel().parts()...))
	enginetest.RefusesDamage(t, b.Bytes(), func(file []byte) error { _, err := Load(file); return err }, nn.ErrWeights)
}

func TestPackRefuses(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.ErrorIs(t, Pack(&b, []byte("no such thing"), nil), onnx.ErrFormat)
	assert.Zero(t, b.Len())
}

func BenchmarkProcess(b *testing.B) {
	c, speech := open(b), enginetest.Speech(b)
	d := NewDetector(c, NewHead("x", 0.5, 32))
	var mel [frames * bands]float32
	var out [Dim]float32
	for _, part := range []struct {
		name string
		run  func(chunk []int16)
	}{
		{"mel", func(chunk []int16) { c.listener.hear((*[ChunkSamples]int16)(chunk), &mel) }},
		{"embedding", func([]int16) { c.embedder.push(&mel, out[:]) }},
		{"head", func([]int16) { d.head.Score(c.Features()) }},
		{"all", func(chunk []int16) { d.Process(chunk) }},
	} {
		b.Run(part.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				part.run(speech[i : i+ChunkSamples])
				i = (i + ChunkSamples) % (len(speech) - ChunkSamples)
			}
			seconds := b.Elapsed().Seconds() / float64(b.N)
			b.ReportMetric(1000*seconds, "ms/chunk")
			b.ReportMetric(seconds/(float64(ChunkSamples)/Rate), "RTF")
		})
	}
}

func BenchmarkOpen(b *testing.B) { enginetest.BenchOpen(b, Open, ErrNoWeights) }
