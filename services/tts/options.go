package tts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services/tts/voice"
)

// Options of New. Start from Defaults.
type Options struct {
	// Engines makes the engines that speak, in the order in which they are asked, for one run,
	// which closes them. absent says what is wrong with those that were wanted and cannot be had:
	// it is on the health topic, and the reason of every end when there is none at all.
	Engines func() (engines []voice.Engine, absent []error)
	Voice   string // when a text asks for none
	Lang    string // the same

	Sink  string   // as audio.OpenSink has it; auto without any device plays nowhere, in real time
	Sites []string // origins that always get their answers on audio/out/<site>

	Volume     int           // percent, 0 to 100, until somebody changes it
	Grace      time.Duration // an utterance is over when no text came for that long
	Gap        time.Duration // and the longest silence in it while the model is still answering
	PauseLimit time.Duration // a pause that nobody ends becomes a stop
	Silence    time.Duration // an engine that gives nothing for that long has failed

	CacheDir string   // of phrases; empty: they are kept in memory only
	CacheMax int      // how many; 0: none
	Preload  []string // phrases that are made before they are asked for

	// Reference hears what is played where and when, under "room" for this machine's speaker. It may be nil.
	Reference *audio.Reference

	// OpenSink takes the place of audio.OpenSink in tests.
	OpenSink func(ctx context.Context, spec string, rate int) (audio.Sink, error)
}

// Defaults are the reference's, where it has them.
func Defaults() Options {
	return Options{
		Sink: "auto", Volume: 100, Grace: 300 * time.Millisecond, Gap: 4 * time.Second, PauseLimit: 2 * time.Minute, Silence: 10 * time.Second,
		CacheMax: 32, OpenSink: audio.OpenSink,
		Engines: func() ([]voice.Engine, []error) { return nil, nil },
	}
}

// Validate reports every option that makes no sense.
func (o *Options) Validate() error {
	var errs []error
	for _, v := range []struct {
		name        string
		v, min, max time.Duration
	}{
		{"grace", o.Grace, 0, 5 * time.Second}, {"gap", o.Gap, 0, time.Minute}, {"pause_limit", o.PauseLimit, time.Second, time.Hour},
		{"silence", o.Silence, 100 * time.Millisecond, 2 * time.Minute},
	} {
		if v.v < v.min || v.v > v.max {
			errs = append(errs, fmt.Errorf("%s: %v is not from %v to %v", v.name, v.v, v.min, v.max))
		}
	}
	if o.Volume < 0 || o.Volume > 100 {
		errs = append(errs, fmt.Errorf("volume: %d is not from 0 to 100", o.Volume))
	}
	if o.CacheMax < 0 || o.CacheMax > 1000 {
		errs = append(errs, fmt.Errorf("cache: %d is not from 0 to 1000", o.CacheMax))
	}
	if o.Sink == "" {
		errs = append(errs, errors.New("sink: must be set"))
	}
	return errors.Join(errs...)
}
