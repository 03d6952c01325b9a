package contract

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// obj is a JSON object whose keys stay in order.
type obj []member

type member struct {
	key string
	val any
}

// MarshalJSON writes the members in order.
func (o obj) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(m.val); err != nil {
			return nil, err
		}
		b = append(append(appendString(b, m.key), ':'), bytes.TrimSpace(text.Bytes())...)
	}
	return append(b, '}'), nil
}

// schemaOf is the JSON Schema of a payload: the object alone, or data of the envelope.
func schemaOf(t row) json.RawMessage {
	s := t.spec()
	head := obj{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", s.Name},
		{"description", s.Doc},
	}
	b, err := append(head, planOf(t.payload()).schema()...).MarshalJSON()
	if err != nil {
		return nil // TestTable sees to it that this does not happen
	}
	return b
}

func (p *plan) schema() obj {
	if p.union {
		var variants []obj
		for i := range p.fields {
			f := &p.fields[i]
			s := f.val.plan.schema()
			if len(f.when) > 1 { // a single key is required by the variant itself
				var keys []obj
				for _, w := range f.when {
					keys = append(keys, obj{{"required", []string{w}}})
				}
				s = append(s, member{"anyOf", keys})
			}
			variants = append(variants, s)
		}
		return obj{{"anyOf", variants}}
	}
	props := obj{}
	for i := range p.fields {
		f := &p.fields[i]
		s := f.val.schema()
		if f.doc != "" {
			s = append(obj{{"description", f.doc}}, s...)
		}
		props = append(props, member{f.name, s})
	}
	o := obj{{"type", "object"}}
	if len(props) > 0 {
		o = append(o, member{"properties", props})
	}
	if req := p.required(); len(req) > 0 {
		o = append(o, member{"required", req})
	}
	switch {
	case p.lenient:
	case p.extras < 0:
		o = append(o, member{"additionalProperties", false})
	case p.more.pattern != nil:
		o = append(o, member{"patternProperties", obj{{p.more.pattern.String(), p.more.elem.schema()}}}, member{"additionalProperties", false})
	}
	return o
}

func (p *plan) required() []string {
	var names []string
	for i := range p.fields {
		if f := &p.fields[i]; f.required {
			names = append(names, f.name)
		}
	}
	return names
}

func (t *value) schema() obj {
	var o obj
	switch t.kind {
	case kindString:
		o = t.textSchema()
	case kindBool:
		o = obj{{"type", t.types("boolean")}}
	case kindInt:
		o = t.numberSchema("integer")
	case kindFloat:
		o = t.numberSchema("number")
	case kindBytes:
		o = obj{{"type", t.types("string")}, {"contentEncoding", "base64"}}
	case kindList:
		o = obj{{"type", t.types("array")}, {"items", t.elem.schema()}}
		if !math.IsInf(t.max, 0) {
			o = append(o, member{"maxItems", int(t.max)})
		}
		if !math.IsInf(t.min, 0) {
			o = append(o, member{"minItems", int(t.min)})
		}
	case kindMap:
		o = obj{{"type", t.types("object")}}
		if t.pattern != nil {
			o = append(o, member{"patternProperties", obj{{t.pattern.String(), t.elem.schema()}}}, member{"additionalProperties", false})
		} else if t.elem.kind != kindAny {
			o = append(o, member{"additionalProperties", t.elem.schema()})
		}
	case kindStruct:
		o = t.plan.schema()
		if t.null {
			o = obj{{"anyOf", []obj{o, {{"type", "null"}}}}}
		}
	case kindAny:
		if len(t.kinds) > 0 {
			o = obj{{"type", t.types(t.kinds...)}}
		} else if !t.null {
			o = obj{{"not", obj{{"type", "null"}}}}
		}
	}
	if t.def.IsValid() {
		o = append(o, member{"default", t.def.Interface()})
	}
	return o
}

// types is the type, or the list of types when there are several.
func (t *value) types(names ...string) any {
	if t.null || t.nullok {
		names = append(names[:len(names):len(names)], "null")
	}
	if len(names) == 1 {
		return names[0]
	}
	return names
}

func (t *value) textSchema() obj {
	o := obj{{"type", t.types("string")}}
	if t.loose {
		o = obj{{"type", t.types("string", "number", "boolean")}}
	}
	if len(t.enum) > 0 {
		words := make([]any, 0, 2*len(t.enum)+1)
		for _, e := range t.enum {
			words = append(words, e)
			if t.fold { // any mixture is taken, which a schema cannot say in few words
				words = append(words, strings.ToUpper(e))
			}
		}
		if t.null || t.nullok {
			words = append(words, nil)
		}
		o = append(o, member{"enum", words})
	}
	if t.pattern != nil {
		o = append(o, member{"pattern", t.pattern.String()})
	}
	return o
}

func (t *value) numberSchema(name string) obj {
	o := obj{{"type", t.types(name)}}
	if t.numeric {
		o = obj{{"type", t.types(name, "string")}}
	}
	for _, end := range []struct {
		key string
		at  float64
	}{{"minimum", t.min}, {"maximum", t.max}} {
		if !math.IsInf(end.at, 0) {
			o = append(o, member{end.key, json.Number(strconv.FormatFloat(end.at, 'f', -1, 64))})
		}
	}
	return o
}
