package router

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tarsd/tarsd/services/contract"
)

// Options of New. Start from Defaults. Durations are limits of states: none may be 0.
type Options struct {
	Announce     bool   // say once that the robot is online
	AnnounceText string //
	Voice        string // handed to the speech service with every text; empty: its own

	WakePhrases     []string
	InlineWake      bool          // an utterance that begins with a wake phrase needs no wake event
	WakeWindow      time.Duration // after a wake word, and again after its acknowledgement was spoken
	ResponseWindow  time.Duration // after an answer
	InterruptWindow time.Duration // speech stays paused that long when nothing is said; the wake service's own is shorter
	PauseLimit      time.Duration // the same when somebody paused it on purpose
	ThinkLimit      time.Duration // until the first piece of an answer
	StallLimit      time.Duration // between two of them
	SpeechLimit     time.Duration // until the speech service begins; its texts add to it
	UtteranceLimit  time.Duration // the longest that partial transcripts keep a window open
	LiveLimit       time.Duration // live mode ends after that much silence
	MotionLimit     time.Duration // a motion is over by then, whatever its status

	WakeAck       bool
	AckChoices    []string
	AckStyle      string
	RepromptText  string
	InterruptText string
	ResumeText    string
	CancelText    string
	TimeoutText   string

	LiveMode         bool
	LiveEnterPhrase  string
	LiveExitPhrase   string
	LiveEnterAck     string
	LiveExitAck      string
	LiveActiveHint   string
	LiveInactiveHint string

	Stream        bool   // speak while the model still writes
	BoundaryChars string // where text may be cut
	BoundaryOnly  bool
	MinChars      int // a clause is not spoken alone when it is shorter, characters
	MaxChars      int // without BoundaryOnly, characters
	HardMaxChars  int // bytes

	StopPhrases   []string // end everything, motion too
	HushPhrases   []string // end speech and what is being made for it
	CancelPhrases []string
	Commands      map[string][]string // motion → phrases; contract.Moves has names and speeds
	Greeting      string
	Errors        map[string]string // what is said by kind: model_error, timeout, no_answer, no_model, busy, motion, stopped
	History       int               // lines of a conversation that go to the model

	// Meaning makes what finds the motion that an utterance means when no phrase matches: a
	// function that answers "" if there is none. It may take a while, and runs beside the
	// dialogue; until then phrases have to do. nil: phrases only. See Meaning.
	Meaning  func(ctx context.Context, commands map[string][]string) (func(text string) string, error)
	Location *time.Location
}

// Defaults are the reference's, where it has them.
func Defaults() Options {
	return Options{
		Announce: true, AnnounceText: "System online.",
		WakePhrases: []string{"hey tars"}, InlineWake: true,
		WakeWindow: 8 * time.Second, ResponseWindow: 10 * time.Second,
		InterruptWindow: 4 * time.Second, PauseLimit: 60 * time.Second,
		ThinkLimit: 45 * time.Second, StallLimit: 20 * time.Second, SpeechLimit: 10 * time.Second, UtteranceLimit: 25 * time.Second,
		LiveLimit: 10 * time.Minute, MotionLimit: 60 * time.Second,
		WakeAck: true, AckChoices: []string{"Hmm?", "Huh?", "Yes?"}, AckStyle: "friendly",
		LiveEnterPhrase: "enter live mode", LiveExitPhrase: "exit live mode",
		LiveEnterAck: "Live mode enabled.", LiveExitAck: "Live mode disabled.",
		LiveActiveHint: "Live mode is already active.", LiveInactiveHint: "Live mode is already off.",
		Stream: true, BoundaryChars: ".!?;:", BoundaryOnly: true, MinChars: 60, MaxChars: 240, HardMaxChars: 2000,
		StopPhrases: []string{
			"stop", "stop it", "stop now", "stop that", "stop moving", "halt", "freeze", "emergency stop", "stop stop", "stop stop stop", "don't move",
		},
		HushPhrases:   []string{"be quiet", "quiet", "shut up", "silence", "hush", "stop talking", "stop speaking"},
		CancelPhrases: []string{"cancel", "cancel that", "never mind", "nevermind", "forget it", "forget about it"},
		Commands:      phrases(),
		Greeting:      "Hello! How can I help?",
		Errors: map[string]string{
			"model_error": "My thoughts just hit an error. Give me a moment and ask again.",
			"timeout":     "That is taking longer than I can justify. Ask me again.",
			"no_answer":   "I have nothing to say to that.",
			"no_model":    "The part of me that thinks is not running.",
			"busy":        "Too many questions at once. One at a time.",
			"motion":      "I cannot do that motion.",
			"stopped":     "I was told to stop. Tell me that I can move again.",
		},
		History:  10,
		Location: time.Local,
	}
}

// more are phrases beside those of contract.Moves.
func more() map[string][]string {
	return map[string][]string{
		"wave":          {"wave at me", "give me a wave"},
		"step_forward":  {"take a step forward", "walk", "come here"},
		"step_backward": {"walk back", "go backward", "take a step back"},
		"turn_left":     {"turn to the left", "go left"},
		"turn_right":    {"turn to the right", "go right"},
		"reset":         {"go to neutral"},
		"disable":       {"power down", "turn off your motors", "turn off your servos"},
		"mic_drop":      {"do a mic drop"},
		"monster":       {"do the monster"},
		resumeMotion:    {"resume", "resume moving", "you can move again", "you may move again", "release the stop", "clear the stop"},
	}
}

// phrases are the built-in phrases of motions.
func phrases() map[string][]string {
	all := more()
	for _, m := range contract.Moves() {
		if m.Name != "stop" && len(m.Spoken) > 0 { // stop words have a table of their own
			all[m.Name] = append(all[m.Name], m.Spoken...)
		}
	}
	return all
}

// Validate reports every option that makes no sense.
func (o *Options) Validate() error {
	var errs []error
	for name, d := range map[string]time.Duration{
		"wake_window": o.WakeWindow, "response_window": o.ResponseWindow, "interrupt_window": o.InterruptWindow, "pause_limit": o.PauseLimit,
		"think_limit": o.ThinkLimit, "stall_limit": o.StallLimit, "speech_limit": o.SpeechLimit, "utterance_limit": o.UtteranceLimit,
		"live_limit": o.LiveLimit, "motion_limit": o.MotionLimit,
	} {
		if d < time.Second || d > time.Hour {
			errs = append(errs, fmt.Errorf("%s: %v is not from 1s to 1h", name, d))
		}
	}
	if o.HardMaxChars < 40 {
		errs = append(errs, fmt.Errorf("hard_max_chars: %d is below 40", o.HardMaxChars))
	}
	if o.History < 0 || o.History > 200 {
		errs = append(errs, fmt.Errorf("history: %d is not from 0 to 200", o.History))
	}
	return errors.Join(errs...)
}
