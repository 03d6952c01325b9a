package broker

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// option reads a socket option.
func option(t *testing.T, c *net.TCPConn, level, name int) int {
	t.Helper()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	var v int
	var get error
	require.NoError(t, raw.Control(func(fd uintptr) { v, get = unix.GetsockoptInt(int(fd), level, name) }))
	require.NoError(t, get)
	return v
}

func TestWatchLink(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	out, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer func() { _ = out.Close() }()
	nc, err := ln.Accept()
	require.NoError(t, err)
	defer func() { _ = nc.Close() }()

	c := newConn(nil, nc, Info{Remote: nc.RemoteAddr()})
	require.True(t, c.WatchLink(25*time.Second))
	tcp := nc.(*net.TCPConn)
	assert.Equal(t, 1, option(t, tcp, unix.SOL_SOCKET, unix.SO_KEEPALIVE))
	assert.Equal(t, 10, option(t, tcp, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE))
	assert.Equal(t, 5, option(t, tcp, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL))
	assert.Equal(t, 3, option(t, tcp, unix.IPPROTO_TCP, unix.TCP_KEEPCNT))
	assert.Equal(t, 25_000, option(t, tcp, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT))

	behind := newConn(nil, nc, Info{Remote: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}})
	assert.False(t, behind.WatchLink(25*time.Second), "the link is the proxy's")
	assert.True(t, newConn(nil, nc, Info{Memory: true}).WatchLink(0))
}
