package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// python is the interpreter that has Paho, or the test skips.
func python(t *testing.T) string {
	t.Helper()
	path := filepath.Join(cacheDir(), "venv", "bin", "python")
	if _, err := os.Stat(path); err != nil {
		t.Skip("Paho for Python is not installed; run: sh internal/interop/setup.sh")
	}
	return path
}

// node is the interpreter for MQTT.js, or the test skips.
func node(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	if _, err := os.Stat(filepath.Join(cacheDir(), "node", "node_modules", "mqtt")); err != nil {
		t.Skip("MQTT.js is not installed; run: sh internal/interop/setup.sh")
	}
	return path
}

// script runs a client's program and has each of its tests be a subtest. The program prints
// a line of JSON for each test, and one at the end with their number.
func script(t *testing.T, command ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(cacheDir(), "node", "node_modules"), "PYTHONDONTWRITEBYTECODE=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	n, done := 0, -1
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var r struct {
			Test  string
			OK    bool
			Error string
			Done  *int
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r), "%s", lines.Text())
		if r.Done != nil {
			done = *r.Done
			continue
		}
		n++
		t.Run(r.Test, func(t *testing.T) { assert.True(t, r.OK, r.Error) })
	}
	require.NoError(t, err, "%s", stderr.String())
	assert.Equal(t, done, n, "tests that were run\n%s", stderr.String())
}

func hostPort(t *testing.T, addr string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	return host, port
}

func TestPahoPython(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"311", "5"} {
		for transport, addr := range map[string]string{"tcp": shared.tcp, "ws": shared.ws} {
			t.Run(protocol+" "+transport, func(t *testing.T) {
				t.Parallel()
				host, port := hostPort(t, addr)
				script(t, python(t), "clients/paho_client.py", "--host", host, "--port", port, "--protocol", protocol, "--transport", transport)
			})
		}
	}
}

func TestHomeAssistant(t *testing.T) {
	t.Parallel()
	host, port := hostPort(t, shared.tcp)
	script(t, python(t), "clients/homeassistant.py", "--host", host, "--port", port, "--protocol", "311", "--transport", "tcp")
}

func TestMQTTJS(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"4", "5"} {
		for transport, url := range map[string]string{"tcp": "mqtt://" + shared.tcp, "ws": "ws://" + shared.ws + "/mqtt"} {
			t.Run(protocol+" "+transport, func(t *testing.T) {
				t.Parallel()
				script(t, node(t), "clients/mqttjs.cjs", url, protocol)
			})
		}
	}
}
