package contract

import "errors"

// Speech output.
var (
	TTSSay = Topic[Say]{Spec{
		Name: "tts/say", Type: "tts.say", QoS: 1, Dedup: true,
		Publishers: []string{"router", "llm", "tools", "page"}, Subscribers: []string{"tts", "stt", "memory", "ui", "page"},
		Doc: "Speak a text. Texts with one utt_id belong together. Deduplicated: a repeat would be spoken twice.",
	}}
	TTSStatus = Topic[SpeechStatus]{Spec{
		Name: "tts/status", Type: "tts.status", Form: Bare,
		Reason:     "the legacy wake service reads event at the top level and could not interrupt speech otherwise; the legacy desktop panel, which takes envelopes only, gets one from our broker (devices.md); all others take both forms, and utt_id correlates",
		Publishers: []string{"tts"}, Subscribers: []string{"router", "stt", "wake", "ui", "page"},
		Doc: "What the speaker does: exactly one speaking_start and one speaking_end per utterance.",
	}}
	TTSProgress = Topic[SpeechProgress]{Spec{
		Name: "tts/progress", Type: "tts.progress",
		Publishers: []string{"tts"}, Subscribers: []string{"stt", "wake", "ui", "page"},
		Doc: "A sentence begins to sound.",
	}}
	TTSState = Topic[SpeechState]{Spec{
		Name: "tts/state", Type: "tts.state", QoS: 1, Retain: true,
		Publishers: []string{"tts"}, Subscribers: []string{"ui", "page"},
		Doc: "How the speaker is set. Retained state: a repeat changes nothing.",
	}}
	TTSControl = Topic[SpeechControl]{Spec{
		Name: "tts/control", Type: "tts.control", QoS: 1, Form: Bare, Dedup: true,
		Reason:     "the legacy speech service takes action and reason at the top level only",
		Publishers: []string{"wake", "router", "tools", "page"}, Subscribers: []string{"tts"},
		Doc: "Pause, resume or stop what is spoken; mute, unmute, volume. Deduplicated when it comes in an envelope: a late repeat of resume would undo a newer pause.",
	}}
)

// Say is a text to speak.
type Say struct {
	MessageID      string   `json:"message_id" contract:"id" doc:"own id"`
	Text           string   `json:"text" contract:"required" doc:"what to say; blank is ignored"`
	Voice          *string  `json:"voice" doc:"voice of the engine"`
	Lang           *string  `json:"lang" doc:"language, such as en"`
	UttID          *string  `json:"utt_id" doc:"utterance: texts with the same one are one answer"`
	Style          *string  `json:"style" doc:"such as neutral or friendly"`
	STTTS          *float64 `json:"stt_ts" doc:"ts of the transcript that is answered, for latency"`
	WakeAck        *bool    `json:"wake_ack" doc:"the short answer to the wake word"`
	SystemAnnounce *bool    `json:"system_announce" doc:"an announcement that nobody asked for"`
}

// Events of SpeechStatus.
const (
	SpeakingStart = "speaking_start"
	SpeakingEnd   = "speaking_end"
	SpeechPaused  = "paused"
	SpeechResumed = "resumed"
	SpeechStopped = "stopped"
)

// SpeechStatus is what the speaker reports.
type SpeechStatus struct {
	MessageID      string  `json:"message_id" contract:"id" doc:"own id"`
	Event          string  `json:"event" contract:"required" enum:"speaking_start,speaking_end,paused,resumed,stopped" doc:"what happened"`
	Text           string  `json:"text" doc:"the text that is spoken, cleaned"`
	Timestamp      float64 `json:"timestamp" contract:"now" doc:"Unix seconds"`
	UttID          *string `json:"utt_id" doc:"utterance of the say"`
	Reason         *string `json:"reason" doc:"why it was paused, resumed or stopped"`
	WakeAck        *bool   `json:"wake_ack" doc:"as in the say"`
	SystemAnnounce *bool   `json:"system_announce" doc:"as in the say"`
}

// Actions of SpeechControl.
const (
	ActionPause  = "pause"
	ActionResume = "resume"
	ActionStop   = "stop"
	ActionMute   = "mute"
	ActionUnmute = "unmute"
	ActionVolume = "volume"
)

// SpeechControl is a command to the speaker. Its id and its reason are those of the legacy peers,
// not of their documents: the legacy speaker ignores a command without a reason, so there is always one.
type SpeechControl struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Action    string  `json:"action" contract:"required,fold" enum:"pause,resume,stop,mute,unmute,volume" doc:"what to do"`
	Reason    string  `json:"reason" contract:"nullok" default:"requested" doc:"such as wake_interrupt, wake_resume, wake_timeout, wake_cancel"`
	ID        *string `json:"id" doc:"utterance that is meant; without one the present one, and of a stop all"`
	Volume    *int    `json:"volume" contract:"drop" min:"0" max:"100" doc:"of the action volume, percent"`
	TS        float64 `json:"ts" contract:"now" doc:"Unix seconds"`
}

// Check implements the rule over two fields.
func (c *SpeechControl) Check() error {
	if c.Action == ActionVolume && c.Volume == nil {
		return errors.New("volume: missing, the action needs it")
	}
	return nil
}

// SpeechProgress tells which sentence begins to sound.
type SpeechProgress struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	UttID     *string `json:"utt_id" doc:"utterance of the say"`
	Part      int     `json:"part" contract:"required" min:"0" doc:"number of the sentence in the utterance, from 0"`
	Text      string  `json:"text" contract:"required" doc:"the sentence, cleaned"`
	Engine    *string `json:"engine" doc:"who made the sound"`
	AfterMS   *int    `json:"after_ms" min:"0" doc:"milliseconds since the text came; of the first sentence of a text that had not to wait for another"`
	TS        float64 `json:"ts" contract:"now" doc:"Unix seconds"`
}

// SpeechState is how the speaker is set.
type SpeechState struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Engine    *string `json:"engine" doc:"who is asked first; null: there is none"`
	Sink      string  `json:"sink" contract:"required" doc:"where sound of this machine goes; none: nowhere"`
	Muted     bool    `json:"muted" default:"false" doc:"nothing is heard"`
	Volume    int     `json:"volume" default:"100" min:"0" max:"100" doc:"percent"`
	TS        float64 `json:"ts" contract:"now" doc:"Unix seconds"`
}
