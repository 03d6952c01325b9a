package client

import (
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/contract"
)

// echoTime is how close together the copies are that a broker makes for overlapping subscriptions.
const echoTime = time.Second

// receive takes a PUBLISH, on the reader of l. It never waits.
func (c *Client) receive(l *link, flags byte, body []byte) error {
	m, err := parsePublish(flags, body, l.topics)
	if err != nil {
		return err
	}
	m.Received = time.Now()
	if m.QoS == 2 && m.Dup && c.wasReceived(m.id) {
		l.push([]byte{typePubrec << 4, 2, byte(m.id >> 8), byte(m.id)}) //nolint:gosec // the two halves of the id
		return nil
	}
	if m.QoS == 0 {
		c.route(m, nil)
		return nil
	}
	k, err := l.acks.add(m)
	if err != nil {
		return err
	}
	if r, ok := c.redeliver[m.id]; ok {
		delete(c.redeliver, m.id)
		if m.Dup && r.sum == m.sum(c.seed) {
			// It has been here, and only these have not taken it.
			for _, s := range r.want {
				k.pending.Add(1)
				s.offer(m, k)
			}
			k.taken()
			return nil
		}
	}
	c.route(m, k)
	k.taken()
	return nil
}

// route hands m to every subscription that it is for. With subscription identifiers a copy says
// what it is for, so that one copy for all and one for each come to the same.
func (c *Client) route(m *inbound, k *ack) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found := 0
	if len(m.subs) > 0 {
		for i, id := range m.subs {
			if w := c.byID[id]; w != nil && !repeated(m.subs[:i], id) {
				found++
				w.offer(m, k)
			}
		}
	} else {
		for _, w := range c.wires {
			if w.matches(m.Topic) {
				found++
			}
		}
		if found > 1 && c.echo.is(m, found) {
			return
		}
		for _, w := range c.wires {
			if w.matches(m.Topic) {
				w.offer(m, k)
			}
		}
	}
	if found == 0 {
		c.unclaimed.Add(1)
	}
}

func repeated(ids []uint32, id uint32) bool {
	for _, x := range ids {
		if x == id {
			return true
		}
	}
	return false
}

func (w *wire) offer(m *inbound, k *ack) {
	for _, s := range w.subs {
		if k != nil {
			k.pending.Add(1)
		}
		s.offer(m, k)
	}
}

func (w *wire) matches(topic string) bool {
	f := w.filter
	if rest, ok := strings.CutPrefix(f, "$share/"); ok {
		_, f, _ = strings.Cut(rest, "/")
	}
	return contract.Match(f, topic)
}

// echo drops the further copies from a broker without subscription identifiers that sends one for
// each subscription. All handlers got the first. The copies come one right after the other; two
// messages of the same bytes that do so are taken for copies, which is wrong only if the
// broker sends one for all, and nothing in them is unique.
type echo struct {
	topic   string
	payload string
	retain  bool
	at      time.Time
	left    int // copies that may still come
}

// is reports whether m, for which n subscriptions match, is a further copy.
func (e *echo) is(m *inbound, n int) bool {
	if e.left > 0 && e.topic == m.Topic && e.retain == m.Retained && e.payload == string(m.Payload) && m.Received.Sub(e.at) < echoTime {
		e.left--
		return true
	}
	*e = echo{m.Topic, string(m.Payload), m.Retained, m.Received, n - 1}
	return false
}

// noteReceived remembers a QoS 2 message whose PUBREC is under way.
func (c *Client) noteReceived(id uint16) {
	c.received.Lock()
	c.received.ids[id] = true
	c.received.Unlock()
}

func (c *Client) wasReceived(id uint16) bool {
	c.received.Lock()
	defer c.received.Unlock()
	return c.received.ids[id]
}

// released answers a PUBREL.
func (c *Client) released(l *link, id uint16) {
	c.received.Lock()
	delete(c.received.ids, id)
	c.received.Unlock()
	l.push([]byte{typePubcomp << 4, 2, byte(id >> 8), byte(id)}) //nolint:gosec // the two halves of the id
}
