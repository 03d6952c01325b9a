package storage

import (
	"errors"
	"slices"
)

// Table is one bucket of the file for a package that must not know the file: its methods use no
// type of this package, so that an interface there can name them.
type Table struct {
	db     *DB
	bucket Bucket
}

// Table returns the bucket b.
func (d *DB) Table(b Bucket) Table { return Table{d, b} }

// Get is DB.Get; a record that is not there is no error.
func (t Table) Get(key []byte) (value []byte, found bool, err error) {
	value, err = t.db.Get(t.bucket, key)
	if errors.Is(err, ErrNotFound) {
		return nil, false, nil
	}
	return value, err == nil, err
}

// Range is DB.Range.
func (t Table) Range(prefix []byte, f func(k, v []byte) error) error {
	return t.db.Range(t.bucket, prefix, f)
}

// Write puts and deletes records in one transaction, which begins at once, and returns without
// waiting for it. puts are keys, each followed by its value. done hears once whether it is on disk,
// as Done.Committed does; when the store is closed, before Write returns. The slices are copied.
func (t Table) Write(done func(error), puts, deletes [][]byte) {
	ops := make([]Op, 0, len(puts)/2+len(deletes))
	size := 0
	add := func(r *raw) {
		ops = append(ops, Op{Record: r, Delete: r.gone})
		size += len(r.key) + len(r.value)
	}
	for kv := range slices.Chunk(puts, 2) {
		add(&raw{bucket: t.bucket, key: slices.Clone(kv[0]), value: slices.Clone(kv[1])})
	}
	for _, key := range deletes {
		add(&raw{bucket: t.bucket, key: slices.Clone(key), gone: true})
	}
	if !t.db.submit(Discard, committed(done), size, true, ops) {
		done(ErrClosed)
	}
}

// committed is a Done that is a function.
type committed func(error)

// Committed implements Done.
func (f committed) Committed(err error) { f(err) }
