// Package wasmmem gives WebAssembly instances memory that comes from the system and goes back to it
// when they end. Of the Go heap it would be tens of megabytes of garbage for each.
package wasmmem

import (
	"context"
	"fmt"
	"syscall"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Instantiate makes an instance of a program, whose memory has at most the given number of bytes. They are
// reserved at once and taken when they are used. Without room for them there is an error: the
// runtime, which cannot be told so when it asks, would panic.
func Instantiate(ctx context.Context, r wazero.Runtime, program wazero.CompiledModule, c wazero.ModuleConfig, most int) (api.Module, error) {
	m, err := newMemory(most)
	if err != nil {
		return nil, fmt.Errorf("reserve %d MiB of memory: %w", most>>20, err)
	}
	ctx = experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory { return m }))
	mod, err := r.InstantiateModule(ctx, program, c)
	if err != nil {
		m.Free()
		return nil, err
	}
	return mod, nil
}

// memory is the memory of an instance.
type memory struct{ all []byte }

func newMemory(most int) (*memory, error) {
	b, err := syscall.Mmap(-1, 0, most, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	return &memory{all: b}, err
}

// Reallocate implements the runtime's memory. It never moves.
func (m *memory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.all)) {
		return nil
	}
	return m.all[:size]
}

// Free implements the runtime's memory. It may be called again.
func (m *memory) Free() {
	if m.all != nil {
		_ = syscall.Munmap(m.all) // it was mapped by us, as a whole
		m.all = nil
	}
}
