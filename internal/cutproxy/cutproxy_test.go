package cutproxy

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// echoServer repeats what it gets.
func echoServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return ln.Addr().String()
}

func dialed(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func repeats(t *testing.T, c net.Conn) error {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func TestProxy(t *testing.T) {
	t.Parallel()
	addr := echoServer(t)
	p := Start(t, TCP(func() string { return addr }))
	a, b := dialed(t, p), dialed(t, p)
	require.NoError(t, repeats(t, a))
	require.NoError(t, repeats(t, b))
	assert.Equal(t, 2, p.Open())

	p.Cut()
	require.Error(t, repeats(t, a))
	require.Error(t, repeats(t, b))

	p.Refuse(true)
	refused, err := net.Dial("tcp", p.Addr())
	if err == nil { // the reset was not faster than the one who dials
		err = repeats(t, refused)
		_ = refused.Close()
	}
	require.ErrorIs(t, err, syscall.ECONNRESET)
	p.Refuse(false)
	c := dialed(t, p)
	require.NoError(t, repeats(t, c))
	assert.Equal(t, 4, p.Made())

	p.Stall(true)
	_, err = c.Write([]byte("y"))
	require.NoError(t, err)
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err)
	p.Stall(false)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err = c.Read(make([]byte, 1))
	require.NoError(t, err)

	p.Delay(30 * time.Millisecond)
	began := time.Now()
	require.NoError(t, repeats(t, c))
	assert.GreaterOrEqual(t, time.Since(began), 60*time.Millisecond)
}
