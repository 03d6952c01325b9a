package broker

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/internal/wire"
)

// ConnLimits bound what one connection may cost. Zero values are replaced by the defaults of
// DefaultLimits.
type ConnLimits struct {
	ConnectTimeout time.Duration // from accept to CONNACK
	WriteTimeout   time.Duration // without any progress of a blocked write
	PreAuthBytes   int           // largest packet before the CONNACK
	PacketBytes    int           // largest packet afterwards
	BufferBytes    int           // outbound bytes of a connection above which QoS 0 is dropped, and QoS 1 and 2 wait
	BufferTotal    int           // of all connections: above it each has 1 MiB
	Connections    int           // at once, authenticated or not
	PerAddress     int           // the same for one address; local ones are exempt
}

// DefaultLimits are the limits that a zero field stands for.
func DefaultLimits() ConnLimits {
	return ConnLimits{
		ConnectTimeout: 5 * time.Second,
		WriteTimeout:   10 * time.Second,
		PreAuthBytes:   16 << 10,
		PacketBytes:    2 << 20,
		BufferBytes:    32 << 20,
		BufferTotal:    256 << 20,
		Connections:    10_000,
		PerAddress:     1000,
	}
}

func (l ConnLimits) withDefaults() ConnLimits {
	d := DefaultLimits()
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	if l.ConnectTimeout <= 0 {
		l.ConnectTimeout = d.ConnectTimeout
	}
	if l.WriteTimeout <= 0 {
		l.WriteTimeout = d.WriteTimeout
	}
	set(&l.PreAuthBytes, d.PreAuthBytes)
	set(&l.PacketBytes, d.PacketBytes)
	set(&l.BufferBytes, d.BufferBytes)
	set(&l.BufferTotal, d.BufferTotal)
	set(&l.Connections, d.Connections)
	set(&l.PerAddress, d.PerAddress)
	return l
}

// Front is the library's hook with one more method.
type Front interface {
	mqtt.Hook
	// Stopping is called at the begin of Shutdown, before any connection ends because of it.
	Stopping()
}

// Options of New.
type Options struct {
	Front   Front // the adapter of the library's connection hooks
	Limits  ConnLimits
	Refused func(info Info, reason string) // called for connections that the caps refuse; may be nil
	Grown   func()                         // called when many connections have come, and no more do; may be nil
	Log     zerolog.Logger
}

// Broker runs connections: the library answers their control packets, the receivers that the
// front hook attaches take their messages.
type Broker struct {
	srv     *mqtt.Server
	front   Front
	limits  ConnLimits
	caps    *caps
	refused func(Info, string)
	log     zerolog.Logger

	buffered atomic.Int64 // bytes in outbound buffers, those of small chunks not counted

	mu      sync.Mutex
	conns   map[*Conn]struct{}
	grown   func()
	settled int         // connections at the last call of grown
	grownAt time.Time   // of that call
	quiet   *time.Timer // until the next one
	closing bool
	wg      sync.WaitGroup // connections, writers and lingering closes
}

// New makes a broker without listeners. The library's own Serve is never called: it would
// start sweeps over all clients and every second a copy of its retained messages.
func New(o Options) (*Broker, error) {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumClientWritesPending = 1 // never used: messages do not pass through the library
	caps.MaximumMessageExpiryInterval = 0
	caps.TopicAliasMaximum = 0
	caps.ReceiveMaximum = 0 // the adapter writes the CONNACK's properties
	srv := mqtt.New(&mqtt.Options{
		Capabilities:             caps,
		Logger:                   newLogger(dropPackets{zerolog.NewSlogHandler(o.Log.With().Str("library", "mochi").Logger())}),
		SysTopicResendInterval:   1 << 30,
		ClientNetReadBufferSize:  64,
		ClientNetWriteBufferSize: 64,
	})
	b := &Broker{
		srv:     srv,
		front:   o.Front,
		limits:  o.Limits.withDefaults(),
		refused: o.Refused,
		grown:   o.Grown,
		log:     o.Log,
		conns:   map[*Conn]struct{}{},
	}
	b.caps = newCaps(b.limits.Connections, b.limits.PerAddress)
	if err := srv.AddHook(o.Front, nil); err != nil {
		return nil, fmt.Errorf("front hook: %w", err)
	}
	return b, nil
}

