package conformance

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// defect18 leaves the process one file descriptor short of accepting a connection.
func defect18(t *testing.T) {
	e := newRig(t, wt.V311)
	e.connect("before").ExpectQuiet()
	var old syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old))
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	next := uint64(f.Fd()) // the lowest free one, once it is closed again
	require.NoError(t, f.Close())
	low := old
	low.Cur = next + 1 // enough for the client's end
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low))
	c := e.dial("client")
	c.Timeout = 300 * time.Millisecond
	_ = c.TrySend(e.options("client").Bytes(wt.V311))
	_, failed := c.TryNext()
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old))
	require.Error(t, failed, "the broker had no descriptor to accept with")
	e.connect("after").ExpectQuiet()
}
