package broker

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Sizes of the inbound buffer, in bytes.
const (
	readSize = 32 << 10
	idleSize = 2 << 10 // TLS and WebSocket connections have to wait with a buffer in hand
)

var readPool = sync.Pool{New: func() any { b := make([]byte, readSize); return &b }}

// fill waits for bytes. While it waits on a socket or on the in-memory pipe, an empty buffer
// is given back, so that idle connections own none.
func (c *Conn) fill() error {
	if c.receiver != nil {
		c.receiver.Flush()
	}
	c.account()
	if c.r == c.w {
		c.r, c.w = 0, 0
		if c.pooled == nil || (c.small != nil && c.lastRead < idleSize) {
			c.releaseRead()
		}
	} else if c.w == len(c.rb) {
		c.w = copy(c.rb, c.rb[c.r:c.w])
		c.r = 0
	}
	for {
		n, err := c.readSome()
		if n > 0 {
			c.w, c.lastRead = c.w+n, n
			c.inBytes += uint64(n)
			return nil
		}
		if err == nil {
			err = io.EOF
		}
		if !c.stillAlive(err) {
			return err
		}
	}
}

// account publishes the totals of what was read, once a batch.
func (c *Conn) account() {
	if c.inPackets > 0 {
		c.lastPacket.Store(time.Now().UnixNano())
		c.packetsIn.Add(c.inPackets)
	}
	c.bytesIn.Add(c.inBytes)
	c.inPackets, c.inBytes = 0, 0
}

// stillAlive handles an expired read deadline: it is set only once an interval, so it may have
// been overtaken by packets.
func (c *Conn) stillAlive(err error) bool {
	if c.sock == nil && c.wait == nil || c.keep == 0 || c.receiver == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.Closing() {
		return false
	}
	due := time.Unix(0, c.lastPacket.Load()).Add(c.keep)
	if !time.Now().Before(due) {
		return false
	}
	return c.nc.SetReadDeadline(due) == nil
}

func (c *Conn) readSome() (int, error) {
	switch {
	case c.sock != nil:
		if err := c.sock.Read(c.rawIn); err != nil {
			return 0, err
		}
		return max(c.rn, 0), c.rerr
	case c.wait != nil:
		return c.wait.ReadReady(c.readBuffer)
	}
	c.extendDeadline()
	if c.rb == nil {
		if c.small == nil {
			c.small = make([]byte, idleSize)
		}
		c.rb = c.small
	}
	if c.w == len(c.rb) { // a packet that does not fit, or a busy connection
		p := readPool.Get().(*[]byte)
		c.w = copy(*p, c.rb[c.r:c.w])
		c.r, c.rb, c.pooled = 0, *p, p
	}
	n, err := c.nc.Read(c.rb[c.w:])
	if n == idleSize && c.pooled == nil {
		p := readPool.Get().(*[]byte)
		copy(*p, c.rb[:c.w+n])
		c.rb, c.pooled = *p, p
	}
	return n, err
}

// extendDeadline keeps the read deadline of TLS and WebSocket connections ahead. They do not
// survive an expired one, so it cannot be corrected afterwards as stillAlive does.
func (c *Conn) extendDeadline() {
	if c.keep == 0 || c.receiver == nil || c.Closing() {
		return
	}
	if now := time.Now(); now.Sub(c.extended) > c.keep/8 {
		c.extended = now
		_ = c.nc.SetReadDeadline(now.Add(c.keep + c.keep/8))
	}
}

// readBuffer is where to read to: a pooled buffer if there is none.
func (c *Conn) readBuffer() []byte {
	if c.rb == nil {
		c.pooled = readPool.Get().(*[]byte)
		c.rb = *c.pooled
	}
	return c.rb[c.w:]
}

// rawReadFD runs inside RawConn.Read: it takes a buffer when there are bytes and gives it back
// when there are none.
func (c *Conn) rawReadFD(fd uintptr) bool {
	b := c.readBuffer()
	for {
		c.rn, c.rerr = unix.Read(int(fd), b)
		switch {
		case errors.Is(c.rerr, unix.EINTR):
			continue
		case errors.Is(c.rerr, unix.EAGAIN):
			if c.r == c.w {
				c.releaseRead()
			}
			return false
		}
		return true
	}
}

func (c *Conn) releaseRead() {
	if c.pooled != nil {
		readPool.Put(c.pooled)
	}
	c.rb, c.pooled, c.r, c.w = nil, nil, 0, 0
}
