package audio

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestMeasure(t *testing.T) {
	t.Parallel()
	assert.Equal(t, Level{}, Measure(nil))
	assert.Equal(t, Silence, Measure(make([]int16, 320)).DBFS())
	full := Measure(slices.Repeat([]int16{-32768}, 320))
	assert.Equal(t, Level{RMS: 1, Peak: 1}, full)
	assert.Zero(t, full.DBFS())
	sine := Measure(tone(1000, 1600, Rate)) // of 16000
	assert.InDelta(t, 20*math.Log10(16000.0/32768/math.Sqrt2), sine.DBFS(), 0.01)
	assert.InDelta(t, 16000.0/32768, sine.Peak, 0.001)
}

// frames cuts sound into frames from a moment on.
func frames(pcm []int16, at time.Time) (list []Frame) {
	for ; len(pcm) >= FrameLen; pcm = pcm[FrameLen:] {
		list = append(list, Frame{PCM: pcm[:FrameLen], At: at})
		at = at.Add(FrameTime)
	}
	return list
}

func TestSpectrum(t *testing.T) {
	t.Parallel()
	for _, hz := range []float64{500, 1000, 3000, 7000} {
		s := NewSpectrum(SpectrumBins, SpectrumRate)
		var all [][]float64
		for _, f := range frames(tone(hz, 10*Rate, Rate), time.Now()) {
			if bins, ok := s.Add(f); ok {
				all = append(all, bins)
			}
		}
		assert.InDelta(t, 120, len(all), 1, "12 a second for 10 s")
		for _, bins := range all {
			assert.Len(t, bins, 64)
			at := slices.Index(bins, slices.Max(bins))
			assert.InDelta(t, hz/8000*63, at, 1.01, "%v Hz", hz)
			assert.GreaterOrEqual(t, slices.Min(bins), 0.0)
			assert.LessOrEqual(t, slices.Max(bins), 1.0)
		}
	}
}

// TestSpectrumWindow: the window fits a short piece, of which the old one took its left half only
// (defect 18): a tone leaks no more than in a long piece.
func TestSpectrumWindow(t *testing.T) {
	t.Parallel()
	s := NewSpectrum(512, 50)
	list := frames(tone(2000, 4*FrameLen, Rate), time.Now())
	bins, ok := s.Add(list[0])
	assert.True(t, ok, "20 ms are enough")
	assert.Less(t, slices.Max(bins[256:]), 0.5, "from 4 kHz on there is nothing")
	assert.Equal(t, 1.0, math.Round(bins[128]*50)/50)
}

func TestSpectrumEdges(t *testing.T) {
	t.Parallel()
	s := NewSpectrum(1, 1000)
	at := time.Now()
	bins, ok := s.Add(Frame{PCM: make([]int16, FrameLen), At: at})
	assert.True(t, ok)
	assert.Equal(t, make([]float64, 8), bins, "silence is flat, and 8 bins the least")
	bins, _ = s.Add(Frame{PCM: slices.Repeat([]int16{1000}, FrameLen), At: at.Add(time.Second), Gap: true})
	assert.Equal(t, make([]float64, 8), bins, "so is what does not move")
	s.Reset()
	_, ok = s.Add(Frame{PCM: make([]int16, 100), At: at.Add(2 * time.Second)})
	assert.False(t, ok, "too little")
	_, ok = s.Add(Frame{PCM: make([]int16, FrameLen), At: at.Add(-time.Hour)})
	assert.True(t, ok, "a clock that was set back stops nothing")
}

func BenchmarkSpectrum(b *testing.B) {
	s := NewSpectrum(SpectrumBins, SpectrumRate)
	list := frames(tone(440, spectrumLen, Rate), time.Now())
	for _, f := range list {
		s.Add(f)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.compute()
	}
}
