package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The end-to-end tests drive the real binary by the scripts in testdata. A script is a list of
// lines, each a command with words that are split at spaces; 'single quotes' keep a word whole,
// $NAME is a variable and # begins a comment.
//
//	start [FLAGS]       starts "tarsd run" on free ports with the data directory $DATA, without
//	                    services unless it says so, and waits until it is ready; sets $PORT, $URL and, with http, $HTTP
//	stop                SIGTERM; the process must end with 0 within 3 s
//	kill                SIGKILL
//	[!] tarsd ARGS      runs a command to its end; ! wants it to fail
//	stdin TEXT          what the next command reads
//	[!] stdout REGEXP   what the last command wrote; ! wants it not to match
//	[!] stderr REGEXP   the same; lines N counts the lines of stderr
//	code N              wants the exit code of the last command
//	log REGEXP          waits until the running tarsd has logged it
//	file NAME TEXT      writes a file; \n is a line end
//	exists GLOB         wants exactly one such file
//	mode NAME OCTAL     wants a file mode
//	corrupt NAME        overwrites the middle of a file
//	busy                binds a free port on loopback and sets $BUSY to it
//
// In paths, $DATA is the data directory and $DIR the directory of the script, which is the
// working directory of every command.

var binary string // built by TestMain

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tarsd-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "tarsd")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			runScript(t, f)
		})
	}
}

// script is the state of one run.
type script struct {
	t              *testing.T
	dir            string
	vars           map[string]string
	stdin          string
	stdout, stderr string
	code           int
	daemon         *daemon
}

func runScript(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	dir := t.TempDir()
	s := &script{t: t, dir: dir, vars: map[string]string{"DIR": dir, "DATA": filepath.Join(dir, "data")}}
	t.Cleanup(func() {
		if s.daemon != nil {
			s.daemon.cmd.Process.Kill()
			<-s.daemon.done
			if t.Failed() {
				t.Logf("log of tarsd:\n%s", s.daemon.log.String())
			}
		}
	})
	for i, line := range strings.Split(string(text), "\n") {
		words := s.split(line)
		if len(words) == 0 {
			continue
		}
		if err := s.command(words); err != nil {
			require.FailNowf(t, "script failed", "%s:%d: %s\n%v\nstdout: %s\nstderr: %s", file, i+1, line, err, s.stdout, s.stderr)
		}
	}
}

var word = regexp.MustCompile(`'([^']*)'|[^\s']+`)

// split makes words of a line and fills in variables.
func (s *script) split(line string) []string {
	line, _, _ = strings.Cut(line+" ", " # ")
	if strings.HasPrefix(strings.TrimSpace(line), "#") {
		return nil
	}
	var out []string
	for _, m := range word.FindAllString(line, -1) {
		if strings.HasPrefix(m, "'") {
			m = m[1 : len(m)-1]
		}
		for name, value := range s.vars {
			m = strings.ReplaceAll(m, "$"+name, value)
		}
		out = append(out, m)
	}
	return out
}

func (s *script) command(w []string) error {
	negate := w[0] == "!"
	if negate {
		w = w[1:]
	}
	switch w[0] {
	case "start":
		return s.start(w[1:])
	case "stop":
		return s.stop(syscall.SIGTERM)
	case "kill":
		return s.stop(syscall.SIGKILL)
	case "tarsd":
		return s.tarsd(w[1:], negate)
	case "stdin":
		s.stdin = strings.ReplaceAll(w[1], `\n`, "\n")
	case "stdout":
		return match(s.stdout, w[1], negate)
	case "stderr":
		return match(s.stderr, w[1], negate)
	case "code":
		if fmt.Sprint(s.code) != w[1] {
			return fmt.Errorf("ended with %d", s.code)
		}
	case "lines":
		if n := strings.Count(s.stderr, "\n"); fmt.Sprint(n) != w[1] {
			return fmt.Errorf("stderr has %d lines", n)
		}
	case "log":
		return s.daemon.logged(w[1])
	case "file":
		return os.WriteFile(s.path(w[1]), []byte(strings.ReplaceAll(w[2], `\n`, "\n")), 0o600)
	case "exists":
		if found, _ := filepath.Glob(s.path(w[1])); len(found) != 1 {
			return fmt.Errorf("%s: there are %d", w[1], len(found))
		}
	case "mode":
		info, err := os.Stat(s.path(w[1]))
		if err == nil && fmt.Sprintf("%o", info.Mode().Perm()) != w[2] {
			err = fmt.Errorf("mode is %o", info.Mode().Perm())
		}
		return err
	case "corrupt":
		return corrupt(s.path(w[1]))
	case "busy":
		return s.busy()
	default:
		return fmt.Errorf("unknown command %s", w[0])
	}
	return nil
}

