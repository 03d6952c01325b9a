package dedup

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/maphash"
	"io"
	"maps"
	"slices"
	"strings"
)

// maxPayload bounds the messages that are looked at, and with it the cost of one, in bytes.
const maxPayload = 64 << 10

// key identifies a message: two hashes with seeds of this process, which nobody can aim at.
type key [2]uint64

// seeds are of one Hook.
type seeds [2]maphash.Seed

func newSeeds() seeds { return seeds{maphash.MakeSeed(), maphash.MakeSeed()} }

// keyOf is the key of a message. ok is false if it is no envelope.
func (s seeds) keyOf(payload []byte) (k key, ok bool) {
	b, ok := identity(payload)
	if !ok {
		return key{}, false
	}
	return key{maphash.Bytes(s[0], b), maphash.Bytes(s[1], b)}, true
}

// identity writes down what has to be the same in two messages for one to be a repeat of the other.
func identity(payload []byte) ([]byte, bool) {
	if len(payload) > maxPayload {
		return nil, false
	}
	var parts map[string]json.RawMessage
	if json.Unmarshal(payload, &parts) != nil {
		return nil, false
	}
	var id, typ string
	for name, raw := range parts {
		var err error
		switch name {
		case "id":
			err = json.Unmarshal(raw, &id)
		case "type":
			err = json.Unmarshal(raw, &typ)
		case "ts", "source", "data":
		default:
			return nil, false
		}
		if err != nil {
			return nil, false
		}
	}
	if id == "" || typ == "" {
		return nil, false
	}
	data, ok := object(parts["data"])
	if !ok {
		return nil, false
	}
	b := appendText(appendText(nil, typ), id)
	if n, ok := data["seq"].(json.Number); ok && !strings.ContainsAny(string(n), ".eE") {
		return appendText(append(b, 's'), string(n)), true
	}
	return appendValue(append(b, 'h'), data), true
}

// object parses a JSON object, with its numbers as they are written.
func object(raw json.RawMessage) (map[string]any, bool) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var m map[string]any
	if d.Decode(&m) != nil {
		return nil, false
	}
	_, err := d.Token()
	return m, errors.Is(err, io.EOF)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendValue writes a value so that equal ones are equal bytes and others are not.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendText(append(b, '"'), v)
	case json.Number:
		return appendText(append(b, '#'), string(v))
	case bool:
		if v {
			return append(b, 't')
		}
		return append(b, 'f')
	case []any:
		b = binary.AppendUvarint(append(b, '['), uint64(len(v)))
		for _, e := range v {
			b = appendValue(b, e)
		}
		return b
	case map[string]any:
		b = binary.AppendUvarint(append(b, '{'), uint64(len(v)))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b = appendValue(appendText(b, k), v[k])
		}
		return b
	}
	return append(b, 'n')
}
