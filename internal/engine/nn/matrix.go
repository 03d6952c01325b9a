package nn

import "math"

// Matrix is a linear map and the activation behind it. Row o of W holds what output o takes of each
// input, so that an output is the dot product of two rows that lie in one piece. A convolution is
// one too, whose inputs are a window that overlaps the next.
type Matrix struct {
	In, Out int
	W, B    []float32
	// Slope is what negative outputs are multiplied with, and Floor the least output after that.
	Slope, Floor float32
}

// NewMatrix is a matrix of zeros without an activation.
func NewMatrix(in, out int) *Matrix {
	return &Matrix{
		In: in, Out: out, W: make([]float32, in*out), B: make([]float32, out),
		Slope: 1, Floor: float32(math.Inf(-1)),
	}
}

// Rectify sets the activation that knows no negative outputs, and returns m.
func (m *Matrix) Rectify() *Matrix {
	m.Floor = 0
	return m
}

// Apply maps several inputs, which begin in x where xAt says. The outputs begin in y where yAt says.
// Four outputs of all inputs are made before the next four, so that weights are read from memory once.
func (m *Matrix) Apply(y []float32, yAt []int, x []float32, xAt []int) {
	yAt = yAt[:len(xAt)]
	o := 0
	for ; o+4 <= m.Out; o += 4 {
		w := [4][]float32{m.row(o), m.row(o + 1), m.row(o + 2), m.row(o + 3)}
		i := 0
		for ; i+4 <= len(xAt); i += 4 {
			x0, x1, x2, x3 := x[xAt[i]:][:m.In], x[xAt[i+1]:][:m.In], x[xAt[i+2]:][:m.In], x[xAt[i+3]:][:m.In]
			for k, w := range w {
				a, b, c, d := dot4(w, x0, x1, x2, x3)
				y[yAt[i]+o+k], y[yAt[i+1]+o+k] = m.bend(a, o+k), m.bend(b, o+k)
				y[yAt[i+2]+o+k], y[yAt[i+3]+o+k] = m.bend(c, o+k), m.bend(d, o+k)
			}
		}
		for ; i < len(xAt); i++ {
			a, b, c, d := dot4(x[xAt[i]:][:m.In], w[0], w[1], w[2], w[3])
			to := y[yAt[i]+o:][:4]
			to[0], to[1], to[2], to[3] = m.bend(a, o), m.bend(b, o+1), m.bend(c, o+2), m.bend(d, o+3)
		}
	}
	for ; o < m.Out; o++ {
		for i := range xAt {
			y[yAt[i]+o] = m.bend(Dot(m.row(o), x[xAt[i]:][:m.In]), o)
		}
	}
}

// One maps one input.
func (m *Matrix) One(y, x []float32) {
	var at [1]int
	m.Apply(y[:m.Out], at[:], x[:m.In], at[:])
}

func (m *Matrix) row(o int) []float32 { return m.W[o*m.In:][:m.In] }

// bend adds the bias of an output and applies the activation.
func (m *Matrix) bend(v float32, o int) float32 {
	v += m.B[o]
	if v < 0 {
		v *= m.Slope
		if v < m.Floor {
			return m.Floor
		}
	}
	return v
}

// Sigmoid is the logistic function.
func Sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

// The inner loops read weights, which never change, and numbers of one goroutine: the race detector
// would make them thirty times as slow and find nothing.

// dot4 is the dot product of one row with each of four. Each number of the four is loaded once and
// used once: a product then needs no copy of it, which makes this twice as fast as sharing them among
// more outputs.
//
//go:norace
func dot4(w, x0, x1, x2, x3 []float32) (s0, s1, s2, s3 float32) {
	n := len(w)
	x0, x1, x2, x3 = x0[:n], x1[:n], x2[:n], x3[:n]
	for i, v := range w {
		s0 += x0[i] * v
		s1 += x1[i] * v
		s2 += x2[i] * v
		s3 += x3[i] * v
	}
	return s0, s1, s2, s3
}

// Dot is the dot product of two rows of equal length.
//
//go:norace
func Dot(w, x []float32) float32 {
	n := len(w)
	x = x[:n]
	var a0, a1, a2, a3 float32
	i := 0
	for ; i+4 <= n; i += 4 {
		p, v := w[i:i+4:i+4], x[i:i+4:i+4]
		a0 += p[0] * v[0]
		a1 += p[1] * v[1]
		a2 += p[2] * v[2]
		a3 += p[3] * v[3]
	}
	for ; i < n; i++ {
		a0 += w[i] * x[i]
	}
	return (a0 + a1) + (a2 + a3)
}
