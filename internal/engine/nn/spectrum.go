package nn

import (
	"math"
	"math/bits"
)

// Spectrum makes power spectra of pieces of sound. It is for one goroutine at a time.
type Spectrum struct {
	window  []float64
	turn    []complex128 // the roots of unity
	flip    []int        // where each sample goes before the first step
	scratch []complex128
}

// NewSpectrum is for pieces of as many samples as the window has, which must be a power of two. The
// samples are multiplied with the window first.
func NewSpectrum(window []float64) *Spectrum {
	n := len(window)
	s := &Spectrum{window: window, turn: make([]complex128, n/2), flip: make([]int, n), scratch: make([]complex128, n)}
	for i := range s.turn {
		sin, cos := math.Sincos(-2 * math.Pi * float64(i) / float64(n))
		s.turn[i] = complex(cos, sin)
	}
	shift := 65 - bits.Len(uint(n))
	for i := range s.flip {
		s.flip[i] = int(bits.Reverse64(uint64(i)) >> shift)
	}
	return s
}

// Hann is a window of n samples that rises and falls as a cosine over the middle length of them.
func Hann(n, length int) []float64 {
	w := make([]float64, n)
	for i := range length {
		w[(n-length)/2+i] = 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(length))
	}
	return w
}

// Bins is the length of a spectrum: half of the samples and one.
func (s *Spectrum) Bins() int { return len(s.window)/2 + 1 }

// Power makes the spectra of two pieces, which go through the transform together: one as the real
// part of its numbers, the other as the imaginary one.
func (s *Spectrum) Power(pa, pb, a, b []float32) {
	n := len(s.window)
	z := s.scratch
	for i, w := range s.window {
		z[s.flip[i]] = complex(w*float64(a[i]), w*float64(b[i]))
	}
	s.transform(z)
	for k := range n/2 + 1 {
		p, q := z[k], z[(n-k)%n]
		ar, ai := (real(p)+real(q))/2, (imag(p)-imag(q))/2
		br, bi := (imag(p)+imag(q))/2, (real(q)-real(p))/2
		pa[k] = float32(ar*ar + ai*ai)
		pb[k] = float32(br*br + bi*bi)
	}
}

// transform runs on samples in flipped order.
//
//go:norace
func (s *Spectrum) transform(z []complex128) {
	n := len(z)
	for half := 1; half < n; half *= 2 {
		step := n / (2 * half)
		for from := 0; from < n; from += 2 * half {
			lo, hi := z[from:from+half], z[from+half:from+2*half]
			for k, j := 0, 0; k < half; k, j = k+1, j+step {
				t := s.turn[j] * hi[k]
				lo[k], hi[k] = lo[k]+t, lo[k]-t
			}
		}
	}
}
