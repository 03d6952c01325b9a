package storage

import (
	"encoding/binary"
	"hash/crc32"
)

// sumBytes is what a value grows by in the file.
const sumBytes = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal appends the checksum of key and the value that begins at b[from:].
func seal(key, b []byte, from int) []byte {
	return binary.BigEndian.AppendUint32(b, sum(key, b[from:]))
}

// unseal takes the checksum off a value. ok is false if it is wrong.
func unseal(key, raw []byte) (value []byte, ok bool) {
	n := len(raw) - sumBytes
	if n < 0 {
		return nil, false
	}
	value = raw[:n:n]
	return value, sum(key, value) == binary.BigEndian.Uint32(raw[n:])
}

func sum(key, value []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, value)
}
