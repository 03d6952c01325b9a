package interop

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/daemon"
)

// TestWyoming: the client of the protocol's own package has the real binary speak, and understand, for
// which that asks the package's own server.
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
	recogniser := "unix://" + filepath.Join(dir, "asr.sock")
	python := exec.CommandContext(t.Context(), interpreter, "clients/wyoming_server.py", recogniser)
	python.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	require.NoError(t, python.Start())
	t.Cleanup(func() { _ = python.Process.Kill(); _ = python.Wait() })
	command := append(daemon.Tarsd(program, filepath.Join(dir, "data"), addr,
		"wyoming.listen=tcp://"+peers, "tts.engines=flite", "stt.engines=wyoming", "stt.wyoming.address="+recogniser), "--services", "wyoming")
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
	answers := func(network, address string) {
		require.Eventually(t, func() bool {
			c, err := net.Dial(network, address)
			if err == nil {
				c.Close()
			}
			return err == nil
		}, 20*time.Second, 20*time.Millisecond, address)
	}
	answers("unix", filepath.Join(dir, "asr.sock"))
	answers("tcp", peers)
	domains := []string{"asr"}
	for domain, file := range map[string]string{"tts": "flite/assets/flite.wasm", "wake": "openwakeword/assets/openwakeword.bin"} {
		if _, err := os.Stat(filepath.Join("..", "engine", filepath.FromSlash(file))); err == nil { // else the binary was built without it
			domains = append(domains, domain)
		}
	}
	script(t, append([]string{interpreter, "clients/wyoming_client.py", "tcp://" + peers}, domains...)...)
}
