package interop

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/daemon"
)

// TestWyoming: the client of the protocol's own package has the real binary speak.
func TestWyoming(t *testing.T) {
	t.Parallel()
	if program == "" {
		t.Skip("it is not Mosquitto's matter")
	}
	interpreter := python(t)
	if found, _ := filepath.Glob(filepath.Join(cacheDir(), "venv", "lib", "python*", "site-packages", "wyoming", "event.py")); len(found) == 0 {
		t.Skip("wyoming for Python is not installed; run: sh internal/interop/setup.sh")
	}
	addr, err := daemon.FreeAddr()
	require.NoError(t, err)
	peers, err := daemon.FreeAddr()
	require.NoError(t, err)
	dir := t.TempDir()
	command := append(daemon.Tarsd(program, filepath.Join(dir, "data"), addr), "--services", "wyoming", "--set", "wyoming.listen=tcp://"+peers, "--set", "tts.engines=flite")
	d, err := daemon.Start(daemon.Options{Command: command, Addr: addr})
	require.NoError(t, err)
	t.Cleanup(func() {
		d.Kill()
		if t.Failed() {
			t.Logf("log:\n%s", d.Log())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, d.Ready(ctx))
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", peers)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 20*time.Second, 20*time.Millisecond)
	domains := []string{"tts"}
	if _, err := os.Stat(filepath.Join("..", "engine", "flite", "assets", "flite.wasm")); err != nil {
		domains = nil // the binary was built without its voice, and offers nothing
	}
	script(t, append([]string{interpreter, "clients/wyoming_client.py", "tcp://" + peers}, domains...)...)
}
