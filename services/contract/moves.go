package contract

import "slices"

// Move is a command that the robot knows, for whoever offers commands: the router's phrases, the
// model's tools, the page's buttons. Names and speeds are those of movement/test.
type Move struct {
	Name     string
	Speed    float64     // that suits it, 0.1 to 1; 0 when it has none
	Tool     string      // name of the reference's tool; empty: it had none
	Spoken   []string    // what people say for it, in lower case, without punctuation; none: it is not for voice
	Params   []MoveParam // of TestMovement.Params
	Action   bool        // also a command of movement/command, with a table of its own
	Firmware bool        // the ESP32 knows it; others are played by frames
	Doc      string      // for people and for the model
}

// MoveParam is a parameter of a Move.
type MoveParam struct {
	Name     string
	Percent  bool // a whole number from 1 to 100; otherwise the name of a joint
	Required bool
	Doc      string
}

// JointNames are the joints in the order of Joints.Ticks.
func JointNames() []string {
	return []string{
		"height", "left_leg", "right_leg", "port_main", "port_forearm", "port_hand", "star_main", "star_forearm", "star_hand",
	}
}

// MoveNamed finds a move.
func MoveNamed(name string) (Move, bool) {
	all := Moves()
	if i := slices.IndexFunc(all, func(m Move) bool { return m.Name == name }); i >= 0 {
		return all[i], true
	}
	return Move{}, false
}

