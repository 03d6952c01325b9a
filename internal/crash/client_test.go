package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// ref names a message.
type ref struct {
	stream *stream
	seq    uint32
}

// flight is an outgoing message that is not finished.
type flight struct {
	ref
	id       uint16
	received bool // PUBREC came; a PUBREL is what is resent
}

// client is one MQTT client with a persistent session that lives through many lives of
// the broker. It keeps its half of the session state exactly as the specification wants,
// since only then are the broker's mistakes the broker's. All fields are used by the one
// goroutine that runs live; between two lives by the controller.
type client struct {
	name    string
	version byte
	led     *ledger
	ring    *ring
	rng     *rand.Rand

	// As a subscriber.
	filters        []string
	qos            byte   // asked for with every filter
	receiveMaximum uint16 // 5.0 only
	lazy           bool   // acknowledges late
	sometimes      bool   // stays away for some lives of the broker
	wantLate       bool   // subscribes to more now and then
	reading        map[uint16]*reading
	pendingSub     string          // filter of a SUBSCRIBE without its SUBACK
	subscribed     bool            // the first SUBACK came
	held           map[uint16]ref  // QoS 2 identifiers from PUBLISH to PUBREL
	open           map[uint16]bool // identifiers that came in this connection and are not acknowledged yet
	oldDone        int             // flows of an older connection that ended in this one
	acks           []pendingAck

	// As a publisher.
	streams  []*stream
	late     chan *stream // streams to begin, from subscribers
	inflight []*flight    // in the order of their first transmission
	nextID   uint16
	recs     bool // a PUBREC came in this session: the broker must know it for ever
	sizes    []byte

	owing atomic.Int64 // flows that are not finished, in both directions; for the controller

	conns atomic.Int64 // connections in this life of the broker that got their CONNACK

	conn *rawmqtt.Conn
}

type pendingAck struct {
	typ byte
	id  uint16
}

// life is one life of the broker as the clients see it.
type life struct {
	addr    string
	dead    atomic.Bool  // set just before the kill
	quota   atomic.Int64 // first transmissions left to all publishers in this life
	acks    atomic.Int64 // PUBACK and PUBREC that came
	got     atomic.Int64 // deliveries, the repeated ones included
	again   atomic.Int64 // repeated deliveries
	silent  atomic.Int64 // of those, the ones from an earlier life that came without DUP
	subacks atomic.Int64 // late subscriptions confirmed
	ready   atomic.Int64 // first subscriptions confirmed
	churn   bool         // clients drop and take over connections
	window  int          // messages in flight for each publisher
	// late invents a stream for a subscriber and returns it; nil: not in this life.
	late func(c *client) *stream
	// began lets a publisher begin with the stream of a late subscription.
	began func(topic string)
}

// count keeps the figures that a run reports. told says that a repeat came with DUP, or
// is one because its publisher repeated it.
func (l *life) count(first, told bool) {
	l.got.Add(1)
	if !first {
		l.again.Add(1)
		if !told {
			l.silent.Add(1)
		}
	}
}

func newClient(led *ledger, name string, version byte, seed uint64, begin time.Time) *client {
	c := &client{
		name: name, version: version, led: led, ring: newRing(name, begin),
		rng:     rand.New(rand.NewPCG(seed, uint64(len(led.rings)))),
		reading: map[uint16]*reading{}, held: map[uint16]ref{}, late: make(chan *stream, 64),
	}
	led.rings = append(led.rings, c.ring)
	return c
}

var errDropped = errors.New("dropped on purpose")

// live runs the client until the broker dies. A connection that ends before that, other
// than by the client's own doing, is a failure of the broker.
func (c *client) live(ctx context.Context, l *life) {
	for {
		err := c.session(ctx, l)
		c.ring.add(event{kind: evLostConn})
		switch {
		case l.dead.Load() || ctx.Err() != nil:
			c.hangUp()
			return
		case errors.Is(err, errDropped):
		default:
			if !errors.As(err, new(judged)) {
				c.led.fail(c.name, nil, 0, fmt.Errorf("%w: %w", errClosed, err))
			}
			c.hangUp()
			return
		}
	}
}

func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// judged marks an error that the ledger has already.
type judged struct{ error }

// blame reports a failure of the broker and ends the connection.
func (c *client) blame(r ref, err error) error {
	c.led.fail(c.name, r.stream, r.seq, err)
	return judged{err}
}

// session is one connection, from CONNECT to its end.
func (c *client) session(ctx context.Context, l *life) error {
	old := c.conn // not nil: this connection takes its session over
	conn, err := rawmqtt.Dial(ctx, l.addr, rawmqtt.ConnectOptions{
		ID: c.name, Version: c.version, Expiry: 86400, ReceiveMaximum: c.receiveMaximum,
	})
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if old != nil {
		old.Close()
	}
	c.conn = conn
	// A killed broker leaves no chance to tell a reset from a stall, so the wait for
	// packets ends with the test as well.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := c.resume(l); err != nil {
		return err
	}
	return c.serve(l)
}

