package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ffmpegSource reads whatever ffmpeg reads, in a process of its own: what is broken in a stream
// breaks that process.
type ffmpegSource struct {
	o      *Options
	scheme string
	rest   string
}

func (s ffmpegSource) input() string {
	switch s.scheme {
	case "ffmpeg":
		return s.rest
	case "file":
		return strings.TrimPrefix(s.rest, "//")
	}
	return s.scheme + ":" + s.rest
}

func (s ffmpegSource) String() string { return "ffmpeg " + hidePasswords(s.input()) }

// args are ffmpeg's. lavfi:GRAPH is a generated picture, for tests.
func (s ffmpegSource) args() []string {
	args := []string{"-hide_banner", "-loglevel", "error", "-nostdin"}
	in := s.input()
	switch {
	case s.scheme == "rtsp" || s.scheme == "rtsps":
		args = append(args, "-rtsp_transport", "tcp")
	case s.scheme == "file":
		args = append(args, "-re", "-stream_loop", "-1")
	}
	if graph, ok := strings.CutPrefix(in, "lavfi:"); ok {
		args = append(args, "-re", "-f", "lavfi")
		in = graph
	}
	filter := "fps=" + strconv.FormatFloat(s.o.FPS, 'g', -1, 64)
	if s.o.Width > 0 {
		filter += fmt.Sprintf(",scale=%d:%d", s.o.Width, s.o.Height)
	}
	// ffmpeg's scale goes from 2 (best) to 31.
	q := 31 - 29*max(s.o.Quality, 1)/100
	if s.o.Quality == 0 {
		q = 5
	}
	return append(args, "-i", in, "-an", "-sn", "-vf", filter, "-pix_fmt", "yuvj420p", "-q:v", strconv.Itoa(q), "-f", "mjpeg", "pipe:1")
}

func (s ffmpegSource) open(context.Context) (reader, error) {
	cmd := exec.Command(s.o.FFmpeg, s.args()...) //nolint:noctx // it ends at close
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	r := &processReader{cmd: cmd}
	cmd.Stderr = &r.said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start ffmpeg: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start ffmpeg: %w", err)
	}
	r.pump = newPump(out)
	return r, nil
}

// processReader reads the pictures of a process.
type processReader struct {
	cmd  *exec.Cmd
	said tail
	*pump
	ended bool
}

func (r *processReader) next(ctx context.Context) (frame, error) {
	f, err := r.pump.next(ctx)
	if err != nil && ctx.Err() == nil {
		r.close() // the stream has ended; what the process said is complete when it has
		if text := r.said.String(); text != "" {
			return f, fmt.Errorf("ffmpeg: %s: %w", hidePasswords(text), err)
		}
	}
	return f, err
}

func (r *processReader) close() {
	if r.ended {
		return
	}
	r.ended = true
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) // with what it started
	r.pump.stop()
	_ = r.cmd.Wait() // killed: its status says nothing
}

// pump reads pictures on a goroutine of its own and keeps the newest one that was not taken, so
// that a slow consumer never makes a source's buffers fill with old pictures.
type pump struct {
	mu   sync.Mutex
	pic  *frame
	err  error
	wake chan struct{} // capacity 1
	done chan struct{}
	src  io.Closer
}

func newPump(src io.ReadCloser) *pump {
	p := &pump{wake: make(chan struct{}, 1), done: make(chan struct{}), src: src}
	go func() { // ends when src does; stop waits for it
		defer close(p.done)
		s := newSplitter(src)
		for {
			pic, err := s.next()
			p.mu.Lock()
			if err == nil {
				p.pic = &frame{jpeg: withTables(pic), at: time.Now()}
			}
			p.err = err
			p.mu.Unlock()
			select {
			case p.wake <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return p
}

func (p *pump) next(ctx context.Context) (frame, error) {
	for {
		p.mu.Lock()
		pic, err := p.pic, p.err
		p.pic = nil
		p.mu.Unlock()
		switch {
		case pic != nil:
			return *pic, nil
		case err != nil:
			return frame{}, err
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return frame{}, errors.Join(errNoPicture, ctx.Err())
		}
	}
}

func (p *pump) stop() {
	_ = p.src.Close()
	<-p.done
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 512

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - tailBytes; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.ToValidUTF8(bytes.TrimSpace(t.b), nil))
}

var passwords = regexp.MustCompile(`(\w+://[^/\s:@]*:)[^@\s/]*@`)

// hidePasswords hides those of all URLs in a text.
func hidePasswords(text string) string { return passwords.ReplaceAllString(text, "$1***@") }
