package broker

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rs/zerolog"
)

// Defaults of WebSocketOptions.
const (
	defaultHandshake  = 5 * time.Second
	defaultMaxMessage = 4 << 20
)

// subprotocols are what a client may ask for; the second one is from before the standard.
var subprotocols = []string{"mqtt", "mqttv3.1"}

// WebSocketOptions of NewWebSocket. The zero value is usable.
type WebSocketOptions struct {
	// AllowedOrigins are further pages that may connect, as "https://example.org:8443", or "*"
	// for all. Pages from our own host may anyway, see allowedOrigin.
	AllowedOrigins []string
	// MaxMessage is the largest WebSocket message in bytes; 0 is 4 MiB. An MQTT packet may
	// span messages, and a message may hold many packets.
	MaxMessage int
	// Allow is asked before anything else; false is answered with 403. May be nil.
	Allow func(remote net.Addr) bool
	// SignedIn is who has signed in with the browser that asks, see Info. May be nil.
	SignedIn func(r *http.Request) func() string
	// HandshakeTimeout bounds the answer to the handshake; 0 is 5 s. The time to read the
	// request is the HTTP server's to bound.
	HandshakeTimeout time.Duration
	// Listener is the name for Info; if empty it is made from the address.
	Listener string
	Log      zerolog.Logger
}

// WebSocket is the endpoint for MQTT over WebSocket, for any HTTP server and path. It needs
// HTTP/1.1.
type WebSocket struct {
	server   Server
	o        WebSocketOptions
	upgrader websocket.Upgrader
	closing  atomic.Bool // a connection that ends is told "going away"

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup // requests and connections
}

var _ http.Handler = (*WebSocket)(nil)

// NewWebSocket makes an endpoint whose connections s serves.
func NewWebSocket(s Server, o WebSocketOptions) *WebSocket {
	o.MaxMessage = cmp.Or(o.MaxMessage, defaultMaxMessage)
	o.HandshakeTimeout = cmp.Or(o.HandshakeTimeout, defaultHandshake)
	return &WebSocket{server: s, o: o, upgrader: websocket.Upgrader{
		HandshakeTimeout: o.HandshakeTimeout,
		Subprotocols:     subprotocols,
		WriteBufferPool:  &sync.Pool{}, // idle connections have no write buffer
		CheckOrigin:      func(*http.Request) bool { return true },
		Error: func(w http.ResponseWriter, _ *http.Request, status int, err error) {
			http.Error(w, err.Error(), status)
		},
	}}
}

// Close refuses new connections. Those that exist go on, until the broker ends them; they are
// then closed with code 1001.
func (h *WebSocket) Close() {
	h.closing.Store(true)
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
}

// Wait returns when all connections have ended. Call it after Close and Broker.Shutdown.
func (h *WebSocket) Wait() { h.wg.Wait() }

// enter counts a request, unless the endpoint is closed.
func (h *WebSocket) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.wg.Add(1)
	return true
}

// ServeHTTP implements http.Handler.
func (h *WebSocket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.enter() {
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
		return
	}
	defer h.wg.Done()
	info, ok := h.info(r)
	if !ok {
		http.Error(w, "X-Forwarded-For does not end with an address", http.StatusBadRequest)
		return
	}
	if status, text := h.check(r, info); status != 0 {
		if status == http.StatusUpgradeRequired {
			w.Header().Set("Upgrade", "websocket")
		}
		h.o.Log.Debug().Str("remote", info.Remote.String()).Int("status", status).Str("err", text).Msg("websocket refused")
		http.Error(w, text, status)
		return
	}
	spy := &hijacker{ResponseWriter: w}
	ws, err := h.upgrader.Upgrade(spy, r, nil)
	if err != nil { // the upgrader has answered
		h.o.Log.Debug().Str("remote", info.Remote.String()).Err(err).Msg("websocket refused")
		return
	}
	if h.o.SignedIn != nil {
		info.SignedIn = h.o.SignedIn(r)
	}
	ws.SetReadLimit(int64(h.o.MaxMessage))
	c := &wsConn{ws: ws, br: spy.br, info: info, closing: &h.closing}
	// On its own goroutine, so that the server's one ends and lets go of its buffers.
	h.wg.Go(func() { h.server.Serve(c, info) })
}

