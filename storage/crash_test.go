package storage

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// image is the file as it was when a transaction began, and who had been told by then.
type image struct {
	bytes []byte
	told  map[int]error
}

// workload submits random operations, notes what they mean, and takes images.
type workload struct {
	t      *testing.T
	rng    *rand.Rand
	d      *DB
	ears   *ears
	images []image
	subs   []submitted
	slots  []*kv

	waiting int // for Committed
}

type submitted struct {
	mode Mode
	ops  []Op
}

// fault is called by the committer at the beginning of each transaction.
func (w *workload) fault(failing bool) func() error {
	rng := rand.New(rand.NewPCG(w.rng.Uint64(), 0))
	return func() error {
		b, err := readUsed(w.d.o.Path)
		if err != nil {
			return err
		}
		w.images = append(w.images, image{b, w.ears.errs()})
		if failing && rng.IntN(4) == 0 {
			return syscall.ENOSPC
		}
		return nil
	}
}

// readUsed reads a file without the space behind its last page, which it has to grow into.
func readUsed(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	metas, err := findMetas(f, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	b := make([]byte, max(metas[0].high, metas[len(metas)-1].high)*pageBytes)
	_, err = f.ReadAt(b, 0)
	return b, err
}

func (w *workload) op(weakToo bool) Op {
	var op Op
	switch n := w.rng.IntN(10); {
	case n < 3 || len(w.slots) == 0:
		r := &kv{bucket: Queue, key: fmt.Sprint("q", len(w.slots)), slot: new(Slot)}
		r.value = "of " + r.key
		w.slots = append(w.slots, r)
		op = Op{Record: r}
	case n < 5: // mostly a late one, which may still wait
		op = Op{Record: w.slots[len(w.slots)-1-min(w.rng.IntN(4)*w.rng.IntN(10), len(w.slots)-1)], Delete: true}
	case n < 6:
		op = Op{Record: w.slots[w.rng.IntN(len(w.slots))]}
	case n < 9:
		op = put(fmt.Sprint("k", w.rng.IntN(20)), fmt.Sprint(len(w.subs), "-", w.rng.IntN(1000), strings.Repeat(".", w.rng.IntN(300))))
	default:
		op = del(fmt.Sprint("k", w.rng.IntN(20)))
	}
	op.Weak = weakToo && w.rng.IntN(3) == 0
	return op
}

func (w *workload) run(n int, weakToo bool) {
	for i := range n {
		s := submitted{mode: Mode(w.rng.IntN(2))}
		for range w.rng.IntN(4) {
			s.ops = append(s.ops, w.op(weakToo))
		}
		w.subs = append(w.subs, s)
		var done Done
		if s.mode == Discard || w.rng.IntN(2) == 0 {
			done = w.ears.done(i) // of a discarded one we must know
			w.waiting++
		}
		w.d.Submit(s.mode, done, 100, s.ops...)
		if w.rng.IntN(30) == 0 {
			_ = w.d.Sync(w.t.Context()) // fails while degraded
		}
	}
}

// apply does to state what the submission means.
func (s submitted) apply(state map[string]string) {
	for _, op := range s.ops {
		r := op.Record.(*kv)
		if op.Delete {
			delete(state, r.key)
		} else {
			state[r.key] = r.value
		}
	}
}

// states are what the file may hold: after each submission that was not discarded.
func (w *workload) states(errs map[int]error) []map[string]string {
	state := map[string]string{}
	out := []map[string]string{{}}
	for i, s := range w.subs {
		if errs[i] == nil {
			s.apply(state)
		}
		out = append(out, maps.Clone(state))
	}
	return out
}

// all returns what is in a file of the workload, which must open without damage.
func all(t *testing.T, path string) map[string]string {
	t.Helper()
	d, err := Open(Options{Path: path, Log: zerolog.Nop()})
	require.NoError(t, err)
	defer d.Close()
	require.Empty(t, d.Moved())
	out := contents(t, d, Queue)
	maps.Copy(out, contents(t, d, Retained))
	return out
}

// same fails with the first difference, since all of them would fill the screen.
func same(t *testing.T, want, got map[string]string, what string) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		v, ok := got[key]
		require.True(t, ok, "%s: %s is missing", what, key)
		require.Equal(t, want[key], v, "%s: %s", what, key)
	}
	for key := range got {
		require.Contains(t, slices.Collect(maps.Keys(want)), key, what)
	}
}

