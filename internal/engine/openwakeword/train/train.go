// Package train makes a wake word head of examples: windows of features with and without the phrase
// at their end. Where the examples come from is left to others.
//
// The same examples in the same order with the same options give the same bytes on one kind of
// processor. On another kind, which may fuse multiplications with additions, the last digits differ.
package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/tarsd/tarsd/internal/engine/nn"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
)

// width is the length of a window.
const width = openwakeword.Window * openwakeword.Dim

// Example is one window and whether the phrase ends with it.
type Example struct {
	Features []float32 // as Chain.Features returns them
	Wake     bool
}

// Options say how to train. What is zero takes its default.
type Options struct {
	Phrase    string
	Threshold float32 // 0.5
	Hidden    int     // 32 units, openwakeword.MaxHidden at most
	Seed      uint64
	Epochs    int     // 40 at most, each of which shows every example once
	Patience  int     // 6: how many epochs without a better loss end it
	Batch     int     // 32 examples between two steps
	Rate      float64 // 0.001, of a step
	Decay     float64 // 0.01: how much of a weight a step of rate 1 would take away
	// Context is how many of the last embeddings the head looks at; 0: all. The rest have weights of zero: a
	// short phrase needs less than there is, and more is more to learn by heart.
	Context int
	// Drop is the share of features, and of hidden units, that are left out of a step, from 0 to below 1. It
	// keeps a head from relying on a few of them (Srivastava and others, 2014).
	Drop float64
	// WakeWeight is what an example with the phrase counts. By default they count a quarter of what
	// the others do together, but each at least 1.
	WakeWeight float64
}

func (o Options) defaults() Options {
	set(&o.Threshold, 0.5)
	set(&o.Hidden, 32)
	set(&o.Epochs, 40)
	set(&o.Patience, 6)
	set(&o.Batch, 32)
	set(&o.Rate, 0.001)
	set(&o.Decay, 0.01)
	set(&o.Context, openwakeword.Window)
	return o
}

func set[T comparable](to *T, value T) {
	var zero T
	if *to == zero {
		*to = value
	}
}

// Report says how it went. Counts are of held-back windows at the threshold, not of utterances.
type Report struct {
	Epochs, Best      int       // how many there were, and which one the head is of, from 1
	Loss              []float64 // of the held-back examples after each epoch
	Wake, Hits        int
	Other, FalseHits  int
	Examples, HeldOut int
}

// ErrExamples is wrapped by the errors about what is to be learned from.
var ErrExamples = errors.New("no examples to learn from")

// Run trains a head on the examples. It keeps the one of the epoch after which held, examples it does
// not learn from, of voices that it never heard, are told apart best.
func Run(ctx context.Context, examples, held []Example, o Options) (*openwakeword.Head, Report, error) {
	o = o.defaults()
	if err := o.check(examples, held); err != nil {
		return nil, Report{}, err
	}
	t := newTrainer(examples, o)
	r := Report{Examples: len(examples), HeldOut: len(held)}
	best, least := t.head, math.Inf(1)
	for r.Epochs < o.Epochs && r.Epochs-r.Best < o.Patience {
		if err := t.epoch(ctx, examples); err != nil {
			return nil, Report{}, err
		}
		r.Epochs++
		head := t.finished()
		loss := lossOf(head, held, t.wake)
		r.Loss = append(r.Loss, loss)
		if loss < least && finite(head) {
			best, least, r.Best = head, loss, r.Epochs
		}
	}
	if r.Best == 0 {
		return nil, Report{}, fmt.Errorf("%w: the weights became too large; a lower rate may help", ErrExamples)
	}
	r.count(best, held)
	return best, r, nil
}

