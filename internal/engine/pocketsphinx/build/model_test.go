package build

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tiny is a model of four words, with all that follows anything adding up to 1.
func tiny() *model {
	m := &model{words: []string{"</s>", "<s>", "go", "left", "stop"}}
	for n := range m.grams {
		m.grams[n] = map[gram]weight{}
	}
	for id, p := range []float64{0.3, 0, 0.2, 0.1, 0.4} {
		m.grams[0][join(id)] = weight{p: math.Log10(max(p, 1e-99))}
	}
	m.grams[1][join(1, 2)] = weight{p: math.Log10(0.6)}
	m.grams[1][join(2, 3)] = weight{p: math.Log10(0.7)}
	m.grams[1][join(2, 4)] = weight{p: math.Log10(0.21)}
	m.grams[1][join(4, 4)] = weight{p: math.Log10(0.4)} // as without "stop"
	m.grams[1][join(3, 0)] = weight{p: math.Log10(0.9)}
	m.grams[2][join(1, 2, 3)] = weight{p: math.Log10(0.95)}
	m.grams[2][join(2, 3, 0)] = weight{p: math.Log10(0.9)}
	m.rescale()
	return m
}

// sum adds up what may follow some words.
func (m *model) sum(head gram, n int) float64 {
	total := 0.0
	for w := range m.grams[0] {
		total += math.Pow(10, m.p(head<<20|w, n+1))
	}
	return total
}

func (m *model) id(word string) int { return slices.Index(m.words, word) }

func TestRescale(t *testing.T) {
	t.Parallel()
	m := tiny()
	for _, h := range []gram{join(1), join(2), join(3), join(4)} {
		assert.InDelta(t, 1, m.sum(h, 1), 1e-6, h)
	}
	assert.InDelta(t, 1, m.sum(join(1, 2), 2), 1e-6)
	assert.InDelta(t, 1, m.sum(join(2, 3), 2), 1e-6)
}

func TestPrune(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		theta      float64
		two, three []gram
	}{
		"nothing matters less than never": {-1e9, []gram{join(1, 2), join(2, 3), join(2, 4), join(3, 0), join(4, 4)}, []gram{join(1, 2, 3), join(2, 3, 0)}},
		"what follows from the rest goes": {1e-3, []gram{join(1, 2), join(2, 3), join(2, 4), join(3, 0)}, []gram{join(1, 2, 3)}},
		"everything goes":                 {10, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := tiny()
			m.prune(c.theta)
			assert.Equal(t, c.two, slices.Sorted(maps.Keys(m.grams[1])))
			assert.Equal(t, c.three, slices.Sorted(maps.Keys(m.grams[2])))
			for _, h := range []gram{join(1), join(2), join(3)} {
				assert.InDelta(t, 1, m.sum(h, 1), 1e-5, h)
			}
		})
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	m := tiny()
	m.limit(2, func(w string) bool { return w == "go" || w == "<s>" })
	assert.Equal(t, []gram{join(0), join(1), join(2), join(4)}, slices.Sorted(maps.Keys(m.grams[0])), "the likeliest, and those to keep")
	assert.Equal(t, []gram{join(1, 2), join(2, 4), join(4, 4)}, slices.Sorted(maps.Keys(m.grams[1])))
	assert.Empty(t, m.grams[2])
}

func TestMix(t *testing.T) {
	t.Parallel()
	m := tiny()
	before := m.p(join(m.id("go"), m.id("stop")), 2)
	m.mix([]string{"hey tars go left", "hey tars"}, 0.1)
	m.rescale()
	p := func(words ...string) float64 {
		var ids []int
		for _, w := range words {
			require.GreaterOrEqual(t, m.id(w), 0, w)
			ids = append(ids, m.id(w))
		}
		return math.Pow(10, m.p(join(ids...), len(ids)))
	}
	assert.InDelta(t, 0.1*2/8, p("tars"), 1e-9, "two of the eight words of the sentences")
	assert.InDelta(t, mostShare, p("hey", "tars"), 0.05, "nothing else is known of hey")
	assert.InDelta(t, 0.9*0.4, p("stop"), 1e-9)
	assert.Less(t, p("go", "stop"), math.Pow(10, before))
	assert.Greater(t, p("go", "left"), 0.7)
	for _, w := range []string{"hey", "tars", "go", "<s>"} {
		assert.InDelta(t, 1, m.sum(join(m.id(w)), 1), 1e-6, w)
	}
	assert.InDelta(t, 1, m.sum(join(m.id("hey"), m.id("tars")), 2), 1e-6)
}

