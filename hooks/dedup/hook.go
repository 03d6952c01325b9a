package dedup

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/services/contract"
)

// Reason is the reason under which repeats are counted.
const Reason = "duplicate"

// Defaults of Options.
const (
	DefaultTTL     = 30 * time.Second
	DefaultEntries = 2048
)

// openWait is how long a repeat waits for the end of the message that it repeats. It is longer than what
// the engine waits for the disk.
const openWait = 15 * time.Second

// Options of New.
type Options struct {
	TTL     time.Duration        // since a key was last seen; DefaultTTL if 0
	Entries int                  // keys that are known at once; DefaultEntries if 0
	Topics  []string             // filters of topics besides those of the contract table
	Exclude []string             // filters of topics that are left alone
	Now     func() time.Duration // a clock that never goes back; nil: the system's
}

// Hook drops repeated envelopes. It implements delivery.Hook.
type Hook struct {
	topics, exclude []string
	now             func() time.Duration
	seeds           seeds
	cache           *cache
}

var _ delivery.Hook = (*Hook)(nil)

// New checks the options; the error names the configuration's keys.
func New(o Options) (*Hook, error) {
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.Entries == 0 {
		o.Entries = DefaultEntries
	}
	if o.Now == nil {
		start := time.Now()
		o.Now = func() time.Duration { return time.Since(start) }
	}
	var errs []error
	if o.TTL < 0 || o.Entries < 0 {
		errs = append(errs, errors.New("dedup: ttl or entries below 0"))
	}
	for _, f := range slices.Concat(o.Topics, o.Exclude) {
		if !wire.ValidFilter(f) {
			errs = append(errs, fmt.Errorf("dedup: %q is not a topic filter", f))
		}
	}
	return &Hook{topics: o.Topics, exclude: o.Exclude, now: o.Now, seeds: newSeeds(), cache: newCache(o.TTL, o.Entries)}, errors.Join(errs...)
}

// Name implements delivery.Hook.
func (h *Hook) Name() string { return "dedup" }

// Attach implements delivery.Hook.
func (h *Hook) Attach(p *delivery.Peer) delivery.Inspector {
	return &inspector{h: h, closes: p.Version < wire.V5}
}

// concerns reports whether repeats are dropped on a topic.
func (h *Hook) concerns(topic string) bool {
	matches := func(f string) bool { return wire.Match(f, topic) }
	row, known := contract.Lookup(topic)
	switch {
	case known && (row.Retain || row.Form == contract.Raw || row.Name == contract.Keepalive.Name):
		return false
	case slices.ContainsFunc(h.exclude, matches):
		return false
	}
	return known && row.Dedup || slices.ContainsFunc(h.topics, matches)
}

// maxTopics is how many topics an inspector remembers before it starts anew.
const maxTopics = 256

// inspector judges the messages of one connection. It belongs to that connection's reader.
type inspector struct {
	h      *Hook
	closes bool            // MQTT 3: nothing can be refused
	topics map[string]bool // whether the topic is a concern
	last   string
	lastIs bool
	open   bool // the message that is being handled has a key
	key    key
}

var _ delivery.Follower = (*inspector)(nil)

// concern is Hook.concerns, remembered.
func (in *inspector) concern(topic string) bool {
	if topic == in.last {
		return in.lastIs
	}
	is, known := in.topics[topic]
	if !known {
		if in.topics == nil || len(in.topics) >= maxTopics {
			in.topics = make(map[string]bool, 8)
		}
		is = in.h.concerns(topic)
		in.topics[topic] = is
	}
	in.last, in.lastIs = topic, is
	return is
}

// OnMessage implements delivery.Inspector.
func (in *inspector) OnMessage(m *delivery.Message) delivery.Verdict {
	if m.Retain || !in.concern(m.Topic) {
		return delivery.Verdict{}
	}
	k, ok := in.h.seeds.keyOf(m.Payload)
	if !ok {
		return delivery.Verdict{}
	}
	var late <-chan time.Time
	for {
		st, done := in.h.cache.ask(k, in.h.now())
		switch st {
		case isNew:
			in.open, in.key = true, k
			return delivery.Verdict{}
		case isSeen:
			return delivery.Verdict{Action: delivery.Repeat, Reason: Reason}
		case isOpen:
		}
		if late == nil {
			t := time.NewTimer(openWait)
			defer t.Stop() // once, in the first turn
			late = t.C
		}
		select {
		case <-done:
		case <-late:
			return in.giveUp(k)
		}
	}
}

// giveUp answers a repeat of a message that does not come to an end: neither can be promised. The next
// one will be delivered.
func (in *inspector) giveUp(k key) delivery.Verdict {
	in.h.cache.settle(k, false, in.h.now())
	v := delivery.Verdict{Action: delivery.Refuse, Code: wire.QuotaExceeded, Reason: "storage"}
	if in.closes {
		v.Action = delivery.Close
	}
	return v
}

// Outcome implements delivery.Follower.
func (in *inspector) Outcome(taken bool) {
	if in.open {
		in.open = false
		in.h.cache.settle(in.key, taken, in.h.now())
	}
}

// Later implements delivery.Follower.
func (in *inspector) Later() func(taken bool) {
	if !in.open {
		return func(bool) {}
	}
	in.open = false
	k := in.key
	return func(taken bool) { in.h.cache.settle(k, taken, in.h.now()) }
}
