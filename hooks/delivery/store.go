package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tarsd/tarsd/storage"
)

// Store is what the engine needs of the disk; *storage.DB implements it.
type Store interface {
	Submit(mode storage.Mode, done storage.Done, size int, ops ...storage.Op)
	Wait(ctx context.Context) error
	Sync(ctx context.Context) error
	OnNotified(f func())
	Range(b storage.Bucket, prefix []byte, f func(k, v []byte) error) error
	State() storage.State
}

// The buckets of the engine. The names are part of the file format.
const (
	bucketRetained      storage.Bucket = "retained"
	bucketSessions      storage.Bucket = "sessions"
	bucketSubscriptions storage.Bucket = "subscriptions"
	bucketQueue         storage.Bucket = "queue"
	bucketInbound       storage.Bucket = "inbound"
	bucketWills         storage.Bucket = "wills"
	bucketSent          storage.Bucket = "sent"
)

// codecVersion is the first byte of every value.
const codecVersion = 1

var errCodec = errors.New("record is cut short or of an unknown version")

// put and del make the operations of a submission.
func put(r storage.Record) storage.Op     { return storage.Op{Record: r} }
func putWeak(r storage.Record) storage.Op { return storage.Op{Record: r, Weak: true} }
func del(r storage.Record) storage.Op     { return storage.Op{Record: r, Delete: true} }
func delWeak(r storage.Record) storage.Op {
	return storage.Op{Record: r, Delete: true, Weak: true}
}

// retainedRecord is a retained message under its topic.
type retainedRecord struct{ m *message }

func (r retainedRecord) Bucket() storage.Bucket    { return bucketRetained }
func (r retainedRecord) AppendKey(b []byte) []byte { return append(b, r.m.topic...) }
func (r retainedRecord) AppendValue(b []byte) []byte {
	return appendMessage(append(b, codecVersion), r.m)
}
func (r retainedRecord) Slot() *storage.Slot { return nil }
func sessionKey(b []byte, id string) []byte  { return append(append(b, id...), 0) } // ids hold no NUL
func queueKey(b []byte, id string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(sessionKey(b, id), seq)
}
func inboundKey(b []byte, id string, pid uint16) []byte {
	return binary.BigEndian.AppendUint16(sessionKey(b, id), pid)
}

// latestRecord is the last QoS 0 retained message of a topic. However often it is set, one
// record waits to be written, and it holds the message of when that is done.
type latestRecord struct {
	topic   string
	m       atomic.Pointer[message]
	pending atomic.Bool
}

func (r *latestRecord) Bucket() storage.Bucket    { return bucketRetained }
func (r *latestRecord) AppendKey(b []byte) []byte { return append(b, r.topic...) }
func (r *latestRecord) Slot() *storage.Slot       { return nil }
func (r *latestRecord) AppendValue(b []byte) []byte {
	r.pending.Store(false) // before the read, see sentRecord
	return appendMessage(append(b, codecVersion), r.m.Load())
}

// queueRecord is one entry of a session's queue. released is set once, before the record is
// submitted a second time.
type queueRecord struct {
	slot     storage.Slot
	session  string
	seq      uint64
	m        *message
	subIDs   []uint32
	group    string // shared group and filter, "g/filter"; empty if not shared
	qos      byte
	retain   bool
	released atomic.Bool
}

func (r *queueRecord) Bucket() storage.Bucket    { return bucketQueue }
func (r *queueRecord) AppendKey(b []byte) []byte { return queueKey(b, r.session, r.seq) }
func (r *queueRecord) Slot() *storage.Slot       { return &r.slot }

func (r *queueRecord) AppendValue(b []byte) []byte {
	b = append(b, codecVersion)
	if r.released.Load() {
		return append(b, 1) // only the id still matters, and that follows from the key
	}
	ids := r.subIDs[:min(len(r.subIDs), 255)]
	b = append(b, 0, r.qos, boolByte(r.retain), byte(len(ids)))
	for _, id := range ids {
		b = binary.BigEndian.AppendUint32(b, id)
	}
	b = appendString(b, r.group)
	return appendMessage(b, r.m)
}

// rawRecord is a record that was encoded when it was made: rare, small ones.
type rawRecord struct {
	bucket storage.Bucket
	key    []byte
	value  []byte
}

