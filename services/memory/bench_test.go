package memory

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/use"
	"github.com/tarsd/tarsd/services/memory/index"
	"github.com/tarsd/tarsd/storage"
)

// BenchmarkMemory gives the figures of docs/memory.md, at 100,000 records:
// go test ./services/memory -run '^$' -bench Memory -cpu 1 -benchtime 200x
func BenchmarkMemory(b *testing.B) {
	e, err := use.Open(b.Context())
	if err != nil {
		b.Skip(err)
	}
	const n = 100_000
	path := filepath.Join(b.TempDir(), "tarsd.db")
	db, err := storage.Open(storage.Options{Path: path})
	require.NoError(b, err)
	fillStore(b, db.Table(storage.Memory), e, n)
	require.NoError(b, db.Close())
	info, err := os.Stat(path)
	require.NoError(b, err)

	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	before := heap()
	began := time.Now()
	db, err = storage.Open(storage.Options{Path: path})
	require.NoError(b, err)
	checked := time.Since(began)
	began = time.Now()
	book, err := openBook(db.Table(storage.Memory), use.ID, n, false, zerolog.Nop())
	require.NoError(b, err)
	loaded := time.Since(began)
	b.Logf("file %d MiB, opened and checked in %s, loaded in %s, heap %.0f MiB", info.Size()>>20, checked.Round(time.Millisecond), loaded.Round(time.Millisecond), heap()-before)
	m := &Memory{book: book, vectors: newVectors(e, book, zerolog.Nop(), func(error) {})}
	_, questions, _ := labelled(b)

	b.Run("query", func(b *testing.B) {
		var took []time.Duration
		for i := 0; b.Loop(); i++ {
			q := ask(fmt.Sprintf("%s %d", questions[i%len(questions)], i), 5) // never in the cache
			q.IncludeContext = true
			q.MaxTokens = new(2000)
			began := time.Now()
			if r := m.search(b.Context(), q); r.K != 5 {
				b.Fatal(r.K)
			}
			took = append(took, time.Since(began))
		}
		quantiles(b, took)
	})
	b.Run("insert", func(b *testing.B) {
		var took []time.Duration
		var wg sync.WaitGroup
		for i := 0; b.Loop(); i++ {
			wg.Add(1)
			r := record{role: roleUser, text: questions[i%len(questions)], ts: 1.9e9 + float64(i)/1000}
			began := time.Now()
			_, _, err := book.add(r, nil, func(error) { wg.Done() })
			took = append(took, time.Since(began))
			require.NoError(b, err)
		}
		wg.Wait()
		quantiles(b, took)
	})
	require.NoError(b, db.Close())
}

func quantiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	ms := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	b.ReportMetric(ms(0.5), "p50-ms")
	b.ReportMetric(ms(0.99), "p99-ms")
}

// fillStore writes n records. Vectors are those of real sentences and of what lies between two of
// them: encoding them all would take a quarter of an hour.
func fillStore(b *testing.B, s Store, e *use.Encoder, n int) {
	b.Helper()
	vectors, err := e.Embed(b.Context(), many(500))
	require.NoError(b, err)
	r := rand.New(rand.NewPCG(9, 9))
	var wg sync.WaitGroup
	for i, text := range many(n) {
		v := slices.Clone(vectors[i%len(vectors)])
		w, share := vectors[r.IntN(len(vectors))], r.Float32()
		for j := range v {
			v[j] = share*v[j] + (1-share)*w[j]
		}
		rec := record{id: uint64(1.7e12) + uint64(i)*1000, role: roleUser, text: text, ts: 1.7e9 + float64(i), message: fmt.Sprintf("%032x", i), turn: fmt.Sprintf("%032x", i), origin: "kitchen", lang: "en"}
		wg.Add(1)
		s.Write(func(error) { wg.Done() }, [][]byte{key(keyRecord, rec.id), rec.encode(), key(keyVector, rec.id), encodeVector(use.ID, index.Quantise(v))}, nil)
		if i%1000 == 999 {
			wg.Wait()
		}
	}
	wg.Wait()
}
