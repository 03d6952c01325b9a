package pocketsphinx

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/enginetest"
)

const spoken = "hey tars what time is it"

// TestEngine has one engine for all, since the compiler is slow under the race detector. Its parts come
// one after the other: there are two decoders only.
func TestEngine(t *testing.T) {
	t.Parallel()
	e := enginetest.Open(t, Open, ErrMissing)
	for _, part := range []struct {
		name string
		f    func(*testing.T, *Engine)
	}{
		{"hears", hears},
		{"eachUtteranceIsNew", eachUtteranceIsNew},
		{"wholeKnowsTheMean", wholeKnowsTheMean},
		{"grammars", grammars},
		{"oddSounds", oddSounds},
		{"bounds", bounds},
		{"states", states},
		{"cancel", cancel},
		{"broken", broken},
		{"manyAtOnce", manyAtOnce},
		{"grown", grown},
	} {
		t.Run(part.name, func(t *testing.T) { part.f(t, e) })
	}
	assert.Empty(t, e.slots, "all decoders are back")
	require.NoError(t, e.Close())
	require.NoError(t, e.Close(), "twice")
	_, err := e.Decoder(t.Context())
	require.ErrorIs(t, err, ErrClosed)
}

// held is a decoder that is given back at the end of a test.
func held(tb testing.TB, e *Engine) *Decoder {
	tb.Helper()
	d, err := e.Decoder(tb.Context())
	require.NoError(tb, err)
	tb.Cleanup(func() {
		d.Release()
		e.work.Wait()
	})
	return d
}

func grammarOf(tb testing.TB, e *Engine, sentences ...string) *Grammar {
	tb.Helper()
	g, left, err := e.Grammar(sentences)
	require.NoError(tb, err)
	require.Empty(tb, left)
	return g
}

// pieces hears sound piece by piece.
func pieces(tb testing.TB, d *Decoder, pcm []int16) Hypothesis {
	tb.Helper()
	require.NoError(tb, d.Begin())
	require.NoError(tb, d.Feed(tb.Context(), pcm))
	h, err := d.End()
	require.NoError(tb, err)
	return h
}

func whole(tb testing.TB, d *Decoder, g *Grammar, pcm []int16) Hypothesis {
	tb.Helper()
	h, err := d.Whole(tb.Context(), g, pcm)
	require.NoError(tb, err)
	return h
}

func hears(t *testing.T, e *Engine) {
	d := held(t, e)
	speech := enginetest.Speech(t)
	require.NoError(t, d.Begin())
	got := ""
	for i := 0; i < len(speech); i += 320 { // 20 ms, as the microphone gives them
		require.NoError(t, d.Feed(t.Context(), speech[i:min(i+320, len(speech))]))
		p, err := d.Partial()
		require.NoError(t, err)
		if i == len(speech)/2/320*320 {
			got = p
		}
	}
	assert.Contains(t, got, "hey tars", "half of it")
	h, err := d.End()
	require.NoError(t, err)
	assert.Equal(t, spoken, h.Text)
	assert.Equal(t, len(speech)/160, h.Frames)
	assert.Negative(t, h.Posterior)
	assert.Equal(t, spoken, whole(t, d, nil, speech).Text)
	phones, err := d.Phones("hey tars zebra unheardof")
	require.NoError(t, err)
	assert.Equal(t, "HH EY T AA R Z Z IY B R AH", strings.Join(phones, " "))
}

func eachUtteranceIsNew(t *testing.T, e *Engine) {
	d := held(t, e)
	speech := enginetest.Speech(t)
	first := pieces(t, d, speech)
	loud := make([]int16, 2*Rate)
	enginetest.Harsh(loud, 1)
	pieces(t, d, loud)
	whole(t, d, grammarOf(t, e, "turn left"), loud)
	assert.Equal(t, first, pieces(t, d, speech), "what was heard before does not matter")
	assert.Equal(t, first, pieces(t, held(t, e), speech), "nor who hears it")
}

// wholeKnowsTheMean: what the mean was thought to be does not matter, also after an utterance in pieces.
func wholeKnowsTheMean(t *testing.T, e *Engine) {
	d := held(t, e)
	speech := enginetest.Speech(t)
	inPieces := pieces(t, d, speech)
	want := whole(t, d, nil, speech)
	mean := d.mean
	d.mean = "60,-10,5"
	defer func() { d.mean = mean }()
	assert.Equal(t, want, whole(t, d, nil, speech))
	assert.NotEqual(t, inPieces, pieces(t, d, speech), "in pieces it does")
}

