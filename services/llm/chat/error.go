package chat

import (
	"fmt"
	"time"
)

// Kind says what went wrong, for those who decide what to do about it.
type Kind string

// The kinds of errors.
const (
	Unreachable Kind = "unreachable" // no connection, or it broke before the answer
	Slow        Kind = "slow"        // a timeout
	Cut         Kind = "cut"         // the answer broke off
	Busy        Kind = "busy"        // 429, or too many turns at once
	Server      Kind = "server"      // 5xx, or an error inside the stream
	Garbled     Kind = "garbled"     // not what an OpenAI-style server sends
	TooLarge    Kind = "too_large"   // more than the limits allow
	TooLong     Kind = "too_long"    // the question does not fit
	Key         Kind = "key"         // no key, or one that is refused
	Setup       Kind = "setup"       // wrong address or model
	Refused     Kind = "refused"     // a request that the server does not take
	Nothing     Kind = "nothing"     // an answer without words
	Empty       Kind = "empty"       // a question without words
	Invalid     Kind = "invalid"     // a request that breaks the contract
	Stopping    Kind = "stopping"    // the service ends
)

// spoken are the sentences for the kinds: short, in the first person, nothing technical.
var spoken = map[Kind]string{
	Unreachable: "I cannot reach my language model right now.",
	Slow:        "My language model is taking too long to answer.",
	Cut:         "I lost the connection in the middle of that.",
	Busy:        "I have too much to answer at once. Ask me again in a moment.",
	Server:      "My language model has a problem of its own right now.",
	Garbled:     "My language model is talking gibberish.",
	TooLarge:    "That answer got out of hand, so I stopped it.",
	TooLong:     "That is more than I can take in at once.",
	Key:         "My language model does not accept my key.",
	Setup:       "My language model is not set up right.",
	Refused:     "My language model refused to answer that.",
	Nothing:     "I have no answer to that.",
	Empty:       "I did not hear a question.",
	Invalid:     "I could not make sense of that request.",
	Stopping:    "My language model is shutting down.",
}

// Error is a failed round.
type Error struct {
	Kind   Kind
	Status int           // HTTP, 0 when there is none
	After  time.Duration // how long the server asks to wait, 0 when it does not
	Detail string        // for the log; holds no secrets
	Err    error         // what caused it; may be nil
}

// Errorf makes an error of a kind; a %w in format is kept as its cause.
func Errorf(k Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	e := &Error{Kind: k, Detail: err.Error()}
	if u, ok := err.(interface{ Unwrap() error }); ok {
		e.Err = u.Unwrap()
	}
	return e
}

// Error implements error.
func (e *Error) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("%s (HTTP %d): %s", e.Kind, e.Status, e.Detail)
	}
	return fmt.Sprintf("%s: %s", e.Kind, e.Detail)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Spoken is the error as the robot says it: one plain sentence in the first person.
func (e *Error) Spoken() string {
	if s := spoken[e.Kind]; s != "" {
		return s
	}
	return "Something went wrong in my head."
}

// Passing reports whether the same request may well succeed a little later.
func (e *Error) Passing() bool {
	switch e.Kind {
	case Unreachable, Busy, Server, Slow, Cut:
		return true
	}
	return false
}
