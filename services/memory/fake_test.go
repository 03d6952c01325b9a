package memory

import (
	"context"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// fakeEmbedder knows a few words of like meaning: texts that hold such words have like vectors.
type fakeEmbedder struct {
	id string

	mu    sync.Mutex
	fail  error
	texts []string // asked for
}

var synonyms = [][]string{
	{"pizza", "food", "dish", "eat", "meal"}, {"brother", "sibling", "relative"}, {"london", "city", "live", "lives"}, {"dog", "pet", "animal"},
}

const fakeDim = 64

func (f *fakeEmbedder) ID() string { return f.id }

func (f *fakeEmbedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if f.fail != nil {
		return nil, f.fail
	}
	f.texts = append(f.texts, texts...)
	out := make([][]float32, len(texts))
	for i, text := range texts {
		v := make([]float32, fakeDim)
		for word := range strings.FieldsSeq(plainText(text)) {
			at := -1
			for j, group := range synonyms {
				if slices.Contains(group, word) {
					at = j
				}
			}
			if at < 0 {
				h := fnv.New32a()
				h.Write([]byte(word))
				v[len(synonyms)+int(h.Sum32()%(fakeDim-4))] += 0.3
				continue
			}
			v[at]++
		}
		out[i] = v
	}
	return out, nil
}

func (f *fakeEmbedder) setFail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

// brittle is a store that can fail.
type brittle struct {
	*volatile
	mu   sync.Mutex
	fail error
	hold []func() // writes that wait, when holding
	held bool
}

func newBrittle() *brittle { return &brittle{volatile: newVolatile()} }

func (s *brittle) Write(done func(error), puts, deletes [][]byte) {
	s.mu.Lock()
	fail := s.fail
	if s.held {
		puts, deletes = cloneAll(puts), cloneAll(deletes)
		s.hold = append(s.hold, func() { s.volatile.Write(done, puts, deletes) })
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	if fail != nil {
		done(fail)
		return
	}
	s.volatile.Write(done, puts, deletes)
}

func cloneAll(all [][]byte) (out [][]byte) {
	for _, b := range all {
		out = append(out, slices.Clone(b))
	}
	return out
}

func (s *brittle) set(fail error, held bool) {
	s.mu.Lock()
	s.fail, s.held = fail, held
	run := s.hold
	if !held {
		s.hold = nil
	}
	s.mu.Unlock()
	if !held {
		for _, f := range run {
			f()
		}
	}
}

// newBook makes a book of texts, said one a second.
func newBook(t testing.TB, store Store, texts ...string) *book {
	t.Helper()
	if store == nil {
		store = newVolatile()
	}
	b, err := openBook(store, "fake", 0, false, zerolog.Nop())
	require.NoError(t, err)
	for i, text := range texts {
		put(t, b, record{role: roleUser, text: text, ts: 1.76e9 + float64(i)})
	}
	return b
}

func put(t testing.TB, b *book, r record) uint64 {
	t.Helper()
	id, _, err := b.add(r, nil, func(error) {})
	require.NoError(t, err)
	return id
}

func texts(rs []record) []string {
	out := []string{}
	for _, r := range rs {
		out = append(out, r.text)
	}
	return out
}
