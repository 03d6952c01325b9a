package waketrain

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPhraseWords(t *testing.T) {
	t.Parallel()
	ws, err := phraseWords("  Hey   TARS ")
	require.NoError(t, err)
	assert.Equal(t, []string{"hey", "tars"}, ws)
	for phrase, want := range map[string]string{
		"": "none was given", " ": "none was given", "a b c d e": "longer than 4 words", strings.Repeat("a", 41): "longer than",
		"hey t4rs": `"t4rs" has something other`, "hé tars": "something other", "hey\x00tars": "something other", "ab c": "too short",
	} {
		_, err := phraseWords(phrase)
		require.ErrorIs(t, err, ErrPhrase, phrase)
		assert.ErrorContains(t, err, want, phrase)
	}
}

func TestRhymes(t *testing.T) {
	t.Parallel()
	got := rhymes("tars")
	assert.Contains(t, got, "mars")
	assert.Contains(t, got, "gars")
	for _, alike := range []string{"tars", "dars", "stars"} {
		assert.NotContains(t, got, alike, "nobody can tell them apart")
	}
	assert.Contains(t, rhymes("okay"), "mokay")
	assert.Contains(t, rhymes("you"), "mou")
	assert.Empty(t, rhymes("hm"))
}

// TestNearly: nothing that a head is taught not to hear has the phrase in it.
func TestNearly(t *testing.T) {
	t.Parallel()
	for _, phrase := range []string{"hey tars", "okay nabu", "computer", "hey you there robot"} {
		ws := strings.Fields(phrase)
		all := nearly(ws)
		assert.Greater(t, len(all), 50, phrase)
		assert.IsIncreasing(t, all, phrase)
		for _, s := range all {
			assert.NotContains(t, s, phrase)
		}
	}
	all := nearly([]string{"hey", "tars"})
	for _, want := range []string{"hey", "tars", "hey mars", "tars hey", "hey jarvis"} {
		assert.Contains(t, all, want)
	}
	assert.NotContains(t, all, "mey tars")
}

func TestSentence(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		s := sentence(r, "the one")
		n := len(strings.Fields(s))
		assert.True(t, n >= 3 && n <= 10, s)
		assert.NotContains(t, s, "the one")
	}
}
