package audio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// command says how helper programs are run.
type command struct {
	dir string   // where they are looked for; "" for the search path
	env []string // added to ours
}

// path returns what to run for a name.
func (c command) path(name string) string {
	if c.dir == "" {
		return name
	}
	return filepath.Join(c.dir, name)
}

// helper is a program that plays or records, in a process group of its own.
type helper struct {
	cmd  *exec.Cmd
	errs *tail
	done chan struct{} // closed when it has ended
	err  error         // how, after done
}

// start runs a program. Of stdin and stdout the one that it gets is closed here.
func (c command) start(name string, args []string, stdin, stdout *os.File) (*helper, error) {
	h := &helper{cmd: exec.Command(c.path(name), args...), errs: &tail{}, done: make(chan struct{})}
	h.cmd.Env = append(os.Environ(), c.env...)
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us; we end it in order
	h.cmd.Stderr = h.errs
	h.cmd.WaitDelay = time.Second
	if stdin != nil {
		h.cmd.Stdin = stdin
		defer stdin.Close()
	}
	if stdout != nil {
		h.cmd.Stdout = stdout
		defer stdout.Close()
	}
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDevice, err)
	}
	go func() { // kill and wait wait for it
		h.err = h.cmd.Wait()
		close(h.done)
	}()
	return h, nil
}

// kill ends the program and all that it started, at once, and waits.
func (h *helper) kill() {
	if err := syscall.Kill(-h.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		h.cmd.Process.Kill() //nolint:errcheck // it has ended then
	}
	<-h.done
}

// wait waits for the end, and returns it.
func (h *helper) wait(ctx context.Context) error {
	select {
	case <-h.done:
		return h.ended()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ended tells how the program ended, in its own words if it has any.
func (h *helper) ended() error {
	if h.err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w: %s", ErrNoDevice, h.cmd.Args[0], h.err, h.errs)
}

// tail keeps the last line or two of what a program has to say.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 512

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b[max(0, len(b)-tailSize):]...)
	t.buf = bytes.Clone(t.buf[max(0, len(t.buf)-tailSize):])
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(t.buf), "?")), " ")
}
