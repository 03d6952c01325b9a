package plan_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/movement/plan"
)

func TestPercent(t *testing.T) {
	t.Parallel()
	cal := plan.DefaultCalibration()
	for _, c := range []struct {
		joint   plan.Joint
		percent float64
		want    int
	}{
		{plan.Height, 1, 350}, // 1 is down: the contract, not the firmware
		{plan.Height, 100, 220},
		{plan.Height, 50, 285},
		{plan.LeftLeg, 1, 380}, // 1 is back
		{plan.LeftLeg, 100, 220},
		{plan.RightLeg, 1, 220},
		{plan.RightLeg, 100, 380},
		{plan.PortMain, 1, 135},
		{plan.PortMain, 100, 440},
		{plan.PortHand, 50, 239},
		{plan.StarHand, 100, 380},
		{plan.Height, 0, 350},
		{plan.Height, 101, 220},
		{plan.Height, -1e9, 350},
		{plan.Height, 1e300, 220},
		{plan.Height, math.NaN(), 350},
		{plan.Height, math.Inf(1), 220},
	} {
		assert.Equal(t, c.want, cal[c.joint].Ticks(c.percent), "%s at %v %%", c.joint, c.percent)
	}
	assert.InDelta(t, 50, cal[plan.Height].Percent(cal[plan.Height].Ticks(50)), 1)
	assert.Zero(t, cal[plan.Height].Percent(0))
}

func TestCalibrationValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, plan.DefaultCalibration().Validate())
	for name, c := range map[string]struct {
		change func(*plan.Calibration)
		want   string
	}{
		"channel too high": {func(c *plan.Calibration) { c[plan.Height].Channel = 16 }, "height.channel: 16"},
		"channel twice":    {func(c *plan.Calibration) { c[plan.LeftLeg].Channel = 0 }, "left_leg.channel: 0 is that of height"},
		"min below servo":  {func(c *plan.Calibration) { c[plan.PortMain].Min = 50 }, "port_main: min 50"},
		"min above max":    {func(c *plan.Calibration) { c[plan.PortMain].Min = 450 }, "port_main: min 450"},
		"neutral outside":  {func(c *plan.Calibration) { c[plan.StarHand].Neutral = 381 }, "star_hand.neutral: 381"},
		"low outside":      {func(c *plan.Calibration) { c[plan.StarHand].Low = 279 }, "star_hand.low: 279"},
		"no range":         {func(c *plan.Calibration) { c[plan.StarHand].Low = 380 }, "low and high are both 380"},
	} {
		cal := plan.DefaultCalibration()
		c.change(&cal)
		assert.ErrorContains(t, cal.Validate(), c.want, name)
	}
}

// TestSequences checks the pulses of moves whose numbers the reference gives in ticks.
func TestSequences(t *testing.T) {
	t.Parallel()
	p := plan.Planner{Cal: plan.DefaultCalibration()}
	rest := plan.Pose{300, 300, 300, 287, 290, 240, 287, 290, 330}
	legs := func(h, l, r int) plan.Pose { q := rest; q[0], q[1], q[2] = h, l, r; return q }
	for name, want := range map[string][]plan.Pose{
		"reset":         {rest, rest},
		"step_forward":  {legs(220, 300, 300), legs(220, 220, 220), legs(350, 220, 220), rest},
		"step_backward": {legs(220, 300, 300), legs(220, 380, 380), legs(350, 380, 380), rest},
		"turn_left":     {legs(220, 300, 300), legs(220, 380, 220), legs(350, 380, 220), rest},
		"turn_right":    {legs(220, 300, 300), legs(220, 220, 380), legs(350, 220, 380), rest},
		"bow":           {legs(350, 380, 220), rest, rest},
		"monster": {
			{300, 300, 300, 440, 380, 280, 135, 200, 280}, {350, 300, 300, 440, 380, 280, 135, 200, 280},
			{300, 300, 300, 440, 380, 280, 135, 200, 280}, rest,
		},
		"big_shrug": {
			rest, {300, 300, 300, 440, 200, 200, 135, 200, 380},
			{300, 300, 300, 440, 200, 200, 135, 200, 380}, rest,
		},
	} {
		m, err := plan.Command(name, nil)
		require.NoError(t, err)
		var got []plan.Pose
		for _, s := range p.Plan(m, plan.Pose{}, 0.8).Segments {
			got = append(got, s.To)
		}
		assert.Equal(t, want, got, name)
	}
}

