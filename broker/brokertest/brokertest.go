// Package brokertest runs a broker on loopback for the tests of other packages.
package brokertest

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/hooks"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/storage"
)

// Broker is a running broker with a listener of each kind.
type Broker struct {
	Engine *delivery.Engine
	Broker *broker.Broker

	opts   options
	log    *logBuffer
	store  *storage.DB
	memory atomic.Pointer[broker.Memory] // DialMemory may run while Restart does
	tcp    *broker.Listener
	ws     *broker.Listener
	cancel context.CancelFunc

	urls [2]string // of the listeners, for KeepPorts
}

type options struct {
	limits delivery.Limits
	conn   broker.ConnLimits
	policy delivery.Policy
	hooks  []delivery.Hook
	events func(delivery.Event)
	dir    string
	keep   bool
}

// Option changes what Start starts.
type Option func(*options)

// WithLimits changes the session limits.
func WithLimits(f func(*delivery.Limits)) Option { return func(o *options) { f(&o.limits) } }

// WithConnLimits changes the connection limits.
func WithConnLimits(f func(*broker.ConnLimits)) Option { return func(o *options) { f(&o.conn) } }

// WithStore keeps state in a file in dir, so that Restart finds it again.
func WithStore(dir string) Option { return func(o *options) { o.dir = dir } }

// KeepPorts makes Restart listen where the broker listened before.
func KeepPorts() Option { return func(o *options) { o.keep = true } }

// WithPolicy replaces the policy that allows everything.
func WithPolicy(p delivery.Policy) Option { return func(o *options) { o.policy = p } }

// WithHooks adds message hooks.
func WithHooks(h ...delivery.Hook) Option { return func(o *options) { o.hooks = h } }

// WithEvents receives the audit stream.
func WithEvents(f func(delivery.Event)) Option { return func(o *options) { o.events = f } }

// AllowAll is a policy without rules. The user of a connection is what it claims.
type AllowAll struct{}

// Authenticate implements delivery.Policy.
func (AllowAll) Authenticate(_ context.Context, p *delivery.Peer, user *string, _ []byte) (wire.Code, string) {
	if user != nil {
		p.User = *user
	}
	return wire.Success, ""
}

// MayPublish implements delivery.Policy.
func (AllowAll) MayPublish(*delivery.Peer, string) bool { return true }

// MaySubscribe implements delivery.Policy.
func (AllowAll) MaySubscribe(*delivery.Peer, string) bool { return true }

// Current implements delivery.Policy.
func (AllowAll) Current(*delivery.Peer) bool { return true }

// Start runs a broker until the test ends. Its log is printed if the test fails.
func Start(t testing.TB, opts ...Option) *Broker {
	t.Helper()
	b := &Broker{opts: options{limits: delivery.DefaultLimits(), policy: AllowAll{}}, log: &logBuffer{}}
	for _, o := range opts {
		o(&b.opts)
	}
	if b.opts.conn.PacketBytes == 0 {
		b.opts.conn.PacketBytes = b.opts.limits.PacketBytes
	}
	b.start(t)
	t.Cleanup(func() {
		b.Stop(t)
		if t.Failed() {
			t.Logf("broker's log:\n%s", b.log)
		}
	})
	return b
}

func (b *Broker) start(t testing.TB) {
	t.Helper()
	log := zerolog.New(b.log)
	var store delivery.Store
	if b.opts.dir != "" {
		var err error
		b.store, err = storage.Open(storage.Options{Path: filepath.Join(b.opts.dir, "tarsd.db"), Log: log})
		require.NoError(t, err)
		store = b.store
	}
	var err error
	b.Engine, err = delivery.New(delivery.Options{
		Limits: b.opts.limits, Store: store, Policy: b.opts.policy, Hooks: b.opts.hooks, Events: b.opts.events, Log: log,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.Broker, err = broker.New(broker.Options{
		Front: hooks.NewFront(ctx, b.Engine, b.opts.limits), Limits: b.opts.conn, Log: log,
	})
	require.NoError(t, err)
	b.memory.Store(broker.NewMemory(b.Broker))
	if b.urls[0] == "" || !b.opts.keep {
		b.urls = [2]string{"tcp://127.0.0.1:0", "ws://127.0.0.1:0/mqtt"}
	}
	b.tcp, b.ws = b.listen(t, b.urls[0], log), b.listen(t, b.urls[1], log)
	b.urls = [2]string{b.tcp.URL(), b.ws.URL()}
}

func (b *Broker) listen(t testing.TB, url string, log zerolog.Logger) *broker.Listener {
	t.Helper()
	l, err := broker.Listen(url, broker.ListenOptions{Log: log})
	require.NoError(t, err)
	l.Serve(b.Broker)
	return l
}

// Stop ends the broker as SIGTERM does.
func (b *Broker) Stop(t testing.TB) {
	t.Helper()
	if b.Broker == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	b.cancel()
	for _, l := range []*broker.Listener{b.tcp, b.ws} {
		_ = l.Close()
	}
	require.NoError(t, b.Broker.Shutdown(ctx))
	b.memory.Load().Close()
	require.NoError(t, b.Engine.Shutdown(ctx))
	if b.store != nil {
		require.NoError(t, b.store.Close())
	}
	b.Broker, b.store = nil, nil
}

// Restart stops the broker and starts it again with the same store, on other ports unless KeepPorts
// says otherwise.
func (b *Broker) Restart(t testing.TB) {
	t.Helper()
	b.Stop(t)
	b.start(t)
}

// TCP is the address of the TCP listener, host:port.
func (b *Broker) TCP() string { return b.tcp.URL()[len("tcp://"):] }

// WebSocket is the URL of the WebSocket listener.
func (b *Broker) WebSocket() string { return b.ws.URL() }

// Store is the broker's file, or nil.
func (b *Broker) Store() *storage.DB { return b.store }

// Dial connects over "tcp", "ws" or "memory". The connection is closed when the test ends.
func (b *Broker) Dial(t testing.TB, transport string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var c net.Conn
	var err error
	switch transport {
	case "tcp":
		var d net.Dialer
		c, err = d.DialContext(ctx, "tcp", b.TCP())
	case "memory":
		c, err = b.DialMemory(ctx)
	case "ws":
		c, err = dialWebSocket(ctx, b.WebSocket())
	default:
		t.Fatalf("unknown transport %q", transport)
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// DialMemory connects inside this process, for clients that come back by themselves. Any goroutine
// may call it, also during Restart.
func (b *Broker) DialMemory(ctx context.Context) (net.Conn, error) { return b.memory.Load().Dial(ctx) }

// wsConn is the client's end of a WebSocket as a byte stream. Each Write is one message.
type wsConn struct {
	*websocket.Conn
	rest bytes.Reader
}

func dialWebSocket(ctx context.Context, url string) (net.Conn, error) {
	d := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	c, resp, err := d.DialContext(ctx, url, http.Header{})
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	return &wsConn{Conn: c}, nil
}

func (c *wsConn) Read(p []byte) (int, error) {
	for c.rest.Len() == 0 {
		_, m, err := c.ReadMessage()
		if err != nil {
			return 0, err
		}
		c.rest.Reset(m)
	}
	return c.rest.Read(p)
}

func (c *wsConn) Write(p []byte) (int, error) {
	if err := c.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *wsConn) SetDeadline(t time.Time) error {
	_ = c.SetWriteDeadline(t)
	return c.SetReadDeadline(t)
}

// logBuffer keeps the broker's log for a failing test.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > 1<<20 {
		l.b.Reset()
	}
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
