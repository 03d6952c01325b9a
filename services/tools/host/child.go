package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/tarsd/tarsd/services/tools/tool"
)

// Patience with a program that is to end: first its input is closed, then it is asked, then killed.
const (
	politeWait = 200 * time.Millisecond
	termWait   = 200 * time.Millisecond
	pipeWait   = 500 * time.Millisecond // for pipes that its children took with them
)

// passed are the names of our environment that a program gets. All others may be secrets of ours.
func passed() []string {
	return []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"}
}

// child is a program that serves on its standard streams, with a process group of its own, so that
// what it starts ends with it.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	exited chan struct{} // closed when the program has ended; its number is ours until it is reaped
	once   sync.Once
}

// startChild starts the program of a server.
func startChild(s Server, instance string, log zerolog.Logger) (mcp.Transport, func(), error) {
	c := &child{cmd: exec.Command(s.Command, s.Args...), exited: make(chan struct{})} //nolint:gosec // the owner's own configuration
	c.cmd.Env = environ(s.Env, instance)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.Stderr = &lines{log: log}
	c.cmd.WaitDelay = pipeWait
	stdout, err := c.cmd.StdoutPipe()
	if err == nil {
		c.stdin, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", s.Command, err)
	}
	go c.watch() // ends with the program, which close makes sure of and waits for
	t := &mcp.IOTransport{Reader: stdout, Writer: c.stdin, MaxLineLength: maxFrame}
	return t, func() { c.once.Do(c.close) }, nil
}

// InstanceEnv is the name under which a program finds which tarsd started it. tarsd's own "tarsd mcp"
// shows it, and so is not made a server of the tarsd that it speaks to.
const InstanceEnv = "MCP_HOST_INSTANCE"

// environ is the environment of a program.
func environ(more map[string]string, instance string) []string {
	var out []string
	for _, name := range passed() {
		if v, ok := os.LookupEnv(name); ok {
			out = append(out, name+"="+v)
		}
	}
	if instance != "" {
		out = append(out, InstanceEnv+"="+instance)
	}
	for name, v := range more {
		out = append(out, name+"="+v)
	}
	return out
}

// watch waits for the program's end without reaping it: until then nobody else can have its number,
// and its group can be killed safely.
func (c *child) watch() {
	defer close(c.exited)
	for {
		err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// close ends the program and all that it started.
func (c *child) close() {
	_ = c.stdin.Close()
	if !c.within(politeWait) {
		c.signal(syscall.SIGTERM)
		c.within(termWait)
	}
	c.signal(syscall.SIGKILL)
	<-c.exited
	_ = c.cmd.Wait() // how it ended was not ours to judge
}

func (c *child) within(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.exited:
		return true
	case <-t.C:
		return false
	}
}

func (c *child) signal(s syscall.Signal) { _ = syscall.Kill(-c.cmd.Process.Pid, s) }

// lines writes what a program says on its standard error to the log, as much as anybody reads. One
// goroutine uses it.
type lines struct {
	log  zerolog.Logger
	line []byte
	said int // bytes
}

// The bounds of lines, in bytes.
const (
	maxLine = 500
	maxSaid = 1 << 20 // of one run
)

// Write implements io.Writer. It takes everything.
func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	if l.said += n; l.said > maxSaid {
		return n, nil
	}
	for len(p) > 0 {
		part, rest, end := bytes.Cut(p, []byte("\n"))
		if room := maxLine - len(l.line); room > 0 {
			l.line = append(l.line, part[:min(len(part), room)]...)
		}
		if p = rest; end {
			l.log.Debug().Str("text", tool.Cut(string(l.line), maxLine)).Msg("MCP server says")
			l.line = l.line[:0]
		}
	}
	return n, nil
}

// open starts a server or makes ready to reach it.
func open(ctx context.Context, s Server, instance string, log zerolog.Logger) (mcp.Transport, func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if s.Transport == HTTP {
		return overHTTP(s)
	}
	return startChild(s, instance, log)
}
