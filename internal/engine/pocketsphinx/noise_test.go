package pocketsphinx

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/enginetest"
)

// TestLongSpeechInNoise: nothing costs more memory than speech in noise, here at 10 dB and half as long again as an
// utterance is by default. With 64 MiB the program gave up.
func TestLongSpeechInNoise(t *testing.T) {
	t.Parallel()
	e := enginetest.Open(t, Open, ErrMissing)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	var pcm []int16
	for len(pcm) < 22*Rate {
		pcm = append(pcm, enginetest.Speech(t)...)
	}
	var power float64
	for _, v := range pcm {
		power += float64(v) * float64(v)
	}
	sigma := math.Sqrt(power / float64(len(pcm)) / 10)
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // noise
	for i, v := range pcm {
		pcm[i] = int16(max(-32768, min(32767, float64(v)+sigma*r.NormFloat64())))
	}
	d, err := e.Decoder(t.Context())
	require.NoError(t, err)
	defer d.Release()
	require.NoError(t, d.Begin())
	for len(pcm) > 0 {
		n := min(len(pcm), piece)
		require.NoError(t, d.Feed(t.Context(), pcm[:n]))
		pcm = pcm[n:]
	}
	_, err = d.End()
	require.NoError(t, err)
	t.Logf("%d MiB", d.mod.Memory().Size()>>20)
	assert.Less(t, d.mod.Memory().Size(), uint32(maxMemory*3/4), "there is room for worse")
}
