package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func start(t *testing.T, o Options, so ServerOptions) *Server {
	t.Helper()
	h, err := New(o)
	require.NoError(t, err)
	s, err := Listen("127.0.0.1:0", h, so)
	require.NoError(t, err)
	serve(t, s)
	return s
}

func serve(t *testing.T, s *Server) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.NoError(t, s.Shutdown(ctx))
		require.NoError(t, <-done)
	})
}

// request asks the handler as a peer at remote which names host.
func request(t *testing.T, o Options, method, path, remote, host string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	h, err := New(o)
	require.NoError(t, err)
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr, r.Host = remote, host
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var told = Options{
	Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "figures") }),
	Health: func() Health {
		return Health{Status: Degraded, Reason: "disk full", Clients: 3, Since: time.Unix(9, 0).UTC(),
			Storage: Storage{Degraded: true, Reason: "no space left on device", Since: time.Unix(9, 0).UTC()},
			Peers:   []Peer{{Name: "stt", State: "disconnected", Since: time.Unix(9, 0).UTC(), Reason: "closed by peer"}}}
	},
	AllowedOrigins: []string{"https://robot.example"},
}

const (
	here  = "127.0.0.1:4000"
	there = "192.168.1.9:4000"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	open := told
	open.RemoteMetrics = true
	for _, c := range []struct {
		name, path, remote string
		o                  Options
		code               int
		body               string
	}{
		{"page", "/", here, told, 200, "<!doctype html>"},
		{"page from elsewhere", "/", there, told, 200, "<!doctype html>"},
		{"unknown", "/nothing", here, told, 404, ""},
		{"no listing", "/dist/", here, told, 404, ""},
		{"metrics", "/metrics", here, told, 200, "figures"},
		{"metrics over IPv6", "/metrics", "[::1]:4000", told, 200, "figures"},
		{"metrics over a unix socket", "/metrics", "@", told, 200, "figures"},
		{"metrics from elsewhere", "/metrics", there, told, 403, ""},
		{"metrics opened", "/metrics", there, open, 200, "figures"},
		{"no metrics", "/metrics", here, Options{}, 404, ""},
		{"no websocket", "/mqtt", here, Options{}, 404, ""},
		{"ready", "/readyz", there, Options{}, 200, `{"ready":true}`},
		{"not ready", "/readyz", there, Options{Ready: func() bool { return false }}, 503, `{"ready":false}`},
		{"healthy by default", "/healthz", there, Options{}, 200, `{"status":"ok"}`},
		{"degraded is an answer", "/healthz", there, told, 200, `{"status":"degraded"}`},
		{"peers for local ones", "/healthz", here, told, 200, `"peers":[{"name":"stt","state":"disconnected","up":false,`},
		{"failed", "/healthz", here, Options{Health: func() Health { return Health{Status: Failed} }}, 503, `"failed"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := request(t, c.o, "GET", c.path, c.remote, "localhost:5010")
			assert.Equal(t, c.code, w.Code)
			assert.Contains(t, w.Body.String(), c.body)
			assert.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
			assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		})
	}
}

func TestHealthDetails(t *testing.T) {
	t.Parallel()
	w := request(t, told, "GET", "/healthz", here, "localhost")
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	var got Health
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	assert.Equal(t, told.Health(), got)
}

func TestHostHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		remote, host string
		code         int
	}{
		{here, "localhost", 200},
		{here, "LOCALHOST.:5010", 200},
		{here, "page.localhost:5010", 200},
		{here, "127.0.0.1:5010", 200},
		{here, "[::1]:5010", 200},
		{here, "[::1]", 200},
		{here, "192.168.1.2:5010", 200},
		{here, "robot.example:5010", 200},
		{here, "evil.example", 421},
		{here, "evil.example:5010", 421},
		{here, "127.0.0.1.evil.example:5010", 421},
		{here, "localhost.evil.example", 421},
		{here, "", 421},
		{"[::ffff:127.0.0.1]:9", "evil.example", 421},
		{"@", "evil.example", 421},
		{there, "robot.local:5010", 200},
	} {
		w := request(t, told, "GET", "/readyz", c.remote, c.host)
		assert.Equal(t, c.code, w.Code, "%s asks for %q", c.remote, c.host)
	}
}

func TestCrossOriginWritesAreRefused(t *testing.T) {
	t.Parallel()
	reached := false
	o := Options{AllowedOrigins: told.AllowedOrigins, WebSocket: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })}
	w := request(t, o, "POST", "/mqtt", here, "localhost", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.False(t, reached)
	request(t, o, "POST", "/mqtt", here, "localhost", "Origin", "https://robot.example", "Sec-Fetch-Site", "cross-site")
	assert.True(t, reached)
}

func TestBadOrigin(t *testing.T) {
	t.Parallel()
	_, err := New(Options{AllowedOrigins: []string{"robot.example"}})
	require.ErrorContains(t, err, `allowed origin "robot.example"`)
	_, err = New(Options{AllowedOrigins: []string{"*"}})
	require.NoError(t, err)
}

// A WebSocket goes through the whole stack and is not cut by the limit on plain connections.
func TestWebSocketThroughTheMux(t *testing.T) {
	t.Parallel()
	up := websocket.Upgrader{Subprotocols: []string{"mqtt"}}
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if !assert.NoError(t, err) {
			return
		}
		defer ws.Close()
		for {
			kind, b, err := ws.ReadMessage()
			if err != nil {
				return
			}
			if ws.WriteMessage(kind, b) != nil {
				return
			}
		}
	})
	s := start(t, Options{WebSocket: echo}, ServerOptions{MaxConns: 1})
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	for range 3 { // three at once with one plain connection allowed: they do not count
		ws, resp, err := dialer.DialContext(t.Context(), "ws://"+s.Addr().String()+"/mqtt", nil)
		require.NoError(t, err)
		t.Cleanup(func() { ws.Close() })
		assert.Equal(t, "mqtt", resp.Header.Get("Sec-Websocket-Protocol"))
		require.NoError(t, ws.WriteMessage(websocket.BinaryMessage, []byte("packet")))
		_, b, err := ws.ReadMessage()
		require.NoError(t, err)
		assert.Equal(t, "packet", string(b))
	}
}

// Hijacking must clear the deadlines that the server put on the connection, or every WebSocket
// would end after half a minute.
func TestTimeoutsEndAtHijack(t *testing.T) {
	t.Parallel()
	const timeout = 50 * time.Millisecond
	up := websocket.Upgrader{}
	h, err := New(Options{WebSocket: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if !assert.NoError(t, err) {
			return
		}
		defer ws.Close()
		if _, _, err = ws.ReadMessage(); assert.NoError(t, err) {
			assert.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte("alive")))
		}
	})})
	require.NoError(t, err)
	s, err := Listen("127.0.0.1:0", h, ServerOptions{})
	require.NoError(t, err)
	s.http.ReadHeaderTimeout, s.http.ReadTimeout, s.http.WriteTimeout, s.http.IdleTimeout = timeout, timeout, timeout, timeout
	serve(t, s)
	ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+s.Addr().String()+"/mqtt", nil)
	require.NoError(t, err)
	defer ws.Close()
	<-time.After(3 * timeout) // the point of the test: all timeouts pass while nothing happens
	require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte("hello")))
	_, b, err := ws.ReadMessage()
	require.NoError(t, err)
	assert.Equal(t, "alive", string(b))
}

func TestServerLimits(t *testing.T) {
	t.Parallel()
	s := start(t, Options{}, ServerOptions{MaxConns: 2})
	var held []net.Conn
	for range 2 { // a request each, so that both are counted for sure
		nc, err := net.Dial("tcp", s.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { nc.Close() })
		_, err = io.WriteString(nc, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		_, err = http.ReadResponse(bufio.NewReader(nc), nil)
		require.NoError(t, err)
		held = append(held, nc)
	}
	third, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	defer third.Close()
	require.NoError(t, third.SetDeadline(time.Now().Add(5*time.Second)))
	answer, err := io.ReadAll(third)
	assert.Empty(t, answer)
	assert.NotErrorIs(t, err, os.ErrDeadlineExceeded, "one too many is closed at once")
	held[0].Close()
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + s.Addr().String() + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	}, 5*time.Second, 10*time.Millisecond)
}

func TestHugeHeaderIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, Options{}, ServerOptions{})
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.Addr().String()+"/", nil)
	require.NoError(t, err)
	r.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
}

func TestGate(t *testing.T) {
	t.Parallel()
	var asked, open atomic.Bool
	s := start(t, Options{}, ServerOptions{Allow: func(a net.Addr) bool {
		asked.Store(a != nil)
		return open.Load()
	}})
	_, err := http.Get("http://" + s.Addr().String() + "/readyz")
	require.Error(t, err)
	assert.True(t, asked.Load())
	open.Store(true)
	resp, err := http.Get("http://" + s.Addr().String() + "/readyz")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode)
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	s := start(t, Options{}, ServerOptions{})
	_, err := Listen(s.Addr().String(), http.NotFoundHandler(), ServerOptions{})
	require.ErrorContains(t, err, "address already in use")
}

// Shutdown waits for a request that runs, and returns without one that never ends.
func TestShutdown(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	h, err := New(Options{Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		fmt.Fprint(w, "done")
	})})
	require.NoError(t, err)
	s, err := Listen("127.0.0.1:0", h, ServerOptions{})
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	body := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + s.Addr().String() + "/metrics")
		if err != nil {
			body <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		body <- string(b)
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(t.Context()) }()
	require.NoError(t, <-served)
	close(release)
	require.NoError(t, <-stopped)
	assert.Equal(t, "done", <-body)
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	h, err := New(Options{Metrics: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})})
	require.NoError(t, err)
	s, err := Listen("127.0.0.1:0", h, ServerOptions{})
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	go func() {
		if resp, err := http.Get("http://" + s.Addr().String() + "/metrics"); err == nil {
			resp.Body.Close()
		}
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
	require.NoError(t, <-served)
}
