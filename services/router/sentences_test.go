package router

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the recogniser is told to expect, the rules understand: nothing of it goes to a model.
func TestSentencesAreUnderstood(t *testing.T) {
	t.Parallel()
	o := Defaults()
	all := o.Sentences([]string{"humor", "emotional_stability"})
	require.True(t, slices.IsSorted(all))
	for _, want := range []string{"hey tars", "stop", "turn left", "what time is it", "enter live mode", "set humor to seventy five percent", "set emotional stability to one hundred percent"} {
		assert.Contains(t, all, want)
	}
	small := []string{"yes", "no", "yes forget everything", "thank you", "hey tars"} // answers, and the beginning of something
	for _, text := range all {
		assert.Equal(t, text, normal(text))
		if slices.Contains(small, text) {
			continue
		}
		s := newStage(t)
		s.wake()
		s.done()
		s.heard(text)
		done := s.done()
		if slices.Contains(o.CancelPhrases, text) {
			assert.Equal(t, Idle, s.d.state, text)
			continue
		}
		assert.NotEmpty(t, done, text)
		for _, what := range done {
			assert.False(t, strings.HasPrefix(what, "ask "), "%s: %s", text, what)
		}
	}
}

func TestSpelled(t *testing.T) {
	t.Parallel()
	for n := range 101 {
		got, used := number(strings.Fields(spelled(n)))
		assert.Equal(t, n, got, spelled(n))
		assert.Len(t, strings.Fields(spelled(n)), used)
	}
}
