package contract

import (
	"reflect"
	"slices"
)

// head is what stands at the top level of a message: the spans of the envelope's keys.
type head struct {
	id, typ, ts, source, data []byte // raw JSON; nil when absent
	twice, other              string // first key that repeats, first key that no envelope has
	hasOther                  bool
}

// decode fills v, which is a zero payload, and returns what the envelope said.
func decode(payload []byte, v reflect.Value) (Envelope, bool, *Error) {
	p := planOf(v.Type())
	h, err := readHead(payload)
	if err != nil {
		return Envelope{}, false, err
	}
	if h.bare(p, payload) {
		s := scanner{b: payload}
		s.peek()
		if err := s.object(v, p); err != nil {
			return Envelope{}, false, err
		}
		return Envelope{ID: messageID(p, v)}, true, nil
	}
	e, err := h.envelope()
	if err != nil {
		return Envelope{}, false, err
	}
	s := scanner{b: h.data}
	if err := s.object(v, p); err != nil {
		return Envelope{}, false, err
	}
	return e, false, nil
}

// readHead goes once over the whole message: after it, the text is known to be one JSON object.
func readHead(payload []byte) (head, *Error) {
	var h head
	s := scanner{b: payload}
	if c := s.peek(); c != '{' {
		if c == 0 {
			return h, wrong("empty message")
		}
		if err := s.unfit("an object"); err != nil {
			err.Value = ""
			return h, err
		}
	}
	if err := s.enter(); err != nil {
		return h, err
	}
	for first := true; ; first = false {
		more, err := s.next(first, '}')
		if err != nil {
			return h, err
		}
		if !more {
			break
		}
		key, err := s.key()
		if err != nil {
			return h, err
		}
		s.peek()
		start := s.pos
		if err := s.skip(); err != nil {
			if string(key) != "data" { // the path of a payload's field is the same in both forms
				err = err.under(string(key))
			}
			return h, err
		}
		h.put(key, payload[start:s.pos])
	}
	if s.peek(); s.pos != len(payload) {
		return h, wrong("data after the object")
	}
	return h, nil
}

func (h *head) put(key, raw []byte) {
	var to *[]byte
	switch string(key) {
	case "id":
		to = &h.id
	case "type":
		to = &h.typ
	case "ts":
		to = &h.ts
	case "source":
		to = &h.source
	case "data":
		to = &h.data
	default:
		if !h.hasOther {
			h.hasOther, h.other = true, string(key)
		}
		return
	}
	if *to != nil && h.twice == "" {
		h.twice = string(key)
	}
	*to = raw
}

// bare decides what a message is. No strict payload type has a key data (TestTable sees to it), so
// data alone makes an envelope, and what is wrong about it is said; a wake event has a key type and
// no data. A type that takes unknown keys could have been sent with a key data of its own: there it
// is an envelope with type and data as they must be, and without a key that the type names.
func (h *head) bare(p *plan, payload []byte) bool {
	if h.data == nil {
		return true
	}
	if !p.open() {
		return false
	}
	if h.typ == nil || h.typ[0] != '"' || h.data[0] != '{' {
		return true
	}
	if !h.hasOther {
		return false
	}
	keys, err := (&scanner{b: payload}).keys()
	for key := range keys {
		if _, named := p.index[key]; named && !slices.Contains(envelopeKeys(), key) {
			return true
		}
	}
	return err != nil
}

func envelopeKeys() []string { return []string{"id", "type", "ts", "source", "data"} }

func (h *head) envelope() (Envelope, *Error) {
	var e Envelope
	switch {
	case h.twice != "":
		return e, &Error{Field: "envelope." + h.twice, Problem: "repeated key"}
	case h.hasOther:
		return e, &Error{Field: "envelope." + h.other, Problem: "unknown key"}
	case h.typ == nil:
		return e, &Error{Field: "envelope.type", Problem: "missing"}
	case h.data[0] != '{':
		s := scanner{b: h.data}
		return e, s.unfit("an object").under("envelope.data")
	}
	for _, part := range []struct {
		name string
		raw  []byte
		to   *string
	}{{"id", h.id, &e.ID}, {"type", h.typ, &e.Type}, {"source", h.source, &e.Source}} {
		if part.raw == nil {
			continue
		}
		s := scanner{b: part.raw}
		var err *Error
		if *part.to, err = s.text(); err != nil {
			return e, err.under("envelope." + part.name)
		}
	}
	if e.Type == "" {
		return e, &Error{Field: "envelope.type", Problem: "empty"}
	}
	if h.ts != nil {
		s := scanner{b: h.ts}
		var err *Error
		if e.TS, err = s.float(true); err != nil {
			return e, err.under("envelope.ts")
		}
	}
	return e, nil
}

// Peek reads the envelope of a message of any topic and returns the bytes of its data, which are
// part of payload. It knows no payload types: hooks and inspectors use it on whatever comes. What
// is not an envelope with its five keys, such as a bare message, is not ok.
func Peek(payload []byte) (e Envelope, data []byte, ok bool) {
	if len(payload) > MaxPayload {
		return e, nil, false
	}
	h, err := readHead(payload)
	if err != nil || h.data == nil {
		return e, nil, false
	}
	if e, err = h.envelope(); err != nil {
		return Envelope{}, nil, false
	}
	return e, h.data, true
}
