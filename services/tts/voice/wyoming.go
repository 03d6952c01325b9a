package voice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/tarsd/tarsd/internal/wyoming"
)

// Wyoming speaks by a peer of that protocol, such as wyoming-piper: a connection for each sentence, one
// synthesize event there, and sound in events back. mu guards voices.
type Wyoming struct {
	address wyoming.Address
	voice   string

	mu     sync.Mutex
	voices map[string]bool // that the peer has; nil: it was not asked yet
}

var _ Engine = (*Wyoming)(nil)

// NewWyoming takes an address as wyoming.ParseAddress does. It opens no connection.
func NewWyoming(address, voice string) (*Wyoming, error) {
	a, err := wyoming.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	return &Wyoming{address: a, voice: voice}, nil
}

const wyomingEvents = 20_000 // of one sentence

// ID implements Engine.
func (e *Wyoming) ID() string { return "wyoming " + e.address.Addr + " " + e.voice }

// Close implements Engine.
func (e *Wyoming) Close() error { return nil }

// Speak implements Engine.
func (e *Wyoming) Speak(ctx context.Context, t Text, emit func(Sound) error) error {
	c, err := wyoming.Dial(ctx, e.address, wyoming.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	err = e.speak(ctx, c, t, emit)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (e *Wyoming) speak(ctx context.Context, c *wyoming.Conn, t Text, emit func(Sound) error) error {
	v := wyoming.SynthesizeVoice{Name: e.voice, Language: t.Lang}
	if v.Name != "" && !english(t.Lang) {
		v.Name = "" // any that speaks it
	}
	if t.Voice != "" && t.Voice != e.voice {
		has, err := e.has(ctx, c, t.Voice)
		if err != nil {
			return err
		}
		if has {
			v.Name = t.Voice
		}
	}
	q := wyoming.Synthesize{Text: t.Text}
	if v != (wyoming.SynthesizeVoice{}) {
		q.Voice = &v
	}
	if err := c.Write(ctx, wyoming.New(wyoming.TypeSynthesize, q)); err != nil {
		return err
	}
	return readWyoming(func() (wyoming.Event, error) { return c.Read(ctx) }, emit)
}

// has reports whether the peer has a voice: it may fail at one that it does not have. It is asked for its
// list once.
func (e *Wyoming) has(ctx context.Context, c *wyoming.Conn, name string) (bool, error) {
	e.mu.Lock()
	voices := e.voices
	e.mu.Unlock()
	if voices == nil {
		var err error
		if voices, err = askVoices(ctx, c); err != nil {
			return false, fmt.Errorf("list of voices: %w", err)
		}
		e.mu.Lock()
		e.voices = voices
		e.mu.Unlock()
	}
	return voices[name], nil
}

func askVoices(ctx context.Context, c *wyoming.Conn) (map[string]bool, error) {
	if err := c.Write(ctx, wyoming.New(wyoming.TypeDescribe, nil)); err != nil {
		return nil, err
	}
	for range wyomingEvents {
		ev, err := c.Read(ctx)
		if err != nil {
			return nil, err
		}
		if ev.Type == wyoming.TypeError {
			return nil, ev.PeerError()
		}
		if ev.Type != wyoming.TypeInfo {
			continue
		}
		var info wyoming.Info
		if err := ev.Decode(&info); err != nil {
			return nil, err
		}
		voices := map[string]bool{}
		for _, p := range info.TTS {
			for _, v := range p.Voices {
				voices[v.Name] = true
			}
		}
		return voices, nil
	}
	return nil, errors.New("too many events")
}

// readWyoming reads events up to the end of the sound.
func readWyoming(read func() (wyoming.Event, error), emit func(Sound) error) error {
	total := 0
	for range wyomingEvents {
		ev, err := read()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
		}
		if err != nil {
			return err
		}
		switch ev.Type {
		case wyoming.TypeAudioStop:
			return nil
		case wyoming.TypeError:
			return ev.PeerError()
		case wyoming.TypeAudioChunk:
			f, err := ev.Format()
			if err != nil {
				return err
			}
			if err := f.Check(); err != nil {
				return fmt.Errorf("%w: %w", ErrSound, err)
			}
			s := Sound{f.Rate, f.Mono(ev.Payload)}
			if total += len(s.PCM); total > maxSamples {
				return errTooLong()
			}
			if err := emit(s); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("%w: too many events for one sentence", ErrSound)
}
