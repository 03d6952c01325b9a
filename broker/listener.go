package broker

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// Limits of listeners.
const (
	acceptDelay     = 5 * time.Millisecond // wait after the first failed accept; doubles
	acceptDelayTop  = time.Second
	logEvery        = 10 * time.Second // at most one line of a kind per listener
	maxRequest      = 8 << 10          // header bytes of a WebSocket handshake
	defaultGreeting = 1024             // connections at once before TLS, PROXY or HTTP are through
	defaultSocket   = 0o660            // the mode of a unix socket
)

// ListenOptions of Listen. The zero value is usable for all but tls:// and wss://.
type ListenOptions struct {
	TLS   *TLS          // for tls:// and wss://
	Proxy *ProxyOptions // nil: the PROXY protocol is off
	// Allow is asked at accept, and again with the address that a proxy names: false closes at
	// once. May be nil.
	Allow            func(remote net.Addr) bool
	SocketMode       os.FileMode   // of a unix socket; 0 is 0660
	HandshakeTimeout time.Duration // for PROXY header and TLS, and again for the HTTP request; 0 is 5 s
	// Greeting is the number of connections at once that have not got through TLS, PROXY header
	// and HTTP request, and GreetingPerAddress the same for one address. The broker's own caps
	// count from there on. 0 is 1024 and a quarter of Greeting.
	Greeting, GreetingPerAddress int

	AllowedOrigins []string // for ws:// and wss://, see WebSocketOptions
	MaxMessage     int      // the same
	Log            zerolog.Logger
}

// Listener accepts connections on one address.
type Listener struct {
	addr   address
	ln     net.Listener
	o      ListenOptions
	remote net.Addr    // of all clients, if they have no address of their own
	socket os.FileInfo // of the unix socket, to remove no other
	caps   *caps       // of connections that are in greet

	acceptLog, greetLog lineLimit

	mu     sync.Mutex
	closed bool
	done   chan struct{}
	early  map[net.Conn]*greeting
	web    *WebSocket     // nil until Serve, and for all but ws:// and wss://
	loop   sync.WaitGroup // the accept loop
	wg     sync.WaitGroup // connections and the HTTP server
}

// greeting is a connection that is not served yet.
type greeting struct {
	info    Info
	release func()
}

// Listen binds an address, see parseURL. The listener does nothing until Serve.
func Listen(rawURL string, o ListenOptions) (*Listener, error) {
	a, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if a.secure() && o.TLS == nil {
		return nil, fmt.Errorf("listener %s: needs a certificate", a)
	}
	o.SocketMode = cmp.Or(o.SocketMode, defaultSocket)
	var ln net.Listener
	if a.scheme == "unix" {
		ln, err = listenUnix(a.path, o.SocketMode)
	} else {
		ln, err = listenTCP(a.host)
	}
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", a, bare(err))
	}
	return newListener(a, ln, o), nil
}

func newListener(a address, ln net.Listener, o ListenOptions) *Listener {
	o.HandshakeTimeout = cmp.Or(o.HandshakeTimeout, defaultHandshake)
	o.Greeting = cmp.Or(o.Greeting, defaultGreeting)
	o.GreetingPerAddress = cmp.Or(o.GreetingPerAddress, max(1, o.Greeting/4))
	l := &Listener{
		addr:  a,
		ln:    ln,
		o:     o,
		caps:  newCaps(o.Greeting, o.GreetingPerAddress),
		done:  make(chan struct{}),
		early: map[net.Conn]*greeting{},
	}
	if a.scheme == "unix" {
		l.remote = &net.UnixAddr{Name: a.path, Net: "unix"}
		l.socket, _ = os.Lstat(a.path)
	} else {
		l.addr.host = ln.Addr().String() // with the real port
	}
	return l
}

// URL is the real address, also when port 0 was asked for.
func (l *Listener) URL() string { return l.addr.String() }

// Serve accepts connections from now on and has s serve each on its own goroutine. It does not
// block, and is called once.
func (l *Listener) Serve(s Server) {
	pass := s.Serve
	if l.addr.websocket() {
		pass = l.serveWeb(s)
	}
	l.loop.Go(func() { l.accept(pass) })
}

// Close stops accepting and ends connections that are not served yet. Those that are served
// go on, until the broker ends them.
func (l *Listener) Close() error {
	err := l.close()
	l.loop.Wait()
	return err
}

