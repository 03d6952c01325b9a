package contract

import (
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"strings"
)

func (s *scanner) intoString(v reflect.Value, t *value) *Error {
	if c := s.peek(); c != '"' {
		if t.loose && c != '{' && c != '[' && c != 'n' {
			start := s.pos
			if err := s.skip(); err != nil {
				return err
			}
			v.SetString(string(s.b[start:s.pos]))
			return nil
		}
		return s.unfit("a string")
	}
	text, escaped, err := s.str()
	if err != nil {
		return err
	}
	if escaped {
		if text, err = unescape(text); err != nil {
			return err
		}
	}
	if t.fold {
		text = []byte(strings.ToLower(string(text)))
	}
	for _, e := range t.enum {
		if e == string(text) {
			v.SetString(e) // without a copy
			return nil
		}
	}
	v.SetString(string(text))
	return nil
}

func (s *scanner) intoBytes(v reflect.Value) *Error {
	if s.peek() != '"' {
		return s.unfit("base64")
	}
	text, escaped, err := s.str()
	if err != nil {
		return err
	}
	if escaped {
		if text, err = unescape(text); err != nil { // Some encoders write \/ in base64.
			return err
		}
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, bad := base64.StdEncoding.Decode(b, text)
	if bad != nil {
		return &Error{Problem: "not base64", Value: shown(text)}
	}
	v.SetBytes(b[:n])
	return nil
}

// text reads a string.
func (s *scanner) text() (string, *Error) {
	if s.peek() != '"' {
		return "", s.unfit("a string")
	}
	raw, escaped, err := s.str()
	if err == nil && escaped {
		raw, err = unescape(raw)
	}
	return string(raw), err
}

// float reads a finite number, with numeric also from a string.
func (s *scanner) float(numeric bool) (float64, *Error) {
	c, start := s.peek(), s.pos
	if numeric && c == '"' {
		raw, _, err := s.str()
		if err != nil {
			return 0, err
		}
		inner := scanner{b: []byte(strings.TrimSpace(string(raw)))}
		f, bad := inner.float(false)
		if bad != nil || inner.pos != len(inner.b) {
			return 0, &Error{Problem: "want a number, not text", Value: shown(s.b[start:s.pos])}
		}
		return f, nil
	}
	if c != '-' && (c < '0' || c > '9') {
		return 0, s.unfit("a number")
	}
	raw, _, err := s.number()
	if err != nil {
		return 0, err
	}
	f, bad := strconv.ParseFloat(string(raw), 64)
	if bad != nil {
		return 0, &Error{Problem: "number out of range", Value: shown(raw)}
	}
	return f, nil
}

// int reads a whole number, also one that is written as 5.0, as Python does.
func (s *scanner) int(numeric bool) (int64, *Error) {
	start := s.pos
	if c := s.peek(); c >= '0' && c <= '9' || c == '-' {
		raw, whole, err := s.number()
		if err != nil {
			return 0, err
		}
		if whole {
			if n, bad := strconv.ParseInt(string(raw), 10, 64); bad == nil {
				return n, nil
			}
			return 0, &Error{Problem: "number out of range", Value: shown(raw)}
		}
		s.pos = start
	}
	f, err := s.float(numeric)
	if err != nil {
		return 0, err
	}
	// Above 2^53 a float has no neighbours one apart, so the number that was meant is unknown.
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, &Error{Problem: "want a whole number", Value: shown(s.b[start:s.pos])}
	}
	return int64(f), nil
}

// any reads any value: nil, bool, float64, string, []any or map[string]any.
func (s *scanner) any() (any, *Error) {
	if err := s.count(); err != nil {
		return nil, err
	}
	switch s.peek() {
	case '"':
		return s.anyText()
	case 't':
		return true, s.word("true")
	case 'f':
		return false, s.word("false")
	case 'n':
		return nil, s.word("null")
	case '[':
		if err := s.enter(); err != nil {
			return nil, err
		}
		for list := []any{}; ; {
			more, err := s.next(len(list) == 0, ']')
			if err != nil || !more {
				return list, err
			}
			x, err := s.any()
			if err != nil {
				return nil, err.item(len(list))
			}
			list = append(list, x)
		}
	case '{':
		return s.anyObject()
	default:
		return s.float(false)
	}
}

func (s *scanner) anyText() (any, *Error) {
	text, err := s.text()
	return text, err
}

func (s *scanner) anyObject() (any, *Error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	for m := map[string]any{}; ; {
		more, err := s.next(len(m) == 0, '}')
		if err != nil || !more {
			return m, err
		}
		raw, err := s.key()
		if err != nil {
			return nil, err
		}
		key := string(raw)
		if _, twice := m[key]; twice {
			return nil, &Error{Field: key, Problem: "repeated key"}
		}
		x, err := s.any()
		if err != nil {
			return nil, err.under(key)
		}
		m[key] = x
	}
}
