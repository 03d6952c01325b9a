package storage

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// sample writes a file with records of all sizes, and returns it and what it holds, now and
// before the last commit.
func sample(t testing.TB, n int) (file []byte, now, before map[string]string) {
	t.Helper()
	d := start(t, Options{})
	rng := rand.New(rand.NewPCG(1, 1))
	fill := func(from, to int) map[string]string {
		for i := from; i < to; i++ {
			value := make([]byte, rng.IntN(200))
			if i%97 == 0 {
				value = make([]byte, rng.IntN(20_000)) // needs pages of its own
			}
			for j := range value {
				value[j] = byte(rng.Uint32())
			}
			d.Submit(Keep, nil, 0, put(fmt.Sprintf("topic/%d", i), string(value)))
		}
		sync1(t, d)
		return contents(t, d, Retained)
	}
	fill(0, n)
	for i := 0; i < n; i += 3 {
		d.Submit(Keep, nil, 0, del(fmt.Sprintf("topic/%d", i)))
	}
	sync1(t, d)
	require.NoError(t, d.Put(t.Context(), Users, []byte("anna"), []byte("hash")))
	before = fill(n, n+1)
	now = fill(n+1, n+2)
	path := d.o.Path
	require.NoError(t, d.Close())
	file, err := readUsed(path)
	require.NoError(t, err)
	return append(file, make([]byte, 3*pageBytes)...), now, before
}

// A file that is cut or garbled anywhere: the store starts, with all data, with all but the last
// commit, or with a fresh file; and what was there before is still there in the last two cases.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	file, now, before := sample(t, 700)
	metas, err := findMetas(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	used := int(metas[0].high) * pageBytes
	rng := rand.New(rand.NewPCG(5, 5))
	page := func() int { return rng.IntN(used/pageBytes) * pageBytes }
	kinds := map[string]func(b []byte) []byte{
		"cut":          func(b []byte) []byte { return b[:1+rng.IntN(used-1)] },
		"cut at start": func(b []byte) []byte { return b[:1+rng.IntN(5*pageBytes)] },
		"cut behind":   func(b []byte) []byte { return b[:used+rng.IntN(len(b)-used)] },
		"one bit":      func(b []byte) []byte { b[rng.IntN(used)] ^= 1 << rng.IntN(8); return b },
		"page of zeros": func(b []byte) []byte {
			clear(b[page():][:pageBytes])
			return b
		},
		"page of noise": func(b []byte) []byte {
			for i := range b[page():][:pageBytes] {
				b[i] = byte(rng.Uint32())
			}
			return b
		},
		"sector of noise": func(b []byte) []byte {
			at := rng.IntN(used/512) * 512
			for i := at; i < at+512; i++ {
				b[i] = byte(rng.Uint32())
			}
			return b
		},
		"page of another": func(b []byte) []byte { copy(b[page():][:pageBytes], file[page():]); return b },
		"both meta pages": func(b []byte) []byte { clear(b[:2*pageBytes]); return b },
		"newest meta":     func(b []byte) []byte { clear(b[metas[0].page:][:pageBytes]); return b },
		"no such file":    func([]byte) []byte { return []byte("this is not a database\n") },
	}
	for name, damage := range kinds {
		t.Run(name, func(t *testing.T) {
			moved, back := 0, 0
			for range 15 {
				dir := t.TempDir()
				path := filepath.Join(dir, "data.db")
				bad := damage(bytes.Clone(file))
				require.NoError(t, os.WriteFile(path, bad, 0o600))
				d, err := Open(Options{Path: path, Log: zerolog.Nop()})
				require.NoError(t, err)
				got := contents(t, d, Retained)
				if d.Moved() != "" {
					kept, err := os.ReadFile(d.Moved())
					require.NoError(t, err)
					require.True(t, bytes.Equal(bad, kept))
				}
				switch {
				case d.Moved() == "" && maps.Equal(got, now):
				case maps.Equal(got, before): // an older state is all that is there
					back++
					require.True(t, d.Moved() != "" || name == "newest meta" || bad[metas[0].page+headBytes+50] != file[metas[0].page+headBytes+50] || !bytes.Equal(bad[:2*pageBytes], file[:2*pageBytes]))
				default:
					moved++
					require.NotEmpty(t, d.Moved())
					require.Empty(t, got)
				}
				require.NoError(t, d.Put(t.Context(), Users, []byte("new"), []byte("1")))
				require.NoError(t, d.Close())
				require.NoError(t, Verify(path))
			}
			t.Logf("of 15: %d moved aside, %d went back by a commit", moved, back)
		})
	}
}

