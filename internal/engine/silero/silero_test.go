package silero

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/enginetest"
	"github.com/tarsd/tarsd/internal/engine/nn"
	"github.com/tarsd/tarsd/internal/engine/onnx"
)

func open(tb testing.TB) *Detector {
	tb.Helper()
	return enginetest.Open(tb, Open, ErrNoWeights)
}

func run(d *Detector, sound []int16) (all []float32) {
	for ; len(sound) >= FrameSamples; sound = sound[FrameSamples:] {
		all = append(all, d.Process(sound[:FrameSamples]))
	}
	return all
}

// TestEqualsNative: the probabilities of ONNX Runtime, to 0.0001, and the same decisions.
func TestEqualsNative(t *testing.T) {
	t.Parallel()
	got, want := run(open(t), enginetest.Stream(t)), enginetest.Native(t, "silero.f32")
	far, _ := enginetest.Farthest(t, want, got)
	speech := 0
	for i, p := range want {
		assert.Equal(t, p > 0.5, got[i] > 0.5, "frame %d", i)
		if p > 0.5 {
			speech++
		}
	}
	t.Logf("%d frames, %d of them speech, largest difference %.6f", len(want), speech, far)
	assert.Less(t, far, 0.0001)
	assert.Greater(t, speech, 60)
	assert.Less(t, speech, len(want)-60)
}

func TestReset(t *testing.T) {
	t.Parallel()
	d, speech := open(t), enginetest.Speech(t)
	enginetest.Streams(t, func() []float32 { return run(d, speech) }, d.Reset, func() []float32 {
		other := d.Another()
		d.Process(speech[5000:5512])
		return run(other, speech)
	})
	assert.Panics(t, func() { d.Process(speech[:FrameSamples-1]) })
}

// TestExtremes: whatever the sound is, a probability comes out.
func TestExtremes(t *testing.T) {
	t.Parallel()
	d := open(t)
	frame := make([]int16, FrameSamples)
	for round := range 200 {
		enginetest.Harsh(frame, round)
		p := d.Process(frame)
		require.True(t, p >= 0 && p <= 1, "%g", p)
	}
}

func TestNoAllocations(t *testing.T) {
	d := open(t)
	frame := enginetest.Speech(t)[4000:4512]
	assert.Zero(t, testing.AllocsPerRun(20, func() { d.Process(frame) }))
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
	require.ErrorIs(t, Pack(&b, []byte("no such thing")), onnx.ErrFormat)
	assert.Zero(t, b.Len())
}

func BenchmarkProcess(b *testing.B) {
	d, speech := open(b), enginetest.Speech(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d.Process(speech[i : i+FrameSamples])
		i = (i + FrameSamples) % (len(speech) - FrameSamples)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/(float64(FrameSamples)/Rate), "RTF")
}

func BenchmarkOpen(b *testing.B) { enginetest.BenchOpen(b, Open, ErrNoWeights) }
