package broker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxSocketPath is the longest path of a unix socket in bytes that all our systems take: 108
// with the final zero on Linux, 104 on macOS and the BSDs.
const maxSocketPath = 103

// schemes maps what may stand in a listener's URL to what it means, with the default port.
var schemes = map[string]struct{ scheme, port string }{
	"tcp": {"tcp", "1883"}, "mqtt": {"tcp", "1883"},
	"tls": {"tls", "8883"}, "ssl": {"tls", "8883"}, "mqtts": {"tls", "8883"},
	"ws": {"ws", "80"}, "wss": {"wss", "443"},
	"unix": {"unix", ""},
}

// address is a parsed listener URL.
type address struct {
	scheme string // tcp, tls, ws, wss or unix
	host   string // "host:port" with a numeric port; empty for unix
	path   string // of the socket file, or of the WebSocket endpoint; empty for tcp and tls
}

// String is the URL.
func (a address) String() string { return a.scheme + "://" + a.host + a.path }

func (a address) secure() bool    { return a.scheme == "tls" || a.scheme == "wss" }
func (a address) websocket() bool { return a.scheme == "ws" || a.scheme == "wss" }

// parseURL understands "tcp://:1883", "tls://[::1]:8883", "ws://127.0.0.1:8080/mqtt" and
// "unix:///run/tarsd.sock". An empty host is every interface; the path of a WebSocket is
// /mqtt if none is given.
func parseURL(raw string) (address, error) {
	name, rest, ok := strings.Cut(raw, ":")
	kind, known := schemes[strings.ToLower(name)]
	if !ok || !known {
		return address{}, fmt.Errorf("listener %q: must start with tcp://, tls://, ws://, wss:// or unix://", raw)
	}
	a := address{scheme: kind.scheme}
	var err error
	if a.scheme == "unix" {
		a.path, err = socketPath(rest)
	} else {
		err = a.parseHost(raw, kind.port)
	}
	if err != nil {
		return address{}, fmt.Errorf("listener %q: %w", raw, err)
	}
	return a, nil
}

func socketPath(rest string) (string, error) {
	path := strings.TrimPrefix(rest, "//")
	switch {
	case path == "":
		return "", errors.New("the path of the socket is missing")
	case strings.HasPrefix(path, "@") || strings.Contains(path, "\x00"):
		return "", errors.New("abstract sockets are not supported: they have no permissions")
	case len(path) > maxSocketPath:
		return "", fmt.Errorf("the path of the socket has %d bytes, at most %d are possible", len(path), maxSocketPath)
	}
	return path, nil
}

func (a *address) parseHost(raw, port string) error {
	u, err := url.Parse(raw)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the URL is in our own message
		}
		return err
	}
	switch {
	case u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return errors.New("only a host, a port and a path are possible")
	case a.websocket():
		if a.path = u.EscapedPath(); a.path == "" {
			a.path = "/mqtt"
		}
	case u.Path != "" && u.Path != "/":
		return errors.New("a path is possible for ws:// and wss:// only")
	}
	if p := u.Port(); p != "" {
		port = p
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("port %q is not a number up to 65535", port)
	}
	host := u.Hostname()
	_, err = netip.ParseAddr(host)
	if err != nil && strings.Contains(host, ":") || strings.ContainsAny(host, "%/?#@[] ") {
		return errors.New("the host is not a name or an address") // zones neither: they are not worth their quoting
	}
	a.host = net.JoinHostPort(host, strconv.FormatUint(n, 10))
	return nil
}
