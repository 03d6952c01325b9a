package use

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/tarsd/tarsd/internal/engine/nn"
)

// assets holds the packed weights once `make assets` has run; the file beside them is always there.
//
//go:embed assets
var assets embed.FS

// PackedName is the file in assets/ that Open looks for and Pack writes.
const PackedName = "use.bin"

// Named errors.
var (
	ErrNoWeights = errors.New("built without the encoder weights; run make assets and build again")
	ErrWeights   = errors.New("encoder weights are damaged")
)

const (
	magic     = "tarsd-use-1\n"
	pieces    = 8000 // of the vocabulary
	embedded  = 8002 // embeddings; the last two are for no piece
	reserved  = 6    // pieces that stand for no text
	width     = 256
	hidden    = 1536
	layers    = 2
	heads     = 4
	maxTokens = 128
)

// Dim is the length of a vector.
const Dim = 512

type centring struct{ scale, bias []float32 }

// layer is one transformer layer. widen is what the first one, which has narrower input, puts in
// the way of its residual.
type layer struct {
	before, between        centring
	qkv, merge, widen      *nn.Matrix
	expand, contract       *nn.Matrix
	queryScale             float32
	inWidth, outWidth, dim int // dim: of one head
}

// model is what a packed file holds. The embeddings, a row of half-precision numbers for each piece,
// stay in the file.
type model struct {
	vocab   map[string]int32
	score   []float64
	longest int // runes of the longest piece
	rows    io.ReaderAt
	rowsAt  int64
	timing  []float32 // width/2 inverse time scales
	layer   [layers]layer
	last    *nn.Matrix
}

// newModel is a model with its shapes and no numbers.
func newModel() *model {
	m := &model{timing: make([]float32, width/2), last: nn.NewMatrix(Dim, Dim)}
	for i := range m.layer {
		in := Dim
		if i == 0 {
			in = width
		}
		l := &m.layer[i]
		*l = layer{
			before: newNorm(in), between: newNorm(Dim),
			qkv: nn.NewMatrix(in, 3*in), merge: nn.NewMatrix(in, Dim),
			expand: nn.NewMatrix(Dim, hidden).Rectify(), contract: nn.NewMatrix(hidden, Dim),
			inWidth: in, outWidth: Dim, dim: in / heads,
		}
		if in != Dim {
			l.widen = nn.NewMatrix(in, Dim)
		}
	}
	return m
}

func newNorm(n int) centring { return centring{make([]float32, n), make([]float32, n)} }

// matrices and vectors list the parts of the model in the order of the packed file.
func (m *model) matrices() []*nn.Matrix {
	var all []*nn.Matrix
	for i := range m.layer {
		l := &m.layer[i]
		all = append(all, l.qkv, l.merge)
		if l.widen != nil {
			all = append(all, l.widen)
		}
		all = append(all, l.expand, l.contract)
	}
	return append(all, m.last)
}

func (m *model) vectors() [][]float32 {
	all := [][]float32{m.timing}
	for i := range m.layer {
		l := &m.layer[i]
		all = append(all, l.before.scale, l.before.bias, l.between.scale, l.between.bias)
	}
	for _, x := range m.matrices() {
		all = append(all, x.B)
	}
	return all
}

// Open loads the weights that are built in. The error wraps ErrNoWeights if there are none, and is that
// of ctx if it ends meanwhile: from a slow card this takes seconds.
func Open(ctx context.Context) (*Encoder, error) {
	f, err := assets.Open("assets/" + PackedName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoWeights
	}
	if err != nil {
		return nil, fmt.Errorf("read encoder weights: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read encoder weights: %w", err)
	}
	at, ok := f.(io.ReaderAt) // embed promises it
	if !ok {
		return nil, fmt.Errorf("read encoder weights: %T has no ReadAt", f)
	}
	return Load(ctx, at, info.Size())
}