func (o Options) check(examples, held []Example) error {
	if o.Hidden < 1 || o.Hidden > openwakeword.MaxHidden {
		return fmt.Errorf("hidden: %d units, want 1 to %d", o.Hidden, openwakeword.MaxHidden)
	}
	if o.Context < 1 || o.Context > openwakeword.Window {
		return fmt.Errorf("context: %d embeddings, want 1 to %d", o.Context, openwakeword.Window)
	}
	if !(o.Drop >= 0 && o.Drop < 1) {
		return fmt.Errorf("drop: a share of %g is not from 0 to below 1", o.Drop)
	}
	if o.Epochs < 1 || o.Patience < 1 || o.Batch < 1 || !(o.Rate > 0) || !(o.Decay >= 0) || !(o.WakeWeight >= 0) {
		return errors.New("epochs, patience, batch, rate, decay and weight must be positive")
	}
	for _, set := range []struct {
		name string
		of   []Example
	}{{"examples", examples}, {"held-back examples", held}} {
		wake := 0
		for i, x := range set.of {
			if len(x.Features) != width {
				return fmt.Errorf("%w: number %d of the %s has %d features, want %d", ErrExamples, i, set.name, len(x.Features), width)
			}
			if slices.ContainsFunc(x.Features, func(f float32) bool { return f-f != 0 }) {
				return fmt.Errorf("%w: number %d of the %s has features that are not finite", ErrExamples, i, set.name)
			}
			if x.Wake {
				wake++
			}
		}
		if wake == 0 || wake == len(set.of) {
			return fmt.Errorf("%w: %d of the %d %s have the phrase; some must and some must not", ErrExamples, wake, len(set.of), set.name)
		}
	}
	return nil
}

// count fills in what the head makes of the held-back examples.
func (r *Report) count(h *openwakeword.Head, held []Example) {
	for _, x := range held {
		hit := 0
		if h.Score(x.Features) >= h.Threshold {
			hit = 1
		}
		if x.Wake {
			r.Wake++
			r.Hits += hit
		} else {
			r.Other++
			r.FalseHits += hit
		}
	}
}

// lossOf is the mean cross-entropy, in which an example with the phrase counts as wake says.
func lossOf(h *openwakeword.Head, examples []Example, wake float64) float64 {
	sum, weights := 0.0, 0.0
	for _, x := range examples {
		p, w := float64(h.Score(x.Features)), 1.0
		if x.Wake {
			w = wake
		} else {
			p = 1 - p
		}
		sum -= w * math.Log(max(p, 1e-7))
		weights += w
	}
	return sum / weights
}

// finite reports whether a head can be written and read.
func finite(h *openwakeword.Head) bool {
	bad := func(f float32) bool { return f-f != 0 }
	return !slices.ContainsFunc(h.Hidden.W, bad) && !slices.ContainsFunc(h.Hidden.B, bad) &&
		!slices.ContainsFunc(h.Out.W, bad) && !slices.ContainsFunc(h.Out.B, bad)
}

// trainer is a head on its way. It sees features moved and scaled to mean 0 and variance 1.
type trainer struct {
	o     Options
	wake  float64 // what an example with the phrase counts
	rand  *rand.Rand
	order []int
	head  *openwakeword.Head // as learned so far, for scaled features
	mean  [openwakeword.Dim]float64
	scale [openwakeword.Dim]float64
	steps []*adam // of the parts of the head

	skip   int       // features that the head does not look at
	kept   float32   // factor of what is not dropped
	x      []float32 // the scaled features of one example
	hidden []float32
	out    [1]float32
}

func newTrainer(examples []Example, o Options) *trainer {
	t := &trainer{
		o: o, wake: o.WakeWeight, rand: rand.New(rand.NewPCG(o.Seed, 0x7a75)), //nolint:gosec // it must be the same each time
		head: openwakeword.NewHead(o.Phrase, o.Threshold, o.Hidden),
		x:    make([]float32, width), hidden: make([]float32, o.Hidden),
		skip: (openwakeword.Window - o.Context) * openwakeword.Dim, kept: float32(1 / (1 - o.Drop)),
	}
	t.measure(examples)
	for i := range examples {
		t.order = append(t.order, i)
	}
	start := func(m *nn.Matrix, spread float64) {
		for i := range m.W {
			m.W[i] = float32(spread * t.rand.NormFloat64())
		}
		t.steps = append(t.steps, newAdam(m.W, o.Rate, o.Decay), newAdam(m.B, o.Rate, 0))
	}
	start(t.head.Hidden, math.Sqrt(2.0/float64(width-t.skip)))
	for j := range o.Hidden {
		clear(t.head.Hidden.W[j*width:][:t.skip])
	}
	start(t.head.Out, math.Sqrt(1/float64(o.Hidden)))
	return t
}

