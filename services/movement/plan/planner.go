package plan

import "time"

// The bounds of a speed.
const (
	SpeedMin = 0.1
	SpeedMax = 1.0
)

// tickDelay is how long the firmware waits at each tick, at a speed of almost 0.
const tickDelay = 20 * time.Millisecond

// peak is the largest speed of an eased way, as a multiple of its mean.
const peak = 1.5

// Planner makes plans for one robot.
type Planner struct {
	Cal  Calibration
	Rate int // ticks per second that no joint exceeds; 0: DefaultRate
}

// DefaultRate is the largest speed of a joint in ticks per second: 60 degrees in 0.25 s, which the
// slowest of the robot's servos can do under load.
const DefaultRate = 550

// Segment is the way to one pose and the time it is kept.
type Segment struct {
	From, To  Pose
	Way, Hold time.Duration
}

// Plan is a move as ways between poses. All joints of a way start and end together.
type Plan struct {
	Segments []Segment
	Used     [Joints]bool // joints that the move names; the others need no pulse for it
	Off      bool         // the outputs are switched off at the end
}

// Plan plans a move from a pose. Joints of the pose that are 0, where nobody knows the position,
// are taken to be at rest, as the firmware does. The speed is clamped to its range.
func (p Planner) Plan(m Move, from Pose, speed float64) Plan {
	out := Plan{Segments: make([]Segment, 0, len(m.Steps)), Off: m.Off}
	at := p.Known(from)
	for _, s := range m.Steps {
		to := at
		for j, t := range s.To {
			to[j] = p.resolve(Joint(j), t, at[j])
			out.Used[j] = out.Used[j] || t != Keep
		}
		for j, ticks := range s.Pulse {
			to[j], out.Used[j] = p.Cal[j].Clamp(max(ticks, 1)), true
		}
		out.Segments = append(out.Segments, Segment{From: at, To: to, Way: p.way(s, at, to, speed), Hold: s.Hold})
		at = to
	}
	return out
}

// Known is a pose with the joints at rest whose position is not known, and all within their limits.
func (p Planner) Known(from Pose) Pose {
	for j, s := range p.Cal {
		if from[j] == 0 {
			from[j] = s.Neutral
		}
	}
	return p.Cal.Clamp(from)
}

func (p Planner) resolve(j Joint, t Target, at int) int {
	switch {
	case t == Keep:
		return at
	case t < 0:
		return p.Cal[j].Neutral
	}
	return p.Cal[j].Ticks(float64(t))
}

// way is how long a step takes: what its table says, or one firmware delay per tick; never so
// short that a joint would exceed the rate.
func (p Planner) way(s Step, from, to Pose, speed float64) time.Duration {
	far := 0
	for j := range from {
		far = max(far, to[j]-from[j], from[j]-to[j])
	}
	if far == 0 && s.Time == 0 {
		return 0
	}
	speed = clampSpeed(speed)
	if s.Pace > 0 {
		speed = min(speed*s.Pace, SpeedMax)
	}
	if s.Full {
		speed = SpeedMax
	}
	var d time.Duration
	if s.Time > 0 {
		d = time.Duration(float64(s.Time) / speed)
	} else {
		d = time.Duration(float64(far) * float64(tickDelay) * (SpeedMax - speed))
	}
	rate := p.Rate
	if rate <= 0 {
		rate = DefaultRate
	}
	least := time.Duration(float64(far) * peak / float64(rate) * float64(time.Second))
	return max(d, least)
}

func clampSpeed(v float64) float64 {
	if !(v > SpeedMin) { // NaN too
		return SpeedMin
	}
	return min(v, SpeedMax)
}

// Duration is how long the whole plan takes.
func (p Plan) Duration() time.Duration {
	var d time.Duration
	for _, s := range p.Segments {
		d += s.Way + s.Hold
	}
	return d
}

// At is the pose at a time since the start, and the number of poses that were reached. done is
// true when the plan is over; the pose is then its last one.
func (p Plan) At(t time.Duration) (pose Pose, reached int, done bool) {
	for i, s := range p.Segments {
		pose = s.To
		if t < s.Way {
			return s.at(t), i, false
		}
		if t -= s.Way; t < s.Hold {
			return s.To, i + 1, false
		}
		t -= s.Hold
	}
	return pose, len(p.Segments), true
}

// at is the pose at a time on the way: slow at both ends, 1.5 times the mean in the middle.
func (s Segment) at(t time.Duration) Pose {
	x := float64(max(t, 0)) / float64(s.Way)
	x = x * x * (3 - 2*x)
	var p Pose
	for j := range p {
		p[j] = s.From[j] + int(float64(s.To[j]-s.From[j])*x)
	}
	return p
}

// Approach is one step of d towards a target, for control by hand: slower when it is near, and
// never faster than speed times the rate. 0 in the target leaves a joint where it is.
func (p Planner) Approach(at, target Pose, speed float64, d time.Duration) Pose {
	rate := p.Rate
	if rate <= 0 {
		rate = DefaultRate
	}
	most := max(1, int(float64(rate)*clampSpeed(speed)*d.Seconds()))
	target = p.Cal.Clamp(target)
	for j, t := range target {
		if t == 0 {
			continue
		}
		left := t - at[j]
		step := left / 4
		if step == 0 {
			step = max(-1, min(left, 1))
		}
		at[j] += max(-most, min(step, most))
	}
	return p.Cal.Clamp(at)
}
