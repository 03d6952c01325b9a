package contract

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

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
	keys, err := (&scanner{b: s.b, pos: s.pos, depth: s.depth, n: s.n}).keys()
	if err != nil {
		return err
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

// keys are those of the object that is next.
func (s *scanner) keys() (map[string]bool, *Error) {
	keys := map[string]bool{}
	s.peek()
	if err := s.enter(); err != nil {
		return nil, err
	}
	for {
		more, err := s.next(len(keys) == 0, '}')
		if err != nil || !more {
			return keys, err
		}
		key, err := s.key()
		if err != nil {
			return nil, err
		}
		keys[string(key)] = true
		if err := s.skip(); err != nil {
			return nil, err
		}
	}
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
