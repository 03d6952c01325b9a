package contract

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

func encode(s *Spec, e Envelope, v reflect.Value) ([]byte, *Error) {
	p := planOf(v.Type())
	b := make([]byte, 0, 512)
	if s.Form == Enveloped {
		typ := e.Type
		if typ == "" {
			typ = s.Type
		}
		if math.IsNaN(e.TS) || math.IsInf(e.TS, 0) {
			return nil, &Error{Field: "envelope.ts", Problem: "want a finite number"}
		}
		if !utf8.ValidString(e.ID) || !utf8.ValidString(typ) || !utf8.ValidString(e.Source) {
			return nil, &Error{Field: "envelope", Problem: "not UTF-8"}
		}
		b = appendString(append(b, `{"id":`...), e.ID)
		b = appendString(append(b, `,"type":`...), typ)
		b = appendFloat(append(b, `,"ts":`...), e.TS)
		b = appendString(append(b, `,"source":`...), e.Source)
		b = append(b, `,"data":`...)
	}
	b, err := p.append(b, v)
	if err != nil {
		return nil, err
	}
	if s.Form == Enveloped {
		b = append(b, '}')
	}
	if len(b) > MaxPayload {
		return nil, wrong("message of more than 8 MiB")
	}
	return b, readable(b)
}

// readable holds what is written to the bounds of what is read. Most messages are too small or too
// flat to break them.
func readable(b []byte) *Error {
	if len(b) <= 2*maxValues && bytes.Count(b, []byte{'{'})+bytes.Count(b, []byte{'['}) <= maxDepth {
		return nil
	}
	_, err := readHead(b)
	return err
}

// append writes the struct v as an object.
func (p *plan) append(b []byte, v reflect.Value) ([]byte, *Error) {
	if p.union {
		return p.appendVariant(b, v)
	}
	if err := p.ask(v); err != nil {
		return nil, err
	}
	start := len(b)
	var err *Error
	for i := range p.fields {
		f := &p.fields[i]
		fv := v.Field(f.at)
		if (f.drop || f.id || f.now) && !f.required && fv.IsZero() {
			continue
		}
		if b, err = f.val.append(append(b, f.key...), fv); err != nil {
			return nil, err.under(f.name)
		}
	}
	if p.extras >= 0 {
		if b, err = p.appendExtras(b, v.Field(p.extras)); err != nil {
			return nil, err
		}
	}
	if len(b) == start {
		return append(b, '{', '}'), nil
	}
	b[start] = '{' // every key is written with a comma before it
	return append(b, '}'), nil
}

func (p *plan) appendVariant(b []byte, v reflect.Value) ([]byte, *Error) {
	var err *Error
	n := 0
	for i := range p.fields {
		f := &p.fields[i]
		fv := v.Field(f.at)
		if fv.IsNil() {
			continue
		}
		n++
		if n > 1 {
			break
		}
		if b, err = f.val.plan.append(b, fv.Elem()); err != nil {
			return nil, err
		}
	}
	if n != 1 {
		return nil, wrong("want exactly one of the variants set")
	}
	return b, nil
}

func (p *plan) appendExtras(b []byte, m reflect.Value) ([]byte, *Error) {
	for _, key := range sortedKeys(m) {
		if _, named := p.index[key]; named {
			return nil, &Error{Field: key, Problem: "repeated key"}
		}
		var err *Error
		if b, err = p.more.appendMember(append(b, ','), m, key); err != nil {
			return nil, err.under(key)
		}
	}
	return b, nil
}

func sortedKeys(m reflect.Value) []string {
	if free, ok := m.Interface().(map[string]any); ok {
		return slices.Sorted(maps.Keys(free))
	}
	keys := make([]string, 0, m.Len())
	for _, k := range m.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	return keys
}

// appendMember writes one key of a map with its value.
func (t *value) appendMember(b []byte, m reflect.Value, key string) ([]byte, *Error) {
	if t.pattern != nil && !t.pattern.MatchString(key) {
		return nil, wrong("unknown key")
	}
	if !utf8.ValidString(key) {
		return nil, wrong("not UTF-8")
	}
	b = append(appendString(b, key), ':')
	x := m.MapIndex(reflect.ValueOf(key))
	if t.elem.kind == kindAny {
		return appendAny(b, x.Interface(), 0)
	}
	// What comes out of a map has no address, which types with a Check need.
	c := reflect.New(x.Type()).Elem()
	c.Set(x)
	return t.elem.append(b, c)
}