// Moves are all commands of movement/test, in the order of its enum.
func Moves() []Move {
	percent := func(name, doc string) MoveParam { return MoveParam{Name: name, Percent: true, Doc: doc} }
	required := func(p MoveParam) MoveParam { p.Required = true; return p }
	return []Move{
		{Name: "reset", Speed: 0.8, Tool: "reset_position", Action: true, Firmware: true, Doc: "Go back to the neutral position.",
			Spoken: []string{"reset", "reset position", "go to reset", "stand straight", "neutral position"}},
		{Name: "step_forward", Speed: 0.8, Tool: "move_forward", Action: true, Firmware: true, Doc: "Walk one step forward.",
			Spoken: []string{"step forward", "walk forward", "move forward", "go forward"}},
		{Name: "step_backward", Speed: 0.8, Tool: "move_backward", Action: true, Firmware: true, Doc: "Walk one step backward.",
			Spoken: []string{"step backward", "step back", "walk backward", "move back", "move backward", "go back"}},
		{Name: "turn_left", Speed: 0.8, Tool: "turn_left", Action: true, Firmware: true, Doc: "Turn to the left on the spot.",
			Spoken: []string{"turn left", "rotate left"}},
		{Name: "turn_right", Speed: 0.8, Tool: "turn_right", Action: true, Firmware: true, Doc: "Turn to the right on the spot.",
			Spoken: []string{"turn right", "rotate right"}},
		{Name: "wave", Speed: 0.7, Tool: "wave", Firmware: true, Doc: "Wave with the right hand, as a greeting or a goodbye.",
			Spoken: []string{"wave", "wave your hand", "wave hello", "wave goodbye"}},
		{Name: "laugh", Speed: 0.9, Tool: "laugh", Action: true, Firmware: true, Doc: "Bounce up and down, as if laughing at a joke.",
			Spoken: []string{"laugh", "do a laugh", "laugh animation"}},
		{Name: "swing_legs", Speed: 0.6, Tool: "swing_legs", Action: true, Firmware: true, Doc: "Swing both legs to and fro.",
			Spoken: []string{"swing legs", "swing your legs", "leg swing"}},
		{Name: "pezz", Speed: 0.5, Firmware: true, Doc: "The same as pezz_dispenser.", Spoken: []string{"pezz"}},
		{Name: "pezz_dispenser", Speed: 0.5, Tool: "pezz_dispenser", Firmware: true, Doc: "Tilt like a candy dispenser, and hold it for 10 seconds.",
			Spoken: []string{"pez", "pez dispenser", "candy dispenser"}},
		{Name: "now", Speed: 0.7, Tool: "point", Firmware: true, Doc: "Point forward with the right arm, for emphasis.",
			Spoken: []string{"now pose", "point", "point forward"}},
		{Name: "balance", Speed: 0.8, Tool: "celebrate", Action: true, Firmware: true, Doc: "Shift the weight from leg to leg, as a celebration.",
			Spoken: []string{"balance", "balance yourself", "stand up", "celebrate"}},
		{Name: "mic_drop", Speed: 0.8, Tool: "mic_drop", Firmware: true, Doc: "Drop an imaginary microphone after a good line.",
			Spoken: []string{"mic drop", "drop the mic"}},
		{Name: "monster", Speed: 0.7, Tool: "monster_pose", Firmware: true, Doc: "Threaten like a monster, with raised arms.",
			Spoken: []string{"monster", "monster pose"}},
		{Name: "pose", Speed: 0.6, Tool: "pose", Action: true, Firmware: true, Doc: "Strike a pose.",
			Spoken: []string{"pose", "strike a pose", "do a pose"}},
		{Name: "bow", Speed: 0.5, Tool: "bow", Action: true, Firmware: true, Doc: "Bow, as thanks.",
			Spoken: []string{"bow", "take a bow", "bow down"}},
		{Name: "disable", Action: true, Firmware: true, Doc: "Switch all servos off; the robot goes limp.",
			Spoken: []string{"disable", "disable your servos", "relax your servos", "go limp"}},
		{Name: "stop", Tool: "stop_movement", Firmware: true, Doc: "Emergency stop: everything off until movement/resume. Publish movement/stop rather than this.",
			Spoken: []string{"stop", "stop moving", "halt", "freeze", "emergency stop"}},
		{Name: "move_legs", Speed: 0.8, Firmware: true, Doc: "Bring the legs to a position.", Params: []MoveParam{
			required(percent("height_percent", "1 is down, 100 is up")),
			required(percent("left_percent", "left leg: 1 is back, 100 is forward")),
			required(percent("right_percent", "right leg: 1 is back, 100 is forward")),
		}},
		{Name: "move_arm", Speed: 0.8, Firmware: true, Doc: "Bring joints of the arms to a position; at least one.", Params: []MoveParam{
			percent("port_main", "right shoulder"), percent("port_forearm", "right elbow"), percent("port_hand", "right hand"),
			percent("star_main", "left shoulder"), percent("star_forearm", "left elbow"), percent("star_hand", "left hand"),
		}},
		{Name: "big_shrug", Speed: 0.7, Tool: "big_shrug", Doc: "Shrug with both arms, when uncertain.",
			Spoken: []string{"shrug", "big shrug", "shrug your shoulders"}},
		{Name: "thinking_pose", Speed: 0.6, Tool: "thinking_pose", Doc: "Pose as if thinking.",
			Spoken: []string{"thinking pose", "think hard", "look thoughtful"}},
		{Name: "excited_bounce", Speed: 1, Tool: "excited_bounce", Doc: "Bounce with excitement.",
			Spoken: []string{"bounce", "excited bounce", "get excited"}},
		{Name: "reach_forward", Speed: 0.7, Tool: "reach_forward", Doc: "Reach forward with both arms and grab.",
			Spoken: []string{"reach forward", "reach out", "grab"}},
		{Name: "wide_stance", Speed: 0.6, Tool: "wide_stance", Doc: "Stand wide and low, hands closed.",
			Spoken: []string{"wide stance", "stand wide"}},
		{Name: "test_joint", Speed: 0.5, Doc: "Move one joint slowly to a position, or from end to end, and back to rest.", Params: []MoveParam{
			{Name: "joint", Required: true, Doc: "name of the joint"}, percent("percent", "position; absent: from end to end"),
		}},
	}
}
