package contract

// The dialogue.
var (
	DialogueState = Topic[Dialogue]{Spec{
		Name: "dialogue/state", Type: "dialogue.state", QoS: 1, Retain: true,
		Publishers: []string{"router"}, Subscribers: []string{"stt", "wake", "ui", "page", "device"},
		Doc: "What the robot does now. Retained state: a repeat changes nothing.",
	}}
	DialogueText = Topic[TypedText]{Spec{
		Name: "dialogue/text", Type: "dialogue.text", QoS: 1, Dedup: true,
		Publishers: []string{"page", "ui"}, Subscribers: []string{"router", "memory", "page"},
		Doc: "A text that was typed instead of said; it is answered without a wake word. Deduplicated: a repeat would be answered twice.",
	}}
)

// States of Dialogue.
const (
	Idle        = "idle"
	Listening   = "listening"
	Thinking    = "thinking"
	Speaking    = "speaking"
	Interrupted = "interrupted"
)

// Dialogue is the state of the dialogue.
type Dialogue struct {
	State    string   `json:"state" contract:"required" enum:"idle,listening,thinking,speaking,interrupted" doc:"what the robot does"`
	Reason   string   `json:"reason" doc:"why it came to that, such as wake, speech_end, reply, silence"`
	Since    float64  `json:"since" contract:"required,now" doc:"Unix seconds"`
	Deadline *float64 `json:"deadline" doc:"Unix seconds when it ends by itself"`
	Turn     *string  `json:"turn" doc:"turn that it belongs to"`
	Live     bool     `json:"live" default:"false" doc:"live mode: everything is heard, without a wake word"`
}

// TypedText is a text from a keyboard.
type TypedText struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Text      string  `json:"text" contract:"required" doc:"what was typed; blank is ignored"`
	Origin    *string `json:"origin" doc:"page or device; the answer goes back there"`
	Lang      *string `json:"lang" doc:"language, such as en"`
	TS        float64 `json:"ts" contract:"now" doc:"Unix seconds"`
}
