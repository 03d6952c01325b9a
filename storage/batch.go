package storage

import (
	"fmt"
	"time"
)

const (
	weakDelay = time.Second // how long a weak operation may wait for a commit to ride along with
	weakMost  = 8192        // weak operations that are written without waiting longer

	// What an operation and a notification cost in memory, on top of the bytes that the
	// submitter tells. It keeps floods of small ones under Options.MaxPending too.
	opBytes   = 64
	noteBytes = 32
)

type flags uint8

const (
	flagDelete flags = 1 << iota
	flagWeak
	flagDiscard
)

// entry is one operation of a batch; rec is nil once it was cancelled.
type entry struct {
	rec    Record
	size   uint32 // bytes that it holds back
	note   int32  // who hears of it: index into batch.notes, or -1
	bucket uint8  // index into buckets
	flags  flags
}

// note is a submission's Done, and what it will be told.
type note struct {
	done    Done
	err     error
	size    int // bytes that the submission holds back besides its operations
	discard bool
}

// batch is what one transaction writes. Everything in it is guarded by DB.mu, but for the time
// that the committer writes it: then nobody else touches it.
type batch struct {
	seq     uint64
	entries []entry
	notes   []note
	live    int  // entries that are not cancelled
	strong  int  // those among them that are not weak
	urgent  bool // somebody waits for it: write it at once
	since   time.Time

	bytes int // of the entries that are not cancelled, and of the notes
	noted int // of the notes alone
}

// add appends an operation, and lets it cancel an earlier put of the same record that it makes
// needless, which it reports. held is the batch that waits for another try, or nil.
func (b *batch) add(op Op, f flags, size uint32, to int32, held *batch) (cancelled bool) {
	e := entry{rec: op.Record, size: size, note: to, bucket: bucketIndex(op.Record.Bucket()), flags: f}
	slot := op.Record.Slot()
	if slot == nil {
		b.push(e)
		return false
	}
	if in := b.holding(slot, held); in != nil && b.cancels(f, slot, in) {
		e.flags &= in.cancel(slot) | ^flagWeak // what replaces a strong operation is strong
		if f&flagDelete != 0 && !slot.stored {
			return true // neither was ever needed
		}
		cancelled = true
	} else if slot.batch != 0 {
		slot.stored = true // its put is written, or will be
	}
	slot.batch = 0
	if f&flagDelete == 0 {
		slot.batch, slot.index = b.seq, int32(len(b.entries))
	}
	b.push(e)
	return cancelled
}

// cancels reports whether an operation may take the place of the put that slot tells of. What may
// be forgotten again must not replace what may not. And a batch that waits for another try tells
// its submitters that they are on disk before b is: only a put that the file need never hold
// may vanish from it.
func (b *batch) cancels(f flags, slot *Slot, in *batch) bool {
	if f&flagDiscard != 0 && in.entries[slot.index].flags&flagDiscard == 0 {
		return false
	}
	return in == b || (f&flagDelete != 0 && !slot.stored)
}

// holding returns the batch that holds the slot's put and can still be changed, or nil.
func (b *batch) holding(slot *Slot, held *batch) *batch {
	switch {
	case slot.batch == 0:
		return nil
	case slot.batch == b.seq:
		return b
	case held != nil && slot.batch == held.seq:
		return held
	}
	return nil
}

func (b *batch) push(e entry) {
	b.entries = append(b.entries, e)
	b.live++
	b.bytes += int(e.size)
	if e.flags&flagWeak == 0 {
		b.strong++
	}
}

// cancel takes the slot's put out of the batch and returns its flags.
func (b *batch) cancel(slot *Slot) flags {
	e := &b.entries[slot.index]
	slot.batch = 0
	b.drop(e)
	return e.flags
}

// drop takes an entry out.
func (b *batch) drop(e *entry) {
	e.rec = nil
	b.live--
	b.bytes -= int(e.size)
	if e.flags&flagWeak == 0 {
		b.strong--
	}
}

// tell adds somebody who hears when the batch is written, and returns the index.
func (b *batch) tell(n note) int32 {
	b.notes = append(b.notes, n)
	b.bytes += n.size
	b.noted += n.size
	return int32(len(b.notes) - 1)
}

// compact removes cancelled entries, when it is worth it.
func (b *batch) compact() {
	if len(b.entries) <= 2*b.live+64 {
		return
	}
	n := 0
	for i := range b.entries {
		e := b.entries[i]
		if e.rec == nil {
			continue
		}
		if s := e.rec.Slot(); s != nil && s.batch == b.seq && int(s.index) == i {
			s.index = int32(n)
		}
		b.entries[n] = e
		n++
	}
	clear(b.entries[n:])
	b.entries = b.entries[:n]
}

// discard drops the operations of mode Discard and gives the notes of their submissions err.
func (b *batch) discard(err error) {
	for i := range b.entries {
		e := &b.entries[i]
		if e.rec == nil || e.flags&flagDiscard == 0 {
			continue
		}
		if s := e.rec.Slot(); s != nil && s.batch == b.seq && int(s.index) == i {
			s.batch = 0
		}
		b.drop(e)
	}
	for i := range b.notes {
		if b.notes[i].discard {
			b.notes[i].err = err
		}
	}
}

// dropped removes the notes of mode Discard and returns them. The others keep their order.
func (b *batch) dropped() (out []note) {
	moved := make([]int32, len(b.notes))
	kept := b.notes[:0]
	for i, n := range b.notes {
		moved[i] = int32(len(kept))
		if n.discard {
			out = append(out, n)
			moved[i] = -1
			b.bytes -= n.size
			b.noted -= n.size
		} else {
			kept = append(kept, n)
		}
	}
	clear(b.notes[len(kept):])
	b.notes = kept
	for i := range b.entries {
		if e := &b.entries[i]; e.note >= 0 {
			e.note = moved[e.note]
		}
	}
	return out
}

// keep turns operations of mode Discard into kept ones.
func (b *batch) keep() {
	for i := range b.entries {
		b.entries[i].flags &^= flagDiscard
	}
	for i := range b.notes {
		b.notes[i].discard = false
	}
}

// reset empties the batch for its next use as number seq.
func (b *batch) reset(seq uint64) {
	const most = 1 << 14 // entries worth keeping
	if cap(b.entries) > most {
		b.entries = nil
	}
	if cap(b.notes) > most {
		b.notes = nil
	}
	clear(b.entries)
	clear(b.notes)
	*b = batch{seq: seq, entries: b.entries[:0], notes: b.notes[:0]}
}

func bucketIndex(name Bucket) uint8 {
	for i := range buckets {
		if buckets[i].name == name {
			return uint8(i)
		}
	}
	panic(fmt.Sprintf("storage: no bucket %q", name))
}
