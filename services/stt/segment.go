package stt

import (
	"math"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
)

// Hysteresis of the detector, as Silero's own iterator has it: who speaks is believed to go on a
// little below the threshold.
const hysteresis = 0.15

// cutSpan is the end of the longest utterance, within which the quietest point is looked for; of a
// short limit it is a fifth.
const cutSpan = 3 * time.Second

// floor follows the noise floor: the lowest level of the last three seconds. Speech has pauses within
// less, so that it is followed also while nobody knows what is speech, and nothing has to be kept quiet for it.
type floor struct {
	level float64 // smoothed
	mins  [4]float64
	n     int // blocks in the present one of mins
	full  int // of mins, how many hold something
}

const floorBlocks = 24 // 0.77 s

func (f *floor) add(rms float64) {
	if f.full == 0 {
		f.level, f.mins[0], f.full = rms, rms, 1
	}
	f.level += 0.3 * (rms - f.level)
	f.mins[0] = min(f.mins[0], f.level)
	if f.n++; f.n == floorBlocks {
		copy(f.mins[1:], f.mins[:3])
		f.mins[0], f.n, f.full = f.level, 0, min(f.full+1, len(f.mins))
	}
}

// value is the floor; 0 until it is known.
func (f *floor) value() float64 {
	if f.full < 2 {
		return 0
	}
	v := f.mins[0]
	for _, m := range f.mins[:f.full] {
		v = min(v, m)
	}
	return v
}

// rms is the level of a block, on the scale of 16 bits.
func rms(block []int16) float64 {
	sum := int64(0)
	for _, v := range block {
		sum += int64(v) * int64(v)
	}
	return math.Sqrt(float64(sum) / float64(max(len(block), 1)))
}

// segmenter finds utterances in blocks of sound. It is told how likely each is speech.
type segmenter struct {
	o       *Options
	floor   floor
	pre     []int16 // before speech
	sound   []int16 // of the utterance
	levels  []float64
	in      bool
	ready   int // samples of sound that are part of the utterance for sure
	voiced  int
	silence int
	sum     float64 // of probabilities, over voiced blocks
	blocks  int
	limit   time.Duration // of silence, that ends it
}

// ended says how an utterance ended.
type ended byte

const (
	goesOn  ended = iota
	over          // by silence
	tooLong       // it goes on as the next one
)

// remember keeps sound before speech, at most n samples of it.
func (s *segmenter) remember(block []int16, n int) {
	s.pre = append(s.pre, block...)
	if more := len(s.pre) - n; more > 0 {
		s.pre = append(s.pre[:0], s.pre[more:]...)
	}
}

// noise follows the noise floor in what is no speech: a microphone that is on only while somebody speaks
// would take speech for noise.
func (s *segmenter) noise(p float32, level float64) {
	if float64(p) < s.o.Threshold-hysteresis {
		s.floor.add(level)
	}
}

// begins reports whether speech begins with a block, which belongs to the utterance then, as does
// what was remembered.
func (s *segmenter) begins(block []int16, p float32, level float64) bool {
	if float64(p) < s.o.Threshold || level < s.o.MinRMS || level < s.floor.value()*s.o.FloorFactor {
		return false
	}
	s.start(s.pre)
	s.pre = s.pre[:0]
	s.add(block, p, level)
	return true
}

func (s *segmenter) start(lead []int16) {
	s.in, s.sound, s.levels = true, append(s.sound[:0], lead...), s.levels[:0]
	s.voiced, s.silence, s.sum, s.blocks, s.ready, s.limit = 0, 0, 0, 0, len(lead), s.o.Silence
}

// add takes the next block of an utterance.
func (s *segmenter) add(block []int16, p float32, level float64) ended {
	s.sound = append(s.sound, block...)
	s.levels = append(s.levels, level)
	if float64(p) >= s.o.Threshold-hysteresis {
		s.voiced += len(block)
		s.sum += float64(p)
		s.blocks++
		s.silence = 0
	} else {
		s.silence += len(block)
	}
	longest := audio.Samples(s.o.MaxUtterance, audio.Rate)
	if len(s.sound) < longest-audio.Samples(s.span(), audio.Rate) {
		s.ready = len(s.sound)
	}
	switch {
	case s.silence >= audio.Samples(s.limit, audio.Rate):
		return over
	case len(s.sound) >= longest:
		return tooLong
	}
	return goesOn
}

func (s *segmenter) span() time.Duration { return min(cutSpan, s.o.MaxUtterance/5) }

// enough reports whether it is long enough for speech.
func (s *segmenter) enough() bool { return s.voiced >= audio.Samples(s.o.MinSpeech, audio.Rate) }

// mean is the mean probability of speech.
func (s *segmenter) mean() float64 { return s.sum / float64(max(s.blocks, 1)) }

// finish ends the utterance: all sound is part of it.
func (s *segmenter) finish() {
	s.in, s.ready = false, len(s.sound)
}

// split ends an utterance that is too long at the quietest point of its end, and returns what comes
// after that, which begins the next one.
func (s *segmenter) split() (tail []int16) {
	lead := len(s.sound) - len(s.levels)*BlockLen
	best, at := math.Inf(1), len(s.levels)-1
	for i := len(s.levels) - 2; i > 0 && lead+(i+1)*BlockLen > s.ready; i-- {
		if l := s.levels[i-1] + 2*s.levels[i] + s.levels[i+1]; l < best {
			best, at = l, i
		}
	}
	end := lead + at*BlockLen + BlockLen/2
	tail = append([]int16(nil), s.sound[end:]...)
	s.sound, s.ready, s.in = s.sound[:end], end, false
	return tail
}

// goOn begins the next utterance with what was cut off. Nobody knows whether that was speech, so
// that an engine has to say.
func (s *segmenter) goOn(tail []int16) {
	s.start(tail)
	s.voiced = min(len(tail), audio.Samples(s.o.MinSpeech, audio.Rate))
}
