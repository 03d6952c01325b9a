package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"go.etcd.io/bbolt"
)

// ledger is the sum of all records, kept in the bucket meta and brought up to date by each
// transaction. It tells a page that a lying disk never wrote, and that is still there in an older
// state: such a page is well formed, and so is each of its records. The bucket meta itself is
// not in the sum; its page is the one that every transaction writes.
type ledger struct {
	tx    uint64 // the transaction that wrote it
	count uint64 // of records
	sum   uint64 // of what weigh makes of each
}

// salt is what a bucket's name adds to the weight of its records.
func salt(name Bucket) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}

var ledgerKey = []byte("ledger")

const ledgerBytes = 24

// weigh makes a number of a record as it is in the file, from its checksum. The same record in
// another bucket is another one.
func weigh(salt uint64, raw []byte) uint64 {
	x := salt ^ uint64(binary.BigEndian.Uint32(raw[len(raw)-sumBytes:]))
	x = (x ^ x>>31) * 0x9e3779b97f4a7c15 // spreads the bits: sums of plain checksums collide
	x = (x ^ x>>27) * 0xbf58476d1ce4e5b9
	return x ^ x>>32
}

func (l *ledger) add(salt uint64, raw []byte) {
	l.count++
	l.sum += weigh(salt, raw)
}

func (l *ledger) remove(salt uint64, raw []byte) {
	if len(raw) >= sumBytes {
		l.count--
		l.sum -= weigh(salt, raw)
	}
}

// put writes a record. c is a cursor of b.
func (l *ledger) put(b *bbolt.Bucket, c *bbolt.Cursor, salt uint64, key, raw []byte) error {
	if k, old := c.Seek(key); bytes.Equal(k, key) {
		l.remove(salt, old)
	}
	l.add(salt, raw)
	return b.Put(key, raw)
}

// delete removes the record that c, a cursor of its bucket, finds under key, if there is one.
func (l *ledger) delete(c *bbolt.Cursor, salt uint64, key []byte) error {
	k, old := c.Seek(key)
	if !bytes.Equal(k, key) {
		return nil
	}
	l.remove(salt, old)
	return c.Delete()
}

// load reads the ledger; one that was never written is empty.
func (l *ledger) load(tx *bbolt.Tx) (err error) {
	if raw := tx.Bucket([]byte(Meta)).Get(ledgerKey); raw != nil {
		*l, err = decodeLedger(raw)
	}
	return err
}

// save writes the ledger as that of tx.
func (l *ledger) save(tx *bbolt.Tx) error {
	v := make([]byte, 0, ledgerBytes+sumBytes)
	for _, n := range []uint64{uint64(tx.ID()), l.count, l.sum} {
		v = binary.BigEndian.AppendUint64(v, n)
	}
	return tx.Bucket([]byte(Meta)).Put(ledgerKey, seal(ledgerKey, v, 0))
}

// decodeLedger reads the value of the ledger's record.
func decodeLedger(raw []byte) (ledger, error) {
	v, ok := unseal(ledgerKey, raw)
	if !ok || len(v) != ledgerBytes {
		return ledger{}, fmt.Errorf("ledger record: %w", ErrDamaged)
	}
	return ledger{binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:]), binary.BigEndian.Uint64(v[16:])}, nil
}
