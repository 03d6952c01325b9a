package audio

import (
	"math"
	"math/cmplx"
	"slices"
	"time"

	"gonum.org/v1/gonum/dsp/fourier"
)

// What the old system draws, and at which pace.
const (
	SpectrumBins = 64
	SpectrumRate = 12 // a second

	spectrumLen = 1024 // samples of one
	spectrumMin = 256  // samples that are enough for the first
)

// Spectrum makes the bars that the pages draw: up to 64 ms of sound, without its mean, under a Hann
// window, as the logarithm of the magnitude from 0 Hz to 8 kHz, stretched so that the faintest is 0
// and the loudest 1. It is for one goroutine.
type Spectrum struct {
	bins  int
	every time.Duration
	due   time.Time // of the next
	fft   *fourier.FFT
	sound []int16 // the last spectrumLen samples
}

// NewSpectrum returns one with 8 to 512 bins, 1 to 50 times a second; what is beyond is brought there.
func NewSpectrum(bins int, rate float64) *Spectrum {
	rate = max(1, min(50, rate))
	return &Spectrum{
		bins:  max(8, min(512, bins)),
		every: time.Duration(float64(time.Second) / rate),
		fft:   fourier.NewFFT(spectrumLen),
	}
}

// Reset forgets the sound so far, as when a microphone closes.
func (s *Spectrum) Reset() { s.sound = s.sound[:0] }

// Add takes the next frame, and returns bins of 0 to 1 when they are due.
func (s *Spectrum) Add(f Frame) (bins []float64, ok bool) {
	if f.Gap {
		s.Reset()
	}
	s.sound = append(s.sound, f.PCM...)
	if n := len(s.sound) - spectrumLen; n > 0 {
		s.sound = s.sound[:copy(s.sound, s.sound[n:])]
	}
	if len(s.sound) < spectrumMin || f.At.Before(s.due) && s.due.Sub(f.At) <= s.every {
		return nil, false
	}
	if s.due = s.due.Add(s.every); !s.due.After(f.At) {
		s.due = f.At.Add(s.every)
	}
	return s.compute(), true
}

func (s *Spectrum) compute() []float64 {
	x, mean := make([]float64, spectrumLen), 0.0
	for _, v := range s.sound {
		mean += float64(v) / float64(len(s.sound))
	}
	for i, v := range s.sound { // the window fits what there is; the rest is silence
		hann := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(s.sound)-1))
		x[i] = (float64(v) - mean) / 32768 * hann
	}
	db := make([]float64, 0, spectrumLen/2+1)
	for _, c := range s.fft.Coefficients(nil, x) {
		db = append(db, 20*math.Log10(1e-6+cmplx.Abs(c)))
	}
	low, high := slices.Min(db), slices.Max(db)
	bins := make([]float64, s.bins)
	if high-low < 1e-9 { // no sound at all
		return bins
	}
	for i := range bins { // between the two nearest of the 513
		at := float64(i) * float64(len(db)-1) / float64(s.bins-1)
		k := min(int(at), len(db)-2)
		v := db[k] + (at-float64(k))*(db[k+1]-db[k])
		bins[i] = (v - low) / (high - low)
	}
	return bins
}
