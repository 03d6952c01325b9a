package wasmmem

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
)

// pages is a program that has nothing but a memory of one page, and may have three.
const pages = "\x00asm\x01\x00\x00\x00" + "\x05\x04\x01\x01\x01\x03"

func TestInstantiate(t *testing.T) {
	t.Parallel()
	r := wazero.NewRuntime(t.Context())
	t.Cleanup(func() { assert.NoError(t, r.Close(t.Context())) })
	program, err := r.CompileModule(t.Context(), []byte(pages))
	require.NoError(t, err)
	c := wazero.NewModuleConfig().WithName("")

	mod, err := Instantiate(t.Context(), r, program, c, 2<<16)
	require.NoError(t, err)
	require.True(t, mod.Memory().WriteString(0, "here"))
	was, ok := mod.Memory().Grow(1)
	assert.True(t, ok && was == 1)
	got, ok := mod.Memory().Read(0, 4)
	assert.True(t, ok)
	assert.Equal(t, "here", string(got))
	_, ok = mod.Memory().Grow(1)
	assert.False(t, ok, "more than it may have")
	require.NoError(t, mod.Close(t.Context()))
	require.NoError(t, mod.Close(t.Context()), "twice")

	_, err = Instantiate(t.Context(), r, program, c, 1<<60)
	require.ErrorContains(t, err, "reserve 1099511627776 MiB of memory: cannot allocate memory")

	_, err = Instantiate(t.Context(), r, program, c.WithStartFunctions("_initialize").WithName("twice"), 2<<16)
	require.NoError(t, err)
	_, err = Instantiate(t.Context(), r, program, c.WithName("twice"), 2<<16)
	require.ErrorContains(t, err, "twice")
}
