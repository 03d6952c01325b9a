package app

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHandlersLogTheTurn: what a service logs where it handles a message names the turn, by .Ctx(ctx) or
// by its own field.
func TestHandlersLogTheTurn(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"../../services/*/*.go", "../../services/*/*/*.go"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		files = append(files, found...)
	}
	handlers := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "../../services/client/") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			params, body := function(n)
			if body == nil || !handles(params) {
				return true
			}
			handlers++
			ast.Inspect(body, func(n ast.Node) bool {
				if chain := logChain(n); len(chain) > 0 {
					assert.True(t, named(chain), "%s: a log line in a handler has no turn", set.Position(n.Pos()))
					return false
				}
				return true
			})
			return true
		})
	}
	assert.Greater(t, handlers, 20)
}

func function(n ast.Node) (*ast.FieldList, *ast.BlockStmt) {
	switch n := n.(type) {
	case *ast.FuncDecl:
		return n.Type.Params, n.Body
	case *ast.FuncLit:
		return n.Type.Params, n.Body
	}
	return nil, nil
}

// handles reports whether a function takes a message.
func handles(params *ast.FieldList) bool {
	for _, p := range params.List {
		typ := p.Type
		if generic, ok := typ.(*ast.IndexExpr); ok {
			typ = generic.X
		}
		if s, ok := typ.(*ast.SelectorExpr); ok {
			if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "client" && (s.Sel.Name == "Message" || s.Sel.Name == "RawMessage") {
				return true
			}
		}
	}
	return false
}

// logChain are the calls of one log line, such as log.Info().Err(err).Msg("text"), the last one first.
func logChain(n ast.Node) []*ast.CallExpr {
	call, ok := n.(*ast.CallExpr)
	if !ok || !ends(call) {
		return nil
	}
	var chain []*ast.CallExpr
	for call != nil {
		chain = append(chain, call)
		s, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return nil
		}
		call, _ = s.X.(*ast.CallExpr)
	}
	switch method(chain[len(chain)-1]) {
	case "Debug", "Info", "Warn", "Error":
		return chain
	}
	return nil
}

func ends(call *ast.CallExpr) bool {
	m := method(call)
	return m == "Msg" || m == "Msgf" || m == "Send"
}

func method(call *ast.CallExpr) string {
	if s, ok := call.Fun.(*ast.SelectorExpr); ok {
		return s.Sel.Name
	}
	return ""
}

func named(chain []*ast.CallExpr) bool {
	for _, call := range chain {
		if method(call) == "Ctx" {
			return true
		}
		if len(call.Args) > 0 {
			if lit, ok := call.Args[0].(*ast.BasicLit); ok && lit.Value == `"turn"` {
				return true
			}
		}
	}
	return false
}
