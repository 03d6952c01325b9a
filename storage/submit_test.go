package storage

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSubmitWritesAndTellsInOrder(t *testing.T) {
	t.Parallel()
	d := start(t, Options{})
	e := &ears{}
	for i := range 500 {
		d.Submit(Keep, e.done(i), 10, put(fmt.Sprintf("k%03d", i%100), fmt.Sprint(i)))
		if i%7 == 0 {
			d.Submit(Keep, nil, 0, del(fmt.Sprintf("k%03d", i%100)))
		}
	}
	sync1(t, d)
	var want []int
	state := map[string]string{}
	for i := range 500 {
		want = append(want, i)
		state[fmt.Sprintf("k%03d", i%100)] = fmt.Sprint(i)
		if i%7 == 0 {
			delete(state, fmt.Sprintf("k%03d", i%100))
		}
	}
	assert.Equal(t, want, e.ids())
	assert.Equal(t, state, contents(t, d, Retained))
	path := d.o.Path
	require.NoError(t, d.Close())
	assert.Equal(t, state, contents(t, start(t, Options{Path: path}), Retained))
	assert.Zero(t, d.State().Pending)
}

// A batch is what gathers while the last one is written; of one key the last change counts.
func TestBatchKeepsOrderOfAKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ops  []Op
		want map[string]string
	}{
		"last put wins":      {[]Op{put("a", "1"), put("a", "2"), put("a", "3")}, map[string]string{"a": "3"}},
		"delete wins":        {[]Op{put("a", "1"), del("a")}, map[string]string{}},
		"put after delete":   {[]Op{put("a", "1"), del("a"), put("a", "2")}, map[string]string{"a": "2"}},
		"weak put is later":  {[]Op{put("a", "1"), weak(put("a", "2"))}, map[string]string{"a": "2"}},
		"weak put is before": {[]Op{weak(put("a", "2")), put("a", "1")}, map[string]string{"a": "1"}},
		"unsorted keys":      {[]Op{put("c", "1"), put("a", "2"), put("b", "3"), put("aa", "4")}, map[string]string{"c": "1", "a": "2", "b": "3", "aa": "4"}},
		"empty value":        {[]Op{put("a", "")}, map[string]string{"a": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t, Options{})
			g := d.hold()
			d.Submit(Keep, nil, 0, del("x"))
			<-g.reached
			for _, op := range c.ops {
				d.Submit(Keep, nil, 0, op)
			}
			close(g.open)
			sync1(t, d)
			assert.Equal(t, c.want, contents(t, d, Retained))
			assert.Equal(t, uint64(2), d.State().Commits)
		})
	}
}

// The steps of a record with a slot, and what of it reaches the disk.
func TestSlotCancels(t *testing.T) {
	t.Parallel()
	const cut = "|" // a commit happens here
	for name, c := range map[string]struct {
		steps   string // p put, d delete, w weak delete, P and D in mode Discard, l loaded
		coded   int    // times that it is encoded
		records uint64 // written in all
		left    bool
	}{
		"put":                               {"p", 1, 1, true},
		"put and delete":                    {"pd", 0, 0, false},
		"put and weak delete":               {"pw", 0, 0, false},
		"put, commit, delete":               {"p|d", 1, 2, false},
		"put, commit, put and delete":       {"p|pd", 1, 2, false},
		"put again":                         {"pp", 1, 1, true},
		"put again, delete":                 {"ppd", 0, 0, false},
		"put, delete, put":                  {"pdp", 1, 1, true},
		"put, delete, put, delete":          {"pdpd", 0, 0, false},
		"loaded and deleted":                {"ld", 0, 1, false},
		"loaded, put and deleted":           {"lpd", 0, 1, false},
		"put, commit, weak delete":          {"p|w", 1, 2, false},
		"delete twice":                      {"p|d|d", 1, 3, false},
		"discard put, delete":               {"Pd", 0, 0, false},
		"put, discard delete goes the way":  {"pD", 0, 1, false},
		"put, discard put":                  {"pP", 1, 1, true},
		"put, discard put, delete":          {"pPd", 0, 1, false},
		"put, discard delete, delete":       {"pDd", 0, 1, false},
		"put, commit, delete, put":          {"p|dp", 2, 2, true},
		"put, commit, delete, commit, put":  {"p|d|p", 2, 3, true},
		"discard put, discard delete, sync": {"PD", 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t, Options{})
			coded := 0
			r := &kv{bucket: Queue, key: "k", value: "v", slot: new(Slot), coded: &coded}
			var total uint64
			for _, part := range strings.Split(c.steps, cut) {
				g := d.hold()
				d.Submit(Keep, nil, 0, del("x"))
				<-g.reached
				for _, s := range part {
					mode := Keep
					if s == 'P' || s == 'D' {
						mode = Discard
					}
					switch s {
					case 'l':
						r.slot.Loaded()
					case 'p', 'P':
						d.Submit(mode, nil, 0, Op{Record: r})
					case 'd', 'D', 'w':
						d.Submit(mode, nil, 0, Op{Record: r, Delete: true, Weak: s == 'w'})
					}
				}
				close(g.open)
				sync1(t, d)
				total++ // that of x
			}
			assert.Equal(t, c.coded, coded, "encoded")
			assert.Equal(t, c.records, d.State().Records-total, "records")
			assert.Equal(t, c.left, len(contents(t, d, Queue)) == 1, "left")
			assert.Zero(t, d.State().Pending)
		})
	}
}