// TestActionsEndOff checks what the retired planner's tests assert, and that its percentages keep
// their meaning: a bow goes down and back.
func TestActionsEndOff(t *testing.T) {
	t.Parallel()
	p := plan.Planner{Cal: plan.DefaultCalibration()}
	require.Len(t, plan.Actions(), 11)
	for _, m := range plan.Actions() {
		assert.True(t, m.Off, m.Name)
		pl := p.Plan(m, plan.Pose{}, 1)
		assert.True(t, pl.Off, m.Name)
		assert.Len(t, pl.Segments, len(m.Steps), m.Name)
	}
	bow, err := plan.Action("bow", nil)
	require.NoError(t, err)
	low := p.Plan(bow, plan.Pose{}, 1).Segments[4]
	assert.Equal(t, time.Second, low.Hold)
	assert.Greater(t, low.To[plan.Height], 340, "down")
	assert.Greater(t, low.To[plan.LeftLeg], 310, "back")
	assert.Less(t, low.To[plan.RightLeg], 290, "back")
}

func TestCommandRefuses(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	for name, c := range map[string]struct {
		command string
		params  m
		want    string
	}{
		"unknown name":        {"fly", nil, `"fly" is no command`},
		"empty name":          {"", nil, "is no command"},
		"parameter of none":   {"wave", m{"hand": 1.0}, `"hand" is no parameter`},
		"legs incomplete":     {"move_legs", m{"height_percent": 50.0}, "left_percent is missing"},
		"legs unknown":        {"move_legs", m{"height_percent": 50.0, "left_percent": 1.0, "right_percent": 1.0, "x": 1.0}, `"x" is no`},
		"legs zero":           {"move_legs", m{"height_percent": 0.0, "left_percent": 1.0, "right_percent": 1.0}, "1 to 100"},
		"legs text":           {"move_legs", m{"height_percent": "50", "left_percent": 1.0, "right_percent": 1.0}, "1 to 100"},
		"legs fraction":       {"move_legs", m{"height_percent": 1.5, "left_percent": 1.0, "right_percent": 1.0}, "whole"},
		"arm empty":           {"move_arm", m{}, "needs a parameter"},
		"arm too far":         {"move_arm", m{"port_main": 101.0}, "1 to 100"},
		"arm bool":            {"move_arm", m{"port_main": true}, "1 to 100"},
		"arm null":            {"move_arm", m{"port_main": nil}, "1 to 100"},
		"joint missing":       {"test_joint", nil, "joint is none of"},
		"joint unknown":       {"test_joint", m{"joint": "tail"}, "joint is none of"},
		"joint percent wrong": {"test_joint", m{"joint": "height", "percent": 0.0}, "1 to 100"},
	} {
		_, err := plan.Command(c.command, c.params)
		assert.ErrorIs(t, err, plan.ErrRefused, name)
		assert.ErrorContains(t, err, c.want, name)
	}
	_, err := plan.Action("wave", nil)
	assert.ErrorContains(t, err, "is no action")
	_, err = plan.Action("bow", m{"speed": 1.0})
	assert.ErrorContains(t, err, `"speed" is no parameter`)
}

func TestLimbs(t *testing.T) {
	t.Parallel()
	p := plan.Planner{Cal: plan.DefaultCalibration()}
	m, err := plan.Command("move_legs", map[string]any{"height_percent": 100.0, "left_percent": 1.0, "right_percent": 100.0})
	require.NoError(t, err)
	assert.Equal(t, plan.Pose{220, 380, 380, 287, 290, 240, 287, 290, 330}, p.Plan(m, plan.Pose{}, 1).Segments[0].To)
	m, err = plan.Command("move_arm", map[string]any{"star_hand": 100.0})
	require.NoError(t, err)
	from := plan.Pose{210, 210, 210, 150, 210, 210, 150, 210, 300}
	to := from
	to[plan.StarHand] = 380
	pl := p.Plan(m, from, 1)
	assert.Equal(t, to, pl.Segments[0].To, "only the named joint moves")
	assert.Equal(t, [plan.Joints]bool{plan.StarHand: true}, pl.Used)
}

// TestApproach: control by hand gets there, slows down before it, and keeps to the rate.
func TestApproach(t *testing.T) {
	t.Parallel()
	p := plan.Planner{Cal: plan.DefaultCalibration(), Rate: 500}
	at := p.Known(plan.Pose{})
	target := plan.Pose{plan.LeftLeg: 10_000}
	for range 200 {
		next := p.Approach(at, target, 0.5, 20*time.Millisecond)
		for j := range next {
			require.LessOrEqual(t, max(next[j]-at[j], at[j]-next[j]), 5)
		}
		at = next
	}
	assert.Equal(t, plan.Pose{300, 400, 300, 287, 290, 240, 287, 290, 330}, at)
}

