package wyoming

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// Address is where a peer is.
type Address struct {
	Network string   // tcp, unix or stdio
	Addr    string   // HOST:PORT, a path, or a program
	Args    []string // of the program
}

// ParseAddress reads tcp://HOST:PORT, unix:///PATH, or stdio:PROGRAM ARGUMENT... with spaces between
// them, for a program that is run and speaks the protocol on its standard input and output.
func ParseAddress(s string) (Address, error) {
	if command, ok := strings.CutPrefix(s, "stdio:"); ok {
		if f := strings.Fields(command); len(f) > 0 {
			return Address{"stdio", f[0], f[1:]}, nil
		}
	}
	scheme, rest, _ := strings.Cut(s, "://")
	switch {
	case scheme == "unix" && strings.HasPrefix(rest, "/"):
		return Address{Network: "unix", Addr: rest}, nil
	case scheme == "tcp":
		if _, port, err := net.SplitHostPort(rest); err == nil && port != "" {
			return Address{Network: "tcp", Addr: rest}, nil
		}
	}
	return Address{}, errors.New("wyoming: the address is not like tcp://127.0.0.1:10200, unix:///run/piper.sock or stdio:PROGRAM")
}

// String returns the address as ParseAddress takes it.
func (a Address) String() string {
	if a.Network == "stdio" {
		return strings.Join(append([]string{"stdio:" + a.Addr}, a.Args...), " ")
	}
	return a.Network + "://" + a.Addr
}

// Options of a connection.
type Options struct {
	Limits Limits // the zero value stands for DefaultLimits
	// ReadTime is the longest that a Read waits for the end of the next event, and WriteTime the longest
	// that a Write may take. Zero: as long as its context allows.
	ReadTime, WriteTime time.Duration
}

// Named errors: the peer did not do in time what was waited for.
var (
	ErrSilent = errors.New("the peer says nothing")
	ErrStuck  = errors.New("the peer takes nothing")
)

// stream is what events go over.
type stream interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Conn is a connection. One goroutine may read while another one writes. After an error of either,
// other than io.EOF, only Close is of use.
type Conn struct {
	s       stream
	r       *Reader
	w       *Writer
	o       Options
	leaving atomic.Bool // the server stops: what it does not have yet does not count
}

const connectTime = 5 * time.Second

// Dial connects to a peer within 5 s, or starts it.
func Dial(ctx context.Context, a Address, o Options) (*Conn, error) {
	if a.Network == "stdio" {
		p, err := startProcess(a)
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", a.Addr, err)
		}
		return NewConn(p, o), nil
	}
	d := net.Dialer{Timeout: connectTime}
	c, err := d.DialContext(ctx, a.Network, a.Addr)
	if err != nil {
		return nil, err
	}
	return NewConn(c, o), nil
}

// NewConn makes a connection of a stream, such as a net.Conn, which it closes.
func NewConn(s stream, o Options) *Conn {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits()
	}
	return &Conn{s: s, r: NewReader(s, o.Limits), w: NewWriter(s, o.Limits), o: o}
}

// Read waits for the next event; io.EOF says that the peer sends no more. It ends with ctx, with its
// cause as the error. Events that are malformed or too large are errors that say so.
func (c *Conn) Read(ctx context.Context) (ev Event, err error) {
	err = during(ctx, c.o.ReadTime, ErrSilent, c.s.SetReadDeadline, func() (err error) {
		ev, err = c.r.Read()
		return err
	})
	if err != nil && c.leaving.Load() {
		err = io.EOF
	}
	return ev, err
}

// Write sends an event. It ends with ctx, with its cause as the error.
func (c *Conn) Write(ctx context.Context, e Event) error {
	return during(ctx, c.o.WriteTime, ErrStuck, c.s.SetWriteDeadline, func() error { return c.w.Write(e) })
}

// Close ends the connection, and a Read or Write that waits; of a program that was started, it waits
// for the end. It may be called again.
func (c *Conn) Close() error {
	if err := c.s.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// leave has Read return io.EOF from now on, while what is to be said can still be written.
func (c *Conn) leave() {
	c.leaving.Store(true)
	_ = c.s.SetReadDeadline(past)
}

var past = time.Unix(1, 0)

// during calls f, and ends it through a deadline when ctx does, or after limit because of late.
func during(ctx context.Context, limit time.Duration, late error, deadline func(time.Time) error, f func() error) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, late)
		defer cancel()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	stop := context.AfterFunc(ctx, func() { _ = deadline(past) })
	err := f()
	if !stop() {
		return context.Cause(ctx) // the deadline is set, or about to be: the next one would fail
	}
	return err
}
