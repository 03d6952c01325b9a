package server

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Stdio serves s on two streams until in ends, which is no error, or ctx does. What was asked before
// the end of in is answered, as long as that takes no longer than longest.
func Stdio(ctx context.Context, s *mcp.Server, in io.Reader, out io.Writer, longest time.Duration) error {
	t := &patient{
		next:    &mcp.IOTransport{Reader: io.NopCloser(in), Writer: nopCloser{out}, MaxLineLength: maxLine},
		longest: longest,
	}
	if err := s.Run(ctx, t); !errors.Is(err, io.EOF) && ctx.Err() == nil {
		return err
	}
	return nil
}

type nopCloser struct{ io.Writer }

// Close implements io.Closer.
func (nopCloser) Close() error { return nil }

// patient is a transport that holds the end of its input back until all requests are answered: the
// library ends at it, and what a shell pipes in would have no answer.
type patient struct {
	next    mcp.Transport
	longest time.Duration
}

// Connect implements mcp.Transport.
func (p *patient) Connect(ctx context.Context) (mcp.Connection, error) {
	c, err := p.next.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &patientConn{Connection: c, longest: p.longest, closed: make(chan struct{})}, nil
}

// patientConn is the connection of patient. mu guards what follows it.
type patientConn struct {
	mcp.Connection
	longest time.Duration
	closed  chan struct{}
	once    sync.Once

	mu      sync.Mutex
	pending int           // requests without an answer
	idle    chan struct{} // closed when there are none any more; nil: nobody waits
}

// Read implements mcp.Connection.
func (c *patientConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	m, err := c.Connection.Read(ctx)
	if err != nil {
		c.settle(ctx)
		return m, err
	}
	if r, ok := m.(*jsonrpc.Request); ok && r.IsCall() {
		c.mu.Lock()
		c.pending++
		c.mu.Unlock()
	}
	return m, nil
}

// Write implements mcp.Connection.
func (c *patientConn) Write(ctx context.Context, m jsonrpc.Message) error {
	err := c.Connection.Write(ctx, m)
	if _, ok := m.(*jsonrpc.Response); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.pending--; c.pending <= 0 && c.idle != nil {
			close(c.idle)
			c.idle = nil
		}
	}
	return err
}

// Close implements mcp.Connection.
func (c *patientConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Connection.Close()
}

// settle waits for the answers.
func (c *patientConn) settle(ctx context.Context) {
	c.mu.Lock()
	if c.pending <= 0 {
		c.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	c.idle = idle
	c.mu.Unlock()
	limit := time.NewTimer(c.longest)
	defer limit.Stop()
	select {
	case <-idle:
	case <-limit.C:
	case <-c.closed:
	case <-ctx.Done():
	}
}