// Serve runs one connection to its end. It refuses it at once over the caps, and a panic in
// the library or a hook costs this connection only.
func (b *Broker) Serve(nc net.Conn, info Info) {
	release, reason := b.caps.enter(info)
	if reason != "" {
		if b.refused != nil {
			b.refused(info, reason)
		}
		_ = nc.Close()
		return
	}
	defer release()
	c := newConn(b, nc, info)
	if !b.add(c) {
		_ = nc.Close()
		return
	}
	defer b.wg.Done()
	_ = nc.SetReadDeadline(time.Now().Add(b.limits.ConnectTimeout))
	b.establish(c)
	c.account()
	if c.receiver != nil {
		c.receiver.Closed()
	}
	close(c.done)
	_ = c.Close()
	c.releaseRead()
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
}

// establish hands the connection to the library and takes it back.
func (b *Broker) establish(c *Conn) {
	defer func() {
		if r := recover(); r != nil {
			c.setReason("internal error")
			b.log.Error().Str("remote", c.RemoteAddr().String()).Interface("panic", r).Bytes("stack", debug.Stack()).Msg("connection panicked")
		}
		if c.client != nil {
			b.srv.Clients.Delete(c.client.ID)
			c.client.Stop(nil) // also after a panic: ends the library's writer goroutine
		}
	}()
	if err := b.srv.EstablishConnection(c.info.Listener, c); err != nil {
		c.setReason(err.Error())
	}
}

func (b *Broker) add(c *Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return false
	}
	b.conns[c] = struct{}{}
	b.wg.Add(1)
	b.grow()
	return true
}

// What counts as many connections, and how long none may come before they are settled.
const (
	growStep  = 250
	growQuiet = 200 * time.Millisecond
	growEvery = 30 * time.Second // at most one call, however often connections come and go
)

// grow arranges for Options.Grown. mu is held.
func (b *Broker) grow() {
	n := len(b.conns)
	b.settled = min(b.settled, n)
	if b.grown == nil || n < b.settled+growStep {
		return
	}
	if since := time.Since(b.grownAt); !b.grownAt.IsZero() && since < growEvery {
		return
	}
	if b.quiet != nil {
		b.quiet.Reset(growQuiet)
		return
	}
	b.quiet = time.AfterFunc(growQuiet, func() {
		b.mu.Lock()
		b.settled, b.grownAt = len(b.conns), time.Now()
		closing := b.closing
		b.mu.Unlock()
		if !closing {
			b.grown()
		}
	})
}

// spawn runs f on a goroutine that Shutdown waits for.
func (b *Broker) spawn(f func()) { b.wg.Go(f) }

// Connections is the number of connections, authenticated or not.
func (b *Broker) Connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns)
}

// Shutdown refuses new connections, disconnects all with "server shutting down" and waits for
// them until ctx ends; then it closes their sockets. Listeners must be closed before.
func (b *Broker) Shutdown(ctx context.Context) error {
	b.front.Stopping()
	b.mu.Lock()
	b.closing = true
	if b.quiet != nil {
		b.quiet.Stop()
	}
	conns := make([]*Conn, 0, len(b.conns))
	for c := range b.conns {
		conns = append(conns, c)
	}
	b.mu.Unlock()
	for _, c := range conns {
		c.Disconnect(wire.ServerShuttingDown, "server shutting down")
	}
	done := make(chan struct{})
	go func() { b.wg.Wait(); close(done) }() // ends with the process at the latest
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	for _, c := range conns {
		_ = c.shut()
	}
	select {
	case <-done:
		return nil
	case <-time.After(100 * time.Millisecond):
		return fmt.Errorf("%d connections did not end in time: %w", b.Connections(), ctx.Err())
	}
}

func newLogger(h dropPackets) *slog.Logger { return slog.New(h) }

// dropPackets keeps whole packets, which may hold payloads and passwords, out of the log.
type dropPackets struct{ slog.Handler }

// Handle implements slog.Handler.
func (h dropPackets) Handle(ctx context.Context, r slog.Record) error {
	kept := slog.NewRecord(r.Time, slog.LevelDebug, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "pk", "packet", "packets":
		default:
			kept.AddAttrs(a)
		}
		return true
	})
	return h.Handler.Handle(ctx, kept)
}

// Enabled implements slog.Handler: whatever the library says is debug for us.
func (h dropPackets) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.Handler.Enabled(ctx, slog.LevelDebug)
}
