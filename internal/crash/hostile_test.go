package crash

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/daemon"
	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// hostile is the scene of one attack.
type hostile struct {
	t    *testing.T
	b    *broker
	from net.IP // where attackers come from

	claim net.IP // where they say they come from, if not nil

	mu    sync.Mutex
	conns []net.Conn
}

const (
	// hostileP99 bounds the pair's p99 latency during an attack. Attackers, pair and broker
	// share this machine's processors, so it is generous: a broker that waits for anybody
	// stands still for seconds, not for this.
	hostileP99 = 250 * time.Millisecond
	calm       = 1500 * time.Millisecond // measured before each attack
	mib        = 1 << 20

	connectionCap = 200 // of the attacks that exceed it
)

// TestHostile attacks a broker in the ways that cost the attacker least, while a
// well-behaved pair wants its messages on time. Each attack has its own broker.
func TestHostile(t *testing.T) {
	slow(t)
	for _, tc := range []struct {
		name   string
		set    []string
		memory int64 // bytes that the broker may grow by
		attack func(h *hostile)
	}{
		{"slowloris", []string{"limits.connect_timeout=2s"}, 32 * mib, slowloris},
		{"half packets", nil, 64 * mib, halfPackets},
		{"256 MiB claims", nil, 32 * mib, lengthClaims},
		{"deep topics", nil, 64 * mib, deepTopics},
		{"many topics", []string{"limits.retained_messages=20000"}, 128 * mib, manyTopics},
		{"many subscriptions", nil, 64 * mib, manySubscriptions},
		{"id theft", nil, 64 * mib, idTheft},
		{"stuck readers", []string{"limits.buffer_bytes=1048576", "limits.queue_bytes=2097152"}, 160 * mib, stuckReaders},
		{"connection storm", []string{"limits.connections=10000", "limits.connections_per_address=10000"}, 256 * mib, connectionStorm},
		{"too many connections", []string{fmt.Sprintf("limits.connections=%d", connectionCap)}, 64 * mib, tooManyInAll},
		{"too many connections from one address", []string{
			fmt.Sprintf("limits.connections_per_address=%d", connectionCap), "proxy_protocol.enabled=true", "proxy_protocol.trusted=127.0.0.2",
		}, 64 * mib, tooManyFromOne},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBroker(t, tc.set...)
			d := b.start(t)
			w := newWatch(t, b, d)
			pause(t, calm)
			before := w.phase(t)
			h := &hostile{t: t, b: b, from: net.IPv4(127, 0, 0, 2)}
			defer h.leave()
			t0 := time.Now()
			tc.attack(h)
			pause(t, time.Until(t0.Add(calm))) // so that a short attack has its figures too
			during := w.phase(t)
			h.leave()
			w.settle(t)
			t.Logf("before: %v", before)
			t.Logf("during: %v (%v long)", during, time.Since(t0).Round(time.Millisecond))
			assert.Less(t, during.p99, hostileP99+2*before.p99, "p99 of the pair during the attack")
			assert.Less(t, during.peak-before.peak, tc.memory, "growth of the broker's memory in bytes")
			w.close()
			stopsOrLives(t, b, d)
		})
	}
}

// stopsOrLives wants a broker in good health after an attack.
func stopsOrLives(t *testing.T, b *broker, d *daemon.Daemon) {
	t.Helper()
	select {
	case <-d.Done():
		t.Fatalf("the broker ended, exit code %d:\n%s", d.ExitCode(), d.Log())
	default:
		b.stop(t, d)
	}
}

// leave closes the attackers' connections.
func (h *hostile) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		c.Close()
	}
	h.conns = nil
}

// dial opens a connection that leave closes.
func (h *hostile) dial() (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: h.from}, Timeout: 10 * time.Second}
	c, err := d.DialContext(h.t.Context(), "tcp", h.b.addr)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.conns = append(h.conns, c)
	h.mu.Unlock()
	if h.claim != nil {
		_, err = c.Write(proxyHeader(h.claim))
	}
	return c, err
}

// connect opens a connection and says hello as it should be.
func (h *hostile) connect(o rawmqtt.ConnectOptions) (*rawmqtt.Conn, error) {
	nc, err := h.dial()
	if err != nil {
		return nil, err
	}
	return rawmqtt.Handshake(nc, o)
}

// must is connect for attacks that need it.
func (h *hostile) must(o rawmqtt.ConnectOptions) *rawmqtt.Conn {
	h.t.Helper()
	c, err := h.connect(o)
	require.NoError(h.t, err)
	return c
}

// closed waits until the broker closes nc, which may say goodbye before, and returns how
// long that took; limit if it did not happen.
func closed(nc net.Conn, limit time.Duration) time.Duration {
	t0 := time.Now()
	if err := nc.SetReadDeadline(t0.Add(limit)); err != nil {
		return time.Since(t0)
	}
	var b [512]byte
	for {
		if _, err := nc.Read(b[:]); errors.Is(err, os.ErrDeadlineExceeded) {
			return limit
		} else if err != nil {
			return time.Since(t0)
		}
	}
}

// each runs f n times side by side.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// slowloris: CONNECT byte by byte, never complete.
func slowloris(h *hostile) {
	const n, limit = 300, 2 * time.Second
	hello := rawmqtt.AppendConnect(nil, rawmqtt.ConnectOptions{ID: string(make([]byte, 1000)), Clean: true})
	var alive atomic.Int64
	each(n, func(int) {
		c, err := h.dial()
		if err != nil {
			return // refused at once is fine
		}
		gone := make(chan time.Duration, 1)
		go func() { gone <- closed(c, limit+8*time.Second) }() // bounded, and its end is awaited below
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case took := <-gone:
				if took > limit+3*time.Second {
					alive.Add(1)
				}
				return
			case <-tick.C:
				_, _ = c.Write(hello[i : i+1]) // its end shows on the reading side
			}
		}
	})
	if !mosquitto() {
		assert.Zero(h.t, alive.Load(), "connections without a CONNECT that outlived limits.connect_timeout by far")
	}
}

