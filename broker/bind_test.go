package broker

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestListenUnix(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name       string
		mode, want os.FileMode
	}{
		{"default", 0, 0o660},
		{"narrow", 0o600, 0o600},
		{"wide", 0o666, 0o666}, // whatever the umask is
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "s")
			e := newEcho()
			l := listen(t, "unix://"+path, ListenOptions{SocketMode: tc.mode}, e)
			assert.Equal(t, "unix://"+path, l.URL())
			fi, err := os.Lstat(path)
			require.NoError(t, err)
			assert.Equal(t, tc.want, fi.Mode().Perm())
			echoes(t, dial(t, l))
			info := <-e.infos
			assert.Equal(t, path, info.Remote.String())
			assert.Equal(t, "unix", info.Remote.Network())
			require.NoError(t, l.Close())
			_, err = os.Lstat(path)
			assert.ErrorIs(t, err, os.ErrNotExist)
		})
	}
}

func TestListenUnixStale(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	dead.SetUnlinkOnClose(false) // as after kill -9
	require.NoError(t, dead.Close())

	l := listen(t, "unix://"+path, ListenOptions{}, newEcho())
	echoes(t, dial(t, l))

	_, err = Listen("unix://"+path, ListenOptions{})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	assert.ErrorContains(t, err, "another process listens there")
	echoes(t, dial(t, l)) // it still does
}

// Close removes its own socket only.
func TestListenUnixReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	l := listen(t, "unix://"+path, ListenOptions{}, newEcho())
	require.NoError(t, os.Remove(path))
	other := listen(t, "unix://"+path, ListenOptions{}, newEcho())
	require.NoError(t, l.Close())
	echoes(t, dial(t, other))
}

func TestListenUnixErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	cases := []struct{ name, path, err string }{
		{"not a socket", file, "exists and is not a socket"},
		{"directory", dir, "exists and is not a socket"},
		{"no directory", filepath.Join(dir, "no", "s"), "no such file or directory"},
		{"too long", filepath.Join(dir, strings.Repeat("x", 120)), "at most 103 are possible"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Listen("unix://"+tc.path, ListenOptions{})
			require.ErrorContains(t, err, tc.err)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(got))
}
