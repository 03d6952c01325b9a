package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

func quiet(path string) Options {
	return Options{Path: path, Log: zerolog.Nop(), LockTimeout: 50 * time.Millisecond}
}

func TestLock(t *testing.T) {
	t.Parallel()
	d := start(t, Options{})
	_, err := Open(quiet(d.o.Path))
	require.ErrorIs(t, err, ErrLocked)
	assert.NotErrorIs(t, err, ErrDamaged)
	assert.ErrorContains(t, err, d.o.Path)
	if runtime.GOOS == "linux" {
		if _, statErr := os.Stat("/proc/locks"); statErr == nil {
			assert.ErrorContains(t, err, fmt.Sprintf("process %d", os.Getpid()))
		}
	}
	require.ErrorIs(t, Verify(d.o.Path), ErrLocked)
	assert.NotContains(t, err.Error(), "\n", "one line")
	files, err := os.ReadDir(filepath.Dir(d.o.Path))
	require.NoError(t, err)
	assert.Len(t, files, 1, "nothing is moved")

	// Whoever waits gets it.
	var wg sync.WaitGroup
	wg.Go(func() {
		again, err := Open(Options{Path: d.o.Path, Log: zerolog.Nop(), LockTimeout: time.Minute})
		if assert.NoError(t, err) {
			assert.NoError(t, again.Close())
		}
	})
	require.NoError(t, d.Close())
	wg.Wait()
}

// Two that start at once with a damaged file: one moves it aside, and both agree on the new one.
func TestLockOfMovedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data.db")
	require.NoError(t, os.WriteFile(path, []byte("garbage"), 0o600))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			d, err := Open(Options{Path: path, Log: zerolog.Nop(), LockTimeout: time.Minute})
			if assert.NoError(t, err) {
				assert.NoError(t, d.Put(t.Context(), Users, fmt.Append(nil, i), nil))
				assert.NoError(t, d.Close())
			}
		})
	}
	wg.Wait()
	assert.Len(t, contents(t, start(t, Options{Path: path}), Users), 4)
	moved, err := filepath.Glob(path + ".damaged-*")
	require.NoError(t, err)
	assert.Len(t, moved, 1)
}

func TestParseLock(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][2]uint64{
		"1: FLOCK  ADVISORY  WRITE 1234 fe:00:12345 0 EOF":    {1234, 12345},
		"2: POSIX  ADVISORY  WRITE 1234 fe:00:12345 0 EOF":    {0, 0},
		"1: -> FLOCK  ADVISORY  WRITE 1234 fe:00:12345 0 EOF": {0, 0}, // waits for it
		"1: FLOCK  ADVISORY  WRITE 1234":                      {0, 0},
		"":                                                    {0, 0},
	} {
		pid, inode := parseLock(line)
		assert.Equal(t, want, [2]uint64{uint64(pid), inode}, line)
	}
}

// What is no damage is an error that names the file, and leaves everything where it is.
func TestOpenErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, _, _ := sample(t, 10)
	_, err := Open(quiet(filepath.Join(dir, "none", "data.db")))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Open(quiet(dir))
	require.ErrorIs(t, err, syscall.EISDIR)

	readOnly := filepath.Join(dir, "readonly.db")
	require.NoError(t, os.WriteFile(readOnly, file, 0o400))
	if os.Getuid() != 0 { // root may write all the same
		_, err = Open(quiet(readOnly))
		require.ErrorIs(t, err, os.ErrPermission)
	}
	moved, err := filepath.Glob(dir + "/*.damaged-*")
	require.NoError(t, err)
	assert.Empty(t, moved)

	mount := t.TempDir()
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a read-only file system needs privileges: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(mount, syscall.MNT_DETACH) })
	path := filepath.Join(mount, "data.db")
	require.NoError(t, os.WriteFile(path, []byte("damaged, even"), 0o600))
	require.NoError(t, syscall.Mount("tmpfs", mount, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	_, err = Open(quiet(path))
	require.ErrorIs(t, err, syscall.EROFS)
	assert.Equal(t, "open data file: open "+path+": read-only file system", err.Error())
}

// broken fails reads like a dying disk.
type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }

