package client

import (
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// acks are the messages of a connection that are not acknowledged yet, in the order in which
// they came: MQTT wants the acknowledgements in that order.
type acks struct {
	l    *link
	mu   sync.Mutex
	list []*ack // from the oldest
}

// ack is one message that waits to be acknowledged.
type ack struct {
	link    *link
	msg     *inbound
	pending atomic.Int32    // subscriptions that have not taken it, and one for the router
	held    []*Subscription // those that hold it; complete once the connection has ended
}

// add takes a message in. It fails when the broker ignores our receive maximum.
func (a *acks) add(m *inbound) (*ack, error) {
	k := &ack{link: a.l, msg: m}
	k.pending.Store(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.list) >= a.l.c.opts.Window {
		return nil, fmt.Errorf("%w: more messages than the receive maximum", errFrame)
	}
	a.list = append(a.list, k)
	return k, nil
}

// taken says that one of those who want the message has it.
func (k *ack) taken() {
	if k.pending.Add(-1) == 0 {
		k.link.acks.flush()
	}
}

// flush acknowledges what is due, from the oldest on.
func (a *acks) flush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	var b [64]byte
	out := b[:0]
	for n < len(a.list) && a.list[n].pending.Load() == 0 {
		m := a.list[n].msg
		kind := byte(typePuback)
		if m.QoS == 2 {
			kind = typePubrec
			a.l.c.noteReceived(m.id)
		}
		out = append(out, kind<<4, 2, byte(m.id>>8), byte(m.id)) //nolint:gosec // the two halves of the id
		a.list[n] = nil
		n++
	}
	if n > 0 {
		a.list = a.list[n:]
		a.l.push(out)
	}
}

// redelivery is a message that the broker will send again, since it had no acknowledgement,
// although some of its subscriptions have taken it.
type redelivery struct {
	sum  uint64
	want []*Subscription // those that have not
}

// rest adds what was never acknowledged to all, by packet id. The connection has ended. What was
// there from an earlier connection has not come again yet.
func (a *acks) rest(all map[uint16]redelivery, seed maphash.Seed) map[uint16]redelivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	if all == nil && len(a.list) > 0 {
		all = make(map[uint16]redelivery, len(a.list))
	}
	for _, k := range a.list {
		all[k.msg.id] = redelivery{k.msg.sum(seed), k.held}
	}
	a.list = nil
	return all
}

// sum tells whether a message with the same packet id is the same message.
func (m *inbound) sum(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(m.Topic)
	_ = h.WriteByte(m.QoS)
	_, _ = h.Write(m.Payload)
	return h.Sum64()
}
