package audio

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio/audiotest"
)

// newBed starts a private sound server, or skips the test.
func newBed(t *testing.T) *audiotest.Bed {
	t.Helper()
	return audiotest.NewBed(t, "speaker", "mic")
}

// sweep is a signal that is unlike itself at any other moment: its correlation has one sharp peak.
func sweep(n, rate int, amplitude float64) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		x := float64(i) / float64(rate)
		f := 300 + 1500*x // Hz, growing
		pcm[i] = int16(amplitude * math.Sin(2*math.Pi*f*x))
	}
	return pcm
}

func energy(pcm []int16) float64 {
	sum := 0.0
	for _, s := range pcm {
		sum += float64(s) * float64(s)
	}
	return sum
}

// play writes all of it and waits for the end.
func play(t *testing.T, s Sink, pcm []int16) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, s.Write(ctx, pcm))
	require.NoError(t, s.Drain(ctx))
}
