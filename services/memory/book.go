package memory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/memory/index"
)

// Store is what the service needs of the data file; storage.Table has it. Write does not wait and
// writes in the order of its calls; done hears once, and must be quick.
type Store interface {
	Get(key []byte) (value []byte, found bool, err error)
	Range(prefix []byte, f func(k, v []byte) error) error
	Write(done func(error), puts, deletes [][]byte) // puts: keys, each followed by its value
}

// errNotFound is a record that is not there, or no longer.
var errNotFound = errors.New("no such memory")

// recentCount is how many of the newest records at least the book remembers whole, to tell a question from
// what is found for it and a message from its repeat.
const recentCount = 128

// book holds all records. mu guards what is below it, and the order of writes to the store; it is
// held across no wait. waiting is guarded by waits, a leaf, which the store's goroutine takes.
type book struct {
	store    Store
	embedder string // id of the vectors that are used; "" for none
	limit    int    // of records
	refuse   bool   // what happens at the limit: no more are taken, or the oldest goes
	log      zerolog.Logger

	mu     sync.RWMutex
	index  *index.Index
	facts  map[uint64]struct{}
	asked  map[uint64]struct{} // questions of users
	recent []record

	waits   sync.Mutex
	waiting map[uint64]record // not on disk yet
	lost    []uint64          // whose write has failed; some may have been forgotten since
	failed  error             // of the last write, nil if it was good
}

