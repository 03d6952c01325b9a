package audio

import "math"

// Silence is the level of sound without a sound, in dBFS: less than 16 bits can say.
const Silence = -120.0

// Level is how loud a piece of sound is.
type Level struct {
	RMS  float64 // 0 to 1, where 1 is a square wave of full scale
	Peak float64 // 0 to 1
}

// Measure returns the level of pcm; that of nothing is silence.
func Measure(pcm []int16) Level {
	sum, peak := 0.0, 0.0
	for _, s := range pcm {
		x := float64(s) / 32768
		sum += x * x
		peak = max(peak, math.Abs(x))
	}
	if len(pcm) == 0 {
		return Level{}
	}
	return Level{RMS: math.Sqrt(sum / float64(len(pcm))), Peak: peak}
}

// DBFS returns the RMS in decibels below full scale: 0 at most, Silence at least.
func (l Level) DBFS() float64 {
	if l.RMS <= 0 {
		return Silence
	}
	return max(Silence, 20*math.Log10(l.RMS))
}