// halfPackets: authenticated clients announce 1 MiB each, send a little of it and stop.
func halfPackets(h *hostile) {
	const n = 200
	var alive atomic.Int64
	each(n, func(i int) {
		c, err := h.connect(rawmqtt.ConnectOptions{ID: fmt.Sprintf("half%d", i), Clean: true, KeepAlive: 2})
		if err != nil {
			return
		}
		c.Send(func(b []byte) []byte {
			b = rawmqtt.AppendVarint(append(b, rawmqtt.Publish<<4), mib)
			return append(rawmqtt.AppendString(b, "half"), make([]byte, 1000)...)
		})
		if err := c.SetReadDeadline(time.Now().Add(8 * time.Second)); err != nil {
			return
		}
		if _, err := c.Next(); errors.Is(err, os.ErrDeadlineExceeded) {
			alive.Add(1)
		}
	})
	assert.Zero(h.t, alive.Load(), "connections that outlived their keep-alive by far")
}

// lengthClaims: five bytes that announce a packet of 256 MiB, before and after CONNECT.
func lengthClaims(h *hostile) {
	const n = 200
	claim := []byte{0xff, 0xff, 0xff, 0x7f}
	var alive atomic.Int64
	each(n, func(i int) {
		nc, err := h.dial()
		if err != nil {
			return
		}
		first := rawmqtt.Connect << 4
		if i%2 == 1 {
			first = rawmqtt.Publish << 4
			if _, err := rawmqtt.Handshake(nc, rawmqtt.ConnectOptions{ID: fmt.Sprintf("claim%d", i), Version: byte(4 + i/2%2), Clean: true}); err != nil {
				return
			}
		}
		_, _ = nc.Write(append([]byte{first}, claim...)) // may be refused already
		_, _ = nc.Write(make([]byte, 2000))
		if closed(nc, 5*time.Second) >= 5*time.Second {
			alive.Add(1)
		}
	})
	if !mosquitto() {
		assert.Zero(h.t, alive.Load(), "connections that may announce 256 MiB")
	}
}

// connectionStorm: 5,000 clients connect as fast as they can, stay a while, and vanish.
func connectionStorm(h *hostile) {
	const n = 5000
	var failed atomic.Int64
	var first atomic.Pointer[error]
	work := make(chan int)
	t0 := time.Now()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := range work {
				if err := h.hello(fmt.Sprintf("storm%d", i)); err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
	h.t.Logf("%d connections in %v", n, time.Since(t0).Round(time.Millisecond))
	if e := first.Load(); e != nil {
		h.t.Errorf("%d of %d did not connect: %v", failed.Load(), n, *e)
	}
	pause(h.t, time.Second) // all are there
	h.leave()
	pause(h.t, time.Second) // all are gone
}

// hello connects with little memory of its own.
func (h *hostile) hello(id string) error {
	nc, err := h.dial()
	if err != nil {
		return err
	}
	if err := nc.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := nc.Write(rawmqtt.AppendConnect(nil, rawmqtt.ConnectOptions{ID: id, Clean: true, KeepAlive: 60})); err != nil {
		return err
	}
	var b [4]byte
	if _, err := nc.Read(b[:]); err != nil {
		return err
	}
	if b[0] != rawmqtt.Connack<<4 || b[3] != 0 {
		return fmt.Errorf("%w: % x", rawmqtt.ErrRefused, b)
	}
	return nil
}

// flood opens n connections, 32 at a time, and returns how many of them were let in.
func (h *hostile) flood(n int) int {
	var in atomic.Int64
	sem := make(chan struct{}, 32)
	each(n, func(i int) {
		sem <- struct{}{}
		defer func() { <-sem }()
		if h.hello(fmt.Sprintf("many%d", i)) == nil {
			in.Add(1)
		}
	})
	return int(in.Load())
}

// tooManyInAll: more connections than the broker may have. The rest is turned away, and
// there is room again when they leave.
func tooManyInAll(h *hostile) {
	in := h.flood(1000)
	if mosquitto() {
		return
	}
	assert.LessOrEqual(h.t, in, connectionCap)
	assert.Greater(h.t, in, connectionCap/2, "the limit refuses more than it should")
	h.leave()
	eventually(h.t, 5*time.Second, "room for a new connection", func() bool { return h.hello("welcome") == nil })
}

// tooManyFromOne: one address opens more connections than it may have. Another one is
// welcome. Loopback has no such limit, so the address comes from a proxy.
func tooManyFromOne(h *hostile) {
	if mosquitto() {
		return
	}
	h.claim = net.IPv4(192, 0, 2, 1)
	in := h.flood(1000)
	assert.LessOrEqual(h.t, in, connectionCap)
	assert.Greater(h.t, in, connectionCap/2, "the limit refuses more than it should")
	other := &hostile{t: h.t, b: h.b, from: h.from, claim: net.IPv4(192, 0, 2, 2)}
	defer other.leave()
	require.NoError(h.t, other.hello("welcome"), "another address")
}

// proxyHeader is what a proxy says of a TCP connection from ip: PROXY protocol version 2.
func proxyHeader(ip net.IP) []byte {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, 0x11, 0, 12)
	b = append(append(b, ip.To4()...), 127, 0, 0, 1)
	return append(b, 0x30, 0x39, 0x07, 0x5b) // ports 12345 and 1883
}
