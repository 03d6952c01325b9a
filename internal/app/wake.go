package app

import (
	"fmt"
	"os"
	"time"

	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/wake"
)

// makeWake makes the service that hears the wake word.
func makeWake(p parts) (services.Service, error) {
	c := p.cfg.Wake
	microphones, err := p.ears()
	if err != nil {
		return nil, err
	}
	o := wake.Defaults()
	o.Threshold, o.Faint, o.VAD, o.OwnVoice = c.Threshold, c.Faint, c.VADThreshold, c.OwnVoice
	o.Retrigger, o.EnergyWindow, o.EnergyBoost = time.Duration(c.Retrigger), time.Duration(c.EnergyWindow), c.EnergyBoost
	o.IdleTimeout, o.InterruptWindow, o.SpeechLimit = time.Duration(c.IdleTimeout), time.Duration(c.InterruptWindow), time.Duration(c.SpeechLimit)
	o.Scores, o.Rest = c.Scores, c.Rest
	o.Reference, o.Microphones = p.reference, microphones
	o.Detector = func() (*openwakeword.Chain, *openwakeword.Head, error) {
		head, err := p.head()
		if err != nil {
			return nil, nil, err
		}
		chain, err := openwakeword.Open()
		return chain, head, err
	}
	return wake.New(o)
}

// headOf returns what reads the head file, or takes the built-in one. A file is read each time, so that a
// better one needs no restart of tarsd.
func headOf(c config.Wake) func() (*openwakeword.Head, error) {
	if c.Head == "" {
		return openwakeword.Builtin
	}
	return func() (*openwakeword.Head, error) {
		f, err := os.Open(c.Head)
		if err != nil {
			return nil, fmt.Errorf("wake.head: %w", err)
		}
		defer f.Close()
		h, err := openwakeword.ReadHead(f)
		if err != nil {
			return nil, fmt.Errorf("wake.head: %s: %w", c.Head, err)
		}
		return h, nil
	}
}
