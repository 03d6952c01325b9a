package silero

import (
	"bytes"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/enginetest"
	"github.com/tarsd/tarsd/internal/engine/nn"
	"github.com/tarsd/tarsd/internal/engine/onnx"
)

// open returns the built-in detector, or skips.
func open(tb testing.TB) *Detector {
	tb.Helper()
	d, err := Open()
	if err != nil {
		require.ErrorIs(tb, err, ErrNoWeights)
		tb.Skip(err)
	}
	return d
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
	require.Len(t, got, len(want))
	far, speech := 0.0, 0
	for i, p := range want {
		far = max(far, math.Abs(float64(p-got[i])))
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
	want := run(d, speech)
	assert.NotEqual(t, want, run(d, speech), "it remembers")
	d.Reset()
	assert.Equal(t, want, run(d, speech))

	other := d.Another()
	d.Process(speech[5000:5512])
	assert.Equal(t, want, run(other, speech), "streams are independent")
	assert.Panics(t, func() { d.Process(speech[:FrameSamples-1]) })
}

// TestExtremes: whatever the sound is, a probability comes out.
func TestExtremes(t *testing.T) {
	t.Parallel()
	d := open(t)
	frame := make([]int16, FrameSamples)
	for round := range 200 {
		for i := range frame {
			frame[i] = int16(32767 - 65535*((i+round)%(1+round%7)&1))
		}
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
	_, err := Load(b.Bytes())
	require.NoError(t, err)
	b.Bytes()[b.Len()/2] ^= 1
	for name, file := range map[string][]byte{"empty": nil, "flipped": b.Bytes(), "cut": b.Bytes()[:1000]} {
		_, err := Load(file)
		assert.ErrorIs(t, err, nn.ErrWeights, name)
	}
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

// BenchmarkOpen loads the weights; B/op is what a detector keeps.
func BenchmarkOpen(b *testing.B) {
	open(b)
	b.ReportAllocs()
	for b.Loop() {
		d, err := Open()
		if err != nil {
			b.Fatal(err)
		}
		runtime.KeepAlive(d)
	}
}
