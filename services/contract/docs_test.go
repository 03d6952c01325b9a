package contract

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	docsDir = "../../docs"
	pageDir = "../../web/ui/src/lib"
)

// TestGenerated compares the documents with the table; -update writes them.
func TestGenerated(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{
		filepath.Join(docsDir, "topics.md"):       []byte(Markdown()),
		filepath.Join(pageDir, "contract.gen.ts"): []byte(TypeScript()),
		filepath.Join(pageDir, "docs.gen.ts"):     []byte(TypeScriptDocs()),
	}
	for _, r := range Table() {
		if r.Form == Raw {
			continue
		}
		var b bytes.Buffer
		require.NoError(t, json.Indent(&b, r.Schema, "", "  "))
		b.WriteByte('\n')
		files[filepath.Join(docsDir, "schema", fileName(r.Name)+".json")] = b.Bytes()
	}
	old, err := filepath.Glob(filepath.Join(docsDir, "schema", "*.json"))
	require.NoError(t, err)
	for _, name := range old {
		if files[name] == nil && *update {
			require.NoError(t, os.Remove(name))
		} else {
			assert.NotNil(t, files[name], "%s has no topic: run make docs", name)
		}
	}
	for name, want := range files {
		if *update {
			rewrite(t, name, want)
		}
		got, err := os.ReadFile(name)
		require.NoError(t, err, "run make docs")
		assert.Equal(t, string(want), string(got), "%s is stale: run make docs", name)
	}
}
