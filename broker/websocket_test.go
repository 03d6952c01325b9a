package broker

import (
	"bufio"
	"bytes"
	"context"
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

// mqttDialer asks for the subprotocol.
func mqttDialer() *websocket.Dialer {
	return &websocket.Dialer{Subprotocols: []string{"mqtt"}, HandshakeTimeout: 10 * time.Second}
}

// webServer serves an endpoint as the web mux does.
func webServer(t *testing.T, s Server, o WebSocketOptions) (*WebSocket, string) {
	t.Helper()
	h := NewWebSocket(s, o)
	srv := httptest.NewUnstartedServer(h)
	// Deadlines which must not outlive the handshake.
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
	srv.Start()
	t.Cleanup(func() {
		h.Close()
		srv.Close()
		h.Wait()
	})
	return h, "ws" + strings.TrimPrefix(srv.URL, "http") + "/mqtt"
}

func dialWS(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	ws, resp, err := mqttDialer().DialContext(t.Context(), url, nil)
	require.NoError(t, err)
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	return ws
}

func wsEchoes(t *testing.T, ws *websocket.Conn) {
	t.Helper()
	require.NoError(t, ws.WriteMessage(websocket.BinaryMessage, []byte("hello")))
	kind, got, err := ws.ReadMessage()
	require.NoError(t, err)
	assert.Equal(t, websocket.BinaryMessage, kind)
	assert.Equal(t, "hello", string(got))
}

// closeCode reads to the end and gives the code of the close frame.
func closeCode(t *testing.T, ws *websocket.Conn) int {
	t.Helper()
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			var ce *websocket.CloseError
			require.ErrorAs(t, err, &ce)
			return ce.Code
		}
	}
}

func TestAllowedOrigin(t *testing.T) {
	t.Parallel()
	own, err := os.Hostname()
	require.NoError(t, err)
	cases := []struct {
		name, host string
		origin     []string
		allowed    string
		want       bool
	}{
		{"no browser", "robot.example:5010", nil, "", true},
		{"address", "192.0.2.1:5010", []string{"http://192.0.2.1:5010"}, "", true},
		{"IPv6 address", "[2001:db8::1]:5010", []string{"http://[2001:db8::1]:5010"}, "", true},
		{"localhost", "localhost:5010", []string{"http://localhost:5010"}, "", true},
		{"short name", "Robot:5010", []string{"http://robot:5010"}, "", true},
		{"mDNS", "robot.local", []string{"https://robot.local"}, "", true},
		{"own host name", own + ":5010", []string{"http://" + own + ":5010"}, "", true},
		{"other port", "robot.local:5010", []string{"http://robot.local:8000"}, "", false},
		{"other host", "robot.local:5010", []string{"http://evil.example"}, "", false},
		{"DNS rebinding", "evil.example:5010", []string{"http://evil.example:5010"}, "", false},
		{"public name", "robot.example", []string{"https://robot.example"}, "https://robot.example", true},
		{"public name, with a slash", "x", []string{"https://robot.example"}, "https://Robot.example/", true},
		{"another scheme than allowed", "x", []string{"http://robot.example"}, "https://robot.example", false},
		{"prefix of allowed", "x", []string{"https://robot.example.evil.example"}, "https://robot.example", false},
		{"all", "x", []string{"https://anything.example"}, "*", true},
		{"file", "localhost", []string{"null"}, "", false},
		{"file, allowed", "localhost", []string{"null"}, "null", true},
		{"empty", "localhost", []string{""}, "", false},
		{"empty host", "", []string{"http://"}, "", false},
		{"two", "localhost", []string{"http://localhost", "http://evil.example"}, "", false},
		{"not a URL", "localhost", []string{"http://local host:%"}, "", false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/mqtt", nil)
			r.Host = tc.host
			if tc.origin != nil {
				r.Header["Origin"] = tc.origin
			}
			assert.Equal(t, tc.want, allowedOrigin(r, strings.Fields(tc.allowed)))
		})
	}
}

