// Package silero is the Silero voice activity detector (version 6, 16 kHz) in Go: it says of each
// 32 ms of sound how likely somebody speaks in it. What to make of that, such as where an utterance
// ends, is left to others.
//
// The weights are not in the repository: `make assets` fetches the PyPI package silero-vad (MIT)
// and packs what its ONNX file holds into assets/, from where they are built in. Without them Open
// returns ErrNoWeights, and everything else works. The probabilities equal those of ONNX Runtime
// but for rounding.
package silero

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"

	"github.com/tarsd/tarsd/internal/engine/nn"
	"github.com/tarsd/tarsd/internal/engine/onnx"
)

// assets holds the packed weights once `make assets` has run; the file beside them is always there.
//
//go:embed assets
var assets embed.FS

// PackedName is the file in assets/ that Open looks for and Pack writes.
const PackedName = "silero.bin"

// What the detector takes.
const (
	Rate         = 16000 // samples in a second
	FrameSamples = 512   // samples of a frame, 32 ms
)

// ErrNoWeights says that the weights are not built in. Damaged ones are nn.ErrWeights.
var ErrNoWeights = errors.New("built without the weights of the voice detector; run make assets and build again")

const (
	magic   = "tarsd-silero-1"
	context = 64 // samples of the frame before that a frame is seen with
	window  = 256
	hop     = 128
	steps   = 4 // spectra of a frame
	bins    = window/2 + 1
	width   = 128 // of the recurrent layer, which has four gates
)

// encoder says how the layers that follow the spectra are shaped. Each is a convolution over three
// steps, with a step of zeros before and behind what it gets.
var encoder = [4]struct{ in, out, stride, steps int }{
	{bins, 128, 1, steps}, {128, 64, 2, steps}, {64, 64, 2, steps / 2}, {64, width, 1, steps / 4},
}

// model is the weights, which never change once they are loaded.
type model struct {
	conv  [len(encoder)]*nn.Matrix
	input *nn.Matrix // gates of the recurrent layer from what comes in; its bias is that of both
	state *nn.Matrix // and from what came out before
	last  *nn.Matrix
}

func newModel() *model {
	m := &model{input: nn.NewMatrix(width, 4*width), state: nn.NewMatrix(width, 4*width), last: nn.NewMatrix(width, 1)}
	for i, l := range encoder {
		m.conv[i] = nn.NewMatrix(3*l.in, l.out).Rectify()
	}
	return m
}

// parts lists the numbers in the order of the packed file.
func (m *model) parts() (all [][]float32) {
	for _, x := range append(m.conv[:], m.input, m.state, m.last) {
		all = append(all, x.W, x.B)
	}
	return all
}

// Detector hears one stream of sound. It is for one goroutine at a time, but those made by Another
// from it are independent.
type Detector struct {
	m        *model
	spectrum *nn.Spectrum

	sound         [context + FrameSamples + context]float32 // with what was before, and a mirrored end
	x             [len(encoder)][]float32                   // what goes into each layer, with a margin of zeros
	xAt, yAt      [len(encoder)][]int                       // where its windows and outputs begin
	heard         []float32                                 // what comes out of the last one
	fresh, kept   [4 * width]float32                        // gates
	out, memory   [width]float32                            // state of the recurrent layer
	spectra       [steps][]float32
	probabilities [1]float32
}

// Open returns a detector with the weights that are built in. The error wraps ErrNoWeights if there
// are none.
func Open() (*Detector, error) {
	file, err := assets.ReadFile("assets/" + PackedName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoWeights
	}
	if err != nil {
		return nil, fmt.Errorf("read voice detector: %w", err)
	}
	return Load(file)
}

// Load returns a detector with the weights of a packed file, which it does not keep.
func Load(file []byte) (*Detector, error) {
	m := newModel()
	if err := nn.Read(file, magic, m.parts()...); err != nil {
		return nil, fmt.Errorf("read voice detector: %w", err)
	}
	return newDetector(m), nil
}

func newDetector(m *model) *Detector {
	d := &Detector{m: m, spectrum: nn.NewSpectrum(nn.Hann(window, window)), heard: make([]float32, width)}
	for i, l := range encoder {
		d.x[i] = make([]float32, (l.steps+2)*l.in)
		out := 0
		if i+1 < len(encoder) {
			out = l.out // the margin of the next layer
		}
		for t := 0; t < l.steps; t += l.stride {
			d.xAt[i] = append(d.xAt[i], t*l.in)
			d.yAt[i] = append(d.yAt[i], out+t/l.stride*l.out)
		}
	}
	for t := range d.spectra {
		d.spectra[t] = make([]float32, bins)
	}
	return d
}

