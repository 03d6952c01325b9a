// Package sim is the robot without motors: a kinematic model of its legs and arms that takes pulses
// as servos do. It is what moves when nothing else is configured, and it turns pulses of any backend
// into angles for whoever draws the robot. It has no inertia: the plans are slow enough for real
// servos, so that a joint is where its pulse says. A joint without a pulse stays where it is.
package sim

import (
	"math"
	"sync"
	"time"

	"github.com/tarsd/tarsd/services/movement/drive"
	"github.com/tarsd/tarsd/services/movement/plan"
)

var _ drive.Driver = (*Model)(nil)

// TickDegrees is what one tick turns a servo: 180 degrees over 2 ms, of 4096 ticks in 20 ms.
const TickDegrees = 180.0 * 20 / (2 * 4096)

// leverMM is the lever by which the height servo lifts the body.
const leverMM = 40.0

// Degrees is what one tick turns a joint, with the sign of the contract: up, forward and the larger
// percentage are above 0.
func Degrees(s plan.Servo) float64 {
	if s.High < s.Low {
		return -TickDegrees
	}
	return TickDegrees
}

// Angles are the joints' angles from rest in degrees. A joint without a pulse counts as at rest.
func Angles(cal plan.Calibration, p plan.Pose) [plan.Joints]float64 {
	var a [plan.Joints]float64
	for j, s := range cal {
		if p[j] != 0 {
			a[j] = float64(p[j]-s.Neutral) * Degrees(s)
		}
	}
	return a
}

// Lift is the height of the body over its height at rest in mm, for an angle of the height joint.
func Lift(degrees float64) float64 { return leverMM * math.Sin(degrees*math.Pi/180) }

// Point is a place beside the robot in mm: X forward and Z up, from the joint that the limb hangs on.
type Point struct{ X, Z float64 }

// Lengths of the parts in mm.
const (
	legMM     = 150.0
	upperMM   = 70.0
	forearmMM = 60.0
)

// Limbs is where the limbs are.
type Limbs struct {
	LiftMM              float64
	LeftFoot, RightFoot Point // from the hip
	PortElbow, PortHand Point // from the shoulder
	StarElbow, StarHand Point
}

// Place is the kinematics: where the limbs are at these angles. Legs and arms hang straight down at rest.
func Place(a [plan.Joints]float64) Limbs {
	hang := func(from Point, length, degrees float64) Point {
		r := degrees * math.Pi / 180
		return Point{from.X + length*math.Sin(r), from.Z - length*math.Cos(r)}
	}
	arm := func(main, forearm float64) (elbow, hand Point) {
		elbow = hang(Point{}, upperMM, main)
		return elbow, hang(elbow, forearmMM, main+forearm)
	}
	l := Limbs{LiftMM: Lift(a[plan.Height])}
	l.LeftFoot, l.RightFoot = hang(Point{}, legMM, a[plan.LeftLeg]), hang(Point{}, legMM, a[plan.RightLeg])
	l.PortElbow, l.PortHand = arm(a[plan.PortMain], a[plan.PortForearm])
	l.StarElbow, l.StarHand = arm(a[plan.StarMain], a[plan.StarForearm])
	return l
}

// Model is a robot. Its methods may be called from any goroutine.
type Model struct {
	mu     sync.Mutex
	pulses plan.Pose // 0: limp
	at     plan.Pose // where the joints are
	moved  time.Time
}

// Write implements drive.Driver.
func (m *Model) Write(p plan.Pose) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pulses = p
	for j, t := range p {
		if t != 0 && t != m.at[j] {
			m.at[j], m.moved = t, time.Now()
		}
	}
	return nil
}

// Off implements drive.Driver: the joints are limp and stay where they are.
func (m *Model) Off() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pulses = plan.Pose{}
	return nil
}

// At is where the joints are in ticks, 0 for one that never moved, and when one moved last.
func (m *Model) At() (plan.Pose, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at, m.moved
}

// Pulses are the pulses that hold the joints; 0 is limp.
func (m *Model) Pulses() plan.Pose {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pulses
}
