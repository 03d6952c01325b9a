package contract

import (
	"encoding/json"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// beyond are the rules that a schema does not say: how JSON is written, the envelope, base64, and
// rules over several fields.
var beyond = regexp.MustCompile(`repeated key|envelope|JSON|too early|after the object|escape|half a|range|finite|empty|base64|as text|not text|exactly one|reset_all: want true|joint: missing|ticks: missing|position: missing|volume: missing`)

// TestSchemasAgree: what we decode is what the schemas say. Valid messages pass, and of the invalid
// ones those fail that break a rule which a schema can state.
func TestSchemasAgree(t *testing.T) {
	t.Parallel()
	refused := 0
	for _, r := range jsonRows() {
		var s map[string]any
		require.NoError(t, json.Unmarshal(schemaOf(r), &s))
		files, err := filepath.Glob(filepath.Join(folder(r), "*.json*"))
		require.NoError(t, err)
		for _, name := range files {
			texts := lines(t, name)
			if filepath.Base(name) != "invalid.jsonl" {
				for _, text := range texts {
					assert.True(t, fits(s, payloadOf(t, r, text)), "%s: the schema refuses %s", r.spec().Name, text)
				}
				continue
			}
			errs := lines(t, filepath.Join(folder(r), "invalid.txt"))
			require.Len(t, errs, len(texts), "%s: -update has not written the errors yet", r.spec().Name)
			for i, text := range texts {
				if !beyond.MatchString(errs[i]) {
					refused++
					assert.False(t, fits(s, payloadOf(t, r, text)), "%s: the schema takes %s\n%s", r.spec().Name, text, errs[i])
				}
			}
		}
	}
	assert.Greater(t, refused, 500)
}

func payloadOf(t *testing.T, r row, text string) any {
	t.Helper()
	var x any
	require.NoError(t, json.Unmarshal([]byte(text), &x), text)
	if h, err := readHead([]byte(text)); err == nil && !h.bare(planOf(r.payload()), []byte(text)) {
		x = x.(map[string]any)["data"]
	}
	return x
}

// fits is as much of JSON Schema as ours use.
func fits(s map[string]any, x any) bool {
	if of, ok := s["anyOf"].([]any); ok && !slices.ContainsFunc(of, func(v any) bool { return fits(v.(map[string]any), x) }) {
		return false
	}
	if not, ok := s["not"].(map[string]any); ok && fits(not, x) {
		return false
	}
	if !fitsType(s["type"], x) {
		return false
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, x) {
		return false
	}
	switch x := x.(type) {
	case string:
		p, ok := s["pattern"].(string)
		return !ok || regexp.MustCompile(p).MatchString(x)
	case float64:
		lo, hasLo := s["minimum"].(float64)
		hi, hasHi := s["maximum"].(float64)
		return (!hasLo || x >= lo) && (!hasHi || x <= hi)
	case []any:
		most, has := s["maxItems"].(float64)
		items, _ := s["items"].(map[string]any)
		return (!has || len(x) <= int(most)) && !slices.ContainsFunc(x, func(v any) bool { return !fits(items, v) })
	case map[string]any:
		return fitsObject(s, x)
	}
	return true
}

func fitsType(want, x any) bool {
	switch want := want.(type) {
	case nil:
		return true
	case []any:
		return slices.ContainsFunc(want, func(w any) bool { return fitsType(w, x) })
	case string:
		switch x := x.(type) {
		case nil:
			return want == "null"
		case string:
			return want == "string"
		case bool:
			return want == "boolean"
		case float64:
			return want == "number" || want == "integer" && x == math.Trunc(x)
		case []any:
			return want == "array"
		default:
			return want == "object"
		}
	}
	return false
}

func fitsObject(s map[string]any, x map[string]any) bool {
	required, _ := s["required"].([]any)
	for _, key := range required {
		if _, ok := x[key.(string)]; !ok {
			return false
		}
	}
	props, _ := s["properties"].(map[string]any)
	patterns, _ := s["patternProperties"].(map[string]any)
	for key, v := range x {
		if p, ok := props[key].(map[string]any); ok {
			if !fits(p, v) {
				return false
			}
			continue
		}
		matched := false
		for re, p := range patterns {
			if regexp.MustCompile(re).MatchString(key) {
				if matched = true; !fits(p.(map[string]any), v) {
					return false
				}
			}
		}
		if more, ok := s["additionalProperties"]; ok && !matched {
			if m, isSchema := more.(map[string]any); !isSchema || !fits(m, v) {
				return false
			}
		}
	}
	return true
}

// TestSchemaKeywords: the little checker above knows every keyword that the schemas have.
func TestSchemaKeywords(t *testing.T) {
	t.Parallel()
	known := strings.Fields("$schema title description type properties required additionalProperties patternProperties enum pattern minimum maximum items maxItems default contentEncoding anyOf not")
	for _, r := range jsonRows() {
		var s map[string]any
		require.NoError(t, json.Unmarshal(schemaOf(r), &s))
		var walk func(s map[string]any)
		walk = func(s map[string]any) {
			for key, v := range s {
				assert.Contains(t, known, key, r.spec().Name)
				m, isMap := v.(map[string]any)
				switch {
				case key == "properties" || key == "patternProperties":
					for _, p := range m {
						walk(p.(map[string]any))
					}
				case isMap && key != "default":
					walk(m)
				case key == "anyOf":
					for _, p := range v.([]any) {
						walk(p.(map[string]any))
					}
				}
			}
		}
		walk(s)
	}
}
