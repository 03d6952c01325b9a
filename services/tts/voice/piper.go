package voice

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Piper keeps one process of piper running, which has its voice loaded: a line of JSON goes in, a
// WAV file comes out, and a line that says so. The process is started with the first sentence,
// and again when it has died.
type Piper struct {
	path, model string

	turn chan struct{} // holds a token while somebody speaks; it guards what follows
	proc *piperProcess // nil: none is running
}

var _ Engine = (*Piper)(nil)

// NewPiper finds the program and the model, whose configuration lies beside it as MODEL.json.
func NewPiper(program, model string) (*Piper, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("%s %w", program, ErrMissing)
	}
	for _, f := range []string{model, model + ".json"} {
		if _, err := os.Stat(f); err != nil {
			return nil, fmt.Errorf("piper: %w", err)
		}
	}
	return &Piper{path: path, model: model, turn: make(chan struct{}, 1)}, nil
}

// ID implements Engine.
func (p *Piper) ID() string { return "piper " + filepath.Base(p.model) }

// Speak implements Engine. The voice of a text is its model's, and cannot be chosen; a number is
// taken for the speaker of a model that has several.
func (p *Piper) Speak(ctx context.Context, t Text, emit func(Sound) error) error {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.turn }()
	if p.proc == nil {
		proc, err := startPiper(p.path, p.model)
		if err != nil {
			return err
		}
		p.proc = proc
	}
	file, err := p.proc.speak(ctx, t)
	if err != nil {
		if errors.Is(err, errUnwanted) {
			return err
		}
		stopped := p.proc.stop()
		if errors.Is(err, errEnded) { // now all of its last words are there
			err = fmt.Errorf("%w: %s", err, p.proc.said)
		}
		p.proc = nil
		return errors.Join(err, stopped)
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file) }()
	defer f.Close()
	return readWAV(bufio.NewReader(f), emit)
}

// errUnwanted is returned for a text that was given up while the process was at it: it has its voice
// loaded, and is kept.
var errUnwanted = errors.New("given up")

var errEnded = errors.New("piper has ended")

// Close implements Engine.
func (p *Piper) Close() error {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if p.proc == nil {
		return nil
	}
	err := p.proc.stop()
	p.proc = nil
	return err
}

// writeTime is what it may take to take in a sentence: it has to read only.
const writeTime = time.Second

// piperProcess is one process. wg has the reader of its output.
type piperProcess struct {
	cmd   *exec.Cmd
	in    *os.File
	said  *head
	dir   string // of its files
	n     int
	lines chan string
	wg    sync.WaitGroup
}

func startPiper(path, model string) (*piperProcess, error) {
	dir, err := os.MkdirTemp("", "tarsd-piper-")
	if err != nil {
		return nil, err
	}
	p := &piperProcess{said: &head{}, dir: dir, lines: make(chan string, 16)}
	p.cmd = exec.Command(path, "--model", model, "--json-input", "--output_dir", dir, "--quiet") //nolint:noctx // it ends at stop
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.Stderr = p.said
	p.cmd.WaitDelay = time.Second
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	in, w, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, out.Close(), os.RemoveAll(dir))
	}
	defer in.Close()
	p.cmd.Stdin, p.in = in, w
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start piper: %w", err), w.Close(), os.RemoveAll(dir))
	}
	p.wg.Go(func() { p.read(out) })
	return p, nil
}

// read hands on the names of files. When nobody has asked for a long time the oldest go: those texts were
// given up.
func (p *piperProcess) read(out io.Reader) {
	defer close(p.lines)
	s := bufio.NewScanner(out) // lines of up to 64 KiB
	for s.Scan() {
		if !strings.HasSuffix(s.Text(), ".wav") {
			continue
		}
		if len(p.lines) == cap(p.lines) {
			select {
			case <-p.lines:
			default:
			}
		}
		p.lines <- s.Text() // there is room: nobody else sends
	}
}

// speak returns the file with the sound of a text.
func (p *piperProcess) speak(ctx context.Context, t Text) (string, error) {
	p.n++
	file := filepath.Join(p.dir, strconv.Itoa(p.n)+".wav")
	request := map[string]any{"text": t.Text, "output_file": file}
	if id, err := strconv.Atoi(t.Voice); err == nil && id >= 0 {
		request["speaker_id"] = id
	}
	b, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	err = p.in.SetWriteDeadline(time.Now().Add(writeTime))
	if err == nil {
		_, err = p.in.Write(append(b, '\n'))
	}
	if err != nil {
		return "", fmt.Errorf("piper: %w: %s", err, p.said)
	}
	for {
		select {
		case line, ok := <-p.lines:
			switch {
			case !ok:
				return "", errEnded
			case filepath.Base(line) == filepath.Base(file):
				return file, nil
			}
			_ = os.Remove(filepath.Join(p.dir, filepath.Base(line))) // of a text that was given up
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.Canceled) {
				return "", fmt.Errorf("%w: %w", errUnwanted, ctx.Err())
			}
			return "", ctx.Err() // it hangs
		}
	}
}

// stop ends the process and what it started, and removes its files.
func (p *piperProcess) stop() error {
	_ = p.in.Close()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	p.wg.Wait()
	_ = p.cmd.Wait() // killed: its status says nothing
	return os.RemoveAll(p.dir)
}
