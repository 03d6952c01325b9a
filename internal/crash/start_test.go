package crash

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/daemon"
)

// TestStartFailures starts brokers that cannot run. Each ends soon, with a status that is
// not 0 and one clear line; only a configuration with several faults gets a line for each.
func TestStartFailures(t *testing.T) {
	tarsdOnly(t)
	bin := program(t)
	for _, tc := range []struct {
		name  string
		args  func(t *testing.T, data, addr string) []string // added to the command line of a bare broker
		lines int
		want  []string // what the lines say; ADDR and DATA stand for those of the command line
	}{
		{"unknown key", set("limits.pakcet_bytes=1"), 1, []string{"limits.pakcet_bytes", "packet_bytes"}},
		{"bad value", set("limits.max_qos=9"), 1, []string{"limits.max_qos", "9"}},
		{"three faults at once", set("limits.max_qos=9", "durability=maybe", "no.such.key=1"), 4, []string{"limits.max_qos", "durability", "no.such.key"}},
		{"config file that is not there", func(t *testing.T, _, _ string) []string {
			return []string{"--config", filepath.Join(t.TempDir(), "absent.yaml")}
		}, 1, []string{"absent.yaml"}},
		{"config file that is no YAML", func(t *testing.T, _, _ string) []string {
			f := filepath.Join(t.TempDir(), "bad.yaml")
			require.NoError(t, os.WriteFile(f, []byte("limits: [\n"), 0o600))
			return []string{"--config", f}
		}, 1, []string{"bad.yaml"}},
		{"config file with an unknown key", func(t *testing.T, _, _ string) []string {
			f := filepath.Join(t.TempDir(), "tarsd.yaml")
			require.NoError(t, os.WriteFile(f, []byte("limits:\n  pakets: 3\n"), 0o600))
			return []string{"--config", f}
		}, 1, []string{"tarsd.yaml:2", "limits.pakets"}},
		{"unknown flag", func(*testing.T, string, string) []string { return []string{"--frobnicate"} }, 1, []string{"--frobnicate"}},
		{"port in use", func(t *testing.T, _, addr string) []string {
			l, err := net.Listen("tcp", addr)
			require.NoError(t, err)
			t.Cleanup(func() { l.Close() })
			return nil
		}, 1, []string{"ADDR", "in use"}},
		{"certificate that is not there", func(*testing.T, string, string) []string {
			return []string{"--set", "tls.cert=absent.pem", "--set", "tls.key=absent.key", "--listen", "tls://127.0.0.1:0"}
		}, 1, []string{"absent.pem"}},
		{"data directory that is a file", func(t *testing.T, data, _ string) []string {
			require.NoError(t, os.WriteFile(data, []byte("x"), 0o600))
			return nil
		}, 1, []string{"DATA", "not a directory"}},
		{"data directory below a file", func(t *testing.T, data, _ string) []string {
			f := filepath.Join(filepath.Dir(data), "file")
			require.NoError(t, os.WriteFile(f, []byte("x"), 0o600))
			return []string{"--data", filepath.Join(f, "data")}
		}, 1, []string{"not a directory"}},
		{"data directory that cannot be written", func(t *testing.T, _, _ string) []string {
			// /proc refuses to hold a directory even for root.
			return []string{"--data", "/proc/tarsd"}
		}, 1, []string{"/proc/tarsd"}},
		{"data file locked by another broker", func(t *testing.T, data, _ string) []string {
			b := newBroker(t)
			b.dir = data
			b.start(t)
			return nil
		}, 1, []string{"DATA"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			addr, err := daemon.FreeAddr()
			require.NoError(t, err)
			args := append(daemon.Tarsd(bin, data, addr)[1:], tc.args(t, data, addr)...)
			code, stdout, stderr, took := attempt(t, bin, args...)
			t.Logf("exit code %d after %v: %s", code, took.Round(time.Millisecond), stderr)
			assert.Positive(t, code, "exit code")
			assert.Less(t, took, 10*time.Second)
			assert.Empty(t, stdout)
			lines := complaints(stderr)
			assert.Len(t, lines, tc.lines, "lines that are not log events")
			text := strings.Join(lines, "\n")
			assert.True(t, strings.HasPrefix(text, "tarsd: "), "the line says who complains")
			for _, w := range tc.want {
				assert.Contains(t, text, strings.NewReplacer("ADDR", addr, "DATA", data).Replace(w))
			}
			assert.NotContains(t, stderr, "goroutine ", "a stack is no clear line")
		})
	}
}

func set(kv ...string) func(*testing.T, string, string) []string {
	return func(*testing.T, string, string) []string {
		var args []string
		for _, s := range kv {
			args = append(args, "--set", s)
		}
		return args
	}
}

// attempt runs a command that is expected to fail, for 20 s at most.
func attempt(t *testing.T, bin string, args ...string) (code int, stdout, stderr string, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir = t.TempDir() // no tarsd.yaml of somebody else
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	t0 := time.Now()
	err := cmd.Run()
	took = time.Since(t0)
	require.NoError(t, ctx.Err(), "it runs, and should not:\n%s", errs.String())
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
		return 0, out.String(), errs.String(), took
	}
	return exit.ExitCode(), out.String(), errs.String(), took
}

// complaints are the lines of stderr that are no log events, which are JSON here.
func complaints(stderr string) []string {
	var lines []string
	for l := range strings.Lines(stderr) {
		if l = strings.TrimRight(l, "\n"); l != "" && !strings.HasPrefix(l, "{") {
			lines = append(lines, l)
		}
	}
	return lines
}

// TestTermination wants exit status 0 within 3 s of SIGTERM, with clients that talk, that
// do not read, and that have not even said hello.
func TestTermination(t *testing.T) {
	b := newBroker(t)
	d := b.start(t)
	w := newWatch(t, b, d)
	h := &hostile{t: t, b: b, from: net.IPv4(127, 0, 0, 2)}
	defer h.leave()
	_, err := h.dial()
	require.NoError(t, err)
	require.NoError(t, h.hello("silent"))
	eventually(t, startLimit, "the pair talks", func() bool { return w.received.Load() > 10 })
	b.stop(t, d)
}