func (l *Listener) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	close(l.done)
	if l.web != nil {
		l.web.Close()
	}
	err := l.ln.Close()
	for nc := range l.early {
		_ = nc.Close()
	}
	if l.socket != nil {
		if fi, serr := os.Lstat(l.addr.path); serr == nil && os.SameFile(fi, l.socket) {
			err = errors.Join(err, os.Remove(l.addr.path))
		}
	}
	return err
}

// Wait returns when all connections have ended. Call it after Close and Broker.Shutdown.
func (l *Listener) Wait() {
	l.loop.Wait()
	l.wg.Wait()
	l.mu.Lock()
	web := l.web
	l.mu.Unlock()
	if web != nil {
		web.Wait()
	}
}

// accept runs until the listener is closed. No error ends it: out of file descriptors or a
// connection that was reset before its turn pass.
func (l *Listener) accept(pass func(net.Conn, Info)) {
	delay := time.Duration(0)
	for {
		nc, err := l.ln.Accept()
		if err == nil {
			delay = 0
			l.begin(nc, pass)
			continue
		}
		select {
		case <-l.done:
			return
		default:
		}
		delay = min(max(2*delay, acceptDelay), acceptDelayTop)
		if skipped, ok := l.acceptLog.next(); ok {
			l.o.Log.Error().Str("listener", l.URL()).Err(err).Int("skipped", skipped).Msg("accept failed, goes on")
		}
		t := time.NewTimer(delay)
		select {
		case <-l.done:
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// begin decides about a new connection without waiting for it.
func (l *Listener) begin(nc net.Conn, pass func(net.Conn, Info)) {
	info := Info{Listener: l.URL(), Remote: nc.RemoteAddr(), Local: nc.LocalAddr()}
	if l.remote != nil {
		info.Remote = l.remote
	}
	proxied := l.o.Proxy.trusts(info.Remote)
	if !proxied && !l.allowed(info.Remote) {
		_ = nc.Close()
		return
	}
	if !proxied && !l.addr.secure() && !l.addr.websocket() {
		l.wg.Go(func() { pass(nc, info) })
		return
	}
	counted := info
	if proxied {
		counted.Remote = nil // all its clients have the one address until they are known
	}
	release, reason := l.caps.enter(counted)
	if reason == "" && !l.enter(nc, &greeting{info, release}) {
		release()
		reason = "closed"
	}
	if reason != "" {
		l.refused(info, errors.New(reason))
		_ = nc.Close()
		return
	}
	l.wg.Go(func() { l.greet(nc, info, proxied, pass) })
}

func (l *Listener) allowed(a net.Addr) bool { return l.o.Allow == nil || l.o.Allow(a) }

// enter remembers a connection that is not served yet, so that Close ends it. False: closed.
func (l *Listener) enter(nc net.Conn, g *greeting) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.early[nc] = g
	return true
}

// leave forgets it. False: it was not known, or the listener is closed.
func (l *Listener) leave(nc net.Conn) bool {
	l.mu.Lock()
	g := l.early[nc]
	delete(l.early, nc)
	open := !l.closed
	l.mu.Unlock()
	if g == nil {
		return false
	}
	g.release()
	return open
}

// replace puts conn, which wraps nc, in its place. False: the listener is closed, and so is nc.
func (l *Listener) replace(nc, conn net.Conn, info Info) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.early[nc]
	delete(l.early, nc)
	if g == nil || l.closed {
		if g != nil {
			g.release()
		}
		return false
	}
	g.info = info
	l.early[conn] = g
	return true
}

func (l *Listener) earlyInfo(nc net.Conn) Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.early[nc]; g != nil {
		return g.info
	}
	return Info{Listener: l.URL(), Remote: nc.RemoteAddr(), Local: nc.LocalAddr()} // closed meanwhile
}

