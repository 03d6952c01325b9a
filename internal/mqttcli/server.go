package mqttcli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// connectTimeout bounds the way to a connection, from the name lookup to the CONNACK.
const connectTimeout = 15 * time.Second

// server is where to connect to.
type server struct {
	scheme string // "mqtt", "mqtts", "ws", "wss", "unix"; empty: mqtt, or mqtts if TLS is asked for
	host   string
	port   int
	socket string // of --unix
	path   string // of the WebSocket
	bind   string // local address, without port
}

// setURL takes -L.
func (o *options) setURL(raw string) error {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return fmt.Errorf("%q is not of the form mqtt://host/topic", raw)
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "mqtt", "tcp":
		o.server.scheme = "mqtt"
	case "mqtts", "tls", "ssl":
		o.server.scheme = "mqtts"
	case "ws", "wss":
		o.server.scheme = scheme
	case "unix":
		o.server.scheme, o.server.socket = scheme, rest
		return nil
	default:
		return fmt.Errorf("unsupported scheme %q", scheme)
	}
	// Not by net/url: a topic may have # and ? in it.
	authority, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, pass, has := strings.Cut(authority[:i], ":")
		o.user, o.hasUser = unescape(user), true
		if has {
			o.password, o.hasPass = unescape(pass), true
		}
		authority = authority[i+1:]
	}
	if err := o.server.setAuthority(authority); err != nil {
		return err
	}
	if strings.HasPrefix(o.server.scheme, "ws") {
		o.server.path = "/" + path // a WebSocket's path is the server's, so the topic comes with -t
		return nil
	}
	if path != "" {
		o.topics = append(o.topics, path)
	}
	return nil
}

func (s *server) setAuthority(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil { // no port
		s.host = strings.Trim(a, "[]")
	} else {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("invalid port %q", port)
		}
		s.host, s.port = host, int(n)
	}
	if s.host == "" {
		return errors.New("no host in the URL")
	}
	return nil
}

func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

func (s *server) check() error {
	if s.socket != "" {
		if s.host != "" || s.port != 0 {
			return usagef("--unix cannot be combined with a host or a port")
		}
		s.scheme = "unix"
	}
	if s.host == "" {
		s.host = "localhost"
	}
	return nil
}

func (s *server) address() string {
	port := s.port
	if port == 0 {
		port = map[string]int{"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}[s.scheme]
	}
	return net.JoinHostPort(s.host, strconv.Itoa(port))
}

// String is the server in messages.
func (s *server) String() string {
	if s.scheme == "unix" {
		return s.socket
	}
	return s.address()
}

// dial opens the byte stream, TLS and WebSocket included.
func (o *options) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	s := &o.server
	d := &net.Dialer{}
	if s.bind != "" {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(s.bind, "0"))
		if err != nil {
			return nil, err
		}
		d.LocalAddr = local
	}
	switch s.scheme {
	case "unix":
		return d.DialContext(ctx, "unix", s.socket)
	case "mqtts":
		return (&tls.Dialer{NetDialer: d, Config: o.tlsConf}).DialContext(ctx, "tcp", s.address())
	case "ws", "wss":
		w := websocket.Dialer{NetDialContext: d.DialContext, TLSClientConfig: o.tlsConf, Subprotocols: []string{"mqtt"},
			Proxy: http.ProxyFromEnvironment}
		ws, resp, err := w.DialContext(ctx, s.scheme+"://"+s.address()+s.path, nil)
		if err != nil {
			if resp != nil {
				_ = resp.Body.Close()
				return nil, fmt.Errorf("%w: %s", err, resp.Status)
			}
			return nil, err
		}
		_ = resp.Body.Close() // empty: the connection is the WebSocket's now
		return &wsConn{Conn: ws.NetConn(), ws: ws}, nil
	default:
		return d.DialContext(ctx, "tcp", s.address())
	}
}