func grammars(t *testing.T, e *Engine) {
	d := held(t, e)
	speech := enginetest.Speech(t)
	g := grammarOf(t, e, "turn left", "Hey TARS, what time is it?", "hey tars", "hey tars what time is it")
	h := whole(t, d, g, speech)
	assert.Equal(t, spoken, h.Text)
	assert.True(t, g.Has(h.Text))
	assert.Greater(t, h.Posterior, -2.0)
	// Words that only the large dictionary has, and those that mean something to a grammar.
	odd := grammarOf(t, e, "public grammar import", "zygote antidisestablishmentarianism", "o'clock 'em 'til", "what's", "dactyl")
	before, err := d.Phones("zygote")
	require.NoError(t, err)
	assert.Empty(t, before)
	assert.True(t, whole(t, d, odd, speech).Frames > 0)
	after, err := d.Phones("zygote")
	require.NoError(t, err)
	assert.Len(t, after, 5)
	assert.Equal(t, spoken, whole(t, d, g, speech).Text, "back to the first")
	assert.Equal(t, spoken, whole(t, d, nil, speech).Text, "the language model knows nothing of the words")
}

func oddSounds(t *testing.T, e *Engine) {
	d := held(t, e)
	g := grammarOf(t, e, "turn left", "stop")
	harsh := make([]int16, 3*Rate)
	enginetest.Harsh(harsh, 3)
	low := make([]int16, Rate)
	for i := range low {
		low[i] = -32768
	}
	for name, pcm := range map[string][]int16{
		"none": nil, "one": {1}, "short": make([]int16, 400), "a tenth": make([]int16, minSamples),
		"silence": make([]int16, 2*Rate), "harsh": harsh, "constant": low,
	} {
		assert.Less(t, len(pieces(t, d, pcm).Text), 200, name)
		whole(t, d, nil, pcm)
		whole(t, d, g, pcm)
	}
	assert.Equal(t, spoken, pieces(t, d, enginetest.Speech(t)).Text, "it still hears")
}

func bounds(t *testing.T, e *Engine) {
	d := held(t, e)
	require.NoError(t, d.Begin())
	require.ErrorIs(t, d.Feed(t.Context(), make([]int16, MaxSamples+1)), ErrTooLong)
	require.NoError(t, d.Feed(t.Context(), make([]int16, Rate)), "it was not heard")
	_, err := d.End()
	require.NoError(t, err)
	_, err = d.Whole(t.Context(), nil, make([]int16, MaxSamples+1))
	require.ErrorIs(t, err, ErrTooLong)
}

func states(t *testing.T, e *Engine) {
	d := held(t, e)
	require.ErrorIs(t, d.Feed(t.Context(), nil), ErrState)
	_, err := d.Partial()
	require.ErrorIs(t, err, ErrState)
	_, err = d.End()
	require.ErrorIs(t, err, ErrState)
	require.NoError(t, d.Begin())
	require.ErrorIs(t, d.Begin(), ErrState)
	require.ErrorIs(t, d.Prepare(nil), ErrState)
	_, err = d.Whole(t.Context(), nil, nil)
	require.ErrorIs(t, err, ErrState)
}

func cancel(t *testing.T, e *Engine) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	speech := enginetest.Speech(t)
	for range 5 {
		d, err := e.Decoder(t.Context())
		require.NoError(t, err)
		_, err = d.Whole(gone, nil, speech)
		require.ErrorIs(t, err, context.Canceled)
		d.Release()
		d, err = e.Decoder(t.Context())
		require.NoError(t, err)
		require.NoError(t, d.Begin())
		require.ErrorIs(t, d.Feed(gone, speech), context.Canceled)
		d.Release()
	}
	held(t, e)
	held(t, e)
	_, err := e.Decoder(gone)
	require.ErrorIs(t, err, context.Canceled, "there are two")
}

func broken(t *testing.T, e *Engine) {
	d, err := e.Decoder(t.Context())
	require.NoError(t, err)
	_, err = d.withText("pw_use", "nothing")
	require.ErrorContains(t, err, "pocketsphinx: pw_use: error -1")
	require.ErrorIs(t, d.Begin(), ErrState)
	_, err = d.Whole(t.Context(), nil, enginetest.Speech(t))
	require.ErrorIs(t, err, ErrState)

	d.Release()
	d, err = e.Decoder(t.Context())
	require.NoError(t, err)
	require.NoError(t, d.Begin())
	_, err = d.get("pw_feed", 1<<31, 1<<20) // where there is no memory
	require.ErrorContains(t, err, "out of bounds")
	_, err = d.End()
	require.ErrorIs(t, err, ErrState)
	d.Release()
	assert.Equal(t, spoken, pieces(t, held(t, e), enginetest.Speech(t)).Text, "there is a new one")
}