// TestPace: a way takes one firmware delay per tick, but no joint exceeds the rate, and the hand
// of wave at speed x 1.5 does not become a way back in time.
func TestPace(t *testing.T) {
	t.Parallel()
	p := plan.Planner{Cal: plan.DefaultCalibration(), Rate: 500}
	up, err := plan.Command("move_legs", map[string]any{"height_percent": 100.0, "left_percent": 50.0, "right_percent": 50.0})
	require.NoError(t, err)
	for speed, want := range map[float64]time.Duration{
		0.1: 80 * 18 * time.Millisecond, -3: 80 * 18 * time.Millisecond, math.NaN(): 80 * 18 * time.Millisecond,
		1: 240 * time.Millisecond, // 80 ticks x 1.5 at 500 a second
	} {
		assert.Equal(t, want, p.Plan(up, plan.Pose{}, speed).Duration(), "%v", speed)
	}
	for _, m := range append(plan.Sequences(), plan.Actions()...) {
		for _, speed := range []float64{0.1, 0.7, 1} {
			pl := p.Plan(m, plan.Pose{}, speed)
			last, _, _ := pl.At(0)
			for at := time.Duration(0); at < pl.Duration(); at += 20 * time.Millisecond {
				pose, _, _ := pl.At(at)
				for j := range pose {
					// 500 a second is 10 in 20 ms; 2 more for cut-off fractions.
					require.LessOrEqual(t, max(pose[j]-last[j], last[j]-pose[j]), 12, "%s of %s at %s", plan.Joint(j), m.Name, at)
				}
				last = pose
			}
		}
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	pl := plan.Plan{Segments: []plan.Segment{
		{From: plan.Pose{300}, To: plan.Pose{200}, Way: 100 * time.Millisecond, Hold: 50 * time.Millisecond},
		{From: plan.Pose{200}, To: plan.Pose{300}, Way: 100 * time.Millisecond},
	}}
	for _, c := range []struct {
		at      time.Duration
		want    int
		reached int
		done    bool
	}{
		{-time.Hour, 300, 0, false}, {0, 300, 0, false}, {10 * time.Millisecond, 298, 0, false}, {50 * time.Millisecond, 250, 0, false},
		{100 * time.Millisecond, 200, 1, false}, {149 * time.Millisecond, 200, 1, false}, {200 * time.Millisecond, 250, 1, false},
		{250 * time.Millisecond, 300, 2, true}, {time.Hour, 300, 2, true},
	} {
		pose, reached, done := pl.At(c.at)
		assert.Equal(t, c.want, pose[0], c.at)
		assert.Equal(t, c.reached, reached, c.at)
		assert.Equal(t, c.done, done, c.at)
	}
	_, _, done := plan.Plan{}.At(0)
	assert.True(t, done, "an empty plan is over at once")
}

// FuzzPulses: whatever the name, parameters, speed and starting pose, no pulse leaves the limits
// of its joint.
func FuzzPulses(f *testing.F) {
	f.Add("wave", "port_main", 50.0, 0.8, 300, 120)
	f.Add("move_legs", "height_percent", 1e9, -1.0, -5, 70000)
	f.Add("test_joint", "joint", 100.0, 1e308, 4095, 1)
	cal := plan.DefaultCalibration()
	p := plan.Planner{Cal: cal}
	f.Fuzz(func(t *testing.T, name, key string, value, speed float64, from, at int) {
		params := map[string]any{key: value}
		legs := map[string]any{"height_percent": value, "left_percent": value, "right_percent": value}
		joint := map[string]any{"joint": key, "percent": value}
		var start plan.Pose
		for j := range start {
			start[j] = from
		}
		for _, ps := range []map[string]any{nil, params, legs, joint} {
			for _, vocabulary := range []func(string, map[string]any) (plan.Move, error){plan.Command, plan.Action} {
				m, err := vocabulary(name, ps)
				if err != nil {
					continue
				}
				pl := p.Plan(m, start, speed)
				for _, when := range []time.Duration{0, time.Duration(at) * time.Millisecond, pl.Duration() / 2, pl.Duration()} {
					pose, _, _ := pl.At(when)
					for j, s := range cal {
						if len(pl.Segments) > 0 && (pose[j] < s.Min || pose[j] > s.Max) {
							t.Fatalf("%s %v: %s at %d ticks", name, ps, plan.Joint(j), pose[j])
						}
					}
				}
			}
		}
	})
}
