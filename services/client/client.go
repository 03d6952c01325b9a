package client

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

// stableAfter is how long a connection must have lasted for the next wait to be a short one.
const stableAfter = 2 * time.Second

// Client is a connection to a broker that is made again whenever it is lost. All methods are safe
// for concurrent use.
//
// Goroutines: autopaho's (one, and three per connection), the writer of each link, the keeper,
// and the workers of the subscriptions. Close waits for all of them. Locks: mu, then a
// subscription's or the outbox's, then a link's.
type Client struct {
	opts   Options
	server server
	cm     *autopaho.ConnectionManager
	out    *outbox
	ping   *pinger
	seed   maphash.Seed

	// life ends with the client. It is kept here because subscriptions are made later.
	life     context.Context //nolint:containedctx // see above
	cancel   context.CancelFunc
	keeping  sync.WaitGroup
	kick     chan struct{} // wakes the keeper; holds one
	stopping atomic.Bool
	started  atomic.Bool // cm is set

	// What follows belongs to the goroutine of autopaho and, while there is a connection, to its
	// reader; they take turns.
	redeliver map[uint16]redelivery // of the last connection
	failures  int                   // attempts since a connection lasted
	attempted bool
	began     time.Time // the last connection
	echo      echo

	received struct { // QoS 2 messages that wait for their PUBREL
		sync.Mutex
		ids map[uint16]bool
	}
	unclaimed atomic.Int64

	mu      sync.RWMutex
	link    *link // nil without a connection
	usable  bool  // paho takes SUBSCRIBE on it
	present bool  // the broker knew the session
	lim     limits
	up      bool // the subscriptions stand, messages can be sent
	conns   int  // connections that got so far
	since   time.Time
	cause   error // why the last attempt failed, or the last connection ended
	wires   []*wire
	byID    map[uint32]*wire
	subs    []*Subscription
	replies map[string]*replies
	lastID  uint32
	changed chan struct{} // closed, and made anew, at every change of the above
	health  health
	closed  bool

	// runs is the parent of the handlers' contexts. Reset ends it and begins another.
	runs       context.Context //nolint:containedctx // as life
	cancelRuns context.CancelFunc
}

// Connect makes a client and begins to connect. It fails for bad options only: the connection is
// made, and made again, in the background until Close, whatever becomes of ctx.
func Connect(ctx context.Context, o Options) (*Client, error) {
	s, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("client options: %w", err)
	}
	ctx = context.WithoutCancel(ctx)
	c := &Client{
		opts: o, server: s, out: newOutbox(&o), seed: maphash.MakeSeed(),
		kick: make(chan struct{}, 1), changed: make(chan struct{}),
		byID: map[uint32]*wire{}, replies: map[string]*replies{},
	}
	c.ping = &pinger{c: c}
	c.received.ids = map[uint16]bool{}
	c.life, c.cancel = context.WithCancel(ctx)
	c.runs, c.cancelRuns = context.WithCancel(c.life)
	c.keeping.Go(func() { c.keep(c.life) })
	if c.cm, err = autopaho.NewConnection(ctx, c.config()); err != nil {
		c.cancel()
		c.keeping.Wait()
		return nil, fmt.Errorf("connect: %w", err)
	}
	c.started.Store(true)
	c.wake() // the connection may have been there before cm was
	return c, nil
}

func (c *Client) config() autopaho.ClientConfig {
	seconds := uint16(c.opts.KeepAlive / time.Second) //nolint:gosec // checked
	return autopaho.ClientConfig{
		// Only its presence counts: autopaho prints the URL, so it gets none with a password.
		ServerUrls:                    []*url.URL{{Scheme: "mqtt", Host: "broker"}},
		AttemptConnection:             func(ctx context.Context, _ autopaho.ClientConfig, _ *url.URL) (net.Conn, error) { return c.dial(ctx) },
		KeepAlive:                     seconds,
		CleanStartOnInitialConnection: true,
		ConnectTimeout:                c.opts.ConnectTimeout,
		ReconnectBackoff:              c.backoff,
		ConnectPacketBuilder:          func(p *paho.Connect, _ *url.URL) (*paho.Connect, error) { return c.connectPacket(p) },
		DisconnectPacketBuilder:       c.disconnectPacket,
		OnConnectionUp:                func(*autopaho.ConnectionManager, *paho.Connack) { c.connected() },
		OnConnectionDown:              func() bool { c.disconnected(); return true },
		OnConnectError:                c.connectFailed,
		ClientConfig: paho.ClientConfig{
			ClientID:           c.opts.ID,
			Session:            &session{c: c},
			PingHandler:        c.ping,
			PacketTimeout:      c.opts.ConnectTimeout,
			OnPublishReceived:  []func(paho.PublishReceived) (bool, error){func(paho.PublishReceived) (bool, error) { return true, nil }},
			OnClientError:      c.lost,
			OnServerDisconnect: func(d *paho.Disconnect) { c.lost(disconnectError(d)) },
		},
	}
}

