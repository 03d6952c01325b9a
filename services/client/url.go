package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gorilla/websocket"
)

// Secret is a password. It prints as ***, whatever the verb.
type Secret string

// String implements fmt.Stringer.
func (Secret) String() string { return "***" }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return `"***"` }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// server is a parsed Options.URL.
type server struct {
	scheme   string // "mqtt", "mqtts", "ws", "wss" or "unix"
	address  string // host:port, or the path of a socket
	path     string // of a WebSocket, query included
	user     string
	password Secret
	hasUser  bool
	hasPass  bool
}

var ports = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"} //nolint:gochecknoglobals // a constant

// parseURL takes Options.URL apart. It is not net/url's parser, whose errors quote what it was
// given, the password too. For the same reason nothing of the authority is quoted here.
func parseURL(raw string) (server, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return server{}, errors.New("url: not of the form mqtt://host:port")
	}
	s := server{scheme: strings.ToLower(scheme)}
	switch s.scheme {
	case "mqtt", "tcp":
		s.scheme = "mqtt"
	case "mqtts", "tls", "ssl":
		s.scheme = "mqtts"
	case "ws", "wss", "unix":
	default:
		return server{}, errors.New("url: the scheme is not mqtt, tcp, mqtts, tls, ws, wss or unix")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		if err := s.setUser(authority[:i]); err != nil {
			return server{}, err
		}
		authority = authority[i+1:]
	}
	path, _, _ = strings.Cut(path, "#")
	return s, s.setPlace(authority, path)
}

// setUser takes user:password, each with percent escapes.
func (s *server) setUser(info string) error {
	user, pass, has := strings.Cut(info, ":")
	var err error
	if s.user, err = url.PathUnescape(user); err == nil {
		var p string
		p, err = url.PathUnescape(pass)
		s.password = Secret(p)
	}
	if err != nil {
		return errors.New("url: bad percent escape in the user name or the password")
	}
	if strings.ContainsRune(s.user, 0) || len(s.user) > maxString || len(s.password) > maxString {
		return errors.New("url: the user name has a zero byte, or it or the password is longer than 65535 bytes")
	}
	s.hasUser, s.hasPass = true, has
	return nil
}

// setPlace takes what follows the credentials.
func (s *server) setPlace(authority, path string) error {
	if s.scheme == "unix" {
		if authority != "" || len(path) < 2 {
			return errors.New("url: a socket is unix:///path")
		}
		p, err := url.PathUnescape(path)
		if err != nil || strings.ContainsRune(p, 0) {
			return errors.New("url: bad path of a socket")
		}
		s.address = p
		return nil
	}
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		host, port = authority[:i], authority[i+1:]
	}
	if bare, ok := strings.CutPrefix(host, "["); ok {
		host, ok = strings.CutSuffix(bare, "]")
		if !ok || net.ParseIP(host) == nil {
			return errors.New("url: bad IPv6 address")
		}
	} else if strings.ContainsAny(host, ":[]@ \t\r\n%\\\x00") {
		return errors.New("url: bad host (does the user name or the password have characters to escape, such as / or @?)")
	}
	if host == "" {
		host = "localhost"
	}
	if port == "" || port == "0" {
		port = ports[s.scheme]
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("url: the port is not a number from 1 to 65535 (does the password have a / to escape?)")
	}
	s.address = net.JoinHostPort(host, port)
	if strings.HasPrefix(s.scheme, "ws") {
		if strings.ContainsAny(path, " \t\r\n\x00") {
			return errors.New("url: bad path")
		}
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		s.path = path
	}
	return nil
}

// String is the server in logs and errors: no credentials, and no query, which may have some.
func (s server) String() string {
	path, _, _ := strings.Cut(s.path, "?")
	return s.scheme + "://" + s.address + path
}

// GoString keeps %#v from printing the fields.
func (s server) GoString() string { return s.String() }

// dial opens the byte stream, TLS and WebSocket included.
func (s server) dial(ctx context.Context, conf *tls.Config) (net.Conn, error) {
	var d net.Dialer
	switch s.scheme {
	case "unix":
		return d.DialContext(ctx, "unix", s.address)
	case "mqtts":
		return (&tls.Dialer{NetDialer: &d, Config: conf}).DialContext(ctx, "tcp", s.address)
	case "ws", "wss":
		return s.dialWebSocket(ctx, &d, conf)
	default:
		return d.DialContext(ctx, "tcp", s.address)
	}
}

func (s server) dialWebSocket(ctx context.Context, d *net.Dialer, conf *tls.Config) (net.Conn, error) {
	w := websocket.Dialer{
		NetDialContext: d.DialContext, TLSClientConfig: conf, Subprotocols: []string{"mqtt"}, Proxy: http.ProxyFromEnvironment,
	}
	ws, resp, err := w.DialContext(ctx, s.scheme+"://"+s.address+s.path, nil)
	if resp != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("%w: %s", err, resp.Status)
		}
		return nil, err
	}
	return newWSConn(ws), nil
}
