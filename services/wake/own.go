package wake

import (
	"math"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/nn"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
)

// What is compared: the last 1.28 s of the microphone with what was played up to 0.3 s later, as the
// times are not exact, and up to 0.5 s earlier, as a device holds sound back.
const (
	compareFrames = 64
	earlyFrames   = 15
	lateFrames    = 25
	compareLen    = compareFrames * audio.FrameLen
	maxLag        = lateFrames * audio.FrameLen
	ahead         = earlyFrames * audio.FrameLen

	// ownChunks is for how long it counts that what is played sounds like the phrase: its own
	// length of being sure, and the longest delay.
	ownChunks = 12
)

// edges are those of the bands whose loudness is compared, in bins of 31 Hz: 100 Hz to 6 kHz.
var edges = [...]int{3, 7, 12, 19, 28, 42, 64, 100, 192}

const bandCount = len(edges) - 1

// own tells the robot's voice from people's, at one site. What is played is known: it is heard by a
// detector of its own, so that the phrase in it is expected, and its loudness in bands over time is
// compared with that of what the microphone hears.
type own struct {
	ref      *audio.Reference
	site     string
	detector *openwakeword.Detector
	spectrum *nn.Spectrum
	mic      []int16 // the last compareLen samples
	played   []int16 // with a margin on both sides
	chunk    [chunkLen]int16
	scores   [ownChunks]float64
	n        int
	silent   int // chunks in a row in which nothing was played
}

func newOwn(ref *audio.Reference, site string, chain *openwakeword.Chain, head *openwakeword.Head) *own {
	return &own{
		ref: ref, site: site, detector: openwakeword.NewDetector(chain.Another(), head), spectrum: nn.NewSpectrum(nn.Hann(512, 512)),
		mic: make([]int16, compareLen), played: make([]int16, maxLag+compareLen+ahead), silent: ownChunks,
	}
}

// hear takes a chunk of the microphone, whose first sample was heard at the given time.
func (o *own) hear(pcm []int16, at time.Time) {
	copy(o.mic, o.mic[chunkLen:])
	copy(o.mic[compareLen-chunkLen:], pcm)
	if o.ref.Sound(o.site, at, o.chunk[:]) {
		if o.silent >= ownChunks {
			o.detector.Reset()
		}
		o.silent = 0
	} else {
		o.silent++
	}
	score := 0.0
	if o.silent < ownChunks { // what was played last may still be heard
		score = float64(o.detector.Process(o.chunk[:]))
	}
	o.scores[o.n%ownChunks] = score
	o.n++
}

// sounding reports whether something was played in the last second.
func (o *own) sounding() bool { return o.silent < ownChunks }

// score is how much what is played sounds like the phrase.
func (o *own) score() float64 {
	most := 0.0
	for _, s := range o.scores {
		most = max(most, s)
	}
	return most
}

// alike is how much the microphone hears what is played, from 0 to 1: the highest normalised
// cross-correlation of loudness in bands, over the delays that there can be. end is the time of the
// end of the last chunk.
func (o *own) alike(end time.Time) float64 {
	if !o.ref.Sound(o.site, end.Add(-audio.Duration(compareLen+maxLag, audio.Rate)), o.played) {
		return 0
	}
	mic, played := o.loudness(o.mic), o.loudness(o.played)
	most := 0.0
	for lag := range earlyFrames + lateFrames + 1 {
		most = max(most, correlation(mic, played[lag:]))
	}
	return most
}

// loudness is the logarithm of the power in each band of each frame.
func (o *own) loudness(pcm []int16) [][bandCount]float64 {
	const size = 512
	frames := len(pcm) / audio.FrameLen
	out := make([][bandCount]float64, frames)
	var a, b [size]float32
	pa, pb := make([]float32, o.spectrum.Bins()), make([]float32, o.spectrum.Bins())
	take := func(to *[size]float32, frame int) {
		clear(to[:])
		for i, v := range pcm[min(frame*audio.FrameLen, len(pcm)):min(frame*audio.FrameLen+size, len(pcm))] {
			to[i] = float32(v)
		}
	}
	for t := 0; t < frames; t += 2 {
		take(&a, t)
		take(&b, t+1)
		o.spectrum.Power(pa, pb, a[:], b[:])
		for k := range bandCount {
			out[t][k] = bandPower(pa, k)
			if t+1 < frames {
				out[t+1][k] = bandPower(pb, k)
			}
		}
	}
	return out
}

func bandPower(p []float32, band int) float64 {
	sum := 1e5 // some noise, so that silence is like silence
	for _, v := range p[edges[band]:edges[band+1]] {
		sum += float64(v)
	}
	return math.Log(sum)
}

// correlation is that of the first compareFrames frames, each band around its mean.
func correlation(x, y [][bandCount]float64) float64 {
	var xy, xx, yy float64
	for k := range bandCount {
		var mx, my float64
		for t := range compareFrames {
			mx += x[t][k] / compareFrames
			my += y[t][k] / compareFrames
		}
		for t := range compareFrames {
			dx, dy := x[t][k]-mx, y[t][k]-my
			xy += dx * dy
			xx += dx * dx
			yy += dy * dy
		}
	}
	if xx == 0 || yy == 0 {
		return 0
	}
	return max(0, xy/math.Sqrt(xx*yy))
}
