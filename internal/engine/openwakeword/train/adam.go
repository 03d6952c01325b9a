package train

import "math"

// adam steps weights against their gradient, by the method of Kingma and Ba, with the decay beside it.
type adam struct {
	weights     []float32
	sum         []float32 // gradients since the last step
	mean, power []float32 // of the gradients, fading
	rate, decay float64
	n           int
}

func newAdam(weights []float32, rate, decay float64) *adam {
	n := len(weights)
	return &adam{weights: weights, sum: make([]float32, n), mean: make([]float32, n), power: make([]float32, n), rate: rate, decay: decay}
}

// step moves the weights by what n examples have added up, and begins a new sum.
//
//go:norace
func (a *adam) step(n int) {
	const fade, fadePower, least = 0.9, 0.999, 1e-8
	a.n++
	rate := a.rate / (1 - math.Pow(fade, float64(a.n)))
	unbias := 1 / (1 - math.Pow(fadePower, float64(a.n)))
	for i, s := range a.sum {
		g := float64(s) / float64(n)
		m := fade*float64(a.mean[i]) + (1-fade)*g
		p := fadePower*float64(a.power[i]) + (1-fadePower)*g*g
		a.mean[i], a.power[i] = float32(m), float32(p)
		w := float64(a.weights[i])
		a.weights[i] = float32(w - rate*m/(math.Sqrt(p*unbias)+least) - a.rate*a.decay*w)
	}
	clear(a.sum)
}
