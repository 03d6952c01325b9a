package openwakeword

import (
	"math"

	"github.com/tarsd/tarsd/internal/engine/nn"
)

const (
	window = 512 // samples of a spectrum
	spoken = 400 // of which the window lets through
	hop    = 160
	before = 480 // samples of the chunk before that a chunk is seen with
	bins   = window/2 + 1
	bands  = 32
	frames = ChunkSamples / hop // new ones for each chunk
)

// listener makes mel frames of sound.
type listener struct {
	spectrum *nn.Spectrum
	mel      []float32  // as in model
	from, to [bands]int // the bins that give anything to a band
	sound    [before + ChunkSamples]float32
	power    [2][]float32
}

func newListener(mel []float32) *listener {
	l := &listener{spectrum: nn.NewSpectrum(nn.Hann(window, spoken)), mel: mel}
	for i := range l.power {
		l.power[i] = make([]float32, bins)
	}
	for b := range bands {
		for k := range bins {
			if mel[k*bands+b] == 0 {
				continue
			}
			if l.to[b] == 0 {
				l.from[b] = k
			}
			l.to[b] = k + 1
		}
	}
	return l
}

// hear makes the frames of a chunk: tenths of a decibel, as the network was trained with. Nothing is
// more than 80 dB below the loudest band of the chunk.
func (l *listener) hear(chunk *[ChunkSamples]int16, out *[frames * bands]float32) {
	copy(l.sound[:before], l.sound[ChunkSamples:])
	for i, v := range chunk {
		l.sound[before+i] = float32(v)
	}
	most := math.Inf(-1)
	for t := 0; t < frames; t += 2 {
		l.spectrum.Power(l.power[0], l.power[1], l.sound[t*hop:], l.sound[(t+1)*hop:])
		for i, p := range l.power {
			for b := range bands {
				sum := 0.0
				for k := l.from[b]; k < l.to[b]; k++ {
					sum += float64(p[k]) * float64(l.mel[k*bands+b])
				}
				db := 10 * math.Log10(max(sum, 1e-10))
				most = max(most, db)
				out[(t+i)*bands+b] = float32(db)
			}
		}
	}
	for i, v := range out {
		out[i] = max(v, float32(most-80))/10 + 2
	}
}
