// Package voice is what makes sound of text: the interface of an engine, a chain that asks one after
// the other, and the engines: flite, which is built in, espeak-ng, Piper, a Wyoming peer, OpenAI-style
// servers and ElevenLabs. Engines know text and samples; what is said when is the service's matter.
package voice

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Text is what to say, and how. An engine honours of Voice, Lang and Style what it can, and ignores
// the rest: a voice that it does not have is no reason to be silent.
type Text struct {
	Text  string // one sentence, without markup, up to spoken.MaxSentence bytes and what its words add
	Voice string // of this engine; empty: its default
	Lang  string // such as en or en-US; empty: its default
	Style string // such as neutral, friendly or slow
}

// Sound is a piece of speech: mono, signed 16 bit.
type Sound struct {
	Rate int // samples a second
	PCM  []int16
}

// Engine speaks.
type Engine interface {
	// ID names the engine and what its default voice is made of: sound that was made under
	// another one may be different.
	ID() string
	// Speak hands the sound of a text to emit, in pieces as they come. It returns soon after ctx
	// ends or emit returns an error, with that error.
	Speak(ctx context.Context, t Text, emit func(Sound) error) error
	// Close ends what the engine keeps running, and waits for it.
	Close() error
}

// Limits of what an engine may give for one sentence: a broken or hostile one ends there.
const (
	MinRate    = 8000
	MaxRate    = 48000
	maxSamples = 3 * 60 * MaxRate
)

// sentenceTime is what an engine may take for one sentence, however often it gives a little sound.
const sentenceTime = 2 * time.Minute

// Named errors.
var (
	ErrMissing = errors.New("is not installed")
	ErrSound   = errors.New("sound that cannot be played")
)

// readPCM hands on signed 16 bit little endian samples of a stream, in pieces of up to 100 ms. What is
// there is handed on at once.
func readPCM(r io.Reader, rate int, emit func(Sound) error) error {
	if rate < MinRate || rate > MaxRate {
		return fmt.Errorf("%w: %d Hz", ErrSound, rate)
	}
	buf := make([]byte, rate/10*2)
	total, odd := 0, 0
	for {
		n, err := r.Read(buf[odd:])
		n += odd
		odd = n % 2
		if pcm := samples(buf[:n-odd]); len(pcm) > 0 {
			if total += len(pcm); total > maxSamples {
				return errTooLong()
			}
			if err := emit(Sound{rate, pcm}); err != nil {
				return err
			}
		}
		if odd == 1 {
			buf[0] = buf[n-1]
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func samples(b []byte) []int16 {
	pcm := make([]int16, len(b)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(b[2*i:])) //nolint:gosec // it is signed
	}
	return pcm
}

// idle ends a context when nothing has happened for a while.
type idle struct {
	timer *time.Timer
	d     time.Duration
}

// errSilent is the cause of an end by idle, and errSlow that of one by sentenceTime.
var (
	errSilent = errors.New("no sound in time")
	errSlow   = fmt.Errorf("not done with a sentence in %v", sentenceTime)
)

// withIdle returns a context that ends when touch is not called for d.
func withIdle(ctx context.Context, d time.Duration) (out context.Context, touch func(), cancel func()) {
	ctx, stop := context.WithTimeoutCause(ctx, sentenceTime, errSlow)
	out, end := context.WithCancelCause(ctx)
	i := &idle{d: d, timer: time.AfterFunc(d, func() { end(errSilent) })}
	return out, func() { i.timer.Reset(i.d) }, func() { i.timer.Stop(); end(nil); stop() }
}
