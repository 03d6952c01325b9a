package pocketsphinx

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/tarsd/tarsd/internal/engine/wasmmem"
)

// maxMemory bounds an instance, in bytes, as the program was linked. See build.MaxMemory.
const maxMemory = 192 << 20

// keptMemory is the most that an instance may have to be kept, in bytes. It begins with 33 MiB, and what it
// has taken for an utterance stays: of seven seconds in noise at 10 dB up to 9 MiB, so that some of
// those one after the other would be too much for one.
const keptMemory = 44 << 20

// piece is how many samples are decoded in one call, 80 ms, and stride how many frames of 10 ms of an
// utterance as a whole. Between calls a context can end the work; inside nothing can, since code
// that looks for that is slower.
const (
	piece  = 1280
	stride = 50
)

// Names of searches.
const (
	freeSearch    = "_default"
	grammarSearch = "commands"
)

// Hypothesis is what was understood. Scores are natural logarithms, for the utterance as a whole.
type Hypothesis struct {
	Text      string  // words in lower case; empty: nothing, or nothing that the grammar allows
	Score     float64 // of the best path, with the model's share
	Posterior float64 // of the words among all that were considered; 0 or less
	Frames    int     // of 10 ms
}

// Decoder recognises one utterance at a time. It is for one goroutine. Errors other than ErrTooLong,
// ErrState and a context's leave it broken: all that remains is Release. mu is held while the program
// runs, so that Close of the engine does not take its memory away meanwhile; the engine's lock is
// never taken under it.
type Decoder struct {
	engine *Engine

	mu      sync.Mutex
	mod     api.Module
	buffer  uint64 // of the program: room for piece samples
	mean    string // of sound, to begin with
	grammar *Grammar
	open    bool // between Begin and End
	heard   int  // samples since Begin
	broken  bool
	said    head
}

// newDecoder makes an instance, with memory that is given back as soon as it is closed.
func (e *Engine) newDecoder() (_ *Decoder, err error) {
	ctx := context.Background()
	d := &Decoder{engine: e}
	c := wazero.NewModuleConfig().WithName("").WithStderr(&d.said).WithStartFunctions("_initialize").
		WithFSConfig(wazero.NewFSConfig().WithFSMount(e.model, "/m"))
	d.mod, err = wasmmem.Instantiate(ctx, e.runtime, e.program, c, maxMemory)
	if err != nil {
		return nil, fmt.Errorf("start pocketsphinx: %w", err)
	}
	if err := d.setUp(); err != nil {
		return nil, errors.Join(err, d.mod.Close(ctx))
	}
	return d, nil
}

func (d *Decoder) setUp() error {
	settings, err := json.Marshal(map[string]any{
		"hmm": "/m", "dict": "/m/words.dict", "lm": "/m/lm.bin", "mmap": false,
		"maxhmmpf": 3000, "maxwpf": 5, // bounds of what noise costs; no text of people changes by them
		// fwdflat and bestpath, the second and the third pass, are on by themselves
	})
	if err != nil {
		return err
	}
	if _, err := d.withText("pw_open", string(settings)); err != nil {
		return err
	}
	at, err := d.call("pw_alloc", 2*piece)
	if err != nil {
		return err
	}
	d.buffer = uint64(at)
	d.mean, err = d.text("pw_mean", 0)
	return err
}

// Begin starts an utterance that is heard piece by piece.
func (d *Decoder) Begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open {
		return ErrState
	}
	if err := d.start(freeSearch); err != nil {
		return err
	}
	d.open, d.heard = true, 0
	return nil
}

// Feed hears the next piece of it. It returns the context's error when that ends, with only a part
// of the piece heard, and ErrTooLong above MaxSamples.
func (d *Decoder) Feed(ctx context.Context, pcm []int16) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open {
		return ErrState
	}
	if d.heard+len(pcm) > MaxSamples {
		return fmt.Errorf("%w: more than %d s", ErrTooLong, MaxSamples/Rate)
	}
	d.heard += len(pcm)
	for len(pcm) > 0 {
		if err := d.given(ctx); err != nil {
			return err
		}
		n := min(len(pcm), piece)
		if !d.mod.Memory().Write(uint32(d.buffer), encode(pcm[:n])) { //nolint:gosec // an address of 32 bits
			return d.breaks("pw_feed", errors.New("no memory"))
		}
		if _, err := d.call("pw_feed", d.buffer, uint64(n)); err != nil { //nolint:gosec // not negative
			return err
		}
		pcm = pcm[n:]
	}
	return nil
}