// Load makes an encoder of a packed file, which it goes on reading: the rows of the embeddings
// stay there, which saves their memory when the file is part of the binary. The error wraps
// ErrWeights, or is that of ctx, which is looked at every 64 KiB.
func Load(ctx context.Context, file io.ReaderAt, size int64) (*Encoder, error) {
	sum := crc32.NewIEEE()
	all := io.TeeReader(io.NewSectionReader(file, 0, size-4), sum)
	r := &reader{r: bufio.NewReaderSize(readFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return all.Read(p)
	}), 1<<16)}
	if found := string(r.take(len(magic))); ctx.Err() == nil && (found != magic || r.err != nil) {
		return nil, fmt.Errorf("%w: no packed weights", ErrWeights)
	}
	m := newModel()
	m.setVocab(r.vocab())
	m.rows, m.rowsAt = file, r.at
	r.skip(2 * embedded * width)
	for _, x := range m.matrices() {
		r.halves(x.W)
	}
	for _, v := range m.vectors() {
		r.floats(v)
	}
	for i := range m.layer {
		m.layer[i].queryScale = r.float()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.err != nil || r.at != size-4 {
		return nil, fmt.Errorf("%w: wrong length", ErrWeights)
	}
	end := &reader{r: bufio.NewReader(io.NewSectionReader(file, size-4, 4))}
	if binary.LittleEndian.Uint32(end.take(4)) != sum.Sum32() {
		return nil, fmt.Errorf("%w: wrong checksum", ErrWeights)
	}
	return &Encoder{m: m}, nil
}

// readFunc is an io.Reader.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// reader takes numbers off a stream; past its end it gives zeros, or nothing, and keeps the error.
type reader struct {
	r   *bufio.Reader
	at  int64
	buf []byte // of take, until the next call
	err error
}

func (r *reader) take(n int) []byte {
	r.buf = slices.Grow(r.buf[:0], n)[:n]
	if r.err == nil {
		_, r.err = io.ReadFull(r.r, r.buf)
	}
	if r.err != nil {
		clear(r.buf)
	}
	r.at += int64(n)
	return r.buf
}

func (r *reader) skip(n int) {
	if r.err == nil {
		_, r.err = r.r.Discard(n)
	}
	r.at += int64(n)
}

func (r *reader) float() float32 { return math.Float32frombits(binary.LittleEndian.Uint32(r.take(4))) }

func (r *reader) floats(dst []float32) {
	for i := range dst {
		dst[i] = r.float()
	}
}

func (r *reader) halves(dst []float32) {
	for len(dst) > 0 && r.err == nil {
		part := dst[:min(len(dst), 1<<12)]
		b := r.take(2 * len(part))
		for i := range part {
			part[i] = fromHalf(binary.LittleEndian.Uint16(b[2*i:]))
		}
		dst = dst[len(part):]
	}
}

func (r *reader) vocab() (text []string, score []float64) {
	text, score = make([]string, 0, pieces), make([]float64, 0, pieces)
	for range pieces {
		n := binary.LittleEndian.Uint16(r.take(2))
		text = append(text, string(r.take(int(n))))
		score = append(score, math.Float64frombits(binary.LittleEndian.Uint64(r.take(8))))
		if r.err != nil {
			break
		}
	}
	return text, score
}

func (m *model) setVocab(text []string, score []float64) {
	m.vocab, m.score = make(map[string]int32, len(text)), score
	for i, s := range text {
		if i >= reserved {
			m.vocab[s] = int32(i)
			m.longest = max(m.longest, strings.Count(s, "")-1)
		}
	}
}

// write writes the packed file. embeddings are full numbers.
func (m *model) write(w io.Writer, text []string, embeddings []float32) error {
	b := bytes.NewBufferString(magic)
	for i, s := range text {
		b.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(s))))
		b.WriteString(s)
		b.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(m.score[i])))
	}
	half := func(fs []float32) {
		for _, f := range fs {
			b.Write(binary.LittleEndian.AppendUint16(nil, toHalf(f)))
		}
	}
	full := func(fs ...float32) {
		for _, f := range fs {
			b.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(f)))
		}
	}
	half(embeddings)
	for _, x := range m.matrices() {
		half(x.W)
	}
	for _, v := range m.vectors() {
		full(v...)
	}
	for i := range m.layer {
		full(m.layer[i].queryScale)
	}
	b.Write(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(b.Bytes())))
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write packed weights: %w", err)
	}
	return nil
}