// What has nothing to write needs no transaction, and is told all the same.
func TestNothingEffectiveWritesNothing(t *testing.T) {
	t.Parallel()
	d := start(t, Options{})
	before := d.State()
	e := &ears{}
	for i := range 1000 {
		r := &kv{bucket: Queue, key: "k", value: "v", slot: new(Slot)}
		d.Submit(Keep, e.done(2*i), 100, Op{Record: r}, Op{Record: r, Delete: true})
		d.Submit(Keep, e.done(2*i+1), 0)
	}
	sync1(t, d)
	after := d.State()
	assert.Equal(t, before.Commits, after.Commits)
	assert.Equal(t, uint64(1000), after.Cancelled)
	assert.Zero(t, after.Pending)
	require.Len(t, e.ids(), 2000)
	for i, id := range e.ids() {
		require.Equal(t, i, id)
	}
}

// Dones keep their order when some have nothing to write and others do.
func TestBarrierWaitsForWhatWasBefore(t *testing.T) {
	t.Parallel()
	d := start(t, Options{})
	e := &ears{}
	g := d.hold()
	d.Submit(Keep, e.done(0), 0, put("a", "1"))
	<-g.reached
	d.Submit(Keep, e.done(1), 0)
	d.Submit(Keep, e.done(2), 0, put("b", "1"))
	d.Submit(Keep, e.done(3), 0)
	assert.Empty(t, e.ids())
	close(g.open)
	sync1(t, d)
	assert.Equal(t, []int{0, 1, 2, 3}, e.ids())
}

func TestOnNotified(t *testing.T) {
	t.Parallel()
	d := start(t, Options{})
	e := &ears{}
	seen := make(chan int, 100)
	d.OnNotified(func() { seen <- len(e.ids()) })
	d.Submit(Keep, e.done(0), 0, put("a", "1"))
	assert.Equal(t, 1, <-seen, "after Committed")
	d.Submit(Keep, e.done(1), 0)
	assert.Equal(t, 2, <-seen)
}

// again submits from within Committed.
type again struct {
	d    *DB
	left int
	end  chan struct{}
}

func (a *again) Committed(error) {
	if a.left--; a.left == 0 {
		close(a.end)
		return
	}
	a.d.Submit(Keep, a, 0, put("k", fmt.Sprint(a.left)))
}

func TestSubmitFromCommitted(t *testing.T) {
	t.Parallel()
	d := start(t, Options{})
	a := &again{d: d, left: 50, end: make(chan struct{})}
	d.Submit(Keep, a, 0)
	<-a.end
	assert.Equal(t, map[string]string{"k": "1"}, contents(t, d, Retained))
}

func TestWeakRidesAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{})
		commits := func() uint64 { synctest.Wait(); return d.State().Commits }
		d.Submit(Keep, nil, 0, weak(put("a", "1")))
		time.Sleep(900 * time.Millisecond)
		assert.Equal(t, uint64(0), commits(), "waits for company")
		d.Submit(Keep, nil, 0, put("b", "1"))
		assert.Equal(t, uint64(1), commits())
		assert.Equal(t, map[string]string{"a": "1", "b": "1"}, contents(t, d, Retained))

		time.Sleep(time.Hour)
		d.Submit(Keep, nil, 0, weak(put("c", "1")))
		time.Sleep(500 * time.Millisecond)
		d.Submit(Keep, nil, 0, weak(put("d", "1")))
		time.Sleep(499 * time.Millisecond)
		assert.Equal(t, uint64(1), commits())
		time.Sleep(time.Millisecond)
		assert.Equal(t, uint64(2), commits(), "a second after the first of them")
		assert.Len(t, contents(t, d, Retained), 4)

		e := &ears{}
		d.Submit(Keep, nil, 0, weak(put("e", "1")))
		d.Submit(Keep, e.done(1), 0)
		assert.Equal(t, uint64(2), commits(), "a barrier does not wait for weak ones")
		assert.Equal(t, []int{1}, e.ids())
		d.Submit(Keep, e.done(2), 0, weak(put("f", "1")))
		assert.Equal(t, uint64(3), commits(), "somebody waits for it: not weak")
		require.NoError(t, d.Close())
	})
}

func TestWeakFloodIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{})
		for i := range weakMost + 2 {
			d.Submit(Keep, nil, 0, weak(put(fmt.Sprint(i), "1")))
		}
		synctest.Wait()
		assert.Equal(t, uint64(1), d.State().Commits)
		require.NoError(t, d.Close())
	})
}

// Cancelled pairs must not pile up in a batch that waits for company.
func TestCancelledLeaveTheBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{})
		kept := &kv{bucket: Queue, key: "kept", value: "v", slot: new(Slot)}
		d.Submit(Keep, nil, 0, weak(Op{Record: kept}))
		for range 10_000 {
			r := &kv{bucket: Queue, key: "k", value: "v", slot: new(Slot)}
			d.Submit(Keep, nil, 1000, Op{Record: r, Weak: true})
			d.Submit(Keep, nil, 0, Op{Record: r, Delete: true, Weak: true})
		}
		d.mu.Lock()
		assert.Less(t, len(d.cur.entries), 100)
		d.mu.Unlock()
		d.Submit(Keep, nil, 0, Op{Record: kept, Delete: true})
		synctest.Wait()
		assert.Equal(t, uint64(0), d.State().Commits)
		assert.Zero(t, d.State().Pending)
		require.NoError(t, d.Close())
	})
}

func TestRelaxed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Durability: Relaxed, Window: 5 * time.Second})
		e := &ears{}
		for i := range 10 {
			d.Submit(Keep, e.done(i), 0, put("a", fmt.Sprint(i)))
			d.Submit(Discard, e.done(10+i), 0, put("b", fmt.Sprint(i)))
		}
		synctest.Wait()
		assert.Len(t, e.ids(), 20, "told at once")
		assert.Zero(t, d.State().Commits)
		time.Sleep(5*time.Second - 1)
		synctest.Wait()
		assert.Zero(t, d.State().Commits)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, uint64(1), d.State().Commits)
		assert.Equal(t, map[string]string{"a": "9", "b": "9"}, contents(t, d, Retained))

		d.Submit(Keep, nil, 0, put("c", "1"))
		require.NoError(t, d.Sync(t.Context()))
		assert.Equal(t, uint64(2), d.State().Commits, "Sync does not wait for the window")
		require.NoError(t, d.Put(t.Context(), Users, []byte("u"), []byte("1")))
		assert.Equal(t, uint64(3), d.State().Commits)
		d.Submit(Keep, nil, 20<<20, put("d", "1"))
		synctest.Wait()
		assert.Equal(t, uint64(4), d.State().Commits, "too much waits")
		d.Submit(Keep, nil, 0, put("e", "1"))
		require.NoError(t, d.Close())
		assert.Equal(t, uint64(5), d.State().Commits, "Close writes")
	})
}

func TestGather(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Gather: 2 * time.Millisecond})
		for i := range 5 {
			d.Submit(Keep, nil, 0, put("a", fmt.Sprint(i)))
			time.Sleep(399 * time.Microsecond)
		}
		synctest.Wait()
		assert.Zero(t, d.State().Commits)
		time.Sleep(5 * time.Microsecond)
		synctest.Wait()
		assert.Equal(t, uint64(1), d.State().Commits)
		at := time.Now()
		d.Submit(Keep, nil, 0, put("b", "1"))
		require.NoError(t, d.Sync(t.Context()))
		assert.Zero(t, time.Since(at), "Sync does not gather")
		require.NoError(t, d.Close())
	})
}

// Idle is idle: nothing is written, and the file does not change.
func TestIdleWritesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, o := range []Options{{}, {Durability: Relaxed}} {
			d := start(t, o)
			d.Submit(Keep, nil, 0, put("a", "1"), weak(put("b", "1")))
			require.NoError(t, d.Sync(t.Context()))
			before, sum := d.State(), fileSum(t, d.o.Path)
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			assert.Equal(t, before, d.State())
			assert.Equal(t, sum, fileSum(t, d.o.Path))
			require.NoError(t, d.Close())
			assert.Equal(t, sum, fileSum(t, d.o.Path), "closing writes nothing either")
		}
	})
}

