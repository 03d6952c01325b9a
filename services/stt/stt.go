package stt

import (
	"context"
	"errors"
	"fmt"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/stt/recognise"
)

var (
	_ services.Service = (*Hearing)(nil)
	_ services.Checker = (*Hearing)(nil)
)

// Hearing is the service. New makes it, Run runs it.
type Hearing struct{ o Options }

// New checks the options; the error names those that make no sense.
func New(o Options) (*Hearing, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("stt: %w", err)
	}
	return &Hearing{o}, nil
}

// Name implements services.Service.
func (h *Hearing) Name() string { return "stt" }

// Check implements services.Checker: it makes a detector, and has an engine hear a second of silence.
func (h *Hearing) Check(ctx context.Context) []services.Finding {
	var out []services.Finding
	say := func(v services.Verdict, format string, args ...any) {
		out = append(out, services.Finding{Verdict: v, Text: fmt.Sprintf(format, args...)})
	}
	if _, err := h.o.Detector(); err != nil {
		say(services.Failure, "nothing is heard: %s", err)
	}
	if h.o.Microphones == nil {
		say(services.Warning, "%s", errNoMicrophones)
	}
	engines, absent := h.o.Engines()
	chain := recognise.NewChain(engines, absent, h.o.Patience)
	relay := chain.Begin(recognise.Utterance{Lang: h.o.Lang})
	err := relay.Feed(ctx, make([]int16, audio.Rate))
	if err == nil {
		_, err = relay.Finish(ctx)
	}
	name, why := relay.Engine(), chain.Err()
	switch {
	case err != nil:
		say(services.Failure, "nothing understands: %s", err)
	case why != nil:
		say(services.Warning, "%s understands; %s", name, why)
	default:
		say(services.Fine, "%s understands", name)
	}
	if err := errors.Join(relay.Close(), chain.Close()); err != nil {
		say(services.Warning, "%s", err)
	}
	return out
}

// errNoMicrophones says that nothing brings sound.
var errNoMicrophones = errors.New("there are no microphones in this build")

// Run implements services.Service.
func (h *Hearing) Run(ctx context.Context, rt services.Runtime) error {
	o := h.o
	r := newRun(&o, rt)
	if err := r.subscribe(); err != nil {
		return errors.Join(err, r.chain.Close())
	}
	return r.run(ctx, rt.Ready)
}
