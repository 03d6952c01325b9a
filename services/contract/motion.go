package contract

// Movement: what the service keeps for those who come later.
var (
	MovementInfo = Topic[MotionInfo]{Spec{
		Name: "movement/info", Type: "movement.info", QoS: 1, Retain: true,
		Publishers: []string{"movement"}, Subscribers: []string{"movement", "router", "llm", "tools", "page"},
		Doc: "What moves the robot, its joints, and what it does now. Retained: an emergency stop is found again in it after a restart.",
	}}
	MovementHistory = Topic[MotionHistory]{Spec{
		Name: "movement/history", Type: "movement.history", QoS: 1, Retain: true,
		Publishers: []string{"movement"}, Subscribers: []string{"page"},
		Doc: "The latest requests and what became of each, whoever carried them out. Retained state.",
	}}
	MovementCalibration = Topic[MotionCalibration]{Spec{
		Name: "movement/calibration", Type: "movement.calibration", QoS: 1, Retain: true,
		Publishers: []string{"movement"}, Subscribers: []string{"movement", "page"},
		Doc: "Calibration that was saved; it goes over the configuration, within its limits. Retained state.",
	}}
)

// MovementAll is the filter of all topics about movement, for who needs them in one order.
const MovementAll = "movement/+"

// MotionInfo is what the movement service is and does.
type MotionInfo struct {
	MessageID  string      `json:"message_id" contract:"id" doc:"own id"`
	Timestamp  float64     `json:"timestamp" contract:"now" doc:"Unix seconds"`
	Backend    string      `json:"backend" contract:"required" enum:"sim,pca9685,esp32,none" doc:"what moves"`
	Ready      bool        `json:"ready" contract:"required" doc:"commands are accepted"`
	Reason     *string     `json:"reason" doc:"why they are not"`
	Stopped    *string     `json:"stopped" doc:"reason of the emergency stop that is in force"`
	Confirmed  bool        `json:"confirmed" default:"false" doc:"all outputs are off, and whoever drives them said so"`
	Manual     *string     `json:"manual" doc:"who has manual control"`
	Command    *string     `json:"command" doc:"the move that is on"`
	RequestID  *string     `json:"request_id" doc:"of that move"`
	Queue      []string    `json:"queue" max:"1000" doc:"moves that wait"`
	QueueLimit int         `json:"queue_limit" contract:"required" min:"1" doc:"how many may"`
	FrameHz    float64     `json:"frame_hz" contract:"required" min:"0" doc:"frames a second while something moves"`
	Joints     []JointInfo `json:"joints" max:"16" doc:"in the order of movement/joints"`
}

// JointInfo is a joint and its servo. Pulses are in 1/4096 of 20 ms.
type JointInfo struct {
	Name    string  `json:"name" contract:"required" doc:"such as left_leg"`
	Channel int     `json:"channel" contract:"required" min:"0" max:"15" doc:"output of the chip"`
	Min     int     `json:"min" contract:"required" min:"0" max:"4095" doc:"least pulse"`
	Max     int     `json:"max" contract:"required" min:"0" max:"4095" doc:"largest pulse"`
	Rest    int     `json:"rest" contract:"required" min:"0" max:"4095" doc:"pulse at rest"`
	Low     int     `json:"low" contract:"required" min:"0" max:"4095" doc:"pulse at 1 percent"`
	High    int     `json:"high" contract:"required" min:"0" max:"4095" doc:"pulse at 100 percent"`
	Degrees float64 `json:"degrees" default:"0" doc:"that one tick turns it, as movement/joints counts degrees"`
}

// MotionCalibration is a calibration.
type MotionCalibration struct {
	MessageID string      `json:"message_id" contract:"id" doc:"own id"`
	Timestamp float64     `json:"timestamp" contract:"now" doc:"Unix seconds"`
	Joints    []JointInfo `json:"joints" contract:"required" max:"16" doc:"all of them"`
}

// MotionHistory is the latest requests, the newest last.
type MotionHistory struct {
	MessageID string          `json:"message_id" contract:"id" doc:"own id"`
	Timestamp float64         `json:"timestamp" contract:"now" doc:"Unix seconds"`
	Requests  []MotionRequest `json:"requests" contract:"required" max:"20" doc:"at most 20"`
}

// MotionRequest is one request and everything that was said about it.
type MotionRequest struct {
	ID      string        `json:"id" contract:"required" doc:"its request_id"`
	Command string        `json:"command" contract:"required" doc:"the move"`
	Speed   float64       `json:"speed" default:"0" min:"0" max:"1" doc:"of it; 0: it has none"`
	Source  *string       `json:"source" doc:"who asked"`
	By      string        `json:"by" contract:"required" enum:"frames,device" doc:"who carries it out"`
	State   string        `json:"state" contract:"required" enum:"queued,started,completed,failed,cancelled" doc:"how far it is"`
	Detail  *string       `json:"detail" doc:"why it failed"`
	Frames  int           `json:"frames" default:"0" min:"0" doc:"poses that were reached"`
	Events  []MotionEvent `json:"events" max:"32" doc:"in order of arrival, at most 32; poses only in number"`
}

// MotionEvent is one thing that was said about a request.
type MotionEvent struct {
	Event string  `json:"event" contract:"required" doc:"queued, started, completed, failed, cancelled, or the firmware's own word"`
	TS    float64 `json:"ts" contract:"required" doc:"Unix seconds of its arrival"`
	From  string  `json:"from" contract:"required" enum:"host,device" doc:"who said it"`
}
