package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bare takes the operation and the address off an error of net: the URL says them.
func bare(err error) error {
	var se *os.SyscallError
	var ae *net.AddrError
	var de *net.DNSError
	switch {
	case errors.As(err, &se):
		return se.Err
	case errors.As(err, &ae):
		return ae
	case errors.As(err, &de):
		return de
	}
	return err
}

func listenTCP(host string) (net.Listener, error) {
	// Dead peers of clients without keep alive are found after two minutes. TCP_NODELAY is
	// what net sets by itself.
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable:   true,
		Idle:     time.Minute,
		Interval: 15 * time.Second,
		Count:    4,
	}}
	return lc.Listen(context.Background(), "tcp", host)
}

// listenUnix binds a socket file, in the place of one that nobody listens on.
func listenUnix(path string, mode os.FileMode) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// Linux makes the file with the mode of the socket: it is never open to all, not even
		// before the chmod below. Other systems may refuse.
		return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), uint32(mode.Perm())) })
	}}
	ln, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false) // it would remove whatever is there by then
	if err := os.Chmod(path, mode.Perm()); err != nil {
		_ = ln.Close()
		_ = os.Remove(path)
		return nil, err
	}
	return ln, nil
}

// removeStale removes the socket file of a process that is gone.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode()&os.ModeSocket == 0 {
		return errors.New("the path exists and is not a socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("another process listens there: %w", syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("cannot tell whether another process listens there: %w", bare(err))
	}
	return os.Remove(path)
}
