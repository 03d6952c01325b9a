package contract

import (
	"encoding/base64"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
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
	if h.bare(p) {
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
// no data. A type that takes unknown keys could have been sent with a key data of its own: there
// only a flawless envelope is one.
func (h *head) bare(p *plan) bool {
	if h.data == nil {
		return true
	}
	if !p.open() {
		return false
	}
	return h.hasOther || h.typ == nil || h.typ[0] != '"' || h.data[0] != '{'
}

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

// object decodes the object that is next into v.
func (s *scanner) object(v reflect.Value, p *plan) *Error {
	if s.peek() != '{' {
		return s.unfit("an object")
	}
	if p.union {
		return s.variant(v, p)
	}
	if err := s.enter(); err != nil {
		return err
	}
	var seen uint64
	var ignored []string
	for first := true; ; first = false {
		more, err := s.next(first, '}')
		if err != nil {
			return err
		}
		if !more {
			break
		}
		key, err := s.key()
		if err != nil {
			return err
		}
		i, known := p.index[string(key)]
		switch {
		case known && seen&(1<<i) != 0:
			return &Error{Field: string(key), Problem: "repeated key"}
		case known:
			seen |= 1 << i
			f := &p.fields[i]
			if err := s.value(v.Field(f.at), f.val); err != nil {
				return err.under(f.name)
			}
		case p.extras >= 0:
			if err := s.member(v.Field(p.extras), string(key), p.more); err != nil {
				return err.under(string(key))
			}
		case p.lenient:
			if slices.Contains(ignored, string(key)) {
				return &Error{Field: string(key), Problem: "repeated key"}
			}
			if ignored = append(ignored, string(key)); len(ignored) > 64 {
				return wrong("more than 64 unknown keys")
			}
			if _, err := s.any(); err != nil {
				return err.under(string(key))
			}
		default:
			return &Error{Field: string(key), Problem: "unknown key"}
		}
	}
	return p.finish(v, seen)
}

// finish sets what was absent, and asks the type for its own rules.
func (p *plan) finish(v reflect.Value, seen uint64) *Error {
	for i := range p.fields {
		f := &p.fields[i]
		switch {
		case seen&(1<<i) != 0:
		case f.required:
			return &Error{Field: f.name, Problem: "missing"}
		case f.val.def.IsValid():
			f.val.set(v.Field(f.at), f.val.def)
		}
	}
	return p.ask(v)
}

func (p *plan) ask(v reflect.Value) *Error {
	if !p.check {
		return nil
	}
	err := v.Addr().Interface().(checker).Check()
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok { //nolint:errorlint // Check returns it as it is
		return e
	}
	return wrong(err.Error())
}

// variant looks at the keys of the object that is next, and decodes it as the type they belong to.
func (s *scanner) variant(v reflect.Value, p *plan) *Error {
	look := *s
	keys := map[string]bool{}
	if err := look.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := look.next(first, '}')
		if err != nil {
			return err
		}
		if !more {
			break
		}
		key, err := look.key()
		if err != nil {
			return err
		}
		keys[string(key)] = true
		if err := look.skip(); err != nil {
			return err
		}
	}
	for i := range p.fields {
		f := &p.fields[i]
		if len(f.when) == 0 || slices.ContainsFunc(f.when, func(k string) bool { return keys[k] }) {
			to := reflect.New(f.val.plan.typ)
			if err := s.object(to.Elem(), f.val.plan); err != nil {
				return err
			}
			v.Field(f.at).Set(to)
			return nil
		}
	}
	var all []string
	for i := range p.fields {
		all = append(all, p.fields[i].when...)
	}
	return &Error{Field: strings.Join(all, " or "), Problem: "missing"}
}

// value decodes what is next into v, which is zero.
func (s *scanner) value(v reflect.Value, t *value) *Error {
	if err := s.count(); err != nil {
		return err
	}
	c := s.peek()
	if c == 'n' && (t.null || t.nullok) {
		if t.def.IsValid() {
			t.set(v, t.def)
		}
		return s.word("null")
	}
	start := s.pos
	if t.ptr {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if err := s.plainValue(v, t); err != nil {
		return err
	}
	if problem := t.judge(v); problem != "" {
		return &Error{Problem: problem, Value: shown(s.b[start:s.pos])}
	}
	if t.kind == kindString && !t.ptr && t.def.IsValid() && v.Len() == 0 {
		v.Set(t.def) // as on output
	}
	return nil
}

func (s *scanner) plainValue(v reflect.Value, t *value) *Error {
	switch t.kind {
	case kindString:
		return s.intoString(v, t)
	case kindBool:
		c := s.peek()
		if c != 't' && c != 'f' {
			return s.unfit("true or false")
		}
		v.SetBool(c == 't')
		return s.word(strconv.FormatBool(c == 't'))
	case kindInt:
		n, err := s.int(t.numeric)
		v.SetInt(n)
		return err
	case kindFloat:
		f, err := s.float(t.numeric)
		v.SetFloat(f)
		return err
	case kindBytes:
		return s.intoBytes(v)
	case kindList:
		return s.list(v, t)
	case kindMap:
		return s.dict(v, t)
	case kindStruct:
		return s.object(v, t.plan)
	default:
		x, err := s.any()
		if err == nil && x != nil {
			v.Set(reflect.ValueOf(x))
		}
		return err
	}
}

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

func (s *scanner) list(v reflect.Value, t *value) *Error {
	if s.peek() != '[' {
		return s.unfit("a list")
	}
	if err := s.enter(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		more, err := s.next(n == 0, ']')
		if err != nil {
			return err
		}
		if !more {
			if n == 0 && t.null { // null and [] are two things where null is a value
				v.Set(reflect.MakeSlice(v.Type(), 0, 0))
			}
			return nil
		}
		if n >= v.Cap() {
			v.Grow(1)
		}
		v.SetLen(n + 1)
		v.Index(n).SetZero()
		if err := s.value(v.Index(n), t.elem); err != nil {
			return err.item(n)
		}
	}
}

func (s *scanner) dict(v reflect.Value, t *value) *Error {
	if s.peek() != '{' {
		return s.unfit("an object")
	}
	if err := s.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.next(first, '}')
		if err != nil {
			return err
		}
		if !more {
			if first && t.null {
				v.Set(reflect.MakeMap(v.Type()))
			}
			return nil
		}
		key, err := s.key()
		if err != nil {
			return err
		}
		if err := s.member(v, string(key), t); err != nil {
			return err.under(string(key))
		}
	}
}

// member adds the value that is next to the map v.
func (s *scanner) member(v reflect.Value, key string, t *value) *Error {
	if t.pattern != nil && !t.pattern.MatchString(key) {
		return wrong("unknown key")
	}
	k := reflect.ValueOf(key)
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	} else if v.MapIndex(k).IsValid() {
		return wrong("repeated key")
	}
	x := reflect.New(v.Type().Elem()).Elem()
	if t.elem.kind == kindAny {
		free, err := s.any()
		if err != nil {
			return err
		}
		if free != nil {
			x.Set(reflect.ValueOf(free))
		}
	} else if err := s.value(x, t.elem); err != nil {
		return err
	}
	v.SetMapIndex(k, x)
	return nil
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
