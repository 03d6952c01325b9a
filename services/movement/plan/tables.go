package plan

import "time"

// Target is what a step wants of a joint: Keep, Rest, or a percentage from 1 to 100.
type Target int8

// The targets that are no percentages.
const (
	Keep Target = 0  // leave the joint where it is
	Rest Target = -1 // the joint's neutral pulse
)

// Step is one pose of a move and how to get there.
type Step struct {
	To   [Joints]Target
	Pace float64       // factor on the speed that was asked for; 0 is 1
	Full bool          // full speed, whatever was asked for
	Time time.Duration // how long the way takes at speed 1; 0: the speed decides
	Hold time.Duration // how long the pose is kept

	Pulse map[Joint]int // pulses in ticks, over what To says; for calibration
}

// Move is a named sequence of steps.
type Move struct {
	Name  string
	Steps []Step
	Off   bool // all outputs are switched off at the end
}

// Percentages with names.
const (
	up, fwd, most     Target = 100, 100, 100
	down, back, least Target = 1, 1, 1
	n                        = Rest
)

// ms is a hold in milliseconds.
const ms = time.Millisecond

func legs(height, left, right Target) Step {
	return Step{To: [Joints]Target{Height: height, LeftLeg: left, RightLeg: right}}
}

func port(main, forearm, hand Target) Step {
	return Step{To: [Joints]Target{PortMain: main, PortForearm: forearm, PortHand: hand}}
}

func star(main, forearm, hand Target) Step {
	return Step{To: [Joints]Target{StarMain: main, StarForearm: forearm, StarHand: hand}}
}

// and joins steps that happen at the same time.
func (s Step) and(o Step) Step {
	for j, t := range o.To {
		if t != Keep {
			s.To[j] = t
		}
	}
	return s
}

func (s Step) hold(d time.Duration) Step { s.Hold = d; return s }
func (s Step) pace(f float64) Step       { s.Pace = f; return s }
func (s Step) full() Step                { s.Full = true; return s }

func times(count int, steps ...Step) []Step {
	var all []Step
	for range count {
		all = append(all, steps...)
	}
	return all
}

