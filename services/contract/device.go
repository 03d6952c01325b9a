package contract

import "strconv"

// What the ESP32 sends and reads.
var (
	MovementStatus = Topic[MovementUpdate]{Spec{
		Name: "movement/status", Type: "movement.status",
		Publishers: []string{"movement", "device"}, Subscribers: []string{"router", "movement", "llm", "tools", "page"},
		Doc: "What became of a command. The ESP32 sends it bare; its message_ids repeat, so nothing is deduplicated.",
	}}
	MovementState = Topic[MovementReport]{Spec{
		Name: "movement/state", Type: "movement.state", QoS: 1,
		Publishers: []string{"movement", "device"}, Subscribers: []string{"movement", "page"},
		Doc: "What the ESP32 does with what it got, in its own words, and how far the planner is. The ESP32 retains its firmware_online, we retain nothing.",
	}}
	MovementFrame = Topic[Frame]{Spec{
		Name: "movement/frame", Type: "movement.frame", QoS: 1, Form: Bare,
		Reason:     "the ESP32 reads ch0 to ch15 at the top level",
		Publishers: []string{"movement"}, Subscribers: []string{"device"},
		Doc: "Pulses for the servos. The host's shape is read too, but the firmware cannot. A repeat sets the same pulses.",
	}}
)

// MovementUpdate says what became of a command.
type MovementUpdate struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Timestamp float64 `json:"timestamp" contract:"now" doc:"Unix seconds; from the ESP32 seconds since it was switched on"`
	Event     string  `json:"event" contract:"required" enum:"connected,disconnected,command_started,command_completed,command_failed,emergency_stop,stop_cleared,queue_full,battery_low" doc:"what happened"`
	Command   *string `json:"command" doc:"the move"`
	Detail    *string `json:"detail" contract:"loose" doc:"more about it"`
	RequestID *string `json:"request_id" contract:"loose" doc:"of the command"`
}

// MovementReport is what the firmware says about messages it got (command_queued, command_error,
// frame_applied, stopped, ...), and in the host's contract how far a planned move is (started,
// frame_sent, completed, failed, cancelled). Keys that only some events have are in More.
type MovementReport struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Timestamp float64 `json:"timestamp" contract:"now" doc:"Unix seconds; from the ESP32 seconds since it was switched on"`
	ID        *string `json:"id" contract:"drop" doc:"of the planned move"`
	Event     string  `json:"event" contract:"required" doc:"what happened"`
	Seq       *int    `json:"seq" contract:"drop" doc:"of the frame"`
	Detail    *string `json:"detail" contract:"drop,loose" doc:"more about it"`
	More      Object  `contract:"extras"`
}

// Frame is a frame in one of two shapes. We send Ticks, which is what the firmware reads.
type Frame struct {
	_       struct{}      `contract:"union"`
	Planned *PlannedFrame `when:"channels"`
	Ticks   *Ticks
}

// Ticks are pulses by channel, ch0 to ch15, in 1/4096 of 20 ms. No channel at all is a sign of life.
type Ticks struct {
	Ch map[string]int `contract:"extras" pattern:"^ch([0-9]|1[0-5])$" min:"0" max:"4095"`
}

// TicksOf makes a frame of pulses by channel number.
func TicksOf(pulses map[int]int) Frame {
	t := &Ticks{Ch: make(map[string]int, len(pulses))}
	for ch, p := range pulses {
		t.Ch["ch"+strconv.Itoa(ch)] = p
	}
	return Frame{Ticks: t}
}

// PlannedFrame is the host contract's shape, with time and order.
type PlannedFrame struct {
	MessageID    string         `json:"message_id" contract:"id" doc:"own id"`
	Timestamp    float64        `json:"timestamp" contract:"now" doc:"Unix seconds"`
	ID           string         `json:"id" contract:"required" doc:"of the move"`
	Seq          int            `json:"seq" contract:"required" min:"0" doc:"place in the move, from 0"`
	Total        int            `json:"total" contract:"required" min:"0" doc:"frames of the move"`
	DurationMS   int            `json:"duration_ms" contract:"required" min:"0" doc:"milliseconds to get there"`
	HoldMS       int            `json:"hold_ms" contract:"required" min:"0" doc:"milliseconds to stay there"`
	Channels     map[string]int `json:"channels" contract:"required" pattern:"^[0-9]{1,2}$" min:"0" max:"20000" doc:"pulse by channel number, in 1/4096 of 20 ms"`
	DisableAfter bool           `json:"disable_after" default:"false" doc:"all off afterwards"`
	Done         bool           `json:"done" default:"false" doc:"the last of the move"`
}
