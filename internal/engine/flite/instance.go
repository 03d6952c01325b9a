package flite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero/sys"
)

// instance is one run of the program: from its start to the end of one text. Its goroutine runs
// the program, which blocks in Read until it is given the text.
type instance struct {
	setup setup
	text  chan string   // capacity 1
	sound chan piece    // unbuffered: who does not listen makes it wait
	done  chan struct{} // closed at the end; err is set before
	gone  chan struct{} // closed by abandon
	once  sync.Once
	err   error

	// Those are the program's goroutine's.
	wave wave
	said head
	left []byte // of the text
	fed  bool
}

type piece struct {
	rate int
	pcm  []int16
}

// errAbandoned ends a run that nobody listens to.
var errAbandoned = errors.New("abandoned")

func newInstance(s setup) *instance {
	in := &instance{setup: s, text: make(chan string, 1), sound: make(chan piece), done: make(chan struct{}), gone: make(chan struct{})}
	in.wave.emit, in.wave.rate = in.emit, rateOf(s.voice)
	return in
}

// run runs the program to its end.
func (in *instance) run(e *Engine) {
	defer close(in.done)
	ctx := context.Background()
	mod, err := e.instantiate(ctx, in)
	if err != nil {
		in.err = fmt.Errorf("start flite: %w", err)
		return
	}
	_, err = mod.ExportedFunction("_start").Call(ctx)
	var exit *sys.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 0 {
		err = nil
	}
	if err == nil && !in.wave.whole() {
		err = errors.New("no sound")
	}
	if err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n") // without the stack
		in.err = fmt.Errorf("flite: %s: %s", line, bytes.TrimSpace(in.said.b))
	}
	if err := mod.Close(ctx); err != nil && in.err == nil {
		in.err = fmt.Errorf("flite: %w", err)
	}
}

func (in *instance) ended() bool {
	select {
	case <-in.done:
		return true
	default:
		return false
	}
}

// abandon makes the program end as soon as it wants something.
func (in *instance) abandon() { in.once.Do(func() { close(in.gone) }) }

// Read is the standard input of the program.
func (in *instance) Read(p []byte) (int, error) {
	if !in.fed {
		select {
		case text := <-in.text:
			in.left, in.fed = append([]byte(text), '\n'), true
		case <-in.gone:
			panic(errAbandoned) // the runtime makes an error of it
		}
	}
	if len(in.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, in.left)
	in.left = in.left[n:]
	return n, nil
}

// emit hands samples on.
func (in *instance) emit(rate int, b []byte) {
	pcm := make([]int16, len(b)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(b[2*i:])) //nolint:gosec // it is signed
	}
	select {
	case in.sound <- piece{rate, pcm}:
	case <-in.gone:
		panic(errAbandoned)
	}
}

// head keeps the beginning of what is written to it, for an error.
type head struct{ b []byte }

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), 200-len(h.b))]...)
	return len(p), nil
}