// resume does what MQTT-4.4.0-1 asks for at the begin of a connection.
func (c *client) resume(l *life) error {
	c.open, c.oldDone, c.acks = map[uint16]bool{}, 0, c.acks[:0]
	for _, r := range c.reading {
		r.attach(c.conns.Load() > 0)
	}
	c.conns.Add(1)
	present := c.conn.Info.Present
	ev := evConnected
	if present {
		ev = evResumed
	}
	c.ring.add(event{kind: ev})
	if !present {
		if c.subscribed || c.recs {
			return c.blame(ref{}, errSession)
		}
		clear(c.held)
	}
	if !c.subscribed && len(c.filters) > 0 {
		c.conn.Queue(func(b []byte) []byte { return rawmqtt.AppendSubscribe(b, c.version, 1, c.qos, c.filters...) })
	}
	if c.pendingSub != "" {
		c.subscribe()
	}
	for _, f := range c.inflight {
		if f.received {
			c.ring.add(event{kind: evPubrel, stream: f.stream.id, seq: f.seq, packet: f.id})
			c.conn.Queue(func(b []byte) []byte { return rawmqtt.AppendAck(b, rawmqtt.Pubrel, f.id) })
			continue
		}
		c.transmit(f, present)
	}
	c.refill(l)
	c.conn.Flush()
	c.owe()
	return nil
}

// owe tells the controller how many flows are not finished.
func (c *client) owe() { c.owing.Store(int64(len(c.inflight) + len(c.held) + len(c.acks))) }

// transmit queues one PUBLISH. dup is for a repeat within the same session.
func (c *client) transmit(f *flight, dup bool) {
	k := evSent
	f.stream.mu.Lock()
	if f.seq < f.stream.sent {
		f.stream.resent[f.seq] = struct{}{}
		k = evResent
	} else {
		f.stream.sent = f.seq + 1
	}
	f.stream.mu.Unlock()
	c.ring.add(event{kind: k, stream: f.stream.id, seq: f.seq, packet: f.id, dup: dup})
	// The size follows from the message, so that a repeat is the same message.
	size := headLen + int(f.seq*2654435761>>25)
	if f.seq%50 == 7 {
		size = 4000 + int(f.seq*2654435761>>18)
	}
	c.sizes = f.stream.payload(c.sizes, f.seq, size)
	c.conn.Queue(func(b []byte) []byte {
		return rawmqtt.AppendPublish(b, c.version, rawmqtt.Message{
			Topic: []byte(f.stream.topic), Payload: c.sizes, ID: f.id, QoS: f.stream.qos, Retain: f.stream.retain, Dup: dup,
		})
	})
}

// refill sends new messages as far as window and quota allow.
func (c *client) refill(l *life) {
	for {
		select {
		case s := <-c.late:
			c.streams = append(c.streams, s)
			continue
		default:
		}
		break
	}
	if len(c.streams) == 0 {
		return
	}
	window := min(l.window, int(c.conn.Info.ReceiveMaximum))
	for len(c.inflight) < window {
		i := c.rng.IntN(len(c.streams))
		s := c.streams[i]
		if s.limit > 0 && s.sent == s.limit { // only this goroutine changes sent
			c.streams = slices.Delete(c.streams, i, i+1)
			continue
		}
		if l.quota.Add(-1) < 0 {
			return
		}
		f := &flight{ref: ref{s, s.sent}, id: c.freeID()}
		c.inflight = append(c.inflight, f)
		c.transmit(f, false)
	}
}

// freeID takes the next identifier that is not in flight.
func (c *client) freeID() uint16 {
	for {
		c.nextID++
		if c.nextID != 0 && !slices.ContainsFunc(c.inflight, func(f *flight) bool { return f.id == c.nextID }) {
			return c.nextID
		}
	}
}

// serve handles packets until the connection ends.
func (c *client) serve(l *life) error {
	left := -1 // packets until an injected accident
	if l.churn && c.rng.IntN(3) == 0 {
		left = 1 + c.rng.IntN(2000)
	}
	for {
		if c.lazy && len(c.acks) > 0 {
			if more, err := c.conn.Wait(2 * time.Millisecond); err != nil {
				return err
			} else if !more {
				c.sendAcks(0)
				c.conn.Flush()
				c.owe()
			}
		}
		f, err := c.conn.Next()
		if err != nil {
			return err
		}
		if err := c.handle(l, f); err != nil {
			return err
		}
		if left--; left == 0 {
			if c.rng.IntN(2) == 0 {
				c.hangUp() // the network went away
			} // else the next connection takes over, and this one is never read again
			return errDropped
		}
		if c.conn.Buffered() == 0 {
			c.wantMore(l)
			c.refill(l)
			keep := 0
			if c.lazy {
				keep = c.rng.IntN(8)
			}
			c.sendAcks(keep)
			c.conn.Flush()
			c.owe()
		}
	}
}

// wantMore subscribes now and then to a topic that nobody has used yet. Its stream begins
// with the SUBACK, and the subscription has to last from there on.
func (c *client) wantMore(l *life) {
	if l.late == nil || !c.wantLate || !c.subscribed || c.pendingSub != "" || c.rng.IntN(200) != 0 {
		return
	}
	s := l.late(c)
	c.reading[s.id] = newReading(s, c.qos)
	c.pendingSub = s.topic
	c.subscribe()
}

// sendAcks queues what is to be acknowledged except the last keep.
func (c *client) sendAcks(keep int) {
	n := max(0, len(c.acks)-keep)
	for _, a := range c.acks[:n] {
		if a.typ != rawmqtt.Pubrec {
			if !c.open[a.id] {
				c.oldDone++
			}
			delete(c.open, a.id)
		}
	}
	c.conn.Queue(func(b []byte) []byte {
		for _, a := range c.acks[:n] {
			b = rawmqtt.AppendAck(b, a.typ, a.id)
		}
		return b
	})
	c.acks = append(c.acks[:0], c.acks[n:]...)
}