// Partial returns what was understood so far.
func (d *Decoder) Partial() (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open {
		return "", ErrState
	}
	return d.text("pw_text")
}

// End ends the utterance and returns what was understood. It takes a tenth of the utterance's length, in
// noise up to a quarter.
func (d *Decoder) End() (Hypothesis, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open {
		return Hypothesis{}, ErrState
	}
	d.open = false
	return d.end()
}

// Whole hears an utterance as a whole, up to MaxSamples: with a grammar, or with the language model if
// that is nil. A text of the grammar may be the beginning of a sentence only, see Grammar.Has. It returns the context's error when that ends.
func (d *Decoder) Whole(ctx context.Context, g *Grammar, pcm []int16) (Hypothesis, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var none Hypothesis
	if d.open {
		return none, ErrState
	}
	if len(pcm) > MaxSamples {
		return none, fmt.Errorf("%w: more than %d s", ErrTooLong, MaxSamples/Rate)
	}
	if len(pcm) < minSamples {
		return none, nil
	}
	name := freeSearch
	if g != nil {
		name = grammarSearch
		if err := d.load(g); err != nil {
			return none, err
		}
	}
	if err := d.start(name); err != nil {
		return none, err
	}
	if err := d.whole(pcm); err != nil {
		return none, err
	}
	for {
		if err := d.given(ctx); err != nil {
			d.open = true // so that Release ends it
			return none, err
		}
		n, err := d.call("pw_search", stride)
		if err != nil {
			return none, err
		}
		if n < stride {
			return d.end()
		}
	}
}

// given returns an error when nobody wants the result any more.
func (d *Decoder) given(ctx context.Context) error {
	select {
	case <-d.engine.gone:
		return ErrClosed
	default:
		return ctx.Err()
	}
}

// minSamples is the shortest utterance of which there are enough frames to search: a tenth of a
// second.
const minSamples = Rate / 10

func (d *Decoder) whole(pcm []int16) error {
	size := uint64(2 * len(pcm)) //nolint:gosec // not negative
	at, err := d.call("pw_alloc", size)
	if err != nil {
		return err
	}
	if at == 0 || !d.mod.Memory().Write(uint32(at), encode(pcm)) { //nolint:gosec // an address
		return d.breaks("pw_whole", errors.New("no memory"))
	}
	if _, err := d.call("pw_whole", uint64(at), size/2); err != nil {
		return err
	}
	_, err = d.call("pw_release", uint64(at))
	return err
}

// Phones are those of a text that this decoder understood, in the notation of the CMU dictionary.
func (d *Decoder) Phones(text string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for w := range strings.FieldsSeq(text) {
		at, err := d.withText("pw_phones", w)
		if err != nil {
			return nil, err
		}
		phones, err := d.read("pw_phones", at)
		if err != nil {
			return nil, err
		}
		out = append(out, strings.Fields(phones)...)
	}
	return out, nil
}

// Prepare makes the grammar known to the decoder, so that the first Whole with it need not. It takes a
// few milliseconds. It may not be called while an utterance is open.
func (d *Decoder) Prepare(g *Grammar) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open {
		return ErrState
	}
	return d.load(g)
}

