package client

import (
	"context"
	"time"

	"github.com/tarsd/tarsd/services/contract"
)

// Message is a message of a known type. Beside the payload it has what the envelope said.
type Message[T any] struct {
	contract.Message[T]        // ID, Type, TS, Source, Bare, Data
	Topic               string // where it came; of a family the member
	Retained            bool   // a replay of retained state
	Dup                 bool   // the broker has sent it before
	QoS                 byte   // the delivery's
	Props               []UserProperty
	Received            time.Time

	response    string
	correlation []byte
}

// Handler gets the messages of a subscription. Its context carries the turn (TurnOf) and a logger
// (Log), and ends at Close, after the time to drain. It may publish, make requests and wait for
// other messages: only its own subscription waits for it.
type Handler[T any] func(ctx context.Context, m Message[T]) error

// Subscribe calls h with every message on t, or on all topics of the family t, as SubscribeRaw
// does. A message that is not as the contract says is counted and logged, and not delivered. Where
// the contract says so, repeats of a message that h has handled are dropped: same topic, type, id,
// and seq or content, within 30 s. A message whose handler failed does not count as handled.
func Subscribe[T any](c *Client, t contract.Topic[T], h Handler[T], opts ...SubscribeOption) (*Subscription, error) {
	return c.add(t.Name, t.QoS, func(s *Subscription) func(context.Context, *RawMessage) (verdict, error) {
		var seen *dedup
		var key func(*Message[T]) (dedupKey, bool)
		if t.Dedup {
			seen, key = newDedup(dedupTTL, dedupEntries), keyOf[T]()
		}
		return func(ctx context.Context, raw *RawMessage) (verdict, error) {
			m, err := decode(t, raw)
			if err != nil {
				return verdictInvalid, err
			}
			if mc, ok := ctx.(*messageContext); ok {
				mc.id = m.ID
				if mc.turn.ID == "" && !m.Bare && !m.Retained { // it may be the first of its turn
					mc.turn.ID = m.ID
				}
			}
			run := func() error {
				return s.traced(ctx, func(ctx context.Context) error { return h(ctx, m) })
			}
			if seen == nil || m.Retained {
				return verdictHandled, run()
			}
			k, ok := key(&m)
			if !ok {
				return verdictHandled, run()
			}
			return seen.once(ctx, k, run)
		}
	}, opts)
}

func decode[T any](t contract.Topic[T], raw *RawMessage) (Message[T], error) {
	m := Message[T]{
		Topic: raw.Topic, Retained: raw.Retained, Dup: raw.Dup, QoS: raw.QoS, Props: raw.Props, Received: raw.Received,
		response: raw.ResponseTopic, correlation: raw.Correlation,
	}
	var err error
	m.Message, err = t.Decode(raw.Payload)
	return m, err
}