func seq(parts ...[]Step) []Step {
	var all []Step
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// rest ends most sequences: legs first, then the arms.
func rest() []Step { return []Step{legs(n, n, n), port(n, n, n).and(star(n, n, n))} }

// Sequences are the firmware's moves, those that no command of it reaches included.
func Sequences() []Move {
	return []Move{
		{Name: "reset", Steps: rest()},
		{Name: "disable", Off: true},
		{Name: "step_forward", Steps: walk(fwd, back, 200*ms)},
		{Name: "step_backward", Steps: walk(back, fwd, 200*ms)},
		{Name: "turn_left", Steps: walk(back, back, 300*ms)},
		{Name: "turn_right", Steps: walk(fwd, fwd, 300*ms)},
		{Name: "wave", Steps: seq(
			[]Step{port(most, least, Keep).hold(500 * ms)},
			times(3, port(Keep, Keep, most).pace(1.5).hold(200*ms), port(Keep, Keep, least).pace(1.5).hold(200*ms)),
			[]Step{port(n, n, n)},
		)},
		{Name: "laugh", Steps: seq(
			times(5, legs(up, Keep, Keep).hold(150*ms), legs(down, Keep, Keep).hold(150*ms)),
			[]Step{legs(n, Keep, Keep)},
		)},
		{Name: "swing_legs", Steps: seq(
			times(3, legs(n, fwd, fwd).hold(500*ms), legs(n, back, back).hold(500*ms)),
			[]Step{legs(n, n, n)},
		)},
		{Name: "pezz", Steps: seq([]Step{legs(up, fwd, fwd).hold(10 * time.Second)}, rest())},
		{Name: "pezz_dispenser", Steps: seq([]Step{legs(up, fwd, fwd).hold(10 * time.Second)}, rest())},
		{Name: "now", Steps: seq([]Step{port(least, most, least).hold(2 * time.Second)}, rest())},
		{Name: "balance", Steps: seq(
			times(3, legs(n, fwd, n).hold(800*ms), legs(n, n, back).hold(800*ms)),
			rest(),
		)},
		{Name: "mic_drop", Steps: seq(
			[]Step{port(most, least, least).hold(500 * ms), port(Keep, Keep, most).full().hold(2 * time.Second)},
			rest(),
		)},
		{Name: "monster", Steps: seq(
			[]Step{port(most, most, most).and(star(least, least, least)), legs(down, Keep, Keep).hold(3 * time.Second)},
			rest(),
		)},
		{Name: "pose", Steps: seq(
			[]Step{port(most, least, least).and(star(most, most, most)), legs(n, fwd, n).hold(3 * time.Second)},
			rest(),
		)},
		{Name: "bow", Steps: seq([]Step{legs(down, back, back).hold(2 * time.Second)}, rest())},
		{Name: "big_shrug", Steps: seq(
			[]Step{legs(n, n, n).hold(200 * ms), port(most, least, least).and(star(least, least, most)).hold(time.Second)},
			rest(),
		)},
		{Name: "thinking_pose", Steps: seq(
			[]Step{legs(up, fwd, back).hold(500 * ms), star(least, least, least).and(port(most, n, least)).hold(2 * time.Second)},
			rest(),
		)},
		{Name: "excited_bounce", Steps: seq(bounce(most, least), bounce(least, most), bounce(most, least), rest())},
		{Name: "reach_forward", Steps: seq(
			[]Step{
				legs(n, n, n),
				port(n, n, n).and(star(n, n, n)).hold(300 * ms),
				port(least, most, most).and(star(least, most, most)).hold(time.Second),
				port(Keep, Keep, least).and(star(Keep, Keep, least)).full().hold(500 * ms),
			},
			rest(),
		)},
		{Name: "wide_stance", Steps: seq(
			[]Step{
				legs(down, fwd, back).hold(800 * ms),
				port(most, n, most).and(star(least, n, least)).hold(2500 * ms),
			},
			rest(),
		)},
	}
}

// walk is the gait of the four walking moves: lift, swing, set down, straighten.
func walk(left, right Target, swing time.Duration) []Step {
	return []Step{
		legs(up, n, n).hold(200 * ms),
		legs(up, left, right).hold(swing),
		legs(down, left, right).hold(200 * ms),
		legs(n, n, n),
	}
}

// bounce is one of the three of excited_bounce: down with the arms apart, up with open hands,
// middle with closed ones.
func bounce(portMain, starMain Target) []Step {
	return []Step{
		legs(down, n, n).and(port(portMain, Keep, Keep)).and(star(starMain, Keep, Keep)).hold(200 * ms),
		legs(up, n, n).and(port(Keep, Keep, most)).and(star(Keep, Keep, most)).hold(150 * ms),
		legs(n, n, n).and(port(Keep, Keep, least)).and(star(Keep, Keep, least)).hold(150 * ms),
	}
}

// frame is a line of the retired planner's tables. It counts percent as the firmware does, 1 for
// up and forward, so they are turned round here; 0 leaves the joint alone.
func frame(height, starboard, portside, duration, hold int) Step {
	turn := func(p int) Target {
		if p == 0 {
			return Keep
		}
		return Target(101 - p)
	}
	s := legs(turn(height), turn(starboard), turn(portside))
	s.Time, s.Hold = time.Duration(duration)*ms, time.Duration(hold)*ms
	return s
}

// Actions are the retired planner's moves. Each ends with the outputs off.
func Actions() []Move {
	turn := func(left, right Step) []Step {
		return []Step{
			frame(50, 50, 50, 400, 0), frame(100, 0, 0, 800, 0), left,
			frame(50, 0, 0, 600, 0), frame(0, 50, 50, 300, 0), right,
		}
	}
	end := frame(50, 50, 50, 400, 200)
	return []Move{
		{Name: "reset", Off: true, Steps: []Step{frame(20, 0, 0, 300, 0), frame(30, 50, 50, 200, 0), frame(50, 50, 50, 200, 200)}},
		{Name: "disable", Off: true, Steps: []Step{frame(50, 50, 50, 200, 0)}},
		{Name: "step_forward", Off: true, Steps: []Step{
			frame(50, 50, 50, 400, 0), frame(22, 50, 50, 600, 0), frame(40, 17, 17, 650, 0), frame(85, 50, 50, 800, 0), frame(50, 50, 50, 1000, 400),
		}},
		{Name: "step_backward", Off: true, Steps: []Step{
			frame(50, 50, 50, 400, 0), frame(28, 0, 0, 600, 0), frame(35, 70, 70, 600, 0), frame(55, 40, 40, 200, 0), frame(50, 50, 50, 800, 300),
		}},
		{Name: "turn_right", Off: true, Steps: turn(frame(0, 70, 30, 600, 0), end)},
		{Name: "turn_left", Off: true, Steps: turn(frame(0, 30, 70, 300, 0), end)},
		{Name: "balance", Off: true, Steps: seq(
			[]Step{frame(50, 50, 50, 400, 0), frame(30, 50, 50, 800, 0)},
			times(2, frame(30, 60, 60, 500, 0), frame(30, 40, 40, 500, 0)),
			[]Step{frame(30, 50, 50, 800, 0), frame(50, 50, 50, 800, 300)},
		)},
		{Name: "laugh", Off: true, Steps: seq(
			times(5, frame(50, 50, 50, 200, 0), frame(1, 50, 50, 200, 0)),
			[]Step{frame(50, 50, 50, 200, 200)},
		)},
		{Name: "swing_legs", Off: true, Steps: seq(
			[]Step{frame(50, 50, 50, 200, 0), frame(100, 50, 50, 200, 0)},
			times(2, frame(0, 20, 80, 600, 0), frame(0, 80, 20, 600, 0)),
			[]Step{frame(0, 50, 50, 600, 0), frame(50, 50, 50, 700, 200)},
		)},
		{Name: "pose", Off: true, Steps: []Step{
			frame(50, 50, 50, 400, 0), frame(30, 40, 40, 400, 0), frame(100, 30, 30, 400, 1000),
			frame(30, 30, 30, 400, 0), frame(30, 40, 40, 400, 0), frame(50, 50, 50, 400, 200),
		}},
		{Name: "bow", Off: true, Steps: []Step{
			frame(50, 50, 50, 400, 0), frame(15, 50, 50, 700, 0), frame(15, 70, 70, 700, 0), frame(60, 70, 70, 700, 0),
			frame(95, 65, 65, 700, 1000), frame(15, 65, 65, 700, 0), frame(50, 50, 50, 400, 200),
		}},
	}
}
