package train

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/nn"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
)

// synthetic makes examples: noise around the level of each feature, and those with the phrase have a
// pattern in their last six embeddings. Some of the others have the pattern too early.
func synthetic(n int, seed uint64) (all []Example) {
	r := rand.New(rand.NewPCG(seed, 0))
	p := rand.New(rand.NewPCG(99, 0)) // the pattern and levels are the same in all sets
	pattern, level := make([]float32, 6*openwakeword.Dim), make([]float32, openwakeword.Dim)
	for i := range pattern {
		pattern[i] = float32(12 * p.NormFloat64())
	}
	for i := range level {
		level[i] = float32(20 * p.NormFloat64())
	}
	for i := range n {
		x := Example{Features: make([]float32, width), Wake: i%4 == 0}
		for k := range x.Features {
			x.Features[k] = level[k%openwakeword.Dim] + float32(8*r.NormFloat64())
		}
		at := -1
		switch i % 4 {
		case 0:
			at = width - len(pattern)
		case 1:
			at = openwakeword.Dim * r.IntN(6)
		}
		if at >= 0 {
			for k, v := range pattern {
				x.Features[at+k] += v
			}
		}
		all = append(all, x)
	}
	return all
}

func TestLearns(t *testing.T) {
	t.Parallel()
	head, r, err := Run(t.Context(), synthetic(600, 1), synthetic(400, 2), Options{Phrase: "hey tars", Hidden: 16, Seed: 7})
	require.NoError(t, err)
	t.Logf("%+v", r)
	assert.Equal(t, "hey tars", head.Phrase)
	assert.InDelta(t, 0.5, head.Threshold, 1e-9)
	assert.Equal(t, 100, r.Wake)
	assert.Equal(t, 300, r.Other)
	assert.GreaterOrEqual(t, r.Hits, 97)
	assert.LessOrEqual(t, r.FalseHits, 3)
	assert.Len(t, r.Loss, r.Epochs)
	assert.Less(t, r.Loss[r.Best-1], 0.5*math.Ln2)

	var b bytes.Buffer
	require.NoError(t, head.Write(&b))
	again, err := openwakeword.ReadHead(&b)
	require.NoError(t, err)
	assert.Equal(t, head, again)
}

// TestSameBytes: a head can be made again.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	file := func(seed uint64) []byte {
		head, _, err := Run(t.Context(), synthetic(200, 1), synthetic(100, 2), Options{Phrase: "x", Hidden: 4, Seed: seed, Epochs: 3})
		require.NoError(t, err)
		var b bytes.Buffer
		require.NoError(t, head.Write(&b))
		return b.Bytes()
	}
	one := file(1)
	assert.Equal(t, one, file(1))
	assert.NotEqual(t, one, file(2))
}

// TestStopsEarly: where there is nothing to find, it does not go on and on, and the head is the best
// one, not the last.
func TestStopsEarly(t *testing.T) {
	t.Parallel()
	examples, held := synthetic(120, 1), synthetic(80, 2)
	r := rand.New(rand.NewPCG(5, 5))
	for i := range examples {
		examples[i].Wake = i == 0 || r.IntN(3) == 0 && i != 1
	}
	head, report, err := Run(t.Context(), examples, held, Options{Phrase: "x", Hidden: 8, Epochs: 40, Patience: 3})
	require.NoError(t, err)
	assert.Less(t, report.Epochs, 40)
	assert.Equal(t, report.Best+3, report.Epochs)
	wake := newTrainer(examples, Options{Hidden: 1}.defaults()).wake
	assert.InDelta(t, report.Loss[report.Best-1], lossOf(head, held, wake), 1e-12)
	for _, l := range report.Loss {
		assert.GreaterOrEqual(t, l, report.Loss[report.Best-1])
	}
}

// TestGradient compares what learn adds up with differences of the loss.
func TestGradient(t *testing.T) {
	t.Parallel()
	examples := synthetic(8, 3)
	tr := newTrainer(examples, Options{Hidden: 3, Seed: 1, WakeWeight: 2}.defaults())
	loss := func(x Example) float64 {
		tr.head.Hidden.One(tr.hidden, tr.x)
		tr.head.Out.One(tr.out[:], tr.hidden)
		z := float64(tr.out[0])
		if x.Wake {
			return 2 * math.Log1p(math.Exp(-z))
		}
		return math.Log1p(math.Exp(z))
	}
	for _, x := range examples[:2] {
		for _, s := range tr.steps {
			clear(s.sum)
		}
		tr.learn(x)
		for part, s := range tr.steps {
			for _, i := range []int{0, len(s.weights) / 2, len(s.weights) - 1} {
				const d = 1e-2
				was := s.weights[i]
				s.weights[i] = was + d
				up := loss(x)
				s.weights[i] = was - d
				down := loss(x)
				s.weights[i] = was
				assert.InDelta(t, (up-down)/(2*d), s.sum[i], 2e-3, "part %d weight %d", part, i)
			}
		}
	}
}

// TestFinished: the head for features as they come scores as the one for scaled features.
func TestFinished(t *testing.T) {
	t.Parallel()
	examples := synthetic(40, 4)
	tr := newTrainer(examples, Options{Hidden: 5, Seed: 1, Phrase: "x"}.defaults())
	require.NoError(t, tr.epoch(t.Context(), examples))
	head := tr.finished()
	for _, x := range examples {
		tr.learn(x) // leaves the logit
		assert.InDelta(t, nn.Sigmoid(tr.out[0]), head.Score(x.Features), 1e-4)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	good := synthetic(20, 1)
	short, odd := synthetic(20, 1), synthetic(20, 1)
	short[3].Features = short[3].Features[:95]
	odd[3].Features[7] = float32(math.NaN())
	for name, c := range map[string]struct {
		examples, held []Example
		o              Options
		want           string
	}{
		"nothing":       {nil, good, Options{}, "0 of the 0 examples"},
		"nothing held":  {good, nil, Options{}, "held-back"},
		"one kind":      {good[1:4], good, Options{}, "some must not"},
		"short":         {short, good, Options{}, "95 features"},
		"not finite":    {good, odd, Options{}, "finite"},
		"many units":    {good, good, Options{Hidden: 1000}, "hidden"},
		"negative rate": {good, good, Options{Rate: -1}, "positive"},
		"rate NaN":      {good, good, Options{Rate: math.NaN()}, "positive"},
		"burst":         {good, good, Options{Rate: 1e40, Hidden: 2, Epochs: 2}, "lower rate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Run(t.Context(), c.examples, c.held, c.o)
			require.ErrorContains(t, err, c.want)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := Run(ctx, good, good, Options{})
	require.ErrorIs(t, err, context.Canceled)
}

func BenchmarkEpoch(b *testing.B) {
	examples := synthetic(1000, 1)
	t := newTrainer(examples, Options{}.defaults())
	for b.Loop() {
		if err := t.epoch(b.Context(), examples); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(examples)), "µs/example")
}
