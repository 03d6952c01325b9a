package storage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Submit hands over operations, which are written in one transaction and in the order of
// submission, and done, which hears of it; either may be missing. Without operations, done hears
// when everything that was submitted before is on disk. size is how many bytes the operations
// keep in memory until then, for Wait. Submit never blocks. After Close it does nothing.
func (d *DB) Submit(mode Mode, done Done, size int, ops ...Op) {
	d.submit(mode, done, size, false, ops)
}

// submit is Submit; with urgent the commit begins at once also in Relaxed, takes everything
// along, and done waits for it.
func (d *DB) submit(mode Mode, done Done, size int, urgent bool, ops []Op) (taken bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	if d.degraded != nil && mode == Discard {
		if done != nil {
			d.tell(note{done: done, err: d.degraded})
		}
		return true
	}
	b, to := d.cur, int32(-1)
	f := flags(0)
	if d.o.Durability == Relaxed && d.degraded == nil && !urgent {
		mode = Keep // what is acknowledged now is not forgotten later
		if done != nil {
			d.tell(note{done: done})
			done = nil
		}
	}
	if mode == Discard {
		f = flagDiscard
	}
	before := d.bytes()
	share := opBytes
	if len(ops) > 0 {
		share += size / len(ops)
		size = 0
	}
	if done != nil {
		to = b.tell(note{done: done, size: size + noteBytes, discard: mode == Discard})
	}
	b.urgent = b.urgent || urgent
	d.addAll(ops, f, uint32(min(share, math.MaxInt32)), to)
	d.release(before - d.bytes())
	d.advance()
	return true
}

// addAll adds the operations of a submission to the batch. One that somebody waits for is never
// weak. d.mu is held.
func (d *DB) addAll(ops []Op, f flags, size uint32, to int32) {
	held := d.held
	if d.writing == held {
		held = nil // it is being written
	}
	for _, op := range ops {
		g := f
		if op.Delete {
			g |= flagDelete
		}
		if op.Weak && to < 0 {
			g |= flagWeak
		}
		if d.cur.add(op, g, size, to, held) {
			d.stats.Cancelled++
		}
	}
}

// bytes is what waits in the batches that can still change. d.mu is held.
func (d *DB) bytes() int {
	if d.held == nil {
		return d.cur.bytes
	}
	return d.cur.bytes + d.held.bytes
}

// advance starts what is due after a change of the current batch. d.mu is held.
func (d *DB) advance() {
	b := d.cur
	if b.live == 0 {
		b.since, b.urgent = time.Time{}, false
	} else if b.since.IsZero() {
		b.since = time.Now()
	}
	if d.writing == nil && d.held == nil && !d.due(b) {
		d.pass(b)
		if b.live == 0 || d.timed {
			return // the committer knows when to look again
		}
	}
	if d.idle {
		d.idle = false
		d.wake <- struct{}{} // never blocks: one token for each time that idle was set
	} else if d.gathering && b.urgent {
		d.gathering = false
		d.wake <- struct{}{}
	}
}

// due reports whether the batch has to be written now. d.mu is held.
func (d *DB) due(b *batch) bool {
	if b.live == 0 {
		return false
	}
	relaxed := d.o.Durability == Relaxed
	switch {
	case b.urgent, d.closed:
		return true
	case b.strong > 0 && (!relaxed || len(b.notes) > 0):
		return true
	case b.bytes-b.noted > d.o.MaxPending/2:
		return true
	case !relaxed && b.live > weakMost:
		return true
	}
	return time.Since(b.since) >= d.delay()
}

// delay is how long operations wait that need no commit of their own.
func (d *DB) delay() time.Duration {
	if d.o.Durability == Relaxed {
		return d.o.Window
	}
	return weakDelay
}

// pass tells the notes of a batch that has nothing to write for them: what is left in it is
// weak, or acknowledged already. d.mu is held.
func (d *DB) pass(b *batch) {
	if len(b.notes) > 0 {
		d.tell(b.notes...)
		clear(b.notes)
		b.notes = b.notes[:0]
		d.release(b.noted)
		b.bytes, b.noted = b.bytes-b.noted, 0
	}
	b.compact()
}

// release counts bytes that wait no more, and lets submitters go on that wait for it. size is
// negative for bytes that do. d.mu is held.
func (d *DB) release(size int) {
	left := d.pending.Add(int64(-size))
	if d.room != nil && left <= int64(d.o.MaxPending) {
		close(d.room)
		d.room = nil
	}
}

// Wait blocks while more than Options.MaxPending bytes wait for a commit. It returns the
// context's error, or ErrClosed.
func (d *DB) Wait(ctx context.Context) error {
	for d.pending.Load() > int64(d.o.MaxPending) {
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			return ErrClosed
		}
		if d.pending.Load() <= int64(d.o.MaxPending) {
			d.mu.Unlock()
			break
		}
		if d.room == nil {
			d.room = make(chan struct{})
		}
		room := d.room
		d.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return fmt.Errorf("wait for storage: %w", ctx.Err())
		}
	}
	return nil
}

// Sync returns when everything that was submitted before is on disk, weak operations too. The
// error wraps ErrDegraded while the disk takes nothing; the operations stay what they were.
func (d *DB) Sync(ctx context.Context) error { return d.await(ctx, nil) }

// Put writes a record and returns when it is on disk. If the context ends before, it may be
// written all the same.
func (d *DB) Put(ctx context.Context, b Bucket, key, value []byte) error {
	return d.await(ctx, &raw{bucket: b, key: slices.Clone(key), value: slices.Clone(value)})
}

// Delete removes a record, if there is one, and returns when that is on disk. If the context
// ends before, it may happen all the same.
func (d *DB) Delete(ctx context.Context, b Bucket, key []byte) error {
	return d.await(ctx, &raw{bucket: b, key: slices.Clone(key), gone: true})
}

// await submits a change, or nothing, urgently and waits for its commit.
func (d *DB) await(ctx context.Context, r *raw) error {
	var ops []Op
	size := 0
	if r != nil {
		ops = []Op{{Record: r, Delete: r.gone}}
		size = len(r.key) + len(r.value)
	}
	w := make(waiter, 1)
	if !d.submit(Discard, w, size, true, ops) {
		return ErrClosed
	}
	select {
	case err := <-w:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for storage: %w", ctx.Err())
	}
}

// waiter is a Done that somebody waits for.
type waiter chan error

// Committed implements Done.
func (w waiter) Committed(err error) { w <- err }

// raw is a record of Put and Delete.
type raw struct {
	bucket     Bucket
	key, value []byte
	gone       bool
}

var _ Record = (*raw)(nil)

func (r *raw) Bucket() Bucket              { return r.bucket }
func (r *raw) AppendKey(b []byte) []byte   { return append(b, r.key...) }
func (r *raw) AppendValue(b []byte) []byte { return append(b, r.value...) }
func (r *raw) Slot() *Slot                 { return nil }

// degradedError says why the store takes no writes.
type degradedError struct{ cause error }

func (e *degradedError) Error() string   { return ErrDegraded.Error() + ": " + e.cause.Error() }
func (e *degradedError) Unwrap() []error { return []error{ErrDegraded, e.cause} }

var _ error = (*degradedError)(nil)

// reason is the cause alone, for people.
func reason(err error) string {
	var d *degradedError
	if errors.As(err, &d) {
		return d.cause.Error()
	}
	return err.Error()
}
