package client

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/contract"
)

// Names of the user properties in which a Turn travels.
const (
	propTurn   = contract.PropTurn
	propOrigin = contract.PropOrigin
	propTrace  = "traceparent"
)

// maxTurnProp bounds what is taken from a peer's property, in bytes.
const maxTurnProp = 256

// Turn is what travels in user properties from a message to the messages that it causes. Handlers
// get it in their context, and publishes take it from there, without the service's help.
type Turn struct {
	ID          string // envelope id of the first event of the exchange
	Origin      string // which microphone or page asked
	TraceParent string // W3C trace context
}

// TurnOf returns the turn of ctx, or the zero Turn.
func TurnOf(ctx context.Context) Turn {
	t, _ := ctx.Value(turnKey{}).(Turn)
	return t
}

// WithTurn returns a context whose publishes carry t.
func WithTurn(ctx context.Context, t Turn) context.Context {
	return context.WithValue(ctx, turnKey{}, t)
}

// Log returns the client's logger with the topic, the id and the turn of the message that is
// being handled in ctx. Outside of a handler it writes nothing.
func Log(ctx context.Context) zerolog.Logger {
	m, ok := ctx.Value(messageKey{}).(*messageContext)
	if !ok {
		return zerolog.Nop()
	}
	l := m.log.With().Str("topic", m.topic)
	if m.id != "" {
		l = l.Str("id", m.id)
	}
	if m.turn.ID != "" {
		l = l.Str("turn", m.turn.ID)
	}
	return l.Logger()
}

// TurnHook adds the turn to log events that were given a context, as in log.Info().Ctx(ctx): all that
// is logged for one turn, in handlers and behind them, can be found by it. The supervisor gives it to the
// loggers of services.
type TurnHook struct{}

// Run implements zerolog.Hook.
func (TurnHook) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	if t := TurnOf(e.GetCtx()); t.ID != "" {
		e.Str("turn", t.ID)
	}
}

type (
	turnKey    struct{}
	messageKey struct{}
)

// messageContext is a handler's context. One value in place of several layers: it is made for
// every message.
type messageContext struct {
	context.Context
	sub   *Subscription
	turn  Turn
	topic string
	id    string // of the envelope, when there is one
	log   *zerolog.Logger
}

// Value implements context.Context.
func (m *messageContext) Value(key any) any {
	switch key.(type) {
	case turnKey:
		return m.turn
	case messageKey:
		return m
	}
	return m.Context.Value(key)
}

// turnFrom reads a turn from the properties of a message.
func turnFrom(props []UserProperty) Turn {
	var t Turn
	for i := range props {
		p := &props[i]
		if len(p.Value) > maxTurnProp || !validString(p.Value) { // it could not be sent on
			continue
		}
		switch p.Key {
		case propTurn:
			t.ID = p.Value
		case propOrigin:
			t.Origin = p.Value
		case propTrace:
			t.TraceParent = p.Value
		}
	}
	return t
}

// appendTo adds the properties that the caller has not set itself.
func (t Turn) appendTo(props []UserProperty) []UserProperty {
	for _, p := range [...]UserProperty{{propTurn, t.ID}, {propOrigin, t.Origin}, {propTrace, t.TraceParent}} {
		if p.Value != "" && !hasProp(props, p.Key) {
			props = append(props, p)
		}
	}
	return props
}

func hasProp(props []UserProperty, key string) bool {
	for i := range props {
		if props[i].Key == key {
			return true
		}
	}
	return false
}

// Span is a piece of work that a Tracer may follow.
type Span struct {
	Kind   SpanKind
	Client string // Options.Name
	Topic  string
	ID     string // envelope id, may be empty
	Turn   Turn   // Turn.TraceParent is the parent
}

// SpanKind says what a Span is.
type SpanKind byte

// Kinds of spans.
const (
	SpanHandle  SpanKind = iota // a handler runs
	SpanPublish                 // until the broker has the message, or it is queued
)

// Tracer is told of every handler run and publish. It must be quick and safe for concurrent use.
type Tracer interface {
	// Start begins a span and returns the traceparent of what happens inside it, or "" for the
	// parent's, and the function that ends it.
	Start(ctx context.Context, s Span) (traceparent string, end func(error))
}