// dial opens the connection that paho will use.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.ConnectTimeout)
	defer cancel()
	var nc net.Conn
	var err error
	if c.opts.Dial != nil {
		nc, err = c.opts.Dial(ctx)
	} else {
		nc, err = c.server.dial(ctx, c.opts.TLS)
	}
	if err != nil {
		return nil, err
	}
	return newLink(c, nc), nil
}

// connectPacket completes a CONNECT: a fresh will and fresh credentials each time.
func (c *Client) connectPacket(p *paho.Connect) (*paho.Connect, error) {
	user, password, has := c.server.user, c.server.password, c.server.hasUser
	hasPass := c.server.hasPass
	if c.opts.Credentials != nil {
		ctx, cancel := context.WithTimeout(c.life, c.opts.ConnectTimeout)
		defer cancel()
		var err error
		if user, password, err = c.opts.Credentials(ctx); err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
		has, hasPass = true, true
	}
	if has {
		p.UsernameFlag, p.Username = true, user
		p.PasswordFlag, p.Password = hasPass, []byte(password)
	}
	window, size := uint16(c.opts.Window), uint32(c.opts.MaxPacket)          //nolint:gosec // checked
	expiry := uint32((c.opts.SessionExpiry + time.Second - 1) / time.Second) //nolint:gosec // checked
	p.Properties = &paho.ConnectProperties{
		ReceiveMaximum: &window, MaximumPacketSize: &size, SessionExpiryInterval: &expiry, RequestProblemInfo: true,
	}
	if !c.opts.NoHealth {
		will, err := c.healthMessage(false, "disconnected", "")
		if err != nil {
			return nil, err
		}
		p.WillMessage = &paho.WillMessage{Topic: will.topic, Payload: will.payload, QoS: will.qos, Retain: will.retain}
		p.WillProperties = &paho.WillProperties{}
	}
	return p, nil
}

// disconnectPacket ends the session too: the next client with this id begins a new one anyway.
func (c *Client) disconnectPacket() *paho.Disconnect {
	var none uint32
	return &paho.Disconnect{Properties: &paho.DisconnectProperties{SessionExpiryInterval: &none}}
}

// backoff is how long to wait before the next attempt. autopaho's count begins anew with each
// connection, however short, so that two clients with one id would chase each other at full speed.
func (c *Client) backoff(int) time.Duration {
	if !c.attempted {
		c.attempted = true
		return 0
	}
	if !c.began.IsZero() {
		if time.Since(c.began) >= stableAfter {
			c.failures = 0
		}
		c.began = time.Time{}
	}
	return c.jitter(c.failures)
}

// jitter is the wait after n failures, and counts another one.
func (c *Client) jitter(n int) time.Duration {
	c.failures++
	d := c.opts.BackoffMax
	if n < 32 && c.opts.BackoffMin<<n < d && c.opts.BackoffMin<<n > 0 {
		d = c.opts.BackoffMin << n
	}
	return d - rand.N(d/2+1) //nolint:gosec // not a secret
}

func (c *Client) connectFailed(err error) {
	// What autopaho adds is the URL that is none.
	if inner := errors.Unwrap(err); inner != nil {
		var ce *autopaho.ConnackError
		if errors.As(err, &ce) {
			err = &RefusedError{What: "connect", Code: ce.ReasonCode, Reason: ce.Reason}
		} else {
			err = inner
		}
	}
	c.mu.Lock()
	again := c.cause != nil && c.cause.Error() == err.Error()
	c.cause = err
	c.mu.Unlock()
	e := c.opts.Log.Warn() //nolint:zerologlint // sent below
	if again {
		e.Discard()
		e = c.opts.Log.Debug() //nolint:zerologlint // sent below
	}
	e.Err(err).Str("client", c.opts.ID).Str("broker", c.where()).Msg("cannot connect")
}

// lost is told why a connection ended.
func (c *Client) lost(err error) {
	c.mu.Lock()
	c.cause = err
	c.mu.Unlock()
	if !c.stopping.Load() {
		c.opts.Log.Warn().Err(err).Str("client", c.opts.ID).Str("broker", c.where()).Msg("connection lost")
	}
}

