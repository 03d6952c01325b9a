package enginetest

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestARM64: on the robot's processor, where multiplications and additions are fused, the engines
// give what the native runtime gave on this one.
func TestARM64(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	if runtime.GOARCH == "arm64" {
		t.Skip("the ordinary tests do it here")
	}
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skip("no qemu-aarch64-static")
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-exec", qemu, "-run", "EqualsNative|EqualsReference|HeadScore", "-v", "./internal/engine/silero", "./internal/engine/openwakeword", "./internal/engine/pocketsphinx", "./internal/engine/use")
	cmd.Dir = "../../.."
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "--- PASS: TestHeadScore")
	assert.Contains(t, string(out), "tarsd/internal/engine/pocketsphinx")
	t.Logf("%s", out)
}
