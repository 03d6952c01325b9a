package nn

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFile(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, Write(&b, "net-1", []float32{1, 2}, nil, []float32{3}))
	x, y := make([]float32, 2), make([]float32, 1)
	require.NoError(t, Read(b.Bytes(), "net-1", x, y))
	assert.Equal(t, []float32{1, 2}, x)
	assert.Equal(t, []float32{3}, y)

	flipped := bytes.Clone(b.Bytes())
	flipped[8] ^= 1
	var inf bytes.Buffer
	require.NoError(t, Write(&inf, "net-1", []float32{1, float32(math.Inf(1)), 2}))
	for name, file := range map[string][]byte{
		"empty": nil, "cut": b.Bytes()[:b.Len()-1], "longer": append(b.Bytes(), 0), "flipped": flipped, "infinite": inf.Bytes(),
	} {
		require.ErrorIs(t, Read(file, "net-1", x, y), ErrWeights, name)
	}
	require.ErrorIs(t, Read(b.Bytes(), "net-2", x, y), ErrWeights, "another network")
	require.Error(t, Write(full{}, "net-1"))
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }

// TestMatrix compares all paths through the product with the plain sum.
func TestMatrix(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, shape := range []struct{ in, out, n int }{{9, 24, 8}, {72, 24, 5}, {16, 3, 4}, {7, 1, 6}, {4, 5, 3}} {
		m := NewMatrix(shape.in, shape.out)
		m.Slope, m.Floor = 0.2, -0.4
		for i := range m.W {
			m.W[i] = float32(r.NormFloat64())
		}
		for i := range m.B {
			m.B[i] = float32(r.NormFloat64())
		}
		x := make([]float32, 3*shape.n+shape.in)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		var xAt, yAt []int
		for i := range shape.n {
			xAt = append(xAt, 3*(shape.n-i))
			yAt = append(yAt, i*(shape.out+1))
		}
		y := make([]float32, shape.n*(shape.out+1))
		m.Apply(y, yAt, x, xAt)
		for i := range shape.n {
			for o := range shape.out {
				sum := float64(m.B[o])
				for j := range shape.in {
					sum += float64(m.W[o*shape.in+j]) * float64(x[xAt[i]+j])
				}
				if sum < 0 {
					sum = max(0.2*sum, -0.4)
				}
				assert.InDelta(t, sum, y[yAt[i]+o], 1e-5, "%v input %d output %d", shape, i, o)
			}
		}
	}
	m := NewMatrix(1, 1).Rectify()
	m.W[0] = 1
	y := []float32{5}
	m.One(y, []float32{-3})
	assert.Zero(t, y[0])
}

func TestSpectrum(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	const n = 32
	a, b := make([]float32, n), make([]float32, n)
	for i := range a {
		a[i], b[i] = float32(r.NormFloat64()), float32(1000*r.NormFloat64())
	}
	window := Hann(n, 20)
	assert.Zero(t, window[6])
	assert.InDelta(t, 1, window[16], 1e-12)
	assert.Zero(t, window[26])
	s := NewSpectrum(window)
	require.Equal(t, 17, s.Bins())
	pa, pb := make([]float32, s.Bins()), make([]float32, s.Bins())
	s.Power(pa, pb, a, b)
	for k := range pa {
		for _, c := range []struct{ in, got []float32 }{{a, pa}, {b, pb}} {
			var re, im float64
			for i, v := range c.in {
				sin, cos := math.Sincos(2 * math.Pi * float64(k*i) / n)
				re += window[i] * float64(v) * cos
				im -= window[i] * float64(v) * sin
			}
			want := re*re + im*im
			assert.InEpsilon(t, want, c.got[k], 1e-5, "bin %d", k)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	m := NewMatrix(216, 72)
	x, y := make([]float32, 216*32), make([]float32, 72*32)
	var xAt, yAt []int
	for i := range 32 {
		xAt, yAt = append(xAt, 216*i), append(yAt, 72*i)
	}
	for b.Loop() {
		m.Apply(y, yAt, x, xAt)
	}
	b.ReportMetric(float64(b.N)*216*72*32/b.Elapsed().Seconds()/1e9, "GMAC/s")
}
