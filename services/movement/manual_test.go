package movement_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement"
	"github.com/tarsd/tarsd/services/movement/plan"
	"github.com/tarsd/tarsd/services/servicetest"
)

// TestManual: joints follow while messages come, and motion ends within the dead man's time of the
// last one; a second hand is refused.
func TestManual(t *testing.T) {
	t.Parallel()
	r := start(t, movement.Options{})
	joints := servicetest.Collect(t, r.peer, contract.MovementJoints)
	steer := func(who string, seq, percent int, more string) {
		r.send(t, "movement/manual", fmt.Sprintf(`{"seq":%d,"control":%q,"joints":{"left_leg":%d},"speed":0.1%s}`, seq, who, percent, more))
	}
	steer("page", 1, 100, "")
	r.expect(t, "command_started", "manual", "page", "")
	steer("other", 1, 1, "")
	r.expect(t, "command_failed", "manual", "other", "manual control is on")
	r.send(t, "movement/test", `{"command":"bow","request_id":"a"}`)
	r.expect(t, "command_failed", "bow", "a", "manual control is on")
	for seq := 2; seq < 6; seq++ {
		last := time.Now()
		joints.Find(t, func(m client.Message[contract.Joints]) bool { return m.Received.Sub(last) > 100*time.Millisecond })
		steer("page", seq, 100, "")
	}
	last := time.Now()
	r.expect(t, "command_failed", "manual", "page", "fell silent")
	silent := time.Since(last)
	assert.Greater(t, silent, 400*time.Millisecond)
	assert.Less(t, silent, 900*time.Millisecond)
	at, moved := r.model.At()
	assert.Less(t, at[plan.LeftLeg], 300, "forward")
	assert.Zero(t, at[plan.RightLeg], "nothing else")
	assert.Less(t, moved.Sub(last), 600*time.Millisecond)
	assert.NotZero(t, r.model.Pulses(), "held")

	steer("page", 1, 1, `,"hold_ms":100`) // a new session, so that seq begins anew
	r.expect(t, "command_started", "manual", "page", "")
	last = time.Now()
	r.expect(t, "command_failed", "manual", "page", "fell silent")
	assert.Less(t, time.Since(last), 350*time.Millisecond, "a shorter hold is kept to")
	steer("page", 1, 1, "")
	r.expect(t, "command_started", "manual", "page", "")
	steer("page", 2, 1, `,"release":true`)
	r.expect(t, "command_completed", "manual", "page", "")
	r.send(t, "movement/stop", ``)
	r.expect(t, "emergency_stop", "", "", "emergency_stop")
	steer("page", 3, 1, "")
	r.expect(t, "command_failed", "manual", "page", "stopped until resume")
}

func TestQueueAndHistory(t *testing.T) {
	t.Parallel()
	r := start(t, movement.Options{Queue: 2})
	info := servicetest.Collect(t, r.peer, contract.MovementInfo)
	for i := range 4 {
		r.send(t, "movement/test", fmt.Sprintf(`{"command":"pezz","speed":0.1,"request_id":"%d"}`, i))
		if i == 0 {
			r.expect(t, "command_started", "pezz", "0", "")
		}
	}
	r.expect(t, "queue_full", "pezz", "3", "queue_full")
	m := info.Find(t, func(m client.Message[contract.MotionInfo]) bool { return len(m.Data.Queue) == 2 }).Data
	assert.Equal(t, 2, m.QueueLimit)
	assert.Equal(t, "pezz", contract.Value(m.Command))
	assert.Equal(t, "0", contract.Value(m.RequestID))
	assert.True(t, m.Ready)
	assert.InDelta(t, 50, m.FrameHz, 0)
	require.Len(t, m.Joints, int(plan.Joints))
	assert.Equal(t, contract.JointInfo{Name: "height", Channel: 0, Min: 200, Max: 400, Rest: 300, Low: 350, High: 220, Degrees: m.Joints[0].Degrees}, m.Joints[0])
	assert.Negative(t, m.Joints[0].Degrees)
	r.send(t, "movement/stop", ``)
	history := servicetest.Collect(t, r.peer, contract.MovementHistory)
	got := history.Find(t, func(m client.Message[contract.MotionHistory]) bool {
		return len(m.Data.Requests) == 4 && m.Data.Requests[0].State == "cancelled"
	}).Data.Requests
	assert.Equal(t, []string{"cancelled", "cancelled", "cancelled", "failed"}, []string{got[0].State, got[1].State, got[2].State, got[3].State})
	var events []string
	for _, e := range got[0].Events {
		events = append(events, e.From+" "+e.Event)
	}
	assert.Equal(t, []string{"host queued", "host started", "host cancelled"}, events)
	assert.Equal(t, "frames", got[0].By)
	assert.Equal(t, "queue_full", contract.Value(got[3].Detail))
}

// TestHistoryIsBounded: whatever is asked for, the retained messages stay small.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	r := start(t, movement.Options{})
	for range 100 {
		r.send(t, "movement/test", `{"command":"fly"}`)
	}
	for range 100 {
		r.status.Next(t)
	}
	h := servicetest.Collect(t, r.peer, contract.MovementHistory)
	h.Find(t, func(m client.Message[contract.MotionHistory]) bool { return len(m.Data.Requests) == 20 })
}

