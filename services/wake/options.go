package wake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	"github.com/tarsd/tarsd/internal/engine/silero"
)

// Microphones are the ears of all sites.
type Microphones interface {
	// Each calls f in a goroutine of its own for each site that there is and comes, until ctx ends, and
	// returns when all of them have returned. The context of f ends when its site goes. The local
	// microphone's site is "room".
	Each(ctx context.Context, f func(ctx context.Context, site string, l *audio.Listener)) error
}

// Options of New. Start from Defaults.
type Options struct {
	Microphones Microphones
	// Detector makes the chain and the head for one run. An error that wraps openwakeword.ErrNoWeights means
	// that this binary cannot hear; any other is one of the configuration.
	Detector func() (*openwakeword.Chain, *openwakeword.Head, error)
	// Voice makes a voice detector, which says when somebody speaks after a call. It may be nil, or fail:
	// then transcripts alone say so.
	Voice func() (*silero.Detector, error)
	// Reference is what is being played. It may be nil: then it is only known whether the robot speaks.
	Reference *audio.Reference

	Threshold       float64       // from which score on it is a call, 0 to 1; 0: the head's own
	Faint           float64       // factor of the threshold for a faint voice in a quiet room, 0.1 to 1; 1 for none
	VAD             float64       // how sure the voice detector must be of a voice during the call, 0 to 1; 0: it is not asked
	Retrigger       time.Duration // after a call there is no other for that long
	EnergyWindow    time.Duration // over which the loudness of a call is measured
	EnergyBoost     float64       // factor of the loudness that is reported
	IdleTimeout     time.Duration // how long is waited for somebody to speak after a call; also how long the microphone stays open
	InterruptWindow time.Duration // the same while speech is paused
	SpeechLimit     time.Duration // how long somebody may speak before a wait ends all the same
	OwnVoice        float64       // how alike what is heard and what is played may be before it must be more certain, 0 to 1
	Scores          bool          // publish them
	Rest            bool          // do nothing while nothing is heard
	Stall           time.Duration // a microphone that gives nothing for that long is dead
	Health          time.Duration // between two reports on wake/health
}

// Defaults are the reference's, where it has them and they make sense. The time after a call is that
// of the router's window.
func Defaults() Options {
	return Options{
		Faint: 0.8, Retrigger: time.Second, EnergyWindow: 750 * time.Millisecond, EnergyBoost: 1,
		IdleTimeout: 8 * time.Second, InterruptWindow: 2500 * time.Millisecond, SpeechLimit: 15 * time.Second,
		OwnVoice: 0.5, Scores: true, Rest: true, Stall: 5 * time.Second, Health: 15 * time.Second,
		Voice: silero.Open,
	}
}

// Validate reports every option that makes no sense.
func (o *Options) Validate() error {
	var errs []error
	for _, v := range []struct {
		name        string
		v, min, max time.Duration
	}{
		{"retrigger", o.Retrigger, 0, time.Minute}, {"energy_window", o.EnergyWindow, 80 * time.Millisecond, 10 * time.Second},
		{"idle_timeout", o.IdleTimeout, 500 * time.Millisecond, time.Hour}, {"interrupt_window", o.InterruptWindow, 100 * time.Millisecond, time.Minute},
		{"speech_limit", o.SpeechLimit, time.Second, 5 * time.Minute}, {"stall", o.Stall, 100 * time.Millisecond, time.Hour},
		{"health", o.Health, time.Second, time.Hour},
	} {
		if v.v < v.min || v.v > v.max {
			errs = append(errs, fmt.Errorf("%s: %v is not from %v to %v", v.name, v.v, v.min, v.max))
		}
	}
	for _, v := range []struct {
		name        string
		v, min, max float64
	}{
		{"threshold", o.Threshold, 0, 1}, {"faint", o.Faint, 0.1, 1}, {"vad_threshold", o.VAD, 0, 1},
		{"energy_boost", o.EnergyBoost, 0.1, 100}, {"own_voice", o.OwnVoice, 0, 1},
	} {
		if !(v.v >= v.min && v.v <= v.max) {
			errs = append(errs, fmt.Errorf("%s: %v is not from %v to %v", v.name, v.v, v.min, v.max))
		}
	}
	if o.Microphones == nil || o.Detector == nil {
		errs = append(errs, errors.New("microphones and detector must be set"))
	}
	return errors.Join(errs...)
}
