// Package cutproxy is a TCP relay on loopback for tests of what happens when a network fails: it
// cuts connections in the middle of a packet, stops moving bytes while everything looks open,
// delays, and refuses. It stays where it is while the server behind it comes and goes.
package cutproxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Proxy is a running relay. All methods are safe for concurrent use.
type Proxy struct {
	ln   net.Listener
	dial func(context.Context) (net.Conn, error)
	wg   sync.WaitGroup

	mu     sync.Mutex
	pairs  map[*pair]struct{}
	refuse bool
	closed bool
	moving chan struct{} // closed while bytes move
	delay  time.Duration
	made   atomic.Int64
}

// pair is a connection and its other half.
type pair struct{ client, server net.Conn }

// Start relays to what dial connects to, until the test ends.
func Start(t testing.TB, dial func(context.Context) (net.Conn, error)) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &Proxy{ln: ln, dial: dial, pairs: map[*pair]struct{}{}, moving: make(chan struct{})}
	close(p.moving)
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// TCP is a dial function for Start. addr is asked for each time, so that it may change.
func TCP(addr func() string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr())
	}
}

// Addr is host:port of the relay.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Made is how many connections there have been.
func (p *Proxy) Made() int { return int(p.made.Load()) }

// Open is how many connections there are.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}

// Cut resets all connections: what is under way is lost, in both directions.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.reset()
	}
}

// Refuse makes new connections end at once, or not any more. Those that are there stay. The reset can
// be faster than the one who dials: either the dialling fails, or the first use.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Stall stops moving bytes, or goes on. Connections stay open and new ones are accepted: it is a
// half-open network.
func (p *Proxy) Stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.moving:
		if on {
			p.moving = make(chan struct{})
		}
	default:
		if !on {
			close(p.moving)
		}
	}
}

// Delay holds each piece of data back for d.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (c *pair) reset() {
	for _, x := range []net.Conn{c.client, c.server} {
		if t, ok := x.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		_ = x.Close()
	}
}

func (p *Proxy) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	p.made.Add(1)
	defer func() { _ = client.Close() }()
	p.mu.Lock()
	refuse := p.refuse
	p.mu.Unlock()
	if refuse {
		(&pair{client, client}).reset()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	server, err := p.dial(ctx)
	cancel()
	if err != nil {
		return
	}
	c := &pair{client, server}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		c.reset()
		return
	}
	p.pairs[c] = struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(server, client) })
	both.Go(func() { p.copy(client, server) })
	both.Wait()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

// copy moves bytes until one side ends, and then ends the other.
func (p *Proxy) copy(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.mu.Lock()
			moving, delay := p.moving, p.delay
			p.mu.Unlock()
			<-moving
			if delay > 0 {
				<-time.After(delay)
			}
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) close() {
	if err := p.ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return
	}
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Stall(false)
	p.Cut()
	p.wg.Wait()
}
