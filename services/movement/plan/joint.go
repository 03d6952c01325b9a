package plan

import (
	"errors"
	"fmt"
)

// Joint is one servo of the robot. Its number is its place in a Calibration and in a Pose.
type Joint uint8

// The joints. Starboard is the robot's left side, port its right.
const (
	Height Joint = iota
	LeftLeg
	RightLeg
	PortMain
	PortForearm
	PortHand
	StarMain
	StarForearm
	StarHand
	Joints // how many there are
)

// names are the joints as topics and configuration call them; those of the arms are the
// parameters of move_arm.
var names = [Joints]string{
	"height", "left_leg", "right_leg", "port_main", "port_forearm", "port_hand", "star_main", "star_forearm", "star_hand",
}

// String is the joint's name on topics, such as left_leg.
func (j Joint) String() string {
	if j < Joints {
		return names[j]
	}
	return fmt.Sprintf("joint(%d)", uint8(j))
}

// JointNamed finds a joint by its name.
func JointNamed(name string) (Joint, bool) {
	for j, n := range names {
		if n == name {
			return Joint(j), true
		}
	}
	return 0, false
}

// The range of pulses that any servo stands, in ticks at 50 Hz: about 0.5 to 2.5 ms. A
// calibration cannot leave it.
const (
	PulseMin = 100
	PulseMax = 520
)

// Channels is how many outputs the chip has.
const Channels = 16

// Servo is what is known of one joint's servo. Pulses are in ticks.
type Servo struct {
	Channel int // output of the chip, 0 to 15
	Min     int // least pulse that the joint stands
	Max     int // largest pulse that the joint stands
	Neutral int // where it rests
	Low     int // pulse at 1 percent
	High    int // pulse at 100 percent; may be below Low
}

// Ticks is the pulse at a percentage, which is clamped to 1 to 100. Fractions of a tick are cut
// off, as the firmware does.
func (s Servo) Ticks(percent float64) int {
	if !(percent > 1) { // NaN too
		percent = 1
	}
	percent = min(percent, 100)
	return s.Clamp(int(float64(s.Low) + float64(s.High-s.Low)*(percent-1)/99))
}

// Percent is the percentage of a pulse, 1 to 100, and 0 for 0 ticks, an output that is off.
func (s Servo) Percent(ticks int) float64 {
	if ticks == 0 || s.High == s.Low {
		return 0
	}
	return min(max(1+99*float64(ticks-s.Low)/float64(s.High-s.Low), 1), 100)
}

// Clamp moves a pulse into the joint's limits. 0, which is no pulse, stays.
func (s Servo) Clamp(ticks int) int {
	if ticks == 0 {
		return 0
	}
	return min(max(ticks, s.Min), s.Max)
}

// Calibration are the servos of one robot, by joint.
type Calibration [Joints]Servo

// DefaultCalibration is that of the reference firmware.
func DefaultCalibration() Calibration {
	return Calibration{
		Height:      {Channel: 0, Min: 200, Max: 400, Neutral: 300, Low: 350, High: 220},
		LeftLeg:     {Channel: 1, Min: 200, Max: 400, Neutral: 300, Low: 380, High: 220},
		RightLeg:    {Channel: 2, Min: 200, Max: 400, Neutral: 300, Low: 220, High: 380},
		PortMain:    {Channel: 3, Min: 135, Max: 440, Neutral: 287, Low: 135, High: 440},
		PortForearm: {Channel: 4, Min: 200, Max: 380, Neutral: 290, Low: 200, High: 380},
		PortHand:    {Channel: 5, Min: 200, Max: 280, Neutral: 240, Low: 200, High: 280},
		StarMain:    {Channel: 6, Min: 135, Max: 440, Neutral: 287, Low: 135, High: 440},
		StarForearm: {Channel: 7, Min: 200, Max: 380, Neutral: 290, Low: 200, High: 380},
		StarHand:    {Channel: 8, Min: 280, Max: 380, Neutral: 330, Low: 280, High: 380},
	}
}

// Validate reports every value that contradicts another or the range of servos.
func (c Calibration) Validate() error {
	var errs []error
	used := map[int]Joint{}
	for j := range Joints {
		s := c[j]
		if s.Channel < 0 || s.Channel >= Channels {
			errs = append(errs, fmt.Errorf("%s.channel: %d is not from 0 to %d", j, s.Channel, Channels-1))
		} else if other, ok := used[s.Channel]; ok {
			errs = append(errs, fmt.Errorf("%s.channel: %d is that of %s", j, s.Channel, other))
		}
		used[s.Channel] = j
		if s.Min < PulseMin || s.Max > PulseMax || s.Min >= s.Max {
			errs = append(errs, fmt.Errorf("%s: min %d and max %d are not a range within %d to %d", j, s.Min, s.Max, PulseMin, PulseMax))
			continue
		}
		for _, v := range []struct {
			name  string
			ticks int
		}{{"neutral", s.Neutral}, {"low", s.Low}, {"high", s.High}} {
			if v.ticks < s.Min || v.ticks > s.Max {
				errs = append(errs, fmt.Errorf("%s.%s: %d is not from min %d to max %d", j, v.name, v.ticks, s.Min, s.Max))
			}
		}
		if s.Low == s.High {
			errs = append(errs, fmt.Errorf("%s: low and high are both %d", j, s.Low))
		}
	}
	return errors.Join(errs...)
}

// Pose is a pulse per joint in ticks; 0 is no pulse: the output is off and the servo limp.
type Pose [Joints]int

// Neutral is the pose at rest.
func (c Calibration) Neutral() Pose {
	var p Pose
	for j, s := range c {
		p[j] = s.Neutral
	}
	return p
}

// Clamp moves every pulse into its joint's limits.
func (c Calibration) Clamp(p Pose) Pose {
	for j, s := range c {
		p[j] = s.Clamp(p[j])
	}
	return p
}
