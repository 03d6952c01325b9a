package tts

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/tarsd/tarsd/services/tts/voice"
)

// What is taken off the beginning of a sentence: engines begin with up to a quarter of a second of
// silence, which would only make the robot seem slow.
const (
	quietest = 150                    // samples below are silence
	leadKept = 10 * time.Millisecond  // of it
	leadMost = 700 * time.Millisecond // that is looked at
)

// clip is the sound of one sentence, while it is made and played. mu guards all of it.
type clip struct {
	mu      sync.Mutex
	rate    int
	pcm     []int16
	skipped int // samples of silence that were left out
	begun   bool
	done    bool
	err     error
	engine  string
	more    chan struct{} // closed when there is more, or the end
	whole   chan struct{} // closed at the end
	taken   int           // samples that the player has handed on
}

func newClip() *clip { return &clip{more: make(chan struct{}), whole: make(chan struct{})} }

// add appends sound.
func (c *clip) add(s voice.Sound) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rate == 0 {
		c.rate = s.Rate
	}
	if s.Rate != c.rate || s.Rate < voice.MinRate || s.Rate > voice.MaxRate {
		return fmt.Errorf("%w: %d Hz, and then %d Hz", voice.ErrSound, c.rate, s.Rate)
	}
	pcm := s.PCM
	if !c.begun {
		pcm = c.trim(pcm)
	}
	c.pcm = append(c.pcm, pcm...)
	if len(pcm) > 0 {
		c.wake()
	}
	return nil
}

// trim leaves out the silence before the first sound.
func (c *clip) trim(pcm []int16) []int16 {
	at := 0
	for at < len(pcm) && pcm[at] < quietest && pcm[at] > -quietest {
		at++
	}
	if at == len(pcm) && c.skipped+at < samplesIn(leadMost, c.rate) {
		c.skipped += at
		return nil
	}
	c.begun = true
	return pcm[max(0, at-samplesIn(leadKept, c.rate)):]
}

func samplesIn(d time.Duration, rate int) int { return int(d * time.Duration(rate) / time.Second) }

func (c *clip) wake() {
	close(c.more)
	c.more = make(chan struct{})
}

// finish ends the clip. What is too short or too quiet to be anything has no sound, which is no error.
func (c *clip) finish(engine string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done, c.err, c.engine = true, err, engine
	c.wake()
	close(c.whole)
}

// take waits for the next samples, at most 20 ms of them; io.EOF at the end.
func (c *clip) take(ctx context.Context) (pcm []int16, rate int, err error) {
	for {
		c.mu.Lock()
		if left := c.pcm[c.taken:]; len(left) > 0 {
			n := min(len(left), c.rate/50)
			rate = c.rate
			c.mu.Unlock()
			return left[:n], rate, nil
		}
		done, err, more := c.done, c.err, c.more
		c.mu.Unlock()
		switch {
		case done && err != nil:
			return nil, 0, err
		case done:
			return nil, 0, io.EOF
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// gave notes that n samples have been handed to the device.
func (c *clip) gave(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken += n
}

// given is how many samples have been; rate is 0 as long as there is no sound at all.
func (c *clip) given() (rate, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rate, c.taken
}

// wholeGiven reports whether that was all.
func (c *clip) wholeGiven() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done && c.taken == len(c.pcm)
}

// rewind goes back to a sample.
func (c *clip) rewind(to int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = to
}

// speaker is which engine made it.
func (c *clip) speaker() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine
}

// sound is all of it, once it is whole.
func (c *clip) sound() voice.Sound {
	c.mu.Lock()
	defer c.mu.Unlock()
	return voice.Sound{Rate: c.rate, PCM: c.pcm}
}
