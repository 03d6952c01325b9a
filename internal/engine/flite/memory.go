package flite

import (
	"syscall"

	"github.com/tetratelabs/wazero/experimental"
)

// memory is the memory of an instance. It comes from the system and goes back to it: of the Go
// heap it would be garbage of 20 MB for each sentence.
type memory struct{ all, used []byte }

func newMemory(_, most uint64) experimental.LinearMemory {
	most = min(most, memoryPages<<16)
	b, err := syscall.Mmap(-1, 0, int(most), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE) //nolint:gosec // bounded above
	if err != nil {
		return &memory{}
	}
	return &memory{all: b}
}

// Reallocate implements the runtime's memory. It never moves.
func (m *memory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.all)) {
		return nil
	}
	m.used = m.all[:size]
	return m.used
}

// Free implements the runtime's memory.
func (m *memory) Free() {
	if m.all != nil {
		_ = syscall.Munmap(m.all) // it was mapped by us, as a whole
		m.all, m.used = nil, nil
	}
}
