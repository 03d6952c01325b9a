package voice

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tarsd/tarsd/internal/wyoming"
)

// Wyoming speaks by a peer of that protocol, such as wyoming-piper: a connection for each sentence, one
// synthesize event there, and sound in events back.
type Wyoming struct {
	address wyoming.Address
	voice   string
}

var _ Engine = (*Wyoming)(nil)

// NewWyoming takes an address as wyoming.ParseAddress does. It opens no connection.
func NewWyoming(address, voice string) (*Wyoming, error) {
	a, err := wyoming.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	return &Wyoming{a, voice}, nil
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
	err = c.Write(ctx, wyoming.New(wyoming.TypeSynthesize, wyoming.Synthesize{Text: t.Text, Voice: e.voiceFor(t)}))
	if err == nil {
		err = readWyoming(func() (wyoming.Event, error) { return c.Read(ctx) }, emit)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// voiceFor is which voice to ask for: for another language than that of ours, any that speaks it.
func (e *Wyoming) voiceFor(t Text) *wyoming.SynthesizeVoice {
	v := wyoming.SynthesizeVoice{Name: e.voice, Language: t.Lang}
	if v.Name != "" && !english(t.Lang) {
		v.Name = ""
	}
	if v == (wyoming.SynthesizeVoice{}) {
		return nil
	}
	return &v
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
