package contract

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

type kind uint8

const (
	kindString kind = iota
	kindBool
	kindInt
	kindFloat
	kindBytes // base64
	kindList
	kindMap
	kindStruct
	kindAny
)

// plan is what the tags of a struct say, compiled once per type.
type plan struct {
	typ     reflect.Type
	fields  []field
	index   map[string]int
	lenient bool
	extras  int // field index of the map for other keys, -1 without
	more    *value
	union   bool
	check   bool // has Check
	id      int  // place in fields of message_id, -1 without
}

// field is one key of an object, or one variant of a union.
type field struct {
	name     string
	key      []byte // ,"name": as it is written
	at       int    // index in the Go struct
	val      *value
	required bool
	drop     bool
	id, now  bool
	when     []string
	doc      string
}

// value is what may stand at one place.
type value struct {
	kind     kind
	ptr      bool // a Go pointer
	null     bool // null is a value
	nullok   bool
	loose    bool
	numeric  bool
	fold     bool
	min, max float64 // -Inf and +Inf when open
	enum     []string
	kinds    []string
	pattern  *regexp.Regexp
	def      reflect.Value // invalid without a default
	elem     *value
	plan     *plan
}

// checker is a payload type with rules over several fields.
type checker interface{ Check() error }

// plans caches what is compiled; it holds nothing that the types do not say already.
var plans sync.Map // reflect.Type -> *plan

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p, err := compile(t)
	if err != nil {
		panic(fmt.Sprintf("contract: %s: %s", t, err)) // a mistake in a tag; TestTable compiles them all
	}
	got, _ := plans.LoadOrStore(t, p)
	return got.(*plan)
}

func compile(t reflect.Type) (*plan, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("a payload is a struct, not a %s", t.Kind())
	}
	p := &plan{typ: t, index: map[string]int{}, extras: -1, id: -1}
	p.check = reflect.PointerTo(t).Implements(reflect.TypeFor[checker]())
	dropAll := false
	for i := range t.NumField() {
		sf := t.Field(i)
		opts := strings.Split(sf.Tag.Get("contract"), ",")
		has := func(o string) bool { return slices.Contains(opts, o) }
		if sf.Name == "_" {
			p.lenient, p.union, dropAll = p.lenient || has("lenient"), p.union || has("union"), dropAll || has("drop")
			continue
		}
		val, err := valueOf(sf.Type, sf.Tag, has)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sf.Name, err)
		}
		if has("extras") {
			p.extras, p.more = i, val
			continue
		}
		f := field{
			name: sf.Tag.Get("json"), at: i, val: val, required: has("required"), id: has("id"), now: has("now"),
			drop: has("drop") || dropAll, doc: sf.Tag.Get("doc"),
		}
		if w := sf.Tag.Get("when"); w != "" {
			f.when = strings.Split(w, ",")
		}
		if f.name == "" && !p.union {
			return nil, fmt.Errorf("%s: no json tag", sf.Name)
		}
		f.key = append(appendString([]byte{','}, f.name), ':')
		if f.name == "message_id" {
			p.id = len(p.fields)
		}
		p.index[f.name] = len(p.fields)
		p.fields = append(p.fields, f)
	}
	if len(p.fields) > 64 {
		return nil, fmt.Errorf("more than 64 fields")
	}
	return p, nil
}

func valueOf(t reflect.Type, tag reflect.StructTag, has func(string) bool) (*value, error) {
	v := &value{
		null: has("null"), nullok: has("nullok"), loose: has("loose"), numeric: has("numeric"), fold: has("fold"),
		min: math.Inf(-1), max: math.Inf(1),
	}
	if t.Kind() == reflect.Pointer {
		v.ptr, v.null = true, true
		t = t.Elem()
	}
	if err := v.setKind(t, tag, has); err != nil {
		return nil, err
	}
	if v.null && !v.ptr && v.kind != kindList && v.kind != kindMap && v.kind != kindAny {
		return nil, fmt.Errorf("null needs a pointer, a list, a map or any")
	}
	for name, to := range map[string]*float64{"min": &v.min, "max": &v.max} {
		if s := tag.Get(name); s != "" {
			f, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return nil, err
			}
			*to = f
		}
	}
	if s := tag.Get("enum"); s != "" {
		v.enum = strings.Split(s, ",")
	}
	if s := tag.Get("kinds"); s != "" {
		v.kinds = strings.Split(s, ",")
	}
	if s := tag.Get("pattern"); s != "" {
		re, err := regexp.Compile(s)
		if err != nil {
			return nil, err
		}
		v.pattern = re
	}
	if s, ok := tag.Lookup("default"); ok {
		return v, v.setDefault(t, s)
	}
	return v, nil
}

