package waketrain

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
)

// beep is a tone with silence around it.
func beep(seconds float64, rate int) []int16 {
	n := int(seconds * float64(rate))
	out := make([]int16, n+rate)
	for i := range n {
		out[rate/2+i] = int16(8000 * (1 - 2*(i/40%2)))
	}
	return out
}

func folder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	return dir
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{"negative/long.wav": audio.AppendWAV(nil, beep(3, 44100), 44100), "negative/notes.txt": []byte("no sound"), "readme": nil}
	for i := range 8 {
		files[fmt.Sprintf("positive/%d.WAV", i)] = audio.AppendWAV(nil, beep(0.7, 16000), 16000)
	}
	r, err := readRecordings(folder(t, files))
	require.NoError(t, err)
	require.Len(t, r.positive, 8)
	require.Len(t, r.negative, 1)
	assert.InDelta(t, 0.7, float64(len(r.positive[0].pcm))/audio.Rate, 0.03, "without the silence around it")
	assert.InDelta(t, 3, float64(len(r.negative[0].pcm))/audio.Rate, 0.03, "at our rate")
	for u, want := range map[use]int{forTraining: 4, forChoosing: 2, forJudging: 2} {
		assert.Len(t, ofUse(r.positive, u), want)
	}
	none, err := readRecordings("")
	require.NoError(t, err)
	assert.Empty(t, none)
}

func TestRecordingsRefuses(t *testing.T) {
	t.Parallel()
	good := audio.AppendWAV(nil, beep(0.7, 16000), 16000)
	for name, c := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"empty folder": {map[string][]byte{"x": nil}, "no WAV file in"},
		"too few":      {map[string][]byte{"positive/a.wav": good}, "too few examples: 1 files"},
		"no WAV":       {map[string][]byte{"negative/a.wav": []byte("RIFFxxxx")}, filepath.Join("negative", "a.wav")},
		"silence":      {map[string][]byte{"negative/a.wav": audio.AppendWAV(nil, make([]int16, 16000), 16000)}, "less than 0.2 s"},
		"short":        {map[string][]byte{"negative/a.wav": audio.AppendWAV(nil, beep(0.05, 16000), 16000)}, "less than 0.2 s"},
		"long": {map[string][]byte{
			"positive/a.wav": audio.AppendWAV(nil, beep(7, 16000), 16000), "positive/b.wav": good, "positive/c.wav": good, "positive/d.wav": good,
			"positive/e.wav": good, "positive/f.wav": good, "positive/g.wav": good, "positive/h.wav": good,
		}, "longer than 6s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := readRecordings(folder(t, c.files))
			require.ErrorIs(t, err, ErrRecordings)
			assert.ErrorContains(t, err, c.want)
		})
	}
	_, err := readRecordings(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, ErrRecordings)
	assert.ErrorContains(t, err, "none")
}
