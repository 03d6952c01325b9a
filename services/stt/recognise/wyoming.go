package recognise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/wyoming"
)

// WyomingOptions are those of NewWyoming.
type WyomingOptions struct {
	Address string // as wyoming.ParseAddress takes it
	Model   string // there; empty: its own
	// Wait is how long the peer may take for the text once the speech is over, and Stuck how long for a
	// piece of sound.
	Wait, Stuck time.Duration
}

// Wyoming recognises by a peer of that protocol, such as wyoming-faster-whisper: a connection for each
// utterance. mu guards open and closed.
type Wyoming struct {
	o       WyomingOptions
	address wyoming.Address

	mu     sync.Mutex
	open   map[*wyomingStream]bool
	closed bool
}

var _ Engine = (*Wyoming)(nil)

// NewWyoming opens no connection.
func NewWyoming(o WyomingOptions) (*Wyoming, error) {
	a, err := wyoming.ParseAddress(o.Address)
	if err != nil {
		return nil, err
	}
	if o.Wait <= 0 || o.Stuck <= 0 {
		return nil, errors.New("wyoming: the times must be above zero")
	}
	return &Wyoming{o: o, address: a, open: map[*wyomingStream]bool{}}, nil
}

// Name implements Engine.
func (e *Wyoming) Name() string { return "wyoming" }

var errClosed = errors.New("wyoming: closed")

// Begin implements Engine. It connects, or starts the peer's program.
func (e *Wyoming) Begin(ctx context.Context, u Utterance) (Stream, error) {
	c, err := wyoming.Dial(ctx, e.address, wyoming.Options{WriteTime: e.o.Stuck})
	if err != nil {
		return nil, fmt.Errorf("wyoming: %w", err)
	}
	s := &wyomingStream{e: e, c: c, lang: u.Lang, done: make(chan struct{})}
	if !e.add(s) {
		return nil, errors.Join(errClosed, c.Close())
	}
	for _, ev := range []wyoming.Event{
		wyoming.New(wyoming.TypeTranscribe, wyoming.Transcribe{Name: e.o.Model, Language: u.Lang}),
		wyoming.New(wyoming.TypeAudioStart, wyoming.Mono16(audio.Rate)),
	} {
		if err := c.Write(ctx, ev); err != nil {
			e.remove(s)
			return nil, errors.Join(fmt.Errorf("wyoming: %w", err), c.Close())
		}
	}
	s.wg.Go(s.listen)
	return s, nil
}

func (e *Wyoming) add(s *wyomingStream) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.open[s] = true
	}
	return !e.closed
}

func (e *Wyoming) remove(s *wyomingStream) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, s)
}

// Close implements Engine.
func (e *Wyoming) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	var errs []error
	for s := range e.open { // their owners close them, too
		errs = append(errs, s.c.Close())
	}
	return errors.Join(errs...)
}

// Bounds of what a peer says of one utterance.
const (
	maxTranscript = 16 << 10 // bytes
	maxEvents     = 20_000
)

// wyomingStream is one connection. Its goroutine, which Close waits for, reads; mu guards what it found.
type wyomingStream struct {
	e    *Wyoming
	c    *wyoming.Conn
	lang string
	wg   sync.WaitGroup
	done chan struct{} // closed when there is a result, or an error

	mu      sync.Mutex
	partial string
	result  Result
	err     error
}

// listen reads up to the transcript.
func (s *wyomingStream) listen() {
	defer close(s.done)
	r, err := s.read()
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w before the transcript: %w", io.ErrUnexpectedEOF, err)
	}
	if err != nil {
		err = fmt.Errorf("wyoming: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result, s.err = r, err
}

func (s *wyomingStream) read() (Result, error) {
	for range maxEvents {
		ev, err := s.c.Read(context.Background()) // Close ends it
		if err != nil {
			return Result{}, err
		}
		var t wyoming.Transcript
		switch ev.Type {
		case wyoming.TypeError:
			return Result{}, ev.PeerError()
		case wyoming.TypeTranscriptStart, wyoming.TypeTranscriptChunk, wyoming.TypeTranscript:
			if err := ev.Decode(&t); err != nil {
				return Result{}, err
			}
		default:
			continue
		}
		if t.Language == "" {
			t.Language = s.lang
		}
		if ev.Type == wyoming.TypeTranscript {
			if len(t.Text) > maxTranscript {
				return Result{}, errTooMuch
			}
			return Result{Text: strings.TrimSpace(t.Text), Lang: t.Language, Confidence: -1}, nil
		}
		if !s.heard(ev.Type == wyoming.TypeTranscriptStart, t.Text) {
			return Result{}, errTooMuch
		}
	}
	return Result{}, errTooMuch
}

var errTooMuch = errors.New("the peer says too much for one utterance")

// heard notes a part of the text.
func (s *wyomingStream) heard(anew bool, text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if anew {
		s.partial = ""
	}
	s.partial += text
	return len(s.partial) <= maxTranscript
}

// Feed implements Stream. A peer that knows the end of speech by itself may have its transcript
// ready: what comes then is not sent.
func (s *wyomingStream) Feed(ctx context.Context, pcm []int16) error {
	if over, err := s.over(); over || len(pcm) == 0 {
		return err
	}
	return s.write(ctx, wyoming.Chunk(audio.Rate, pcm))
}

// write sends an event. When that fails because the peer has gone, what it said before is the reason.
func (s *wyomingStream) write(ctx context.Context, ev wyoming.Event) error {
	err := s.c.Write(ctx, ev)
	if err == nil {
		return nil
	}
	if ctx.Err() == nil && !errors.Is(err, wyoming.ErrStuck) {
		select {
		case <-s.done:
			_, said := s.over()
			return said
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(s.e.o.Stuck):
		}
	}
	return fmt.Errorf("wyoming: %w", err)
}

func (s *wyomingStream) over() (bool, error) {
	select {
	case <-s.done:
		s.mu.Lock()
		defer s.mu.Unlock()
		return true, s.err
	default:
		return false, nil
	}
}

// Partial implements Stream: what a peer sends that streams its transcript.
func (s *wyomingStream) Partial(context.Context) (string, error) {
	if over, err := s.over(); over && err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSpace(s.partial), nil
}

// Finish implements Stream.
func (s *wyomingStream) Finish(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.e.o.Wait, fmt.Errorf("wyoming: no transcript in %v", s.e.o.Wait))
	defer cancel()
	if over, _ := s.over(); !over {
		if err := s.write(ctx, wyoming.New(wyoming.TypeAudioStop, wyoming.At{})); err != nil {
			return Result{}, err
		}
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.result, s.err
}

// Close implements Stream.
func (s *wyomingStream) Close() error {
	err := s.c.Close()
	s.wg.Wait()
	s.e.remove(s)
	return err
}
