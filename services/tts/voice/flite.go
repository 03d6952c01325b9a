package voice

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tarsd/tarsd/internal/engine/flite"
)

// Flite is the built-in engine: English, in five voices.
type Flite struct {
	voice   string
	opened  chan struct{} // closed when the two below are set
	engine  *flite.Engine
	openErr error
}

var _ Engine = (*Flite)(nil)

// NewFlite opens the engine in the background; who speaks meanwhile waits. A voice that it does not
// have is its default. Without the program in this binary it returns flite.ErrNoProgram.
func NewFlite(voice string) (*Flite, error) {
	if !flite.BuiltIn() {
		return nil, fmt.Errorf("flite: %w", flite.ErrNoProgram)
	}
	if !slices.Contains(flite.Voices(), voice) {
		voice = flite.DefaultVoice
	}
	f := &Flite{voice: voice, opened: make(chan struct{})}
	go func() { // Close waits for it
		defer close(f.opened)
		f.engine, f.openErr = flite.Open()
	}()
	return f, nil
}

// ID implements Engine.
func (f *Flite) ID() string { return "flite " + flite.ID + " " + f.voice }

// Suits reports whether a text is in English.
func (f *Flite) Suits(t Text) bool { return english(t.Lang) }

func english(lang string) bool { return lang == "" || strings.HasPrefix(strings.ToLower(lang), "en") }

// Speak implements Engine.
func (f *Flite) Speak(ctx context.Context, t Text, emit func(Sound) error) error {
	select {
	case <-f.opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	if f.openErr != nil {
		return f.openErr
	}
	name := f.voice
	if slices.Contains(flite.Voices(), t.Voice) {
		name = t.Voice
	}
	for _, s := range cutText(t.Text, flite.MaxText) {
		r := flite.Request{Text: s, Voice: name, Stretch: 1 / pace(t.Style)}
		if err := f.engine.Speak(ctx, r, func(rate int, pcm []int16) error { return emit(Sound{rate, pcm}) }); err != nil {
			return err
		}
	}
	return nil
}

// Close implements Engine.
func (f *Flite) Close() error {
	<-f.opened
	if f.engine == nil {
		return nil
	}
	return f.engine.Close()
}

// pace is how fast a style speaks, 1 being as usual.
func pace(style string) float64 {
	switch strings.ToLower(style) {
	case "slow", "calm", "sad":
		return 0.85
	case "fast", "excited", "urgent":
		return 1.15
	}
	return 1
}

// cutText cuts a text at spaces into pieces of up to most bytes: numbers may have become long words.
func cutText(s string, most int) []string {
	var out []string
	for len(s) > most {
		i := strings.LastIndexByte(s[:most], ' ')
		if i <= 0 {
			i = len(strings.ToValidUTF8(s[:most], ""))
		}
		out = append(out, s[:i])
		s = strings.TrimLeft(s[i:], " ")
	}
	return append(out, s)
}
