package audio

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNoDevice is wrapped when there is nothing to play on or to listen to.
var ErrNoDevice = errors.New("no sound device")

// ErrClosed is returned by what was closed before.
var ErrClosed = errors.New("closed")

// Sink plays mono sound, signed 16 bit, at the rate that it was opened with. Its methods may be
// called by several goroutines; Flush and Close also end a Write or Drain that waits.
type Sink interface {
	// Write blocks until the sink has taken all samples, which it plays at most its buffer later:
	// Ahead on a device, and nothing where there is no clock, such as a file.
	Write(ctx context.Context, pcm []int16) error
	// Drain waits until all that was written has been played.
	Drain(ctx context.Context) error
	// Flush drops what has not been played: silence within 100 ms. A Write that waits returns
	// ErrFlushed.
	Flush() error
	// Close stops at once, as Flush does, and gives the device back.
	Close() error
}

// ErrFlushed is returned by a Write or a Drain that a Flush has overtaken.
var ErrFlushed = errors.New("flushed")

// Ahead is how much sound a device holds that has not been played: enough to bridge the pauses of
// a busy machine, and less than what a stop may take.
const Ahead = 150 * time.Millisecond

// OpenSink opens a speaker for sound of the given rate:
//
//	pulse[:SINK][@SERVER]  PulseAudio or PipeWire; the default sink of the default server
//	aplay[:DEVICE]         ALSA by the program aplay, such as aplay:plughw:1,0
//	wav:PATH               a WAV file, which takes sound as fast as it comes
//	none                   nowhere, at the speed of a speaker
//	auto                   pulse, or else aplay if it knows a card
//
// A device that is lost fails one Write or Drain; the next one opens it again.
func OpenSink(ctx context.Context, spec string, rate int) (Sink, error) {
	if rate < MinRate || rate > MaxRate {
		return nil, fmt.Errorf("open sink %s: %d Hz, rates are %d to %d Hz", spec, rate, MinRate, MaxRate)
	}
	s, err := openSink(ctx, spec, rate)
	if err != nil {
		return nil, fmt.Errorf("open sink %s: %w", spec, err)
	}
	return s, nil
}

func openSink(ctx context.Context, spec string, rate int) (Sink, error) {
	kind, arg := splitSpec(spec)
	switch kind {
	case "pulse":
		return reviving(ctx, func(ctx context.Context) (Sink, error) { return openPulseSink(ctx, arg, rate) })
	case "aplay":
		return newAplay(command{}, arg, rate)
	case "wav":
		w, err := CreateWAV(arg, rate)
		if err != nil {
			return nil, err
		}
		return &fileSink{w: w}, nil
	case "none":
		return NewPeerSink(nowhere{}, rate, Ahead), nil
	case "auto":
		s, err := openSink(ctx, "pulse", rate)
		if err == nil {
			return s, nil
		}
		if aerr := anyCard(ctx, command{}, true); aerr != nil {
			return nil, fmt.Errorf("%w; %w", err, aerr)
		}
		return newAplay(command{}, "", rate)
	}
	return nil, fmt.Errorf("unknown kind %q: pulse, aplay, wav, none and auto are known", kind)
}

// fileSink plays into a file.
type fileSink struct {
	mu sync.Mutex
	w  *WAVWriter // nil after Close
}

func (s *fileSink) Write(ctx context.Context, pcm []int16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil {
		return ErrClosed
	}
	return errors.Join(ctx.Err(), s.w.Write(pcm))
}

func (s *fileSink) Drain(ctx context.Context) error { return ctx.Err() }
func (s *fileSink) Flush() error                    { return nil }

func (s *fileSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil {
		return nil
	}
	w := s.w
	s.w = nil
	return w.Close()
}

// nowhere is the peer of the sink that is none.
type nowhere struct{}

func (nowhere) Send(context.Context, []int16) error { return nil }
func (nowhere) End(context.Context, bool) error     { return nil }
