package router

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/use"
)

func TestMotionsByMeaning(t *testing.T) {
	t.Parallel()
	find, err := Meaning(func(ctx context.Context) (Embedder, error) { return use.Open(ctx) }, 0.7)(t.Context(), Defaults().Commands)
	if errors.Is(err, use.ErrNoWeights) {
		t.Skip(err)
	}
	require.NoError(t, err)
	for text, want := range map[string]string{
		"turn around to the left please":      "turn_left",
		"rotate a bit to the right":           "turn_right",
		"walk a bit forward":                  "step_forward",
		"take one step towards me":            "step_forward",
		"please move one step backwards":      "step_backward",
		"go back a little":                    "step_backward",
		"show me how you laugh":               "laugh",
		"i want to see a wave":                "wave",
		"turn off the lights":                 "",
		"turn on the radio":                   "",
		"power down the tv":                   "",
		"open the door":                       "",
		"walk the dog":                        "",
		"stand by me":                         "",
		"am i right":                          "",
		"what is left in the fridge":          "",
		"how do i get back home":              "",
		"tell me a story about a monster":     "",
		"what is my bank balance":             "",
		"turn left at the next street":        "",
		"set a timer for ten minutes":         "",
		"put the book back on the shelf":      "",
		"my left leg hurts when i walk":       "",
		"take a picture of the garden please": "",
	} {
		assert.Equal(t, want, find(text), text)
	}
}

// brokenEmbedder works n times.
type brokenEmbedder struct{ n int }

func (b *brokenEmbedder) Embed(_ context.Context, texts []string) ([][]float32, error) {
	if b.n--; b.n < 0 {
		return nil, errors.New("broken")
	}
	return make([][]float32, len(texts)), nil
}

func TestMeaningWithoutAnEncoder(t *testing.T) {
	t.Parallel()
	commands := map[string][]string{"wave": {"wave"}, "bow": {"bow"}}
	opens := func(n int) func(context.Context) (Embedder, error) {
		return func(context.Context) (Embedder, error) { return &brokenEmbedder{n}, nil }
	}
	find, err := Meaning(opens(3), 0.7)(t.Context(), commands)
	require.NoError(t, err)
	assert.Empty(t, find("turn around to the left please"), "an encoder that fails finds nothing")
	_, err = Meaning(opens(2), 0.7)(t.Context(), commands)
	require.ErrorContains(t, err, "broken")
	_, err = Meaning(func(context.Context) (Embedder, error) { return nil, use.ErrNoWeights }, 0.7)(t.Context(), commands)
	require.ErrorIs(t, err, use.ErrNoWeights)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Meaning(func(ctx context.Context) (Embedder, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}, 0.7)(ctx, commands)
	require.ErrorIs(t, err, context.Canceled, "a stop does not wait for the encoder")
}