func TestReadErrorIsNoDamage(t *testing.T) {
	t.Parallel()
	_, err := findMetas(broken{}, 1<<20)
	require.ErrorIs(t, err, syscall.EIO)
	assert.NotErrorIs(t, err, ErrDamaged)
	_, err = checkTree(broken{}, 1<<20, meta{size: pageBytes, root: 3, high: 10, freelist: noFreelist})
	require.ErrorIs(t, err, syscall.EIO)
	assert.NotErrorIs(t, err, ErrDamaged)
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data.db")
	one := migrations[:1:1]
	var ran []int
	two := append(one, func(tx *bbolt.Tx, l *ledger) error {
		ran = append(ran, 2)
		b := tx.Bucket([]byte(Users))
		return l.put(b, b.Cursor(), salt(Users), []byte("added"), seal([]byte("added"), []byte("by 2"), 0))
	})
	boom := errors.New("boom")
	bad := append(two[:2:2], func(tx *bbolt.Tx, l *ledger) error {
		ran = append(ran, 3)
		if err := tx.DeleteBucket([]byte(Users)); err != nil {
			return err
		}
		return boom
	})
	d, err := open(quiet(path), one)
	require.NoError(t, err)
	require.NoError(t, d.Put(t.Context(), Users, []byte("a"), []byte("1")))
	require.NoError(t, d.Close())

	_, err = open(quiet(path), bad)
	require.ErrorIs(t, err, boom)
	assert.Equal(t, []int{2, 3}, ran)
	d, err = open(quiet(path), two)
	require.NoError(t, err)
	assert.Equal(t, []int{2, 3}, ran, "each once, and the failed one has changed nothing")
	assert.Equal(t, map[string]string{"a": "1", "added": "by 2"}, contents(t, d, Users))
	require.NoError(t, d.Close())

	before, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = open(quiet(path), one)
	require.ErrorIs(t, err, ErrSchema)
	assert.ErrorContains(t, err, "it has 2, newest known is 1")
	require.ErrorIs(t, Verify(path), ErrSchema)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(before, after), "a newer file stays as it is")
}

