package contract

// Movement, from the host's side. What the ESP32 sends and reads is in device.go.
var (
	MovementTest = Topic[TestMovement]{Spec{
		Name: "movement/test", Type: "movement.test", Aliases: []string{"movement.command"}, QoS: 1, Form: Bare, Dedup: true,
		Reason:     "the ESP32 and the legacy movement service read command at the top level",
		Publishers: []string{"router", "llm", "tools", "movement", "page"}, Subscribers: []string{"movement", "device"},
		Doc: "Do a move. Deduplicated when it comes in an envelope: a repeat would move the robot twice.",
	}}
	MovementStop = Topic[StopMovement]{Spec{
		Name: "movement/stop", Type: "movement.stop", QoS: 1,
		Publishers: []string{"any"}, Subscribers: []string{"movement", "router", "device"},
		Doc: "Emergency stop. Whatever arrives here stops, also what does not decode: subscribe to it raw. Never deduplicated: one stop too many is harmless, one too few is not.",
	}}
	MovementResume = Topic[ResumeMovement]{Spec{
		Name: "movement/resume", Type: "movement.resume", QoS: 1, Dedup: true,
		Publishers: []string{"router", "page"}, Subscribers: []string{"movement"},
		Doc: "Lift an emergency stop. Deduplicated: a late repeat would lift the next stop.",
	}}
	MovementCommand = Topic[PlanMovement]{Spec{
		Name: "movement/command", Type: "movement.command", QoS: 1, Dedup: true,
		Publishers: []string{"router", "llm", "page"}, Subscribers: []string{"movement"},
		Doc: "Do an action of the planner. Deduplicated: a repeat would move the robot twice.",
	}}
	MovementManual = Topic[ManualMovement]{Spec{
		Name: "movement/manual", Type: "movement.manual",
		Publishers: []string{"page"}, Subscribers: []string{"movement"},
		Doc: "Move joints by hand, several times a second; motion ends when no further message comes within hold_ms. Not deduplicated: a repeat asks for what is so already.",
	}}
	MovementCalibrate = Topic[Calibrate]{Spec{
		Name: "movement/calibrate", Type: "movement.calibrate", QoS: 1, Dedup: true,
		Publishers: []string{"page"}, Subscribers: []string{"movement"},
		Doc: "Measure and set the limits of a joint. Deduplicated: a late repeat would undo a newer one.",
	}}
	MovementJoints = Topic[Joints]{Spec{
		Name: "movement/joints", Type: "movement.joints",
		Publishers: []string{"movement"}, Subscribers: []string{"page"},
		Doc: "Where the joints are, 25 a second while they move; the next one replaces a repeat.",
	}}
)

// TestMovement is a move by name. New sets the speed.
//
// The last six commands are ours: the firmware refuses them, the movement service plays them by frames.
type TestMovement struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Timestamp float64 `json:"timestamp" contract:"now" doc:"Unix seconds"`
	Command   string  `json:"command" contract:"required" enum:"reset,step_forward,step_backward,turn_left,turn_right,wave,laugh,swing_legs,pezz,pezz_dispenser,now,balance,mic_drop,monster,pose,bow,disable,stop,move_legs,move_arm,big_shrug,thinking_pose,excited_bounce,reach_forward,wide_stance,test_joint" doc:"the move"`
	Speed     float64 `json:"speed" default:"1.0" min:"0.1" max:"1" doc:"1 is the fastest"`
	Params    Object  `json:"params" doc:"of move_legs, move_arm and test_joint"`
	RequestID *string `json:"request_id" contract:"loose" doc:"the status carries it"`
}

// StopMovement is the emergency stop.
type StopMovement struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Timestamp float64 `json:"timestamp" contract:"now" doc:"Unix seconds"`
	Reason    *string `json:"reason" doc:"why"`
}

// ResumeMovement lifts an emergency stop.
type ResumeMovement struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Timestamp float64 `json:"timestamp" contract:"now" doc:"Unix seconds"`
	Reason    *string `json:"reason" doc:"why"`
	RequestID *string `json:"request_id" doc:"the status carries it"`
}

// PlanMovement is an action of the planner.
type PlanMovement struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Timestamp float64 `json:"timestamp" contract:"now" doc:"Unix seconds"`
	ID        string  `json:"id" contract:"id" doc:"frames and states carry it"`
	Command   string  `json:"command" contract:"required" enum:"reset,disable,step_forward,step_backward,turn_left,turn_right,balance,laugh,swing_legs,pose,bow" doc:"the action"`
	Params    Object  `json:"params" doc:"of the action"`
}

