package audio

import (
	"encoding/binary"
	"time"
)

// What a microphone sounds like inside tarsd.
const (
	Rate      = 16000                 // samples a second
	FrameLen  = 320                   // samples of a frame
	FrameTime = 20 * time.Millisecond // length of a frame
)

// Frame is 20 ms of a microphone.
type Frame struct {
	PCM []int16   // FrameLen samples; shared by all who listen, so nobody writes to it
	At  time.Time // when its first sample was heard
	Gap bool      // sound is missing between the frame before and this one
}

// AppendBytes appends samples to b, as signed 16 bit little endian.
func AppendBytes(b []byte, pcm []int16) []byte {
	for _, s := range pcm {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	return b
}

// AppendSamples appends the samples of b, signed 16 bit little endian. Half a sample at the end is
// left out.
func AppendSamples(pcm []int16, b []byte) []int16 {
	for ; len(b) >= 2; b = b[2:] {
		pcm = append(pcm, int16(binary.LittleEndian.Uint16(b)))
	}
	return pcm
}

// Duration returns how long n samples last at a rate.
func Duration(n, rate int) time.Duration {
	return time.Duration(n) * time.Second / time.Duration(rate)
}

// Samples returns how many samples a time has at a rate.
func Samples(d time.Duration, rate int) int { return int(d * time.Duration(rate) / time.Second) }

// framer makes frames of pieces of any length and rate.
type framer struct {
	rs   *Resampler // nil at 16 kHz
	buf  []int16
	at   time.Time // of the first sample in buf
	gap  bool
	emit func(Frame)
}

// newFramer returns a framer of mono sound at rate, which hands each frame to emit.
func newFramer(rate int, emit func(Frame)) (*framer, error) {
	f := &framer{emit: emit}
	if rate == Rate {
		return f, nil
	}
	rs, err := NewResampler(rate, Rate)
	f.rs = rs
	return f, err
}

// add takes a piece whose first sample was heard at the given time. After a gap what is left of the
// sound before it is dropped, less than a frame and what the resampler held back.
func (f *framer) add(pcm []int16, at time.Time, gap bool) {
	if gap {
		f.restart()
	}
	if f.rs == nil {
		f.at = at.Add(-Duration(len(f.buf), Rate))
		f.buf = append(f.buf, pcm...)
	} else {
		f.at = at.Add(-Duration(len(f.buf), Rate) - f.rs.Held())
		f.buf = f.rs.Process(f.buf, pcm)
	}
	f.take()
}

// restart forgets the sound so far, and marks the gap.
func (f *framer) restart() {
	f.buf, f.gap = f.buf[:0], true
	if f.rs != nil {
		f.rs.Reset()
	}
}

// finish hands out what is left, filled up with silence.
func (f *framer) finish() {
	if f.rs != nil {
		f.buf = f.rs.Flush(f.buf)
	}
	if n := len(f.buf) % FrameLen; n > 0 {
		f.buf = append(f.buf, make([]int16, FrameLen-n)...)
	}
	f.take()
}

// take hands out the frames that are complete.
func (f *framer) take() {
	rest := f.buf
	for len(rest) >= FrameLen {
		f.emit(Frame{PCM: append(make([]int16, 0, FrameLen), rest[:FrameLen]...), At: f.at, Gap: f.gap})
		f.at, f.gap, rest = f.at.Add(FrameTime), false, rest[FrameLen:]
	}
	f.buf = append(f.buf[:0], rest...)
}
