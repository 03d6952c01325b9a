package storage

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// layout is how a bucket is written.
type layout struct {
	name Bucket
	fill float64 // how full a page is left when it is split
	salt uint64  // of its records in the ledger
}

// buckets are all buckets, in the order in which a transaction visits them. A queue grows at the
// end of each session's keys and shrinks at their beginning: half empty pages would stay so.
var buckets = []layout{
	{Meta, 0.5, 0}, {Retained, 0.8, salt(Retained)}, {Sessions, 0.5, salt(Sessions)},
	{Subscriptions, 0.5, salt(Subscriptions)}, {Queue, 0.9, salt(Queue)}, {Inbound, 0.5, salt(Inbound)},
	{Wills, 0.5, salt(Wills)}, {Sent, 0.5, salt(Sent)}, {Users, 0.5, salt(Users)}, {Memory, 0.9, salt(Memory)},
	{Persona, 0.5, salt(Persona)}, {History, 0.9, salt(History)},
}

var schemaKey = []byte("schema")

// A migration takes the file from one schema to the next, in one transaction. What it changes
// outside the bucket meta goes through the ledger.
type migration func(tx *bbolt.Tx, l *ledger) error

// migrations are all of them in order; a file's schema is how many of them it has seen. Entries
// are never changed or removed once they were released.
var migrations = []migration{
	func(tx *bbolt.Tx, _ *ledger) error { // 1: the first buckets
		for _, name := range []string{
			"meta", "retained", "sessions", "subscriptions", "queue", "inbound", "wills", "sent", "users", "memory", "persona", "history",
		} {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return fmt.Errorf("create bucket %s: %w", name, err)
			}
		}
		return nil
	},
}

// migrate brings db to the newest schema. A file with a newer one is ErrSchema.
func migrate(db *bbolt.DB, steps []migration) error {
	for {
		done := false
		err := db.View(func(tx *bbolt.Tx) error {
			have, err := schemaOf(tx)
			if err == nil && have > len(steps) {
				err = fmt.Errorf("%w: it has %d, newest known is %d", ErrSchema, have, len(steps))
			}
			done = have == len(steps)
			return err
		})
		if err != nil || done {
			return err
		}
		if err := db.Update(func(tx *bbolt.Tx) error { return step(tx, steps) }); err != nil {
			return err
		}
	}
}

// step runs the next migration and counts it.
func step(tx *bbolt.Tx, steps []migration) error {
	have, err := schemaOf(tx)
	if err != nil {
		return err
	}
	var l ledger
	if have > 0 {
		if err := l.load(tx); err != nil {
			return err
		}
	}
	if err := steps[have](tx, &l); err != nil {
		return fmt.Errorf("migrate to schema %d: %w", have+1, err)
	}
	b, err := tx.CreateBucketIfNotExists([]byte(Meta))
	if err != nil {
		return fmt.Errorf("migrate to schema %d: %w", have+1, err)
	}
	if err := b.Put(schemaKey, seal(schemaKey, binary.BigEndian.AppendUint32(nil, uint32(have+1)), 0)); err != nil {
		return err
	}
	return l.save(tx)
}

// schemaOf returns how many migrations the file has seen: 0 for a new one.
func schemaOf(tx *bbolt.Tx) (int, error) {
	b := tx.Bucket([]byte(Meta))
	if b == nil {
		return 0, nil
	}
	raw := b.Get(schemaKey)
	if raw == nil {
		return 0, nil
	}
	return decodeSchema(raw)
}

// decodeSchema reads the value of the schema's record.
func decodeSchema(raw []byte) (int, error) {
	v, ok := unseal(schemaKey, raw)
	if !ok || len(v) != 4 {
		return 0, fmt.Errorf("schema record: %w", ErrDamaged)
	}
	return int(binary.BigEndian.Uint32(v)), nil
}
