package waketrain

import (
	"math"
	"math/rand/v2"

	"github.com/tarsd/tarsd/internal/audio"
)

// Kinds of noise.
const (
	hiss    = iota // white
	air            // pink, as fans and traffic
	hum            // of the mains, with overtones
	music          // chords of plucked strings
	clatter        // short knocks
	noises
)

// noise makes n samples of a kind, with an RMS of about 1.
func noise(r *rand.Rand, kind, n int) []float32 {
	out := make([]float32, n)
	switch kind {
	case hiss:
		for i := range out {
			out[i] = float32(r.NormFloat64())
		}
	case air:
		// The filter of Paul Kellet, three poles of it.
		var a, b, c float64
		for i := range out {
			w := r.NormFloat64()
			a, b, c = 0.99765*a+0.0990460*w, 0.963*b+0.2965164*w, 0.57*c+1.0526913*w
			out[i] = float32(a + b + c + 0.1848*w)
		}
	case hum:
		base, phase := 50+10*float64(r.IntN(2)), r.Float64()
		for i := range out {
			x := 2 * math.Pi * (phase + base*float64(i)/audio.Rate)
			out[i] = float32(math.Sin(x) + math.Sin(2*x)/2 + math.Sin(3*x)/3 + 0.1*r.NormFloat64())
		}
	case music:
		pluck(r, out)
	case clatter:
		for i := 0; i < n; i += 1 + r.IntN(audio.Rate) {
			fade := math.Exp(-1 / float64(80+r.IntN(1200)))
			level := 1 + 4*r.Float64()
			for k := i; k < n && level > 0.001; k++ {
				out[k] += float32(level * r.NormFloat64())
				level *= fade
			}
		}
	}
	scaleTo(out, 1)
	return out
}

// pluck adds strings, by the method of Karplus and Strong.
func pluck(r *rand.Rand, out []float32) {
	scale := []float64{0, 2, 4, 7, 9, 12, 14, 16}
	for at := 0; at < len(out); at += audio.Rate/8 + r.IntN(audio.Rate/2) {
		for range 1 + r.IntN(3) {
			f := 110 * math.Pow(2, scale[r.IntN(len(scale))]/12+float64(r.IntN(3)))
			ring := make([]float32, max(2, int(audio.Rate/f)))
			for i := range ring {
				ring[i] = float32(r.NormFloat64())
			}
			for i, k := at, 0; i < min(len(out), at+2*audio.Rate); i++ {
				next := (k + 1) % len(ring)
				out[i] += ring[k]
				ring[k] = 0.498 * (ring[k] + ring[next])
				k = next
			}
		}
	}
}

// rms is the level of what is not silent.
func rms(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(max(1, len(x))))
}

func scaleTo(x []float32, level float64) {
	have := rms(x)
	if have == 0 {
		return
	}
	by := float32(level / have)
	for i := range x {
		x[i] *= by
	}
}

// echo adds the echoes of a room: some early ones and a tail that fades by 60 dB in the given time.
func echo(r *rand.Rand, x []float32, seconds, share float64) []float32 {
	type tap struct {
		at int
		by float32
	}
	var taps []tap
	for range 60 {
		at := 0.003 + seconds*r.Float64()*r.Float64()
		by := share * math.Pow(10, -3*at/seconds)
		if r.IntN(2) == 0 {
			by = -by
		}
		taps = append(taps, tap{int(at * audio.Rate), float32(by)})
	}
	out := make([]float32, len(x))
	copy(out, x)
	for _, t := range taps {
		for i := t.at; i < len(x); i++ {
			out[i] += t.by * x[i-t.at]
		}
	}
	return out
}

// decibels is the factor of an amplitude.
func decibels(db float64) float64 { return math.Pow(10, db/20) }

// pcm makes samples of sound, which it clips.
func pcm(x []float32) []int16 {
	out := make([]int16, len(x))
	for i, v := range x {
		out[i] = int16(max(-32768, min(float64(v)*32767, 32767)))
	}
	return out
}
