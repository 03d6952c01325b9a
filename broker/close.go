package broker

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/tarsd/tarsd/internal/wire"
)

// How long a close may take: lingerWrite for what is still to be written, lingerRead for the
// peer to read it before the socket goes (closing with unread input would send a reset, and
// the peer would lose the DISCONNECT with the reason).
const (
	lingerWrite = 200 * time.Millisecond
	lingerRead  = 300 * time.Millisecond
	lingerBytes = 1 << 20
)

// Disconnect ends the connection from the server's side: a DISCONNECT with the code for MQTT 5,
// then Close. It does not block and may be called from any goroutine.
func (c *Conn) Disconnect(code wire.Code, reason string) {
	c.setReason(reason)
	if c.greeted.Load() && c.version >= wire.V5 {
		text := reason
		if c.connect.NoProblemInfo {
			text = "" // [MQTT-3.1.2-29]
		}
		c.AppendRaw(wire.AppendDisconnect(nil, code, text), noPublish, false)
	}
	_ = c.Close()
}

// Close flushes what is pending, within bounds, and closes the socket. It does not block; the
// reader wakes at once.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return nil
	}
	c.closing = true
	c.mu.Unlock()
	c.Flush()
	c.mu.Lock()
	idle := !c.flushing && c.pending == 0
	c.mu.Unlock()
	if idle && c.disconnect.Load() != nil {
		return c.shut() // the client said goodbye: it does not wait for anything
	}
	_ = c.nc.SetReadDeadline(time.Now())
	c.b.spawn(c.linger)
	return nil
}

// linger ends a connection whose peer should still read something.
func (c *Conn) linger() {
	defer func() { _ = c.shut() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(lingerWrite)
	for c.flushingNow() && time.Now().Before(end) {
		<-tick.C
	}
	if c.flushingNow() {
		return // a peer that reads nothing; CloseWrite of TLS would wait for the writer
	}
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	select {
	case <-c.done:
	case <-time.After(lingerRead):
		return // the reader is busy; it must not be joined by a second one
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerRead))
	_, _ = io.CopyN(io.Discard, c.nc, lingerBytes)
}

func (c *Conn) flushingNow() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flushing && !c.closed
}

func (c *Conn) shut() error {
	c.mu.Lock()
	c.closed = true
	if !c.flushing {
		c.freeOut()
	}
	c.mu.Unlock()
	err := c.nc.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
