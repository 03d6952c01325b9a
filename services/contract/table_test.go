package contract

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTable holds the rows to the rules that the rest of the package relies on.
func TestTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range topics() {
		s := r.spec()
		assert.False(t, seen[s.Name], "%s is there twice", s.Name)
		seen[s.Name] = true
		assert.NotEmpty(t, s.Type, s.Name)
		assert.NotEmpty(t, s.Publishers, s.Name)
		assert.NotEmpty(t, s.Subscribers, s.Name)
		assert.NotEmpty(t, s.Doc, s.Name)
		assert.LessOrEqual(t, s.QoS, byte(1), s.Name)
		assert.Equal(t, s.Form != Enveloped, s.Reason != "", "%s: a reason for every form but the envelope", s.Name)
		assert.False(t, s.Retain && s.Dedup, "%s: retained state is not deduplicated", s.Name)
		if s.Family() {
			assert.Equal(t, len(s.Name)-2, strings.Index(s.Name, "/+"), "%s: find looks at the last level", s.Name)
		}
		if s.Form == Raw {
			assert.False(t, s.Dedup, s.Name)
			continue
		}
		p := planOf(r.payload())
		if !p.open() {
			_, has := p.index["data"]
			assert.False(t, has, "%s: a payload with a key data looks like an envelope", s.Name)
		}
		documented(t, s.Name, p)
	}
}

func documented(t *testing.T, name string, p *plan) {
	t.Helper()
	for i := range p.fields {
		f := &p.fields[i]
		assert.True(t, p.union || f.doc != "", "%s: %s.%s has no doc tag", name, p.typ, f.name)
		v := f.val
		if v.kind == kindList {
			assert.LessOrEqual(t, v.max, 10000.0, "%s: %s.%s is not bounded", name, p.typ, f.name)
			v = v.elem
		}
		if v.kind == kindStruct {
			documented(t, name, v.plan)
		}
	}
}

// TestTableIsComplete reads the source: a topic that is declared and not listed is in no document.
func TestTableIsComplete(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	var declared []string
	listed := ""
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		src, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		require.NoError(t, err)
		if f.Name() == "table.go" {
			b, err := os.ReadFile(f.Name())
			require.NoError(t, err)
			listed = string(b)
		}
		ast.Inspect(src, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			if lit, ok := v.Values[0].(*ast.CompositeLit); ok {
				if ix, ok := lit.Type.(*ast.IndexExpr); ok {
					if id, ok := ix.X.(*ast.Ident); ok && id.Name == "Topic" {
						declared = append(declared, v.Names[0].Name)
					}
				}
			}
			return true
		})
	}
	assert.Len(t, declared, len(topics()))
	for _, name := range declared {
		assert.Contains(t, strings.FieldsFunc(listed, func(r rune) bool { return strings.ContainsRune(" \t\n,{}", r) }), name)
	}
}

func TestTableIsSorted(t *testing.T) {
	t.Parallel()
	var names []string
	for _, r := range Table() {
		names = append(names, r.Name)
		if r.Form != Raw {
			assert.NotEmpty(t, r.Payload, r.Name)
			assert.True(t, json.Valid(r.Schema), r.Name)
			assert.NoError(t, Validate(r.Name, r.Example), r.Name)
			assert.NotEmpty(t, r.Example, r.Name)
		}
	}
	assert.True(t, slices.IsSorted(names))
	assert.Len(t, names, len(topics()))
}
