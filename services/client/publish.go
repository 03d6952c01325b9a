package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/contract"
)

// Receipt is what became of a publish.
type Receipt struct {
	ID      string // of the envelope; empty for PublishRaw without WithID
	Queued  bool   // accepted for later: the broker does not have it yet, as far as we know
	Dropped bool   // QoS 0, no connection, and Options.Offline is OfflineDrop
}

// PublishOption changes a publish.
type PublishOption func(*publishOptions)

type publishOptions struct {
	id          string
	expiry      time.Duration
	props       []UserProperty
	contentType string
	response    string
	correlation []byte
}

// WithID gives the envelope's id: that of the request in a reply.
func WithID(id string) PublishOption { return func(o *publishOptions) { o.id = id } }

// WithExpiry drops the message when it could not be delivered within d, here and at the broker.
func WithExpiry(d time.Duration) PublishOption { return func(o *publishOptions) { o.expiry = d } }

// WithProps adds user properties.
func WithProps(p ...UserProperty) PublishOption {
	return func(o *publishOptions) { o.props = append(o.props, p...) }
}

// WithContentType says what a raw payload is, such as image/jpeg.
func WithContentType(s string) PublishOption { return func(o *publishOptions) { o.contentType = s } }

// WithResponse asks for an answer on topic, with correlation in it.
func WithResponse(topic string, correlation []byte) PublishOption {
	return func(o *publishOptions) { o.response, o.correlation = topic, correlation }
}

// withCorrelation answers a request that has correlation data.
func withCorrelation(b []byte) PublishOption {
	return func(o *publishOptions) { o.correlation = b }
}

// Publish sends data on t, in an envelope with a new id (or that of WithID), the time and the
// client's name. An empty message_id and empty timestamps of data are filled in. The turn of ctx
// goes along.
//
// For QoS 1 and 2 it returns when the broker has acknowledged the message. Without a connection, or
// when that goes meanwhile, it returns with Receipt.Queued: the outbox sends it, in order, with
// the next connection. ctx bounds the wait: ErrNotSent and ErrQueueFull mean that the message is
// not going to be sent, ErrUnconfirmed that it was sent and may still arrive. For QoS 0 it returns
// when the message is in the connection's buffer; without a connection that is ErrOffline or
// Receipt.Dropped, as Options.Offline says.
func Publish[T any](ctx context.Context, c *Client, t contract.Topic[T], data T, opts ...PublishOption) (Receipt, error) {
	o := collect(opts)
	if o.id == "" {
		o.id = c.opts.NewID()
	}
	if strings.Contains(t.Name, "+") {
		return Receipt{}, fmt.Errorf("publish: %q is a family of topics, At is missing", t.Name)
	}
	now := unix(time.Now())
	t.Fill(&data, o.id, c.opts.NewID, now)
	b, err := t.Encode(contract.Envelope{ID: o.id, Type: t.Type, TS: now, Source: c.opts.Name}, data)
	if err != nil {
		return Receipt{}, fmt.Errorf("publish: %w", err)
	}
	return c.publish(ctx, &publication{topic: t.Name, payload: b, qos: t.QoS, retain: t.Retain}, o)
}

// PublishRaw sends payload as it is, with the promises of Publish. The payload must not be changed
// afterwards, also not when PublishRaw has returned: it may be sent again.
func (c *Client) PublishRaw(ctx context.Context, topic string, payload []byte, qos byte, retain bool, opts ...PublishOption) (Receipt, error) {
	return c.publish(ctx, &publication{topic: topic, payload: payload, qos: qos, retain: retain}, collect(opts))
}

func collect(opts []PublishOption) *publishOptions {
	o := &publishOptions{}
	for _, f := range opts {
		f(o)
	}
	return o
}

func (c *Client) publish(ctx context.Context, p *publication, o *publishOptions) (r Receipt, err error) {
	r.ID = o.id
	p.id, p.props, p.contentType, p.response, p.correlation = o.id, o.props, o.contentType, o.response, o.correlation
	if o.expiry > 0 {
		p.expires = time.Now().Add(o.expiry)
	}
	t := TurnOf(ctx)
	if c.opts.Trace != nil {
		parent, end := c.opts.Trace.Start(ctx, Span{Kind: SpanPublish, Client: c.opts.Name, Topic: p.topic, ID: p.id, Turn: t})
		defer func() { end(err) }()
		if parent != "" {
			t.TraceParent = parent
		}
	}
	if t != (Turn{}) {
		p.props = t.appendTo(p.props)
	}
	if err = p.check(); err != nil {
		return r, err
	}
	if p.qos == 0 {
		r.Dropped, err = c.publishNow(ctx, p)
	} else {
		r.Queued, err = c.out.publish(ctx, p)
	}
	if err != nil {
		return r, fmt.Errorf("publish %q: %w", p.topic, err)
	}
	return r, nil
}

// publishNow is for QoS 0. It waits for room in the connection's buffer.
func (c *Client) publishNow(ctx context.Context, p *publication) (dropped bool, err error) {
	for {
		c.mu.RLock()
		l, up, closed, maxLen := c.link, c.up, c.closed, c.lim.maxLen
		c.mu.RUnlock()
		switch {
		case closed:
			return false, ErrClosed
		case l == nil || !up:
			if c.opts.Offline == OfflineDrop {
				c.out.count(func(s *PublishStats) { s.Dropped++ })
				return true, nil
			}
			c.out.count(func(s *PublishStats) { s.Refused++ })
			return false, ErrOffline
		case maxLen > 0 && p.wireSize() > maxLen:
			c.out.count(func(s *PublishStats) { s.Refused++ })
			return false, ErrTooLarge
		}
		left, ok := remaining(p.expires)
		if !ok {
			c.out.count(func(s *PublishStats) { s.Expired++ })
			return false, ErrExpired
		}
		full, err := l.tryPush(func(b []byte) []byte { return p.appendTo(b, 0, 0, false, left) })
		if err == nil && !full {
			c.out.count(func(s *PublishStats) { s.Published++ })
			return false, nil
		}
		if err != nil { // it has just ended
			c.mu.RLock()
			changed, same := c.changed, c.link == l
			c.mu.RUnlock()
			if !same {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return false, fmt.Errorf("%w: %w", ErrNotSent, ctx.Err())
			}
			continue
		}
		select {
		case <-l.roomy():
		case <-ctx.Done():
			return false, fmt.Errorf("%w: %w", ErrNotSent, ctx.Err())
		}
	}
}

func (o *outbox) count(f func(*PublishStats)) {
	o.mu.Lock()
	f(&o.stats)
	o.mu.Unlock()
}
