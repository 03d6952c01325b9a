package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// wire is a subscription at the broker: all subscriptions with the same filter share it, since a
// broker has one per filter. Client.mu guards it.
type wire struct {
	filter string
	id     uint32 // subscription identifier
	qos    byte
	asIs   bool // AsPublished
	subs   []*Subscription
	state  wireState
	err    error         // of wireRefused
	gone   chan struct{} // closed when it is no more; set while subs is empty
}

type wireState byte

const (
	wireNew      wireState = iota // SUBSCRIBE is to be sent
	wireStanding                  // SUBACK has come
	wireRefused                   // SUBACK has come, and said no
)

// subscribe registers a subscription; the keeper does the rest.
func (c *Client) subscribe(s *Subscription, workers int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.closing() {
		return ErrClosed
	}
	w := c.wireOf(s.filter)
	if w == nil {
		c.lastID++
		w = &wire{filter: s.filter, id: c.lastID}
		c.wires = append(c.wires, w)
		c.byID[w.id] = w
	}
	if w.gone != nil { // it was to go, and stays
		close(w.gone)
		w.gone = nil
	}
	w.qos = max(w.qos, s.qos)
	w.asIs = w.asIs || s.asIs
	w.subs = append(slices.Clip(w.subs), s)
	w.state = wireNew // also for the second one: it wants the retained messages
	s.w = w
	c.subs = append(slices.Clip(c.subs), s)
	ctx := c.runs
	for range workers {
		s.workers.Go(func() { s.work(ctx) })
	}
	c.notify()
	c.wake()
	return nil
}

func (c *Client) wireOf(filter string) *wire {
	for _, w := range c.wires {
		if w.filter == filter {
			return w
		}
	}
	return nil
}

// remove forgets a subscription. The channel is closed when the broker knows, or there is none.
func (c *Client) remove(s *Subscription) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	done := make(chan struct{})
	i := slices.Index(c.subs, s)
	if i < 0 {
		close(done)
		return done
	}
	c.subs = slices.Concat(c.subs[:i], c.subs[i+1:])
	w := s.w
	w.subs = slices.DeleteFunc(slices.Clone(w.subs), func(x *Subscription) bool { return x == s })
	if len(w.subs) > 0 || c.link == nil || c.closed || c.closing() {
		close(done)
		if len(w.subs) == 0 {
			w.gone = make(chan struct{}) // once there is a connection
		}
		return done
	}
	w.gone = done
	c.wake()
	return done
}

// wake tells the keeper that there is something to do.
func (c *Client) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// accepted is told of a CONNACK, before anything else of the connection is read.
func (c *Client) accepted(l *link, ca *packets.Connack) {
	lim := limits{window: maxPublishID, maxQoS: 2}
	if p := ca.Properties; p != nil {
		if p.ReceiveMaximum != nil && *p.ReceiveMaximum > 0 {
			lim.window = min(int(*p.ReceiveMaximum), maxPublishID)
		}
		if p.MaximumQOS != nil {
			lim.maxQoS = *p.MaximumQOS
		}
		if p.MaximumPacketSize != nil {
			lim.maxLen = int(*p.MaximumPacketSize)
		}
		l.noSubIDs = p.SubIDAvailable != nil && *p.SubIDAvailable == 0
	}
	if !ca.SessionPresent {
		c.redeliver = nil
		c.received.Lock()
		clear(c.received.ids)
		c.received.Unlock()
	}
	c.began, c.echo = time.Now(), echo{}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link, c.lim, c.present = l, lim, ca.SessionPresent
	for _, w := range slices.Clone(c.wires) {
		switch {
		case ca.SessionPresent && w.state != wireRefused:
		case w.gone != nil:
			c.drop(w)
		default:
			w.state = wireNew
		}
	}
}

// connected is told when paho is ready for SUBSCRIBE.
func (c *Client) connected() {
	c.mu.Lock()
	c.usable = true
	c.mu.Unlock()
	c.wake()
}

// disconnected is told when a connection has ended and nothing of it runs any more.
func (c *Client) disconnected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.link
	if l == nil {
		return
	}
	c.link, c.usable, c.up, c.since = nil, false, false, time.Time{}
	c.out.offline()
	if c.closing() {
		return
	}
	for _, s := range c.subs {
		s.release(c.opts.SessionExpiry == 0)
	}
	c.redeliver = l.acks.rest(c.redeliver, c.seed)
	for _, w := range c.wires {
		if w.gone != nil {
			close(w.gone)
			w.gone = make(chan struct{})
		}
	}
	c.notify()
}

// drop takes a wire out of the table. mu is held.
func (c *Client) drop(w *wire) {
	c.wires = slices.DeleteFunc(slices.Clone(c.wires), func(x *wire) bool { return x == w })
	delete(c.byID, w.id)
	close(w.gone)
	c.notify()
}

// keep is the keeper: the one goroutine that tells the broker about subscriptions, and opens the
// outbox when they stand.
func (c *Client) keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
		}
		for c.started.Load() && c.step(ctx) {
		}
	}
}

// step does one thing, and reports whether there may be more.
func (c *Client) step(ctx context.Context) bool {
	c.mu.Lock()
	l := c.link
	if l == nil || !c.usable {
		c.mu.Unlock()
		return false
	}
	for _, w := range c.wires {
		switch {
		case w.gone != nil:
			c.mu.Unlock()
			return c.unsubscribeWire(ctx, l, w)
		case w.state == wireNew:
			o, subs := paho.SubscribeOptions{Topic: w.filter, QoS: w.qos, RetainAsPublished: w.asIs}, len(w.subs)
			c.mu.Unlock()
			return c.subscribeWire(ctx, l, w, o, subs)
		}
	}
	c.open(l)
	c.mu.Unlock()
	return false
}

