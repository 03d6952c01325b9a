package client

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// outbox holds the QoS 1 and 2 messages that the broker has not acknowledged: those in flight, in
// the order in which they were sent, and those that wait for their turn, in the order in which
// they were published. It takes the place of autopaho's queue and of paho's session state, which
// tell nobody what became of a message and forget those in flight when the broker has lost the
// session. Locks: mu, then the link's.
type outbox struct {
	log   zerolog.Logger
	slots int // bounds on what is held
	bytes int

	stalled atomic.Bool // the link had no room

	mu     sync.Mutex
	link   *link             // nil while there is no connection, or it is not ready for messages
	window int               // how many may be in flight: the broker's receive maximum
	maxQoS byte              // the broker's
	maxLen int               // the broker's largest packet, 0 for any
	flight []*entry          // sent, oldest first; some may be settled already
	byID   map[uint16]*entry // those in flight that are not settled
	lastID uint16
	queue  []*entry      // to be sent; some may be given up
	held   int           // messages in flight and in queue that count
	size   int           // their bytes
	room   chan struct{} // closed when a message leaves; nil when nobody waits
	closed bool
	moved  time.Time // when the broker last acknowledged something, or had nothing to

	stats PublishStats
}

// entry is a message in the outbox.
type entry struct {
	p       publication
	qos     byte // as it was sent
	id      uint16
	size    int
	state   entryState
	waiting bool       // somebody reads done
	done    chan error // one value: nil, errQueued when the connection went, or what went wrong
}

type entryState byte

const (
	entryQueued   entryState = iota
	entrySent                // PUBLISH is under way
	entryReleased            // PUBREC has come, PUBREL is under way
	entrySettled             // acknowledged, refused, expired or given up
)

func newOutbox(o *Options) *outbox {
	return &outbox{log: o.Log, slots: o.Outbox, bytes: o.OutboxBytes, byID: map[uint16]*entry{}}
}

// publish takes a message and waits for its acknowledgement. queued says that the broker does not
// have it yet, as far as we know, and that the outbox has.
func (o *outbox) publish(ctx context.Context, p *publication) (queued bool, err error) {
	e := &entry{p: *p, size: p.size(), done: make(chan error, 1)}
	online, err := o.put(ctx, e)
	if err != nil {
		return false, err
	}
	if !online {
		return true, nil
	}
	select {
	case err = <-e.done:
	case <-ctx.Done():
		err = o.giveUp(ctx, e)
	}
	if err == errQueued { //nolint:errorlint // a mark, never wrapped
		return true, nil
	}
	return false, err
}

// put adds e as soon as there is room. Without a connection it does not wait.
func (o *outbox) put(ctx context.Context, e *entry) (online bool, err error) {
	if e.size > o.bytes {
		return false, fmt.Errorf("%w: %d bytes, the outbox has %d", ErrTooLarge, e.size, o.bytes)
	}
	for {
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			return false, ErrClosed
		}
		if o.held < o.slots && o.size+e.size <= o.bytes {
			online = o.link != nil
			e.waiting = online
			o.held++
			o.size += e.size
			o.queue = append(o.queue, e)
			if online {
				o.send()
			} else {
				o.stats.Queued++
			}
			o.mu.Unlock()
			return online, nil
		}
		if o.link == nil {
			o.stats.Refused++
			o.mu.Unlock()
			return false, ErrQueueFull
		}
		if o.room == nil {
			o.room = make(chan struct{})
		}
		room := o.room
		o.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return false, fmt.Errorf("%w: %w", ErrQueueFull, ctx.Err())
		}
	}
}

// What post may take beyond the bounds, so that a service whose outbox is full is not thought to be
// away: it says only how the service is, once in a connection.
const (
	spareSlots = 16
	spareBytes = 64 << 10
)

// post adds a message that nobody waits for. It refuses it when there is no room.
func (o *outbox) post(p *publication) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := &entry{p: *p, size: p.size(), done: make(chan error, 1)}
	switch {
	case o.closed:
		return ErrClosed
	case o.held >= o.slots+spareSlots || o.size+e.size > o.bytes+spareBytes:
		o.stats.Refused++
		return ErrQueueFull
	}
	o.held++
	o.size += e.size
	o.queue = append(o.queue, e)
	o.send()
	return nil
}

