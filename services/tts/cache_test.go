package tts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/tts/voice"
)

// TestPhrases: an answer to a wake word is made once, kept over restarts, and made anew for
// another voice.
func TestPhrases(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "phrases")
	wake := func(s *contract.Say) { s.WakeAck = new(true) }
	for run := range 2 {
		h := newHouse(t, func(o *Options) { o.CacheDir, o.Preload = dir, []string{"Hmm?", "Yes?"} })
		require.Eventually(t, func() bool {
			files, err := filepath.Glob(filepath.Join(dir, "*.wav"))
			return err == nil && len(files) >= 2
		}, 5*time.Second, 5*time.Millisecond)
		for range 2 {
			h.say("w", "Yes?", wake)
			assert.True(t, *h.next("speaking_start", "w").WakeAck)
			assert.True(t, *h.next("speaking_end", "w").WakeAck)
		}
		if run == 1 {
			assert.Empty(t, h.engine.texts())
			h.say("w", "Yes?", wake, func(s *contract.Say) { s.Voice = new("other") })
			h.next("speaking_start", "w")
			h.next("speaking_end", "w")
			assert.Equal(t, []string{"Yes?"}, h.engine.texts())
		} else {
			assert.Len(t, h.engine.texts(), 2)
		}
	}
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 3)
}

// TestAnswersAreNotKept: an ordinary sentence, short as it may be, is neither written to the disk nor
// does it push out the answers to the wake word.
func TestAnswersAreNotKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHouse(t, func(o *Options) { o.CacheDir, o.CacheMax, o.Preload = dir, 1, []string{"Yes?"} })
	names := func() (names []string) {
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, f := range files {
			if strings.HasSuffix(f.Name(), ".wav") {
				names = append(names, f.Name())
			}
		}
		return names
	}
	require.Eventually(t, func() bool { return len(names()) == 1 }, 5*time.Second, 5*time.Millisecond)
	kept := names()
	for _, s := range []string{"It is 4711.", "Yes?"} {
		h.say(s, s)
		h.next("speaking_start", s)
		h.next("speaking_end", s)
	}
	assert.Equal(t, []string{"Yes?", "It is four thousand seven hundred and eleven."}, h.engine.texts(), "that one is known, whoever says it")
	assert.Equal(t, kept, names())
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache(t.TempDir(), 3)
	for i := range 10 {
		require.NoError(t, c.put(c.key("e", voice.Text{Text: fmt.Sprint(i)}), second()))
	}
	assert.Len(t, c.held, 3)
	files, err := os.ReadDir(c.dir)
	require.NoError(t, err)
	assert.Len(t, files, 3)
	require.NoError(t, os.WriteFile(filepath.Join(c.dir, files[0].Name()), []byte("RIFF, but broken"), 0o600))
	_, ok := newCache(c.dir, 3).get(strings.TrimSuffix(files[0].Name(), ".wav"))
	assert.False(t, ok, "a damaged file counts as none")
}