// Two damaged files on one day do not overwrite each other.
func TestDamagedTwice(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data.db")
	seen := map[string]bool{}
	for i := range 3 {
		require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, "garbage %d", i), 0o600))
		d := start(t, Options{Path: path})
		require.NoError(t, d.Close())
		assert.False(t, seen[d.Moved()])
		seen[d.Moved()] = true
		assert.Regexp(t, `data\.db\.damaged-\d{8}T\d{6}Z(-\d)?$`, d.Moved())
		b, err := os.ReadFile(d.Moved())
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("garbage %d", i), string(b))
	}
}

// A file that is cut short while it is open must not end the process.
func TestCutWhileOpen(t *testing.T) {
	t.Parallel()
	file, now, _ := sample(t, 2000)
	path := filepath.Join(t.TempDir(), "data.db")
	require.NoError(t, os.WriteFile(path, file, 0o600))
	d := start(t, Options{Path: path})
	require.Equal(t, now, contents(t, d, Retained))
	require.NoError(t, os.Truncate(path, 3*pageBytes))
	err := d.Range(Retained, nil, func(k, v []byte) error { return nil })
	require.ErrorIs(t, err, ErrDamaged)
	_, err = d.Get(Retained, []byte("topic/1"))
	require.ErrorIs(t, err, ErrDamaged)
}

func FuzzCheck(f *testing.F) {
	file, _, _ := sample(f, 60)
	metas, err := findMetas(bytes.NewReader(file), int64(len(file)))
	require.NoError(f, err)
	file = file[:int(metas[0].high)*pageBytes]
	f.Add([]byte{}, false)
	f.Add([]byte{0, 0x20, 0, 0, 3}, true)
	f.Add([]byte{1, 0, 0, 16 + 16, 9, 2, 0, 0, 3, 7}, true)
	f.Add(bytes.Repeat([]byte{0, 0x30, 0x0a, 0xff}, 3), true)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, patch []byte, sum bool) {
		// Four bytes of place and value each, on a good file, with good meta checksums if asked.
		b := bytes.Clone(file)
		for ; len(patch) >= 4; patch = patch[4:] {
			at := int(patch[0])<<16 | int(patch[1])<<8 | int(patch[2])
			b[at%len(b)] = patch[3]
		}
		if sum {
			for _, m := range []int{headBytes, pageBytes + headBytes} {
				h := fnv.New64a()
				_, _ = h.Write(b[m : m+metaBytes-8])
				order.PutUint64(b[m+metaBytes-8:], h.Sum64())
			}
		}
		tryFile(t, filepath.Join(dir, "fuzz.db"), b)
	})
}

func FuzzCheckBytes(f *testing.F) {
	file, _, _ := sample(f, 3)
	f.Add(file[:5*pageBytes])
	f.Add([]byte("x"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) { tryFile(t, filepath.Join(dir, "fuzz.db"), b) })
}

// tryFile checks b, and what passes must be safe in bbolt's hands.
func tryFile(t *testing.T, path string, b []byte) {
	metas, err := findMetas(bytes.NewReader(b), int64(len(b)))
	if err == nil {
		_, err = checkTree(bytes.NewReader(b), int64(len(b)), metas[0])
	}
	if err != nil {
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrSchema) {
			t.Fatalf("%v", err)
		}
		return
	}
	require.NoError(t, os.WriteFile(path, b, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	db, err := openBolt(f)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			n := 0
			for k, v := range all2(bucket) {
				if _, ok := unseal(k, v); !ok {
					return fmt.Errorf("%s %q", name, k)
				}
				n++
			}
			require.NoError(t, bucket.Put([]byte("new"), []byte("value")))
			return nil
		})
	}))
}

// all2 iterates over a bucket.
func all2(b *bbolt.Bucket) func(yield func(k, v []byte) bool) {
	return func(yield func(k, v []byte) bool) {
		c := b.Cursor()
		for k, v := c.First(); k != nil && yield(k, v); k, v = c.Next() {
		}
	}
}

func FuzzSchema(f *testing.F) {
	f.Add(seal(schemaKey, []byte{0, 0, 0, 1}, 0))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if n, err := decodeSchema(raw); err != nil {
			require.ErrorIs(t, err, ErrDamaged)
		} else {
			require.GreaterOrEqual(t, n, 0)
		}
	})
}

func FuzzLedger(f *testing.F) {
	f.Add(seal(ledgerKey, make([]byte, ledgerBytes), 0))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := decodeLedger(raw); err != nil {
			require.ErrorIs(t, err, ErrDamaged)
		}
		weigh(1, append(raw, 1, 2, 3, 4))
		new(ledger).remove(1, raw)
	})
}

func FuzzParseLock(f *testing.F) {
	f.Add("1: FLOCK  ADVISORY  WRITE 1234 fe:00:12345 0 EOF")
	f.Add("2: POSIX  ADVISORY  READ 1 00:1a:3 128 128")
	f.Add("1: -> FLOCK  ADVISORY  WRITE 1234 fe:00:12345 0 EOF")
	f.Fuzz(func(t *testing.T, line string) { parseLock(line) })
}
