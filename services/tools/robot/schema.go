package robot

import (
	"encoding/json"
	"fmt"
)

// field is one argument with its schema. Arguments keep their order: models read the schema as text.
type field struct {
	name   string
	schema map[string]any
}

type fields []field

// MarshalJSON implements json.Marshaler.
func (f fields) MarshalJSON() ([]byte, error) {
	b := []byte("{")
	for i, x := range f {
		if i > 0 {
			b = append(b, ',')
		}
		v, err := json.Marshal(x.schema)
		if err != nil {
			return nil, err
		}
		b = append(fmt.Appendf(b, "%q:", x.name), v...)
	}
	return append(b, '}'), nil
}

// object is the schema of arguments. Those that are not in it are refused: a model that makes one up
// should know that it does nothing.
func object(props fields, required ...string) json.RawMessage {
	s := struct {
		Type       string   `json:"type"`
		Properties fields   `json:"properties"`
		Required   []string `json:"required,omitempty"`
		Additional bool     `json:"additionalProperties"`
	}{"object", props, required, false}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // only strings and numbers go in
	}
	return b
}

func number(doc string, least, most, usual float64) map[string]any {
	return map[string]any{"type": "number", "minimum": least, "maximum": most, "default": usual, "description": doc}
}

func whole(doc string, least, most int) map[string]any {
	return map[string]any{"type": "integer", "minimum": least, "maximum": most, "description": doc}
}

func text(doc string, most int) map[string]any {
	return map[string]any{"type": "string", "minLength": 1, "maxLength": most, "description": doc}
}
