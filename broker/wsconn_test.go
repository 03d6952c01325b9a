package broker

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// streamServer hands the connection to the test.
func streamServer() (Server, chan net.Conn) {
	conns := make(chan net.Conn, 1)
	return serverFunc(func(nc net.Conn, _ Info) {
		ended := make(chan struct{})
		conns <- &endConn{nc, ended}
		<-ended
	}), conns
}

// endConn tells its Server when it is closed.
type endConn struct {
	net.Conn
	ended chan struct{}
}

// Close implements net.Conn.
func (c *endConn) Close() error {
	err := c.Conn.Close()
	close(c.ended)
	return err
}

func TestWebSocketStream(t *testing.T) {
	t.Parallel()
	s, conns := streamServer()
	_, url := webServer(t, s, WebSocketOptions{})
	ws := dialWS(t, url)
	nc := <-conns
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))

	// Messages of all kinds of length, an empty one, one in three frames, a ping within it.
	var want strings.Builder
	send := func(n int) {
		p := strings.Repeat(string(rune('a'+want.Len()%26)), n)
		want.WriteString(p)
		require.NoError(t, ws.WriteMessage(websocket.BinaryMessage, []byte(p)))
	}
	for _, n := range []int{1, 0, 125, 126, 127, 4000, 5000, 65535, 65536, 100_000, 2} {

		send(n)
	}
	w, err := ws.NextWriter(websocket.BinaryMessage)
	require.NoError(t, err)
	for range 3 {
		p := strings.Repeat("z", 5000) // more than the client's buffer: a frame of its own
		want.WriteString(p)
		_, err = io.WriteString(w, p)
		require.NoError(t, err)
		require.NoError(t, ws.WriteControl(websocket.PingMessage, []byte("now"), time.Now().Add(time.Second)))
	}
	require.NoError(t, w.Close())
	send(7)
	got := make([]byte, want.Len())
	_, err = io.ReadFull(nc, got)
	require.NoError(t, err)
	assert.Equal(t, want.String(), string(got))

	// One Write is one binary message.
	pongs := 0
	ws.SetPongHandler(func(s string) error { assert.Equal(t, "now", s); pongs++; return nil })
	for _, n := range []int{1, 200, 70_000} {
		k, err := nc.Write(make([]byte, n))
		require.NoError(t, err)
		require.Equal(t, n, k)
		kind, p, err := ws.ReadMessage()
		require.NoError(t, err)
		require.Equal(t, websocket.BinaryMessage, kind)
		require.Len(t, p, n)
	}
	assert.Equal(t, 3, pongs)
}

// Small messages that have arrived together are read together: they cost one flush.
func TestWebSocketCoalesces(t *testing.T) {
	t.Parallel()
	s, conns := streamServer()
	_, url := webServer(t, s, WebSocketOptions{})
	ws := dialWS(t, url)
	nc := <-conns
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	var frames []byte
	for i := range 10 {
		frames = append(frames, 0x82, 0x80|4, 0, 0, 0, 0) // masked with zeros
		frames = fmt.Appendf(frames, "%04d", i)
	}
	frames = append(frames, 0x89, 0x80, 0, 0, 0, 0)                 // a ping
	frames = append(frames, 0x82, 0x80|2, 0, 0, 0, 0, 'x', 'y')     // after it
	frames = append(frames, 0x82, 0x80|2, 0, 0, 0, 0, 'h', 'a', 88) // and a bit of something
	_, err := ws.NetConn().Write(frames[:len(frames)-1])
	require.NoError(t, err)
	p := make([]byte, 1000)
	n, err := nc.Read(p)
	require.NoError(t, err)
	assert.Equal(t, "0000000100020003000400050006000700080009", string(p[:n]))
	n, err = nc.Read(p)
	require.NoError(t, err)
	assert.Equal(t, "xy", string(p[:n]))
	n, err = nc.Read(p)
	require.NoError(t, err)
	assert.Equal(t, "ha", string(p[:n]))
}

