package storage

import (
	"crypto/sha256"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func fileSum(t testing.TB, path string) [32]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return sha256.Sum256(b)
}

// breakable is a disk that can be full.
type breakable struct{ full atomic.Bool }

func (b *breakable) fault() error {
	if b.full.Load() {
		return syscall.ENOSPC
	}
	return nil
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{})
		disk := &breakable{}
		d.inject(disk.fault)
		e := &ears{}
		d.Submit(Keep, e.done(0), 100, put("a", "1"))
		require.NoError(t, d.Sync(t.Context()))
		disk.full.Store(true)
		began := time.Now()
		fresh := &kv{bucket: Queue, key: "q", value: "v", slot: new(Slot)}
		gone := &kv{bucket: Queue, key: "gone", value: "v", slot: new(Slot)}
		d.Submit(Keep, e.done(1), 100, put("b", "1"), Op{Record: gone})
		d.Submit(Discard, e.done(2), 100, put("b", "2"), put("c", "2"))
		d.Submit(Discard, e.done(3), 100, Op{Record: fresh})
		synctest.Wait()
		s := d.State()
		assert.True(t, s.Degraded)
		assert.Contains(t, s.Reason, "no space left on device")
		assert.Equal(t, began, s.Since)
		assert.Equal(t, []int{0, 2, 3}, e.ids(), "kept ones wait")
		assert.ErrorIs(t, e.errs()[2], ErrDegraded)
		assert.ErrorIs(t, e.errs()[2], syscall.ENOSPC)

		d.Submit(Keep, e.done(4), 100, put("b", "4"))
		d.Submit(Discard, e.done(5), 100, put("b", "5"))
		d.Submit(Keep, e.done(6), 0, Op{Record: gone, Delete: true})
		d.Submit(Keep, e.done(7), 0)
		assert.ErrorIs(t, d.Sync(t.Context()), ErrDegraded)
		assert.ErrorIs(t, d.Put(t.Context(), Users, []byte("u"), nil), ErrDegraded)
		time.Sleep(10*time.Second - 1)
		synctest.Wait()
		assert.Equal(t, []int{0, 2, 3, 5}, e.ids())
		assert.Equal(t, uint64(10), d.State().Failures, "one a second")
		assert.Equal(t, map[string]string{"a": "1"}, contents(t, d, Retained))

		disk.full.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []int{0, 2, 3, 5, 1, 4, 6, 7}, e.ids())
		assert.NoError(t, e.errs()[7])
		s = d.State()
		assert.False(t, s.Degraded)
		assert.Zero(t, s.Pending)
		assert.Equal(t, map[string]string{"a": "1", "b": "4"}, contents(t, d, Retained))
		assert.Empty(t, contents(t, d, Queue))
		require.NoError(t, d.Close())
	})
}

// With nothing to keep, the store still finds out by itself that there is space again.
func TestFullDiskProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{})
		disk := &breakable{}
		d.inject(disk.fault)
		disk.full.Store(true)
		require.ErrorIs(t, d.Put(t.Context(), Users, []byte("u"), []byte("1")), ErrDegraded)
		e := &ears{}
		d.Submit(Keep, e.done(1), 0)
		synctest.Wait()
		assert.Equal(t, []int{1}, e.ids(), "nothing was before it")
		time.Sleep(5 * time.Second)
		assert.True(t, d.State().Degraded)
		disk.full.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.False(t, d.State().Degraded)
		assert.Zero(t, d.State().Pending)
		assert.NotContains(t, contents(t, d, Meta), string(probeKey))
		require.NoError(t, d.Put(t.Context(), Users, []byte("u"), []byte("1")))
		require.NoError(t, d.Close())
	})
}

func TestFullDiskRelaxed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Durability: Relaxed})
		disk := &breakable{}
		d.inject(disk.fault)
		disk.full.Store(true)
		e := &ears{}
		d.Submit(Discard, e.done(1), 0, put("a", "1"))
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		assert.True(t, d.State().Degraded)
		d.Submit(Keep, e.done(2), 0, put("b", "1"))
		d.Submit(Keep, e.done(3), 0, weak(put("c", "1")))
		synctest.Wait()
		assert.Equal(t, []int{1}, e.ids(), "the window is over: no more promises")
		disk.full.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []int{1, 2, 3}, e.ids())
		assert.Len(t, contents(t, d, Retained), 3, "what was acknowledged is kept")
		require.NoError(t, d.Close())
	})
}

func TestCloseWithFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{})
		disk := &breakable{}
		d.inject(disk.fault)
		disk.full.Store(true)
		e := &ears{}
		d.Submit(Keep, e.done(1), 0, put("a", "1"))
		synctest.Wait()
		d.Submit(Keep, e.done(2), 0, put("b", "1"))
		err := d.Close()
		require.ErrorIs(t, err, syscall.ENOSPC)
		assert.ErrorContains(t, err, "2 records not written")
		assert.Equal(t, []int{1, 2}, e.ids())
		assert.ErrorIs(t, e.errs()[1], ErrDegraded)
	})
}

func TestCloseTriesOnceMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{})
		disk := &breakable{}
		d.inject(disk.fault)
		disk.full.Store(true)
		e := &ears{}
		d.Submit(Keep, e.done(1), 0, put("a", "1"))
		synctest.Wait()
		d.Submit(Keep, e.done(2), 0, put("b", "1"), weak(put("c", "1")))
		disk.full.Store(false)
		require.NoError(t, d.Close())
		assert.Equal(t, []int{1, 2}, e.ids())
		assert.NoError(t, e.errs()[2])
	})
}

// A commit whose last sync failed may be on disk: saying that it is not would be a lie, so that
// also what may be discarded is kept until it certainly is.
func TestUncertainCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{})
		e := &ears{}
		b := &batch{seq: 99}
		d.mu.Lock()
		b.add(put("a", "1"), flagDiscard, 100, b.tell(note{done: e.done(1), discard: true}), nil)
		d.pending.Add(100)
		d.writing = b
		d.mu.Unlock()
		d.settle(b, outcome{err: syscall.EIO, maybe: true, records: 1}, 0)
		synctest.Wait()
		assert.Empty(t, e.ids())
		// The committer slept when this happened: anything wakes it.
		d.Submit(Keep, e.done(2), 0, put("b", "1"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, []int{1, 2}, e.ids())
		assert.NoError(t, e.errs()[1])
		assert.Zero(t, d.State().Pending)
		require.NoError(t, d.Close())
	})
}

// A panic in bbolt means that what it holds is undefined: nothing is written any more, nothing
// acknowledged, and the process lives.
func TestPanicInTransaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{})
		d.Submit(Keep, nil, 0, put("before", "1"))
		require.NoError(t, d.Sync(t.Context()))
		d.inject(func() error { panic("page 7 is bad") })
		e := &ears{}
		d.Submit(Keep, e.done(1), 0, put("a", "1"))
		synctest.Wait()
		s := d.State()
		assert.True(t, s.Degraded)
		assert.Contains(t, s.Reason, "page 7 is bad")
		d.inject(nil)
		d.Submit(Discard, e.done(2), 0, put("b", "1"))
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []int{2}, e.ids())
		require.ErrorIs(t, d.Close(), ErrDamaged)
		require.NoError(t, d.file.Close())
	})
}

// The real thing: a file system with no space left, on which a sparse file is mapped.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("mounting a small tmpfs needs privileges: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	d := start(t, Options{Path: dir + "/data.db"})
	e := &ears{}
	big := string(make([]byte, 50_000))
	told, n := make(chan struct{}, 1000), 0
	d.OnNotified(func() { told <- struct{}{} })
	for ; n < 100; n++ {
		d.Submit(Discard, e.done(n), len(big), put(string(rune('A'+n)), big))
		<-told
		if e.errs()[n] != nil {
			break
		}
	}
	require.Less(t, n, 50)
	require.ErrorIs(t, e.errs()[n], syscall.ENOSPC)
	assert.True(t, d.State().Degraded)
	assert.Len(t, contents(t, d, Retained), n, "all that was acknowledged, and no more")
	d.Submit(Keep, e.done(1000), len(big), put("kept", big))
	failures := d.State().Failures
	require.Eventually(t, func() bool { return d.State().Failures >= failures+2 }, time.Minute, 10*time.Millisecond)
	assert.Empty(t, told, "acknowledged what is not written")
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=16m"))
	<-told
	assert.NoError(t, e.errs()[1000])
	sync1(t, d)
	want := contents(t, d, Retained)
	assert.Len(t, want, n+1)
	require.NoError(t, d.Close())
	require.NoError(t, Verify(d.o.Path))
	assert.Equal(t, want, contents(t, start(t, Options{Path: d.o.Path}), Retained))

	// And a data directory without any space from the beginning.
	full := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", full, "tmpfs", 0, "size=8k"))
	t.Cleanup(func() { _ = syscall.Unmount(full, syscall.MNT_DETACH) })
	_, err := Open(Options{Path: full + "/data.db"})
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, syscall.Mount("tmpfs", full, "tmpfs", syscall.MS_REMOUNT, "size=16m"))
	d = start(t, Options{Path: full + "/data.db"})
	assert.Empty(t, d.Moved(), "half a file is not taken for a damaged one")
}
