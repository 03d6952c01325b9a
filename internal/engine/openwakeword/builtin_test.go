package openwakeword

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/enginetest"
	"github.com/tarsd/tarsd/internal/engine/flite"
)

// TestBuiltin: the head that comes with tarsd hears a voice that it was not made with, and not what is
// like the phrase.
func TestBuiltin(t *testing.T) {
	t.Parallel()
	head, err := Builtin()
	require.NoError(t, err)
	assert.Equal(t, "hey tars", head.Phrase)
	chain := open(t)
	voice := enginetest.Open(t, flite.Open, flite.ErrNoProgram)
	defer func() { assert.NoError(t, voice.Close()) }()
	for text, wakes := range map[string]bool{
		"hey tars": true, "hey tars, what time is it?": true,
		"hey jarvis": false, "cars are fast": false, "hello": false, "what time is it?": false, "good morning, how are you today?": false,
	} {
		sound := slices.Repeat([]int16{0}, 32000)
		require.NoError(t, voice.Speak(t.Context(), flite.Request{Text: text, Voice: "rms"}, func(_ int, pcm []int16) error {
			sound = append(sound, pcm...)
			return nil
		}))
		d, most := NewDetector(chain.Another(), head), float32(0)
		for sound = append(sound, slices.Repeat([]int16{0}, 8000)...); len(sound) >= ChunkSamples; sound = sound[ChunkSamples:] {
			most = max(most, d.Process(sound[:ChunkSamples]))
		}
		t.Logf("%-40s %.3f", text, most)
		assert.Equal(t, wakes, most >= head.Threshold, "%s: %.3f, the threshold is %.3f", text, most, head.Threshold)
	}
}