func TestWebSocketCloseCodes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		send func(*testing.T, *websocket.Conn)
		read error // what the server's Read gives; nil: any
		code int
	}{
		{"text", func(t *testing.T, ws *websocket.Conn) {
			require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte("hello")))
		}, errText, websocket.CloseUnsupportedData},
		{"too large", func(t *testing.T, ws *websocket.Conn) {
			require.NoError(t, ws.WriteMessage(websocket.BinaryMessage, make([]byte, 1001)))
		}, websocket.ErrReadLimit, websocket.CloseMessageTooBig},
		{"too large in pieces", func(t *testing.T, ws *websocket.Conn) {
			_, _ = ws.NetConn().Write([]byte{0x02, 0xfe, 3, 0, 0, 0, 0, 0}) // 768 bytes, to be continued
			_, _ = ws.NetConn().Write(make([]byte, 768))
			_, _ = ws.NetConn().Write([]byte{0x80, 0xfe, 3, 0, 0, 0, 0, 0})
		}, websocket.ErrReadLimit, websocket.CloseMessageTooBig},
		{"protocol error", func(t *testing.T, ws *websocket.Conn) {
			_, _ = ws.NetConn().Write([]byte{0x82, 1, 'x'}) // not masked
		}, nil, websocket.CloseProtocolError},
		{"normal", func(t *testing.T, ws *websocket.Conn) {
			require.NoError(t, ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second)))
		}, io.EOF, websocket.CloseNormalClosure},
		{"page left", func(t *testing.T, ws *websocket.Conn) {
			require.NoError(t, ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1001, ""), time.Now().Add(time.Second)))
		}, io.EOF, websocket.CloseGoingAway},
		{"without a code", func(t *testing.T, ws *websocket.Conn) {
			require.NoError(t, ws.WriteControl(websocket.CloseMessage, nil, time.Now().Add(time.Second)))
		}, io.EOF, websocket.CloseNoStatusReceived},
		{"socket closed", func(t *testing.T, ws *websocket.Conn) {
			require.NoError(t, ws.NetConn().(*net.TCPConn).CloseWrite())
		}, io.ErrUnexpectedEOF, websocket.CloseNormalClosure},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, conns := streamServer()
			_, url := webServer(t, s, WebSocketOptions{MaxMessage: 1000})
			ws := dialWS(t, url)
			nc := <-conns
			defer func() { _ = nc.Close() }()
			_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
			tc.send(t, ws)
			_, err := io.ReadFull(nc, make([]byte, 4000))
			require.Error(t, err)
			for range 1100 { // the library panics after 1000
				_, again := nc.Read(make([]byte, 1))
				require.Error(t, again)
				err = again
			}
			if tc.read != nil {
				assert.ErrorIs(t, err, tc.read)
			}
			if tc.name == "socket closed" {
				_ = nc.(*endConn).Conn.Close()
			}
			assert.Equal(t, tc.code, closeCode(t, ws))
		})
	}
}

// Closing from our side: a close frame, and the peer's answer is waited for.
func TestWebSocketServerCloses(t *testing.T) {
	t.Parallel()
	for _, code := range []int{websocket.CloseNormalClosure, websocket.CloseGoingAway} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			s, conns := streamServer()
			h, url := webServer(t, s, WebSocketOptions{})
			ws := dialWS(t, url)
			nc := (<-conns).(*endConn)
			defer func() { _ = nc.Close() }()
			if code == websocket.CloseGoingAway {
				h.Close()
				_, resp, err := mqttDialer().Dial(url, nil)
				require.Error(t, err)
				_ = resp.Body.Close()
				assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
			}
			// What the linger of the broker does.
			require.NoError(t, nc.SetReadDeadline(time.Now()))
			_, err := nc.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			c := nc.Conn.(*wsConn)
			require.NoError(t, c.CloseWrite())
			require.NoError(t, nc.SetReadDeadline(time.Now().Add(10*time.Second)))
			done := make(chan error, 1)
			go func() {
				_, err := io.CopyN(io.Discard, nc, 1000)
				done <- err
			}()
			assert.Equal(t, code, closeCode(t, ws))
			assert.ErrorIs(t, <-done, io.EOF, "the client's close frame is enough, it waits for us to close")
			_, err = nc.Write([]byte("x"))
			assert.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

// A timeout within a message is the end of reading, but the peer is still seen to go.
func TestWebSocketTimeoutInFrame(t *testing.T) {
	t.Parallel()
	s, conns := streamServer()
	_, url := webServer(t, s, WebSocketOptions{})
	ws := dialWS(t, url)
	nc := (<-conns).(*endConn)
	defer func() { _ = nc.Close() }()
	_, err := ws.NetConn().Write([]byte{0x82, 0x84, 0, 0, 0, 0, 'x'})
	require.NoError(t, err)
	p := make([]byte, 4)
	n, err := nc.Read(p)
	require.NoError(t, err)
	assert.Equal(t, "x", string(p[:n]))
	require.NoError(t, nc.SetReadDeadline(time.Now()))
	_, err = nc.Read(p)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, nc.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = nc.Read(p)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "sticky")
	require.NoError(t, nc.Conn.(*wsConn).CloseWrite())
	require.Equal(t, websocket.CloseNormalClosure, closeCode(t, ws))
	_ = ws.Close()
	_, err = nc.Read(p)
	require.ErrorIs(t, err, io.EOF)
}

