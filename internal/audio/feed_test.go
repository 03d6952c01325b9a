package audio

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFeed(t *testing.T) {
	t.Parallel()
	want := sweep(Rate, Rate, 8000)
	for name, c := range map[string]struct {
		rate  int // of the sender
		piece int // samples
		wav   bool
	}{
		"16 kHz, 20 ms":     {0, 320, false},
		"16 kHz, odd":       {Rate, 123, false},
		"48 kHz of a page":  {48000, 9600, false},
		"22.05 kHz in WAV":  {22050, 2205, true},
		"8 kHz, 128 a time": {8000, 128, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rate := c.rate
				if rate == 0 {
					rate = Rate
				}
				in := sweep(rate, rate, 8000)
				f := NewFeed()
				begin := time.Now()
				var frames []Frame
				for rest := in; len(rest) > 0; {
					n := min(len(rest), c.piece)
					time.Sleep(Duration(n, rate)) // it is sent when it is complete
					b := AppendBytes(nil, rest[:n])
					if c.wav {
						b = AppendWAV(nil, rest[:n], rate)
						require.NoError(t, f.Push(b, 0))
					} else {
						require.NoError(t, f.Push(b, c.rate))
					}
					rest = rest[n:]
					for f.box.q.n > 0 {
						fr, err := f.Read(t.Context())
						require.NoError(t, err)
						frames = append(frames, fr)
					}
				}
				got := join(frames)
				assert.InDelta(t, Rate, len(got), 800)
				if rate >= Rate { // else the top of the sweep is not there
					_, alike := find(want[:12000], got)
					assert.Greater(t, alike, 0.98)
				}
				for i, fr := range frames {
					assert.WithinDuration(t, begin.Add(time.Duration(i)*FrameTime), fr.At, time.Millisecond, "frame %d", i)
					assert.Equal(t, i == 0 && rate != Rate, fr.Gap, "frame %d", i)
				}
				require.NoError(t, f.Close())
				_, err := f.Read(t.Context())
				assert.ErrorIs(t, err, ErrClosed)
			})
		})
	}
}

func TestFeedRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		b    []byte
		rate int
	}{
		"nothing":      {nil, 0},
		"half":         {make([]byte, 3), 0},
		"long":         {make([]byte, 6402), 0},
		"rate":         {make([]byte, 640), 16001},
		"minus":        {make([]byte, 640), -16000},
		"WAV long":     {AppendWAV(nil, make([]int16, 1601), 8000), 0},
		"WAV rate":     {AppendWAV(nil, make([]int16, 100), 15999), 0},
		"WAV bad":      {AppendWAV(nil, nil, 8000)[:20], 0},
		"WAV huge":     {AppendWAV(nil, make([]int16, 100000), 8000), 0},
		"WAV no sound": {AppendWAV(nil, nil, 8000), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := NewFeed()
			assert.ErrorIs(t, f.Push(c.b, c.rate), ErrChunk)
			assert.Zero(t, f.box.q.n)
		})
	}
}

// TestFeedPace: what comes faster than time passes is refused, but for 2 s after a pause, and clocks that are
// a fifth too fast do no harm.
func TestFeedPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed()
		piece := AppendBytes(nil, tone(440, Samples(MaxChunk, Rate), Rate))
		push := func(n int) (taken int) {
			for range n {
				if err := f.Push(piece, 0); err == nil {
					taken++
				} else {
					require.ErrorIs(t, err, ErrChunk)
				}
			}
			return taken
		}
		assert.Equal(t, 10, push(50), "at once")
		time.Sleep(time.Second)
		assert.Equal(t, 6, push(50), "1.25 s in a second")
		time.Sleep(time.Hour)
		assert.Equal(t, 10, push(50), "after a pause")
		for range 1000 {
			time.Sleep(MaxChunk * 5 / 6)
			require.Equal(t, 1, push(1), "a fast clock")
		}
	})
}

// FuzzFeed: whatever comes, frames are whole and few, and the rates that it names cost little.
func FuzzFeed(f *testing.F) {
	f.Add(make([]byte, 640), 0)
	f.Add(AppendWAV(nil, make([]int16, 320), 8000), 44100)
	f.Add(wavFile(3, 2, 48000, 32, f32(1, 2, 3, 4)), 1)
	f.Fuzz(func(t *testing.T, b []byte, rate int) {
		feed := NewFeed()
		for range 3 {
			if feed.Push(b, rate) != nil {
				continue
			}
			assert.LessOrEqual(t, feed.box.q.n, 30)
		}
		assert.LessOrEqual(t, len(feed.framers), 2)
	})
}

// TestStamper: jitter does not move the times, a burst after a stall is no gap, lost sound is one.
func TestStamper(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	rnd := rand.New(rand.NewPCG(3, 4))
	s := stamper{rate: Rate}
	gaps := 0
	stamp := func(i int, arrives time.Duration) time.Duration {
		at, gap := s.stamp(begin.Add(arrives), FrameLen)
		if gap {
			gaps++
		}
		return at.Sub(begin) - time.Duration(i)*FrameTime
	}
	const frame = FrameTime
	for i := range 500 {
		off := stamp(i, time.Duration(i+1)*frame+time.Duration(rnd.IntN(20))*time.Millisecond)
		if i > 100 {
			assert.InDelta(t, 0, off, float64(4*time.Millisecond), "frame %d", i)
		}
	}
	for i := 500; i < 520; i++ { // a stall of 0.4 s, and all at once
		stamp(i, 520*frame)
	}
	assert.Zero(t, gaps)
	for i := 520; i < 560; i++ { // 0.3 s are missing from here on
		stamp(i, time.Duration(i+1+15)*frame)
	}
	assert.Equal(t, 1, gaps)
	off := stamp(560, 576*frame)
	assert.InDelta(t, 15*frame, off, float64(5*time.Millisecond))
	off = stamp(561, 577*frame+10*time.Second) // a sender who pressed the button again
	assert.Equal(t, 2, gaps)
	assert.InDelta(t, 15*frame+10*time.Second, off, float64(5*time.Millisecond))
}
