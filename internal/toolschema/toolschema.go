// Package toolschema checks the arguments of tools against JSON Schemas that come from outside. It
// owns the limits that keep such a schema from costing more than a check should; what the tools are
// and who calls them is left to the services.
package toolschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// The limits of a schema.
const (
	MaxBytes = 32 << 10
	maxNodes = 2000 // values, each reference counted as what it stands for
	maxDepth = 64
)

// Why a schema is not taken.
var (
	ErrRecursive = errors.New("the schema refers to itself")
	ErrTooLarge  = errors.New("the schema is too large")
	ErrForeign   = errors.New("the schema refers to something outside itself")
	ErrNoObject  = errors.New("the schema is not one of an object")
)

// Schema is a schema that is ready to check arguments.
type Schema struct {
	raw      json.RawMessage
	resolved *jsonschema.Resolved
}

// Compile makes a schema ready. One that refers to itself could make a check take for ever, or the
// whole process with it, and is refused like one that is too large, or whose root is not an object.
// A root without a type is one of an object.
func Compile(raw json.RawMessage) (*Schema, error) {
	if len(raw) > MaxBytes {
		return nil, ErrTooLarge
	}
	var root any
	if err := json.Unmarshal(raw, &root); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	top, ok := root.(map[string]any)
	if !ok {
		return nil, ErrNoObject
	}
	if _, there := top["type"]; !there {
		top["type"] = "object"
	}
	if top["type"] != "object" {
		return nil, ErrNoObject
	}
	m := &measure{root: root, within: map[string]bool{}}
	if err := m.walk(root, 0); err != nil {
		return nil, err
	}
	clean, err := json.Marshal(top)
	if err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	if len(clean) > MaxBytes { // escapes are longer than what they stand for
		return nil, ErrTooLarge
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(clean, &s); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	r, err := s.Resolve(nil)
	if err != nil {
		return nil, fmt.Errorf("resolve the schema: %w", err)
	}
	return &Schema{raw: clean, resolved: r}, nil
}

// Raw is the schema as JSON, with a type.
func (s *Schema) Raw() json.RawMessage { return s.raw }

// Check judges arguments. Its error is in words that a model can act on.
func (s *Schema) Check(args map[string]any) error { return s.resolved.Validate(args) }

// measure counts what a schema comes to when each reference is replaced by what it stands for.
type measure struct {
	root   any
	nodes  int
	within map[string]bool // references that are being followed
}

func (m *measure) walk(v any, depth int) error {
	if m.nodes++; m.nodes > maxNodes || depth > maxDepth {
		return ErrTooLarge
	}
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := m.walk(item, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, item := range v {
			if err := m.key(key, item, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// key walks one key of an object. Definitions count where they are referred to, and here as well.
func (m *measure) key(key string, item any, depth int) error {
	ref, isText := item.(string)
	switch {
	case key == "$ref" && isText:
		return m.follow(ref, depth)
	case isText && (key == "$dynamicRef" || key == "$recursiveRef" || key == "$id" || key == "$anchor" || key == "$dynamicAnchor"):
		return ErrForeign
	}
	return m.walk(item, depth+1)
}

// follow walks what a reference stands for: a JSON pointer into this schema.
func (m *measure) follow(ref string, depth int) error {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok || strings.Contains(pointer, "%") {
		return ErrForeign
	}
	if pointer == "" || m.within[pointer] {
		return ErrRecursive
	}
	at := m.root
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		o, ok := at.(map[string]any)
		if !ok {
			return ErrForeign
		}
		if at, ok = o[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]; !ok {
			return ErrForeign
		}
	}
	m.within[pointer] = true
	defer delete(m.within, pointer)
	return m.walk(at, depth+1)
}
