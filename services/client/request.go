package client

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tarsd/tarsd/services/contract"
)

// replies is the client's own subscription to a topic on which answers come, shared by all
// requests for it. It is made by the first request and kept.
type replies struct {
	sub *Subscription

	mu   sync.Mutex
	wait map[string]chan<- any // a Message of the topic's type, by envelope id
}

// Request publishes data on q and waits for the answer on r: the message whose correlation data
// (MQTT 5) or envelope id is that of the request. A handler may use it, since answers have a queue
// of their own. Without a deadline in ctx it waits for Options.RequestTimeout. When no answer
// comes in time the error wraps ErrNoReply; a request that could not be sent by then expires.
func Request[Q, R any](ctx context.Context, c *Client, q contract.Topic[Q], r contract.Topic[R], data Q, opts ...PublishOption) (Message[R], error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opts.RequestTimeout)
		defer cancel()
	}
	fail := func(err error) (Message[R], error) {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", ErrNoReply, err)
		}
		return Message[R]{}, fmt.Errorf("request %q: %w", q.Name, err)
	}
	in, err := repliesOn(c, r)
	if err != nil {
		return fail(err)
	}
	if err := c.standing(ctx, in.sub); err != nil {
		return fail(err)
	}
	o := collect(opts)
	id := o.id
	if id == "" {
		id = c.opts.NewID()
	}
	answer := make(chan any, 1)
	if !in.begin(id, answer) {
		return fail(fmt.Errorf("there is a request with the id %q already", id))
	}
	defer in.end(id)
	deadline, _ := ctx.Deadline()
	more := []PublishOption{WithID(id), WithResponse(r.Name, []byte(id))}
	if o.expiry == 0 {
		more = append(more, WithExpiry(max(time.Until(deadline), time.Millisecond)))
	}
	if _, err := Publish(ctx, c, q, data, append(opts[:len(opts):len(opts)], more...)...); err != nil {
		return fail(err)
	}
	select {
	case m := <-answer:
		got, ok := m.(Message[R])
		if !ok {
			return fail(fmt.Errorf("%q carries %T, not %T", r.Name, m, got))
		}
		return got, nil
	case <-c.life.Done():
		return fail(ErrClosed)
	case <-ctx.Done():
		return fail(ctx.Err())
	}
}

// repliesOn finds or makes the subscription to r.
func repliesOn[R any](c *Client, r contract.Topic[R]) (*replies, error) {
	if strings.ContainsAny(r.Name, "+#") {
		return nil, fmt.Errorf("%q is a family of topics, At is missing", r.Name)
	}
	c.mu.RLock()
	in := c.replies[r.Name]
	c.mu.RUnlock()
	if in != nil {
		return in, nil
	}
	in = &replies{wait: map[string]chan<- any{}}
	sub, err := c.SubscribeRaw(r.Name, r.QoS, func(_ context.Context, raw RawMessage) error { return answer(in, r, &raw) }, func(o *subscribeOptions) { o.answers = true })
	if err != nil {
		return nil, err
	}
	in.sub = sub
	c.mu.Lock()
	if other := c.replies[r.Name]; other != nil { // somebody was quicker
		c.mu.Unlock()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = sub.Close(ctx) // without waiting: nothing goes to it
		return other, nil
	}
	c.replies[r.Name] = in
	c.mu.Unlock()
	return in, nil
}

// answer gives a message to the request that it answers. Most messages answer somebody else's.
func answer[R any](in *replies, r contract.Topic[R], raw *RawMessage) error {
	if raw.Retained || !in.any() {
		return nil
	}
	m, err := decode(r, raw)
	if err != nil {
		if in.has(string(raw.Correlation)) {
			return err
		}
		return nil // the same message is reported where it is a handler's
	}
	if !in.deliver(string(m.correlation), m) {
		in.deliver(m.ID, m)
	}
	return nil
}

func (in *replies) begin(id string, ch chan<- any) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.wait[id] != nil {
		return false
	}
	in.wait[id] = ch
	return true
}

func (in *replies) end(id string) {
	in.mu.Lock()
	delete(in.wait, id)
	in.mu.Unlock()
}

func (in *replies) any() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.wait) > 0
}

func (in *replies) has(id string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.wait[id] != nil
}

func (in *replies) deliver(id string, m any) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	ch := in.wait[id]
	if ch == nil {
		return false
	}
	delete(in.wait, id)
	ch <- m // buffered, and the only one
	return true
}

// Reply answers m: same envelope id, and the request's correlation data. It goes to the request's
// MQTT 5 response topic when there is one, else to r. A response topic that is another row of the
// contract is not followed: nobody makes a service move the robot by asking it something.
func Reply[Q, R any](ctx context.Context, c *Client, m Message[Q], r contract.Topic[R], data R, opts ...PublishOption) (Receipt, error) {
	more := opts[:len(opts):len(opts)]
	if m.ID != "" {
		more = append([]PublishOption{WithID(m.ID)}, more...)
	}
	if len(m.correlation) > 0 {
		more = append(more, withCorrelation(m.correlation))
	}
	if t := m.response; t != "" && t != r.Name && validTopic(t) && t[0] != '$' {
		if _, known := contract.Lookup(t); !known {
			r.Name = t
			r.Retain = false
		}
	}
	receipt, err := Publish(ctx, c, r, data, more...)
	if err != nil {
		return receipt, fmt.Errorf("reply: %w", err)
	}
	return receipt, nil
}
