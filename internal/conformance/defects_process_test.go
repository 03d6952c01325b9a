package conformance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// defect10 counts what the process allocates while nothing happens. The library copied all
// retained messages and all clients every second: 116,000 allocations with 100,000 messages.
func defect10(t *testing.T) {
	e := newRig(t, wt.V5)
	pub := e.connect("pub")
	var all []byte
	for i := range 10_000 {
		all = append(all, e.retained(fmt.Sprint(i), "x", 0).Bytes(wt.V5)...)
	}
	pub.Send(all)
	pub.Publish(e.msg("end", "x", 1))
	for i := range 50 {
		e.connect(fmt.Sprint("c", i)).Subscribe(e.sub("none/#", 1))
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e.elapse(2200 * time.Millisecond)
	runtime.ReadMemStats(&after)
	assert.Less(t, after.Mallocs-before.Mallocs, uint64(1000), "allocations of an idle broker in two seconds")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "bytes of them")
}

// defect19 announces large packets before authentication.
func defect19(t *testing.T) {
	e := newRig(t, wt.V5)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 8 {
		c := e.dial("a")
		c.Send([]byte{wt.CONNECT << 4, 0xff, 0xff, 0xff, 0x7f})
		c.ExpectRefused()
	}
	// Beyond the cap of packets before CONNACK, but not beyond that of others.
	c := e.dial("b")
	c.Send([]byte{wt.CONNECT << 4, 0x80, 0x80, 0x40})
	c.ExpectRefused()
	// After it, bytes cost when they come.
	c = e.connect("c")
	c.Send([]byte{wt.PUBLISH << 4, 0x80, 0x80, 0x40}) // a MiB, of which nothing comes
	e.connect("d").ExpectQuiet()
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20), "bytes allocated")
}

func defect23(t *testing.T) {
	e := newRig(t, wt.V5)
	dial := func(origin string, protocols ...string) (*websocket.Conn, *http.Response, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		h := http.Header{}
		if origin != "" {
			h.Set("Origin", origin)
		}
		d := websocket.Dialer{Subprotocols: protocols}
		c, resp, err := d.DialContext(ctx, e.b.WebSocket(), h)
		if resp != nil {
			_ = resp.Body.Close()
		}
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
			_ = c.SetReadDeadline(time.Now().Add(wt.DefaultTimeout))
		}
		return c, resp, err
	}
	_, resp, err := dial("https://elsewhere.example", "mqtt")
	require.Error(t, err, "a page from elsewhere")
	require.NotNil(t, resp)
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	_, _, err = dial("", "other")
	require.Error(t, err, "another subprotocol")
	_, _, err = dial("")
	require.Error(t, err, "no subprotocol")

	c, _, err := dial(strings.Replace(strings.TrimSuffix(e.b.WebSocket(), "/mqtt"), "ws://", "http://", 1), "mqtt")
	require.NoError(t, err, "a page from the broker's own host")
	closed := func(b []byte) int {
		require.NoError(t, c.WriteMessage(websocket.BinaryMessage, b))
		for {
			_, _, err := c.ReadMessage()
			var ce *websocket.CloseError
			if errors.As(err, &ce) {
				return ce.Code
			}
			require.NoError(t, err)
		}
	}
	assert.Equal(t, websocket.CloseNormalClosure, closed(append(e.options("a").Bytes(wt.V5), wt.Bye(0)...)), "after DISCONNECT")
	c, _, err = dial("", "mqtt")
	require.NoError(t, err)
	assert.NotEqual(t, websocket.CloseAbnormalClosure, closed([]byte{0, 0}), "after an error")
	c, _, err = dial("", "mqtt")
	require.NoError(t, err)
	go func() { _ = c.WriteMessage(websocket.BinaryMessage, make([]byte, 16<<20)) }() // fails when the other side closes
	for err == nil {
		_, _, err = c.ReadMessage()
	}
	assert.NotErrorIs(t, err, context.DeadlineExceeded, "a message beyond any limit ends the connection")
}

// capture is a test that seems to fail, so that the broker hands out its log.
type capture struct {
	testing.TB
	log strings.Builder
}

func (c *capture) Failed() bool { return true }

func (c *capture) Logf(format string, args ...any) { fmt.Fprintf(&c.log, format, args...) }

