package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// world is the cast of TestKill: clients that outlive the broker, and what they talk about.
type world struct {
	led   *ledger
	rng   *rand.Rand // the controller's
	begin time.Time

	pubs []*client // publishers of what is not retained
	rets []*client // publishers of retained messages
	subs []*client

	mu    sync.Mutex // guards what follows: clients invent streams while they live
	lates map[string]lateStream
}

type lateStream struct {
	stream *stream
	pub    *client
}

// Streams for each publisher, and how many messages a stream has that begins late.
const (
	plainStreams    = 3
	retainedStreams = 10
	lateLimit       = 300
)

func newWorld(seed uint64) *world {
	w := &world{
		led: newLedger(), rng: rand.New(rand.NewPCG(seed, 0)), begin: time.Now(), lates: map[string]lateStream{},
	}
	for i, name := range []string{"pub3", "pub5", "ret3", "ret5"} {
		version := byte(4 + i%2)
		c := newClient(w.led, name, version, seed, w.begin)
		if i < 2 {
			w.pubs = append(w.pubs, c)
			for k := range plainStreams {
				w.stream(c, &stream{topic: fmt.Sprintf("k/%s/%d", name, k), qos: byte(1 + (k+i)%2)})
			}
			continue
		}
		w.rets = append(w.rets, c)
		for k := range retainedStreams {
			s := &stream{topic: fmt.Sprintf("r/%s/keep/%d", name, k), qos: byte(1 + k%2), retain: true}
			if k >= retainedStreams/2 {
				s.topic, s.erases = fmt.Sprintf("r/%s/erase/%d", name, k), true
			}
			w.stream(c, s)
		}
	}
	w.subscribers(seed)
	return w
}

func (w *world) stream(pub *client, s *stream) *stream {
	s.pub, s.qos = pub.name, maxQoS(s.qos)
	w.led.add(s)
	pub.streams = append(pub.streams, s)
	return s
}

// maxQoS limits what is asked of Mosquitto 2.0.11 to QoS 1. After a clean restart it sends
// a PUBLISH again where a PUBREL was due, so the rules of QoS 2 have no second opinion.
func maxQoS(qos byte) byte {
	if mosquitto() {
		return 1
	}
	return qos
}

func (w *world) subscribers(seed uint64) {
	sub := func(name string, version, qos byte, shape func(c *client)) {
		c := newClient(w.led, name, version, seed, w.begin)
		c.filters, c.qos = []string{"k/#"}, maxQoS(qos)
		shape(c)
		if mosquitto() {
			// With a limit 2.0.11 overtakes its own queue, and after a restart it forgets how
			// many messages it has in flight: both known, and neither what a second opinion is for.
			c.receiveMaximum = 0
		}
		for _, s := range w.led.all() {
			if s.retain && (s.erases || len(c.filters) == 1) {
				continue
			}
			c.reading[s.id] = newReading(s, c.qos)
		}
		w.subs = append(w.subs, c)
	}
	keep := []string{"k/#", "r/+/keep/#"}
	sub("quick3", 4, 2, func(c *client) { c.filters = keep })
	sub("quick5", 5, 2, func(c *client) { c.wantLate = true })
	sub("narrow5", 5, 2, func(c *client) { c.receiveMaximum = 10 })
	sub("lazy3", 4, 1, func(c *client) { c.lazy, c.wantLate = true, true })
	sub("lazy5", 5, 2, func(c *client) { c.lazy, c.receiveMaximum = true, 50 })
	sub("away3", 4, 1, func(c *client) { c.sometimes = true })
	sub("away5", 5, 2, func(c *client) { c.sometimes, c.wantLate, c.filters = true, true, keep })
}

// late invents a stream for a subscriber. Its publisher begins with it after began.
func (w *world) late(c *client) *stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.lates)
	pub := w.pubs[n%len(w.pubs)]
	s := w.led.add(&stream{
		topic: fmt.Sprintf("late/%s/%d", c.name, n), pub: pub.name, qos: maxQoS(byte(1 + n/2%2)), limit: lateLimit,
	})
	w.lates[s.topic] = lateStream{s, pub}
	return s
}

func (w *world) began(topic string) {
	w.mu.Lock()
	l := w.lates[topic]
	w.mu.Unlock()
	l.pub.late <- l.stream // never full: a publisher empties it whenever it sends
}

func (w *world) clients() []*client {
	return append(append(append([]*client(nil), w.subs...), w.pubs...), w.rets...)
}

// event enters what concerns everybody into a story.
func (w *world) event(k kind) { w.led.rings[0].add(event{kind: k}) }

// birth begins a life of the broker.
func (w *world) birth(addr string, quota int64, window int) *life {
	l := &life{addr: addr, window: window, began: w.began}
	l.quota.Store(quota)
	for _, c := range w.clients() {
		c.conns.Store(0)
		for _, r := range c.reading {
			r.birth()
		}
	}
	return l
}

// company is a group of clients that are connected.
type company struct {
	w       *world
	l       *life
	members []*client
	wg      sync.WaitGroup
	cancel  context.CancelFunc
}

// join connects clients. They live until part or ctx ends them or the broker dies.
func (w *world) join(ctx context.Context, l *life, clients ...*client) *company {
	ctx, cancel := context.WithCancel(ctx)
	g := &company{w: w, l: l, members: clients, cancel: cancel}
	for _, c := range clients {
		g.wg.Go(func() { c.live(ctx, l) })
	}
	return g
}

// mourn waits for all members after the broker's death and notes where the streams stood.
func (w *world) mourn(groups ...*company) {
	for _, g := range groups {
		g.wg.Wait()
	}
	w.event(evKilled)
	for _, g := range groups {
		g.cancel()
		for _, c := range g.members {
			if c.conns.Load() == 0 {
				continue // it missed this life
			}
			for _, r := range c.reading {
				r.death()
			}
		}
	}
}

// owes names what a broker that has had the time still has to deliver or to finish when
// all clients are connected; "" if nothing.
func (w *world) owes() string {
	for _, s := range w.led.all() {
		s.mu.Lock()
		sent, acked, done := s.sent, s.acked, s.done
		s.mu.Unlock()
		if acked < sent || s.qos == 2 && done < sent {
			return fmt.Sprintf("%v: %d sent, %d acknowledged, %d complete", s, sent, acked, done)
		}
	}
	for _, c := range w.clients() {
		if c.conns.Load() == 0 {
			return c.name + " is not connected"
		}
		for _, r := range c.reading {
			if sent, acked := r.stream.snapshot(); r.next.Load() < sent {
				return fmt.Sprintf("%s has %d messages of %v, %d are acknowledged", c.name, r.next.Load(), r.stream, acked)
			}
		}
		if n := c.owing.Load(); n > 0 {
			return fmt.Sprintf("%s has %d flows that do not end", c.name, n)
		}
	}
	return ""
}

// accuse reports err with the story of the first message that is not finished. All clients
// have stopped.
func (w *world) accuse(err error) {
	for _, c := range w.clients() {
		for _, f := range c.inflight {
			w.led.fail(c.name, f.stream, f.seq, err)
		}
		for _, r := range c.held {
			w.led.fail(c.name, r.stream, r.seq, err)
		}
		for _, r := range c.reading {
			if sent, _ := r.stream.snapshot(); r.next.Load() < sent {
				w.led.fail(c.name, r.stream, r.next.Load(), err)
			}
		}
	}
	w.led.fail("nobody", nil, 0, err)
}
