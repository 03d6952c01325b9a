package recognise

import (
	"context"
	"errors"
	"math"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/enginetest"
	"github.com/tarsd/tarsd/internal/engine/flite"
	"github.com/tarsd/tarsd/internal/engine/pocketsphinx"
)

// expectation is what an engine is told to expect, and what it said of it.
type expectation struct {
	mu        sync.Mutex
	sentences []string
	reports   []error
}

func (e *expectation) now() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sentences
}

func (e *expectation) set(sentences ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sentences = sentences
}

func (e *expectation) report(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reports = append(e.reports, err)
}

// speech is "hey tars what time is it".
func speech(tb testing.TB) []int16 {
	tb.Helper()
	f, err := os.Open("../../../internal/engine/testdata/speech.wav")
	require.NoError(tb, err)
	return wave(tb, f)
}

// expecting opens the built-in engine, or skips.
func expecting(tb testing.TB, sentences ...string) (*PocketSphinx, *expectation) {
	tb.Helper()
	e := &expectation{sentences: sentences}
	p, err := NewPocketSphinx(e.now, e.report)
	if err != nil {
		require.ErrorIs(tb, err, pocketsphinx.ErrMissing)
		tb.Skip(err)
	}
	tb.Cleanup(func() { assert.NoError(tb, p.Close()) })
	return p, e
}

// understand recognises sound.
func understand(tb testing.TB, p *PocketSphinx, pcm []int16) Result {
	tb.Helper()
	s, err := p.Begin(tb.Context(), Utterance{Lang: "en-US"})
	require.NoError(tb, err)
	defer s.Close()
	require.NoError(tb, s.Feed(tb.Context(), pcm))
	r, err := s.Finish(tb.Context())
	require.NoError(tb, err)
	assert.True(tb, r.Confidence >= 0 && r.Confidence <= 1, "%+v", r)
	return r
}

// TestPocketSphinx has one engine for all, since the compiler is slow under the race detector.
func TestPocketSphinx(t *testing.T) {
	t.Parallel()
	p, e := expecting(t)
	assert.Equal(t, "pocketsphinx", p.Name())
	for _, part := range []struct {
		name string
		f    func(*testing.T, *PocketSphinx, *expectation)
	}{
		{"free", freeSpeech}, {"command", command}, {"noCommand", noCommand}, {"long", long}, {"partials", partials}, {"changes", changes},
		{"odd", odd}, {"cancel", cancelled}, {"third", third},
	} {
		t.Run(part.name, func(t *testing.T) { part.f(t, p, e) })
	}
}

func freeSpeech(t *testing.T, p *PocketSphinx, e *expectation) {
	e.set()
	r := understand(t, p, speech(t))
	assert.Equal(t, "hey tars what time is it", r.Text)
	assert.False(t, r.Command)
	assert.Equal(t, "en", r.Lang)
	assert.Positive(t, r.Confidence)
}

func command(t *testing.T, p *PocketSphinx, e *expectation) {
	e.set("Hey TARS, what time is it?", "turn left", "turn right", "stop")
	r := understand(t, p, speech(t))
	assert.Equal(t, "hey tars what time is it", r.Text)
	assert.True(t, r.Command)
	assert.Greater(t, r.Confidence, 0.8)
}

// noCommand: what is not in the grammar is not taken for what is.
func noCommand(t *testing.T, p *PocketSphinx, e *expectation) {
	synth := enginetest.Open(t, flite.Open, flite.ErrNoProgram)
	defer synth.Close()
	e.set("turn left", "turn right", "stop", "what time is it", "no")
	for _, text := range []string{"please remember that my brother lives in london", "what did you say"} {
		var pcm []int16
		require.NoError(t, synth.Speak(t.Context(), flite.Request{Text: text}, func(_ int, piece []int16) error {
			pcm = append(pcm, piece...)
			return nil
		}))
		r := understand(t, p, pcm)
		assert.False(t, r.Command, "%+v", r)
		assert.Equal(t, text, r.Text)
	}
}

// long: nothing confirms what was heard only once, so that it is not as sure.
func long(t *testing.T, p *PocketSphinx, e *expectation) {
	e.set()
	short, said := understand(t, p, speech(t)), speech(t)
	for len(said) <= maxSecond {
		said = append(said, speech(t)...)
	}
	r := understand(t, p, said)
	assert.Contains(t, r.Text, "what time is it")
	assert.Greater(t, short.Confidence, 0.9)
	assert.Less(t, r.Confidence, 0.7)
	assert.Greater(t, r.Confidence, 0.4)
}

