package client

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// wsConn is a WebSocket as a byte stream. Each Write is one binary message. Reads come from one
// goroutine; writes may come from several.
type wsConn struct {
	net.Conn // for addresses and deadlines
	ws       *websocket.Conn
	r        io.Reader
	mu       sync.Mutex // writes
}

func newWSConn(ws *websocket.Conn) *wsConn { return &wsConn{Conn: ws.NetConn(), ws: ws} }

func (c *wsConn) Read(b []byte) (int, error) {
	for {
		if c.r == nil {
			kind, r, err := c.ws.NextReader()
			if err != nil {
				if websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived) {
					return 0, io.EOF
				}
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errors.New("text message on the WebSocket")
			}
			c.r = r
		}
		n, err := c.r.Read(b)
		if errors.Is(err, io.EOF) {
			c.r, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *wsConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ws.WriteMessage(websocket.BinaryMessage, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close says goodbye if that does not have to wait, and closes.
func (c *wsConn) Close() error {
	if c.mu.TryLock() { // otherwise a Write is stuck, and would keep us
		_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(100*time.Millisecond))
		c.mu.Unlock()
	}
	return c.ws.Close()
}
