package broker

import (
	"bufio"
	"context"
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
		{"chain on this machine", "203.0.113.9, 127.0.0.1, ::1", "203.0.113.9:0", 101},
		{"all on this machine", "127.0.0.1, ::1", "127.0.0.1:", 101},
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

	// A local proxy that names its client in another way only is not taken for the client.
	for _, name := range []string{"Forwarded", "X-Real-IP", "CF-Connecting-IP"} {
		r := httptest.NewRequest(http.MethodGet, "/mqtt", nil)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set(name, "203.0.113.9")
		_, ok := NewWebSocket(e, WebSocketOptions{}).info(r)
		assert.False(t, ok, name)
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
