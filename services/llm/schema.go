package llm

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// The limits of a tool's schema.
const (
	maxSchema = 32 << 10 // bytes
	maxNodes  = 2000     // values, each reference counted as what it stands for
	maxDepth  = 64
)

var (
	errRecursive = errors.New("the schema refers to itself")
	errSchemaBig = errors.New("the schema is too large")
	errForeign   = errors.New("the schema refers to something outside itself")
)

// compileSchema makes a schema ready to check arguments. The schema comes from outside: one that
// refers to itself could make a check take for ever, or take the whole process with it, and is
// refused like one that is too large.
func compileSchema(raw json.RawMessage) (*jsonschema.Resolved, error) {
	if len(raw) > maxSchema {
		return nil, errSchemaBig
	}
	var root any
	if err := json.Unmarshal(raw, &root); err != nil {
		return nil, err
	}
	if _, ok := root.(map[string]any); !ok {
		return nil, errors.New("the schema is not an object")
	}
	m := &measure{root: root, within: map[string]bool{}}
	if err := m.walk(root, 0); err != nil {
		return nil, err
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	r, err := s.Resolve(nil)
	if err != nil {
		return nil, fmt.Errorf("resolve the schema: %w", err)
	}
	return r, nil
}

// measure counts what a schema comes to when each reference is replaced by what it stands for.
type measure struct {
	root   any
	nodes  int
	within map[string]bool // references that are being followed
}

func (m *measure) walk(v any, depth int) error {
	if m.nodes++; m.nodes > maxNodes || depth > maxDepth {
		return errSchemaBig
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
		return errForeign
	}
	return m.walk(item, depth+1)
}

// follow walks what a reference stands for: a JSON pointer into this schema.
func (m *measure) follow(ref string, depth int) error {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok || strings.Contains(pointer, "%") {
		return errForeign
	}
	if pointer == "" || m.within[pointer] {
		return errRecursive
	}
	at := m.root
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		o, ok := at.(map[string]any)
		if !ok {
			return errForeign
		}
		if at, ok = o[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]; !ok {
			return errForeign
		}
	}
	m.within[pointer] = true
	defer delete(m.within, pointer)
	return m.walk(at, depth+1)
}