func (s *script) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.dir, name)
}

func match(text, pattern string, negate bool) error {
	if regexp.MustCompile(pattern).MatchString(text) == negate {
		return fmt.Errorf("match of %s is %v", pattern, !negate)
	}
	return nil
}

// environ is ours without what would configure tarsd.
func environ() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "TARSD_") && !strings.HasPrefix(e, "LOG_LEVEL=") {
			env = append(env, e)
		}
	}
	return env
}

func (s *script) tarsd(args []string, negate bool) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Dir = environ(), s.dir
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(s.stdin), &out, &errs
	err := cmd.Run()
	s.stdin, s.stdout, s.stderr = "", out.String(), errs.String()
	s.code = cmd.ProcessState.ExitCode()
	if ctx.Err() != nil {
		return fmt.Errorf("did not end: %w", ctx.Err())
	}
	if negate && err == nil {
		return errors.New("succeeded")
	}
	if !negate {
		return err
	}
	return nil
}

// corrupt overwrites the second half of a file.
func corrupt(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	for i := range b {
		if i >= 4096 || i%2 == 0 {
			b[i] ^= 0x5a
		}
	}
	return os.WriteFile(name, b, 0o600)
}

func (s *script) busy() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.t.Cleanup(func() { ln.Close() })
	_, s.vars["BUSY"], err = net.SplitHostPort(ln.Addr().String())
	return err
}

// daemon is a running tarsd.
type daemon struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error

	mu   sync.Mutex
	log  bytes.Buffer
	more chan struct{} // closed and replaced when the log grows
}

func (s *script) start(flags []string) error {
	args := []string{"run", "--data", s.vars["DATA"]}
	if !strings.Contains(strings.Join(flags, " "), "--listen") {
		args = append(args, "--listen", "tcp://127.0.0.1:0")
	}
	if !strings.Contains(strings.Join(flags, " "), "--http") {
		args = append(args, "--http", "off")
	}
	if !strings.Contains(strings.Join(flags, " "), "--services") {
		args = append(args, "--services", "none")
	}
	cmd := exec.Command(binary, append(args, flags...)...)
	cmd.Env, cmd.Dir = environ(), s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	d := &daemon{cmd: cmd, done: make(chan struct{}), more: make(chan struct{})}
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ready := make(chan readyLine, 1)
	go d.read(pipe, ready)
	s.daemon = d
	select {
	case r := <-ready:
		return s.address(r)
	case <-d.done:
		return fmt.Errorf("ended instead: %w", d.err)
	case <-time.After(20 * time.Second):
		return errors.New("not ready in time")
	}
}

// readyLine is the log line of a finished start.
type readyLine struct {
	Message string   `json:"message"`
	Listen  []string `json:"listen"`
	HTTP    string   `json:"http"`
}

// read collects the log until the process ends. It sends every ready line.
func (d *daemon) read(pipe io.Reader, ready chan<- readyLine) {
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		d.mu.Lock()
		d.log.WriteString(lines.Text() + "\n")
		close(d.more)
		d.more = make(chan struct{})
		d.mu.Unlock()
		var r readyLine
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Message == "tarsd is ready" {
			select {
			case ready <- r:
			default: // a second start of the same process, after a restore
			}
		}
	}
	d.err = d.cmd.Wait()
	close(d.done)
}

// logged waits until the log matches.
func (d *daemon) logged(pattern string) error {
	re := regexp.MustCompile(pattern)
	timeout := time.After(10 * time.Second)
	for {
		d.mu.Lock()
		found, more := re.Match(d.log.Bytes()), d.more
		d.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-more:
		case <-timeout:
			return errors.New("not in the log")
		}
	}
}

func (s *script) address(r readyLine) error {
	u, err := url.Parse(r.Listen[0])
	if err != nil {
		return err
	}
	s.vars["URL"], s.vars["PORT"], s.vars["HTTP"] = r.Listen[0], u.Port(), r.HTTP
	return nil
}

func (s *script) stop(sig syscall.Signal) error {
	d := s.daemon
	if err := d.cmd.Process.Signal(sig); err != nil {
		return err
	}
	t0 := time.Now()
	select {
	case <-d.done:
	case <-time.After(10 * time.Second):
		return errors.New("did not end")
	}
	if sig == syscall.SIGTERM {
		if took := time.Since(t0); took > 3*time.Second {
			return fmt.Errorf("took %s to stop", took)
		}
		return d.err
	}
	return nil
}
