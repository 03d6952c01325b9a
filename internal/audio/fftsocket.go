package audio

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Bounds of the spectrum socket.
const (
	fftClients = 32
	fftQueue   = 12 // frames: a second, after which a client is too slow
	fftPing    = 20 * time.Second
	fftWrite   = 5 * time.Second
)

// FFTSocket is the WebSocket by which the old pages get the spectrum: binary messages with JSON,
// {"fft":[0 to 1, ...],"ts":Unix seconds}. A new client gets the last one at once. What clients
// send is ignored.
type FFTSocket struct {
	path    string
	origins []string
	up      websocket.Upgrader

	mu      sync.Mutex // guards what follows
	clients map[*fftClient]struct{}
	last    []byte
	slow    uint64
	closed  bool

	wait sync.WaitGroup // two goroutines for each client
}

type fftClient struct {
	conn *websocket.Conn
	out  chan []byte // closed by whoever takes the client off the list
}

// NewFFTSocket returns a handler for path, such as /fft; on any other it closes with 1008, as the
// old one did. A page may use it if it comes from the same host or from one of origins, such as
// http://robot.local:5010; "*" lets every page. Programs, which send no origin, always may.
func NewFFTSocket(path string, origins []string) *FFTSocket {
	f := &FFTSocket{path: path, origins: origins, clients: map[*fftClient]struct{}{}}
	f.up = websocket.Upgrader{CheckOrigin: f.allowed, WriteBufferSize: 2048, ReadBufferSize: 512, HandshakeTimeout: fftWrite}
	return f
}

func (f *FFTSocket) allowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(f.origins, "*") || slices.Contains(f.origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// ServeHTTP implements http.Handler.
func (f *FFTSocket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	full := f.closed || len(f.clients) >= fftClients
	f.mu.Unlock()
	if full {
		http.Error(w, "too many clients", http.StatusServiceUnavailable)
		return
	}
	conn, err := f.up.Upgrade(w, r, nil)
	if err != nil {
		return // it has answered
	}
	if r.URL.Path != f.path {
		refuse(conn, websocket.ClosePolicyViolation, "Invalid path")
		return
	}
	f.admit(conn)
}

func refuse(conn *websocket.Conn, code int, reason string) {
	conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(fftWrite)) //nolint:errcheck // it is closed either way
	conn.Close()
}

func (f *FFTSocket) admit(conn *websocket.Conn) {
	c := &fftClient{conn: conn, out: make(chan []byte, fftQueue)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.clients) >= fftClients {
		refuse(conn, websocket.CloseTryAgainLater, "too many clients")
		return
	}
	if f.last != nil {
		c.out <- f.last
	}
	f.clients[c] = struct{}{}
	f.wait.Go(func() {
		f.write(c)
		conn.Close()
		f.remove(c)
	})
	f.wait.Go(func() {
		c.read()
		conn.Close()
		f.remove(c)
	})
}

// read ignores what the client sends, but sees it answer pings and leave.
func (c *fftClient) read() {
	c.conn.SetReadLimit(4096)
	alive := func(string) error { return c.conn.SetReadDeadline(time.Now().Add(2*fftPing + fftWrite)) }
	c.conn.SetPongHandler(alive)
	if alive("") != nil {
		return
	}
	for {
		if _, _, err := c.conn.NextReader(); err != nil {
			return
		}
	}
}

func (f *FFTSocket) write(c *fftClient) {
	ping := time.NewTicker(fftPing)
	defer ping.Stop()
	for {
		var err error
		select {
		case b, ok := <-c.out:
			if !ok {
				return
			}
			c.conn.SetWriteDeadline(time.Now().Add(fftWrite)) //nolint:errcheck // it never fails
			err = c.conn.WriteMessage(websocket.BinaryMessage, b)
		case <-ping.C:
			err = c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(fftWrite))
		}
		if err != nil {
			return
		}
	}
}

func (f *FFTSocket) remove(c *fftClient) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(c)
}

// drop takes a client off the list; mu is held.
func (f *FFTSocket) drop(c *fftClient) {
	if _, ok := f.clients[c]; ok {
		delete(f.clients, c)
		close(c.out)
	}
}

// Send gives bins of 0 to 1 to all clients, and drops those that are a second behind. It never waits.
func (f *FFTSocket) Send(bins []float64, at time.Time) error {
	b, err := json.Marshal(struct {
		FFT []float64 `json:"fft"`
		TS  float64   `json:"ts"`
	}{bins, float64(at.UnixMicro()) / 1e6})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = b
	for c := range f.clients {
		select {
		case c.out <- b:
		default:
			f.slow++
			f.drop(c)
			c.conn.Close()
		}
	}
	return nil
}

// Stats returns how many clients there are, and how many were dropped for being slow.
func (f *FFTSocket) Stats() (clients int, slow uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.clients), f.slow
}

// Close hangs up on all clients, and waits for them. The listener is the caller's.
func (f *FFTSocket) Close() error {
	f.mu.Lock()
	f.closed = true
	for c := range f.clients {
		f.drop(c)
		c.conn.Close()
	}
	f.mu.Unlock()
	f.wait.Wait()
	return nil
}