// greet reads the PROXY header and does the TLS handshake, then passes the connection on.
func (l *Listener) greet(nc net.Conn, info Info, proxied bool, pass func(net.Conn, Info)) {
	_ = nc.SetDeadline(time.Now().Add(l.o.HandshakeTimeout))
	conn, err := l.unwrap(nc, &info, proxied)
	if err != nil {
		l.leave(nc)
		l.refused(info, err)
		_ = nc.Close()
		return
	}
	_ = nc.SetDeadline(time.Time{})
	if l.addr.websocket() {
		if l.replace(nc, conn, info) {
			pass(conn, info) // which leaves when the HTTP request is through
		}
		return
	}
	if !l.leave(nc) {
		_ = nc.Close()
		return
	}
	if t, ok := conn.(*tls.Conn); ok {
		conn = tlsConn{t}
	}
	pass(conn, info)
}

// unwrap gives the connection under the PROXY header and within TLS.
func (l *Listener) unwrap(nc net.Conn, info *Info, proxied bool) (net.Conn, error) {
	if proxied {
		h, err := readProxy(nc)
		if err != nil {
			return nil, err
		}
		h.apply(info)
		if !l.allowed(info.Remote) {
			return nil, errors.New("this address may not connect")
		}
	}
	if !l.addr.secure() {
		return nc, nil
	}
	t, err := l.o.TLS.handshake(nc, l.addr.websocket(), l.o.Log)
	if err != nil {
		return nil, err
	}
	state := t.ConnectionState()
	info.TLS = &state
	return t, nil
}

// refused logs the end of a connection that got no further than greet. Port scanners and health
// checks, which connect and go, are not worth a line.
func (l *Listener) refused(info Info, err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
		l.o.Log.Debug().Str("listener", info.Listener).Str("remote", info.Remote.String()).Err(err).Msg("connection refused")
		return
	}
	if skipped, ok := l.greetLog.next(); ok {
		l.o.Log.Warn().Str("listener", info.Listener).Str("remote", info.Remote.String()).Err(err).Int("skipped", skipped).Msg("connection refused")
	}
}

// lineLimit lets one log line through in each logEvery.
type lineLimit struct {
	mu      sync.Mutex
	last    time.Time
	skipped int
}

// next reports whether a line may be written, and how many were not since the last one.
func (l *lineLimit) next() (skipped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.last.IsZero() && now.Sub(l.last) < logEvery {
		l.skipped++
		return 0, false
	}
	skipped, l.last, l.skipped = l.skipped, now, 0
	return skipped, true
}

// serveWeb starts an HTTP server for the WebSocket handshakes and gives the function that
// hands it connections.
func (l *Listener) serveWeb(s Server) func(net.Conn, Info) {
	h := NewWebSocket(s, WebSocketOptions{
		AllowedOrigins:   l.o.AllowedOrigins,
		MaxMessage:       l.o.MaxMessage,
		HandshakeTimeout: l.o.HandshakeTimeout,
		Log:              l.o.Log,
	})
	l.mu.Lock()
	l.web = h
	if l.closed {
		h.Close()
	}
	l.mu.Unlock()
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.EscapedPath() != l.addr.path {
				http.NotFound(w, r)
				return
			}
			h.ServeHTTP(w, r)
		}),
		ReadTimeout:    l.o.HandshakeTimeout,
		WriteTimeout:   l.o.HandshakeTimeout,
		MaxHeaderBytes: maxRequest,
		ErrorLog:       stdlog.New(io.Discard, "", 0), // bytes of strangers
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return withInfo(ctx, l.earlyInfo(nc))
		},
		ConnState: func(nc net.Conn, state http.ConnState) {
			if state == http.StateHijacked || state == http.StateClosed {
				l.leave(nc)
				l.wg.Done()
			}
		},
	}
	srv.SetKeepAlivesEnabled(false)
	feed := &connFeed{addr: l.ln.Addr(), conns: make(chan net.Conn), done: l.done}
	l.wg.Go(func() { _ = srv.Serve(feed) }) // until Close
	return func(nc net.Conn, _ Info) {
		l.wg.Add(1) // for the HTTP server's goroutine
		select {
		case feed.conns <- nc:
		case <-l.done:
			l.leave(nc)
			_ = nc.Close()
			l.wg.Done()
		}
	}
}

// connFeed is a net.Listener of connections that are already there.
type connFeed struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
}

// Accept implements net.Listener.
func (f *connFeed) Accept() (net.Conn, error) {
	select {
	case nc := <-f.conns:
		return nc, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; the Listener that feeds it has been closed.
func (f *connFeed) Close() error { return nil }

// Addr implements net.Listener.
func (f *connFeed) Addr() net.Addr { return f.addr }
