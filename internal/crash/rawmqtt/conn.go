package rawmqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// ErrRefused says that the broker answered CONNECT with a reason code other than 0.
var ErrRefused = errors.New("connection refused by the broker")

// handshakeLimit bounds CONNECT to CONNACK, so that a broker that hangs is a failure and
// not a test that never ends.
const handshakeLimit = 30 * time.Second

// Conn is one connection. Next belongs to one goroutine; Queue, Flush and Close may be
// called from any. A goroutine of its own writes, so that a caller that answers what it
// reads can never stop reading because its answers do not get through: two ends that
// both wait in Write would hang each other.
type Conn struct {
	Version byte
	Info    ConnackInfo

	nc net.Conn
	r  *Reader

	mu      sync.Mutex // guards what follows
	wake    sync.Cond
	out     []byte // queued, not yet taken by the writer
	flush   bool
	last    bool // the writer ends when it has written what is queued
	closed  bool
	writing sync.WaitGroup // the writer goroutine; Close waits for it
}

// Dial opens a TCP connection to addr and exchanges CONNECT and CONNACK.
func Dial(ctx context.Context, addr string, o ConnectOptions) (*Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return Handshake(nc, o)
}

// Handshake exchanges CONNECT and CONNACK over nc and takes it over; it closes nc if that
// fails. A refusal wraps ErrRefused.
func Handshake(nc net.Conn, o ConnectOptions) (*Conn, error) {
	if o.Version == 0 {
		o.Version = V311
	}
	c := &Conn{Version: o.Version, nc: nc, r: NewReader(nc, 64<<10)}
	c.wake.L = &c.mu
	if err := c.handshake(o); err != nil {
		nc.Close()
		return nil, err
	}
	c.writing.Go(c.write)
	return c, nil
}

func (c *Conn) handshake(o ConnectOptions) error {
	if err := c.nc.SetDeadline(time.Now().Add(handshakeLimit)); err != nil {
		return err
	}
	if _, err := c.nc.Write(AppendConnect(nil, o)); err != nil {
		return err
	}
	f, err := c.r.Next()
	if err != nil {
		return fmt.Errorf("wait for CONNACK: %w", err)
	}
	if c.Info, err = f.Connack(o.Version); err != nil {
		return err
	}
	if c.Info.Code != 0 {
		return fmt.Errorf("%w: code %#02x", ErrRefused, c.Info.Code)
	}
	return c.nc.SetDeadline(time.Time{})
}

// Next reads one packet and waits for it as long as the read deadline allows.
func (c *Conn) Next() (Frame, error) { return c.r.Next() }

// Buffered says how many bytes Next can use without waiting.
func (c *Conn) Buffered() int { return c.r.Buffered() }

// Wait says whether something to read arrives within d. Unlike a read deadline it never
// leaves half a packet behind.
func (c *Conn) Wait(d time.Duration) (bool, error) {
	if c.r.Buffered() > 0 {
		return true, nil
	}
	if err := c.nc.SetReadDeadline(time.Now().Add(d)); err != nil {
		return false, err
	}
	_, err := c.r.r.Peek(1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
		if c.r.Buffered() == 0 {
			return false, c.nc.SetReadDeadline(time.Time{})
		}
	}
	if err != nil {
		return false, err
	}
	return true, c.nc.SetReadDeadline(time.Time{})
}

// SetReadDeadline bounds Next.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.nc.SetReadDeadline(t) }

// Queue lets add append packets to the output; they leave at the next Flush. It returns
// how many bytes wait.
func (c *Conn) Queue(add func(b []byte) []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = add(c.out)
	return len(c.out)
}

// Flush hands the queued packets to the writer and returns at once.
func (c *Conn) Flush() {
	c.mu.Lock()
	c.flush = true
	c.mu.Unlock()
	c.wake.Signal()
}

// Send queues and flushes.
func (c *Conn) Send(add func(b []byte) []byte) {
	c.Queue(add)
	c.Flush()
}

// write is the writer goroutine: it ends with the connection.
func (c *Conn) write() {
	var spare []byte
	for {
		c.mu.Lock()
		for !c.closed && !c.last && !(c.flush && len(c.out) > 0) {
			c.wake.Wait()
		}
		if c.closed || c.last && len(c.out) == 0 {
			c.mu.Unlock()
			return
		}
		b := c.out
		c.out, c.flush = spare[:0], false
		c.mu.Unlock()
		if _, err := c.nc.Write(b); err != nil {
			return // the reader sees the end of the connection too
		}
		spare = b
	}
}

// Finish writes what is queued and a DISCONNECT, and closes. It gives a broker that does
// not read five seconds.
func (c *Conn) Finish() {
	c.mu.Lock()
	c.out = AppendEmpty(c.out, Disconnect)
	c.last = true
	c.mu.Unlock()
	c.wake.Signal()
	_ = c.nc.SetWriteDeadline(time.Now().Add(5 * time.Second)) // fails only on a closed connection
	c.writing.Wait()
	c.Close()
}

// Close cuts the connection off without a DISCONNECT and drops what is queued.
func (c *Conn) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.wake.Broadcast()
	c.nc.Close()
	c.writing.Wait()
}