func (r *rawRecord) Bucket() storage.Bucket      { return r.bucket }
func (r *rawRecord) AppendKey(b []byte) []byte   { return append(b, r.key...) }
func (r *rawRecord) AppendValue(b []byte) []byte { return append(b, r.value...) }
func (r *rawRecord) Slot() *storage.Slot         { return nil }

// sessionRecord is what is kept of a session itself. lost is when its connection ended, in Unix
// ms; 0 while it is connected. Like sentRecord it is written as it is when its batch is.
type sessionRecord struct {
	id      string
	user    atomic.Pointer[string]
	expiry  atomic.Uint32
	lost    atomic.Int64
	pending atomic.Bool
}

func (r *sessionRecord) Bucket() storage.Bucket    { return bucketSessions }
func (r *sessionRecord) AppendKey(b []byte) []byte { return append(b, r.id...) }
func (r *sessionRecord) Slot() *storage.Slot       { return nil }
func (r *sessionRecord) AppendValue(b []byte) []byte {
	r.pending.Store(false) // before the reads: a later change submits it again
	b = binary.BigEndian.AppendUint32(append(b, codecVersion), r.expiry.Load())
	b = binary.BigEndian.AppendUint64(b, uint64(r.lost.Load()))
	return appendString(b, *r.user.Load())
}

// sentRecord remembers up to which sequence number a session's deliveries were sent, so that
// DUP tells the truth after a restart. The value is read when the batch is written: one
// record a batch is enough, however many messages were sent.
type sentRecord struct {
	session string
	through atomic.Uint64
	pending atomic.Bool
}

// raise makes seq part of what was sent, and reports whether the record has to be submitted:
// one that waits to be written will hold it.
func (r *sentRecord) raise(seq uint64) bool {
	for {
		have := r.through.Load()
		if seq <= have || r.through.CompareAndSwap(have, seq) {
			return !r.pending.Swap(true)
		}
	}
}

func (r *sentRecord) Bucket() storage.Bucket    { return bucketSent }
func (r *sentRecord) AppendKey(b []byte) []byte { return append(b, r.session...) }
func (r *sentRecord) Slot() *storage.Slot       { return nil }
func (r *sentRecord) AppendValue(b []byte) []byte {
	r.pending.Store(false) // before the read: a later change submits it again
	return binary.BigEndian.AppendUint64(append(b, codecVersion), r.through.Load())
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendMessage encodes m: topic, properties, publisher, times, flags, and the payload last.
func appendMessage(b []byte, m *message) []byte {
	b = append(b, m.qos, boolByte(m.retain))
	b = binary.BigEndian.AppendUint64(b, uint64(m.stored))
	b = binary.BigEndian.AppendUint64(b, uint64(m.expires))
	b = appendString(b, m.topic)
	b = appendString(b, m.from)
	b = appendString(b, string(m.props))
	return append(b, m.payload...)
}

// decoder reads records. After the first error it returns zero values.
type decoder struct {
	b   []byte
	err error
}

func newDecoder(v []byte) *decoder {
	d := &decoder{b: v}
	if d.byte() != codecVersion {
		d.err = errCodec
	}
	return d
}

func (d *decoder) take(n uint64) []byte {
	if d.err != nil || n > uint64(len(d.b)) {
		d.err = errCodec
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) byte() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if p := d.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if p := d.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

func (d *decoder) string() string {
	n, used := binary.Uvarint(d.b)
	if d.err != nil || used <= 0 {
		d.err = errCodec
		return ""
	}
	d.b = d.b[used:]
	return string(d.take(n))
}

// message reads the rest of the record. Topic, properties and payload share one allocation.
func (d *decoder) message() *message {
	m := &message{qos: d.byte(), retain: d.byte() == 1}
	m.stored, m.expires = int64(d.uint64()), int64(d.uint64())
	m.topic, m.from = d.string(), d.string()
	props := d.string()
	if d.err != nil {
		return nil
	}
	m.payload = append(make([]byte, 0, len(d.b)), d.b...)
	if props != "" {
		m.props = []byte(props)
	}
	if m.topic == "" || m.qos > 2 {
		d.err = errCodec
	}
	return m
}

// splitKey takes the session id off a key of sessionKey's form.
func splitKey(k []byte) (id string, rest []byte, err error) {
	for i, c := range k {
		if c == 0 {
			return string(k[:i]), k[i+1:], nil
		}
	}
	return "", nil, fmt.Errorf("key %q: %w", k, errCodec)
}