// Close alone says goodbye too, and does not wait for a peer that does not read.
func TestWebSocketClose(t *testing.T) {
	t.Parallel()
	s, conns := streamServer()
	_, url := webServer(t, s, WebSocketOptions{})
	ws := dialWS(t, url)
	require.NoError(t, (<-conns).Close())
	assert.Equal(t, websocket.CloseNormalClosure, closeCode(t, ws))

	dialWS(t, url)
	nc := (<-conns).(*endConn)
	require.NoError(t, nc.SetWriteDeadline(time.Now().Add(time.Hour)))
	wrote := make(chan error, 1)
	go func() {
		for {
			if _, err := nc.Write(make([]byte, 1<<20)); err != nil {
				wrote <- err
				return
			}
		}
	}()
	require.Eventually(t, func() bool { // until a Write is stuck
		if !nc.Conn.(*wsConn).wmu.TryLock() {
			return true
		}
		nc.Conn.(*wsConn).wmu.Unlock()
		return false
	}, 10*time.Second, time.Millisecond)
	start := time.Now()
	require.NoError(t, nc.Close())
	assert.Less(t, time.Since(start), 5*time.Second)
	require.Error(t, <-wrote)
}

func TestWebSocketWriteDeadline(t *testing.T) {
	t.Parallel()
	s, conns := streamServer()
	_, url := webServer(t, s, WebSocketOptions{})
	dialWS(t, url)
	nc := <-conns
	defer func() { _ = nc.Close() }()
	require.NoError(t, nc.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
	for {
		if _, err := nc.Write(make([]byte, 1<<20)); err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			return
		}
	}
}

// upgraded makes the server's end of a connection whose handshake is over, without a socket.
func upgraded(t testing.TB, nc net.Conn) *wsConn {
	t.Helper()
	var c *wsConn
	r := httptest.NewRequest(http.MethodGet, "/mqtt", nil)
	for k, v := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13",
		"Sec-Websocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-Websocket-Protocol": "mqtt",
	} {
		r.Header.Set(k, v)
	}
	h := NewWebSocket(serverFunc(func(nc net.Conn, _ Info) { c = nc.(*wsConn) }), WebSocketOptions{MaxMessage: 1 << 16})
	h.ServeHTTP(&pipeWriter{httptest.NewRecorder(), nc}, r)
	h.Wait()
	require.NotNil(t, c)
	return c
}

// pipeWriter is a ResponseWriter that can be hijacked.
type pipeWriter struct {
	http.ResponseWriter
	nc net.Conn
}

// Hijack implements http.Hijacker.
func (w *pipeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.nc, bufio.NewReadWriter(bufio.NewReader(w.nc), bufio.NewWriter(w.nc)), nil
}

// FuzzWebSocketRead reads what a client may send, with and without the shortcut that knows
// where a message ends. Both must give the same stream and end in the same way.
func FuzzWebSocketRead(f *testing.F) {
	whole := []byte{0x82, 0x83, 0, 0, 0, 0, 1, 2, 3}
	f.Add(append(append(bytes.Clone(whole), 0x82, 0x80, 9, 9, 9, 9), whole...))
	f.Add([]byte{0x02, 0x81, 0, 0, 0, 0, 1, 0x89, 0x80, 0, 0, 0, 0, 0x80, 0x81, 0, 0, 0, 0, 2})
	f.Add(append([]byte{0x82, 0xfe, 0, 200, 1, 2, 3, 4}, make([]byte, 200)...))
	f.Add([]byte{0x81, 0x81, 0, 0, 0, 0, 'x'})
	f.Add([]byte{0x88, 0x82, 0, 0, 0, 0, 3, 0xe8})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > ringLarge {
			return // it would wait for the reader
		}
		read := func(shortcut bool) (string, string) {
			client, server := newPipe()
			defer func() { _, _ = client.Close(), server.Close() }()
			c := upgraded(t, server)
			if !shortcut {
				c.br = nil
			}
			_, err := client.Write(b)
			require.NoError(t, err)
			require.NoError(t, client.CloseWrite())
			got, err := io.ReadAll(c)
			return string(got), fmt.Sprint(err)
		}
		fast, fastErr := read(true)
		slow, slowErr := read(false)
		require.Equal(t, slow, fast)
		require.Equal(t, slowErr, fastErr)
	})
}
