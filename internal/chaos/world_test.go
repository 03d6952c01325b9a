package chaos

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/daemon"
	"github.com/tarsd/tarsd/internal/cutproxy"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// heartbeat of the services: a lost link is found after three. All else is as by default.
const heartbeat = 500 * time.Millisecond

// world is a broker's process and four services, each behind a network of its own: two sources,
// and two sinks which both hear both sources.
type world struct {
	t        *testing.T
	dir      string
	addr     string
	broker   *daemon.Daemon
	services []*member
	ledger   *ledger
	health   *witness
	sources  sync.WaitGroup
}

// member is a service of the world. run gets its client when the service is ready.
type member struct {
	name  string
	proxy *cutproxy.Proxy
	sup   *services.Supervisor
	bus   chan *client.Client
	sink  func(rt services.Runtime) error
}

func (m *member) Name() string { return m.name }

// Run implements services.Service.
func (m *member) Run(ctx context.Context, rt services.Runtime) error {
	if m.sink != nil {
		if err := m.sink(rt); err != nil {
			return err
		}
	}
	rt.Ready()
	select {
	case m.bus <- rt.Bus:
	default:
	}
	<-ctx.Done()
	return nil
}

func (m *member) stats() client.Stats { return m.sup.Status()[0].Bus }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), ledger: newLedger()}
	var err error
	w.addr, err = daemon.FreeAddr()
	require.NoError(t, err)
	w.serve()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the broker:\n%s", w.broker.Log())
		}
		w.broker.Kill()
	})
	w.health = newWitness(t, "mqtt://"+w.addr)
	for _, name := range []string{"source-a", "source-b"} {
		w.add(&member{name: name})
	}
	for _, name := range []string{"sink-a", "sink-b"} {
		w.add(&member{name: name, sink: func(rt services.Runtime) error { return w.sink(name, rt) }})
	}
	return w
}

// serve starts the broker and waits until it accepts.
func (w *world) serve() {
	w.t.Helper()
	var err error
	w.broker, err = daemon.Start(daemon.Options{Command: daemon.Tarsd(tarsd, w.dir, w.addr), Addr: w.addr})
	require.NoError(w.t, err)
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(w.t, w.broker.Ready(ctx))
}

func (w *world) add(m *member) {
	w.t.Helper()
	m.bus = make(chan *client.Client, 1)
	m.proxy = cutproxy.Start(w.t, cutproxy.TCP(func() string { return w.addr }))
	m.sup = servicetest.Supervise(w.t, m, func(name string) client.Options {
		return client.Options{URL: "mqtt://" + m.proxy.Addr(), ID: "tars-" + name, Name: name, Heartbeat: heartbeat, Log: zerolog.Nop()}
	})
	w.services = append(w.services, m)
}

// sink records what handlers see.
func (w *world) sink(name string, rt services.Runtime) error {
	_, err := client.Subscribe(rt.Bus, contract.STTFinal, func(_ context.Context, m client.Message[contract.FinalTranscript]) error {
		return w.ledger.saw(name, m.Data.Text)
	})
	if err != nil {
		return err
	}
	_, err = client.Subscribe(rt.Bus, contract.TTSSay, func(_ context.Context, m client.Message[contract.Say]) error {
		return w.ledger.saw(name, m.Data.Text)
	})
	return err
}

// flow publishes at a steady rate until ctx ends, whatever becomes of earlier messages.
func (w *world) flow(ctx context.Context) {
	a, b := <-w.services[0].bus, <-w.services[1].bus
	w.source(ctx, "a", func(ctx context.Context, text string) (client.Receipt, error) {
		return client.Publish(ctx, a, contract.STTFinal, contract.FinalTranscript{Text: text, Lang: "en", IsFinal: true})
	})
	w.source(ctx, "b", func(ctx context.Context, text string) (client.Receipt, error) {
		return client.Publish(ctx, b, contract.TTSSay, contract.Say{Text: text})
	})
}

func (w *world) source(ctx context.Context, name string, publish func(context.Context, string) (client.Receipt, error)) {
	w.sources.Go(func() {
		tick := time.NewTicker(time.Second / perSource)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			text := name + strconv.Itoa(n)
			w.sources.Go(func() { // some wait for an acknowledgement that is slow
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settle)
				defer cancel()
				r, err := publish(ctx, text)
				w.ledger.wrote(text, r, err)
			})
		}
	})
}

// missing is how much of what was accepted has not arrived.
func (w *world) missing() int {
	sum := w.ledger.sum()
	return sum.ackedLost + sum.queuedLost
}

// ledger is what was published and what arrived.
type ledger struct {
	mu   sync.Mutex
	sent map[string]fate
	seen map[string]map[string]int // by sink, then by text
}

// fate of a published message.
type fate byte

const (
	refused fate = iota
	acked
	queued
)

func newLedger() *ledger {
	return &ledger{sent: map[string]fate{}, seen: map[string]map[string]int{"sink-a": {}, "sink-b": {}}}
}

func (l *ledger) wrote(text string, r client.Receipt, err error) {
	f := acked
	switch {
	case err != nil:
		f = refused
	case r.Queued:
		f = queued
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[text] = f
}

func (l *ledger) saw(sink, text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[sink][text]++
	return nil
}

// sums of a ledger. Losses and duplicates are counted for each sink.
type sums struct {
	published, acked, queued, refused, ackedLost, queuedLost, duplicates int
}

func (l *ledger) sum() sums {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := sums{published: len(l.sent)}
	for text, f := range l.sent {
		lost := 0
		for _, seen := range l.seen {
			if seen[text] == 0 {
				lost++
			}
		}
		switch f {
		case acked:
			s.acked++
			s.ackedLost += lost
		case queued:
			s.queued++
			s.queuedLost += lost
		case refused:
			s.refused++
		}
	}
	for _, seen := range l.seen {
		for _, n := range seen {
			s.duplicates += n - 1
		}
	}
	return s
}

// witness knows when each service said that it is back. It has a good network.
type witness struct {
	mu      sync.Mutex
	back    map[string][]time.Time // by service: the time in the message
	waiters []waiter
}

type waiter struct {
	name string
	at   time.Time
	done chan struct{}
}

func newWitness(t *testing.T, url string) *witness {
	t.Helper()
	c := servicetest.Connect(t, client.Options{URL: url, ID: "witness", Name: "witness", Log: zerolog.Nop(), BackoffMax: 500 * time.Millisecond})
	w := &witness{back: map[string][]time.Time{}}
	_, err := client.Subscribe(c, contract.Health, func(_ context.Context, m client.Message[contract.HealthPing]) error {
		if m.Data.Event == nil {
			return errors.New("no event")
		}
		if m.Data.OK && *m.Data.Event == "reconnected" {
			w.saw(m.Source, time.Unix(0, int64(m.Data.Timestamp*1e9)))
		}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, c.Ready(t.Context()))
	return w
}

func (w *witness) saw(name string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.back[name] = append(w.back[name], at)
	for _, wt := range w.waiters {
		if wt.name == name && !at.Before(wt.at) {
			select {
			case <-wt.done:
			default:
				close(wt.done)
			}
		}
	}
}

// since is closed when a service has said so at a time after at.
func (w *witness) since(name string, at time.Time) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	done := make(chan struct{})
	for _, b := range w.back[name] {
		if !b.Before(at) {
			close(done)
			return done
		}
	}
	w.waiters = append(w.waiters, waiter{name, at, done})
	return done
}

// first is the first such time.
func (w *witness) first(name string, at time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.back[name] {
		if !b.Before(at) {
			return b
		}
	}
	panic(fmt.Sprintf("%s was not back", name))
}
