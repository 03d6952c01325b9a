package storage

import (
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// trim gives the memory back that reading the mapped file has cost: the pages stay in the
// system's cache, but no longer count as ours.
func (d *DB) trim() {
	// In a transaction the mapping does not move.
	_ = d.file.View(func(tx *bbolt.Tx) error {
		// Only a hint: a failure changes nothing.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, d.file.Info().Data, uintptr(tx.Size()), unix.MADV_DONTNEED)
		return nil
	})
}
