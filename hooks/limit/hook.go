package limit

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"sync"
	"time"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
)

var _ delivery.Hook = (*Hook)(nil)

// The reasons of verdicts.
const (
	ReasonMessages = "rate_messages"
	ReasonBytes    = "rate_bytes"
	ReasonTopic    = "topic_rate"
)

// memoryListener is the listener of connections of this process.
const memoryListener = "memory"

// maxTopicRates is how many filters there may be: as many as inspector.match has bits.
const maxTopicRates = 64

// TopicRate limits what each client publishes to the topics that match a filter.
type TopicRate struct {
	Filter   string
	Messages float64 // per second; 0: no limit
	Bytes    float64 // topic, payload and properties, per second; 0: no limit
}

// Options configure New.
type Options struct {
	Messages float64 // of each client per second; 0: no limit
	Bytes    float64 // topic, payload and properties, of each client per second; 0: no limit
	Topics   []TopicRate
	Now      func() time.Duration // a clock that never goes back; nil: the system's
}

// Hook judges messages by their rate. It implements delivery.Hook.
type Hook struct {
	rates  []rate // messages, bytes, then both of each filter
	topics []string
	now    func() time.Duration

	seed    maphash.Seed
	mu      sync.Mutex
	clients map[uint64]*client // by the hash of the client id, which may be long
	sweepAt int                // size of clients at which idle ones are looked for
}

// client is what is kept of one client id across its connections.
type client struct {
	buckets []bucket // as Hook.rates
}

// The table of clients: how large it gets before idle ones are dropped, and its bound. An owner
// with more clients than that at once has others to protect than an allowance that starts afresh.
const (
	sweepFrom  = 1024
	maxClients = 1 << 16
)

// New checks the options; the error names the configuration's keys.
func New(o Options) (*Hook, error) {
	h := &Hook{now: o.Now, seed: maphash.MakeSeed(), clients: make(map[uint64]*client), sweepAt: sweepFrom}
	if h.now == nil {
		start := time.Now()
		h.now = func() time.Duration { return time.Since(start) }
	}
	var errs []error
	if o.Messages < 0 || o.Bytes < 0 {
		errs = append(errs, errors.New("limits.rate: below 0"))
	}
	if len(o.Topics) > maxTopicRates {
		errs = append(errs, fmt.Errorf("limits.topic_rates: %d entries, at most %d", len(o.Topics), maxTopicRates))
	}
	h.rates = append(h.rates, newRate(o.Messages, ReasonMessages), newRate(o.Bytes, ReasonBytes))
	for i, t := range o.Topics {
		switch {
		case !wire.ValidFilter(t.Filter):
			errs = append(errs, fmt.Errorf("limits.topic_rates[%d].filter: %q is not a topic filter", i, t.Filter))
		case t.Messages < 0 || t.Bytes < 0 || t.Messages+t.Bytes == 0:
			errs = append(errs, fmt.Errorf("limits.topic_rates[%d]: needs messages or bytes above 0", i))
		}
		h.topics = append(h.topics, t.Filter)
		h.rates = append(h.rates, newRate(t.Messages, ReasonTopic), newRate(t.Bytes, ReasonTopic))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return h, nil
}

// Name implements delivery.Hook.
func (h *Hook) Name() string { return "limit" }

// Limits reports whether there is any limit; a hook without one can be left out of the chain.
func (h *Hook) Limits() bool {
	for i := range h.rates {
		if h.rates[i].unit > 0 {
			return true
		}
	}
	return false
}

// Attach implements delivery.Hook.
func (h *Hook) Attach(p *delivery.Peer) delivery.Inspector {
	if p.Listener == memoryListener || !h.Limits() {
		return nil
	}
	return &inspector{
		h: h, client: h.client(p.ID), closes: p.Version < wire.V5,
		taken: make([]taken, 0, len(h.rates)),
	}
}

// client finds the buckets of a client id or makes them.
func (h *Hook) client(id string) *client {
	key := maphash.String(h.seed, id)
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.clients[key]; c != nil {
		return c
	}
	if len(h.clients) >= h.sweepAt {
		h.sweep()
	}
	c := &client{buckets: make([]bucket, len(h.rates))}
	h.clients[key] = c
	return c
}

// sweep drops the clients whose buckets say no more than new ones would. It runs when the table
// has doubled since the last time, which makes it cheap in the mean.
func (h *Hook) sweep() {
	now := int64(h.now())
	maps.DeleteFunc(h.clients, func(_ uint64, c *client) bool { return c.idle(now) })
	if len(h.clients) >= maxClients {
		clear(h.clients)
	}
	h.sweepAt = min(max(sweepFrom, 2*len(h.clients)), maxClients)
}

func (c *client) idle(now int64) bool {
	for i := range c.buckets {
		if !c.buckets[i].idle(now) {
			return false
		}
	}
	return true
}

// inspector judges the messages of one connection. It belongs to that connection's reader.
type inspector struct {
	h      *Hook
	client *client
	closes bool    // MQTT 3: nothing can be refused
	taken  []taken // scratch
	topic  string  // of the last message
	match  uint64  // which filters match it
}

// taken is what a message takes from one bucket, once all of them have enough.
type taken struct {
	bucket *bucket
	full   int64
}

// OnMessage implements delivery.Inspector. A message that one bucket has no room for takes from
// none of them.
func (in *inspector) OnMessage(m *delivery.Message) delivery.Verdict {
	h := in.h
	now := int64(h.now())
	size := float64(len(m.Topic) + len(m.Payload) + len(m.Props))
	in.taken = in.taken[:0]
	match := in.matching(m.Topic)
	for i := range h.rates {
		r := &h.rates[i]
		if r.unit == 0 || (i >= 2 && match&(1<<(i/2-1)) == 0) {
			continue
		}
		n := size
		if i%2 == 0 {
			n = 1
		}
		b := &in.client.buckets[i]
		full, ok := b.fits(r, now, n)
		if !ok {
			return in.refuse(m, r.reason, b.overflow(r, now, n))
		}
		in.taken = append(in.taken, taken{b, full})
	}
	for _, t := range in.taken {
		t.bucket.full.Store(t.full)
	}
	return delivery.Verdict{}
}

// matching compares a topic with the filters. Most clients publish to the same topic for a while.
func (in *inspector) matching(topic string) uint64 {
	if len(in.h.topics) == 0 || topic == in.topic {
		return in.match
	}
	in.topic, in.match = topic, 0
	for i, filter := range in.h.topics {
		if wire.Match(filter, topic) {
			in.match |= 1 << i
		}
	}
	return in.match
}

func (in *inspector) refuse(m *delivery.Message, reason string, tooMuch bool) delivery.Verdict {
	switch {
	case tooMuch || (m.QoS > 0 && in.closes):
		return delivery.Verdict{Action: delivery.Close, Code: wire.MessageRateTooHigh, Reason: reason}
	case m.QoS > 0:
		return delivery.Verdict{Action: delivery.Refuse, Code: wire.QuotaExceeded, Reason: reason}
	}
	return delivery.Verdict{Action: delivery.Ignore, Code: wire.MessageRateTooHigh, Reason: reason}
}
