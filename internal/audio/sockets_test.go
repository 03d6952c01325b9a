package audio

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func fanOut(t *testing.T, dir string) *FanOut {
	t.Helper()
	f, err := ListenFanOut(t.Context(), filepath.Join(dir, "tars/audio.sock"), 0o660)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tarsd")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestFanOut reads as the old wake process does: 1280 samples at a time, nothing else.
func TestFanOut(t *testing.T) {
	t.Parallel()
	f := fanOut(t, shortDir(t))
	info, err := os.Stat(f.path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o660), info.Mode().Perm())
	var conns []net.Conn
	for range 2 {
		c, err := net.Dial("unix", f.path)
		require.NoError(t, err)
		defer c.Close()
		conns = append(conns, c)
	}
	check, err := net.Dial("unix", f.path) // the old health check: connects and closes
	require.NoError(t, err)
	check.Close()
	require.Eventually(t, func() bool { n, _ := f.Stats(); return n == 2 }, 5*time.Second, time.Millisecond)
	conns[0].Write([]byte("ignored"))

	want := sweep(8*FrameLen, Rate, 8000)
	var closed int
	h := NewHub(HubOptions{Open: func(context.Context) (Source, error) {
		return &counter{until: 8, err: io.EOF, closed: &closed}, nil
	}})
	l := h.Listen(0)
	require.NoError(t, h.Run(t.Context()))
	require.NoError(t, f.Serve(t.Context(), l), "to the end of the sound")
	for _, fr := range frames(want, time.Now()) {
		f.Send(fr)
	}
	for _, c := range conns {
		b := make([]byte, 2*1280)
		for i := range 4 {
			_, err := io.ReadFull(c, b)
			require.NoError(t, err)
			if i >= 2 {
				assert.Equal(t, want[(i-2)*1280:][:1280], AppendSamples(nil, b))
			}
		}
	}
	require.NoError(t, f.Close())
	assert.NoFileExists(t, f.path)
	_, err = conns[0].Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF)
}

// TestFanOutSlow: who does not read is dropped, and holds nobody up (defect 19).
func TestFanOutSlow(t *testing.T) {
	t.Parallel()
	f := fanOut(t, shortDir(t))
	slow, err := net.Dial("unix", f.path)
	require.NoError(t, err)
	defer slow.Close()
	quick, err := net.Dial("unix", f.path)
	require.NoError(t, err)
	defer quick.Close()
	require.Eventually(t, func() bool { n, _ := f.Stats(); return n == 2 }, 5*time.Second, time.Millisecond)
	frame, b := Frame{PCM: make([]int16, FrameLen)}, make([]byte, 2*FrameLen)
	n := 0
	for dropped := uint64(0); dropped == 0; n++ {
		require.Less(t, n, 10000, "memory grows")
		f.Send(frame)
		_, err := io.ReadFull(quick, b)
		require.NoError(t, err)
		_, dropped = f.Stats()
	}
	left, _ := f.Stats()
	assert.Equal(t, 1, left)
	t.Logf("dropped after %s of sound", time.Duration(n)*FrameTime)
}

func TestFanOutPath(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	f := fanOut(t, dir)
	_, err := ListenFanOut(t.Context(), f.path, 0o600)
	assert.ErrorContains(t, err, "is served by another process")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "left")})
	require.NoError(t, err)
	ln.SetUnlinkOnClose(false)
	ln.Close()
	again, err := ListenFanOut(t.Context(), filepath.Join(dir, "left"), 0o600)
	require.NoError(t, err, "a crash left it behind")
	require.NoError(t, again.Close())
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	_, err = ListenFanOut(t.Context(), file, 0o600)
	assert.ErrorContains(t, err, "is no socket")
	assert.FileExists(t, file)
	_, err = ListenFanOut(t.Context(), filepath.Join(dir, "open"), 0o666)
	assert.ErrorContains(t, err, "mode 0666")
}