// load makes the grammar the one that the program has.
func (d *Decoder) load(g *Grammar) error {
	if g == nil || d.grammar == g {
		return nil
	}
	for _, w := range g.words {
		at, err := d.withText("pw_phones", w.name)
		if err == nil && at == 0 {
			_, err = d.withText("pw_add_word", w.name, w.phones)
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.withText("pw_grammar", grammarSearch, g.jsgf); err != nil {
		return err
	}
	d.grammar = g
	return nil
}

// start begins an utterance as if it were the first that is heard: what was heard before does not
// matter.
func (d *Decoder) start(search string) error {
	if d.broken {
		return ErrState
	}
	if _, err := d.withText("pw_use", search); err != nil {
		return err
	}
	if _, err := d.withText("pw_set_mean", d.mean); err != nil {
		return err
	}
	_, err := d.call("pw_start")
	return err
}

func (d *Decoder) end() (h Hypothesis, err error) {
	if _, err := d.call("pw_end"); err != nil {
		return h, err
	}
	if h.Text, err = d.text("pw_text"); err != nil {
		return h, err
	}
	score, err := d.get("pw_score")
	if err != nil {
		return h, err
	}
	posterior, err := d.get("pw_posterior")
	if err != nil {
		return h, err
	}
	frames, err := d.get("pw_frames")
	h.Score, h.Posterior, h.Frames = float64(score)*scoreUnit, float64(posterior)*logUnit, int(frames)
	return h, err
}

// close frees the memory, once nothing runs.
func (d *Decoder) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = true
	return d.mod.Close(context.Background())
}

// logUnit is the natural logarithm of the base in which the program counts, 1.0001.
const logUnit = 9.9995e-5

// scoreUnit is that of the score of a path, which has ten bits fewer: SENSCR_SHIFT of its hmm.h.
const scoreUnit = logUnit * 1024

// Release gives the decoder back; it may not be used after that. An utterance that was not ended
// is ended in the background.
func (d *Decoder) Release() {
	if !d.engine.begin() {
		return // Close has freed it, or is about to
	}
	go func() { // Close waits for it
		defer d.engine.work.Done()
		d.engine.give(d, d.rest())
	}()
}

// rest ends what was not ended, and reports whether the decoder can be used again.
func (d *Decoder) rest() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open {
		d.open = false
		_, _ = d.call("pw_end") // an error breaks it
	}
	return !d.broken && d.mod.Memory().Size() <= keptMemory
}

// get calls a function of the program whose results may be negative.
func (d *Decoder) get(name string, args ...uint64) (int32, error) {
	if d.broken {
		return 0, ErrState
	}
	got, err := d.mod.ExportedFunction(name).Call(context.Background(), args...)
	if err != nil {
		return 0, d.breaks(name, err)
	}
	if len(got) == 0 {
		return 0, nil
	}
	return int32(got[0]), nil //nolint:gosec // all are of 32 bits
}

// call calls a function of the program whose negative results are errors. One that returns addresses
// has none above 2 GiB.
func (d *Decoder) call(name string, args ...uint64) (int32, error) {
	n, err := d.get(name, args...)
	if err == nil && n < 0 {
		err = d.breaks(name, fmt.Errorf("error %d", n))
	}
	return n, err
}

// breaks makes an error of what went wrong, and the decoder unusable.
func (d *Decoder) breaks(name string, err error) error {
	d.broken = true
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		err = errors.New("the program gave up, which it does without memory or with a damaged model")
	}
	line, _, _ := strings.Cut(err.Error(), "\n") // without the stack
	return fmt.Errorf("pocketsphinx: %s: %s: %s", name, line, strings.TrimSpace(string(d.said.b)))
}

// withText calls a function with texts.
func (d *Decoder) withText(name string, texts ...string) (int32, error) {
	args := make([]uint64, len(texts))
	for i, s := range texts {
		at, err := d.call("pw_alloc", uint64(len(s)+1)) //nolint:gosec // not negative
		if err != nil {
			return 0, err
		}
		if at == 0 || !d.mod.Memory().WriteString(uint32(at), s+"\x00") { //nolint:gosec // an address
			return 0, d.breaks(name, errors.New("no memory"))
		}
		args[i] = uint64(at)
	}
	n, err := d.call(name, args...)
	for _, at := range args {
		if err == nil {
			_, err = d.call("pw_release", at)
		}
	}
	return n, err
}

// text calls a function that returns one.
func (d *Decoder) text(name string, args ...uint64) (string, error) {
	at, err := d.call(name, args...)
	if err != nil {
		return "", err
	}
	return d.read(name, at)
}

// read reads what a function returned the address of; there may be none.
func (d *Decoder) read(name string, at int32) (string, error) {
	const maxText = 1 << 16
	if at == 0 {
		return "", nil
	}
	m := d.mod.Memory()
	b, ok := m.Read(uint32(at), min(maxText, m.Size()-uint32(at))) //nolint:gosec // an address
	if !ok {
		return "", d.breaks(name, errors.New("a wrong address"))
	}
	return string(b[:max(0, bytes.IndexByte(b, 0))]), nil
}

// encode makes bytes of samples, as the program has them.
func encode(pcm []int16) []byte {
	b := make([]byte, 2*len(pcm))
	for i, v := range pcm {
		binary.LittleEndian.PutUint16(b[2*i:], uint16(v)) //nolint:gosec // it is signed
	}
	return b
}

// head keeps the beginning of what is written to it, for an error.
type head struct{ b []byte }

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), 200-len(h.b))]...)
	return len(p), nil
}
