package storage

import (
	"errors"
	"time"

	"github.com/rs/zerolog"
)

// Bucket names one kind of record. The names are part of the file format.
type Bucket string

// The buckets of the file.
const (
	Meta          Bucket = "meta"
	Retained      Bucket = "retained"
	Sessions      Bucket = "sessions"
	Subscriptions Bucket = "subscriptions"
	Queue         Bucket = "queue"
	Inbound       Bucket = "inbound"
	Wills         Bucket = "wills"
	Sent          Bucket = "sent"
	Users         Bucket = "users"
	Memory        Bucket = "memory"
	Persona       Bucket = "persona"
	History       Bucket = "history"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("not found")
	ErrClosed   = errors.New("storage is closed")
	ErrLocked   = errors.New("file is in use by another process")
	ErrDamaged  = errors.New("file is damaged")
	ErrSchema   = errors.New("file has a schema that this version does not know")
	ErrDegraded = errors.New("storage takes no writes")
	ErrKey      = errors.New("key is empty or too long")
)

// Record is something that can be written. AppendKey and AppendValue run on the committer
// goroutine when a batch is written, with no lock held: a record that still changes must say
// with atomics what it wants written. AppendValue may run more than once (a commit that failed
// is repeated) or never (the record was deleted or put again before it was written). A key is 1
// to 32768 bytes long.
type Record interface {
	Bucket() Bucket
	AppendKey(b []byte) []byte
	AppendValue(b []byte) []byte
	Slot() *Slot // nil: a deletion never cancels a put of this record
}

// Slot lets a deletion find the put of the same record that still waits to be written, so that
// neither reaches the disk. The zero value is ready; it belongs to one record, which is the only
// one with its key. A record that was read from the file must be marked with Loaded, or its
// deletion could be taken for that of a record that never reached the disk.
type Slot struct {
	batch  uint64 // the batch that holds the put, 0 if none does
	index  int32  // where in it
	stored bool   // the file may hold the record
}

// Loaded says that the file holds the record. Call it before the record is first submitted.
func (s *Slot) Loaded() { s.stored = true }

// Op is one change: a put, or with Delete the removal of the record's key. A weak one rides
// along with the next commit and causes one of its own only after a second.
type Op struct {
	Record       Record
	Delete, Weak bool
}

// Done hears of a submission's end.
type Done interface {
	// Committed is called once, by the notifier goroutine, in the order of submission. A nil
	// error says that the submission and everything that was submitted before it, other than
	// weak operations, is on disk. It may submit, but must not wait for the store.
	Committed(err error)
}

// Mode says what happens to operations whose commit fails.
type Mode byte

const (
	// Keep holds them in memory and tries again every second; Done waits.
	Keep Mode = iota
	// Discard forgets them; Done gets the error, ahead of those of kept submissions.
	Discard
)

// Durability says what Committed means.
type Durability byte

const (
	// Strict calls Committed when the data is on disk (fsync).
	Strict Durability = iota
	// Relaxed calls Committed at once and writes every Options.Window: that much can be lost.
	Relaxed
)

// State tells how the store is doing.
type State struct {
	Degraded   bool          // writes fail and are retried every second
	Reason     string        // why, for people
	Since      time.Time     // when it became so, or was opened
	Commits    uint64        // transactions written
	Records    uint64        // puts and deletions in them
	Cancelled  uint64        // puts that a deletion overtook before they were written
	Failures   uint64        // commits that failed
	Pending    int           // bytes that wait for a commit, as told by the submitters
	LastCommit time.Duration // how long the last commit took
	FileBytes  int64         // size of the file
}

// Options configure Open.
type Options struct {
	Path        string        // the file; its directory must exist
	Durability  Durability    // what Committed means
	Gather      time.Duration // wait before each commit for more to join it; 0 is best but for slow flash
	Window      time.Duration // of Relaxed; 1 s if 0
	MaxPending  int           // bytes that may wait before Wait blocks; 16 MiB if 0
	LockTimeout time.Duration // how long to wait for another process to let go; 1 s if 0
	Log         zerolog.Logger
}
