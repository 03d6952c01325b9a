package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// DB is the open file. It owns two goroutines, the committer and the notifier, which end in Close.
type DB struct {
	o     Options
	file  *bbolt.DB
	moved string

	pending atomic.Int64 // bytes that wait for a commit; changed under mu
	wg      sync.WaitGroup
	once    sync.Once
	err     error // of Close

	wake, hear chan struct{} // tokens for the committer and the notifier
	timer      *time.Timer   // of the committer, armed only while it waits for a time
	pen        pen           // of the committer

	mu       sync.Mutex // a leaf: nothing else is locked under it. It guards all below
	seq      uint64     // number of the current batch
	cur      *batch     // what is being gathered
	held     *batch     // what failed to be written, or nil
	writing  *batch     // what the committer is writing, or nil
	spare    *batch
	probe    *batch // stands for an attempt without a batch
	told     []note // for the notifier
	notified func()
	room     chan struct{} // closed when Wait may go on; nil if nobody waits

	idle, gathering, resting bool // what the committer sleeps for; deaf: the notifier does
	deaf                     bool
	timed                    bool // the committer wakes by itself when the batch is due
	closed, ended            bool // by Close; by the committer, which has told all it had

	degraded error // why the last commit failed, or nil
	since    time.Time
	retryAt  time.Time
	failed   int          // bytes of the commit that failed
	broken   bool         // the database must not be touched any more
	lastTry  bool         // the store closes, and this is the last attempt
	lost     int          // records that could not be written before the end
	fault    func() error // for tests: transactions meet its error
	stats    State
}

// Open opens the file, or makes it. Of a damaged one it uses the last intact state if it finds
// one, and begins a fresh file if not (see DB.Moved). The error
// wraps ErrLocked if another process has it open, ErrSchema if a newer version has written it,
// and else that of the system; in all these cases the file stays where it is.
func Open(o Options) (*DB, error) { return open(o, migrations) }

func open(o Options, steps []migration) (*DB, error) {
	o = o.defaults()
	o.Log = o.Log.With().Str("part", "storage").Logger()
	file, err := openFile(o)
	if err != nil {
		return nil, err
	}
	db, err := openBolt(file.f)
	if err != nil {
		if file.fresh {
			err = errors.Join(err, os.Remove(o.Path)) // half a new file would look damaged next time
		}
		return nil, fmt.Errorf("open data file: %w", err)
	}
	if file.fix != nil {
		err = db.Update(file.fix.save)
	}
	if err == nil {
		err = migrate(db, steps)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open data file %s: %w", o.Path, err), db.Close())
	}
	d := &DB{
		o: o, file: db, moved: file.moved,
		wake: make(chan struct{}, 1), hear: make(chan struct{}, 1),
		timer: time.NewTimer(time.Hour), seq: 1, cur: &batch{seq: 1}, probe: new(batch), since: time.Now(),
	}
	d.timer.Stop()
	d.trim()
	d.wg.Go(d.commit)
	d.wg.Go(d.notify)
	return d, nil
}

func (o Options) defaults() Options {
	if o.Window <= 0 {
		o.Window = time.Second
	}
	if o.MaxPending <= 0 {
		o.MaxPending = 16 << 20
	}
	if o.LockTimeout <= 0 {
		o.LockTimeout = time.Second
	}
	return o
}

const (
	// pageBytes is fixed, so that a file moves between machines with other page sizes.
	pageBytes = 4096
	// mapBytes is address space reserved for the file, 1 GiB (64 MiB on 32-bit machines): while
	// it fits, a growing file is not mapped anew, for which the committer would have to wait for
	// everybody who reads.
	mapBytes = 1 << (26 + 4*(^uint(0)>>63))
	// growBytes is how much a file grows at once, each time with a sync of its own.
	growBytes = 8 << 20
)

// openBolt lets bbolt work on a file that is locked and checked. It closes f if it fails.
func openBolt(f *os.File) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = errors.Join(fmt.Errorf("%s: %w: %v", f.Name(), ErrDamaged, r), f.Close())
		}
	}()
	db, err = bbolt.Open(f.Name(), 0o600, &bbolt.Options{
		// The list of free pages is found at the start, which reads the file anyway, instead
		// of being written with each commit; after a burst was consumed it is long.
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapBytes,
		PageSize:        pageBytes,
		NoStatistics:    true,
		Timeout:         time.Second, // it is our lock: no waiting
		OpenFile:        func(string, int, os.FileMode) (*os.File, error) { return f, nil },
	})
	if err == nil {
		db.AllocSize = growBytes
	}
	return db, err
}

// OnNotified sets a function that the notifier calls after each run of Committed calls.
func (d *DB) OnNotified(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notified = f
}

