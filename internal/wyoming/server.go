package wyoming

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// Listen opens a listener at a tcp or unix address. The socket of a process that has died is replaced;
// others than the owner and the group have no access to it.
func Listen(a Address) (net.Listener, error) {
	switch a.Network {
	case "tcp":
		return net.Listen("tcp", a.Addr)
	case "unix":
	default:
		return nil, fmt.Errorf("listen at %s: only tcp and unix are possible", a)
	}
	if err := removeStale(a.Addr); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", a.Addr)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(a.Addr, 0o660); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes a socket at which nobody answers.
func removeStale(path string) error {
	i, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case i.Mode()&os.ModeSocket == 0:
		return nil // listening fails, and says why
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("listen at unix://%s: somebody serves there", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // such as somebody who is too busy to answer
		return fmt.Errorf("listen at unix://%s: it is not certain that nobody serves there: %w", path, err)
	}
	return os.Remove(path)
}

// Server serves peers that connect.
type Server struct {
	// Handle serves one connection, and returns when that is over: when Read returns io.EOF, there is
	// an error, or ctx ends. An error other than of ctx is sent to the peer, if that still listens.
	Handle func(ctx context.Context, c *Conn) error

	Conn        Options       // of each connection; give both times
	Connections int           // at once; who comes then gets an error
	Grace       time.Duration // what they have to end what they are at, when the server stops
	Log         zerolog.Logger
}

// Serve serves a listener until ctx ends, closes it and waits for the connections. They have Grace to
// end: they read no more events, and what was asked for is answered. It returns an error when the
// listener fails.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	var g group
	err := s.accept(work, l, &g)
	l.Close()
	g.leave()
	late := time.AfterFunc(s.Grace, end)
	defer late.Stop()
	g.wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("accept: %w", err)
}

// group are the connections of a server. mu guards conns.
type group struct {
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns map[*Conn]bool
}

// add reports false when there are most already.
func (g *group) add(c *Conn, most int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.conns) >= most {
		return false
	}
	if g.conns == nil {
		g.conns = map[*Conn]bool{}
	}
	g.conns[c] = true
	return true
}

func (g *group) remove(c *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

func (g *group) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		c.leave()
	}
}

func (s *Server) accept(ctx context.Context, l net.Listener, g *group) error {
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		c := NewConn(nc, s.Conn)
		if !g.add(c, s.Connections) {
			s.Log.Warn().Stringer("remote", nc.RemoteAddr()).Int("connections", s.Connections).Msg("wyoming peer refused")
			_ = nc.SetWriteDeadline(time.Now().Add(time.Second)) // a new socket has room
			_ = c.w.Write(New(TypeError, Error{Text: "too many connections", Code: "busy"}))
			c.Close()
			continue
		}
		g.wg.Go(func() {
			defer g.remove(c)
			if err := s.ServeConn(ctx, c); err != nil {
				s.Log.Debug().Stringer("remote", nc.RemoteAddr()).Err(err).Msg("wyoming connection failed")
			}
		})
	}
}

// ServeConn serves one connection and closes it. A panic of Handle is an error.
func (s *Server) ServeConn(ctx context.Context, c *Conn) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.Log.Error().Interface("panic", r).Bytes("stack", debug.Stack()).Msg("wyoming connection panicked")
			err = errors.New("internal error")
		}
		err = errors.Join(err, c.Close())
	}()
	err = s.Handle(ctx, c)
	if err != nil && ctx.Err() == nil {
		_ = c.Write(ctx, New(TypeError, Error{Text: err.Error()})) // it may have gone
	}
	return err
}
