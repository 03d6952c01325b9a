package memory

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAsks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"where does my brother live":       true,
		"Where does my brother live?":      true,
		"which city is my sibling in":      true,
		"is my key under the mat":          true,
		"do you know who lives next door":  true,
		"tell me where the key is":         true,
		"my brother lives where?":          true,
		"where I live it rains":            false,
		"when we were young we had a dog":  false,
		"can openers are in the drawer":    false,
		"Will is my uncle":                 false,
		"It rained. Did you hear it?":      false,
		"My brother lives in London.":      false,
		"what":                             false,
		"":                                 false,
		"remember that the key is missing": false,
	} {
		assert.Equal(t, want, asks(text), "%q", text)
	}
	facts, questions, _ := labelled(t)
	for _, f := range facts {
		assert.False(t, asks(f), f)
	}
	missed := 0
	for _, q := range questions {
		if !asks(q) {
			missed++
		}
	}
	t.Logf("%d of %d questions are not seen as such", missed, len(questions))
	assert.Less(t, missed, len(questions)/10)
}

// TestQuestionsAreNoAnswers: however often something was asked before, in these words or others, what
// was told about it is found first.
func TestQuestionsAreNoAnswers(t *testing.T) {
	t.Parallel()
	told := "my brother lives in London"
	all := []string{"a dog barks", told}
	for i := range 30 {
		all = append(all, "where does my brother live", fmt.Sprintf("which city is my brother living in since %d", 1990+i))
	}
	b := withVectors(t, all...)
	for _, strategy := range []string{hybrid, similarity, words} {
		q := ask("where does my brother live", 5)
		q.Strategy = strategy
		vector := meaning(t, q.Text)
		if strategy == words {
			q.Strategy, vector = similarity, nil
		}
		res := b.answer(q, vector)
		got, _ := found(t, res)
		assert.Equal(t, told, got[0], strategy)
		assert.Len(t, got, 5, "where there is room, what was asked is found too")
		assert.Contains(t, got, "where does my brother live", strategy)
		q.TopK = 1
		got, _ = found(t, b.answer(q, vector))
		assert.Equal(t, []string{told}, got, strategy)
	}
	b.forget(b.all(nil), func(error) {})
	assert.Empty(t, b.asked)
}