// State tells how the store is doing.
func (d *DB) State() State {
	size := int64(0)
	if info, err := os.Stat(d.o.Path); err == nil {
		size = info.Size()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Pending, s.Since, s.FileBytes = int(d.pending.Load()), d.since, size
	if d.degraded != nil {
		s.Degraded, s.Reason = true, reason(d.degraded)
	}
	return s
}

// Moved returns where Open has put a damaged file, or "" if there was none. The store has begun
// anew then, or, if the damage was a torn commit, it has the state before that, which the log says.
func (d *DB) Moved() string { return d.moved }

// Get returns the value of a record. The error wraps ErrNotFound if there is none, and
// ErrDamaged if it cannot be trusted.
func (d *DB) Get(b Bucket, key []byte) (value []byte, err error) {
	err = d.view(b, func(bucket *bbolt.Bucket) error {
		raw := bucket.Get(key)
		if raw == nil {
			return fmt.Errorf("%s %q: %w", b, key, ErrNotFound)
		}
		v, ok := unseal(key, raw)
		if !ok {
			return fmt.Errorf("%s %q: %w", b, key, ErrDamaged)
		}
		value = bytes.Clone(v)
		return nil
	})
	return value, err
}

// Range calls f for each record of a bucket whose key begins with prefix, in the order of keys,
// until f returns an error, which Range returns. k and v are valid during the call only. f must
// not wait for the store. The error wraps ErrDamaged if a record cannot be trusted.
func (d *DB) Range(b Bucket, prefix []byte, f func(k, v []byte) error) error {
	size := 0
	err := d.view(b, func(bucket *bbolt.Bucket) error {
		c := bucket.Cursor()
		for k, raw := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, raw = c.Next() {
			v, ok := unseal(k, raw)
			if !ok {
				return fmt.Errorf("%s %q: %w", b, k, ErrDamaged)
			}
			size += len(k) + len(raw)
			if err := f(k, v); err != nil {
				return err
			}
		}
		return nil
	})
	if size > growBytes/2 {
		d.trim()
	}
	return err
}

// view runs f on a consistent state. A file that was cut short or changed behind our back makes
// bbolt panic or fault: that is ErrDamaged, and any other panic is passed on.
func (d *DB) view(b Bucket, f func(bucket *bbolt.Bucket) error) (err error) {
	name := []byte(buckets[bucketIndex(b)].name)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if fault, ok := r.(interface{ Addr() uintptr }); ok {
				err = fmt.Errorf("read data file: %w: fault at %#x", ErrDamaged, fault.Addr())
				return
			}
			panic(r)
		}
	}()
	err = d.file.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(name)
		if bucket == nil {
			return fmt.Errorf("bucket %s: %w", b, bolterrors.ErrBucketNotFound)
		}
		return f(bucket)
	})
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// Backup writes a consistent copy to w and returns its bytes. Writing goes on meanwhile: unless
// w is a file, the copy is made beside the data file first, so that a slow reader holds up
// nothing; that needs as much space on the disk again.
func (d *DB) Backup(w io.Writer) (n int64, err error) {
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return d.copyTo(f)
		}
	}
	spool, err := os.CreateTemp(dirOf(d.o.Path), ".backup-*")
	if err != nil {
		return 0, fmt.Errorf("back up: %w", err)
	}
	defer spool.Close()
	if err := os.Remove(spool.Name()); err != nil {
		return 0, fmt.Errorf("back up: %w", err)
	}
	if _, err := d.copyTo(spool); err != nil {
		return 0, err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return 0, fmt.Errorf("back up: %w", err)
	}
	if n, err = io.Copy(w, spool); err != nil {
		return n, fmt.Errorf("back up: %w", err)
	}
	return n, nil
}

func (d *DB) copyTo(w io.Writer) (n int64, err error) {
	err = d.file.View(func(tx *bbolt.Tx) error {
		n, err = tx.WriteTo(w)
		return err
	})
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return n, ErrClosed
	}
	if err != nil {
		return n, fmt.Errorf("back up: %w", err)
	}
	return n, nil
}

// Close writes what is pending, calls the Dones of it, and closes the file. If the disk takes
// nothing, it tries once more and tells how many records are lost.
func (d *DB) Close() error {
	d.once.Do(func() {
		d.mu.Lock()
		d.closed = true
		if d.idle || d.gathering || d.resting {
			d.idle, d.gathering, d.resting = false, false, false
			d.wake <- struct{}{}
		}
		if d.room != nil {
			close(d.room)
			d.room = nil
		}
		d.mu.Unlock()
		d.wg.Wait()
		if d.lost > 0 {
			d.err = fmt.Errorf("close data file: %d records not written: %w", d.lost, d.degraded)
		}
		if d.broken {
			return // its locks may be held for good; the end of the process closes it
		}
		if err := d.file.Close(); err != nil {
			d.err = errors.Join(d.err, fmt.Errorf("close data file: %w", err))
		}
	})
	return d.err
}
