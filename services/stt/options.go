package stt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services/stt/recognise"
)

// Room is the site of the microphone of this machine, and the router's origin for it.
const Room = "room"

// Microphones are the microphones that there are, each under the name of its site.
type Microphones interface {
	// Each calls f on a goroutine of its own for every site that there is and that comes, until ctx
	// ends. The context of f ends when the site goes. The listener is closed when f has returned.
	Each(ctx context.Context, f func(ctx context.Context, site string, l *audio.Listener)) error
}

// Detector says how likely somebody speaks in the next BlockLen samples, from 0 to 1. It hears one
// stream.
type Detector interface {
	Process(block []int16) float32
	Reset()
}

// BlockLen is how many samples a Detector takes: 32 ms.
const BlockLen = 512

// Options of New. Start from Defaults.
type Options struct {
	Microphones Microphones // nil: there are none
	// Engines makes the engines that understand, in the order in which they are asked, for one run,
	// which closes them. absent says what is wrong with those that were wanted and cannot be had.
	Engines  func() (engines []recognise.Engine, absent []error)
	Detector func() (Detector, error) // makes one for a stream
	Lang     string                   // of speech; empty: the engine's own
	Patience time.Duration            // an engine that gives nothing for that long has failed

	Threshold    float64       // of the detector: speech begins there, and ends 0.15 below, 0 to 1
	Silence      time.Duration // after which an utterance is over
	PreRoll      time.Duration // before speech that belongs to it
	MaxUtterance time.Duration // what is longer is cut at the quietest point
	MinSpeech    time.Duration // less is a click
	MinRMS       float64       // speech does not begin below, on the scale of 16 bits
	FloorFactor  float64       // nor below the noise floor times that

	WakeWindow     time.Duration // open after a wake event, if nobody says how long
	ResponseWindow time.Duration // open after an answer, if no router says how long
	OpenLimit      time.Duration // the longest that a command opens it for
	Guard          time.Duration // after our own speech: the room still sounds
	SpeechLimit    time.Duration // our own speech is over that long after its last sign, and the time of its text

	Partials        bool
	PartialInterval time.Duration
	Urgent          []string      // phrases that are not waited for: with one as partial transcript, an utterance ends after UrgentSilence
	UrgentSilence   time.Duration //
	Expected        []string      // whole sentences that people say: with one as partial transcript, an utterance ends after ExpectedSilence
	ExpectedSilence time.Duration //
	WakePhrases     []string      // whose rest is taken off what follows a wake word at once

	MinConfidence float64 // of those who can say; 0 to 1
	MinAlpha      float64 // share of letters and digits in a text, without spaces
	MaxPunct      float64 // share of .,!?;:
	Doubtful      []string
	DoubtfulBelow float64       // Doubtful phrases need a mean probability of speech of that
	Repeat        time.Duration // the same text again within that is dropped; 0: never
	Echo          bool          // drop what the robot has just said itself
	EchoRatio     float64       // share of words that must be the same, 0 to 1
	EchoTime      time.Duration // after our own speech
}

// Defaults are the reference's, where it has them and they let short commands through.
func Defaults() Options {
	return Options{
		Engines:  func() ([]recognise.Engine, []error) { return nil, nil },
		Detector: func() (Detector, error) { return nil, errors.New("no voice detector") },
		Lang:     "en", Patience: 10 * time.Second,
		Threshold: 0.5, Silence: 700 * time.Millisecond, PreRoll: 300 * time.Millisecond, MaxUtterance: 15 * time.Second,
		MinSpeech: 100 * time.Millisecond, MinRMS: 40, FloorFactor: 1.5,
		WakeWindow: 8 * time.Second, ResponseWindow: 10 * time.Second, OpenLimit: 10 * time.Minute,
		Guard: 200 * time.Millisecond, SpeechLimit: 12 * time.Second,
		Partials: true, PartialInterval: 250 * time.Millisecond,
		Urgent: []string{
			"stop", "stop it", "stop now", "stop that", "stop moving", "halt", "freeze", "emergency stop", "stop stop", "don't move", "cancel", "never mind", "be quiet", "quiet",
		},
		UrgentSilence: 250 * time.Millisecond, ExpectedSilence: 450 * time.Millisecond, WakePhrases: []string{"hey tars"},
		MinConfidence: 0.25, MinAlpha: 0.6, MaxPunct: 0.35,
		Doubtful: []string{"thank you", "thanks for watching", "you", "bye", "hmm", "uh"}, DoubtfulBelow: 0.75,
		Echo: true, EchoRatio: 0.75, EchoTime: 3 * time.Second,
	}
}

// Validate reports every option that makes no sense.
func (o *Options) Validate() error {
	var errs []error
	for _, v := range []struct {
		name        string
		v, min, max time.Duration
	}{
		{"patience", o.Patience, 100 * time.Millisecond, 2 * time.Minute},
		{"silence", o.Silence, 100 * time.Millisecond, 5 * time.Second}, {"pre_roll", o.PreRoll, 0, 2 * time.Second},
		{"max_utterance", o.MaxUtterance, 2 * time.Second, time.Minute}, {"min_speech", o.MinSpeech, 0, 2 * time.Second},
		{"wake_window", o.WakeWindow, time.Second, time.Minute}, {"response_window", o.ResponseWindow, 0, time.Minute},
		{"open_limit", o.OpenLimit, time.Second, 24 * time.Hour}, {"guard", o.Guard, 0, 5 * time.Second},
		{"speech_limit", o.SpeechLimit, time.Second, 10 * time.Minute}, {"partial_interval", o.PartialInterval, 50 * time.Millisecond, 10 * time.Second},
		{"urgent_silence", o.UrgentSilence, 100 * time.Millisecond, 5 * time.Second},
		{"expected_silence", o.ExpectedSilence, 100 * time.Millisecond, 5 * time.Second}, {"repeat", o.Repeat, 0, time.Minute},
		{"echo_time", o.EchoTime, 0, time.Minute},
	} {
		if v.v < v.min || v.v > v.max {
			errs = append(errs, fmt.Errorf("%s: %v is not from %v to %v", v.name, v.v, v.min, v.max))
		}
	}
	for _, v := range []struct {
		name        string
		v, min, max float64
	}{
		{"threshold", o.Threshold, 0.2, 0.95}, {"min_rms", o.MinRMS, 0, 32767}, {"floor_factor", o.FloorFactor, 0, 20},
		{"min_confidence", o.MinConfidence, 0, 1}, {"min_alpha", o.MinAlpha, 0, 1}, {"max_punct", o.MaxPunct, 0, 1},
		{"doubtful_below", o.DoubtfulBelow, 0, 1}, {"echo_ratio", o.EchoRatio, 0.5, 1},
	} {
		if !(v.v >= v.min && v.v <= v.max) { // NaN, too
			errs = append(errs, fmt.Errorf("%s: %g is not from %g to %g", v.name, v.v, v.min, v.max))
		}
	}
	return errors.Join(errs...)
}
