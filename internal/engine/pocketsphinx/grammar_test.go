package pocketsphinx

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// small is an engine of which there is only the dictionary.
func small(tb testing.TB, lines ...string) *Engine {
	tb.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(strings.Join(lines, "\n")))
	require.NoError(tb, err)
	require.NoError(tb, z.Close())
	return &Engine{model: fstest.MapFS{"all.dict.gz": {Data: b.Bytes()}}}
}

func TestGrammar(t *testing.T) {
	t.Parallel()
	e := small(t, "a AH", "a(2) EY", "go G OW", "left L EH F T", "o'clock AH K L AA K", "right R AY T", "stop S T AA P", "turn T ER N")
	long := strings.Repeat("a ", MaxWords+1)
	for name, c := range map[string]struct {
		sentences []string
		want      string // of the grammar; empty: none
		left      []string
	}{
		"none":        {},
		"one":         {[]string{"stop"}, "( stop )", nil},
		"tree":        {[]string{"turn left", "stop", "turn right"}, "( turn ( left | right ) | stop )", nil},
		"beginning":   {[]string{"turn", "turn left"}, "( turn [ left ] )", nil},
		"same":        {[]string{"Stop!", "stop", " STOP. "}, "( stop )", nil},
		"punctuation": {[]string{"Turn, left; \"go\" right - a o’clock?"}, "( turn ( left ( go ( right ( a ( o'clock ) ) ) ) ) )", nil},
		"unknown":     {[]string{"stop", "stop xyzzy"}, "( stop )", []string{`"stop xyzzy": the dictionary does not have "xyzzy"`}},
		"digits":      {[]string{"turn 90"}, "", []string{`"90" is no word`}},
		"syntax":      {[]string{"a | <b>; public <x> = stop", "stop // a"}, "", []string{`"|" is no word`, `"//" is no word`}},
		"tag":         {[]string{"stop{x}", "[stop]", "/1/ stop", "stop\x00a", "stop*"}, "", []string{"is no word", "is no word", "is no word", "is no word", "is no word"}},
		"empty":       {[]string{"", " ", "?!"}, "", []string{"0 words", "0 words", "0 words"}},
		"long":        {[]string{long, strings.Repeat("a", maxLetters+1), strings.Repeat("x", 1<<20)}, "", []string{"17 words", "is no word", "too long"}},
		"foreign":     {[]string{"stöp", "止まれ"}, "", []string{"is no word", "is no word"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, left, err := e.Grammar(c.sentences)
			require.NoError(t, err)
			require.Len(t, left, len(c.left))
			for i, want := range c.left {
				require.ErrorIs(t, left[i], ErrSentence)
				assert.ErrorContains(t, left[i], want)
				assert.Less(t, len(left[i].Error()), 400)
			}
			if c.want == "" {
				assert.Nil(t, g)
				return
			}
			require.NotNil(t, g)
			assert.Equal(t, "#JSGF V1.0;\ngrammar commands;\npublic <command> = "+c.want+";\n", g.jsgf)
		})
	}
}

func TestGrammarPronunciations(t *testing.T) {
	t.Parallel()
	g, _, err := small(t, "a AH", "a(2) EY", "b B IY").Grammar([]string{"a"})
	require.NoError(t, err)
	assert.Equal(t, []entry{{"a", "AH"}, {"a(2)", "EY"}}, g.words, "all of the word, and of no other")
	assert.True(t, g.Has("a"))
	assert.False(t, g.Has("b"))
}

func TestGrammarIsBounded(t *testing.T) {
	t.Parallel()
	var words, sentences []string
	for i := range 50 {
		words = append(words, fmt.Sprintf("%c%c AH", 'a'+i/26, 'a'+i%26))
	}
	for i := range MaxSentences + 10 {
		sentences = append(sentences, words[i/50][:2]+" "+words[i%50][:2])
	}
	g, left, err := small(t, words...).Grammar(sentences)
	require.NoError(t, err)
	assert.Len(t, g.has, MaxSentences)
	require.Len(t, left, 10)
	assert.ErrorContains(t, left[0], "2000 already")
}

func TestGrammarWithoutDictionary(t *testing.T) {
	t.Parallel()
	_, _, err := (&Engine{model: fstest.MapFS{}}).Grammar([]string{"stop"})
	require.ErrorContains(t, err, "read the dictionary")
	_, _, err = (&Engine{model: fstest.MapFS{"all.dict.gz": {Data: []byte("none")}}}).Grammar([]string{"stop"})
	require.ErrorContains(t, err, "read the dictionary")
}

// FuzzGrammar makes grammars of anything: what comes out is nothing but words, and groups of them.
func FuzzGrammar(f *testing.F) {
	f.Add("turn left\nturn right\nstop")
	f.Add("<x> = {tag} | /1.0/ \"q\" // c\n/* */ ; a")
	f.Add("'\n''\n-'-\na-b")
	e := small(f, "a AH", "b B", "' AH", "a'b AH", "turn T", "left L", "right R", "stop S")
	f.Fuzz(func(t *testing.T, text string) {
		sentences := strings.Split(text, "\n")
		g, left, err := e.Grammar(sentences)
		require.NoError(t, err)
		if g == nil {
			assert.Len(t, left, len(sentences))
			return
		}
		_, rule, _ := strings.Cut(strings.TrimSuffix(g.jsgf, ";\n"), "= ")
		depth := 0
		for w := range strings.FieldsSeq(rule) {
			switch w {
			case "(", "[":
				depth++
			case ")", "]":
				depth--
			case "|":
			default:
				assert.Empty(t, strings.Trim(w, "abcdefghijklmnopqrstuvwxyz'"), w)
			}
			require.True(t, depth >= 0 && depth <= MaxWords)
		}
		assert.Zero(t, depth)
		for s := range g.has {
			assert.LessOrEqual(t, len(strings.Fields(s)), MaxWords)
		}
	})
}
