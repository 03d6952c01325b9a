package audio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MaxChunk is the longest piece of sound that a Feed takes.
const MaxChunk = 200 * time.Millisecond

// paceBurst is how much sound may come at once, as after a pause of the network. Over time no more
// comes than can be heard, and a quarter for clocks that are fast: who listens works in real time.
const paceBurst = 2 * time.Second

// ErrChunk is wrapped when a piece of sound from elsewhere is refused.
var ErrChunk = errors.New("bad sound")

// FeedRates returns the rates that a Feed takes, in Hz.
func FeedRates() []int { return []int{8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000} }

// Feed is a microphone elsewhere, whose sound is pushed in: that of a page or of a device. What it
// sends is raw mono sound, signed 16 bit little endian, or a WAV file of its own in each piece.
type Feed struct {
	mu      sync.Mutex // one Push at a time
	rate    int        // of the piece before
	pace    pace
	box     *inbox
	framers map[int]*framer // by rate: a filter takes milliseconds to design
}

// NewFeed returns a feed that keeps up to a second for its reader.
func NewFeed() *Feed {
	q := newQueue(50)
	f := &Feed{rate: Rate, box: &inbox{q: q, now: time.Now, clock: stamper{rate: Rate}, fr: &framer{emit: q.push}}}
	f.framers = map[int]*framer{Rate: f.box.fr}
	return f
}

// Push takes a piece that has just arrived, of at most MaxChunk. Rate is one of FeedRates; 0: 16 kHz.
// That of a WAV file comes before it. More than 2 s at once, or more sound than time, is refused.
func (f *Feed) Push(chunk []byte, rate int) error {
	pcm, rate, err := decodeChunk(chunk, rate)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := Duration(len(pcm), rate); !f.pace.allow(f.box.now(), d) {
		return fmt.Errorf("%w: %s more, faster than it can be heard", ErrChunk, d)
	}
	if rate != f.rate {
		if err := f.turn(rate); err != nil {
			return err
		}
	}
	f.box.put(pcm)
	return nil
}

// pace bounds how fast sound comes.
type pace struct {
	spare time.Duration // of sound that may come now
	at    time.Time     // of the last piece
}

func (p *pace) allow(now time.Time, d time.Duration) bool {
	if p.at.IsZero() {
		p.spare = paceBurst
	}
	p.spare = min(paceBurst, p.spare+now.Sub(p.at)*5/4)
	p.at = now
	if d > p.spare {
		return false
	}
	p.spare -= d
	return true
}

// turn goes on at another rate.
func (f *Feed) turn(rate int) error {
	fr := f.framers[rate]
	if fr == nil {
		var err error
		if fr, err = newFramer(rate, f.box.q.push); err != nil {
			return fmt.Errorf("%w: %w", ErrChunk, err)
		}
		f.framers[rate] = fr
	}
	fr.restart()
	f.rate, f.box.fr, f.box.clock = rate, fr, stamper{rate: rate}
	return nil
}

// Read waits for the next frame.
func (f *Feed) Read(ctx context.Context) (Frame, error) { return f.box.q.next(ctx) }

// Close ends it: Read returns ErrClosed.
func (f *Feed) Close() error {
	f.box.q.end(ErrClosed)
	return nil
}

// decodeChunk returns the samples of a piece and their rate.
func decodeChunk(b []byte, rate int) ([]int16, int, error) {
	if rate == 0 {
		rate = Rate
	}
	if len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WAVE" {
		pcm, rate, err := ReadWAV(bytes.NewReader(b), Samples(MaxChunk, MaxRate))
		if err != nil {
			return nil, 0, fmt.Errorf("%w: %w", ErrChunk, err)
		}
		return pcm, rate, checkChunk(len(pcm), rate)
	}
	if len(b)%2 != 0 {
		return nil, 0, fmt.Errorf("%w: %d bytes are not whole samples", ErrChunk, len(b))
	}
	if err := checkChunk(len(b)/2, rate); err != nil {
		return nil, 0, err
	}
	return AppendSamples(nil, b), rate, nil
}

func checkChunk(n, rate int) error {
	switch {
	case !slices.Contains(FeedRates(), rate):
		return fmt.Errorf("%w: %d Hz, rates are %v", ErrChunk, rate, FeedRates())
	case n == 0:
		return fmt.Errorf("%w: empty", ErrChunk)
	case n > Samples(MaxChunk, rate):
		return fmt.Errorf("%w: %s in a piece, at most %s", ErrChunk, Duration(n, rate), MaxChunk)
	}
	return nil
}
