package storage

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// retryDelay is how long the committer waits after a commit that failed.
const retryDelay = time.Second

// commit is the committer goroutine. It ends after Close, when all is written or cannot be.
func (d *DB) commit() {
	debug.SetPanicOnFault(true) // a file that somebody cuts short: see update
	for {
		b := d.next()
		if b == nil {
			return
		}
		began := time.Now()
		var o outcome
		if b == d.probe {
			o = d.tryDisk()
		} else {
			o = d.write(b)
		}
		d.settle(b, o, time.Since(began))
	}
}

// next waits for a batch that has to be written. It returns nil when all is done.
func (d *DB) next() *batch {
	d.mu.Lock()
	defer d.mu.Unlock()
	gathered := false
	for {
		b := d.cur
		switch {
		case d.degraded != nil:
			if d.rest() {
				return d.again()
			}
		case d.due(b):
			if d.o.Gather > 0 && !gathered && !b.urgent && !d.closed {
				gathered = true
				d.gathering = true
				d.sleep(d.o.Gather)
				d.gathering = false
				continue
			}
			return d.take()
		default:
			d.pass(b)
			if d.closed {
				d.end()
				return nil
			}
			d.idle = true
			if b.live > 0 {
				d.timed = true
				d.sleep(max(0, time.Until(b.since.Add(d.delay()))))
			} else {
				d.sleep(-1)
			}
			d.idle, d.timed = false, false
		}
	}
}

// sleep waits for a wake-up, at the longest for t unless that is negative. d.mu is held, but not
// while it waits; whoever clears one of the flags idle, gathering or resting sends one token.
func (d *DB) sleep(t time.Duration) {
	d.mu.Unlock()
	if t < 0 {
		<-d.wake
		d.mu.Lock()
		return
	}
	d.timer.Reset(t)
	select {
	case <-d.wake:
		d.timer.Stop()
		d.mu.Lock()
	case <-d.timer.C:
		d.mu.Lock()
		if !d.idle && !d.gathering && !d.resting {
			<-d.wake // both came at once
		}
	}
}

// rest waits until it is time for another try while the disk takes no writes. It reports
// false when it was woken early. d.mu is held.
func (d *DB) rest() bool {
	wait := time.Until(d.retryAt)
	if wait <= 0 || d.closed {
		return true
	}
	d.resting = true
	d.sleep(wait)
	d.resting = false
	return false
}

// again returns what to try while the disk takes no writes, or nil when the store closes and the
// last try was in vain. d.mu is held.
func (d *DB) again() *batch {
	if d.closed {
		if d.lastTry || d.broken || (d.held == nil && d.cur.live == 0) {
			d.end()
			return nil
		}
		d.lastTry = true
	}
	switch {
	case d.held != nil:
		d.writing = d.held
	case d.cur.live > 0:
		return d.take()
	default:
		d.writing = d.probe
	}
	return d.writing
}

// take makes the current batch the one that is written. d.mu is held.
func (d *DB) take() *batch {
	d.writing = d.cur
	d.seq++
	d.cur, d.spare = d.spare, nil
	if d.cur == nil {
		d.cur = new(batch)
	}
	d.cur.reset(d.seq)
	return d.writing
}

// end gives up what could not be written and lets the notifier end. d.mu is held.
func (d *DB) end() {
	for _, b := range []*batch{d.held, d.cur} {
		if b == nil {
			continue
		}
		d.lost += b.live
		for i := range b.notes {
			if b.notes[i].err == nil && d.degraded != nil {
				b.notes[i].err = d.degraded
			}
		}
		d.tell(b.notes...)
	}
	d.ended = true
	if d.deaf {
		d.deaf = false
		d.hear <- struct{}{}
	}
}

// outcome is how an attempt to write went.
type outcome struct {
	records int   // puts and deletions
	bytes   int   // of keys and values
	err     error // nil: it is on disk
	maybe   bool  // with an error: the transaction may reach the disk all the same
	broken  bool  // with an error: the database must not be touched any more
}

// settle books an attempt and tells whom it concerns.
func (d *DB) settle(b *batch, o outcome, took time.Duration) {
	d.mu.Lock()
	was, since := d.degraded != nil, d.since
	d.writing = nil
	if o.err != nil {
		d.fail(b, o)
	} else {
		d.succeed(b, o, took)
	}
	trim := d.stats.Commits%trimEvery == trimEvery-1
	d.mu.Unlock()
	switch { // not under the lock: who knows where log lines go
	case o.err != nil && !was:
		d.o.Log.Error().Err(o.err).Msg("data file takes no writes")
	case o.err == nil && was:
		d.o.Log.Info().Dur("took", time.Since(since)).Msg("data file takes writes again")
	}
	if trim {
		d.trim()
	}
}