func TestWebSocketHandshake(t *testing.T) {
	t.Parallel()
	_, url := webServer(t, newEcho(), WebSocketOptions{})
	cases := []struct {
		name      string
		header    http.Header
		protocols []string
		status    int
		protocol  string
	}{
		{"mqtt", nil, []string{"mqtt"}, 101, "mqtt"},
		{"old name", nil, []string{"mqttv3.1"}, 101, "mqttv3.1"},
		{"both", nil, []string{"mqttv3.1", "mqtt"}, 101, "mqtt"},
		{"among others", nil, []string{"chat", "mqtt"}, 101, "mqtt"},
		{"in a second line", http.Header{"Sec-Websocket-Protocol": {"chat", "mqtt"}}, nil, 101, "mqtt"},
		{"none", nil, nil, 400, ""},
		{"other", nil, []string{"chat"}, 400, ""},
		{"foreign page", http.Header{"Origin": {"http://evil.example"}}, []string{"mqtt"}, 403, ""},
		{"own page", http.Header{"Origin": {"http" + strings.TrimSuffix(strings.TrimPrefix(url, "ws"), "/mqtt")}}, []string{"mqtt"}, 101, "mqtt"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := mqttDialer()
			d.Subprotocols = tc.protocols
			d.EnableCompression = true
			ws, resp, err := d.DialContext(t.Context(), url, tc.header)
			require.Equal(t, tc.status, resp.StatusCode)
			_ = resp.Body.Close()
			if tc.status != http.StatusSwitchingProtocols {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			defer func() { _ = ws.Close() }()
			assert.Equal(t, tc.protocol, resp.Header.Get("Sec-Websocket-Protocol"))
			assert.Empty(t, resp.Header.Get("Sec-Websocket-Extensions"), "no compression")
			wsEchoes(t, ws)
		})
	}

	resp, err := http.Get("http" + strings.TrimPrefix(url, "ws"))
	require.NoError(t, err)
	_ = resp.Body.Close()
	assert.Equal(t, http.StatusUpgradeRequired, resp.StatusCode)
	assert.Equal(t, "websocket", resp.Header.Get("Upgrade"))
}

func TestWebSocketInfo(t *testing.T) {
	t.Parallel()
	e := newEcho()
	_, url := webServer(t, e, WebSocketOptions{})
	cases := []struct {
		name, forwarded, remote string
		status                  int
	}{
		{"direct", "", "127.0.0.1:", 101},
		{"reverse proxy", "203.0.113.9", "203.0.113.9:0", 101},
		{"two proxies", "10.0.0.1, 203.0.113.9", "203.0.113.9:0", 101},
		{"with a port", "203.0.113.9:4711", "203.0.113.9:4711", 101},
		{"IPv6", "2001:db8::1", "[2001:db8::1]:0", 101},
		{"brackets", "[2001:db8::1]", "[2001:db8::1]:0", 101},
		{"claims to be local", "127.0.0.1, 203.0.113.9", "203.0.113.9:0", 101},
		{"unknown", "unknown", "", 400},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			header := http.Header{}
			if tc.forwarded != "" {
				header.Set("X-Forwarded-For", tc.forwarded)
			}
			ws, resp, err := mqttDialer().DialContext(t.Context(), url, header)
			require.Equal(t, tc.status, resp.StatusCode)
			_ = resp.Body.Close()
			if tc.status != http.StatusSwitchingProtocols {
				return
			}
			require.NoError(t, err)
			defer func() { _ = ws.Close() }()
			info := <-e.infos
			assert.True(t, strings.HasPrefix(info.Remote.String(), tc.remote), info.Remote)
			assert.Equal(t, url, info.Listener)
			assert.Equal(t, ws.RemoteAddr().String(), info.Local.String())
		})
	}

	// A header is believed from loopback only.
	r := httptest.NewRequest(http.MethodGet, "/mqtt", nil)
	r.RemoteAddr = "192.0.2.1:1"
	r.Header.Set("X-Forwarded-For", "127.0.0.1")
	info, ok := NewWebSocket(e, WebSocketOptions{}).info(r)
	require.True(t, ok)
	assert.Equal(t, "192.0.2.1:1", info.Remote.String())
}

func TestWebSocketAllow(t *testing.T) {
	t.Parallel()
	_, url := webServer(t, newEcho(), WebSocketOptions{Allow: func(a net.Addr) bool { return !a.(*net.TCPAddr).IP.IsLoopback() }})
	_, resp, err := mqttDialer().DialContext(t.Context(), url, nil)
	require.Error(t, err)
	_ = resp.Body.Close()
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
}

