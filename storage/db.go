// Package storage owns the one file that holds what tarsd must not forget.
package storage

import (
	"bytes"
	"context"
	"io"
	"sync"

	"go.etcd.io/bbolt"
)

type submission struct {
	done Done
	ops  []Op
}

// DB is the open file.
type DB struct {
	db       *bbolt.DB
	mu       sync.Mutex
	q        []submission
	wake     chan struct{}
	notified func()
	wg       sync.WaitGroup
}

// Open opens the file.
func Open(o Options) (*DB, error) {
	db, err := bbolt.Open(o.Path, 0o600, nil)
	if err != nil {
		return nil, err
	}
	d := &DB{db: db, wake: make(chan struct{}, 1)}
	d.wg.Go(d.loop)
	return d, nil
}

func (d *DB) loop() {
	for range d.wake {
		d.mu.Lock()
		q, f := d.q, d.notified
		d.q = nil
		d.mu.Unlock()
		err := d.db.Update(func(tx *bbolt.Tx) error {
			for _, s := range q {
				for _, op := range s.ops {
					b, err := tx.CreateBucketIfNotExists([]byte(op.Record.Bucket()))
					if err != nil {
						return err
					}
					if op.Delete {
						err = b.Delete(op.Record.AppendKey(nil))
					} else {
						err = b.Put(op.Record.AppendKey(nil), op.Record.AppendValue(nil))
					}
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		for _, s := range q {
			if s.done != nil {
				s.done.Committed(err)
			}
		}
		if f != nil {
			f()
		}
	}
}

// Submit hands over operations.
func (d *DB) Submit(mode Mode, done Done, size int, ops ...Op) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.q = append(d.q, submission{done, append([]Op(nil), ops...)})
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Wait waits for room.
func (d *DB) Wait(ctx context.Context) error { return ctx.Err() }

type doneFunc func(error)

func (f doneFunc) Committed(err error) { f(err) }

// Sync waits until everything submitted before is committed.
func (d *DB) Sync(ctx context.Context) error {
	ch := make(chan error, 1)
	d.Submit(Keep, doneFunc(func(err error) { ch <- err }), 0)
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// OnNotified sets what the notifier calls after each batch of Committed calls.
func (d *DB) OnNotified(f func()) {
	d.mu.Lock()
	d.notified = f
	d.mu.Unlock()
}

// State tells how the store is doing.
func (d *DB) State() State { return State{} }

// Range calls f for each record of b whose key begins with prefix.
func (d *DB) Range(b Bucket, prefix []byte, f func(k, v []byte) error) error {
	return d.db.View(func(tx *bbolt.Tx) error {
		bk := tx.Bucket([]byte(b))
		if bk == nil {
			return nil
		}
		c := bk.Cursor()
		for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
			if err := f(k, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// Get returns a record's value, or ErrNotFound.
func (d *DB) Get(b Bucket, key []byte) (v []byte, err error) {
	err = d.db.View(func(tx *bbolt.Tx) error {
		if bk := tx.Bucket([]byte(b)); bk != nil {
			v = bytes.Clone(bk.Get(key))
		}
		if v == nil {
			return ErrNotFound
		}
		return nil
	})
	return v, err
}

// Put writes a record and returns when it is committed.
func (d *DB) Put(ctx context.Context, b Bucket, key, value []byte) error {
	return d.db.Update(func(tx *bbolt.Tx) error {
		bk, err := tx.CreateBucketIfNotExists([]byte(b))
		if err != nil {
			return err
		}
		return bk.Put(key, value)
	})
}

// Delete removes a record and returns when that is committed.
func (d *DB) Delete(ctx context.Context, b Bucket, key []byte) error {
	return d.db.Update(func(tx *bbolt.Tx) error {
		if bk := tx.Bucket([]byte(b)); bk != nil {
			return bk.Delete(key)
		}
		return nil
	})
}

// Backup writes a consistent copy.
func (d *DB) Backup(w io.Writer) (n int64, err error) {
	err = d.db.View(func(tx *bbolt.Tx) error {
		n, err = tx.WriteTo(w)
		return err
	})
	return n, err
}

// Moved returns where a damaged file was moved to.
func (d *DB) Moved() string { return "" }

// Close closes the file.
func (d *DB) Close() error {
	close(d.wake)
	d.wg.Wait()
	return d.db.Close()
}

// Verify checks a file.
func Verify(path string) error { return nil }

// Restore puts a backup in place.
func Restore(dataPath, backupPath string) error { return nil }
