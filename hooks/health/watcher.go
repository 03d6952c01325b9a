package health

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/services/contract"
)

// Engine is what health watches and publishes through; *delivery.Engine is one.
type Engine interface {
	Tap(o delivery.TapOptions) *delivery.Tap
	EachRetained(filter string, f func(m delivery.Sight) bool)
	Client(id string) (delivery.ClientInfo, bool)
}

var _ Engine = (*delivery.Engine)(nil)

// Options of New. Engine must be set; the zero value of the rest is fine.
type Options struct {
	Engine    Engine
	Services  []string            // names of the services of this process; they are required
	Required  []string            // names of further peers that have to be up
	Names     map[string][]string // other names, over DefaultNames
	Heartbeat time.Duration       // interval of a peer whose own was not learned yet; 0 means 5 s
	Grace     time.Duration       // time to come back after a start of the broker; 0 means 30 s
	ErrorHold time.Duration       // how long an error of an older peer holds; 0 means 1 min
	Harmless  []string            // events that are no failure although ok is false
	Log       zerolog.Logger
	// MayPublish tells whether the policy lets a client publish to a topic; nil: it does. It is
	// called on the watcher's goroutine.
	MayPublish func(p *delivery.Peer, topic string) bool

	NewID func() string    // 32 hex digits; random if nil
	Now   func() time.Time // time.Now if nil
}

// defaults fills in what is zero.
func (o Options) defaults() *Options {
	if o.Heartbeat <= 0 {
		o.Heartbeat = 5 * time.Second
	}
	if o.Grace <= 0 {
		o.Grace = 30 * time.Second
	}
	if o.ErrorHold <= 0 {
		o.ErrorHold = time.Minute
	}
	if o.NewID == nil {
		o.NewID = newID
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &o
}

// Watcher is the health of all peers. One goroutine, Run's, changes it; Report may be called from
// any. mu is not held while something is published.
type Watcher struct {
	o       Options
	tap     *delivery.Tap
	started time.Time

	mu    sync.Mutex
	table *table
}

// New starts to watch: whatever happens from here on is seen when Run runs. What is retained by now it
// takes itself, and publishes under the other names of its peer: by the time of Run there may be
// retained messages that wait in the tap's queue too, and would be carried twice.
func New(o Options) *Watcher {
	w := &Watcher{o: *o.defaults()}
	w.started = w.o.Now()
	w.table = newTable(&w.o, w.started)
	w.tap = o.Engine.Tap(delivery.TapOptions{
		Filters: []string{contract.Health.Name, contract.Keepalive.Name}, Clients: true, Entries: 8192,
	})
	w.do(func(t *table, now time.Time) { t.load(w.retained(), now) })
	return w
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// resyncAfter is how long the watcher waits before it looks for what it lost, since more may be
// lost at that moment.
const resyncAfter = time.Second

// Run watches until ctx ends, and then takes what has come so far. It returns nil.
func (w *Watcher) Run(ctx context.Context) error {
	defer w.tap.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var buf []delivery.Sight
	var lost uint64
	var resync time.Time
	for done := false; ; {
		buf = w.tap.Take(buf[:0])
		if n := w.tap.Lost(); n != lost {
			lost = n
			if resync.IsZero() {
				resync = w.o.Now().Add(resyncAfter)
				w.o.Log.Warn().Uint64("lost", n).Msg("health cannot keep up")
			}
		}
		next := w.do(func(t *table, now time.Time) {
			for _, s := range buf {
				t.see(s)
			}
			if !resync.IsZero() && !now.Before(resync) {
				resync = time.Time{}
				t.resync(w.retained(), now)
			}
			t.due(now)
		})
		clear(buf)
		if cap(buf) > 1024 {
			buf = nil // a burst should not hold its memory
		}
		if done {
			return nil
		}
		if !resync.IsZero() {
			next = earlier(next, resync)
		}
		if !next.IsZero() {
			timer.Reset(max(next.Sub(w.o.Now()), 0))
		}
		select {
		case <-w.tap.Ready():
		case <-timer.C:
		case <-ctx.Done():
			done = true
		}
	}
}

// do changes the table, publishes what follows, and returns when the next change is due.
func (w *Watcher) do(f func(t *table, now time.Time)) time.Time {
	w.mu.Lock()
	t := w.table
	f(t, w.o.Now())
	out, next := t.out, t.next
	t.out = nil
	w.mu.Unlock()
	for _, p := range out {
		w.tap.Publish(p.topic, p.payload, contract.Health.QoS, contract.Health.Retain)
	}
	return next
}

// retained are the health messages that the engine keeps, as many as could have a record.
func (w *Watcher) retained() []delivery.Sight {
	var kept []delivery.Sight
	w.o.Engine.EachRetained(contract.Health.Name, func(m delivery.Sight) bool {
		kept = append(kept, m)
		return len(kept) < 4*maxRecords
	})
	return kept
}
