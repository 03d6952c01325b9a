package openwakeword

import (
	"embed"
	"errors"
	"fmt"
	"io"

	"github.com/tarsd/tarsd/internal/engine/nn"
	"github.com/tarsd/tarsd/internal/engine/onnx"
)

// assets holds the packed weights once `make assets` has run; the file beside them is always there.
//
//go:embed assets
var assets embed.FS

// PackedName is the file in assets/ that Open looks for and Pack writes.
const PackedName = "openwakeword.bin"

// ErrNoWeights says that the weights are not built in. Damaged ones are nn.ErrWeights.
var ErrNoWeights = errors.New("built without the weights of the wake word; run make assets and build again")

const (
	magic = "tarsd-openwakeword-1"

	// What the network bends negative numbers with.
	slope = 0.2
	floor = -0.4
)

// block is layers in a row, after which the larger of neighbours are kept: of each two bands, and of
// each two frames if time says so. Layers look at three bands, then at three frames, and so on.
type block struct {
	in, out int // channels
	layers  int
	bands   int
	frames  int // new ones for each chunk
	time    bool
}

// The network. Before it stands a layer that looks at three bands of three frames at once, and
// behind it one that looks at three frames, of which there is one new for each chunk.
var blocks = [5]block{
	{24, 24, 2, 32, 8, true},
	{24, 48, 4, 16, 4, false},
	{48, 72, 4, 8, 4, true},
	{72, 96, 4, 4, 2, false},
	{96, 96, 4, 2, 2, true},
}

// model is the weights, which never change once they are loaded.
type model struct {
	mel   []float32 // for each bin of the spectrum, what it gives to each band
	first *nn.Matrix
	conv  [len(blocks)][]*nn.Matrix
	last  *nn.Matrix
}

func newModel() *model {
	m := &model{mel: make([]float32, bins*bands), first: bent(9, blocks[0].in), last: nn.NewMatrix(3*Dim, Dim)}
	for i, b := range blocks {
		in := b.in
		for range b.layers {
			m.conv[i] = append(m.conv[i], bent(3*in, b.out))
			in = b.out
		}
	}
	return m
}

func bent(in, out int) *nn.Matrix {
	m := nn.NewMatrix(in, out)
	m.Slope, m.Floor = slope, floor
	return m
}

// parts lists the numbers in the order of the packed file.
func (m *model) parts() [][]float32 {
	all := [][]float32{m.mel, m.first.W, m.first.B}
	for _, b := range m.conv {
		for _, x := range b {
			all = append(all, x.W, x.B)
		}
	}
	return append(all, m.last.W)
}

// Pack reads melspectrogram.onnx and embedding_model.onnx and writes the file that Load takes. The
// spectra are not in it: Pack makes sure that the network's are the ordinary ones.
func Pack(w io.Writer, mel, embedding []byte) error {
	t, m := onnx.Open(mel), newModel()
	m.mel = t.Take("1.melW", bins, bands)
	cosines := t.Take("0.stft.conv_real.weight", bins, 1, window)
	sines := t.Take("0.stft.conv_imag.weight", bins, 1, window)
	if err := t.Err(); err != nil {
		return fmt.Errorf("pack mel spectrogram: %w", err)
	}
	if err := nn.CheckBasis(cosines, sines, nn.Hann(window, spoken)); err != nil {
		return fmt.Errorf("pack mel spectrogram: %w", err)
	}
	t = onnx.Open(embedding)
	n := 0
	name := func(what string) string {
		if n == 0 {
			return "model/conv2d/Conv2D_" + what + "_fused_bn"
		}
		return fmt.Sprintf("model/conv2d_%d/Conv2D_%s_fused_bn", n, what)
	}
	// With one channel, ONNX's order of nine places is ours.
	copy(m.first.W, t.Take(name("weights"), blocks[0].in, 1, 3, 3))
	copy(m.first.B, t.Take(name("bias"), blocks[0].in))
	for i := range blocks {
		for k, x := range m.conv[i] {
			n++
			rows, columns := 1, 3
			if k%2 == 1 {
				rows, columns = 3, 1
			}
			x.TakeConv(t.Take(name("weights"), x.Out, x.In/3, rows, columns), t.Take(name("bias"), x.Out))
		}
	}
	m.last.TakeConv(t.Take(fmt.Sprintf("model/conv2d_%d/Conv2D/ReadVariableOp:0", n+1), Dim, Dim, 3, 1), nil)
	if err := t.Err(); err != nil {
		return fmt.Errorf("pack speech embedding: %w", err)
	}
	return nn.Write(w, magic, m.parts()...)
}