// wsConn is a WebSocket as a byte stream.
type wsConn struct {
	net.Conn // for addresses and deadlines
	ws       *websocket.Conn
	r        io.Reader
	mu       sync.Mutex // writes
}

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
				return 0, errors.New("the server sent a text message on the WebSocket")
			}
			c.r = r
		}
		n, err := c.r.Read(b)
		if err == io.EOF {
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

func (c *wsConn) Close() error {
	deadline := time.Now().Add(time.Second)
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), deadline)
	return c.ws.Close()
}

// tlsOptions are the files and switches of TLS.
type tlsOptions struct {
	caFile, caPath, cert, key, alpn, version string
	insecure, osCerts                        bool
}

func tlsOptionTable() []option {
	return []option{
		{"", "--cafile", 1, "", value(func(o *options, v string) { o.tls.caFile = v })},
		{"", "--capath", 1, "", value(func(o *options, v string) { o.tls.caPath = v })},
		{"", "--cert", 1, "", value(func(o *options, v string) { o.tls.cert = v })},
		{"", "--key", 1, "", value(func(o *options, v string) { o.tls.key = v })},
		{"", "--insecure", 0, "", flag(func(o *options) { o.tls.insecure = true })},
		{"", "--tls-use-os-certs", 0, "", flag(func(o *options) { o.tls.osCerts = true })},
		{"", "--tls-alpn", 1, "", value(func(o *options, v string) { o.tls.alpn = v })},
		{"", "--tls-version", 1, "", func(o *options, v []string) error {
			if _, ok := tlsVersions[v[0]]; !ok {
				return fmt.Errorf("must be tlsv1.2 or tlsv1.3, not %q", v[0])
			}
			o.tls.version = v[0]
			return nil
		}},
	}
}

var tlsVersions = map[string]uint16{"tlsv1.2": tls.VersionTLS12, "tlsv1.3": tls.VersionTLS13}

// config makes the TLS configuration, or nil when TLS is not asked for, and settles the scheme.
func (t *tlsOptions) config(o *options) (*tls.Config, error) {
	s := &o.server
	asked := t.caFile != "" || t.caPath != "" || t.cert != "" || t.insecure || t.osCerts || s.port == 8883
	if s.scheme == "" || s.scheme == "mqtt" && asked {
		s.scheme = map[bool]string{false: "mqtt", true: "mqtts"}[asked]
	}
	if s.scheme != "mqtts" && s.scheme != "wss" {
		return nil, nil
	}
	c := &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}
	if t.version != "" {
		c.MinVersion, c.MaxVersion = tlsVersions[t.version], tlsVersions[t.version]
	}
	if t.alpn != "" {
		c.NextProtos = []string{t.alpn}
	}
	if (t.cert == "") != (t.key == "") {
		return nil, usagef("both --cert and --key must be provided, or neither")
	}
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, usagef("%s", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if err := t.roots(c); err != nil {
		return nil, err
	}
	if t.insecure {
		t.skipName(c)
	}
	return c, nil
}

// roots loads the authorities; without any option the system's are used.
func (t *tlsOptions) roots(c *tls.Config) error {
	if t.caFile == "" && t.caPath == "" {
		return nil
	}
	c.RootCAs = x509.NewCertPool()
	if t.osCerts {
		if pool, err := x509.SystemCertPool(); err == nil {
			c.RootCAs = pool
		}
	}
	var files []string
	if t.caFile != "" {
		files = append(files, t.caFile)
	}
	if t.caPath != "" {
		found, err := filepath.Glob(filepath.Join(t.caPath, "*.crt"))
		if err != nil || len(found) == 0 {
			return usagef("no *.crt file in %s", t.caPath)
		}
		files = append(files, found...)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return usagef("%s", err)
		}
		if !c.RootCAs.AppendCertsFromPEM(b) {
			return usagef("%s: no certificate in it", f)
		}
	}
	return nil
}

// skipName leaves the server's name unchecked. The chain is still checked against authorities
// that were given, as Mosquitto does; without any, nothing is checked, because a self-signed
// certificate is why people use the option.
func (t *tlsOptions) skipName(c *tls.Config) {
	c.InsecureSkipVerify = true //nolint:gosec // the user asked for it by name
	roots := c.RootCAs
	if roots == nil {
		return
	}
	c.VerifyConnection = func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
		return err
	}
}
