package camera

import (
	"image"
	"time"
)

// Detection of motion compares small grey copies of pictures.
const (
	motionWidth  = 64
	motionHeight = 48
	motionRate   = 5.0             // pictures a second that are compared
	motionStep   = 24              // of 255: less is noise
	motionStarts = 2               // pictures in a row that differ begin motion
	motionQuiet  = 3 * time.Second // without any ends it
)

// motion detects that something moves. One goroutine uses it.
type motion struct {
	threshold float64 // part of the picture
	last      *image.Gray
	streak    int
	moving    bool
	seen      time.Time
}

// look compares a picture with the one before. It reports whether motion begins or ends with it,
// and the part of the picture that changed.
func (m *motion) look(img image.Image, now time.Time) (begins, ends bool, score float64) {
	small := luma(img)
	if m.last != nil {
		changed := 0
		for i, v := range small.Pix {
			if d := int(v) - int(m.last.Pix[i]); d > motionStep || d < -motionStep {
				changed++
			}
		}
		score = float64(changed) / float64(len(small.Pix))
	}
	m.last = small
	if score >= m.threshold {
		m.streak++
		m.seen = now
		if !m.moving && m.streak >= motionStarts {
			m.moving = true
			return true, false, score
		}
		return false, false, score
	}
	m.streak = 0
	if m.moving && now.Sub(m.seen) >= motionQuiet {
		m.moving = false
		return false, true, score
	}
	return false, false, score
}