func disconnectError(d *paho.Disconnect) error {
	e := &RefusedError{What: "connection", Code: d.ReasonCode}
	if d.Properties != nil {
		e.Reason = d.Properties.ReasonString
	}
	return e
}

func (c *Client) where() string {
	if c.opts.Dial != nil {
		return "in memory"
	}
	return c.server.String()
}

// String says who the client is and where.
func (c *Client) String() string { return c.opts.String() }

// GoString is String, so that %#v shows no password either.
func (c *Client) GoString() string { return c.opts.String() }

// ID is the client id.
func (c *Client) ID() string { return c.opts.ID }

// Name is the short name.
func (c *Client) Name() string { return c.opts.Name }

// Where is the broker, without user and password.
func (c *Client) Where() string { return c.where() }

// Err is why there is no connection: why the last attempt failed, or the last connection ended. It is
// nil while there is one, and before the first attempt has failed.
func (c *Client) Err() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.up {
		return nil
	}
	return c.cause
}

func (c *Client) closing() bool { return c.stopping.Load() }

// notify wakes those who wait for a change. mu is held.
func (c *Client) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// waitFor waits until ready, which is called with mu held for reading, says so.
func (c *Client) waitFor(ctx context.Context, ready func() (bool, error)) error {
	for {
		c.mu.RLock()
		changed, closed := c.changed, c.closed
		ok, err := ready()
		c.mu.RUnlock()
		switch {
		case closed:
			return ErrClosed
		case ok || err != nil:
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			c.mu.RLock()
			cause := c.cause
			c.mu.RUnlock()
			if cause != nil {
				return fmt.Errorf("%w (%w)", ctx.Err(), cause)
			}
			return ctx.Err()
		}
	}
}

// Await waits until there is a connection and the subscriptions made so far stand.
func (c *Client) Await(ctx context.Context) error {
	if err := c.waitFor(ctx, func() (bool, error) { return c.up, nil }); err != nil {
		return fmt.Errorf("connect to %s: %w", c.where(), err)
	}
	return nil
}

// Stats counts.
func (c *Client) Stats() Stats {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := Stats{
		Connected: c.up, Since: c.since, Reconnects: max(c.conns-1, 0), Publishes: c.out.snapshot(), Unclaimed: int(c.unclaimed.Load()),
	}
	for _, sub := range c.subs {
		s.Subscriptions = append(s.Subscriptions, sub.snapshot())
	}
	return s
}

// Close stops taking messages, waits for handlers to work off what they have and for the outbox
// to be acknowledged (Options.Drain, and ctx, bound both), says shutdown and disconnects. Handlers
// that are still running have their context cancelled then. It must not be called by a handler.
// A second Close returns nil at once.
func (c *Client) Close(ctx context.Context) error {
	if c.stopping.Swap(true) {
		return nil
	}
	drain, cancel := context.WithTimeout(ctx, max(c.opts.Drain, 0))
	defer cancel()
	var errs []error
	c.mu.RLock()
	subs := c.subs
	c.mu.RUnlock()
	for _, answers := range []bool{false, true} { // handlers may be waiting for answers
		for _, s := range subs {
			if s.answers == answers {
				s.stop(false)
			}
		}
		for _, s := range subs {
			if s.answers == answers && wait(drain, &s.workers) != nil {
				s.stop(true)
			}
		}
	}
	c.goodbye(drain)
	if n := c.out.drain(drain); n > 0 {
		errs = append(errs, fmt.Errorf("%d messages were not acknowledged: %w", n, ErrNotSent))
	}
	c.cancel()
	c.out.close()
	c.mu.Lock()
	c.closed = true
	c.notify()
	c.mu.Unlock()
	end, cancel2 := context.WithTimeout(ctx, 2*goodbyeTime)
	defer cancel2()
	if err := c.cm.Disconnect(end); err != nil {
		errs = append(errs, fmt.Errorf("disconnect: %w", err))
	}
	errs = append(errs, wait(end, &c.keeping))
	for _, s := range subs {
		if err := wait(ctx, &s.workers); err != nil {
			errs = append(errs, fmt.Errorf("handler of %q still runs: %w", s.filter, err))
		}
		if st := s.snapshot(); st.Lost > 0 {
			c.opts.Log.Warn().Str("client", c.opts.ID).Str("topic", s.filter).Int("messages", st.Lost).Msg("messages not handled before the end")
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close client %s: %w", c.opts.ID, err)
	}
	return nil
}
