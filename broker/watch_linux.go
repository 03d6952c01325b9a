package broker

import (
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout bounds how long what was sent may be without an acknowledgement of the peer's system. It
// also bounds the probes of an idle link.
func userTimeout(t *net.TCPConn, d time.Duration) error {
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d/time.Millisecond))
	})
	return errors.Join(err, set)
}