// openBook reads what is in the store. A record that cannot be read is reported and left alone.
func openBook(store Store, embedder string, limit int, refuse bool, log zerolog.Logger) (*book, error) {
	b := &book{
		store: store, embedder: embedder, limit: limit, refuse: refuse, log: log,
		index: index.New(), facts: map[uint64]struct{}{}, asked: map[uint64]struct{}{}, waiting: map[uint64]record{},
	}
	damaged := 0
	err := store.Range([]byte{keyRecord}, func(k, v []byte) error {
		id, ok := keyID(k)
		if r, err := decodeRecord(id, v); ok && err == nil {
			b.enter(r)
		} else {
			damaged++
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read memories: %w", err)
	}
	if damaged > 0 {
		log.Error().Int("records", damaged).Msg("memories that cannot be read are left out")
	}
	err = store.Range([]byte{keyVector}, func(k, v []byte) error {
		id, ok := keyID(k)
		if name, vector, good := decodeVector(v); ok && good && name == embedder && embedder != "" {
			b.index.SetVector(id, vector)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read vectors: %w", err)
	}
	return b, nil
}

// enter takes a record into what is in memory. mu is held.
func (b *book) enter(r record) {
	b.index.Add(r.id, r.indexed())
	switch {
	case r.role == roleFact:
		b.facts[r.id] = struct{}{}
	case r.role == roleUser && asks(r.text):
		b.asked[r.id] = struct{}{}
	}
	at := len(b.recent)
	for at > 0 && b.recent[at-1].id > r.id {
		at--
	}
	if at == 0 && len(b.recent) >= recentCount {
		return
	}
	b.recent = slices.Insert(b.recent, at, r)
	if len(b.recent) > 2*recentCount { // seldom, because all of them move
		b.recent = slices.Delete(b.recent, 0, recentCount)
	}
}

// leave takes a record out of what is in memory. mu is held.
func (b *book) leave(r record) {
	b.index.Remove(r.id, r.indexed())
	delete(b.facts, r.id)
	delete(b.asked, r.id)
	b.recent = slices.DeleteFunc(b.recent, func(o record) bool { return o.id == r.id })
}

// errFull is a book that takes no more.
var errFull = errors.New("memory is full")

// maxSame is how many records of one time are looked at for whether a new one is there already.
const maxSame = 100

// add keeps a record and returns its id. It can be found at once; done hears when it is on disk, or
// is not. unless, if not nil, tells of records of the same time whether they are the same: then
// nothing is added, and done hears nothing.
func (b *book) add(r record, unless func(record) bool, done func(error)) (id uint64, added bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.id = max(1, uint64(r.ts*1000))
	for id := r.id; unless != nil && id < r.id+maxSame && b.index.Has(id); id++ {
		if o, err := b.get(id); err == nil && unless(o) {
			return id, false, nil
		}
	}
	r.id = b.index.Free(r.id)
	var drop [][]byte
	for b.limit > 0 && b.index.Len() >= b.limit {
		if b.refuse {
			return 0, false, fmt.Errorf("%w: %d records", errFull, b.limit)
		}
		old, ok := b.oldest()
		if !ok {
			return 0, false, errFull
		}
		b.leave(old)
		b.waits.Lock()
		delete(b.waiting, old.id)
		b.waits.Unlock()
		drop = append(drop, key(keyRecord, old.id), key(keyVector, old.id))
	}
	b.enter(r)
	b.waits.Lock()
	b.waiting[r.id] = r
	b.waits.Unlock()
	b.store.Write(func(err error) { b.written(r.id, err); done(err) }, [][]byte{key(keyRecord, r.id), r.encode()}, drop)
	return r.id, true, nil
}

// written hears of the end of a write.
func (b *book) written(id uint64, err error) {
	b.waits.Lock()
	defer b.waits.Unlock()
	b.failed = err
	if err == nil {
		delete(b.waiting, id)
		return
	}
	b.lost = append(b.lost, id)
}

// again writes what could not be written.
func (b *book) again() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waits.Lock()
	var retry []record
	for _, id := range b.lost {
		if r, ok := b.waiting[id]; ok {
			retry = append(retry, r)
		}
	}
	b.lost = nil
	b.waits.Unlock()
	for _, r := range retry {
		b.store.Write(func(err error) { b.written(r.id, err) }, [][]byte{key(keyRecord, r.id), r.encode()}, nil)
	}
}

// oldest is the record that goes first when there is no room: the oldest that is no fact, or else
// the oldest. mu is held.
func (b *book) oldest() (old record, ok bool) {
	any := len(b.facts) >= b.index.Len()
	b.index.First(func(id uint64) bool {
		if _, fact := b.facts[id]; fact && !any {
			return true
		}
		r, err := b.get(id)
		if err != nil { // damaged since: it has no words to take out of the index, but its place
			r = record{id: id}
		}
		old, ok = r, true
		return false
	})
	return old, ok
}

// get reads a record.
func (b *book) get(id uint64) (record, error) {
	b.waits.Lock()
	r, ok := b.waiting[id]
	b.waits.Unlock()
	if ok {
		return r, nil
	}
	v, found, err := b.store.Get(key(keyRecord, id))
	if err != nil {
		return record{}, err
	}
	if !found {
		return record{}, fmt.Errorf("%w: %d", errNotFound, id)
	}
	return decodeRecord(id, v)
}

// getAll reads records, and leaves out those that are not there any more.
func (b *book) getAll(ids []uint64) []record {
	out := make([]record, 0, len(ids))
	for _, id := range ids {
		if r, err := b.get(id); err == nil {
			out = append(out, r)
		}
	}
	return out
}

// problem is why records are not written, or nil.
func (b *book) problem() error {
	b.waits.Lock()
	defer b.waits.Unlock()
	return b.failed
}

// forgetBatch is how many records one transaction removes.
const forgetBatch = 2000

// forget removes the records with these ids and returns how many there were; done hears once, when
// none of them is on disk any more, or why some are.
func (b *book) forget(ids []uint64, done func(error)) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	parts := slices.Collect(slices.Chunk(ids, forgetBatch))
	if len(parts) == 0 {
		parts = append(parts, nil)
	}
	var all error
	for i, part := range parts {
		var drop [][]byte
		for _, id := range part {
			if !b.index.Has(id) {
				continue
			}
			r, err := b.get(id)
			if err != nil {
				r = record{id: id}
			}
			b.leave(r)
			drop = append(drop, key(keyRecord, id), key(keyVector, id))
			n++
		}
		b.waits.Lock()
		for _, id := range part {
			delete(b.waiting, id)
		}
		b.waits.Unlock()
		last := i == len(parts)-1
		b.store.Write(func(err error) { // in the order of the calls, on one goroutine
			all = errors.Join(all, err)
			if last {
				done(all)
			}
		}, nil, drop)
	}
	return n
}

// all returns the ids of all records for which is holds, the oldest first; nil takes all.
func (b *book) all(is func(record) bool) []uint64 {
	var ids []uint64
	b.mu.RLock()
	b.index.First(func(id uint64) bool { ids = append(ids, id); return true })
	b.mu.RUnlock()
	if is == nil {
		return ids
	}
	return slices.DeleteFunc(ids, func(id uint64) bool {
		r, err := b.get(id)
		return err != nil || !is(r)
	})
}

// turn returns the ids of the records of a turn among the recent ones.
func (b *book) turn(turn string) (ids []uint64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, r := range b.recent {
		if r.turn == turn && turn != "" {
			ids = append(ids, r.id)
		}
	}
	return ids
}

// last returns the ids of what was said last, not counting the turn that is going on: all of the
// newest turn, or the newest record if that has none.
func (b *book) last(current string) (ids []uint64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var newest record
	for _, r := range slices.Backward(b.recent) {
		if (current == "" || r.turn != current) && (newest.id == 0 || (newest.turn != "" && r.turn == newest.turn)) {
			if newest.id == 0 {
				newest = r
			}
			ids = append(ids, r.id)
		}
	}
	return ids
}

// repeated reports whether a message has brought a record lately.
func (b *book) repeated(message, role string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return message != "" && slices.ContainsFunc(b.recent, func(r record) bool { return r.message == message && r.role == role })
}

// errVector is a vector of another length than all others.
var errVector = errors.New("the embedder gave a vector of another length than before")

// setVectors keeps the vectors of records that are still there.
func (b *book) setVectors(ids []uint64, vectors [][]float32) (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var puts [][]byte
	for i, id := range ids {
		v := index.Quantise(vectors[i])
		if v == nil { // a text without a direction: any, so that it is not tried again
			v = index.Quantise(append([]float32{1}, make([]float32, len(vectors[i])-1)...))
		}
		if b.index.SetVector(id, v) {
			puts = append(puts, key(keyVector, id), encodeVector(b.embedder, v))
		} else if b.index.Has(id) {
			err = errVector
		}
	}
	if len(puts) > 0 {
		b.store.Write(func(err error) {
			if err != nil {
				b.log.Warn().Err(err).Msg("vectors not written; they are made anew after a restart")
			}
		}, puts, nil)
	}
	return err
}

// missing returns records that have no vector, the newest first.
func (b *book) missing(n int) []record {
	b.mu.RLock()
	ids := b.index.Missing(n)
	b.mu.RUnlock()
	return b.getAll(ids)
}

// counts tells how many records there are, and how many have a vector.
func (b *book) counts() (records, vectors int) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.index.Len(), b.index.Vectors()
}

// plainText is a text as two are compared.
func plainText(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return r <= ' ' || strings.ContainsRune(".,!?;:\"'’…-", r)
	}), " ")
}
