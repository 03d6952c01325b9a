package contract

// The wake word.
var (
	WakeEvent = Topic[Wake]{Spec{
		Name: "wake/event", Type: "wake.event", QoS: 1, Dedup: true,
		Publishers: []string{"wake", "page"}, Subscribers: []string{"router", "stt", "ui", "page"},
		Doc: "The wake word was heard, or what follows from it. Push to talk on the page is the same event. Deduplicated: a repeat would open the microphone again.",
	}}
	WakeMic = Topic[MicCommand]{Spec{
		Name: "wake/mic", Type: "wake.mic", Aliases: []string{"mic.control"}, QoS: 1, Dedup: true,
		Publishers: []string{"wake", "router", "page"}, Subscribers: []string{"stt"},
		Doc: "Open or close the microphone. Deduplicated: a late repeat of unmute would open it behind the owner's back.",
	}}
	WakeHealth = Topic[WakeState]{Spec{
		Name: "wake/health", Type: "wake.health", QoS: 1, Retain: true,
		Publishers: []string{"wake"}, Subscribers: []string{"ui", "page"},
		Doc: "The wake service's own health topic, kept for legacy peers; system/health/wake is the one to read.",
	}}
	WakeScore = Topic[Score]{Spec{
		Name: "wake/score", Type: "wake.score",
		Publishers: []string{"wake"}, Subscribers: []string{"page"},
		Doc: "How much the sound of the moment is like the wake word, 12 a second, for tuning the threshold.",
	}}
)

// Kinds of Wake; others are allowed.
const (
	WakeHeard       = "wake"
	WakeInterrupt   = "interrupt"
	WakeTimeout     = "timeout"
	WakeResume      = "resume"
	WakeCancelled   = "cancelled"
	WakeDetectorErr = "error"
)

// Wake is an event of the wake service.
type Wake struct {
	MessageID  string   `json:"message_id" contract:"id" doc:"own id"`
	Type       string   `json:"type" contract:"required" doc:"wake, interrupt, timeout, resume, cancelled, error or another word"`
	TTSID      *string  `json:"tts_id" doc:"utterance that was spoken meanwhile"`
	Confidence *float64 `json:"confidence" min:"0" max:"1" doc:"score of the detector"`
	Energy     *float64 `json:"energy" min:"0" doc:"loudness, RMS of -1 to 1"`
	Cause      *string  `json:"cause" doc:"wake_phrase, double_wake, silence, timeout, cancel, detector_failure or an error's text"`
	TS         *float64 `json:"ts" contract:"now" doc:"Unix seconds; legacy wake services send seconds since boot"`
}

// MicCommand opens or closes the microphone.
type MicCommand struct {
	MessageID string `json:"message_id" contract:"id" doc:"own id"`
	Action    string `json:"action" contract:"required" enum:"mute,unmute" doc:"what to do"`
	Reason    string `json:"reason" default:"wake" doc:"why"`
	TTLMS     *int   `json:"ttl_ms" min:"0" doc:"milliseconds until it is undone; null for good"`
}

// WakeState is the wake service's own report.
type WakeState struct {
	OK      bool    `json:"ok" default:"true" doc:"it listens"`
	Version string  `json:"version" default:"0.1.0" doc:"version of the service"`
	TS      float64 `json:"ts" contract:"now" doc:"Unix seconds"`
}

// Score is one score of the detector.
type Score struct {
	Score     float64  `json:"score" contract:"required" min:"0" max:"1" doc:"how alike"`
	Threshold *float64 `json:"threshold" min:"0" max:"1" doc:"score from which on it counts as heard now"`
	Energy    *float64 `json:"energy" min:"0" doc:"loudness, RMS of -1 to 1"`
	TS        float64  `json:"ts" contract:"now" doc:"Unix seconds"`
}
