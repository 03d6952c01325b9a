package wake

import (
	"math"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
)

const (
	chunkLen  = openwakeword.ChunkSamples
	chunkTime = chunkLen * 1000 / openwakeword.Rate // milliseconds

	floorChunks = 64     // 5 s: the quietest chunk of them is the noise of the room
	leastFloor  = 0.0002 // RMS; what no microphone is below but one that is off
	restAfter   = 25     // 2 s
	louder      = 2.0    // times the floor: something is heard
)

// Up to here a room is quiet and a voice faint, as RMS of -1 to 1.
const (
	quietRoom  = 0.001
	faintVoice = 0.006
)

// levels follows how loud a stream is, chunk by chunk.
type levels struct {
	last  [floorChunks]float64
	n     int // chunks so far
	quiet int // how many in a row were not louder than the room
}

func (l *levels) reset() { *l = levels{} }

// add takes a chunk and returns its RMS.
func (l *levels) add(pcm []int16) float64 {
	rms := audio.Measure(pcm).RMS
	l.last[l.n%floorChunks] = rms
	l.n++
	if rms > louder*l.floor() {
		l.quiet = 0
	} else {
		l.quiet++
	}
	return rms
}

// floor is the noise of the room.
func (l *levels) floor() float64 {
	least := math.Inf(1)
	for _, v := range l.last[:min(l.n, floorChunks)] {
		least = min(least, v)
	}
	return max(least, leastFloor)
}

// energy is the RMS of the last chunks.
func (l *levels) energy(chunks int) float64 {
	chunks = min(chunks, l.n, floorChunks)
	sum := 0.0
	for i := range chunks {
		v := l.last[(l.n-1-i)%floorChunks]
		sum += v * v
	}
	return math.Sqrt(sum / float64(max(chunks, 1)))
}

// resting reports whether nothing was heard for so long that nothing needs to listen.
func (l *levels) resting() bool { return l.quiet > restAfter }