// The HTTP server's time limits end with the handshake.
func TestWebSocketNoDeadlineLeft(t *testing.T) {
	t.Parallel()
	waited := make(chan error, 1)
	_, url := webServer(t, serverFunc(func(nc net.Conn, _ Info) {
		defer func() { _ = nc.Close() }()
		_, err := nc.Read(make([]byte, 5))
		waited <- err
		_, _ = nc.Write([]byte("hello"))
	}), WebSocketOptions{})
	ws := dialWS(t, url)
	<-time.After(250 * time.Millisecond) // more than the server's 100 ms: this test is about time
	require.NoError(t, ws.WriteMessage(websocket.BinaryMessage, []byte("hello")))
	require.NoError(t, <-waited)
	_, got, err := ws.ReadMessage()
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
}

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

func TestListenWS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	f := newCertFiles(t, a)
	ct, err := NewTLS(f.cert, f.key, "", false)
	require.NoError(t, err)
	for _, scheme := range []string{"ws", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			e := newEcho()
			l := listen(t, scheme+"://127.0.0.1:0/deep/path", ListenOptions{TLS: ct, MaxMessage: 100}, e)
			d := mqttDialer()
			d.TLSClientConfig = a.client(t, "")
			ws, resp, err := d.DialContext(t.Context(), l.URL(), nil)
			require.NoError(t, err)
			_ = resp.Body.Close()
			defer func() { _ = ws.Close() }()
			wsEchoes(t, ws)
			info := <-e.infos
			assert.Equal(t, l.URL(), info.Listener)
			assert.Equal(t, ws.LocalAddr().String(), info.Remote.String())
			assert.Equal(t, scheme == "wss", info.TLS != nil)
			require.NoError(t, ws.WriteMessage(websocket.BinaryMessage, make([]byte, 101)))
			assert.Equal(t, websocket.CloseMessageTooBig, closeCode(t, ws))

			_, resp, err = d.DialContext(t.Context(), strings.TrimSuffix(l.URL(), "/path"), nil)
			require.Error(t, err)
			_ = resp.Body.Close()
			assert.Equal(t, http.StatusNotFound, resp.StatusCode)
			require.Eventually(t, func() bool { return l.caps.count() == 0 }, 10*time.Second, time.Millisecond)
		})
	}
}

// The handshake of a ws:// listener is bounded in time and size.
func TestListenWSLimits(t *testing.T) {
	t.Parallel()
	l := listen(t, "ws://127.0.0.1:0", ListenOptions{HandshakeTimeout: 100 * time.Millisecond}, newEcho())
	nc := dial(t, l)
	_, err := io.WriteString(nc, "GET /mqtt HTTP/1.1\r\nHost: x\r\n")
	require.NoError(t, err)
	ended(t, nc)

	l = listen(t, "ws://127.0.0.1:0", ListenOptions{}, newEcho())
	nc = dial(t, l)
	go func() { _, _ = io.WriteString(nc, "GET /mqtt HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 100_000)) }()
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err == nil { // or a reset has overtaken it
		assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
		_ = resp.Body.Close()
	}
}

// A ws:// listener behind a proxy, for the address of the client.
func TestListenWSProxy(t *testing.T) {
	t.Parallel()
	trust, err := NewProxyOptions([]string{"127.0.0.1"})
	require.NoError(t, err)
	e := newEcho()
	l := listen(t, "ws://127.0.0.1:0", ListenOptions{Proxy: trust}, e)
	d := mqttDialer()
	d.NetDialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			_, err = nc.Write(proxyFrom(t, "203.0.113.9:4711", "198.51.100.1:80"))
		}
		return nc, err
	}
	ws, resp, err := d.DialContext(t.Context(), l.URL(), nil)
	require.NoError(t, err)
	_ = resp.Body.Close()
	defer func() { _ = ws.Close() }()
	wsEchoes(t, ws)
	assert.Equal(t, "203.0.113.9:4711", (<-e.infos).Remote.String())
}

// Close tells served connections "going away" once the broker ends them, and waits for them.
func TestListenWSClose(t *testing.T) {
	t.Parallel()
	s, conns := streamServer()
	l, err := Listen("ws://127.0.0.1:0", ListenOptions{})
	require.NoError(t, err)
	l.Serve(s)
	ws := dialWS(t, l.URL())
	nc := <-conns
	require.NoError(t, l.Close())
	done := make(chan struct{})
	go func() { l.Wait(); close(done) }()
	select {
	case <-done:
		t.Fatal("Wait returned before its connection ended")
	default:
	}
	require.NoError(t, nc.Close())
	assert.Equal(t, websocket.CloseGoingAway, closeCode(t, ws))
	<-done
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
