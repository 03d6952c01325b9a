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

// NewMatrix is a matrix of zeros without an activation. in must be a multiple of four or small.
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
// Two outputs of four inputs are made at a time: eight sums stay in registers, and each number that
// is loaded is used more than once.
func (m *Matrix) Apply(y []float32, yAt []int, x []float32, xAt []int) {
	yAt = yAt[:len(xAt)]
	i := 0
	for ; i+4 <= len(xAt); i += 4 {
		x0, x1, x2, x3 := x[xAt[i]:][:m.In], x[xAt[i+1]:][:m.In], x[xAt[i+2]:][:m.In], x[xAt[i+3]:][:m.In]
		y0, y1, y2, y3 := y[yAt[i]:][:m.Out], y[yAt[i+1]:][:m.Out], y[yAt[i+2]:][:m.Out], y[yAt[i+3]:][:m.Out]
		o := 0
		for ; o+2 <= m.Out; o += 2 {
			s := dot2x4(m.W[o*m.In:][:m.In], m.W[(o+1)*m.In:][:m.In], x0, x1, x2, x3)
			y0[o], y0[o+1] = m.bend(s[0], o), m.bend(s[4], o+1)
			y1[o], y1[o+1] = m.bend(s[1], o), m.bend(s[5], o+1)
			y2[o], y2[o+1] = m.bend(s[2], o), m.bend(s[6], o+1)
			y3[o], y3[o+1] = m.bend(s[3], o), m.bend(s[7], o+1)
		}
		for ; o < m.Out; o++ {
			w := m.W[o*m.In:][:m.In]
			y0[o], y1[o], y2[o], y3[o] = m.bend(Dot(w, x0), o), m.bend(Dot(w, x1), o), m.bend(Dot(w, x2), o), m.bend(Dot(w, x3), o)
		}
	}
	for ; i < len(xAt); i++ {
		m.One(y[yAt[i]:], x[xAt[i]:])
	}
}

// One maps one input.
func (m *Matrix) One(y, x []float32) {
	x, y = x[:m.In], y[:m.Out]
	o := 0
	for ; o+2 <= m.Out; o += 2 {
		a, b := dot2(m.W[o*m.In:][:m.In], m.W[(o+1)*m.In:][:m.In], x)
		y[o], y[o+1] = m.bend(a, o), m.bend(b, o+1)
	}
	if o < m.Out {
		y[o] = m.bend(Dot(m.W[o*m.In:][:m.In], x), o)
	}
}

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

//go:norace
func dot2x4(w0, w1, x0, x1, x2, x3 []float32) (s [8]float32) {
	n := len(w0)
	w1, x0, x1, x2, x3 = w1[:n], x0[:n], x1[:n], x2[:n], x3[:n]
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for i, a := range w0 {
		b := w1[i]
		v := x0[i]
		s0 += a * v
		s4 += b * v
		v = x1[i]
		s1 += a * v
		s5 += b * v
		v = x2[i]
		s2 += a * v
		s6 += b * v
		v = x3[i]
		s3 += a * v
		s7 += b * v
	}
	return [8]float32{s0, s1, s2, s3, s4, s5, s6, s7}
}

// dot2 has four sums for each output, so that an addition need not wait for the one before.
//
//go:norace
func dot2(w0, w1, x []float32) (float32, float32) {
	n := len(w0)
	var a0, a1, a2, a3, b0, b1, b2, b3 float32
	i := 0
	for ; i+4 <= n; i += 4 {
		p, q, v := w0[i:i+4:i+4], w1[i:i+4:i+4], x[i:i+4:i+4]
		a0 += p[0] * v[0]
		a1 += p[1] * v[1]
		a2 += p[2] * v[2]
		a3 += p[3] * v[3]
		b0 += q[0] * v[0]
		b1 += q[1] * v[1]
		b2 += q[2] * v[2]
		b3 += q[3] * v[3]
	}
	for ; i < n; i++ {
		a0 += w0[i] * x[i]
		b0 += w1[i] * x[i]
	}
	return (a0 + a1) + (a2 + a3), (b0 + b1) + (b2 + b3)
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
