package voice

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/pocketsphinx"
)

// TestPiperPeer has a real Piper speak behind the Wyoming protocol, and the built-in recogniser hear it. piper.sh
// installs one, starts it and runs this.
func TestPiperPeer(t *testing.T) {
	address := os.Getenv("TARSD_TEST_PIPER_PEER")
	if address == "" {
		t.Skip("needs wyoming-piper with a voice; run: sh services/tts/voice/piper.sh")
	}
	e, err := NewWyoming(address, "")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	ear, err := pocketsphinx.Open()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, ear.Close()) })
	for _, text := range []string{"what time is it", "turn left", "please remember that my brother lives in london"} {
		var pcm []int16
		began, first := time.Now(), time.Duration(0)
		require.NoError(t, e.Speak(t.Context(), Text{Text: text + "."}, func(s Sound) error {
			if first == 0 {
				first = time.Since(began)
			}
			piece, err := audio.Resample(s.PCM, s.Rate, audio.Rate)
			pcm = append(pcm, piece...)
			return err
		}))
		took, long := time.Since(began), audio.Duration(len(pcm), audio.Rate)
		d, err := ear.Decoder(t.Context())
		require.NoError(t, err)
		h, err := d.Whole(t.Context(), nil, pcm)
		require.NoError(t, err)
		d.Release()
		t.Logf("%.1f s of %q: first sound %d ms, real-time factor %.2f, heard as %q", long.Seconds(), text, first.Milliseconds(), took.Seconds()/long.Seconds(), h.Text)
		assert.Greater(t, long, 500*time.Millisecond)
		assert.NotEmpty(t, h.Text, "it speaks words")
	}
}
