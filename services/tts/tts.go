package tts

import (
	"context"
	"errors"
	"fmt"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/tts/voice"
)

var (
	_ services.Service = (*Speaker)(nil)
	_ services.Checker = (*Speaker)(nil)
)

// Speaker is the service. New makes it, Run runs it.
type Speaker struct{ o Options }

// New checks the options; the error names those that make no sense.
func New(o Options) (*Speaker, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("tts: %w", err)
	}
	return &Speaker{o}, nil
}

// Name implements services.Service.
func (s *Speaker) Name() string { return "tts" }

// Check implements services.Checker: it has a word made, and opens the speaker.
func (s *Speaker) Check(ctx context.Context) []services.Finding {
	var out []services.Finding
	say := func(v services.Verdict, format string, args ...any) {
		out = append(out, services.Finding{Verdict: v, Text: fmt.Sprintf(format, args...)})
	}
	engines, absent := s.o.Engines()
	chain := voice.NewChain(engines, absent, s.o.Silence)
	name, err := chain.Speak(ctx, voice.Text{Text: "Hello.", Voice: s.o.Voice, Lang: s.o.Lang}, func(voice.Sound) error { return nil })
	switch why := chain.Err(); {
	case err != nil:
		say(services.Failure, "nothing can speak: %s", err)
	case why != nil:
		say(services.Warning, "%s speaks; %s", name, why)
	default:
		say(services.Fine, "%s speaks", name)
	}
	if err := chain.Close(); err != nil {
		say(services.Warning, "%s", err)
	}
	sink, err := s.o.OpenSink(ctx, s.o.Sink, 16000)
	switch {
	case err == nil:
		say(services.Fine, "sound goes to %s", s.o.Sink)
		if err := sink.Close(); err != nil {
			say(services.Warning, "%s", err)
		}
	case s.o.Sink == "auto" && errors.Is(err, audio.ErrNoDevice):
		say(services.Fine, "no sound device: speech is silent, but for pages and satellites")
	default:
		say(services.Warning, "%s", err)
	}
	return out
}

// Run implements services.Service.
func (s *Speaker) Run(ctx context.Context, rt services.Runtime) error {
	o := s.o
	r := newRun(&o, rt)
	if err := r.subscribe(); err != nil {
		return errors.Join(err, r.chain.Close())
	}
	return r.run(ctx, rt.Ready)
}
