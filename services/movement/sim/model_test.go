package sim_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/movement/plan"
	"github.com/tarsd/tarsd/services/movement/sim"
)

func TestAngles(t *testing.T) {
	t.Parallel()
	cal := plan.DefaultCalibration()
	rest := sim.Angles(cal, cal.Neutral())
	assert.Zero(t, rest)
	l := sim.Place(rest)
	assert.Equal(t, sim.Point{X: 0, Z: -150}, l.LeftFoot)
	assert.Equal(t, sim.Point{X: 0, Z: -130}, l.StarHand)
	assert.Zero(t, l.LiftMM)

	p := cal.Neutral()
	p[plan.Height], p[plan.LeftLeg], p[plan.RightLeg], p[plan.PortMain] = 220, 220, 380, 440
	a := sim.Angles(cal, p)
	assert.InDelta(t, 35.2, a[plan.Height], 0.1, "up")
	assert.InDelta(t, a[plan.LeftLeg], a[plan.RightLeg], 0.001, "both legs forward, though their servos are mirrored")
	l = sim.Place(a)
	assert.Positive(t, l.LiftMM)
	assert.Positive(t, l.LeftFoot.X)
	assert.InDelta(t, l.LeftFoot.X, l.RightFoot.X, 0.001)
	assert.Greater(t, l.PortHand.Z, l.StarHand.Z, "the raised hand is higher")
}

func TestModel(t *testing.T) {
	t.Parallel()
	var m sim.Model
	require.NoError(t, m.Write(plan.Pose{plan.Height: 300}))
	at, moved := m.At()
	assert.Equal(t, plan.Pose{plan.Height: 300}, at)
	require.NoError(t, m.Off())
	again, same := m.At()
	assert.Equal(t, at, again, "limp joints stay where they are")
	assert.Equal(t, moved, same)
	assert.Zero(t, m.Pulses())
}
