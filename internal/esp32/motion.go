package esp32

import (
	"fmt"
	"time"
)

// limits are the least and largest ticks of the nine joints: height, left and right leg, then main,
// forearm and hand of the right arm and of the left.
var limits = [9][2]int{
	{200, 400}, {200, 400}, {200, 400}, {135, 440}, {200, 380}, {200, 280}, {135, 440}, {200, 380}, {280, 380},
}

// positions are the named positions of the legs.
var positions = [3]map[byte]int{
	{'u': 220, 'n': 300, 'd': 350},
	{'f': 220, 'n': 300, 'b': 380},
	{'f': 380, 'n': 300, 'b': 220},
}

// move is a pose that is gone to, and the pause after it. A pose has a letter for each joint in the
// order of limits: u, n, d for the height, f, n, b for the legs, + - and m for the largest, least and
// middle of an arm's joint, and . for one that stays. Short poses leave the rest.
type move struct {
	pose  string
	pause time.Duration
	speed float64 // times the command's, 0 for 1; negative: its amount, whatever the command's
}

const ms = time.Millisecond

// rest is the sequence reset, with which most others end.
var rest = []move{{pose: "nnn"}, {pose: "...mmmmmm"}}

func times(n int, m ...move) []move {
	var all []move
	for range n {
		all = append(all, m...)
	}
	return all
}

// sequence is what a command does; nil for a command without one.
func sequence(name string) []move {
	ending := func(m ...move) []move { return append(m, rest...) }
	switch name {
	case "reset":
		return rest
	case "step_forward":
		return []move{{"unn", 200 * ms, 0}, {"ufb", 200 * ms, 0}, {"dfb", 200 * ms, 0}, {"nnn", 0, 0}}
	case "step_backward":
		return []move{{"unn", 200 * ms, 0}, {"ubf", 200 * ms, 0}, {"dbf", 200 * ms, 0}, {"nnn", 0, 0}}
	case "turn_left":
		return []move{{"unn", 200 * ms, 0}, {"ubb", 300 * ms, 0}, {"dbb", 200 * ms, 0}, {"nnn", 0, 0}}
	case "turn_right":
		return []move{{"unn", 200 * ms, 0}, {"uff", 300 * ms, 0}, {"dff", 200 * ms, 0}, {"nnn", 0, 0}}
	case "wave":
		m := append([]move{{"...+-.", 500 * ms, 0}}, times(3, move{".....+", 200 * ms, 1.5}, move{".....-", 200 * ms, 1.5})...)
		return append(m, move{"...mmm", 0, 0})
	case "laugh":
		return append(times(5, move{"u", 150 * ms, 0}, move{"d", 150 * ms, 0}), move{"n", 0, 0})
	case "swing_legs":
		return append(times(3, move{"nff", 500 * ms, 0}, move{"nbb", 500 * ms, 0}), move{"nnn", 0, 0})
	case "pezz", "pezz_dispenser":
		return ending(move{"uff", 10000 * ms, 0})
	case "now":
		return ending(move{"...-+-", 2000 * ms, 0})
	case "balance":
		return ending(times(3, move{"nfn", 800 * ms, 0}, move{"nnb", 800 * ms, 0})...)
	case "mic_drop":
		return ending(move{"...+--", 500 * ms, 0}, move{".....+", 2000 * ms, -1})
	case "monster":
		return ending(move{"...+++---", 0, 0}, move{"d", 3000 * ms, 0})
	case "pose":
		return ending(move{"...+--+++", 0, 0}, move{"nfn", 3000 * ms, 0})
	case "bow":
		return ending(move{"dbb", 2000 * ms, 0})
	}
	return nil
}

// execute is the command executor: a coroutine that yields how long it sleeps.
func (f *firmware) execute(yield func(time.Duration) bool) {
	for {
		var c *Command
		latched := false
		f.d.change(func(s *State) {
			latched = s.Latched
			if !latched && len(s.Queue) > 0 {
				next := s.Queue[0]
				c, s.Queue, s.Running = &next, s.Queue[1:], next.Name
			}
		})
		sleep := 100 * ms
		switch {
		case latched:
			sleep = 500 * ms
		case c != nil:
			if !f.perform(c, yield) {
				return
			}
			sleep = 200 * ms
		}
		if !yield(sleep) {
			return
		}
	}
}

// perform runs one command. It reports false when the power is gone.
func (f *firmware) perform(c *Command, yield func(time.Duration) bool) bool {
	began := time.Now()
	failure := ""
	_ = f.status("command_started", c, "") // printed by the firmware, and forgotten
	switch c.Name {
	case "stop":
		f.disable()
		f.d.change(func(s *State) { s.Queue, s.Latched = nil, true })
		_ = f.status("emergency_stop", nil, "")
	case "disable":
		f.disable()
	case "move_legs", "move_arm": // the converter gets a percentage where it wants the name of a group
		failure = "Unknown servo group: " + fmt.Sprint(percent(c))
	default:
		for _, m := range sequence(c.Name) {
			if !f.move(c, m, yield) {
				return false
			}
		}
	}
	if failure == "" {
		_ = f.status("command_completed", c, "")
	} else {
		_ = f.status("command_failed", c, failure)
	}
	f.d.change(func(s *State) {
		s.Running = ""
		s.Ended = append(s.Ended, Ended{Command: *c, Failure: failure, Began: began, At: time.Now()})
	})
	return true
}

func percent(c *Command) any {
	for _, v := range c.Params {
		return v
	}
	return 50
}

// move goes to a pose, one tick of every joint a step.
func (f *firmware) move(c *Command, m move, yield func(time.Duration) bool) bool {
	speed := c.Speed
	switch {
	case m.speed < 0:
		speed = -m.speed
	case m.speed > 0:
		speed *= m.speed
	}
	delay := max(time.Duration(int(20*(1-speed)))*ms, 0)
	for moving := true; moving; {
		moving = false
		f.servos(func(pwm *[Channels]int) {
			for ch := range len(m.pose) {
				to, ok := target(ch, m.pose[ch])
				if !ok || f.table[ch] == to {
					continue
				}
				if f.table[ch] < to {
					f.table[ch]++
				} else {
					f.table[ch]--
				}
				pwm[ch] = f.table[ch]
				moving = true
			}
		})
		if moving && !yield(delay) {
			return false
		}
	}
	return m.pause == 0 || yield(m.pause)
}

// target is the position in ticks that a letter of a pose means for a joint.
func target(ch int, letter byte) (ticks int, ok bool) {
	if ch < len(positions) {
		ticks, ok = positions[ch][letter]
		return ticks, ok
	}
	switch letter {
	case '-':
		return limits[ch][0], true
	case '+':
		return limits[ch][1], true
	case 'm':
		return (limits[ch][0] + limits[ch][1]) / 2, true
	}
	return 0, false
}

// disable takes the current off all channels.
func (f *firmware) disable() {
	f.servos(func(pwm *[Channels]int) { *pwm = [Channels]int{} })
	f.table = [Channels]int{}
}

// servos changes what the servos get.
func (f *firmware) servos(set func(*[Channels]int)) {
	f.d.change(func(s *State) {
		was := s.PWM
		set(&s.PWM)
		if s.PWM != was {
			s.Moved = time.Now()
		}
	})
}