// Another returns a detector with the same weights for another stream.
func (d *Detector) Another() *Detector { return newDetector(d.m) }

// Reset forgets what was heard.
func (d *Detector) Reset() {
	clear(d.sound[:])
	clear(d.out[:])
	clear(d.memory[:])
}

// Process returns how likely somebody speaks in the frame, from 0 to 1. The frame is FrameSamples
// long, and frames of a stream follow each other without a gap; a shorter one is a mistake of the
// caller and panics. Nothing is allocated.
func (d *Detector) Process(frame []int16) (probability float32) {
	const end = context + FrameSamples
	copy(d.sound[:context], d.sound[FrameSamples:end])
	for i, v := range (*[FrameSamples]int16)(frame) {
		d.sound[context+i] = float32(v) / 32768
	}
	for i := range context {
		d.sound[end+i] = d.sound[end-2-i]
	}
	d.listen()
	for i, m := range d.m.conv {
		y := d.heard
		if i+1 < len(d.x) {
			y = d.x[i+1]
		}
		m.Apply(y, d.yAt[i], d.x[i], d.xAt[i])
	}
	d.remember()
	d.m.last.One(d.probabilities[:], d.fresh[:width])
	return nn.Sigmoid(d.probabilities[0])
}

// listen makes the magnitudes that the first layer gets.
func (d *Detector) listen() {
	for t := 0; t < steps; t += 2 {
		a, b := d.spectra[t], d.spectra[t+1]
		d.spectrum.Power(a, b, d.sound[t*hop:], d.sound[(t+1)*hop:])
	}
	for t, p := range d.spectra {
		row := d.x[0][(t+1)*bins:][:bins]
		for k, v := range p {
			row[k] = float32(math.Sqrt(float64(v)))
		}
	}
}

// remember runs the recurrent layer and leaves what is positive of its output at the beginning of
// fresh.
func (d *Detector) remember() {
	d.m.input.One(d.fresh[:], d.heard)
	d.m.state.One(d.kept[:], d.out[:])
	for i, v := range d.kept {
		d.fresh[i] += v
	}
	tanh := func(x float32) float32 { return float32(math.Tanh(float64(x))) }
	for i := range width {
		in, forget, cell, out := d.fresh[i], d.fresh[width+i], d.fresh[2*width+i], d.fresh[3*width+i]
		d.memory[i] = nn.Sigmoid(forget)*d.memory[i] + nn.Sigmoid(in)*tanh(cell)
		d.out[i] = nn.Sigmoid(out) * tanh(d.memory[i])
		d.fresh[i] = max(d.out[i], 0)
	}
}

// Pack reads silero_vad_16k_op15.onnx of the PyPI package and writes the file that Load takes. The
// spectra are not in it: Pack makes sure that the network's are the ordinary ones.
func Pack(w io.Writer, file []byte) error {
	t, m := onnx.Open(file), newModel()
	for i, l := range encoder {
		name := fmt.Sprintf("model.encoder.%d.reparam_conv.", i)
		m.conv[i].TakeConv(t.Take(name+"weight", l.out, l.in, 3), t.Take(name+"bias", l.out))
	}
	copy(m.input.W, t.Take("model.decoder.rnn.weight_ih", 4*width, width))
	copy(m.state.W, t.Take("model.decoder.rnn.weight_hh", 4*width, width))
	hh := t.Take("model.decoder.rnn.bias_hh", 4*width)
	for i, v := range t.Take("model.decoder.rnn.bias_ih", 4*width) {
		m.input.B[i] = v + hh[i]
	}
	copy(m.last.W, t.Take("model.decoder.decoder.2.weight", 1, width, 1))
	copy(m.last.B, t.Take("model.decoder.decoder.2.bias", 1))
	basis := t.Take("model.stft.forward_basis_buffer", 2*bins, 1, window)
	if err := t.Err(); err != nil {
		return fmt.Errorf("pack voice detector: %w", err)
	}
	if err := nn.CheckBasis(basis[:bins*window], basis[bins*window:], nn.Hann(window, window)); err != nil {
		return fmt.Errorf("pack voice detector: %w", err)
	}
	return nn.Write(w, magic, m.parts()...)
}
