package crash

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/daemon"
	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// watch is a well-behaved pair of clients that talks all the time, and an eye on the
// broker's memory. What a hostile client costs others shows here.
type watch struct {
	d        *daemon.Daemon
	pub, sub *rawmqtt.Conn
	sent     atomic.Int64
	received atomic.Int64
	peak     atomic.Int64 // of the broker's resident memory since the last phase, bytes

	mu  sync.Mutex
	lat []time.Duration // since the last phase

	err    error // guarded by mu; the first one
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

const (
	watchTopic = "pair/state"
	watchEvery = 5 * time.Millisecond
)

// newWatch connects the pair and starts to measure.
func newWatch(t *testing.T, b *broker, d *daemon.Daemon) *watch {
	t.Helper()
	w := &watch{d: d}
	var err error
	w.sub, err = rawmqtt.Dial(t.Context(), b.addr, rawmqtt.ConnectOptions{ID: "good-sub", Version: rawmqtt.V5, Clean: true})
	require.NoError(t, err)
	w.pub, err = rawmqtt.Dial(t.Context(), b.addr, rawmqtt.ConnectOptions{ID: "good-pub", Version: rawmqtt.V311, Clean: true})
	require.NoError(t, err)
	w.sub.Send(func(b []byte) []byte { return rawmqtt.AppendSubscribe(b, rawmqtt.V5, 1, 1, watchTopic) })
	f, err := w.sub.Next()
	require.NoError(t, err)
	require.Equal(t, rawmqtt.Suback, f.Type)

	ctx, cancel := context.WithCancel(t.Context())
	w.cancel = cancel
	w.wg.Go(func() { w.publish(ctx) })
	w.wg.Go(func() { w.read(w.pub, nil) })
	w.wg.Go(func() { w.read(w.sub, w.take) })
	w.wg.Go(func() { w.memory(ctx) })
	t.Cleanup(w.close)
	return w
}

func (w *watch) close() {
	w.cancel()
	w.pub.Close()
	w.sub.Close()
	w.wg.Wait()
}

func (w *watch) publish(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var p [64]byte
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n := w.sent.Add(1)
		binary.BigEndian.PutUint64(p[:], uint64(time.Now().UnixNano()))
		w.pub.Send(func(b []byte) []byte {
			return rawmqtt.AppendPublish(b, rawmqtt.V311, rawmqtt.Message{Topic: []byte(watchTopic), Payload: p[:], ID: uint16(n%60000 + 1), QoS: 1})
		})
	}
}

func (w *watch) read(c *rawmqtt.Conn, take func(m rawmqtt.Message)) {
	for {
		f, err := c.Next()
		if err == nil && f.Type == rawmqtt.Disconnect {
			err = fmt.Errorf("DISCONNECT % x", f.Body)
		}
		if err != nil {
			w.mu.Lock()
			if w.err == nil {
				w.err = err
			}
			w.mu.Unlock()
			return
		}
		if take == nil || f.Type != rawmqtt.Publish {
			continue
		}
		if m, err := f.Message(c.Version); err == nil { // else it is missed and the test fails
			take(m)
			c.Send(func(b []byte) []byte { return rawmqtt.AppendAck(b, rawmqtt.Puback, m.ID) })
		}
	}
}

func (w *watch) take(m rawmqtt.Message) {
	d := time.Duration(time.Now().UnixNano() - int64(binary.BigEndian.Uint64(m.Payload)))
	w.received.Add(1)
	w.mu.Lock()
	w.lat = append(w.lat, d)
	w.mu.Unlock()
}

// memory samples every 20 ms, so that a short peak shows.
func (w *watch) memory(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if n, err := daemon.RSS(w.d.PID()); err == nil && n > w.peak.Load() {
			w.peak.Store(n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// figures of one phase.
type figures struct {
	n              int
	p50, p99, most time.Duration
	peak           int64 // bytes
}

func (f figures) String() string {
	return fmt.Sprintf("p50 %v, p99 %v, max %v of %d; RSS at most %.1f MiB", f.p50.Round(time.Microsecond), f.p99.Round(time.Microsecond), f.most.Round(time.Microsecond), f.n, float64(f.peak)/(1<<20))
}

// phase ends a phase and begins the next one.
func (w *watch) phase(t *testing.T) figures {
	t.Helper()
	w.mu.Lock()
	lat, err := w.lat, w.err
	w.lat = nil
	w.mu.Unlock()
	require.NoError(t, err, "the well-behaved pair lost its connection")
	require.NotEmpty(t, lat, "the well-behaved pair got nothing")
	slices.Sort(lat)
	return figures{n: len(lat), p50: lat[len(lat)/2], p99: lat[len(lat)*99/100], most: lat[len(lat)-1], peak: w.peak.Swap(0)}
}

// settle wants everything that the pair sent to have arrived.
func (w *watch) settle(t *testing.T) {
	t.Helper()
	n := w.sent.Load()
	eventually(t, 10*time.Second, "the pair's messages have arrived", func() bool { return w.received.Load() >= n })
}