func partials(t *testing.T, p *PocketSphinx, e *expectation) {
	e.set("turn left")
	said := speech(t)
	s, err := p.Begin(t.Context(), Utterance{})
	require.NoError(t, err)
	defer s.Close()
	got := map[string]bool{}
	for i := 0; i < len(said); i += 1600 {
		require.NoError(t, s.Feed(t.Context(), said[i:min(i+1600, len(said))]))
		text, err := s.Partial(t.Context())
		require.NoError(t, err)
		got[text] = true
	}
	assert.True(t, got[""], "first nothing")
	assert.True(t, got["hey tars"] || got["hey tars what"], "then a part: %v", got)
	r, err := s.Finish(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "hey tars what time is it", r.Text)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "twice")
	require.ErrorIs(t, s.Feed(t.Context(), said), pocketsphinx.ErrState)
}

func changes(t *testing.T, p *PocketSphinx, e *expectation) {
	said := speech(t)
	e.set("turn left")
	assert.False(t, understand(t, p, said).Command)
	e.set("turn left", "hey tars what time is it", "say xyzzy")
	assert.True(t, understand(t, p, said).Command)
	assert.True(t, understand(t, p, said).Command)
	require.Len(t, e.reports, 1, "once for the change")
	require.ErrorIs(t, e.reports[0], pocketsphinx.ErrSentence)
	assert.ErrorContains(t, e.reports[0], "xyzzy")
}

func odd(t *testing.T, p *PocketSphinx, e *expectation) {
	e.set("stop", "no")
	assert.Equal(t, Result{Lang: "en"}, understand(t, p, nil))
	assert.False(t, understand(t, p, make([]int16, 16000)).Command, "silence, of which the language model may make a word")
	_, err := p.Begin(t.Context(), Utterance{Lang: "de"})
	require.ErrorIs(t, err, ErrLang)
	s, err := p.Begin(t.Context(), Utterance{})
	require.NoError(t, err)
	require.ErrorIs(t, s.Feed(t.Context(), make([]int16, pocketsphinx.MaxSamples+1)), pocketsphinx.ErrTooLong)
	require.NoError(t, s.Close())
}

func cancelled(t *testing.T, p *PocketSphinx, e *expectation) {
	e.set("turn left")
	gone, cancel := context.WithCancel(t.Context())
	s, err := p.Begin(gone, Utterance{})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Feed(gone, speech(t)))
	cancel()
	_, err = s.Finish(gone)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, s.Close())
	_, err = p.Begin(gone, Utterance{})
	require.ErrorIs(t, err, context.Canceled)
}

func third(t *testing.T, p *PocketSphinx, _ *expectation) {
	first, err := p.Begin(t.Context(), Utterance{})
	require.NoError(t, err)
	second, err := p.Begin(t.Context(), Utterance{})
	require.NoError(t, err)
	got := make(chan error, 1)
	go func() {
		s, err := p.Begin(t.Context(), Utterance{})
		if err == nil {
			err = s.Close()
		}
		got <- err
	}()
	require.NoError(t, first.Close())
	require.NoError(t, <-got)
	require.NoError(t, second.Close())
}

func TestPocketSphinxClosed(t *testing.T) {
	t.Parallel()
	p, _ := expecting(t)
	s, err := p.Begin(t.Context(), Utterance{})
	require.NoError(t, err)
	require.NoError(t, p.Close())
	require.Error(t, s.Feed(t.Context(), make([]int16, 1600)))
	_, err = s.Finish(t.Context())
	require.Error(t, err)
	require.NoError(t, s.Close())
	_, err = p.Begin(t.Context(), Utterance{})
	require.True(t, errors.Is(err, pocketsphinx.ErrClosed), "%v", err)
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"abc", "abc", 0}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}} {
		split := func(s string) (out []string) {
			for _, r := range s {
				out = append(out, string(r))
			}
			return out
		}
		assert.Equal(t, c.want, distance(split(c.a), split(c.b)), c)
		assert.Equal(t, c.want, distance(split(c.b), split(c.a)), c)
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	free := pocketsphinx.Hypothesis{Text: "turn lift", Posterior: -3, Frames: 100}
	command := pocketsphinx.Hypothesis{Text: "turn left", Posterior: -0.1, Frames: 100}
	for name, c := range map[string]struct {
		h       heard
		text    string
		command bool
	}{
		"alike":    {heard{free: free, command: command, apart: 0.1}, "turn left", true},
		"far":      {heard{free: free, command: command, apart: 0.9}, "turn lift", false},
		"none":     {heard{free: free, apart: 1}, "turn lift", false},
		"expected": {heard{free: free, expected: true, apart: 1}, "turn lift", true},
		"nothing":  {heard{apart: 1}, "", false},
		"only one": {heard{command: command, apart: 1}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.h.result()
			assert.Equal(t, c.text, r.Text)
			assert.Equal(t, c.command, r.Command)
			assert.True(t, r.Confidence >= 0 && r.Confidence <= 1)
			if c.text == "" {
				assert.Zero(t, r.Confidence)
			}
		})
	}
	last := math.Inf(1) // the more they differ, the less sure
	for _, apart := range []float64{0, 0.2, 0.5, 1} {
		c := (&heard{free: free, command: command, apart: apart}).commandConfidence()
		assert.Less(t, c, last)
		last = c
	}
}
