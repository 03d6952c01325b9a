package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A head is read by the user that runs tarsd.
func TestHeadFile(t *testing.T) {
	t.Parallel()
	f, err := headFile(t.TempDir())
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	assert.Equal(t, "-rw-r--r--", info.Mode().String())
}
