package delivery_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks"
	"github.com/tarsd/tarsd/hooks/delivery"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
	"github.com/tarsd/tarsd/storage"
)

// gate is a Store whose commits wait for the test.
type gate struct {
	mu     sync.Mutex
	cond   *sync.Cond
	subs   []submission
	shut   bool // commits wait
	bad    bool // degraded
	done   bool
	flush  func()
	onDisk map[string][]byte
	full   chan chan struct{} // not nil: there is no room until the test closes what it gets here
}
type submission struct {
	mode storage.Mode
	done storage.Done
	ops  []storage.Op
	err  error
}

func newGate(t *testing.T) *gate {
	g := &gate{onDisk: map[string][]byte{}}
	g.cond = sync.NewCond(&g.mu)
	go g.run()
	t.Cleanup(func() { g.mu.Lock(); g.done = true; g.shut = false; g.mu.Unlock(); g.cond.Broadcast() })
	return g
}
func (g *gate) run() {
	for {
		g.mu.Lock()
		for !g.done && (len(g.subs) == 0 || (g.shut && g.subs[0].err == nil)) {
			g.cond.Wait()
		}
		if g.done && len(g.subs) == 0 {
			g.mu.Unlock()
			return
		}
		s := g.subs[0]
		g.subs = g.subs[1:]
		if s.err == nil {
			for _, op := range s.ops {
				k := string(op.Record.Bucket()) + " " + fmt.Sprintf("%q", op.Record.AppendKey(nil))
				if op.Delete {
					delete(g.onDisk, k)
				} else {
					g.onDisk[k] = op.Record.AppendValue(nil)
				}
			}
		}
		f := g.flush
		g.mu.Unlock()
		if s.done != nil {
			s.done.Committed(s.err)
		}
		if f != nil {
			f()
		}
	}
}
func (g *gate) Submit(mode storage.Mode, done storage.Done, _ int, ops ...storage.Op) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := submission{mode: mode, done: done, ops: ops}
	if g.bad && mode == storage.Discard {
		s.err = storage.ErrDegraded
		g.subs = append([]submission{s}, g.subs...)
	} else {
		g.subs = append(g.subs, s)
	}
	g.cond.Broadcast()
}
func (g *gate) Wait(ctx context.Context) error {
	g.mu.Lock()
	full := g.full
	g.mu.Unlock()
	if full == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	room := make(chan struct{})
	full <- room
	<-room
	return nil
}

type waiter chan error

func (w waiter) Committed(err error) { w <- err }
func (g *gate) Sync(ctx context.Context) error {
	w := make(waiter, 1)
	g.Submit(storage.Discard, w, 0)
	select {
	case err := <-w:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
func (g *gate) OnNotified(f func())                                               { g.mu.Lock(); g.flush = f; g.mu.Unlock() }
func (g *gate) Range(b storage.Bucket, _ []byte, f func(k, v []byte) error) error { return nil }
func (g *gate) State() storage.State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return storage.State{Degraded: g.bad}
}
func (g *gate) close() { g.mu.Lock(); g.shut = true; g.mu.Unlock() }
func (g *gate) open()  { g.mu.Lock(); g.shut = false; g.mu.Unlock(); g.cond.Broadcast() }

// fail refuses the Discard submissions that wait, ahead of the kept ones; the disk is well again at once.
func (g *gate) fail() {
	g.mu.Lock()
	var bad, good []submission
	for _, s := range g.subs {
		if s.mode == storage.Discard {
			s.err = storage.ErrDegraded
			bad = append(bad, s)
		} else {
			good = append(good, s)
		}
	}
	g.subs = append(bad, good...)
	g.mu.Unlock()
	g.cond.Broadcast()
}
func (g *gate) waiting() int { g.mu.Lock(); defer g.mu.Unlock(); return len(g.subs) }
func (g *gate) has(prefix string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k := range g.onDisk {
		if strings.HasPrefix(k, prefix) {
			n++
		}
	}
	return n
}

type gated struct {
	e *delivery.Engine
	m *broker.Memory
	g *gate
}

func startGated(t *testing.T, events func(delivery.Event), hk ...delivery.Hook) *gated {
	t.Helper()
	g := newGate(t)
	lim := delivery.DefaultLimits()
	e, err := delivery.New(delivery.Options{Limits: lim, Store: g, Policy: brokertest.AllowAll{}, Events: events, Hooks: hk, Log: zerolog.Nop()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	b, err := broker.New(broker.Options{Front: hooks.NewFront(ctx, e, lim), Log: zerolog.Nop()})
	require.NoError(t, err)
	m := broker.NewMemory(b)
	t.Cleanup(func() {
		g.open()
		cancel()
		sctx, c := context.WithTimeout(context.Background(), 3*time.Second)
		defer c()
		assert.NoError(t, b.Shutdown(sctx))
		m.Close()
	})
	return &gated{e, m, g}
}

// idle waits until everything that was submitted is committed.
func (x *gated) idle(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return x.g.waiting() == 0 }, 5*time.Second, time.Millisecond)
}

// pass lets time pass on a connection on which nothing may come.
func pass(c *wt.Conn, d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; {
		c.ExpectQuiet()
	}
}

func (x *gated) pipe(t *testing.T) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	nc, err := x.m.Dial(ctx)
	require.NoError(t, err)
	return nc
}

func (x *gated) dial(t *testing.T, version byte, o wt.Connect) (*wt.Conn, wt.Packet) {
	t.Helper()
	c := wt.New(t, x.pipe(t), version)
	c.Timeout = 2 * time.Second
	c.Name = o.ClientID
	return c, c.Connect(o)
}