// giveUp ends the wait for e. What was not sent will not be; what was sent stays in flight.
func (o *outbox) giveUp(ctx context.Context, e *entry) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case err := <-e.done: // just now
		return err
	default:
	}
	e.waiting = false
	if e.state != entryQueued {
		return fmt.Errorf("%w: %w", ErrUnconfirmed, ctx.Err())
	}
	o.settle(e, nil)
	if i := slices.Index(o.queue, e); i >= 0 {
		o.queue = slices.Delete(o.queue, i, i+1)
	}
	return fmt.Errorf("%w: %w", ErrNotSent, ctx.Err())
}

// settle ends e. mu is held.
func (o *outbox) settle(e *entry, err error) {
	if e.state == entrySettled {
		return
	}
	e.state = entrySettled
	o.held--
	o.size -= e.size
	if e.waiting {
		e.waiting = false
		e.done <- err
	} else if err != nil {
		o.log.Warn().Str("topic", e.p.topic).Str("id", e.p.id).Err(err).Msg("queued message lost")
	}
	e.p.payload = nil
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// pump sends what waited for room in the link.
func (o *outbox) pump() {
	if !o.stalled.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.send()
}

// send moves messages from the queue into flight. mu is held.
func (o *outbox) send() {
	o.stalled.Store(false)
	if o.link == nil {
		return
	}
	n := 0
	for ; n < len(o.queue); n++ {
		e := o.queue[n]
		if e.state == entrySettled {
			continue
		}
		if len(o.byID) >= o.window {
			break
		}
		sent, stop := o.sendOne(e)
		if stop {
			break
		}
		if sent && e.qos > 0 {
			o.flight = append(o.flight, e)
		}
	}
	clear(o.queue[:n])
	o.queue = o.queue[n:]
	if len(o.queue) == 0 {
		o.queue = nil
	}
}

// sendOne writes e for the first time in this session. stop says that the link has no room, or
// has ended. mu is held.
func (o *outbox) sendOne(e *entry) (sent, stop bool) {
	left, ok := remaining(e.p.expires)
	if !ok {
		o.stats.Expired++
		o.settle(e, ErrExpired)
		return false, false
	}
	e.qos = min(e.p.qos, o.maxQoS)
	if o.maxLen > 0 && e.p.wireSize() > o.maxLen {
		o.stats.Refused++
		o.settle(e, ErrTooLarge)
		return false, false
	}
	if e.qos > 0 {
		e.id = o.nextID()
	}
	full, err := o.link.tryPush(func(b []byte) []byte { return e.p.appendTo(b, e.id, e.qos, false, left) })
	if full || err != nil {
		o.stalled.Store(full)
		return false, true
	}
	if e.qos == 0 { // the broker does nothing better
		o.stats.Published++
		o.settle(e, nil)
		return true, false
	}
	if len(o.byID) == 0 {
		o.moved = time.Now()
	}
	e.state = entrySent
	o.byID[e.id] = e
	return true, false
}

// nextID finds a free packet id; the window is smaller than their number.
func (o *outbox) nextID() uint16 {
	for {
		if o.lastID++; o.lastID > maxPublishID {
			o.lastID = 1
		}
		if o.byID[o.lastID] == nil {
			return o.lastID
		}
	}
}

// acknowledged takes PUBACK, PUBREC and PUBCOMP.
func (o *outbox) acknowledged(kind byte, id uint16, code byte, reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.moved = time.Now()
	e := o.byID[id]
	switch {
	case kind == typePubrec && code < 0x80 && (e == nil || e.qos == 2):
		answer := [...]byte{typePubrel<<4 | 2, 2, byte(id >> 8), byte(id)} //nolint:gosec // the two halves of the id
		if e != nil {
			e.state = entryReleased
		}
		if o.link != nil {
			o.link.push(answer[:])
		}
		return
	case e == nil || (kind == typePuback) != (e.qos == 1):
		return // of another time, or nonsense
	}
	var err error
	if code >= 0x80 {
		o.stats.Refused++
		err = &RefusedError{What: "publish", Topic: e.p.topic, Code: code, Reason: reason}
	} else {
		o.stats.Published++
	}
	delete(o.byID, id)
	o.settle(e, err)
	o.trim()
	o.send()
}

// trim takes settled entries out of flight. One old message may stay while many after it go, so
// it also looks behind the first.
func (o *outbox) trim() {
	n := 0
	for n < len(o.flight) && o.flight[n].state == entrySettled {
		o.flight[n] = nil
		n++
	}
	o.flight = o.flight[n:]
	if len(o.flight) > 2*len(o.byID)+64 {
		kept := make([]*entry, 0, len(o.byID))
		for _, e := range o.flight {
			if e.state != entrySettled {
				kept = append(kept, e)
			}
		}
		o.flight = kept
	}
	if len(o.flight) == 0 {
		o.flight = nil
	}
}

// offline is told that the connection has gone. Those who wait learn that their message is queued.
func (o *outbox) offline() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.link = nil
	for _, list := range [...][]*entry{o.flight, o.queue} {
		for _, e := range list {
			if e.waiting {
				e.waiting = false
				o.stats.Queued++
				e.done <- errQueued
			}
		}
	}
	if o.room != nil { // who waits for room learns that there is no connection
		close(o.room)
		o.room = nil
	}
}

