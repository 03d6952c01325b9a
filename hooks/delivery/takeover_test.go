package delivery_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
	"github.com/tarsd/tarsd/storage"
)

// Peer.KeepAlive is written after the peer is published.
func TestClientsAreListedWhileTheyConnect(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				b.Engine.Clients()
			}
		}
	})
	for i := range 300 {
		c, _ := client(t, b, wire.V5, wt.Connect{ClientID: "c" + strconv.Itoa(i), KeepAlive: 60})
		c.Drop()
	}
	close(stop)
	wg.Wait()
}

// a clear and a set of one topic, both refused.
func TestRefusedClearIsTakenBack(t *testing.T) {
	t.Parallel()
	x := startGated(t, nil)
	p, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "p"})
	p.Publish(wt.Publish{Topic: "r", Payload: "old", QoS: 1, Retain: true})
	x.idle(t)
	x.g.close()
	p.Send(wt.Publish{Topic: "r", QoS: 2, Retain: true, ID: 1}.Bytes(wire.V5), wt.Publish{Topic: "r", Payload: "B", QoS: 2, Retain: true, ID: 2}.Bytes(wire.V5))
	require.Eventually(t, func() bool { return x.g.waiting() == 2 }, time.Second, time.Millisecond)
	x.g.fail()
	p.Expect(wt.PUBREC)
	p.Expect(wt.PUBREC)
	x.g.open()
	assert.Equal(t, 1, x.g.has("retained "), "on disk")
	s, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "s"})
	s.Timeout = time.Second
	s.Subscribe(wt.Filter{Name: "r"})
	m, err := s.TryNext()
	require.NoError(t, err, "the message that the disk has is gone from memory")
	assert.Equal(t, "old", m.Payload)
}

type slowStore struct {
	*gate
	full   atomic.Bool
	room   chan struct{}
	inWait atomic.Int32
	hold   atomic.Pointer[func(ops []storage.Op)]
}

func (s *slowStore) Wait(ctx context.Context) error {
	if !s.full.Load() {
		return nil
	}
	s.inWait.Add(1)
	defer s.inWait.Add(-1)
	select {
	case <-s.room:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
func (s *slowStore) Submit(m storage.Mode, d storage.Done, n int, ops ...storage.Op) {
	if f := s.hold.Load(); f != nil {
		(*f)(ops)
	}
	s.gate.Submit(m, d, n, ops...)
}

func startSlow(t *testing.T) (*gated, *slowStore) {
	t.Helper()
	s := &slowStore{gate: newGate(t), room: make(chan struct{})}
	lim := delivery.DefaultLimits()
	e, err := delivery.New(delivery.Options{Limits: lim, Store: s, Policy: brokertest.AllowAll{}, Log: zerolog.Nop()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	b, err := broker.New(broker.Options{Front: hooks.NewFront(ctx, e, lim), Log: zerolog.Nop()})
	require.NoError(t, err)
	m := broker.NewMemory(b)
	t.Cleanup(func() {
		s.open()
		cancel()
		sctx, c := context.WithTimeout(context.Background(), 3*time.Second)
		defer c()
		assert.NoError(t, b.Shutdown(sctx))
		m.Close()
	})
	return &gated{e, m, s.gate}, s
}

// a reader that waits for room in the store is taken over after takeoverWait; both accept.
func TestTakenOverWhileItWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	x, st := startSlow(t)
	s, _ := x.dial(t, wire.V5, kept("s"))
	s.Subscribe(wt.Filter{Name: "d", Opts: 2})
	p, _ := x.dial(t, wire.V5, kept("p"))
	x.idle(t)
	st.full.Store(true)
	p.Send(wt.Publish{Topic: "d", Payload: "A", QoS: 2, ID: 1}.Bytes(wire.V5))
	require.Eventually(t, func() bool { return st.inWait.Load() == 1 }, time.Second, time.Millisecond)
	p.Drop()
	nc, err := x.m.Dial(t.Context())
	require.NoError(t, err)
	p2 := wt.New(t, nc, wire.V5)
	p2.Timeout = 6 * time.Second
	require.True(t, p2.Connect(kept("p")).Present)
	p2.Send(wt.Publish{Topic: "d", Payload: "A", QoS: 2, ID: 1, Dup: true}.Bytes(wire.V5))
	require.Eventually(t, func() bool { return st.inWait.Load() == 2 }, time.Second, time.Millisecond)
	st.full.Store(false)
	close(st.room)
	s.Receive("d", "A")
	s.Timeout = 500 * time.Millisecond
	m, err := s.TryNext()
	assert.Error(t, err, "exactly once, but there came again: %s", m)
}

// the record of a new will is deleted by the publication of the one before.
func TestNewWillSurvivesTheOldOne(t *testing.T) {
	t.Parallel()
	x, st := startSlow(t)
	s, _ := x.dial(t, wire.V5, kept("s"))
	s.Subscribe(wt.Filter{Name: "w", Opts: 1})
	in, out := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f := func(ops []storage.Op) {
		if len(ops) > 0 && ops[len(ops)-1].Record.Bucket() == "queue" && !ops[0].Delete {
			once.Do(func() { close(in); <-out })
		}
	}
	o := kept("c")
	o.Will = &wt.Will{Topic: "w", Payload: "one", QoS: 1, Props: wt.Props{wt.Num(wt.WillDelay, 1)}}
	c, _ := x.dial(t, wire.V5, o)
	st.hold.Store(&f)
	c.Drop()
	<-in // the will is being published
	o.Will.Payload = "two"
	_, ack := x.dial(t, wire.V5, o)
	assert.True(t, ack.Present)
	require.Equal(t, 1, x.g.has("wills "))
	close(out)
	s.Receive("w", "one")
	s.ExpectQuiet()
	pass(s, 50*time.Millisecond)
	x.idle(t)
	assert.Equal(t, 1, x.g.has("wills "), "the will of a connected client is not on disk")
}

// QoS 2, one durable subscriber that is full, one of QoS 0 that is not.
func TestQoS0SubscriberBesideAFullOne(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{1, 2} {
		b := brokertest.Start(t, brokertest.WithStore(t.TempDir()), limits(func(l *delivery.Limits) { l.QueueMessages = 1 }))
		full, _ := client(t, b, wire.V5, kept("full"))
		full.Subscribe(wt.Filter{Name: "t", Opts: 2})
		live, _ := client(t, b, wire.V5, wt.Connect{ClientID: "live"})
		p, _ := client(t, b, wire.V311, wt.Connect{ClientID: "p"})
		p.Publish(wt.Publish{Topic: "t", Payload: "fill", QoS: 1})
		live.Subscribe(wt.Filter{Name: "t"})
		live.Timeout = time.Second
		p.Publish(wt.Publish{Topic: "t", Payload: "x", QoS: qos})
		_, err := live.TryNext()
		assert.NoError(t, err, "qos %d acknowledged with success, the QoS 0 subscriber got nothing", qos)
	}
}
