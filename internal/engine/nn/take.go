package nn

import (
	"fmt"
	"math"
)

// TakeConv takes the weights of a convolution over three places as ONNX orders them: for each
// output, for each channel, for each place. Here the channels of one place stand together, as they
// do in what the windows slide over.
func (m *Matrix) TakeConv(w, b []float32) {
	copy(m.B, b)
	channels := m.In / 3
	for o := range m.Out {
		for c := range channels {
			for k := range 3 {
				m.W[o*m.In+k*channels+c] = w[(o*channels+c)*3+k]
			}
		}
	}
}

// CheckBasis makes sure that the rows of a network's transform are a window times cosines and times
// sines, so that a spectrum is what it computes. The sign of the sines does not matter to powers.
func CheckBasis(cosines, sines []float32, window []float64) error {
	n := len(window)
	if len(cosines) != (n/2+1)*n || len(sines) != len(cosines) {
		return fmt.Errorf("%w: %d cosines and %d sines are no transform of %d samples", ErrWeights, len(cosines), len(sines), n)
	}
	for k := range n/2 + 1 {
		for i, w := range window {
			sin, cos := math.Sincos(2 * math.Pi * float64(k*i%n) / float64(n))
			c, s := float64(cosines[k*n+i]), float64(sines[k*n+i])
			if math.Abs(c-w*cos) > 1e-6 || math.Abs(s+w*sin) > 1e-6 {
				return fmt.Errorf("%w: the transform is not of the window that was expected (row %d, sample %d)", ErrWeights, k, i)
			}
		}
	}
	return nil
}