// trimEvery is after how many commits the pages that they have touched are given back.
const trimEvery = 4096

// succeed books a batch that is on disk. d.mu is held.
func (d *DB) succeed(b *batch, o outcome, took time.Duration) {
	if o.records > 0 {
		d.stats.Commits++
		d.stats.Records += uint64(o.records)
		d.stats.LastCommit = took
	}
	if d.degraded != nil {
		d.degraded, d.since = nil, time.Now()
	}
	if b == d.probe {
		return
	}
	d.held = nil
	d.release(b.bytes)
	d.tell(b.notes...)
	b.reset(0)
	d.spare = b
}

// fail keeps of a batch what must not be forgotten. d.mu is held.
func (d *DB) fail(b *batch, o outcome) {
	d.stats.Failures++
	if d.degraded == nil {
		d.since = time.Now()
	}
	d.degraded = &degradedError{o.err}
	d.retryAt = time.Now().Add(retryDelay)
	d.broken = d.broken || o.broken
	if b == d.probe {
		return
	}
	d.failed = o.bytes
	if o.maybe {
		b.keep() // saying that it is lost could be wrong; writing it once more cannot
	}
	d.held = b
	if d.shed(b) {
		d.held = nil
		b.reset(0)
		d.spare = b
	}
	if d.held == nil {
		d.shed(d.cur)
	} else {
		d.refuse(d.cur)
	}
}

// shed drops what is of mode Discard from a batch with nothing in front of it, and tells so. It
// reports whether nothing is left. d.mu is held.
func (d *DB) shed(b *batch) bool {
	if d.refuse(b); b.live > 0 {
		return false
	}
	d.pass(b)
	return true
}

// refuse drops what is of mode Discard from a batch and tells so. d.mu is held.
func (d *DB) refuse(b *batch) {
	before := b.bytes
	b.discard(d.degraded)
	d.tell(b.dropped()...)
	d.release(before - b.bytes)
}

// item is a record on its way into a transaction: where its key and value are in the pen's
// buffers, and which entry of the batch it comes from.
type item struct {
	key, keyEnd, val, valEnd int
	entry                    int
}

// pen holds what the committer needs to encode a batch, from one to the next.
type pen struct {
	groups     [][]item // a group for each of buckets
	keys, vals []byte
}

// write writes a batch in one transaction.
func (d *DB) write(b *batch) (o outcome) {
	o.records = d.encode(b)
	o.bytes = len(d.pen.keys) + len(d.pen.vals)
	if o.records > 0 {
		d.update(&o, func(tx *bbolt.Tx, l *ledger) error { return d.fill(tx, l, b) })
	}
	return o
}

// update runs a transaction. A panic in it is damage that the check at the start did not see,
// or a file that somebody changed: what bbolt holds is undefined then, and nothing is written
// until the next start.
func (d *DB) update(o *outcome, f func(tx *bbolt.Tx, l *ledger) error) {
	var id int
	defer func() {
		if r := recover(); r != nil {
			d.o.Log.Error().Bytes("stack", debug.Stack()).Interface("panic", r).Msg("data file is damaged")
			o.err = fmt.Errorf("write data file: %w: %v; restart to have it moved aside", ErrDamaged, r)
			o.maybe, o.broken = true, true
		}
	}()
	if d.broken {
		o.err, o.maybe, o.broken = fmt.Errorf("write data file: %w; restart to have it moved aside", ErrDamaged), true, true
		return
	}
	d.mu.Lock()
	fault := d.fault
	d.mu.Unlock()
	err := d.file.Update(func(tx *bbolt.Tx) error {
		id = tx.ID()
		if fault != nil {
			if err := fault(); err != nil {
				return err
			}
		}
		var l ledger
		if err := l.load(tx); err != nil {
			return err
		}
		if err := f(tx, &l); err != nil {
			return err
		}
		return l.save(tx)
	})
	if err == nil {
		return
	}
	o.err = fmt.Errorf("write data file: %w", err)
	// When only the sync of the meta page failed, readers see the new state already, and it may
	// be there after a crash, or not.
	o.maybe = d.file.View(func(tx *bbolt.Tx) error {
		if tx.ID() >= id {
			return errVisible
		}
		return nil
	}) != nil
}