// A backup during load is a state in between, and verifies.
func TestBackupWhileRunning(t *testing.T) {
	t.Parallel()
	d := start(t, Options{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			// Two keys that are always the same, in one transaction.
			d.Submit(Keep, nil, 0, put("x", fmt.Sprint(i)), put("y", fmt.Sprint(i)), put(fmt.Sprint("f", i%1000), strings.Repeat("z", i%500)))
			if i%50 == 0 {
				_ = d.Sync(t.Context())
			}
		}
	})
	for i := range 10 {
		path := filepath.Join(t.TempDir(), "backup.db")
		f, err := os.Create(path)
		require.NoError(t, err)
		var n int64
		if i%2 == 0 {
			n, err = d.Backup(f)
		} else {
			var b bytes.Buffer
			n, err = d.Backup(&b)
			require.NoError(t, err)
			_, err = b.WriteTo(f)
		}
		require.NoError(t, err)
		require.NoError(t, f.Close())
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, info.Size(), n)
		require.NoError(t, Verify(path))
		b := start(t, Options{Path: path})
		got := contents(t, b, Retained)
		require.Equal(t, got["x"], got["y"])
		require.NoError(t, b.Close())
	}
	close(stop)
	wg.Wait()
	left, err := filepath.Glob(filepath.Join(filepath.Dir(d.o.Path), ".backup-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// stuck is a reader of a backup who takes it slowly.
type stuck struct {
	reached chan struct{}
	open    chan struct{}
	once    sync.Once
}

func (s *stuck) Write(b []byte) (int, error) {
	s.once.Do(func() { close(s.reached) })
	<-s.open
	return len(b), nil
}

func TestSlowBackupHoldsUpNothing(t *testing.T) {
	t.Parallel()
	d := start(t, Options{})
	s := &stuck{reached: make(chan struct{}), open: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := d.Backup(s)
		assert.NoError(t, err)
	})
	<-s.reached
	big := strings.Repeat("x", 1<<20)
	for i := range 40 {
		require.NoError(t, d.Put(t.Context(), Memory, fmt.Append(nil, i), []byte(big)))
	}
	require.NoError(t, d.Delete(t.Context(), Memory, []byte("1")))
	close(s.open)
	wg.Wait()
}

func TestVerify(t *testing.T) {
	t.Parallel()
	file, _, _ := sample(t, 300)
	path := filepath.Join(t.TempDir(), "data.db")
	write := func(b []byte) { require.NoError(t, os.WriteFile(path, b, 0o600)) }
	write(file)
	require.NoError(t, Verify(path))
	require.ErrorIs(t, Verify(path+"x"), os.ErrNotExist)
	write(nil)
	require.ErrorIs(t, Verify(path), ErrDamaged)
	write([]byte("hello"))
	require.ErrorIs(t, Verify(path), ErrDamaged)
	at := bytes.Index(file, []byte("topic/100"))
	require.Positive(t, at)
	bad := bytes.Clone(file)
	bad[at+12] ^= 1
	write(bad)
	require.ErrorIs(t, Verify(path), ErrDamaged)

	db, err := bbolt.Open(path+".other", 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.ErrorIs(t, Verify(path+".other"), ErrSchema, "a database of something else")
}

func TestRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "data.db"), filepath.Join(dir, "backup.db")
	d := start(t, Options{Path: path})
	require.NoError(t, d.Put(t.Context(), Users, []byte("a"), []byte("old")))
	f, err := os.Create(backup)
	require.NoError(t, err)
	_, err = d.Backup(f)
	require.NoError(t, errors.Join(err, f.Close()))
	require.NoError(t, d.Put(t.Context(), Users, []byte("a"), []byte("new")))

	require.ErrorIs(t, Restore(path, backup), ErrLocked)
	require.NoError(t, d.Close())
	garbage := filepath.Join(dir, "garbage")
	require.NoError(t, os.WriteFile(garbage, []byte("garbage"), 0o600))
	was := fileSum(t, path)
	require.ErrorIs(t, Restore(path, garbage), ErrDamaged)
	require.ErrorIs(t, Restore(path, filepath.Join(dir, "nothing")), os.ErrNotExist)
	require.ErrorContains(t, Restore(path, path), "is the data file itself")
	assert.Equal(t, was, fileSum(t, path))
	kept := func() []string {
		got, err := filepath.Glob(path + ".before-restore-*")
		require.NoError(t, err)
		return got
	}
	assert.Empty(t, kept())

	require.NoError(t, Restore(path, backup))
	require.Len(t, kept(), 1)
	assert.Equal(t, was, fileSum(t, kept()[0]))
	d = start(t, Options{Path: path})
	assert.Equal(t, map[string]string{"a": "old"}, contents(t, d, Users))
	require.NoError(t, d.Close())
	require.NoError(t, Restore(path, kept()[0]), "and back")
	require.Len(t, kept(), 2)
	d = start(t, Options{Path: path})
	assert.Equal(t, map[string]string{"a": "new"}, contents(t, d, Users))
	require.NoError(t, d.Close())

	fresh := filepath.Join(t.TempDir(), "data.db")
	require.NoError(t, Restore(fresh, backup))
	require.NoError(t, Verify(fresh))
	require.NoError(t, os.WriteFile(path, []byte("damaged"), 0o600))
	require.NoError(t, Restore(path, backup), "in the place of a damaged file")
	require.NoError(t, Verify(path))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range files {
		assert.False(t, strings.HasPrefix(f.Name(), ".restore"), f.Name())
	}
}

// BenchmarkOpen starts with 100,000 records of 200 bytes, and loads them.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "data.db")
	d := start(b, Options{Path: path})
	value := strings.Repeat("v", 200)
	for i := range 100_000 {
		d.Submit(Keep, nil, 0, put(fmt.Sprintf("home/floor%d/room%d/sensor/%d", i%10, i%100, i), value))
		if i%1000 == 0 {
			sync1(b, d)
		}
	}
	require.NoError(b, d.Close())
	rss := 0
	for b.Loop() {
		d, err := Open(Options{Path: path, Log: zerolog.Nop()})
		require.NoError(b, err)
		n := 0
		require.NoError(b, d.Range(Retained, nil, func(k, v []byte) error { n++; return nil }))
		require.Equal(b, 100_000, n)
		rss = mapped(b)
		require.NoError(b, d.Close())
	}
	info, err := os.Stat(path)
	require.NoError(b, err)
	b.ReportMetric(float64(info.Size())/(1<<20), "file-MiB")
	b.ReportMetric(float64(rss)/1024, "file-RSS-MiB")
}

// mapped returns how much of mapped files is in memory, KiB.
func mapped(t testing.TB) int {
	b, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		var n int
		if _, err := fmt.Sscanf(line, "RssFile: %d", &n); err == nil {
			return n
		}
	}
	return 0
}
