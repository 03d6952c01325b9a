package contract

// Health and keepalive.
var (
	Health = Topic[HealthPing]{Spec{
		Name: "system/health/+", Type: "health.status",
		Aliases: []string{"system.health", "system.health.tts", "system.health.stt", "system.health.router", "system.health.memory"},
		QoS:     1, Retain: true,
		Publishers: []string{"any"}, Subscribers: []string{"router", "wake", "llm", "tools", "ui", "page"},
		Doc: "State of a service or a device, by short name (stt); names of legacy client ids (tars-stt) are mirrored. Retained state: a repeat changes nothing.",
	}}
	Keepalive = Topic[Heartbeat]{Spec{
		Name: "system/keepalive/+", Type: "system.keepalive", Form: Bare,
		Reason:     "the legacy client library sends and expects heartbeats without an envelope",
		Publishers: []string{"any"}, Subscribers: []string{"page"},
		Doc: "Sent every few seconds by each client under its client id; the broker's health watches it.",
	}}
)

// HealthPing says how a service or device is. Unset optionals are left out, as legacy peers do on
// this topic only. The ESP32 sends it bare, with seconds since 2000 or since power-on.
type HealthPing struct {
	_         struct{} `contract:"drop"`
	MessageID string   `json:"message_id" contract:"id" doc:"own id"`
	OK        bool     `json:"ok" contract:"required" doc:"it works"`
	Event     *string  `json:"event" doc:"such as ready, reconnected, shutdown, disconnected, stale, restarting, or a device's own word"`
	Err       *string  `json:"err" doc:"what is wrong"`
	Timestamp float64  `json:"timestamp" contract:"now" doc:"Unix seconds"`
}

// Heartbeat is the sign of life of a client.
type Heartbeat struct {
	OK        bool    `json:"ok" default:"true" doc:"always true"`
	Event     string  `json:"event" default:"heartbeat" doc:"always heartbeat"`
	Timestamp float64 `json:"timestamp" contract:"required,now" doc:"Unix seconds"`
}