func TestFanOutFull(t *testing.T) {
	t.Parallel()
	f := fanOut(t, shortDir(t))
	var conns []net.Conn
	for range fanOutClients + 5 {
		c, err := net.Dial("unix", f.path)
		require.NoError(t, err)
		defer c.Close()
		conns = append(conns, c)
	}
	_, err := conns[len(conns)-1].Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF, "there are enough")
	n, _ := f.Stats()
	assert.Equal(t, fanOutClients, n)
}

func dialFFT(t *testing.T, srv *httptest.Server, path, origin string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	head := http.Header{}
	if origin != "" {
		head.Set("Origin", origin)
	}
	conn, res, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http")+path, head)
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, res, err
}

func TestFFTSocket(t *testing.T) {
	t.Parallel()
	f := NewFFTSocket("/fft", []string{"http://robot.local:5010"})
	srv := httptest.NewServer(f)
	defer srv.Close()
	first, _, err := dialFFT(t, srv, "/fft", "")
	require.NoError(t, err)
	require.NoError(t, first.WriteMessage(websocket.TextMessage, []byte("ignored")))
	require.Eventually(t, func() bool { n, _ := f.Stats(); return n == 1 }, 5*time.Second, time.Millisecond)
	require.NoError(t, f.Send([]float64{0, 0.5, 1}, time.UnixMilli(1762438467310)))
	read := func(c *websocket.Conn) {
		t.Helper()
		kind, b, err := c.ReadMessage()
		require.NoError(t, err)
		assert.Equal(t, websocket.BinaryMessage, kind, "as the old one sends them")
		var m map[string]any
		require.NoError(t, json.Unmarshal(b, &m))
		assert.Equal(t, map[string]any{"fft": []any{0.0, 0.5, 1.0}, "ts": 1762438467.31}, m)
	}
	read(first)
	for _, origin := range []string{"", "http://robot.local:5010", srv.URL} {
		late, _, err := dialFFT(t, srv, "/fft", origin)
		require.NoError(t, err, "origin %q", origin)
		read(late) // the last one, at once
	}
	for _, origin := range []string{"http://evil.example", "null", "http://robot.local"} {
		_, res, err := dialFFT(t, srv, "/fft", origin)
		require.Error(t, err)
		assert.Equal(t, http.StatusForbidden, res.StatusCode, "origin %q", origin)
	}
	wrong, _, err := dialFFT(t, srv, "/", "")
	require.NoError(t, err)
	_, _, err = wrong.ReadMessage()
	var ce *websocket.CloseError
	require.ErrorAs(t, err, &ce)
	assert.Equal(t, websocket.CloseError{Code: 1008, Text: "Invalid path"}, *ce)

	loud, _, err := dialFFT(t, srv, "/fft", "") // sends more than it may
	require.NoError(t, err)
	read(loud)
	loud.WriteMessage(websocket.BinaryMessage, make([]byte, 10000))
	require.Eventually(t, func() bool { n, _ := f.Stats(); return n == 4 }, 5*time.Second, time.Millisecond)
	require.NoError(t, f.Close())
	_, _, err = first.ReadMessage()
	require.Error(t, err)
	_, res, err := dialFFT(t, srv, "/fft", "")
	require.Error(t, err)
	assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
}

// TestFFTSocketSlow: a client that does not read is dropped, and holds nobody up.
func TestFFTSocketSlow(t *testing.T) {
	t.Parallel()
	f := NewFFTSocket("/fft", nil)
	srv := httptest.NewServer(f)
	defer srv.Close()
	defer f.Close()
	_, _, err := dialFFT(t, srv, "/fft", "")
	require.NoError(t, err)
	require.Eventually(t, func() bool { n, _ := f.Stats(); return n == 1 }, 5*time.Second, time.Millisecond)
	bins := make([]float64, 512)
	for n := 0; ; n++ {
		require.Less(t, n, 1_000_000, "memory grows")
		require.NoError(t, f.Send(bins, time.Now()))
		if _, slow := f.Stats(); slow == 1 {
			break
		}
	}
	left, _ := f.Stats()
	assert.Zero(t, left)
}
