package toolschema_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/toolschema"
)

const speed = `{"type":"object","properties":{"speed":{"type":"number","minimum":0.1,"maximum":1}},"required":["speed"],"additionalProperties":false}`

func TestCheck(t *testing.T) {
	t.Parallel()
	s, err := toolschema.Compile(json.RawMessage(speed))
	require.NoError(t, err)
	assert.JSONEq(t, speed, string(s.Raw()))
	for args, good := range map[string]bool{
		`{"speed":0.5}`: true, `{"speed":1}`: true, `{"speed":1.01}`: false, `{}`: false, `{"speed":"fast"}`: false, `{"speed":0.5,"x":1}`: false,
	} {
		var v map[string]any
		require.NoError(t, json.Unmarshal([]byte(args), &v))
		assert.Equal(t, good, s.Check(v) == nil, args)
	}
	s, err = toolschema.Compile(json.RawMessage(`{}`))
	require.NoError(t, err)
	assert.JSONEq(t, `{"type":"object"}`, string(s.Raw()), "servers and models insist on it")
	assert.NoError(t, s.Check(map[string]any{"anything": 1}))
}

// A schema comes from outside. One that makes the validator run for ever would take the robot down.
func TestHostileSchemas(t *testing.T) {
	t.Parallel()
	double := `{"$defs":{"d0":{}`
	for i := range 40 {
		double += fmt.Sprintf(`,"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]}`, i+1, i, i)
	}
	double += `},"$ref":"#/$defs/d40"}`
	for name, c := range map[string]struct {
		schema string
		want   error
	}{
		"itself":      {`{"$ref":"#"}`, toolschema.ErrRecursive},
		"within":      {`{"allOf":[{"$ref":"#"}]}`, toolschema.ErrRecursive},
		"a circle":    {`{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}`, toolschema.ErrRecursive},
		"dynamic":     {`{"$dynamicRef":"#x"}`, toolschema.ErrForeign},
		"id":          {`{"$id":"http://a/b"}`, toolschema.ErrForeign},
		"elsewhere":   {`{"properties":{"a":{"$ref":"http://127.0.0.1/x"}}}`, toolschema.ErrForeign},
		"nowhere":     {`{"$ref":"#/$defs/none"}`, toolschema.ErrForeign},
		"escaped":     {`{"$ref":"#/%24defs/a","$defs":{"a":{}}}`, toolschema.ErrForeign},
		"doubling":    {double, toolschema.ErrTooLarge},
		"wide":        {`{"allOf":[` + strings.Repeat(`{"type":"object"},`, 2000) + `{}]}`, toolschema.ErrTooLarge},
		"deep":        {strings.Repeat(`{"not":`, 100) + `{}` + strings.Repeat(`}`, 100), toolschema.ErrTooLarge},
		"long":        {`{"description":"` + strings.Repeat("x", toolschema.MaxBytes) + `"}`, toolschema.ErrTooLarge},
		"a list":      {`[]`, toolschema.ErrNoObject},
		"true":        {`true`, toolschema.ErrNoObject},
		"of a string": {`{"type":"string"}`, toolschema.ErrNoObject},
		"of a number": {`{"type":7}`, toolschema.ErrNoObject},
		"two types":   {`{"type":["object","null"]}`, toolschema.ErrNoObject},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := toolschema.Compile(json.RawMessage(c.schema))
			require.ErrorIs(t, err, c.want)
		})
	}
	for _, good := range []string{
		`{"type":"object","properties":{"p":{"$ref":"#/$defs/p"},"q":{"$ref":"#/$defs/p"}},"$defs":{"p":{"type":"string"}}}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","definitions":{"a/b":{}},"properties":{"$ref":{"type":"string"}}}`,
	} {
		_, err := toolschema.Compile(json.RawMessage(good))
		require.NoError(t, err, good)
	}
	for _, bad := range []string{``, `{`, `{"pattern":"(","type":"object"}`} {
		_, err := toolschema.Compile(json.RawMessage(bad))
		require.Error(t, err, bad)
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(speed, `{"speed":1}`)
	f.Add(`{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"items":{"uniqueItems":true}}}}`, `{"a":[[1,1]]}`)
	f.Add(`{"$ref":"#/properties/a","properties":{"a":{"anyOf":[{"$ref":"#/$defs/x"}]}},"$defs":{"x":{"const":null}}}`, `{}`)
	f.Fuzz(func(t *testing.T, schema, args string) {
		s, err := toolschema.Compile(json.RawMessage(schema))
		var v map[string]any
		if err != nil || len(args) > 16<<10 || json.Unmarshal([]byte(args), &v) != nil {
			return
		}
		_ = s.Check(v)
		_, err = toolschema.Compile(s.Raw())
		require.NoError(t, err, "what was taken is taken again")
	})
}
