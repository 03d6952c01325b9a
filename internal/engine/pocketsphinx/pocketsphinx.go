package pocketsphinx

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// assets holds the program and the models once `make assets` has run; the file beside them is
// always there.
//
//go:embed assets
var assets embed.FS

// ID names the engine and its version.
const ID = "pocketsphinx-5.1.1"

// Rate is that of the sound, in Hz.
const Rate = 16000

// MaxSamples is the longest utterance: half a minute.
const MaxSamples = 30 * Rate

// decoders is how many there are at a time.
const decoders = 2

// Named errors.
var (
	ErrMissing = errors.New("built without the recogniser; run make assets and build again")
	ErrTooLong = errors.New("the utterance is too long")
	ErrClosed  = errors.New("the recogniser is closed")
	ErrState   = errors.New("the decoder is not where this makes sense")
)

// program is the file in the folder that is built in.
const program = "assets/pocketsphinx.wasm"

// Engine hands out decoders. Its methods may be called by several goroutines at once. mu guards the
// fields below it and is held across nothing that waits.
type Engine struct {
	runtime wazero.Runtime
	program wazero.CompiledModule
	model   fs.FS
	slots   chan struct{}

	gone chan struct{} // closed by Close

	mu     sync.Mutex
	warm   *Decoder
	live   map[*Decoder]bool // all that have memory
	closed bool
	work   sync.WaitGroup // decoders that are being made, or given back
}

// BuiltIn reports whether the program is in this binary.
func BuiltIn() bool {
	_, err := fs.Stat(assets, program)
	return err == nil
}

// Open compiles the program that is built in and loads the models for a first decoder, which takes a
// third of a second.
func Open() (*Engine, error) {
	code, err := assets.ReadFile(program)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, err
	}
	model, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, err
	}
	return open(code, model)
}

func open(code []byte, model fs.FS) (*Engine, error) {
	ctx := context.Background()
	e := &Engine{
		runtime: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithMemoryLimitPages(maxMemory>>16).WithDebugInfoEnabled(false)),
		model:   model,
		slots:   make(chan struct{}, decoders),
		gone:    make(chan struct{}),
		live:    map[*Decoder]bool{},
	}
	_, err := wasi_snapshot_preview1.Instantiate(ctx, e.runtime)
	if err == nil {
		e.program, err = e.runtime.CompileModule(ctx, code)
	}
	if err == nil {
		e.warm, err = e.add()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pocketsphinx: the program or its models are damaged: %w", err), e.runtime.Close(ctx))
	}
	return e, nil
}

// Close frees the memory, at the next moment at which no decoder is in the middle of something.
// Those that are still held fail from now on; they need to be released no more.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed, e.warm = true, nil
	close(e.gone)
	live := slices.Collect(maps.Keys(e.live))
	e.mu.Unlock()
	var errs []error
	for _, d := range live {
		errs = append(errs, d.close())
	}
	e.work.Wait()
	return errors.Join(append(errs, e.runtime.Close(context.Background()))...)
}

// Decoder returns a decoder, once there is one to have. Release gives it back. Making one takes a
// tenth of a second; the one that is kept is there at once.
func (e *Engine) Decoder(ctx context.Context) (*Decoder, error) {
	if err := ctx.Err(); err != nil { // also if there is one to have
		return nil, err
	}
	select {
	case e.slots <- struct{}{}:
	case <-e.gone:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.mu.Lock()
	d := e.warm
	e.warm = nil
	e.mu.Unlock()
	if d != nil {
		return d, nil
	}
	d, err := e.add()
	if err != nil {
		<-e.slots
	}
	return d, err
}

// begin adds to the work that Close waits for, unless the engine is closed: a group that is waited for
// may not get more once it was empty.
func (e *Engine) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.work.Add(1)
	}
	return !e.closed
}

// add makes a decoder. Close waits while it is made.
func (e *Engine) add() (*Decoder, error) {
	if !e.begin() {
		return nil, ErrClosed
	}
	defer e.work.Done()
	d, err := e.newDecoder()
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errors.Join(ErrClosed, d.close())
	}
	e.live[d] = true
	return d, nil
}

// give takes a decoder back; it is kept if it works, and no other is.
func (e *Engine) give(d *Decoder, works bool) {
	e.mu.Lock()
	if works = works && !e.closed && e.warm == nil; works {
		e.warm = d
	} else {
		delete(e.live, d)
	}
	e.mu.Unlock()
	if !works {
		_ = d.close() // it only frees memory
	}
	<-e.slots
}
