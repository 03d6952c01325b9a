// Package daemon runs a broker as a process of its own, the way its owner runs it, for
// tests and benches that judge it from outside: start, wait until it accepts, look at it
// through /proc, stop it nicely or kill it. It knows the command line of tarsd and, to
// check a test against a second opinion, the configuration of Mosquitto. It never reads
// what the broker keeps inside and knows nothing about MQTT.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrEnded says that the broker's process ended by itself.
var ErrEnded = errors.New("the broker ended")

// Options say what to run.
type Options struct {
	Command []string // program and arguments
	Env     []string // added to the environment
	Addr    string   // host:port at which it is ready when it accepts
	Dir     string   // working directory; empty: the caller's
}

// Daemon is a running broker. Its methods may be called from any goroutine.
type Daemon struct {
	Addr    string
	Started time.Time // just before exec

	cmd  *exec.Cmd
	log  *tail
	done chan struct{} // closed when the process has ended and err is set
	err  error
}

// Start runs the broker and returns at once; Ready tells when it serves. The kernel kills
// the broker if this process dies, so that an interrupted test leaves nothing behind.
func Start(o Options) (*Daemon, error) {
	cmd := exec.Command(o.Command[0], o.Command[1:]...)
	cmd.Env = append(os.Environ(), o.Env...)
	cmd.Dir = o.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	d := &Daemon{Addr: o.Addr, cmd: cmd, log: &tail{keep: 128 << 10}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = d.log, d.log
	d.Started = time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Command[0], err)
	}
	go func() { // ends with the process, which Kill and Stop wait for
		d.err = cmd.Wait()
		close(d.done)
	}()
	return d, nil
}

// PID of the broker.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Log returns the last 128 KiB of what the broker wrote.
func (d *Daemon) Log() string { return d.log.String() }

// Done is closed when the process has ended.
func (d *Daemon) Done() <-chan struct{} { return d.done }

// ExitCode of an ended process; -1 if a signal ended it.
func (d *Daemon) ExitCode() int {
	<-d.done
	return d.cmd.ProcessState.ExitCode()
}

// Ready polls until the broker accepts a connection. It fails with ErrEnded, and the log,
// when the process ends instead.
func (d *Daemon) Ready(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.DialTimeout("tcp", d.Addr, time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case <-d.done:
			return fmt.Errorf("%w: %w\n%s", ErrEnded, d.err, d.Log())
		case <-ctx.Done():
			return fmt.Errorf("the broker does not accept at %s: %w\n%s", d.Addr, ctx.Err(), d.Log())
		case <-tick.C:
		}
	}
}

// Kill sends SIGKILL and waits for the end. It is fine to call it twice.
func (d *Daemon) Kill() {
	_ = d.cmd.Process.Kill() // fails only if it has ended
	<-d.done
}

// Stop sends SIGTERM and waits for the end, at most as long as ctx allows; then it kills.
// The error is not nil if the broker did not end in time or its exit status is not 0.
func (d *Daemon) Stop(ctx context.Context) (took time.Duration, err error) {
	t0 := time.Now()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, fmt.Errorf("signal: %w", err)
	}
	select {
	case <-d.done:
	case <-ctx.Done():
		d.Kill()
		return time.Since(t0), fmt.Errorf("did not end on SIGTERM: %w", ctx.Err())
	}
	if d.err != nil {
		return time.Since(t0), fmt.Errorf("end on SIGTERM: %w", d.err)
	}
	return time.Since(t0), nil
}

// tail keeps the end of what is written to it.
type tail struct {
	keep int
	mu   sync.Mutex
	b    []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - t.keep; n > t.keep { // cut rarely, so that a chatty broker costs little
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b[max(0, len(t.b)-t.keep):])
}

// Tarsd is the command line of a bare tarsd on one TCP address with anonymous access.
// Each of set is KEY=VALUE.
func Tarsd(bin, dataDir, addr string, set ...string) []string {
	c := []string{
		bin, "run", "--services", "none", "--http", "off", "--data", dataDir,
		"--listen", "tcp://" + addr, "--set", "access.anonymous=true",
	}
	for _, s := range set {
		c = append(c, "--set", s)
	}
	return c
}

// Build compiles the package path of the module at root into out, and returns out.
func Build(ctx context.Context, root, path, out string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, path)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", path, err, strings.TrimSpace(string(b)))
	}
	return out, nil
}