// grown: an instance with little memory left is not kept for the next utterance, which may need it.
func grown(t *testing.T, e *Engine) {
	for _, kept := range []bool{true, false} {
		d, err := e.Decoder(t.Context())
		require.NoError(t, err)
		if !kept {
			_, ok := d.mod.Memory().Grow((keptMemory-d.mod.Memory().Size())>>16 + 1)
			require.True(t, ok)
		}
		d.Release()
		e.work.Wait()
		assert.Equal(t, kept, e.warm == d)
		assert.Equal(t, kept, e.live[d])
	}
	assert.Equal(t, spoken, whole(t, held(t, e), nil, enginetest.Speech(t)).Text, "there is a new one")
}

func manyAtOnce(t *testing.T, e *Engine) {
	speech := enginetest.Speech(t)
	g := grammarOf(t, e, spoken)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			d, err := e.Decoder(t.Context())
			if assert.NoError(t, err) {
				defer d.Release()
				h, err := d.Whole(t.Context(), g, speech)
				assert.NoError(t, err)
				assert.Equal(t, spoken, h.Text)
			}
		})
	}
	wg.Wait()
	e.work.Wait()
}

// TestCloseWhileHeard: the memory goes while others hear.
func TestCloseWhileHeard(t *testing.T) {
	t.Parallel()
	e := enginetest.Open(t, Open, ErrMissing)
	speech := enginetest.Speech(t)
	var wg sync.WaitGroup
	begun := make(chan struct{}, 3)
	for range 3 {
		wg.Go(func() {
			begun <- struct{}{}
			for {
				d, err := e.Decoder(t.Context())
				if err != nil {
					assert.ErrorIs(t, err, ErrClosed)
					return
				}
				_, err = d.Whole(t.Context(), nil, speech)
				d.Release()
				if err != nil {
					return
				}
			}
		})
	}
	for range cap(begun) {
		<-begun
	}
	require.NoError(t, e.Close())
	wg.Wait()
}

// TestReleaseWhenClosed: what Close waits for does not grow any more, as sync.WaitGroup wants it.
func TestReleaseWhenClosed(t *testing.T) {
	t.Parallel()
	e := enginetest.Open(t, Open, ErrMissing)
	d, err := e.Decoder(t.Context())
	require.NoError(t, err)
	require.NoError(t, d.Begin())
	require.NoError(t, e.Close())
	d.Release()
	e.work.Wait()
	assert.Len(t, e.slots, 1, "it was not given back")
}

// TestEqualsNative compares with the same sources compiled for amd64, see testdata/record.sh.
func TestEqualsNative(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("testdata", "native.json"))
	require.NoError(t, err)
	var native map[string]struct {
		Text                     string
		Score, Posterior, Frames int
	}
	require.NoError(t, json.Unmarshal(raw, &native))
	e := enginetest.Open(t, Open, ErrMissing)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	d := held(t, e)
	speech := enginetest.Speech(t)
	got := map[string]Hypothesis{
		"pieces":  pieces(t, d, speech),
		"whole":   whole(t, d, nil, speech),
		"grammar": whole(t, d, grammarOf(t, e, "hey tars", spoken, "turn left", "turn right"), speech),
	}
	require.Len(t, native, len(got))
	for how, want := range native {
		assert.Equal(t, want.Text, got[how].Text, how)
		assert.Equal(t, want.Frames, got[how].Frames, how)
		assert.InDelta(t, float64(want.Score)*scoreUnit, got[how].Score, 1e-6, how)
		assert.InDelta(t, float64(want.Posterior)*logUnit, got[how].Posterior, 1e-6, how)
	}
}

// TestDamaged opens what is left of the files after accidents.
func TestDamaged(t *testing.T) {
	t.Parallel()
	if !BuiltIn() {
		t.Skip(ErrMissing)
	}
	model, err := fs.Sub(assets, "assets")
	require.NoError(t, err)
	code, err := fs.ReadFile(model, "pocketsphinx.wasm")
	require.NoError(t, err)
	_, err = open([]byte("no program"), model)
	require.ErrorContains(t, err, "damaged")
	read := func(name string) []byte {
		b, err := fs.ReadFile(model, name)
		require.NoError(t, err)
		return b
	}
	for _, name := range []string{"mdef", "lm.bin", "means", "words.dict", "transition_matrices"} {
		files := fstest.MapFS{}
		for _, n := range []string{"mdef", "means", "variances", "sendump", "transition_matrices", "noisedict", "feat.params", "words.dict", "lm.bin"} {
			if n != name {
				files[n] = &fstest.MapFile{Data: read(n)}
			}
		}
		_, err := open(code, files)
		require.ErrorContains(t, err, "damaged", "no %s", name)
		if name == "words.dict" { // half a dictionary is one
			continue
		}
		files[name] = &fstest.MapFile{Data: read(name)[:1000]}
		_, err = open(code, files)
		require.ErrorContains(t, err, "damaged", "only the beginning of %s", name)
	}
}