// check gives the HTTP status of a refusal and its reason; 0 if the request may go on.
func (h *WebSocket) check(r *http.Request, info Info) (int, string) {
	switch {
	case h.o.Allow != nil && !h.o.Allow(info.Remote):
		return http.StatusForbidden, "this address may not connect"
	case !websocket.IsWebSocketUpgrade(r):
		return http.StatusUpgradeRequired, "this is an endpoint for MQTT over WebSocket"
	case !allowedOrigin(r, h.o.AllowedOrigins):
		return http.StatusForbidden, "pages from this origin may not connect: see http.allowed_origins"
	}
	// Clients may send the header more than once; the upgrader looks at the first only.
	r.Header.Set("Sec-Websocket-Protocol", strings.Join(r.Header.Values("Sec-Websocket-Protocol"), ","))
	if !slices.ContainsFunc(websocket.Subprotocols(r), func(p string) bool { return slices.Contains(subprotocols, p) }) {
		return http.StatusBadRequest, "the subprotocol mqtt is required"
	}
	return 0, ""
}

// allowedOrigin reports whether the page that asks may connect. No origin is no browser. A
// page from our own host may, but only if the name of that host is one that nobody outside can
// make point at us: with any other name a page from anywhere could be "our own" by DNS
// rebinding, and would have the rights of the visitor's address, as a loopback one.
func allowedOrigin(r *http.Request, allowed []string) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	if len(origins) > 1 {
		return false
	}
	for _, a := range allowed {
		if a == "*" || strings.EqualFold(strings.TrimSuffix(a, "/"), origins[0]) {
			return true
		}
	}
	u, err := url.Parse(origins[0])
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) && localName(u.Hostname())
}

// localName reports whether a host name cannot be in the public DNS, or is this machine's own.
func localName(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !strings.Contains(host, ".") {
		return host != ""
	}
	for _, suffix := range []string{".local", ".localhost", ".lan", ".internal", ".home.arpa"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	own, err := os.Hostname()
	return err == nil && strings.EqualFold(host, own)
}

// infoKey is the context key under which a Listener says where a request comes from.
type infoKey struct{}

func withInfo(ctx context.Context, info Info) context.Context {
	return context.WithValue(ctx, infoKey{}, info)
}

// info tells where a request comes from; false if a proxy says so in a way we do not
// understand.
func (h *WebSocket) info(r *http.Request) (Info, bool) {
	if info, ok := r.Context().Value(infoKey{}).(Info); ok {
		return info, true
	}
	info := Info{Listener: h.o.Listener, TLS: r.TLS}
	info.Local, _ = r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		info.Remote = net.TCPAddrFromAddrPort(ap)
	} else {
		info.Remote = &net.UnixAddr{Name: r.RemoteAddr, Net: "unix"}
	}
	if info.Listener == "" {
		info.Listener = listenerName(info.Local, r.TLS) + r.URL.Path
	}
	return info, forwarded(r, &info)
}

// Remote is the address of the client that sent a request: the peer's, or the one that a reverse
// proxy on this machine forwards for. False if a proxy says so in a way we do not understand.
func Remote(r *http.Request) (net.Addr, bool) {
	info, ok := (&WebSocket{}).info(r)
	return info.Remote, ok
}

func listenerName(local net.Addr, state *tls.ConnectionState) string {
	name := "ws://"
	if state != nil {
		name = "wss://"
	}
	if local != nil {
		name += local.String()
	}
	return name
}

// forwarded replaces a loopback peer by the client that it forwards for, if it says so: a
// reverse proxy on this machine must not make the whole world local. Other peers are not
// believed. Of a chain of proxies on this machine each adds the one before, so the client is the
// last address that is not loopback. A proxy that names its client in another header only is
// refused: it is not known for whom it asks.
func forwarded(r *http.Request, info *Info) bool {
	if ip, ok := addrIP(info.Remote); ok && !ip.IsLoopback() {
		return true
	}
	lines := r.Header.Values("X-Forwarded-For")
	if len(lines) == 0 {
		for _, other := range []string{"Forwarded", "X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip"} {
			if r.Header.Get(other) != "" {
				return false
			}
		}
		return true
	}
	entries := strings.Split(strings.Join(lines, ","), ",")
	for _, entry := range slices.Backward(entries) {
		at, err := forwardedFor(entry)
		if err != nil {
			return false
		}
		info.Remote = net.TCPAddrFromAddrPort(at)
		if !at.Addr().Unmap().IsLoopback() {
			break
		}
	}
	return true
}

// forwardedFor parses one entry of X-Forwarded-For: an address, with or without a port.
func forwardedFor(entry string) (netip.AddrPort, error) {
	entry = strings.TrimSpace(entry)
	if ap, err := netip.ParseAddrPort(entry); err == nil {
		return ap, nil
	}
	ip, err := netip.ParseAddr(strings.Trim(entry, "[]"))
	return netip.AddrPortFrom(ip, 0), err
}

// hijacker takes the connection over for the upgrader, and remembers the buffer that the
// upgrader goes on reading from. It also finds connections behind wrapped ResponseWriters.
type hijacker struct {
	http.ResponseWriter
	br *bufio.Reader
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.br = rw.Reader
	return nc, rw, nil
}
