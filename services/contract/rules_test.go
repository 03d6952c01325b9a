package contract

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEveryRuleRefuses breaks each rule of each tag once, in every valid golden message, and wants
// an error that names the field. A new field is tested without a line here.
func TestEveryRuleRefuses(t *testing.T) {
	t.Parallel()
	total := 0
	for _, r := range jsonRows() {
		files, err := filepath.Glob(filepath.Join(folder(r), "valid-*.json"))
		require.NoError(t, err)
		for _, name := range files {
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			var root map[string]any
			require.NoError(t, json.Unmarshal(b, &root))
			if strings.Contains(name, "envelope") || strings.Contains(name, "legacy-t") {
				root = root["data"].(map[string]any)
			}
			br := breaker{t: t, row: r, root: root}
			br.object(planOf(r.payload()), root, "")
			total += br.n
		}
	}
	assert.Greater(t, total, 1000)
}

// breaker changes one place of a message at a time.
type breaker struct {
	t    *testing.T
	row  row
	root map[string]any
	n    int
}

// refuses wants an error about a field from the message as it is now.
func (b *breaker) refuses(field, problem string) {
	b.t.Helper()
	b.n++
	text, err := json.Marshal(b.root)
	require.NoError(b.t, err)
	_, _, err = b.row.recode(text)
	var e *Error
	if assert.ErrorAs(b.t, err, &e, "%s: %s", b.row.spec().Name, text) {
		assert.Equal(b.t, b.row.spec().Name, e.Topic)
		assert.Equal(b.t, field, e.Field, "%s", text)
		assert.Contains(b.t, e.Problem, problem, "%s", text)
	}
}

func (b *breaker) object(p *plan, obj map[string]any, path string) {
	if p.union {
		for i := range p.fields {
			f := &p.fields[i]
			if len(f.when) == 0 || slices.ContainsFunc(f.when, func(k string) bool { _, ok := obj[k]; return ok }) {
				b.variant(f.val.plan, obj, path, f.when)
				return
			}
		}
		require.Fail(b.t, "no variant", "%s", b.row.spec().Name)
	}
	b.variant(p, obj, path, nil)
}

func (b *breaker) variant(p *plan, obj map[string]any, path string, when []string) {
	if !p.lenient && p.extras < 0 {
		obj["no_such_key"] = 1
		b.refuses(path+"no_such_key", "unknown key")
		delete(obj, "no_such_key")
	}
	for i := range p.fields {
		f := &p.fields[i]
		old, had := obj[f.name]
		if f.required && !slices.Contains(when, f.name) {
			delete(obj, f.name)
			b.refuses(path+f.name, "missing")
		}
		put := func(x any, problem string) {
			obj[f.name] = x
			b.refuses(path+f.name, problem)
		}
		b.value(f.val, put)
		delete(obj, f.name)
		if !had {
			continue
		}
		obj[f.name] = old
		switch x := old.(type) {
		case map[string]any:
			if f.val.kind == kindStruct {
				b.object(f.val.plan, x, path+f.name+".")
			}
		case []any:
			if f.val.kind == kindList && f.val.elem.kind == kindStruct && len(x) > 0 {
				b.object(f.val.elem.plan, x[0].(map[string]any), path+f.name+"[0].")
			}
		}
	}
}

// value puts everything in the place of a value that its rules forbid.
func (b *breaker) value(v *value, put func(x any, problem string)) {
	if !v.null && !v.nullok {
		put(nil, "null")
	}
	switch v.kind {
	case kindString:
		put([]any{}, "want a string")
		if !v.loose {
			put(17, "want a string")
		}
	case kindBool:
		put("true", "want true or false")
		put(1, "want true or false")
	case kindInt:
		put(1.5, "want a whole number")
		put(true, "want a number")
	case kindFloat:
		put("x", "want a number")
		put(true, "want a number")
	case kindBytes:
		put("%%%", "not base64")
	case kindList:
		put(map[string]any{}, "want a list")
	case kindMap, kindStruct:
		put([]any{}, "want an object")
	case kindAny:
		if len(v.kinds) > 0 {
			put(17, "want one of")
		}
	}
	if v.kind == kindInt || v.kind == kindFloat {
		step := 1.0
		if v.kind == kindFloat {
			step = 0.001
		}
		if !math.IsInf(v.min, 0) {
			put(v.min-step, "want "+v.span())
		}
		if !math.IsInf(v.max, 0) {
			put(v.max+step, "want "+v.span())
		}
	}
	if v.enum != nil {
		put("no such word", "want one of")
	}
	if v.pattern != nil && v.kind == kindString {
		put(" ", "does not match")
	}
	if v.kind == kindList && v.max < 100 {
		item := map[kind]any{kindInt: 0, kindFloat: 0, kindString: "a"}[v.elem.kind]
		if item != nil {
			put(slices.Repeat([]any{item}, int(v.max)+1), "length")
		}
	}
}

// TestUnorderedKeys: the order of keys means nothing, in an envelope as little as in a payload.
func TestUnorderedKeys(t *testing.T) {
	t.Parallel()
	for _, r := range jsonRows() {
		b, err := os.ReadFile(filepath.Join(folder(r), "valid-envelope.json"))
		require.NoError(t, err)
		want, _, err := r.recode(bytes.TrimSpace(b))
		require.NoError(t, err)
		var m map[string]any
		require.NoError(t, json.Unmarshal(b, &m))
		sorted, err := json.MarshalIndent(m, " ", "\t")
		require.NoError(t, err)
		got, _, err := r.recode(sorted)
		require.NoError(t, err)
		assert.Equal(t, want, got, r.spec().Name)
	}
}