// prefix checks that a state is what some number of submissions have made, in their order, and
// at least those that somebody was told of.
func (w *workload) prefix(im image, states []map[string]string, got map[string]string) error {
	last := 0
	for i := range w.subs {
		if err, told := im.told[i]; told && err == nil {
			last = i + 1
		}
	}
	for _, s := range states[last:] {
		if maps.Equal(s, got) {
			return nil
		}
	}
	return fmt.Errorf("no state after submission %d", last-1)
}

// perKey checks that each key has a value of the time since its last change that somebody was
// told of.
func (w *workload) perKey(im image, states []map[string]string, got map[string]string) error {
	since := map[string]int{}
	for i, s := range w.subs {
		if err, told := im.told[i]; told && err == nil {
			for _, op := range s.ops {
				since[op.Record.(*kv).key] = i + 1
			}
		}
	}
	for key, from := range since {
		v, have := got[key]
		if !slices.ContainsFunc(states[from:], func(s map[string]string) bool {
			was, had := s[key]
			return had == have && was == v
		}) {
			return fmt.Errorf("%s is %q", key, v)
		}
	}
	return nil
}

// After a crash at any commit all is there that somebody was told of. Without weak operations
// and failures, which let a record vanish early whose deletion is submitted already, it is
// the state after some submission.
func TestCrash(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		weak, failing bool
		check         func(*workload, image, []map[string]string, map[string]string) error
	}{
		"plain":   {false, false, (*workload).prefix},
		"failing": {false, true, (*workload).perKey},
		"weak":    {true, false, (*workload).perKey},
		"both":    {true, true, (*workload).perKey},
	} {
		for seed := range uint64(6) {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) {
				t.Parallel()
				w := &workload{t: t, rng: rand.New(rand.NewPCG(seed, 1)), d: start(t, Options{}), ears: &ears{}}
				w.d.inject(w.fault(c.failing))
				w.run(400, c.weak)
				w.d.inject(w.fault(false))
				require.NoError(t, w.d.Close())
				errs := w.ears.errs()
				require.Len(t, w.ears.ids(), w.waiting, "everybody is told")
				require.Len(t, errs, w.waiting, "once")
				states := w.states(errs)
				same(t, states[len(states)-1], all(t, w.d.o.Path), "at the end")
				path := filepath.Join(t.TempDir(), "crashed.db")
				for n := 0; n < len(w.images); n += 1 + len(w.images)/20 {
					require.NoError(t, os.WriteFile(path, w.images[n].bytes, 0o600))
					require.NoError(t, c.check(w, w.images[n], states, all(t, path)), "image %d", n)
				}
			})
		}
	}
}

// Power fails in the middle of a commit: the disk has some of its pages, in any order. Without
// its meta page the file is as before. With it, as a disk leaves it that does not keep the
// order, it is as before too, and a copy of the file is kept.
func TestTornCommit(t *testing.T) {
	t.Parallel()
	w := &workload{t: t, rng: rand.New(rand.NewPCG(3, 3)), d: start(t, Options{}), ears: &ears{}}
	w.d.inject(w.fault(false))
	w.run(300, false)
	require.NoError(t, w.d.Close())
	repaired := 0
	for trial := range 80 {
		i := w.rng.IntN(len(w.images) - 1)
		before, after := w.images[i].bytes, w.images[i+1].bytes
		torn := append([]byte(nil), after...)
		for at := 2 * pageBytes; at < len(before); at += pageBytes {
			if w.rng.IntN(2) == 0 {
				copy(torn[at:at+pageBytes], before[at:])
			}
		}
		withMeta := trial%2 == 0
		if !withMeta {
			copy(torn[:2*pageBytes], before)
		}
		path := filepath.Join(t.TempDir(), "torn.db")
		require.NoError(t, os.WriteFile(path, before, 0o600))
		was := all(t, path)
		require.NoError(t, os.WriteFile(path, after, 0o600))
		is := all(t, path)
		require.NoError(t, os.WriteFile(path, torn, 0o600))
		d := start(t, Options{Path: path})
		got := contents(t, d, Queue)
		maps.Copy(got, contents(t, d, Retained))
		switch {
		case !withMeta:
			require.Empty(t, d.Moved())
			same(t, was, got, "before")
		case d.Moved() != "":
			repaired++
			same(t, was, got, "before")
			kept, err := os.ReadFile(d.Moved())
			require.NoError(t, err)
			require.Equal(t, torn, kept)
		default:
			same(t, is, got, "after")
		}
		require.NoError(t, d.Put(t.Context(), Users, []byte("u"), []byte("1")))
		require.NoError(t, d.Close())
		require.NoError(t, Verify(path))
	}
	assert.Positive(t, repaired)
}
