package wyoming

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// exitTime is what a program has to end by itself once its input does.
const exitTime = time.Second

// process is a peer that runs as a program of ours, in a group of its own.
type process struct {
	cmd     *exec.Cmd
	in, out *os.File // what it reads, and what it writes
	said    tail
	once    sync.Once
	done    chan struct{} // closed when it has ended, and all that it said is in said
}

func startProcess(a Address) (*process, error) {
	p := &process{cmd: exec.Command(a.Addr, a.Args...), done: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.Stderr = &p.said
	p.cmd.WaitDelay = exitTime
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer childIn.Close()
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	defer childOut.Close()
	p.cmd.Stdin, p.cmd.Stdout, p.in, p.out = childIn, childOut, in, out
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	go func() { // Close waits for it
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended says nothing
	}()
	return p, nil
}

// Read implements io.Reader. An end is told with what the program had to say.
func (p *process) Read(b []byte) (int, error) {
	n, err := p.out.Read(b)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	select {
	case <-p.done:
	case <-time.After(exitTime / 4): // it closed its output only
	}
	return n, fmt.Errorf("%w: %s: %s", io.EOF, p.cmd.Path, &p.said)
}

// Write implements io.Writer.
func (p *process) Write(b []byte) (int, error) { return p.in.Write(b) }

// SetReadDeadline implements stream.
func (p *process) SetReadDeadline(t time.Time) error { return p.out.SetReadDeadline(t) }

// SetWriteDeadline implements stream.
func (p *process) SetWriteDeadline(t time.Time) error { return p.in.SetWriteDeadline(t) }

// Close closes both ends, waits a moment for the program to end, and then kills it and all that it
// has started.
func (p *process) Close() error {
	p.once.Do(func() {
		_ = p.in.Close()
		_ = p.out.Close() // it may be waiting for us to read
		kill := time.AfterFunc(exitTime, func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
		<-p.done
		kill.Stop()
	})
	return nil
}

// tail keeps the last line or so of what a program says. mu guards it: exec writes.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 300

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p[max(0, len(p)-tailBytes):]...)
	t.b = t.b[max(0, len(t.b)-tailBytes):]
	return len(p), nil
}

// String is it on one line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(t.b), "?")), " ")
}
