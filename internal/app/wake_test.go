package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/ears"
)

// TestWakeHead: a head that cannot be used stops neither the start nor the check, and is told with its path.
func TestWakeHead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing, broken := filepath.Join(dir, "missing.head"), filepath.Join(dir, "broken.head")
	require.NoError(t, os.WriteFile(broken, []byte("no head"), 0o600))
	for head, want := range map[string]string{
		missing: "nothing is heard: wake.head: open " + missing + ": no such file or directory", broken: "wake.head: " + broken,
	} {
		c := config.Default()
		c.Wake.Head = head
		s, err := makeWake(parts{cfg: c, head: headOf(c.Wake), ears: func() (*ears.Ears, error) { return newEars(c.Ears) }})
		require.NoError(t, err)
		found := s.(services.Checker).Check(t.Context())
		require.Len(t, found, 1)
		assert.Equal(t, services.Failure, found[0].Verdict)
		assert.Contains(t, found[0].Text, want)
	}
	h, err := headOf(config.Default().Wake)()
	require.NoError(t, err)
	assert.Equal(t, "hey tars", h.Phrase)
}
