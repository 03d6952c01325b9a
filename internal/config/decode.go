package config

import (
	"encoding"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder sets fields of a Config from parsed YAML. It goes on after a problem, so that an
// owner sees all of them at once. All scalars are taken from their text: a value means the
// same in the file, in the environment and in a flag.
type decoder struct {
	file     string            // for Where; empty when the source is not a file
	where    string            // for Where when the source is not a file
	origin   map[string]string // key -> where it was set
	problems Problems
}

func (d *decoder) at(n *yaml.Node) string {
	if d.file == "" {
		return d.where
	}
	return d.file + ":" + strconv.Itoa(n.Line)
}

func (d *decoder) fail(key string, n *yaml.Node, format string, args ...any) {
	d.problems.add(key, d.at(n), format, args...)
}

// document decodes a whole file into c.
func (d *decoder) document(c *Config, r io.Reader) {
	dec := yaml.NewDecoder(r)
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return
	} else if err != nil {
		d.problems.add("", d.file, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		d.problems.add("", d.file, "there is more than one document in the file")
	}
	d.node(doc.Content[0], reflect.ValueOf(c).Elem(), "")
}

// node sets v, which is at key, from n.
func (d *decoder) node(n *yaml.Node, v reflect.Value, key string) {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.fail(key, n, "anchors and aliases are not supported")
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		// a key whose values are commented out: the default stays
	case isLeaf(v.Type()):
		if n.Kind != yaml.ScalarNode {
			d.fail(key, n, "wants one value, not a %s", kindName(n))
			return
		}
		if err := setText(v, n.Value); err != nil {
			d.fail(key, n, "%s", err)
			return
		}
		d.origin[key] = d.at(n)
	case v.Kind() == reflect.Struct:
		d.mapping(n, key, func(name string, child *yaml.Node) bool {
			f, ok := fieldByName(v, name)
			if !ok {
				d.fail(join(key, name), child, "%s", unknown(name, fieldNames(v.Type())))
				return false
			}
			d.node(child, f, join(key, name))
			return true
		})
	case v.Kind() == reflect.Map:
		d.dict(n, v, key)
	case v.Kind() == reflect.Slice:
		d.list(n, v, key)
	}
}

// mapping calls set for each pair of n, once a name.
func (d *decoder) mapping(n *yaml.Node, key string, set func(name string, child *yaml.Node) bool) {
	if n.Kind != yaml.MappingNode {
		d.fail(key, n, "wants keys with values, not a %s", kindName(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, child := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind != yaml.ScalarNode || k.Tag == "!!merge":
			d.fail(key, k, "a key must be a plain word")
		case seen[k.Value]:
			d.fail(join(key, k.Value), k, "is there twice")
		default:
			seen[k.Value] = true
			set(k.Value, child)
		}
	}
}

func (d *decoder) dict(n *yaml.Node, v reflect.Value, key string) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	d.mapping(n, key, func(name string, child *yaml.Node) bool {
		elem := reflect.New(v.Type().Elem()).Elem()
		before := len(d.problems)
		d.node(child, elem, join(key, name))
		if len(d.problems) == before {
			v.SetMapIndex(reflect.ValueOf(name), elem)
		}
		return true
	})
}

// list replaces v. A single value stands for a list of one, and text from the environment or
// a flag is cut at commas.
func (d *decoder) list(n *yaml.Node, v reflect.Value, key string) {
	items := n.Content
	switch {
	case n.Kind == yaml.ScalarNode && isLeaf(v.Type().Elem()):
		items = []*yaml.Node{n}
		if d.file == "" {
			items = nil
			for part := range strings.SplitSeq(n.Value, ",") {
				if part = strings.TrimSpace(part); part != "" {
					items = append(items, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: part})
				}
			}
		}
	case n.Kind != yaml.SequenceNode:
		d.fail(key, n, "wants a list, not a %s", kindName(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", key, i)
		d.origin[at] = d.at(item)
		d.node(item, out.Index(i), at)
	}
	v.Set(out)
	d.origin[key] = d.at(n)
}

// assign sets the value of one key from text, as the environment and flags do.
func (d *decoder) assign(c *Config, key, text string) {
	v := reflect.ValueOf(c).Elem()
	path := strings.Split(key, ".")
	for i, name := range path {
		if v.Kind() == reflect.Map {
			d.assignEntry(v, key, strings.Join(path[i:], "."), text)
			return
		}
		f, ok := reflect.Value{}, false
		if v.Kind() == reflect.Struct && !isLeaf(v.Type()) {
			f, ok = fieldByName(v, name)
		}
		if !ok {
			d.problems.add(key, d.where, "%s", unknown(key, Keys()))
			return
		}
		v = f
	}
	if v.Kind() == reflect.Struct && !isLeaf(v.Type()) {
		d.problems.add(key, d.where, "is a group of keys; set one of them")
		return
	}
	if n := d.parse(key, text, v.Type()); n != nil {
		d.node(n, v, key)
	}
}

// assignEntry sets one entry of a map, such as access.roles.NAME.
func (d *decoder) assignEntry(v reflect.Value, key, name, text string) {
	elem := reflect.New(v.Type().Elem()).Elem()
	before := len(d.problems)
	if n := d.parse(key, text, elem.Type()); n != nil {
		d.node(n, elem, key)
	}
	if len(d.problems) > before {
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	v.SetMapIndex(reflect.ValueOf(name), elem)
}

// parse makes a node of text. Only what cannot be written as one value is read as YAML, so
// that values need no quotes.
func (d *decoder) parse(key, text string, t reflect.Type) *yaml.Node {
	plain := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if isLeaf(t) {
		return plain
	}
	if flow := strings.TrimSpace(text); !strings.HasPrefix(flow, "[") && !strings.HasPrefix(flow, "{") {
		return plain
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) == 0 {
		d.problems.add(key, d.where, "is not valid YAML: %s", strings.TrimPrefix(fmt.Sprint(err), "yaml: "))
		return nil
	}
	return doc.Content[0]
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// isLeaf reports whether t is written as one value.
func isLeaf(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return true
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice:
		return false
	}
	return true
}

// setText sets a leaf.
func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := parseBool(text)
		if err != nil {
			return err
		}
		v.SetBool(b)
	case reflect.Int:
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(f)
	case reflect.Uint8, reflect.Uint16:
		n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
		if most := uint64(1)<<v.Type().Bits() - 1; err != nil || n > most {
			return fmt.Errorf("%q is not a whole number from 0 to %d", text, most)
		}
		v.SetUint(n)
	default:
		return fmt.Errorf("kind %s has no text form", v.Kind())
	}
	return nil
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "group of keys"
	case yaml.SequenceNode:
		return "list"
	}
	return "single value"
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func fieldByName(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func fieldNames(t reflect.Type) []string {
	names := make([]string, 0, t.NumField())
	for f := range t.Fields() {
		names = append(names, f.Tag.Get("yaml"))
	}
	return names
}