// measure finds the mean and spread of each feature, and what examples with the phrase count.
func (t *trainer) measure(examples []Example) {
	var square [openwakeword.Dim]float64
	wake := 0
	for _, x := range examples {
		for i, v := range x.Features {
			t.mean[i%openwakeword.Dim] += float64(v)
			square[i%openwakeword.Dim] += float64(v) * float64(v)
		}
		if x.Wake {
			wake++
		}
	}
	n := float64(len(examples) * openwakeword.Window)
	for i := range t.mean {
		t.mean[i] /= n
		t.scale[i] = 1 / math.Sqrt(max(square[i]/n-t.mean[i]*t.mean[i], 1e-4))
	}
	if t.wake == 0 {
		t.wake = max(1, float64(len(examples)-wake)/float64(wake)/4)
	}
}

// epoch shows all examples once, in another order each time.
func (t *trainer) epoch(ctx context.Context, examples []Example) error {
	t.rand.Shuffle(len(t.order), func(i, j int) { t.order[i], t.order[j] = t.order[j], t.order[i] })
	for batch := range slices.Chunk(t.order, t.o.Batch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, i := range batch {
			t.learn(examples[i])
		}
		for _, s := range t.steps {
			s.step(len(batch))
		}
	}
	return nil
}

// learn adds the gradient of one example.
func (t *trainer) learn(x Example) {
	for i, v := range x.Features[t.skip:] {
		i += t.skip
		k := i % openwakeword.Dim
		t.x[i] = float32((float64(v) - t.mean[k]) * t.scale[k])
	}
	t.drop(t.x[t.skip:])
	t.head.Hidden.One(t.hidden, t.x)
	t.drop(t.hidden)
	t.head.Out.One(t.out[:], t.hidden)
	g := nn.Sigmoid(t.out[0])
	if x.Wake {
		g = (g - 1) * float32(t.wake)
	}
	inW, inB, outW, outB := t.steps[0].sum, t.steps[1].sum, t.steps[2].sum, t.steps[3].sum
	outB[0] += g
	for j, h := range t.hidden {
		if h <= 0 {
			continue
		}
		outW[j] += g * h
		d := g * t.head.Out.W[j] * t.kept
		inB[j] += d
		addScaled(inW[j*width:][:width], d, t.x)
	}
}

// drop leaves out some of x, and makes up for it with the rest.
func (t *trainer) drop(x []float32) {
	if t.o.Drop == 0 {
		return
	}
	limit := uint32(t.o.Drop * (1 << 32))
	for i := range x {
		if t.rand.Uint32() < limit {
			x[i] = 0
		} else {
			x[i] *= t.kept
		}
	}
}

// addScaled is the inner loop; of one goroutine, so the race detector need not look.
//
//go:norace
func addScaled(to []float32, by float32, x []float32) {
	x = x[:len(to)]
	for i := range to {
		to[i] += by * x[i]
	}
}

// finished returns the head for features as they come: moving and scaling go into its weights.
func (t *trainer) finished() *openwakeword.Head {
	h := openwakeword.NewHead(t.o.Phrase, t.o.Threshold, t.o.Hidden)
	for j := range t.o.Hidden {
		bias := float64(t.head.Hidden.B[j])
		for i, w := range t.head.Hidden.W[j*width:][:width] {
			k := i % openwakeword.Dim
			scaled := float64(w) * t.scale[k]
			h.Hidden.W[j*width+i] = float32(scaled)
			bias -= scaled * t.mean[k]
		}
		h.Hidden.B[j] = float32(bias)
	}
	copy(h.Out.W, t.head.Out.W)
	copy(h.Out.B, t.head.Out.B)
	return h
}