func defect24(t *testing.T) {
	const secret = "S3cretPayload"
	var log *capture
	t.Run("traffic", func(t *testing.T) {
		log = &capture{TB: t}
		b := brokertest.Start(log)
		for _, version := range []byte{wt.V311, wt.V5} {
			e := newEnv(t, &own{Broker: b}, version, "tcp")
			bad := [][]byte{
				{0, 13, 'S', '3', 'c', 'r', 'e', 't', 'P', 'a', 'y', 'l', 'o', 'a', 'd'},
				e.msg("a/#", secret, 0).Bytes(version),
				e.msg("a\xff", secret, 0).Bytes(version),
				wt.Frame(wt.PUBLISH<<4|6, []byte(secret)),
				wt.Frame(wt.SUBSCRIBE<<4|2, append([]byte{0, 1, 0, 99}, secret...)),
				e.options("a", will(wt.Will{Topic: "t", Payload: secret})).Bytes(version),
				wt.Frame(wt.CONNACK<<4, []byte(secret)),
			}
			for _, p := range bad {
				e.closes("bad", e.connect("a"), p)
			}
			e.refuses("connect", e.options("b", will(wt.Will{Topic: "a/#", Payload: secret}), with(func(o *wt.Connect) {
				o.User, o.Password = ptr("u"), ptr(secret)
			})).Bytes(version))
			e.refuses("connect", wt.Frame(wt.CONNECT<<4, []byte(secret)))
			e.connect("c", with(func(o *wt.Connect) { o.User, o.Password = ptr("u"), ptr(secret) })).Publish(e.msg("t", secret, 2))
		}
	})
	assert.NotEmpty(t, log.log.String(), "the log")
	assert.NotContains(t, log.log.String(), secret)
	assert.NotContains(t, log.log.String(), "UzNjcmV0", "base64 of it")
	assert.NotContains(t, log.log.String(), "533363726574", "hex of it")
}

// defect26 has connections publish, acknowledge, subscribe and come back all at once, with few
// packets in flight, so that everything waits for everything.
func defect26(t *testing.T) {
	e := newRig(t, wt.V5)
	var wg sync.WaitGroup
	for i := range 6 {
		c := e.connect(fmt.Sprint("c", i), e.kept(), prop(wt.Num(wt.ReceiveMaximum, 2)))
		c.Subscribe(e.sub("t/#", 1))
		wg.Go(func() { churn(t, e.env, c, i) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		t.Fatal("stuck")
	}
}

// churn publishes 200 messages and acknowledges what comes until all of them are acknowledged.
func churn(t *testing.T, e *env, c *wt.Conn, n int) {
	for sent, acked := 0, 0; acked < 200; {
		if sent < 200 && sent-acked < 3 {
			m := e.msg(fmt.Sprintf("t/%d", n), "x", 1)
			m.ID = uint16(1 + sent)
			if err := c.TrySend(m.Bytes(wt.V5), wt.Subscribe(wt.V5, 500, nil, e.sub(fmt.Sprintf("s/%d", sent), 1))); err != nil {
				t.Errorf("send: %v", err)
				return
			}
			sent++
		}
		p, err := c.TryNext()
		if err != nil {
			t.Errorf("client %d after %d: %v", n, acked, err)
			return
		}
		switch p.Type {
		case wt.PUBACK:
			acked++
		case wt.PUBLISH:
			_ = c.TrySend(wt.Ack(wt.PUBACK, p.ID))
		}
	}
}

// defect27 is for the race detector: take-overs with Wills, retained messages and a broker
// that stops under load.
func defect27(t *testing.T) {
	e := newRig(t, wt.V5)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		var conns []*wt.Conn
		for range 30 {
			conns = append(conns, e.dial(fmt.Sprint("c", i)))
		}
		wg.Go(func() {
			for n, c := range conns {
				o := e.options(fmt.Sprint("same", i%2), e.kept(), will(wt.Will{Topic: e.topic(fmt.Sprint("w", n%3)), Payload: "x", QoS: 1, Retain: true}))
				_ = c.TrySend(o.Bytes(wt.V5), wt.Subscribe(wt.V5, 1, nil, e.sub("#", 1)), e.retained(fmt.Sprint("w", n%3), fmt.Sprint(n), 0).Bytes(wt.V5))
				if n == 20 && i == 0 {
					close(stop)
				}
				_, _ = c.TryNext() // taken over at any moment
			}
		})
	}
	<-stop
	e.b.Stop(t)
	wg.Wait()
}