func TestWaitHoldsBack(t *testing.T) {
	t.Parallel()
	d := start(t, Options{MaxPending: 10_000})
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, d.Wait(ctx))
	g := d.hold()
	d.Submit(Keep, nil, 8000, put("a", "1"))
	<-g.reached
	require.NoError(t, d.Wait(ctx))
	d.Submit(Keep, nil, 8000, put("b", "1"))
	waited := make(chan error)
	for range 2 {
		go func() { waited <- d.Wait(ctx) }()
	}
	select {
	case err := <-waited:
		t.Fatal("did not wait", err)
	default:
	}
	cancel()
	require.ErrorIs(t, <-waited, context.Canceled)
	require.ErrorIs(t, <-waited, context.Canceled)
	go func() { waited <- d.Wait(t.Context()) }()
	close(g.open)
	require.NoError(t, <-waited)
	sync1(t, d)
	assert.Zero(t, d.State().Pending)
}

func TestPutGetDelete(t *testing.T) {
	t.Parallel()
	d := start(t, Options{})
	ctx := t.Context()
	key, value := []byte("anna"), []byte("secret")
	require.NoError(t, d.Put(ctx, Users, key, value))
	got, err := d.Get(Users, key)
	require.NoError(t, err)
	assert.Equal(t, value, got)
	require.NoError(t, d.Delete(ctx, Users, key))
	require.NoError(t, d.Delete(ctx, Users, key))
	_, err = d.Get(Users, key)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, d.Put(ctx, Users, nil, value), ErrKey)
	require.ErrorIs(t, d.Put(ctx, Users, make([]byte, 32769), value), ErrKey)
	require.NoError(t, d.Put(ctx, Users, make([]byte, 32768), make([]byte, 1<<20)))
	done, cancel := context.WithCancel(ctx)
	cancel()
	err = d.Put(done, Users, key, value)
	assert.True(t, err == nil || assert.ErrorIs(t, err, context.Canceled))
	assert.Panics(t, func() { _ = d.Put(ctx, "no such bucket", key, value) })
}

func TestRange(t *testing.T) {
	t.Parallel()
	d := start(t, Options{})
	for _, k := range []string{"a", "b1", "b2", "b", "c"} {
		d.Submit(Keep, nil, 0, put(k, "v"+k))
	}
	sync1(t, d)
	var got []string
	require.NoError(t, d.Range(Retained, []byte("b"), func(k, v []byte) error {
		got = append(got, string(k)+"="+string(v))
		return nil
	}))
	assert.Equal(t, []string{"b=vb", "b1=vb1", "b2=vb2"}, got)
	assert.ErrorIs(t, d.Range(Retained, nil, func(k, v []byte) error { return context.Canceled }), context.Canceled)
	assert.PanicsWithValue(t, "mine", func() { _ = d.Range(Retained, nil, func(k, v []byte) error { panic("mine") }) })
	require.NoError(t, d.Range(Retained, []byte("zz"), func(k, v []byte) error { panic("none") }))
}

func TestClosed(t *testing.T) {
	t.Parallel()
	d := start(t, Options{})
	e := &ears{}
	d.Submit(Keep, e.done(1), 1<<30, weak(put("a", "1")))
	d.Submit(Keep, nil, 0, weak(put("b", "1")))
	require.NoError(t, d.Close())
	require.NoError(t, d.Close(), "twice")
	assert.Equal(t, []int{1}, e.ids())
	d.Submit(Keep, e.done(2), 0, put("a", "1"))
	require.ErrorIs(t, d.Sync(t.Context()), ErrClosed)
	require.ErrorIs(t, d.Put(t.Context(), Users, []byte("a"), nil), ErrClosed)
	_, err := d.Get(Users, []byte("a"))
	require.ErrorIs(t, err, ErrClosed)
	_, err = d.Backup(&strings.Builder{})
	require.ErrorIs(t, err, ErrClosed)
	assert.Equal(t, []int{1}, e.ids())
	assert.Len(t, contents(t, start(t, Options{Path: d.o.Path}), Retained), 2)
	_, err = Open(Options{Path: filepath.Join(t.TempDir(), "no", "data.db"), Log: zerolog.Nop()})
	require.Error(t, err)
}
