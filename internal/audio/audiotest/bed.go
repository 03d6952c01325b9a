// Package audiotest is a sound card for tests: a private PulseAudio with null sinks.
package audiotest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Bed is a private sound server with null sinks, each of which is a speaker and, by its monitor, a
// microphone.
type Bed struct {
	dir   string
	sinks []string
	cmd   *exec.Cmd
}

// NewBed starts one with the sinks, or skips the test.
func NewBed(t testing.TB, sinks ...string) *Bed {
	t.Helper()
	if _, err := exec.LookPath("pulseaudio"); err != nil {
		t.Skip("apt-get install pulseaudio pulseaudio-utils")
	}
	dir, err := os.MkdirTemp("", "tarsd-audio") // short: a unix socket's path is
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o700))
	b := &Bed{dir: dir, sinks: sinks}
	b.Start(t)
	t.Cleanup(b.Stop)
	return b
}

// Socket is the path of the server's socket.
func (b *Bed) Socket() string { return filepath.Join(b.dir, "native") }

// Server is how clients name it.
func (b *Bed) Server() string { return "unix:" + b.Socket() }

// Start runs the server, and waits until it answers.
func (b *Bed) Start(t testing.TB) {
	t.Helper()
	args := []string{
		"-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit", "--realtime=no",
		"-L", "module-native-protocol-unix socket=" + b.Socket() + " auth-anonymous=1",
	}
	for _, name := range b.sinks {
		args = append(args, "-L", "module-null-sink norewinds=1 rate=16000 channels=1 sink_name="+name)
	}
	b.cmd = exec.Command("pulseaudio", args...)
	b.cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+b.dir, "HOME="+b.dir)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	require.NoError(t, b.cmd.Start())
	require.Eventually(t, func() bool {
		c, err := net.Dial("unix", b.Socket())
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "the sound server does not answer")
}

// Stop kills the server, as a crash would.
func (b *Bed) Stop() {
	if b.cmd != nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
		b.cmd = nil
		os.Remove(b.Socket())
	}
}