// append writes v after judging it.
func (t *value) append(b []byte, v reflect.Value) ([]byte, *Error) {
	if t.null && v.IsNil() {
		return append(b, "null"...), nil
	}
	if t.ptr {
		v = v.Elem()
	}
	v = t.orDefault(v)
	if problem := t.judge(v); problem != "" {
		e := wrong(problem)
		switch t.kind {
		case kindString:
			e.Value = shown([]byte(v.String()))
		case kindInt:
			e.Value = strconv.FormatInt(v.Int(), 10)
		case kindFloat:
			e.Value = strconv.FormatFloat(v.Float(), 'g', -1, 64)
		default:
		}
		return nil, e
	}
	switch t.kind {
	case kindString:
		if !utf8.ValidString(v.String()) {
			return nil, wrong("not UTF-8")
		}
		return appendString(b, v.String()), nil
	case kindBool:
		return strconv.AppendBool(b, v.Bool()), nil
	case kindInt:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case kindFloat:
		return appendFloat(b, v.Float()), nil
	case kindBytes:
		b = base64.StdEncoding.AppendEncode(append(b, '"'), v.Bytes())
		return append(b, '"'), nil
	case kindList:
		return t.appendList(b, v)
	case kindMap:
		return t.appendMap(b, v)
	case kindStruct:
		return t.plan.append(b, v)
	default:
		return appendAny(b, v.Interface(), 0)
	}
}

// orDefault is the default in place of a value that stands for nothing: an empty string, or a
// zero that is out of range.
func (t *value) orDefault(v reflect.Value) reflect.Value {
	if !t.def.IsValid() || t.ptr {
		return v
	}
	switch t.kind {
	case kindString:
		if v.Len() == 0 {
			return t.def
		}
	case kindInt, kindFloat:
		if v.IsZero() && t.min > 0 {
			return t.def
		}
	default:
	}
	return v
}

func (t *value) appendList(b []byte, v reflect.Value) ([]byte, *Error) {
	b = append(b, '[')
	var err *Error
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = t.elem.append(b, v.Index(i)); err != nil {
			return nil, err.item(i)
		}
	}
	return append(b, ']'), nil
}

func (t *value) appendMap(b []byte, v reflect.Value) ([]byte, *Error) {
	b = append(b, '{')
	var err *Error
	for i, key := range sortedKeys(v) {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = t.appendMember(b, v, key); err != nil {
			return nil, err.under(key)
		}
	}
	return append(b, '}'), nil
}

// appendAny writes what any holds; other Go types than those of decoding go through encoding/json.
func appendAny(b []byte, x any, depth int) ([]byte, *Error) {
	if depth > maxDepth {
		return nil, wrong("nested more than " + strconv.Itoa(maxDepth) + " deep")
	}
	var err *Error
	switch x := x.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, x), nil
	case int:
		return strconv.AppendInt(b, int64(x), 10), nil
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, wrong("want a finite number")
		}
		return appendFloat(b, x), nil
	case string:
		if !utf8.ValidString(x) {
			return nil, wrong("not UTF-8")
		}
		return appendString(b, x), nil
	case []any:
		b = append(b, '[')
		for i, item := range x {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendAny(b, item, depth+1); err != nil {
				return nil, err.item(i)
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		b = append(b, '{')
		for i, key := range slices.Sorted(maps.Keys(x)) {
			if i > 0 {
				b = append(b, ',')
			}
			if !utf8.ValidString(key) {
				return nil, wrong("not UTF-8")
			}
			if b, err = appendAny(append(appendString(b, key), ':'), x[key], depth+1); err != nil {
				return nil, err.under(key)
			}
		}
		return append(b, '}'), nil
	default:
		return appendOther(b, x, depth)
	}
}

func appendOther(b []byte, x any, depth int) ([]byte, *Error) {
	text, bad := json.Marshal(x)
	if bad != nil {
		return nil, wrong("not JSON: " + bad.Error())
	}
	s := scanner{b: text}
	plain, err := s.any()
	if err != nil {
		return nil, err
	}
	return appendAny(b, plain, depth)
}

// appendString writes a string that is valid UTF-8, with nothing escaped that need not be.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}

// appendFloat writes a finite number in the shortest form that reads back the same; very large and
// very small ones with an exponent.
func appendFloat(b []byte, f float64) []byte {
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}
