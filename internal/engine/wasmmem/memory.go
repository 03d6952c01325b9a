// Package wasmmem gives WebAssembly instances memory that comes from the system and goes back to it
// when they end. Of the Go heap it would be tens of megabytes of garbage for each.
package wasmmem

import (
	"context"
	"syscall"

	"github.com/tetratelabs/wazero/experimental"
)

// Context returns a context to instantiate a module with, whose memory has at most the given number
// of bytes. They are reserved at once and taken when they are used.
func Context(ctx context.Context, most int) context.Context {
	return experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(_, wants uint64) experimental.LinearMemory {
		return newMemory(min(wants, uint64(most))) //nolint:gosec // a constant of the caller
	}))
}

// memory is the memory of an instance.
type memory struct{ all []byte }

func newMemory(most uint64) *memory {
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
	return m.all[:size]
}

// Free implements the runtime's memory.
func (m *memory) Free() {
	if m.all != nil {
		_ = syscall.Munmap(m.all) // it was mapped by us, as a whole
		m.all = nil
	}
}