func TestCalibrate(t *testing.T) {
	t.Parallel()
	r := start(t, movement.Options{})
	info := servicetest.Collect(t, r.peer, contract.MovementInfo)
	do := func(id, payload string) {
		r.send(t, "movement/calibrate", payload[:len(payload)-1]+`,"request_id":"`+id+`"}`)
	}
	do("a", `{"action":"move","joint":"height","ticks":310}`)
	r.expect(t, "command_started", "calibrate", "a", "")
	r.expect(t, "command_completed", "calibrate", "a", "")
	assert.Equal(t, plan.Pose{plan.Height: 310}, r.model.Pulses())
	do("b", `{"action":"set","joint":"height","position":"min","ticks":240}`)
	r.expect(t, "command_completed", "calibrate", "b", "set")
	m := info.Find(t, func(m client.Message[contract.MotionInfo]) bool { return m.Data.Joints[0].Min == 240 })
	assert.Equal(t, 240, m.Data.Joints[0].High, "a narrower limit takes the positions along")
	do("c", `{"action":"move","joint":"height","ticks":239}`)
	r.expect(t, "command_failed", "calibrate", "c", "240 to 400")
	do("d", `{"action":"set","joint":"height","position":"max","ticks":230}`)
	r.expect(t, "command_failed", "calibrate", "d", "range")
	do("e", `{"action":"set","joint":"star_hand","position":"rest","ticks":340}`)
	r.expect(t, "command_completed", "calibrate", "e", "set")
	do("f", `{"action":"save"}`)
	r.expect(t, "command_completed", "calibrate", "f", "save")

	require.NoError(t, r.sup.Stop(t.Context()))
	restarted, err := movement.New(movement.Options{Model: r.model})
	require.NoError(t, err)
	r.Run(t, restarted)
	again := servicetest.Collect(t, r.Client(t, "late"), contract.MovementInfo)
	again.Find(t, func(m client.Message[contract.MotionInfo]) bool {
		return m.Data.Joints[0].Min == 240 && m.Data.Joints[8].Rest == 340
	})
	do("g", `{"action":"reset"}`)
	r.expect(t, "command_completed", "calibrate", "g", "reset")
	again.Find(t, func(m client.Message[contract.MotionInfo]) bool {
		return m.Data.Joints[0].Min == 200 && m.Data.Joints[8].Rest == 330
	})
	do("h", `{"action":"test","joint":"port_hand"}`)
	r.expect(t, "command_started", "calibrate", "h", "")
}

// TestSavedBeyondConfiguration: what was saved, or put there by somebody else, widens no limit.
func TestSavedBeyondConfiguration(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	peer := bus.Client(t, "peer")
	_, err := client.Publish(t.Context(), peer, contract.MovementCalibration, contract.MotionCalibration{Joints: []contract.JointInfo{
		{Name: "height", Channel: 15, Min: 0, Max: 4095, Rest: 4000, Low: 10, High: 3000}, {Name: "tail"},
	}})
	require.NoError(t, err)
	m, err := movement.New(movement.Options{})
	require.NoError(t, err)
	bus.Run(t, m)
	got := servicetest.Collect(t, peer, contract.MovementInfo).Next(t).Data.Joints[0]
	got.Degrees = 0
	assert.Equal(t, contract.JointInfo{Name: "height", Channel: 0, Min: 200, Max: 400, Rest: 400, Low: 200, High: 400}, got)
}

// TestJoints: 25 a second while something moves, silence otherwise, angles with the contract's sign.
func TestJoints(t *testing.T) {
	t.Parallel()
	r := start(t, movement.Options{})
	joints := servicetest.Collect(t, r.peer, contract.MovementJoints)
	r.send(t, "movement/test", `{"command":"move_legs","speed":0.1,"params":{"height_percent":100,"left_percent":100,"right_percent":100}}`)
	r.status.Next(t)
	t0 := time.Now()
	r.status.Next(t)
	n, took := joints.Len(), time.Since(t0)
	assert.LessOrEqual(t, float64(n), took.Seconds()*33, "messages in %s", took)
	assert.GreaterOrEqual(t, float64(n), took.Seconds()*8, "messages in %s; a busy machine skips some", took)
	last := joints.Find(t, func(m client.Message[contract.Joints]) bool { return !m.Data.Moving && m.Received.After(t0) })
	assert.Equal(t, []int{220, 220, 380, 0, 0, 0, 0, 0, 0}, last.Data.Ticks)
	assert.Positive(t, last.Data.Degrees[plan.Height])
	assert.Positive(t, last.Data.Degrees[plan.LeftLeg])
	assert.Positive(t, last.Data.Degrees[plan.RightLeg])
	assert.Positive(t, last.Data.LiftMM)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	cal := plan.DefaultCalibration()
	cal[plan.Height].Max = 4000
	for want, o := range map[string]movement.Options{
		"backend": {Backend: "magic"}, "rate": {Rate: -1}, "queue": {Queue: 5000}, "dead man": {DeadMan: time.Minute},
		"calibration: height": {Calibration: &cal}, "below 0": {IdleOff: -1},
	} {
		_, err := movement.New(o)
		assert.ErrorContains(t, err, want)
	}
}
