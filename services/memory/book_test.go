package memory

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/storage"
)

func TestRecordCodec(t *testing.T) {
	t.Parallel()
	for _, r := range []record{
		{id: 7, role: roleUser, text: "a"},
		{id: 1, role: roleFact, text: "naïve 日本", ts: 1.76e9 + 0.25, message: "m", turn: "t", origin: "page", lang: "de", tags: []string{"x", ""}},
	} {
		got, err := decodeRecord(r.id, r.encode())
		require.NoError(t, err)
		assert.Equal(t, r, got)
	}
	good := (&record{role: roleUser, text: "hello", message: "m"}).encode()
	for n := range len(good) {
		_, err := decodeRecord(1, good[:n])
		require.ErrorIs(t, err, errRecord, "%d bytes", n)
	}
	name, v, ok := decodeVector(encodeVector("use", []byte{1, 2}))
	assert.True(t, ok)
	assert.Equal(t, "use", name)
	assert.Equal(t, []byte{1, 2}, v)
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add((&record{role: roleFact, text: "x", tags: []string{"a"}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(1, b)
		if err == nil {
			if again, err := decodeRecord(1, r.encode()); err != nil || again.text != r.text {
				t.Fatal(err)
			}
		}
		decodeVector(b)
	})
}

func FuzzSalvage(f *testing.F) {
	for _, s := range []string{`{"id":"x","data":{"query":"a","top_k":"3"}}`, "plain", "[1]", "{", `{"top_k":1e300,"text":"x"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, _, ok := salvage(b)
		if ok && (q.TopK < 1 || q.TopK > maxTopK) {
			t.Fatal(q.TopK)
		}
	})
}

// TestReopen: what was kept is there after a restart, on the real file, with its vectors.
func TestReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tarsd.db")
	db, err := storage.Open(storage.Options{Path: path})
	require.NoError(t, err)
	b := newBook(t, db.Table(storage.Memory), "my brother lives in London", "I like pizza")
	put(t, b, record{role: roleFact, text: "the key is under the mat", ts: 1.76e9 + 9})
	e := &fakeEmbedder{id: "fake"}
	v := newVectors(e, b, zerolog.Nop(), func(error) {})
	n, err := v.step(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.NoError(t, db.Close())

	db, err = storage.Open(storage.Options{Path: path})
	require.NoError(t, err)
	b = newBook(t, db.Table(storage.Memory))
	records, vectors := b.counts()
	assert.Equal(t, 3, records)
	assert.Equal(t, 3, vectors)
	assert.Len(t, b.facts, 1)
	assert.Equal(t, []string{"my brother lives in London", "I like pizza", "the key is under the mat"}, texts(b.getAll(b.all(nil))))

	other, err := openBook(db.Table(storage.Memory), "another", 0, false, zerolog.Nop())
	require.NoError(t, err)
	_, vectors = other.counts()
	assert.Zero(t, vectors, "vectors of another embedder are not used")
	_, err = newVectors(&fakeEmbedder{id: "another"}, other, zerolog.Nop(), func(error) {}).step(t.Context())
	require.NoError(t, err)
	_, vectors = other.counts()
	assert.Equal(t, 3, vectors, "and made anew")
	require.NoError(t, db.Close())
}

func TestDamagedRecordIsLeftOut(t *testing.T) {
	t.Parallel()
	s := newVolatile()
	newBook(t, s, "one", "two")
	for k := range s.records {
		s.records[k] = s.records[k][:5]
		break
	}
	b := newBook(t, s)
	n, _ := b.counts()
	assert.Equal(t, 1, n)
}

// TestBounds: reference defect 3, unbounded growth.
func TestBounds(t *testing.T) {
	t.Parallel()
	s := newVolatile()
	b := newBook(t, s)
	b.limit = 10
	fact := put(t, b, record{role: roleFact, text: "a fact", ts: 1})
	for i := range 30 {
		id := put(t, b, record{role: roleUser, text: fmt.Sprintf("text %d", i), ts: 100 + float64(i)})
		require.NoError(t, b.setVectors([]uint64{id}, [][]float32{{1, float32(i)}}))
	}
	n, _ := b.counts()
	assert.Equal(t, 10, n)
	assert.Len(t, s.records, 10+9, "nor are there more on disk, or vectors of those that went")
	got := texts(b.getAll(b.all(nil)))
	assert.Equal(t, "a fact", got[0], "facts go last")
	assert.Equal(t, "text 21", got[1])
	for i := range 12 {
		put(t, b, record{role: roleFact, text: fmt.Sprintf("fact %d", i), ts: 1000 + float64(i)})
	}
	assert.False(t, b.index.Has(fact), "when there is nothing else, the oldest fact goes")

	b.refuse = true
	_, _, err := b.add(record{role: roleUser, text: "no", ts: 5000}, nil, func(error) {})
	require.ErrorIs(t, err, errFull)
	n, _ = b.counts()
	assert.Equal(t, 10, n)
}

// TestTimeless: what has no time is told apart from what is there, at a cost that has a bound.
func TestTimeless(t *testing.T) {
	t.Parallel()
	s := &reading{volatile: newVolatile()}
	b := newBook(t, s)
	for i := range 5 * maxSame {
		put(t, b, record{role: roleUser, text: fmt.Sprintf("text %d", i)})
	}
	add := func(text string) bool {
		_, added, err := b.add(record{role: roleUser, text: text}, func(o record) bool { return o.text == text }, func(error) {})
		require.NoError(t, err)
		return added
	}
	assert.False(t, add("text 3"))
	s.reads = 0
	assert.True(t, add("something else"))
	assert.LessOrEqual(t, s.reads, maxSame)
	n, _ := b.counts()
	assert.Equal(t, 5*maxSame+1, n)
}

// reading counts what is read.
type reading struct {
	*volatile
	reads int
}

func (s *reading) Get(key []byte) ([]byte, bool, error) {
	s.reads++
	return s.volatile.Get(key)
}

// TestDiskTrouble: what is not on disk is found all the same, and written later.
func TestDiskTrouble(t *testing.T) {
	t.Parallel()
	s := newBrittle()
	b := newBook(t, s)
	full := errors.New("no space left on device")
	s.set(full, false)
	id := put(t, b, record{role: roleUser, text: "kept in mind", ts: 5})
	require.ErrorIs(t, b.problem(), full)
	r, err := b.get(id)
	require.NoError(t, err)
	assert.Equal(t, "kept in mind", r.text)
	assert.Empty(t, s.records)
	b.again()
	require.ErrorIs(t, b.problem(), full)
	s.set(nil, false)
	b.again()
	require.NoError(t, b.problem())
	assert.Len(t, s.records, 1)
	assert.Empty(t, b.waiting)
}

// TestFoundBeforeWritten: an insert waits for nothing.
func TestFoundBeforeWritten(t *testing.T) {
	t.Parallel()
	s := newBrittle()
	b := newBook(t, s)
	s.set(nil, true)
	id := put(t, b, record{role: roleUser, text: "I like pizza", ts: 5})
	assert.Empty(t, s.records)
	res := b.answer(ask("pizza", 5), nil)
	require.Len(t, res.Results, 1)
	assert.Equal(t, 1, b.forget([]uint64{id}, func(error) {}))
	s.set(nil, false)
	assert.Empty(t, s.records, "the removal comes after the write that it overtook in memory")
}

func TestForgetMany(t *testing.T) {
	t.Parallel()
	s := newVolatile()
	b := newBook(t, s)
	for i := range 2*forgetBatch + 10 {
		put(t, b, record{role: roleUser, text: "text", ts: 1000 + float64(i)/100})
	}
	calls := 0
	assert.Equal(t, 2*forgetBatch+10, b.forget(b.all(nil), func(err error) { calls++; assert.NoError(t, err) }))
	assert.Equal(t, 1, calls)
	assert.Empty(t, s.records)
	assert.Zero(t, b.forget(nil, func(error) { calls++ }))
	assert.Equal(t, 2, calls, "done is called also if there was nothing to do")
}

func TestTidy(t *testing.T) {
	t.Parallel()
	r := record{text: "  " + strings.Repeat("é", maxTextBytes) + "  ", message: strings.Repeat("m", 1000), ts: -1, tags: make([]string, 100)}
	r.tidy()
	assert.LessOrEqual(t, len(r.text), maxTextBytes)
	assert.Len(t, r.message, maxNameBytes)
	assert.Len(t, r.tags, maxTags)
	assert.Zero(t, r.ts)
	assert.Equal(t, "a\ufffdb", cut("a\xffb", 10))
}
