package contract

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxDepth  = 32      // of objects and lists in each other
	maxValues = 1 << 16 // in one message: small values cost many times their bytes in memory
)

// scanner walks over JSON text. It knows RFC 8259 and nothing more: no comments, no NaN.
type scanner struct {
	b     []byte
	pos   int
	depth int
	n     int // values so far
}

func wrong(problem string) *Error { return &Error{Problem: problem} }

// peek skips space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.b) {
		switch c := s.b[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// bad is the error for a byte that cannot stand where it is.
func (s *scanner) bad() *Error {
	if s.pos >= len(s.b) {
		return wrong("ends too early")
	}
	return wrong("not JSON at byte " + strconv.Itoa(s.pos))
}

func (s *scanner) enter() *Error {
	s.pos++
	if s.depth++; s.depth > maxDepth {
		return wrong("nested more than " + strconv.Itoa(maxDepth) + " deep")
	}
	return nil
}

func (s *scanner) count() *Error {
	if s.n++; s.n > maxValues {
		return wrong("more than " + strconv.Itoa(maxValues) + " values")
	}
	return nil
}

// next goes to the next member of an object or a list: more is false at its end.
func (s *scanner) next(first bool, end byte) (more bool, err *Error) {
	switch c := s.peek(); {
	case c == end:
		s.pos++
		s.depth--
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.pos++
		return true, nil
	default:
		return false, s.bad()
	}
}

// key reads a key and the colon after it. The bytes are those of the text when nothing was escaped.
func (s *scanner) key() ([]byte, *Error) {
	if s.peek() != '"' {
		return nil, s.bad()
	}
	raw, escaped, err := s.str()
	if err != nil {
		return nil, err
	}
	if escaped {
		if raw, err = unescape(raw); err != nil {
			return nil, err
		}
	}
	if s.peek() != ':' {
		return nil, s.bad()
	}
	s.pos++
	return raw, nil
}

// str reads a string, whose first quote is next, and returns what is between the quotes.
func (s *scanner) str() (raw []byte, escaped bool, err *Error) {
	start := s.pos + 1
	ascii := true
	for i := start; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			s.pos = i + 1
			raw = s.b[start:i]
			if !ascii && !utf8.Valid(raw) {
				return nil, false, wrong("not UTF-8")
			}
			return raw, escaped, nil
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			s.pos = i
			return nil, false, s.bad()
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false, wrong("ends too early")
}

// unescape is a string without its escapes. Half a pair of surrogates is refused, since it has no
// form in UTF-8.
func unescape(raw []byte) ([]byte, *Error) {
	out := make([]byte, 0, len(raw))
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return append(out, raw...), nil
		}
		out = append(out, raw[:i]...)
		raw = raw[i+1:]
		if raw[0] != 'u' {
			j := bytes.IndexByte([]byte(`"\/bfnrt`), raw[0])
			if j < 0 {
				return nil, wrong("no such escape in a string")
			}
			out = append(out, "\"\\/\b\f\n\r\t"[j])
			raw = raw[1:]
			continue
		}
		r, ok := hex4(raw)
		if !ok {
			return nil, wrong("no such escape in a string")
		}
		raw = raw[5:]
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if len(raw) > 0 && raw[0] == '\\' {
				low, _ = hex4(raw[1:])
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return nil, wrong("half a character in a string")
			}
			raw = raw[6:]
		}
		out = utf8.AppendRune(out, r)
	}
}

// hex4 reads what follows the backslash of an escape such as \u00e9: the u and four hex digits.
func hex4(b []byte) (rune, bool) {
	if len(b) < 5 || b[0] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[1:5]), 16, 16)
	return rune(n), err == nil
}

// number reads a number and says whether it is written without fraction and exponent.
func (s *scanner) number() (raw []byte, whole bool, err *Error) {
	start := s.pos
	digits := func() bool {
		from := s.pos
		for s.pos < len(s.b) && s.b[s.pos] >= '0' && s.b[s.pos] <= '9' {
			s.pos++
		}
		return s.pos > from
	}
	at := func(set string) bool {
		return s.pos < len(s.b) && bytes.IndexByte([]byte(set), s.b[s.pos]) >= 0
	}
	if at("-") {
		s.pos++
	}
	if at("0") {
		s.pos++
	} else if !digits() {
		return nil, false, s.bad()
	}
	whole = true
	if at(".") {
		s.pos++
		if whole = false; !digits() {
			return nil, false, s.bad()
		}
	}
	if at("eE") {
		s.pos++
		if at("+-") {
			s.pos++
		}
		if whole = false; !digits() {
			return nil, false, s.bad()
		}
	}
	return s.b[start:s.pos], whole, nil
}

func (s *scanner) word(w string) *Error {
	if !bytes.HasPrefix(s.b[s.pos:], []byte(w)) {
		return s.bad()
	}
	s.pos += len(w)
	return nil
}

// skip goes over one value without looking at what it means.
func (s *scanner) skip() *Error {
	if err := s.count(); err != nil {
		return err
	}
	switch c := s.peek(); c {
	case '"':
		_, _, err := s.str()
		return err
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	case '{', '[':
		if err := s.enter(); err != nil {
			return err
		}
		for first := true; ; first = false {
			more, err := s.next(first, c+2) // the closing one is two further in ASCII
			if err != nil || !more {
				return err
			}
			var key []byte
			if c == '{' {
				if key, err = s.key(); err != nil {
					return err
				}
			}
			if err := s.skip(); err != nil {
				if c == '{' {
					err = err.under(string(key))
				}
				return err
			}
		}
	default:
		start := s.pos
		_, _, err := s.number()
		if err != nil && (bytes.HasPrefix(s.b[start:], []byte("NaN")) || bytes.HasPrefix(s.b[s.pos:], []byte("Infinity"))) {
			return wrong("want a finite number") // Python writes these
		}
		return err
	}
}

// what names the kind of the value that begins with c, for errors.
func what(c byte) string {
	switch c {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}

// unfit is the error for a value of the wrong kind, which is next.
func (s *scanner) unfit(want string) *Error {
	c, start := s.peek(), s.pos
	if err := s.skip(); err != nil {
		return err
	}
	if c == 'n' {
		return wrong("want " + want + ", not null")
	}
	return &Error{Problem: "want " + want + ", not " + what(c), Value: shown(s.b[start:s.pos])}
}
