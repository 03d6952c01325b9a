package voice

import (
	"bufio"
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

	"github.com/tarsd/tarsd/internal/audio"
)

// Espeak runs espeak-ng, once for each sentence: it speaks a hundred languages, in a few
// milliseconds, and sounds like a robot. As a program of its own its licence (GPL) stays its own.
type Espeak struct{ path, voice string }

var _ Engine = (*Espeak)(nil)

// espeakVoice is what may be handed to the program as a voice: en-us, mb-en1, de+f3.
var espeakVoice = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+_-]{0,40}$`)

// espeakRate is its own pace, in words a minute.
const espeakRate = 165

// NewEspeak finds the program. An empty voice goes by the language.
func NewEspeak(program, voice string) (*Espeak, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("%s %w", program, ErrMissing)
	}
	if voice != "" && !espeakVoice.MatchString(voice) {
		return nil, fmt.Errorf("%s: %q is no name of a voice", program, voice)
	}
	return &Espeak{path, voice}, nil
}

// ID implements Engine.
func (e *Espeak) ID() string { return "espeak-ng " + e.path + " " + e.voice }

// Speak implements Engine.
func (e *Espeak) Speak(ctx context.Context, t Text, emit func(Sound) error) error {
	voice := e.voice
	if voice == "" || !english(t.Lang) {
		voice = "en-us"
		if lang := strings.ReplaceAll(t.Lang, "_", "-"); lang != "" && espeakVoice.MatchString(lang) && !strings.EqualFold(lang, "en") {
			voice = strings.ToLower(lang)
		}
	}
	args := []string{"--stdin", "--stdout", "-v", voice, "-s", strconv.Itoa(int(espeakRate * pace(t.Style)))}
	return runWAV(ctx, e.path, args, t.Text, emit)
}

// Close implements Engine.
func (e *Espeak) Close() error { return nil }

// runWAV runs a program that takes a text and gives a WAV file.
func runWAV(ctx context.Context, path string, args []string, text string, emit func(Sound) error) error {
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(text + "\n")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	said := &head{}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = readWAV(bufio.NewReader(out), emit)
	if err != nil {
		cancel()
	}
	werr := cmd.Wait()
	var exit *exec.ExitError
	byItself := errors.As(werr, &exit) && exit.Exited()
	switch {
	case outer.Err() != nil:
		return outer.Err()
	case werr != nil && err == nil, byItself && errors.Is(err, audio.ErrWAV):
		return fmt.Errorf("%w: %s", werr, said)
	}
	return err
}

// readWAV hands on the sound of a WAV file as it comes.
func readWAV(r io.Reader, emit func(Sound) error) error {
	w, err := audio.NewWAVReader(r)
	if err != nil {
		return err
	}
	rate, total := w.Rate(), 0
	if rate < MinRate || rate > MaxRate {
		return fmt.Errorf("%w: %d Hz", ErrSound, rate)
	}
	for {
		pcm := make([]int16, rate/10)
		n, err := w.Read(pcm)
		if total += n; total > maxSamples {
			return errTooLong()
		}
		if n > 0 {
			if err := emit(Sound{rate, pcm[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func errTooLong() error {
	return fmt.Errorf("%w: more than three minutes for one sentence", ErrSound)
}

// head keeps the beginning of what is written to it, for an error. mu guards it: a program may still
// be writing.
type head struct {
	mu sync.Mutex
	b  []byte
}

const headBytes = 300

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.b = append(h.b, p[:min(len(p), headBytes-len(h.b))]...)
	return len(p), nil
}

// String is it on one line.
func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(h.b), "?")), " ")
}