func (v *value) setKind(t reflect.Type, tag reflect.StructTag, has func(string) bool) error {
	var err error
	switch t.Kind() {
	case reflect.String:
		v.kind = kindString
	case reflect.Bool:
		v.kind = kindBool
	case reflect.Int, reflect.Int64:
		v.kind = kindInt
	case reflect.Float64:
		v.kind = kindFloat
	case reflect.Interface:
		v.kind = kindAny
	case reflect.Struct:
		v.kind = kindStruct
		v.plan, err = compile(t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			v.kind = kindBytes
			return nil
		}
		v.kind = kindList
		// Of the tags, those about the list stay with it; the items have what their type says.
		v.elem, err = valueOf(t.Elem(), "", func(string) bool { return false })
	case reflect.Map:
		v.kind = kindMap
		rest := reflect.StructTag("")
		if has("extras") || t.Elem().Kind() != reflect.Interface {
			rest = tag // ranges are those of the values; the pattern is for the keys
		}
		if v.elem, err = valueOf(t.Elem(), rest, func(string) bool { return false }); err == nil {
			v.elem.pattern = nil
		}
	default:
		return fmt.Errorf("a field cannot be a %s", t)
	}
	return err
}

func (v *value) setDefault(t reflect.Type, s string) error {
	d := reflect.New(t).Elem()
	switch v.kind {
	case kindString:
		d.SetString(s)
	case kindBool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return err
		}
		d.SetBool(b)
	case kindInt:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return err
		}
		d.SetInt(n)
	case kindFloat:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return err
		}
		d.SetFloat(f)
	default:
		return fmt.Errorf("no default for this kind")
	}
	v.def = d
	return nil
}

// setDefaults sets the fields that have a default.
func setDefaults(p *plan, v reflect.Value) {
	for i := range p.fields {
		if f := &p.fields[i]; f.val.def.IsValid() {
			f.val.set(v.Field(f.at), f.val.def)
		}
	}
}

// set puts x, which is no pointer, into v, which may be one.
func (v *value) set(to, x reflect.Value) {
	if v.ptr {
		p := reflect.New(x.Type())
		p.Elem().Set(x)
		x = p
	}
	to.Set(x)
}

func fill(p *plan, v reflect.Value, messageID string, newID func() string, now float64) {
	for i := range p.fields {
		f := &p.fields[i]
		fv := v.Field(f.at)
		switch {
		case p.union:
			if !fv.IsNil() {
				fill(f.val.plan, fv.Elem(), messageID, newID, now)
			}
		case !fv.IsZero():
		case f.id && f.name == "message_id" && messageID != "":
			f.val.set(fv, reflect.ValueOf(messageID))
		case f.id:
			f.val.set(fv, reflect.ValueOf(newID()))
		case f.now:
			f.val.set(fv, reflect.ValueOf(now))
		}
	}
}

// messageID is the payload's own id.
func messageID(p *plan, v reflect.Value) string {
	if p.union {
		for i := range p.fields {
			if fv := v.Field(p.fields[i].at); !fv.IsNil() {
				return messageID(p.fields[i].val.plan, fv.Elem())
			}
		}
	}
	if p.id < 0 {
		return ""
	}
	return v.Field(p.fields[p.id].at).String()
}

// open reports whether the type takes a key data although it does not name one.
func (p *plan) open() bool {
	if p.union {
		return slices.ContainsFunc(p.fields, func(f field) bool { return f.val.plan.open() })
	}
	return p.lenient || p.extras >= 0 && (p.more.pattern == nil || p.more.pattern.MatchString("data"))
}
