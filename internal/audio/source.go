package audio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Source is a microphone. Read and Close are for one goroutine.
type Source interface {
	// Read waits for the next frame. The end of a file is io.EOF; after any other error, but that of
	// ctx, the source is lost.
	Read(ctx context.Context) (Frame, error)
	Close() error
}

// OpenSource opens a microphone:
//
//	pulse[:SOURCE][@SERVER]  PulseAudio or PipeWire; the default source of the default server
//	arecord[:DEVICE]         ALSA by the program arecord, such as arecord:plughw:1,0
//	wav:PATH                 a WAV file, at the speed of a microphone
//	wav-fast:PATH            the same as fast as it is read, with the times of a microphone
//	name:TEXT                the first one whose name has TEXT in it, as Devices lists them
//	auto                     pulse, or else arecord if it knows a card
func OpenSource(ctx context.Context, spec string) (Source, error) {
	s, err := openSource(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("open microphone %s: %w", spec, err)
	}
	return s, nil
}

func openSource(ctx context.Context, spec string) (Source, error) {
	kind, arg := splitSpec(spec)
	switch kind {
	case "pulse":
		return openPulseSource(ctx, arg)
	case "arecord":
		return openArecord(command{}, arg)
	case "wav", "wav-fast":
		return openWAV(arg, kind == "wav")
	case "name":
		list, err := Devices(ctx)
		d, nerr := pickMicrophone(list, arg)
		if nerr != nil {
			return nil, errors.Join(nerr, err)
		}
		return openSource(ctx, d.Spec)
	case "auto":
		s, err := openSource(ctx, "pulse")
		if err == nil {
			return s, nil
		}
		if aerr := anyCard(ctx, command{}, false); aerr != nil {
			return nil, fmt.Errorf("%w; %w", err, aerr)
		}
		return openArecord(command{}, "")
	}
	return nil, fmt.Errorf("unknown kind %q: pulse, arecord, name, wav, wav-fast and auto are known", kind)
}

// splitSpec takes "kind:argument" apart; pulse@server has no name before its server.
func splitSpec(spec string) (kind, arg string) {
	if server, ok := strings.CutPrefix(spec, "pulse@"); ok {
		return "pulse", "@" + server
	}
	kind, arg, _ = strings.Cut(spec, ":")
	return kind, arg
}

// inbox makes frames of what a device, a program or the network hands in, piece by piece: put is for
// one goroutine and never waits, read for another.
type inbox struct {
	q     *queue
	fr    *framer
	clock stamper
	now   func() time.Time
}

// newInbox returns an inbox for mono sound at rate with a queue of depth frames.
func newInbox(rate, depth int) (*inbox, error) {
	b := &inbox{q: newQueue(depth), clock: stamper{rate: rate}, now: time.Now}
	fr, err := newFramer(rate, b.q.push)
	b.fr = fr
	return b, err
}

func (b *inbox) put(pcm []int16) {
	at, gap := b.clock.stamp(b.now(), len(pcm))
	b.fr.add(pcm, at, gap)
}

// Lateness that tells of lost sound: this much for half a second, or a second at once. Less is a busy
// machine or network, after which all that was waiting comes in a burst.
const (
	lateSome = 60 * time.Millisecond
	lateMuch = time.Second
)

// stamper says when sound was heard that arrives at uneven times. Nothing arrives before it was
// heard, so the earliest arrivals tell; a slow drift between the clocks is followed.
type stamper struct {
	rate int
	next time.Time // when the next sample was heard, by what came so far
	late int       // samples in a row that were late
}

func (s *stamper) stamp(now time.Time, n int) (at time.Time, gap bool) {
	arrived := now.Add(-Duration(n, s.rate))
	late := arrived.Sub(s.next)
	switch {
	case s.next.IsZero() || late < 0:
		s.next, s.late = arrived, 0
	case late > lateSome:
		s.late += n
	default:
		s.late = 0
		s.next = s.next.Add(late / 256)
	}
	if late > lateMuch && !s.next.Equal(arrived) || s.late > s.rate/2 {
		s.next, s.late, gap = arrived, 0, true
	}
	at = s.next
	s.next = at.Add(Duration(n, s.rate))
	return at, gap
}

// wavSource plays a file as a microphone would.
type wavSource struct {
	f      *os.File
	r      *WAVReader
	fr     *framer
	buf    []int16
	frames []Frame // complete and not read yet
	begin  time.Time
	n      int // frames read
	paced  bool
	ended  bool
}

func openWAV(path string, paced bool) (Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &wavSource{f: f, paced: paced, buf: make([]int16, 4096), begin: time.Now()}
	if s.r, err = NewWAVReader(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if s.fr, err = newFramer(s.r.Rate(), func(f Frame) { s.frames = append(s.frames, f) }); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (s *wavSource) Read(ctx context.Context) (Frame, error) {
	for len(s.frames) == 0 {
		if s.ended {
			return Frame{}, io.EOF
		}
		n, err := s.r.Read(s.buf)
		if err != nil && !errors.Is(err, io.EOF) {
			return Frame{}, fmt.Errorf("%s: %w", s.f.Name(), err)
		}
		s.fr.add(s.buf[:n], s.begin, false)
		if s.ended = err != nil; s.ended {
			s.fr.finish()
		}
	}
	f := s.frames[0]
	f.At = s.begin.Add(time.Duration(s.n) * FrameTime)
	if s.paced {
		if err := sleep(ctx, time.Until(f.At.Add(FrameTime))); err != nil {
			return Frame{}, err
		}
	} else if ctx.Err() != nil {
		return Frame{}, context.Cause(ctx)
	}
	s.frames = s.frames[1:]
	s.n++
	return f, nil
}

func (s *wavSource) Close() error { return s.f.Close() }
