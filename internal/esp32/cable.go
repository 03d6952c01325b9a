package esp32

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// cable is a connection whose network can be taken away, and whose device its power.
type cable struct {
	net.Conn
	pulled func() bool // whether there is no network now

	mu   sync.Mutex
	dead bool          // the network went away once: nothing gets through any more
	off  chan struct{} // closed: the device has no power
	till time.Time     // read deadline
}

func newCable(nc net.Conn, pulled func() bool) *cable {
	return &cable{Conn: nc, pulled: pulled, off: make(chan struct{})}
}

// cut takes the network away for good: the state of the way in between is lost.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
}

// abandon ends what the device does with the connection, and leaves it open for the other side.
func (c *cable) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isOff() {
		close(c.off)
	}
	_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
}

func (c *cable) isOff() bool {
	select {
	case <-c.off:
		return true
	default:
		return false
	}
}

// SetReadDeadline implements net.Conn.
func (c *cable) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isOff() {
		return os.ErrDeadlineExceeded
	}
	c.till = t
	return c.Conn.SetReadDeadline(t)
}

// Read gives nothing once the cable is pulled, also not an end.
func (c *cable) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		c.mu.Lock()
		dead, till := c.dead, c.till
		c.mu.Unlock()
		switch {
		case !dead || c.isOff():
			return n, err
		case err != nil:
			return 0, c.silence(till)
		}
	}
}

// silence waits as a read of a dead connection does.
func (c *cable) silence(till time.Time) error {
	if till.IsZero() {
		<-c.off
		return net.ErrClosed
	}
	t := time.NewTimer(time.Until(till))
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.off:
	}
	return os.ErrDeadlineExceeded
}

// Write vanishes while there is no network; when it is back, the first packet is answered with a reset.
func (c *cable) Write(p []byte) (int, error) {
	c.mu.Lock()
	dead := c.dead
	c.mu.Unlock()
	switch {
	case !dead:
		return c.Conn.Write(p)
	case c.pulled():
		return len(p), nil
	}
	return 0, syscall.ECONNRESET
}

// hangUp closes a connection that the device gives up. One without a network stays open for the other
// side, until the end of the test.
func (c *cable) hangUp() (closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return false
	}
	_ = c.Conn.Close()
	return true
}