// LegParams are the parameters of move_legs, in percent of the way of each joint.
type LegParams struct {
	Height float64 `json:"height_percent" contract:"required" min:"1" max:"100" doc:"height"`
	Left   float64 `json:"left_percent" contract:"required" min:"1" max:"100" doc:"left leg"`
	Right  float64 `json:"right_percent" contract:"required" min:"1" max:"100" doc:"right leg"`
}

// ArmParams are the parameters of move_arm, in percent of the way of each joint. Port is the right arm.
type ArmParams struct {
	PortMain    *float64 `json:"port_main" min:"1" max:"100" doc:"right shoulder"`
	PortForearm *float64 `json:"port_forearm" min:"1" max:"100" doc:"right elbow"`
	PortHand    *float64 `json:"port_hand" min:"1" max:"100" doc:"right hand"`
	StarMain    *float64 `json:"star_main" min:"1" max:"100" doc:"left shoulder"`
	StarForearm *float64 `json:"star_forearm" min:"1" max:"100" doc:"left elbow"`
	StarHand    *float64 `json:"star_hand" min:"1" max:"100" doc:"left hand"`
}

// Check wants at least one joint.
func (a *ArmParams) Check() error {
	for _, j := range []*float64{a.PortMain, a.PortForearm, a.PortHand, a.StarMain, a.StarForearm, a.StarHand} {
		if j != nil {
			return nil
		}
	}
	return wrong("want at least one joint")
}

// ManualMovement moves joints while the messages keep coming.
type ManualMovement struct {
	Seq    int            `json:"seq" contract:"required" min:"0" doc:"counts up; an older one is ignored"`
	TS     float64        `json:"ts" contract:"now" doc:"Unix seconds"`
	Joints map[string]int `json:"joints" min:"1" max:"100" pattern:"^(height|left_leg|right_leg|port_main|port_forearm|port_hand|star_main|star_forearm|star_hand)$" doc:"percent of the way of each joint; empty holds still"`
	Speed  float64        `json:"speed" default:"0.5" min:"0.1" max:"1" doc:"1 is the fastest"`
	HoldMS int            `json:"hold_ms" default:"500" min:"100" max:"500" doc:"milliseconds without a further message after which motion ends"`

	Control *string `json:"control" contract:"drop" doc:"who controls; the first one has it until release or silence"`
	Release bool    `json:"release" contract:"drop" doc:"the end of control"`
}

// Calibrate sets a joint's positions within the limits of the configuration. Move goes to a pulse,
// test moves the joint from end to end, set makes a pulse the named position (min and max, the
// limits; low and high, 1 and 100 percent; rest), save keeps all over a restart, reset forgets
// what was set and saved.
type Calibrate struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Timestamp float64 `json:"timestamp" contract:"now" doc:"Unix seconds"`
	RequestID *string `json:"request_id" doc:"the status carries it"`
	Action    string  `json:"action" contract:"required" enum:"move,test,set,save,reset" doc:"what to do"`
	Joint     *string `json:"joint" pattern:"^(height|left_leg|right_leg|port_main|port_forearm|port_hand|star_main|star_forearm|star_hand)$" doc:"of move, test and set"`
	Position  *string `json:"position" enum:"min,max,rest,low,high" doc:"of set"`
	Ticks     *int    `json:"ticks" min:"0" max:"4095" doc:"of move and set: 1/4096 of 20 ms"`
}

// Check wants what the action needs.
func (c *Calibrate) Check() error {
	need := func(field string, there bool) error {
		if there {
			return nil
		}
		return &Error{Field: field, Problem: "missing"}
	}
	switch c.Action {
	case "move", "set":
	case "test":
		return need("joint", c.Joint != nil)
	default:
		return nil
	}
	if err := need("joint", c.Joint != nil); err != nil {
		return err
	}
	if err := need("ticks", c.Ticks != nil); err != nil {
		return err
	}
	return need("position", c.Action == "move" || c.Position != nil)
}

// Joints is where the joints are. Lists are in the order of the channels: height, left_leg,
// right_leg, port_main, port_forearm, port_hand, star_main, star_forearm, star_hand.
type Joints struct {
	TS      float64 `json:"ts" contract:"now" doc:"Unix seconds"`
	Ticks   []int   `json:"ticks" contract:"required" max:"16" doc:"pulse of each joint in 1/4096 of 20 ms, 0 while it is off"`
	Command *string `json:"command" doc:"the move that is on"`
	Moving  bool    `json:"moving" default:"false" doc:"something moves"`
	Stopped bool    `json:"stopped" default:"false" doc:"an emergency stop is in force"`

	Degrees []float64 `json:"degrees" contract:"drop" max:"16" doc:"angle of each joint from rest: up, forward and the larger percentage are above 0"`
	LiftMM  float64   `json:"lift_mm" contract:"drop" doc:"height of the body over its height at rest, in mm"`
}
