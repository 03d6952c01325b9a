package broker

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Limits of the end of a connection.
const (
	wsControlTime = time.Second           // for a close frame that tells of an error
	wsCloseTime   = 50 * time.Millisecond // for the last one, when the peer may be stuck
	wsDrain       = 1 << 20               // bytes to read for the peer to see the close
)

// errText ends a connection that sends text; MQTT is binary [MQTT-6.0.0-1].
var errText = errors.New("websocket: text message")

// errBetween is a timeout between frames, after which reading can go on.
var errBetween = errors.New("websocket: timeout between frames")

// wsConn is a WebSocket connection as a stream of bytes: one Write is one binary message, and
// the bounds of inbound messages mean nothing [MQTT-6.0.0-2].
//
// Reads belong to one goroutine; all else may be called from any.
type wsConn struct {
	ws      *websocket.Conn
	br      *bufio.Reader // what ws reads from; nil if unknown
	info    Info
	closing *atomic.Bool // the endpoint is closed

	// Reading.
	msg  io.Reader // what is left of the current message; nil between messages
	left int       // its bytes; -1 if unknown, because it has more than one frame
	err  error     // sticky

	wmu       sync.Mutex   // one message at a time
	deadline  atomic.Int64 // of writes, Unix ns; 0 = none
	halfClose atomic.Bool
	closed    sync.Once
}

var _ net.Conn = (*wsConn)(nil)

// Read implements net.Conn. It waits for one message at most, but takes all that have arrived
// whole, so that a burst of small ones costs one flush and not many.
func (c *wsConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.err != nil {
		return 0, c.drain()
	}
	n := 0
	for n == 0 || n < len(p) && c.msg == nil && c.wholeFrame() {
		if c.msg == nil {
			err := c.next()
			if errors.Is(err, errBetween) {
				return n, os.ErrDeadlineExceeded // n is 0: later messages are there before next is called
			}
			if err != nil {
				c.err = err
				break
			}
		}
		k, err := c.readMessage(p[n:])
		n += k
		if err != nil {
			c.err = streamError(err)
			break
		}
	}
	if n > 0 {
		return n, nil // a sticky error comes next time
	}
	return 0, c.err
}

// next waits for a message. A timeout between frames is not sticky: the reader of a connection
// that we close wakes by it, and the peer's close frame is still to be read.
func (c *wsConn) next() error {
	if c.br != nil {
		if _, err := c.br.Peek(2); errors.Is(err, os.ErrDeadlineExceeded) {
			return errBetween
		} // other errors the library will find too
	}
	c.left = c.peekFrame()
	kind, msg, err := c.ws.NextReader()
	switch {
	case err != nil:
		return streamError(err)
	case kind != websocket.BinaryMessage:
		c.sendClose(websocket.CloseUnsupportedData, "binary messages only", wsControlTime)
		return errText
	}
	c.msg = msg
	if c.left == 0 {
		c.msg = nil // an empty message
	}
	return nil
}

// readMessage reads from the current message, if there is one, and forgets it at its end.
func (c *wsConn) readMessage(p []byte) (int, error) {
	if c.msg == nil {
		return 0, nil
	}
	n, err := c.msg.Read(p)
	if err == io.EOF {
		c.msg = nil
		return n, nil
	}
	if c.left > 0 {
		if c.left -= n; c.left == 0 {
			c.msg = nil
		}
	}
	return n, err
}

// peekFrame waits for the start of the next frame and gives its length if it is a whole binary
// message, else -1. Errors are left for the next read to find.
func (c *wsConn) peekFrame() int {
	if c.br == nil {
		return -1
	}
	b, err := c.br.Peek(2)
	if err != nil || b[0] != 0x80|websocket.BinaryMessage {
		return -1
	}
	switch n := int(b[1] & 0x7f); n {
	case 126:
		if b, err = c.br.Peek(4); err != nil {
			return -1
		}
		return int(b[2])<<8 | int(b[3])
	case 127: // the 8 byte length: worth no code, the end is found anyway
		return -1
	default:
		return n
	}
}

// wholeFrame reports whether the next frame is a binary message that can be read without
// waiting.
func (c *wsConn) wholeFrame() bool {
	if c.br == nil || c.br.Buffered() < 4 {
		return false
	}
	n := c.peekFrame()
	header := 6
	if n > 125 {
		header = 8
	}
	return n >= 0 && c.br.Buffered() >= header+n
}

// drain is Read after an error. When the linger of a close wants to see the peer go, it must
// still read from the socket, which the library refuses after a timeout within a frame.
func (c *wsConn) drain() error {
	if c.halfClose.Load() {
		if _, err := io.CopyN(io.Discard, c.ws.NetConn(), wsDrain); err != nil {
			return err
		}
	}
	return c.err
}

// Write sends p as one binary message.
func (c *wsConn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	var deadline time.Time
	if t := c.deadline.Load(); t != 0 {
		deadline = time.Unix(0, t)
	}
	_ = c.ws.SetWriteDeadline(deadline)
	if err := c.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, streamError(err)
	}
	return len(p), nil
}

// CloseWrite starts the close handshake: the peer answers with a close frame, and nothing can
// be written any more.
func (c *wsConn) CloseWrite() error {
	c.halfClose.Store(true)
	return c.sendClose(c.closeCode(), "", wsCloseTime)
}

// Close closes the socket, after a close frame if none was sent yet.
func (c *wsConn) Close() error {
	err := net.ErrClosed
	c.closed.Do(func() {
		_ = c.sendClose(c.closeCode(), "", wsCloseTime)
		err = c.ws.NetConn().Close()
	})
	return err
}

func (c *wsConn) closeCode() int {
	if c.closing.Load() {
		return websocket.CloseGoingAway
	}
	return websocket.CloseNormalClosure
}

// sendClose sends a close frame unless one was sent before.
func (c *wsConn) sendClose(code int, text string, limit time.Duration) error {
	return c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Now().Add(limit))
}

// LocalAddr implements net.Conn.
func (c *wsConn) LocalAddr() net.Addr { return c.info.Local }

// RemoteAddr implements net.Conn.
func (c *wsConn) RemoteAddr() net.Addr { return c.info.Remote }

// SetDeadline implements net.Conn.
func (c *wsConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn. A read that has timed out within a message cannot be
// repeated.
func (c *wsConn) SetReadDeadline(t time.Time) error { return c.ws.NetConn().SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn. A write that has timed out cannot be repeated.
func (c *wsConn) SetWriteDeadline(t time.Time) error {
	ns := int64(0)
	if !t.IsZero() {
		ns = t.UnixNano()
	}
	c.deadline.Store(ns)
	return c.ws.NetConn().SetWriteDeadline(t) // for a write that goes on; the next one sets its own
}

// streamError says in terms of a stream what the library says in terms of WebSocket.
func streamError(err error) error {
	var ce *websocket.CloseError
	var ne net.Error
	switch {
	case errors.As(err, &ce):
		switch ce.Code {
		case websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived:
			return io.EOF
		case websocket.CloseAbnormalClosure: // no close frame: the socket ended
			return io.ErrUnexpectedEOF
		}
	case errors.Is(err, websocket.ErrCloseSent):
		return net.ErrClosed
	case errors.As(err, &ne) && ne.Timeout():
		return os.ErrDeadlineExceeded // the library hides it
	}
	return err
}
