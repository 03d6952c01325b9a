package contract

import (
	"reflect"
	"strings"
)

// Form is how the messages of a topic look when we send them. Decode takes envelopes and bare
// objects on every topic that is not Raw.
type Form byte

// The forms.
const (
	Enveloped Form = iota // the envelope with its five keys
	Bare                  // the payload object alone, since a legacy peer reads nothing else: Spec.Reason says who
	Raw                   // not JSON: bytes as they are (PCM, JPEG)
)

// String is the form's name in documents.
func (f Form) String() string {
	switch f {
	case Bare:
		return "bare"
	case Raw:
		return "raw"
	default:
		return "envelope"
	}
}

// Spec is one row of the topic table without the Go type of its payload.
type Spec struct {
	Name        string   // topic; a family has exactly one "+" level, such as system/health/+
	Type        string   // event type that is written into the envelope; nobody refuses another one
	Aliases     []string // event types that legacy peers write there, for inspectors
	QoS         byte     // of publishes and of subscriptions
	Retain      bool
	Form        Form
	Reason      string   // why Form is not Enveloped
	Dedup       bool     // hooks/dedup and the client drop repeats; an object without an envelope has no key and always passes
	Publishers  []string // short service names, and device, page, any
	Subscribers []string
	Doc         string
}

// Family reports whether the row stands for many topics, one per value of its "+" level.
func (s Spec) Family() bool { return strings.Contains(s.Name, "+") }

// Topic is a row of the table with the type of its payload.
type Topic[T any] struct{ Spec }

// At is the topic of a family for one name, such as Health.At("stt"). What a topic level cannot
// hold becomes "_", so that a name from outside does not reach another topic.
func (t Topic[T]) At(name string) Topic[T] {
	if name == "" {
		name = "_"
	}
	name = strings.Map(func(r rune) rune {
		if r == '/' || r == '+' || r == '#' || r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, name)
	t.Name = strings.Replace(t.Name, "+", name, 1)
	return t
}

// Wrapped is the topic with its messages in an envelope, also where the row says bare: for a sender
// who wants to be understood by those alone who read envelopes, and whose repeats are to be known.
func (t Topic[T]) Wrapped() Topic[T] {
	if t.Form == Bare {
		t.Form = Enveloped
	}
	return t
}

// User properties of an exchange, from wake or typed text to silence; they travel from each message to
// those that it causes.
const (
	PropTurn   = "turn"   // envelope id of its first event
	PropOrigin = "origin" // which microphone or page asked; the answer goes back there
)

// Envelope is what is around a payload. Absent fields stay empty: identity and time are given by
// whoever sends a message.
type Envelope struct {
	ID     string  // 32 hex digits when we made it; a reply carries its request's
	Type   string  // event type; empty on encoding means the topic's
	TS     float64 // Unix seconds
	Source string  // who sent it
}

// Message is a decoded message.
type Message[T any] struct {
	Envelope
	Bare bool // it came without an envelope; then Envelope holds only what the payload said: message_id as ID
	Data T
}

// MaxPayload is how many bytes a message may have, for a picture with some room.
const MaxPayload = 8 << 20

// Encode validates data and writes the message in the form of the topic. Empty strings and zeros
// that are out of range take their defaults; nil optionals are written as null. Raw bytes are
// returned as they are, without a copy.
func (t Topic[T]) Encode(e Envelope, data T) ([]byte, error) {
	if t.Form == Raw {
		return t.raw(data)
	}
	b, err := encode(&t.Spec, e, reflect.ValueOf(&data).Elem())
	if err != nil {
		err.Topic = t.Name
		return nil, err
	}
	return b, nil
}

// Decode reads a message: the envelope, or the payload object alone. Unknown keys, wrong types,
// values out of range, repeated keys and trailing data are errors, each an *Error. Nothing of the
// message refers to payload afterwards, but for raw bytes, which are payload.
func (t Topic[T]) Decode(payload []byte) (Message[T], error) {
	var m Message[T]
	if len(payload) > MaxPayload {
		return m, &Error{Topic: t.Name, Problem: "message of more than 8 MiB"}
	}
	if t.Form == Raw {
		m.Bare = true
		if p, ok := any(&m.Data).(*[]byte); ok {
			*p = payload
		}
		return m, nil
	}
	var err *Error
	if m.Envelope, m.Bare, err = decode(payload, reflect.ValueOf(&m.Data).Elem()); err != nil {
		err.Topic = t.Name
		return Message[T]{}, err
	}
	return m, nil
}

// Fill gives the empty fields of data that are marked for it an identity and a time: message_id
// and other ids from newID, timestamps now in Unix seconds. In a bare message message_id is the
// envelope's id, since it is the only place for it.
func (t Topic[T]) Fill(data *T, envelopeID string, newID func() string, now float64) {
	if t.Form == Raw {
		return
	}
	if t.Form == Enveloped {
		envelopeID = ""
	}
	v := reflect.ValueOf(data).Elem()
	fill(planOf(v.Type()), v, envelopeID, newID, now)
}

func (t Topic[T]) raw(data T) ([]byte, error) {
	b, ok := any(data).([]byte)
	if !ok {
		return nil, &Error{Topic: t.Name, Problem: "a raw topic carries bytes"}
	}
	if len(b) > MaxPayload {
		return nil, &Error{Topic: t.Name, Problem: "message of more than 8 MiB"}
	}
	return b, nil
}

// New is a T with its defaults, such as is_final of a FinalTranscript.
func New[T any]() T {
	var v T
	setDefaults(planOf(reflect.TypeFor[T]()), reflect.ValueOf(&v).Elem())
	return v
}

// Value is what an optional field points to, or the zero value.
func Value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
