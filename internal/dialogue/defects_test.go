package dialogue

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDefectsHaveTests reads the table of doc.go: each item of the three lists stands in it, and each test and
// script that it names is there.
func TestDefectsHaveTests(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	row := regexp.MustCompile(`(?m)^//\t((?:router|llm|memory) \d+) +(.*)$`)
	name := regexp.MustCompile(`[\w/-]+/[\w/-]+|(?:Test|Fuzz)\w+|\w+\.txt`)
	seen := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(src), -1) {
		seen[m[1]] = true
		tests, in := 0, ""
		for _, n := range name.FindAllString(m[2], -1) {
			switch {
			case strings.HasSuffix(n, ".txt"):
				assert.FileExists(t, filepath.Join("testdata", n), m[1])
				tests++
			case strings.Contains(n, "/"):
				in = n
			default:
				assert.True(t, declares(t, in, n), "%s: %s has no %s", m[1], in, n)
				tests++
			}
		}
		assert.Positive(t, tests, m[1])
	}
	assert.Len(t, seen, 11+7+8)
}

// declares reports whether a package of ours has a test of that name.
func declares(t *testing.T, pkg, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", pkg, "*_test.go"))
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		if strings.Contains(string(b), "\nfunc "+test+"(") {
			return true
		}
	}
	return false
}