// limits are what a broker allows, from its CONNACK.
type limits struct {
	window int
	maxQoS byte
	maxLen int
}

// online is told of a new connection. With the old session what is in flight goes out again under
// its id; without it the broker knows nothing of them, and they are sent as if for the first time,
// before everything that is newer. That can make a second copy of a message, which dedup finds,
// where the other choice would lose one.
func (o *outbox) online(l *link, present bool, lim limits) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.link, o.window, o.maxQoS, o.maxLen, o.moved = l, lim.window, lim.maxQoS, lim.maxLen, time.Now()
	if present {
		for _, e := range o.flight {
			o.resend(e)
		}
	} else {
		again := make([]*entry, 0, len(o.flight)+len(o.queue))
		for _, e := range o.flight {
			if e.state != entrySettled {
				e.state, e.id = entryQueued, 0
				again = append(again, e)
			}
		}
		o.queue, o.flight = append(again, o.queue...), nil
		clear(o.byID)
	}
	o.send()
}

// resend repeats what is in flight, whatever the room in the link: it was taken once, and its
// order must hold. mu is held.
func (o *outbox) resend(e *entry) {
	switch e.state {
	case entrySent:
		left, ok := remaining(e.p.expires)
		if !ok {
			left = time.Second // it has an id that the broker may know: it cannot just be forgotten
		}
		o.stats.Resent++
		o.link.push(e.p.appendTo(nil, e.id, e.qos, true, left))
	case entryReleased:
		o.link.push([]byte{typePubrel<<4 | 2, 2, byte(e.id >> 8), byte(e.id)}) //nolint:gosec // the two halves of the id
	}
}

// stuck is for how long the broker has owed an acknowledgement, 0 when it does not.
func (o *outbox) stuck() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.link == nil || len(o.byID) == 0 {
		return 0
	}
	return time.Since(o.moved)
}

// drain waits until everything is acknowledged, and reports how many messages are not.
func (o *outbox) drain(ctx context.Context) int {
	for {
		o.mu.Lock()
		if o.held == 0 {
			o.mu.Unlock()
			return 0
		}
		left := o.held
		if o.room == nil {
			o.room = make(chan struct{})
		}
		room := o.room
		o.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return left
		}
	}
}

// close refuses everything from now on.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.link = true, nil
	for _, list := range [...][]*entry{o.flight, o.queue} {
		for _, e := range list {
			if e.waiting {
				e.waiting = false
				e.done <- ErrClosed
			}
		}
	}
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

func (o *outbox) snapshot() PublishStats {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stats
	s.Waiting = o.held
	return s
}

// remaining is the life that is left until t, 0 for ever. ok is false when it is over.
func remaining(t time.Time) (left time.Duration, ok bool) {
	if t.IsZero() {
		return 0, true
	}
	left = time.Until(t)
	return left, left > 0
}

// wireSize is the length of the PUBLISH, at most.
func (p *publication) wireSize() int {
	props := p.propsLen(time.Second)
	n := 4 + len(p.topic) + varintLen(props) + props + len(p.payload)
	return 1 + varintLen(n) + n
}