// open lets messages out, and says how the service is. mu is held, so that what Health says next
// comes next.
func (c *Client) open(l *link) {
	if c.up {
		return
	}
	c.up, c.since, c.cause = true, time.Now(), nil
	c.conns++
	first := c.conns == 1
	c.out.online(l, c.present, c.lim)
	c.notify()
	c.opts.Log.Info().Str("client", c.opts.ID).Str("broker", c.where()).Bool("session", c.present).Bool("again", !first).Msg("connected")
	c.sayAgain(first)
}

// subscribeWire sends a SUBSCRIBE and waits for its answer.
func (c *Client) subscribeWire(ctx context.Context, l *link, w *wire, o paho.SubscribeOptions, subs int) bool {
	p := &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{o}}
	if c.subIDs(l) {
		id := int(w.id)
		p.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: &id}
	}
	ack, err := c.cm.Subscribe(ctx, p)
	if ack == nil || len(ack.Reasons) != 1 {
		return c.stalled(ctx, l, "subscribe", w.filter, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l || w.state != wireNew || len(w.subs) != subs { // it has changed meanwhile
		return true
	}
	w.state, w.err = wireStanding, nil
	if code := ack.Reasons[0]; code >= 0x80 {
		e := &RefusedError{What: "subscribe", Topic: w.filter, Code: code}
		if ack.Properties != nil {
			e.Reason = ack.Properties.ReasonString
		}
		w.state, w.err = wireRefused, e
		c.opts.Log.Error().Err(e).Str("client", c.opts.ID).Msg("no subscription")
	}
	c.notify()
	return true
}

func (c *Client) unsubscribeWire(ctx context.Context, l *link, w *wire) bool {
	ack, err := c.cm.Unsubscribe(ctx, &paho.Unsubscribe{Topics: []string{w.filter}})
	if ack == nil {
		return c.stalled(ctx, l, "unsubscribe", w.filter, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.gone != nil { // otherwise somebody wants it again
		c.drop(w)
	} else {
		w.state = wireNew
	}
	return true
}

// stalled ends a connection on which a SUBSCRIBE has no answer.
func (c *Client) stalled(ctx context.Context, l *link, what, filter string, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	c.mu.RLock()
	current := c.link == l
	c.mu.RUnlock()
	if !current {
		return true
	}
	if !errors.Is(err, paho.ErrConnectionLost) {
		c.opts.Log.Warn().Err(err).Str("client", c.opts.ID).Str("topic", filter).Msg("no answer to " + what)
	}
	l.cut()
	return false // connected wakes the keeper
}

// subIDs reports whether the broker of l takes subscription identifiers.
func (c *Client) subIDs(l *link) bool { return !l.noSubIDs }

// standing waits until the wires of ss are settled at the broker and the client is up, and
// returns the first refusal.
func (c *Client) standing(ctx context.Context, ss ...*Subscription) error {
	return c.waitFor(ctx, func() (bool, error) {
		for _, s := range ss {
			switch {
			case !slices.Contains(c.subs, s): // closed meanwhile
			case s.w.state == wireRefused:
				return false, s.w.err
			case s.w.state != wireStanding:
				return false, nil
			}
		}
		return c.up, nil
	})
}

// SubscribeRaw calls h with every message that the filter matches, from the broker's next message
// on, over reconnects, until the subscription or the client is closed. It may be called before
// there is a connection. h is called by one goroutine, in the order of arrival, unless Workers
// says otherwise. An error or a panic of h is logged and counted; the message is not repeated.
func (c *Client) SubscribeRaw(filter string, qos byte, h func(ctx context.Context, m RawMessage) error, opts ...SubscribeOption) (*Subscription, error) {
	return c.add(filter, qos, func(s *Subscription) func(context.Context, *RawMessage) (verdict, error) {
		return func(ctx context.Context, m *RawMessage) (verdict, error) {
			return verdictHandled, s.traced(ctx, func(ctx context.Context) error { return h(ctx, *m) })
		}
	}, opts)
}

func (c *Client) add(filter string, qos byte, h func(*Subscription) func(context.Context, *RawMessage) (verdict, error), opts []SubscribeOption) (*Subscription, error) {
	if !validFilter(filter) || qos > 2 {
		return nil, fmt.Errorf("subscribe: bad filter %.100q or QoS %d", filter, qos)
	}
	o := subscribeOptions{queue: c.opts.Queue, workers: 1, maxQoS: 2}
	for _, f := range opts {
		f(&o)
	}
	s := &Subscription{c: c, filter: filter, qos: min(qos, o.maxQoS), policy: o.policy, limit: o.queue, maxBytes: o.bytes, answers: o.answers, asIs: o.asIs}
	if s.policy == 0 {
		s.policy = Hold
		if s.qos == 0 {
			s.policy = DropOldest
		}
	}
	s.ready.L = &s.mu
	s.handle = h(s)
	if err := c.subscribe(s, o.workers); err != nil {
		return nil, fmt.Errorf("subscribe %q: %w", filter, err)
	}
	return s, nil
}

// traced runs a handler within a span, when somebody wants spans.
func (s *Subscription) traced(ctx context.Context, h func(context.Context) error) (err error) {
	t := s.c.opts.Trace
	m, ok := ctx.(*messageContext)
	if t == nil || !ok {
		return h(ctx)
	}
	parent, end := t.Start(ctx, Span{Kind: SpanHandle, Client: s.c.opts.Name, Topic: m.topic, ID: m.id, Turn: m.turn})
	done := false
	defer func() {
		if !done { // a panic goes on; the span ends
			err = errors.New("panic")
		}
		end(err)
	}()
	if parent != "" {
		m.turn.TraceParent = parent
	}
	err = h(ctx)
	done = true
	return err
}
