package audio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of the fan-out socket.
const (
	fanOutClients = 16
	fanOutQueue   = 100 // frames: 2 s, after which a reader is too slow
)

// FanOut is the unix socket by which the old wake processes hear the microphone: raw 16 kHz mono
// sound, signed 16 bit little endian, without a header or frames. What clients send is ignored.
type FanOut struct {
	path string
	ln   net.Listener

	mu      sync.Mutex // guards what follows
	clients map[*fanOutClient]struct{}
	slow    uint64
	closed  bool

	wait sync.WaitGroup // the acceptor and two goroutines for each client
}

type fanOutClient struct {
	conn net.Conn
	out  chan []byte // closed by whoever takes the client off the list
}

// ListenFanOut opens the socket at path, with mode 0600 or 0660, and its directory if there is none.
// A socket that a process left behind is removed; one that is served is an error.
func ListenFanOut(ctx context.Context, path string, mode fs.FileMode) (*FanOut, error) {
	if mode != 0o600 && mode != 0o660 {
		return nil, fmt.Errorf("fan-out socket %s: mode %04o, 0600 and 0660 are possible", path, mode)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("fan-out socket: %w", err)
	}
	if err := clearSocket(ctx, path); err != nil {
		return nil, fmt.Errorf("fan-out socket: %w", err)
	}
	// The mode is set before there is a name: nobody comes in between.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), uint32(mode)) })
		return errors.Join(cerr, err)
	}}
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("fan-out socket: %w", err)
	}
	// The umask has taken bits away from a mode that was asked for.
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("fan-out socket: %w", err), ln.Close())
	}
	f := &FanOut{path: path, ln: ln, clients: map[*fanOutClient]struct{}{}}
	f.wait.Go(f.accept)
	return f, nil
}

// clearSocket removes a socket that nobody serves, and nothing else.
func clearSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and is no socket", path)
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
		return fmt.Errorf("%s is served by another process", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

func (f *FanOut) accept() {
	for {
		conn, err := f.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many files: the next may find room
			time.Sleep(50 * time.Millisecond)
			continue
		}
		f.admit(conn)
	}
}

func (f *FanOut) admit(conn net.Conn) {
	c := &fanOutClient{conn: conn, out: make(chan []byte, fanOutQueue)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.clients) >= fanOutClients {
		conn.Close()
		return
	}
	f.clients[c] = struct{}{}
	f.wait.Go(func() {
		defer conn.Close() // also ends the other
		for b := range c.out {
			if _, err := conn.Write(b); err != nil {
				break
			}
		}
		f.remove(c)
	})
	f.wait.Go(func() { // sees the client leave, also while nothing is sent
		io.Copy(io.Discard, conn) //nolint:errcheck // it has left, whatever the reason
		conn.Close()
		f.remove(c)
	})
}

func (f *FanOut) remove(c *fanOutClient) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.clients[c]; ok {
		delete(f.clients, c)
		close(c.out)
	}
}

// Send gives a frame to all clients, and drops those that are 2 s behind. It never waits.
func (f *FanOut) Send(frame Frame) {
	b := AppendBytes(make([]byte, 0, 2*len(frame.PCM)), frame.PCM)
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.clients {
		select {
		case c.out <- b:
		default:
			f.slow++
			delete(f.clients, c)
			close(c.out)
			c.conn.Close()
		}
	}
}

// Serve sends what l hears, until the context or the sound ends; the latter is no error.
func (f *FanOut) Serve(ctx context.Context, l *Listener) error {
	for {
		frame, err := l.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f.Send(frame)
	}
}

// Stats returns how many clients there are, and how many were dropped for being slow.
func (f *FanOut) Stats() (clients int, slow uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.clients), f.slow
}

// Close hangs up on all, and removes the socket.
func (f *FanOut) Close() error {
	f.mu.Lock()
	f.closed = true
	for c := range f.clients {
		delete(f.clients, c)
		close(c.out)
		c.conn.Close()
	}
	f.mu.Unlock()
	err := f.ln.Close() // removes the file
	f.wait.Wait()
	return err
}
