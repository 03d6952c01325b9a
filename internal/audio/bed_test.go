package audio

import (
	"context"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bed is a private sound server with two null sinks: a test bed without a sound card.
type bed struct {
	dir string
	cmd *exec.Cmd
}

// newBed starts one, or skips the test.
func newBed(t *testing.T) *bed {
	t.Helper()
	if _, err := exec.LookPath("pulseaudio"); err != nil {
		t.Skip("apt-get install pulseaudio pulseaudio-utils")
	}
	dir, err := os.MkdirTemp("", "tarsd-audio") // short: a unix socket's path is
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o700))
	b := &bed{dir: dir}
	b.start(t)
	t.Cleanup(b.stop)
	return b
}

func (b *bed) socket() string { return filepath.Join(b.dir, "native") }
func (b *bed) server() string { return "unix:" + b.socket() }

// start runs the server, and waits until it answers.
func (b *bed) start(t *testing.T) {
	t.Helper()
	null := "module-null-sink norewinds=1 rate=16000 channels=1 sink_name="
	b.cmd = exec.Command("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit", "--realtime=no",
		"-L", "module-native-protocol-unix socket="+b.socket()+" auth-anonymous=1",
		"-L", null+"speaker", "-L", null+"mic")
	b.cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+b.dir, "HOME="+b.dir)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	require.NoError(t, b.cmd.Start())
	require.Eventually(t, func() bool {
		c, err := net.Dial("unix", b.socket())
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "the sound server does not answer")
}

// stop kills the server, as a crash would.
func (b *bed) stop() {
	if b.cmd != nil {
		b.cmd.Process.Kill()
		b.cmd.Wait()
		b.cmd = nil
		os.Remove(b.socket())
	}
}

// sweep is a signal that is unlike itself at any other moment: its correlation has one sharp peak.
func sweep(n, rate int, amplitude float64) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		x := float64(i) / float64(rate)
		f := 300 + 1500*x // Hz, growing
		pcm[i] = int16(amplitude * math.Sin(2*math.Pi*f*x))
	}
	return pcm
}

func energy(pcm []int16) float64 {
	sum := 0.0
	for _, s := range pcm {
		sum += float64(s) * float64(s)
	}
	return sum
}

// play writes all of it and waits for the end.
func play(t *testing.T, s Sink, pcm []int16) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, s.Write(ctx, pcm))
	require.NoError(t, s.Drain(ctx))
}
