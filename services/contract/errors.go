package contract

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

// ErrContract is wrapped by every error about a message that is not as the contract says.
var ErrContract = errors.New("contract")

// Error says what is wrong with a message: on which topic, at which field and with which value.
type Error struct {
	Topic   string
	Field   string // such as conversation_history[1].role; keys of the envelope as envelope.ts; empty for the whole message
	Value   string // as JSON, cut to 40 bytes; empty when there is none
	Problem string
}

// Error is "topic: field: problem: value" without the empty parts.
func (e *Error) Error() string {
	s := ""
	for _, part := range []string{e.Topic, e.Field, e.Problem, e.Value} {
		switch {
		case part == "":
		case s == "":
			s = part
		default:
			s += ": " + part
		}
	}
	return s
}

// Unwrap makes errors.Is(err, ErrContract) true.
func (e *Error) Unwrap() error { return ErrContract }

// under puts the key of an object before the path.
func (e *Error) under(key string) *Error {
	switch {
	case e.Field == "":
		e.Field = key
	case e.Field[0] == '[':
		e.Field = key + e.Field
	default:
		e.Field = key + "." + e.Field
	}
	return e
}

// item puts the place in a list before the path.
func (e *Error) item(i int) *Error {
	at := "[" + strconv.Itoa(i) + "]"
	if e.Field != "" && e.Field[0] != '[' {
		at += "."
	}
	e.Field = at + e.Field
	return e
}

const shownBytes = 40 // of a value in an error; a transcript does not belong there as a whole

func shown(b []byte) string {
	if len(b) <= shownBytes {
		return string(b)
	}
	n := shownBytes
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return string(b[:n]) + "..."
}
