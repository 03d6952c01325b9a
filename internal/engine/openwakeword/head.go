package openwakeword

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"unicode"
	"unicode/utf8"

	"github.com/tarsd/tarsd/internal/engine/nn"
)

// Bounds of a head.
const (
	MaxHidden = 128 // units of the hidden layer
	MaxPhrase = 64  // bytes of the phrase
)

// ErrHead is wrapped by the errors of ReadHead.
var ErrHead = errors.New("no wake word head")

// A head file is this line, the length of the phrase (one byte), the phrase, the threshold, the number
// of hidden units (two bytes), the weights of the hidden layer, its biases, the weights of the output
// and its bias, and a CRC-32 of all that. Numbers are little-endian, weights float32.
const headLine = "tarsd-wake-head-1\n"

const maxHeadFile = len(headLine) + 1 + MaxPhrase + 4 + 2 + 4*(MaxHidden*(Window*Dim+2)+1) + 4

// Head knows one phrase: it makes a score of the last embeddings. It never changes once it is made,
// so several detectors may share one.
type Head struct {
	Phrase string
	// Threshold is the score from which on its maker takes the phrase as heard, above 0 and below 1.
	Threshold float32
	// Hidden makes a few numbers of Window*Dim, Out the logit of the score of those.
	Hidden, Out *nn.Matrix
}

// NewHead returns a head whose weights are zero, with up to MaxHidden hidden units.
func NewHead(phrase string, threshold float32, hidden int) *Head {
	return &Head{
		Phrase: phrase, Threshold: threshold,
		Hidden: nn.NewMatrix(Window*Dim, hidden).Rectify(), Out: nn.NewMatrix(hidden, 1),
	}
}

// Score says how likely the phrase has just been spoken, from 0 to 1. features is what Chain.Features
// returns.
func (h *Head) Score(features []float32) float32 {
	var hidden [MaxHidden]float32
	var out [1]float32
	h.Hidden.One(hidden[:], features)
	h.Out.One(out[:], hidden[:])
	if s := nn.Sigmoid(out[0]); s == s {
		return s
	}
	return 0 // weights so large that they add up to no number
}

func (h *Head) parts() [4][]float32 { return [4][]float32{h.Hidden.W, h.Hidden.B, h.Out.W, h.Out.B} }

// check reports what is wrong with the parts of a head that are not weights.
func check(phrase string, threshold float32, hidden int) error {
	switch {
	case phrase == "" || len(phrase) > MaxPhrase || !utf8.ValidString(phrase):
		return fmt.Errorf("%w: a phrase of %d bytes", ErrHead, len(phrase))
	case !(threshold > 0 && threshold < 1):
		return fmt.Errorf("%w: threshold %g", ErrHead, threshold)
	case hidden < 1 || hidden > MaxHidden:
		return fmt.Errorf("%w: %d hidden units", ErrHead, hidden)
	}
	for _, r := range phrase {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%w: the phrase %q cannot be shown", ErrHead, phrase)
		}
	}
	return nil
}

// Write writes a head file. The same head gives the same bytes.
func (h *Head) Write(w io.Writer) error {
	if err := check(h.Phrase, h.Threshold, h.Hidden.Out); err != nil {
		return err
	}
	b := append([]byte(headLine), byte(len(h.Phrase)))
	b = append(b, h.Phrase...)
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(h.Threshold))
	b = binary.LittleEndian.AppendUint16(b, uint16(h.Hidden.Out))
	for _, p := range h.parts() {
		for _, f := range p {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
		}
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write wake word head: %w", err)
	}
	return nil
}

// ReadHead reads a head file, of which nothing is trusted: it must be whole, of a length that fits what
// it says, and hold finite numbers only. At most 800 kB are read.
func ReadHead(r io.Reader) (*Head, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(maxHeadFile)+1))
	if err != nil {
		return nil, fmt.Errorf("read wake word head: %w", err)
	}
	at := len(headLine) + 1
	if len(b) < at || string(b[:len(headLine)]) != headLine {
		return nil, fmt.Errorf("%w: another kind of file", ErrHead)
	}
	end := at + int(b[at-1])
	if len(b) < end+4+2+4 {
		return nil, fmt.Errorf("%w: it ends early", ErrHead)
	}
	phrase := string(b[at:end])
	threshold := math.Float32frombits(binary.LittleEndian.Uint32(b[end:]))
	hidden := int(binary.LittleEndian.Uint16(b[end+4:]))
	if err := check(phrase, threshold, hidden); err != nil {
		return nil, err
	}
	weights, body := b[end+6:len(b)-4], b[:len(b)-4]
	if len(weights) != 4*(hidden*(Window*Dim+2)+1) {
		return nil, fmt.Errorf("%w: %d bytes of weights for %d hidden units", ErrHead, len(weights), hidden)
	}
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, fmt.Errorf("%w: wrong checksum", ErrHead)
	}
	h := NewHead(phrase, threshold, hidden)
	for _, p := range h.parts() {
		for i := range p {
			p[i] = math.Float32frombits(binary.LittleEndian.Uint32(weights))
			if p[i]-p[i] != 0 {
				return nil, fmt.Errorf("%w: a weight is not finite", ErrHead)
			}
			weights = weights[4:]
		}
	}
	return h, nil
}

// smooth is of how many chunks a detector takes the mean score: a phrase is certain for a quarter of a
// second, what is mistaken for it mostly for one chunk.
const smooth = 3

// Mean is the mean of the last scores, as a Detector has it. Its zero value has none.
type Mean struct {
	last [smooth]float32
	n    int
}

// Add takes a score and returns the mean of the last ones, in which those before the first count as zero.
func (m *Mean) Add(score float32) float32 {
	m.last[m.n%smooth] = score
	m.n++
	sum := float32(0)
	for _, v := range m.last {
		sum += v
	}
	return sum / smooth
}

// Detector is a chain and a head.
type Detector struct {
	chain *Chain
	head  *Head
	mean  Mean
}

// NewDetector returns a detector that owns the chain.
func NewDetector(chain *Chain, head *Head) *Detector { return &Detector{chain: chain, head: head} }

// Reset forgets what was heard.
func (d *Detector) Reset() {
	d.chain.Reset()
	d.mean = Mean{}
}

// Process returns how likely the phrase has just ended, from 0 to 1: the mean of the scores of the last three
// chunks. In the first 0.4 s of a stream it is 0. The chunk is as that of Chain.Process.
func (d *Detector) Process(chunk []int16) (score float32) {
	if _, ok := d.chain.Process(chunk); !ok {
		return 0
	}
	return d.mean.Add(d.head.Score(d.chain.Features()))
}