var errVisible = errors.New("transaction is visible")

// encode prepares what the batch changes, sorted, the last of several changes of a key only. It
// returns how many records that is.
func (d *DB) encode(b *batch) (records int) {
	p := &d.pen
	if p.groups == nil {
		p.groups = make([][]item, len(buckets))
	}
	const most = 4 << 20 // bytes worth keeping
	if cap(p.vals) > most || cap(p.keys) > most {
		p.keys, p.vals = nil, nil
	}
	p.keys, p.vals = p.keys[:0], p.vals[:0]
	for i := range p.groups {
		p.groups[i] = p.groups[i][:0]
	}
	for i := range b.entries {
		e := &b.entries[i]
		if e.rec == nil {
			continue
		}
		from := len(p.keys)
		p.keys = e.rec.AppendKey(p.keys)
		if n := len(p.keys) - from; n == 0 || n > bbolt.MaxKeySize {
			d.o.Log.Error().Str("bucket", string(e.rec.Bucket())).Int("bytes", n).Msg("record refused: bad key")
			if e.note >= 0 {
				b.notes[e.note].err = ErrKey
			}
			p.keys = p.keys[:from]
			continue
		}
		p.groups[e.bucket] = append(p.groups[e.bucket], item{key: from, keyEnd: len(p.keys), entry: i})
	}
	for i := range p.groups {
		p.groups[i] = p.order(p.groups[i])
		p.values(b, p.groups[i])
		records += len(p.groups[i])
	}
	return records
}

// order sorts a group by key and leaves the last of equal keys. bbolt is faster with sorted
// keys: new ones land at the end of a node instead of in its middle.
func (p *pen) order(g []item) []item {
	cmp := func(x, y item) int {
		if c := bytes.Compare(p.keys[x.key:x.keyEnd], p.keys[y.key:y.keyEnd]); c != 0 {
			return c
		}
		return x.entry - y.entry
	}
	slices.SortFunc(g, cmp)
	n := 0
	for i := range g {
		if i+1 < len(g) && bytes.Equal(p.keys[g[i].key:g[i].keyEnd], p.keys[g[i+1].key:g[i+1].keyEnd]) {
			continue
		}
		g[n] = g[i]
		n++
	}
	return g[:n]
}

// values encodes the values of a group's puts.
func (p *pen) values(b *batch, g []item) {
	for i := range g {
		it, e := &g[i], &b.entries[g[i].entry]
		if e.flags&flagDelete == 0 {
			it.val = len(p.vals)
			p.vals = seal(p.keys[it.key:it.keyEnd], e.rec.AppendValue(p.vals), it.val)
			it.valEnd = len(p.vals)
		}
	}
}

// fill does what encode prepared.
func (d *DB) fill(tx *bbolt.Tx, l *ledger, b *batch) error {
	p := &d.pen
	for i, g := range p.groups {
		if len(g) == 0 {
			continue
		}
		bucket := tx.Bucket([]byte(buckets[i].name))
		if bucket == nil {
			return fmt.Errorf("bucket %s: %w", buckets[i].name, bolterrors.ErrBucketNotFound)
		}
		bucket.FillPercent = buckets[i].fill
		cursor := bucket.Cursor() // seeks from the root each time: changes in between are no matter
		for _, it := range g {
			var err error
			if key := p.keys[it.key:it.keyEnd]; b.entries[it.entry].flags&flagDelete != 0 {
				err = l.delete(cursor, buckets[i].salt, key)
			} else {
				err = l.put(bucket, cursor, buckets[i].salt, key, p.vals[it.val:it.valEnd])
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

var probeKey = []byte("probe")

// tryDisk finds out whether the disk takes writes again when nothing waits to be written: it
// writes about as much as what failed last, and removes it.
func (d *DB) tryDisk() (o outcome) {
	size := min(max(d.failed, 4<<10), 1<<20)
	d.update(&o, func(tx *bbolt.Tx, _ *ledger) error { // the bucket meta is not in the ledger
		return tx.Bucket([]byte(Meta)).Put(probeKey, seal(probeKey, make([]byte, size, size+sumBytes), 0))
	})
	if o.err == nil {
		d.update(&o, func(tx *bbolt.Tx, _ *ledger) error { return tx.Bucket([]byte(Meta)).Delete(probeKey) })
	}
	return o
}