func TestARPA(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, tiny().arpa(&b))
	text := b.String()
	assert.Contains(t, text, "ngram 1=5\nngram 2=5\nngram 3=2\n")
	assert.Contains(t, text, "\\3-grams:\n-0.0223\t<s>\tgo\tleft\n")
	assert.Contains(t, text, "-0.6990\tgo\t")
	assert.True(t, strings.HasSuffix(text, "\n\\end\\\n"))
}

// TestReadTrie reads the model that was made, which PocketSphinx wrote.
func TestReadTrie(t *testing.T) {
	t.Parallel()
	file := madeModel(t)
	m, err := readTrie(file)
	require.NoError(t, err)
	assert.InDelta(t, keptWords, len(m.words), 200)
	p := func(words ...string) float64 {
		var ids []int
		for _, w := range words {
			ids = append(ids, m.id(w))
		}
		return math.Pow(10, m.p(join(ids...), len(ids)))
	}
	assert.Greater(t, p("hey", "tars"), 0.3)
	assert.Greater(t, p("united", "states"), 0.5, "the order of words is that of speech")
	assert.Greater(t, p("what", "time", "is"), 0.1)
	assert.Less(t, p("states", "united"), 0.01)
	for _, w := range []string{"hey", "the", "turn", "tars"} {
		assert.InDelta(t, 1, m.sum(join(m.id(w)), 1), 0.02, w)
	}
}

// madeModel is the language model in assets, if it is there.
func madeModel(tb testing.TB) []byte {
	tb.Helper()
	file, err := os.ReadFile(filepath.Join("..", "assets", "lm.bin"))
	if errors.Is(err, fs.ErrNotExist) {
		tb.Skip("make assets was not run")
	}
	require.NoError(tb, err)
	return file
}

func TestReadTrieRefuses(t *testing.T) {
	t.Parallel()
	file := madeModel(t)
	head := len(trieMagic) + 1
	claim := func(at int, v uint32) []byte {
		b := bytes.Clone(file)
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	names := len(file) - 100
	for name, b := range map[string][]byte{
		"empty": nil, "other": []byte("\\data\\"), "magic": file[:head], "counts": file[:head+8], "tables": file[:300_000],
		"cut": file[:len(file)-1], "half": file[:len(file)/2], "names": bytes.Replace(file, file[names:names+20], bytes.Repeat([]byte{0}, 20), 1),
		"two words": append([]byte(trieMagic+"\x02"), file[head:]...),
		"many":      claim(head, math.MaxUint32), "more": claim(head+4, maxGrams+1), "fewer": claim(head+4, 5), "most": claim(head+8, maxGrams),
		"next": claim(head+16+3*4<<16+8, math.MaxUint32),
	} {
		_, err := readTrie(b)
		assert.ErrorIs(t, err, errTrie, name)
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	got := pick([]byte("a AH\na(2) EY\nb B IY\n"), func(w string) bool { return w != "b" })
	assert.Equal(t, "a AH\na(2) EY\n"+strings.Join(own, "\n")+"\n", string(got))
}

func TestSources(t *testing.T) {
	t.Parallel()
	cmake := "x(\n)\nadd_library(pocketsphinx\nacmod.c\nutil/mmio.c\nlm/jsgf.c\n  )\ny(z.c)\n"
	got, err := sources(fstest.MapFS{"src/CMakeLists.txt": {Data: []byte(cmake)}})
	require.NoError(t, err)
	assert.Equal(t, []string{"glue/glue.c", "glue/mmio.c", "src/acmod.c", "src/lm/jsgf.c"}, got)
	_, err = sources(fstest.MapFS{"src/CMakeLists.txt": {Data: []byte("add_library(other x.c)")}})
	require.ErrorContains(t, err, "no add_library")
	_, err = sources(fstest.MapFS{})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestCompilerFails(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(source, "src"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(source, "src", "CMakeLists.txt"), []byte("add_library(pocketsphinx\n)"), 0o600))
	zig := filepath.Join(t.TempDir(), "zig")
	require.NoError(t, os.WriteFile(zig, []byte("#!/bin/sh\necho \"$@\" >&2\nexit 1\n"), 0o700)) //nolint:gosec // it has to be run
	err := Program(t.Context(), zig, source, filepath.Join(t.TempDir(), "out"))
	require.ErrorContains(t, err, "--target=wasm32-wasi")
	assert.FileExists(t, filepath.Join(source, "glue", "glue.c"))
	assert.ErrorContains(t, Program(t.Context(), zig, t.TempDir(), "out"), "CMakeLists.txt")
}
