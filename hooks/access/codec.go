package access

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// recordVersion is the first byte of a user's record.
const recordVersion = 1

// What a record may hold at most; the same limits hold when a user is changed.
const (
	maxRoles     = 64
	maxClientIDs = 64
	maxNameBytes = 128
)

var errRecord = errors.New("damaged record")

// record is one user. It does not change once it is in the table; a change makes a new one.
type record struct {
	name      string
	roles     []string // never empty; its address also tells sessions of this record from older ones
	clientIDs []string
	created   time.Time
	changed   time.Time
	password  *passwordHash // nil: only a certificate lets this user in
}

// encode returns the stored form:
//
//	version, created, changed (seconds since 1970), roles, client id patterns,
//	0 | 1 memory time threads salt sum
//
// Numbers are unsigned varints, lists and texts are preceded by their length. The name is the key.
func (r *record) encode() []byte {
	b := []byte{recordVersion}
	b = binary.AppendUvarint(b, uint64(max(r.created.Unix(), 0)))
	b = binary.AppendUvarint(b, uint64(max(r.changed.Unix(), 0)))
	b = appendList(b, r.roles)
	b = appendList(b, r.clientIDs)
	if r.password == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	b = binary.AppendUvarint(b, uint64(r.password.params.Memory))
	b = binary.AppendUvarint(b, uint64(r.password.params.Time))
	b = append(b, r.password.params.Threads)
	b = appendText(b, string(r.password.salt))
	return appendText(b, string(r.password.sum))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendList(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

// decodeRecord reads what encode wrote and trusts none of it. It keeps nothing of value.
func decodeRecord(name string, value []byte) (*record, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if len(value) == 0 {
		return nil, errRecord
	}
	if value[0] != recordVersion {
		return nil, fmt.Errorf("record of version %d, this program knows %d", value[0], recordVersion)
	}
	d := decoder{b: value[1:]}
	r := &record{name: name}
	r.created = time.Unix(int64(d.number(1<<40)), 0)
	r.changed = time.Unix(int64(d.number(1<<40)), 0)
	r.roles = d.list(maxRoles)
	r.clientIDs = d.list(maxClientIDs)
	if d.number(1) == 1 {
		h := &passwordHash{}
		h.params.Memory = uint32(d.number(maxHashMemory))
		h.params.Time = uint32(d.number(maxHashTime))
		h.params.Threads = uint8(d.number(maxHashThreads))
		h.salt = []byte(d.text(maxSumBytes))
		h.sum = []byte(d.text(maxSumBytes))
		if d.bad || h.params.validate() != nil || len(h.salt) < saltBytes || len(h.sum) < sumBytes {
			return nil, errRecord
		}
		r.password = h
	}
	if d.bad || len(d.b) != 0 || len(r.roles) == 0 {
		return nil, errRecord
	}
	return r, nil
}

// decoder reads from the front of b; after the first fault everything reads as zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number(limit uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if d.bad || n <= 0 || v > limit {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) text(limit int) string {
	n := d.number(uint64(limit))
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

func (d *decoder) list(limit int) []string {
	n := d.number(uint64(limit))
	var list []string
	for range n {
		if d.bad {
			return nil
		}
		list = append(list, d.text(maxNameBytes))
	}
	return list
}
