package web

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Limits of the server. Hijacking a connection for a WebSocket clears its deadlines, so the two
// timeouts concern plain requests only.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 60 * time.Second
	headerBytes   = 16 << 10
	maxConns      = 512 // plain HTTP connections; WebSockets are counted by the broker
)

// ServerOptions of Listen. The zero value is fine.
type ServerOptions struct {
	// Allow is asked at accept; false closes the connection at once.
	Allow func(remote net.Addr) bool
	// MaxConns is how many plain HTTP connections are served at a time; 0 means 512.
	MaxConns int
	Log      zerolog.Logger
}

// Server is a bound listener with the HTTP server behind it.
type Server struct {
	ln    net.Listener
	http  *http.Server
	max   int64
	plain atomic.Int64 // connections that are not hijacked
	allow func(net.Addr) bool
	log   zerolog.Logger
}

// Listen binds address, such as ":5010", and does not serve yet.
func Listen(address string, h http.Handler, o ServerOptions) (*Server, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	s := &Server{ln: ln, max: maxConns, allow: o.Allow, log: o.Log}
	if o.MaxConns > 0 {
		s.max = int64(o.MaxConns)
	}
	s.http = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytes,
		ConnState:         s.count,
		ConnContext:       withConn,
		ErrorLog:          stdlog.New(logWriter{o.Log}, "", 0),
	}
	return s, nil
}

// Addr is the address that was bound, with the real port.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Serve blocks until Shutdown, and returns nil then.
func (s *Server) Serve() error {
	err := s.http.Serve(gate{s.ln, s.allow})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("http: %w", err)
}

// Shutdown stops accepting, waits for plain requests until ctx ends and then cuts them.
// WebSockets are not its business: the broker ends them.
func (s *Server) Shutdown(ctx context.Context) error {
	// Serve may not have run; closing twice is harmless.
	defer s.ln.Close()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("http: shut down: %w", err), s.http.Close())
	}
	return nil
}

// count keeps the number of plain connections below the limit. It closes a connection too many
// rather than letting it wait: a waiting one costs a descriptor that the broker may need.
func (s *Server) count(nc net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if s.plain.Add(1) > s.max {
			s.log.Debug().Str("remote", nc.RemoteAddr().String()).Msg("too many http connections")
			nc.Close()
		}
	case http.StateHijacked, http.StateClosed:
		s.plain.Add(-1)
	}
}

// gate closes connections that are not allowed, before a byte is read.
type gate struct {
	net.Listener
	allow func(net.Addr) bool
}

func (g gate) Accept() (net.Conn, error) {
	for {
		nc, err := g.Listener.Accept()
		if err != nil || g.allow == nil || g.allow(nc.RemoteAddr()) {
			return nc, err
		}
		nc.Close()
	}
}

type logWriter struct{ log zerolog.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	w.log.Debug().Str("text", string(p[:max(0, len(p)-1)])).Msg("http")
	return len(p), nil
}
