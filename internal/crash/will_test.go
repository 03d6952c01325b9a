package crash

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// wills are clients that are connected when the broker is killed. The wills of those that
// do not come back have to come in a later life (MQTT-3.1.2-8), those with a delay in which
// the client is back must not (MQTT-3.1.3-9), and for a client without a delay that comes
// back it is a matter of taste whether the death of the broker was the client's.
type wills struct {
	conns []*rawmqtt.Conn
	wg    sync.WaitGroup // readers of conns

	mu   sync.Mutex
	fate map[string]fate // by payload
	seen map[string]int
}

type fate byte

const (
	willDue fate = iota + 1
	willNever
	willEither
)

const (
	willFilter = "w/#"
	willDelay  = 600 // seconds; far more than a broker needs to come back
)

func newWills() *wills {
	return &wills{fate: map[string]fate{}, seen: map[string]int{}}
}

// begin connects the heir and the clients with a will. A will is kept from the CONNACK on.
func (w *wills) begin(t *testing.T, addr string, life int) {
	t.Helper()
	if mosquitto() {
		return // it forgets wills when it is killed, and keeps other promises
	}
	w.heir(t, addr)
	for _, v := range []struct {
		rawmqtt.ConnectOptions
		fate fate
	}{
		{rawmqtt.ConnectOptions{ID: fmt.Sprintf("will3-%d", life), Clean: true}, willDue},
		{rawmqtt.ConnectOptions{ID: fmt.Sprintf("will3kept-%d", life)}, willDue},
		{rawmqtt.ConnectOptions{ID: fmt.Sprintf("will5-%d", life), Version: rawmqtt.V5, Clean: true}, willDue},
		{rawmqtt.ConnectOptions{ID: "will3back"}, willEither},
		{rawmqtt.ConnectOptions{ID: "will5back", Version: rawmqtt.V5, Expiry: 2 * willDelay, WillDelay: willDelay}, willNever},
	} {
		o := v.ConnectOptions
		o.WillTopic, o.WillQoS = "w/"+o.ID, 1
		o.WillPayload = fmt.Appendf(nil, "%s of life %d", o.ID, life)
		c := w.connect(t, addr, o)
		w.fate[string(o.WillPayload)] = v.fate
		w.wg.Go(func() {
			for {
				if _, err := c.Next(); err != nil {
					return // the broker is dead; whether it died too early is for others to judge
				}
			}
		})
	}
}

func (w *wills) connect(t *testing.T, addr string, o rawmqtt.ConnectOptions) *rawmqtt.Conn {
	t.Helper()
	c, err := rawmqtt.Dial(t.Context(), addr, o)
	require.NoError(t, err, o.ID)
	w.conns = append(w.conns, c)
	return c
}

// heir connects the persistent subscriber of all wills and lets it read.
func (w *wills) heir(t *testing.T, addr string) {
	t.Helper()
	c := w.connect(t, addr, rawmqtt.ConnectOptions{ID: "heir", Version: rawmqtt.V5, Expiry: 86400})
	confirmed := make(chan struct{})
	c.Send(func(b []byte) []byte { return rawmqtt.AppendSubscribe(b, rawmqtt.V5, 1, 1, willFilter) })
	w.wg.Go(func() {
		for {
			f, err := c.Next()
			if err != nil {
				return
			}
			switch f.Type {
			case rawmqtt.Suback:
				close(confirmed)
			case rawmqtt.Publish:
				m, err := f.Message(rawmqtt.V5)
				if err != nil {
					return // the will is missed then, which fails the test
				}
				w.mu.Lock()
				w.seen[string(m.Payload)]++
				w.mu.Unlock()
				c.Send(func(b []byte) []byte { return rawmqtt.AppendAck(b, rawmqtt.Puback, m.ID) })
			}
		}
	})
	select {
	case <-confirmed:
	case <-time.After(startLimit):
		t.Fatal("the heir got no SUBACK")
	}
}

// end cleans up after the broker's death.
func (w *wills) end(t *testing.T) {
	t.Helper()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
	w.wg.Wait()
}

// check waits in the last life until all wills that are due have come.
func (w *wills) check(t *testing.T, addr string) {
	t.Helper()
	if mosquitto() {
		return
	}
	w.heir(t, addr)
	missing := func() []string {
		w.mu.Lock()
		defer w.mu.Unlock()
		var m []string
		for p, f := range w.fate {
			if f == willDue && w.seen[p] == 0 {
				m = append(m, p)
			}
		}
		return m
	}
	for end := time.Now().Add(drainLimit); len(missing()) > 0; pause(t, 10*time.Millisecond) {
		require.True(t, time.Now().Before(end), "wills that never came: %v", missing())
	}
	w.end(t)
	for p := range w.seen {
		require.Contains(t, []fate{willDue, willEither}, w.fate[p], "a will that was not due: %q", p)
	}
}

func (w *wills) String() string {
	more := 0
	for _, n := range w.seen {
		more += n - 1
	}
	return fmt.Sprintf("%d wills came, %d of them more than once", len(w.seen), more)
}
