package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHouseStyle checks what no linter knows: the length of files, that tests sleep in a bubble
// of fake time only, and that no path of a developer's machine got in.
func TestHouseStyle(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-co", "--exclude-standard")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	n := 0
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		if !strings.HasSuffix(name, ".go") {
			continue
		}
		b, err := os.ReadFile(filepath.Join("../..", name))
		if os.IsNotExist(err) {
			continue // deleted and not committed yet
		}
		require.NoError(t, err)
		n++
		text := string(b)
		assert.LessOrEqual(t, strings.Count(text, "\n"), 500, "lines of %s", name)
		if strings.HasSuffix(name, "_test.go") && strings.Contains(text, "time."+"Sleep(") {
			assert.Contains(t, text, `"testing/synctest"`, "%s sleeps in real time", name)
		}
		for _, path := range []string{"/wo" + "rk/main", "/wo" + "rk/shared", "/tmp/bash" + "_jobs"} {
			assert.NotContains(t, text, path, name)
		}
	}
	assert.Greater(t, n, 50)
}
