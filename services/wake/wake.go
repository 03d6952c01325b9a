package wake

import (
	"context"
	"errors"
	"fmt"

	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	"github.com/tarsd/tarsd/services"
)

var (
	_ services.Service = (*Waker)(nil)
	_ services.Checker = (*Waker)(nil)
)

// Waker is the service. New makes it, Run runs it.
type Waker struct{ o Options }

// New checks the options; the error names those that make no sense.
func New(o Options) (*Waker, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("wake: %w", err)
	}
	return &Waker{o}, nil
}

// Name implements services.Service.
func (w *Waker) Name() string { return "wake" }

// Check implements services.Checker: it opens the detector. Microphones are checked by who owns them.
func (w *Waker) Check(context.Context) []services.Finding {
	_, head, err := w.o.Detector()
	if err != nil {
		return []services.Finding{{Verdict: services.Failure, Text: "nothing is heard: " + err.Error()}}
	}
	at := w.o.Threshold
	if at == 0 {
		at = float64(head.Threshold)
	}
	out := []services.Finding{{Verdict: services.Fine, Text: fmt.Sprintf("hears %q from a score of %.2f on", head.Phrase, at)}}
	if w.o.Voice != nil {
		if _, err := w.o.Voice(); err != nil {
			out = append(out, services.Finding{Verdict: services.Warning, Text: "transcripts alone say when somebody speaks: " + err.Error()})
		}
	}
	return out
}

// Run implements services.Service. A head that is missing or damaged ends it with an error, which the
// supervisor reports before it tries again. A binary without the weights of the chain runs on and is not
// well, since trying again would not help.
func (w *Waker) Run(ctx context.Context, rt services.Runtime) error {
	o := w.o
	r := newRun(&o, rt)
	chain, head, err := o.Detector()
	switch {
	case errors.Is(err, openwakeword.ErrNoWeights):
		r.broken = err
	case err != nil:
		r.failed(ctx, err)
		return err
	}
	r.chain, r.head = chain, head
	if o.Voice != nil {
		if r.voice, err = o.Voice(); err != nil {
			rt.Log.Warn().Err(err).Msg("transcripts alone say when somebody speaks")
		}
	}
	if err := r.subscribe(); err != nil {
		return err
	}
	return r.run(ctx, rt.Ready)
}
