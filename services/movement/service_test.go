package movement_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement"
	"github.com/tarsd/tarsd/services/movement/plan"
	"github.com/tarsd/tarsd/services/movement/sim"
	"github.com/tarsd/tarsd/services/servicetest"
)

// rig is a bus with the movement service and a peer that talks to it.
type rig struct {
	*servicetest.Bus
	peer   *client.Client
	model  *sim.Model
	sup    *services.Supervisor
	status *servicetest.Collector[contract.MovementUpdate]
	state  *servicetest.Collector[contract.MovementReport]
}

func start(t *testing.T, o movement.Options, opts ...brokertest.Option) *rig {
	t.Helper()
	bus := servicetest.Start(t, opts...)
	r := &rig{Bus: bus, peer: bus.Client(t, "peer"), model: &sim.Model{}}
	o.Model = r.model
	r.status = servicetest.Collect(t, r.peer, contract.MovementStatus)
	r.state = servicetest.Collect(t, r.peer, contract.MovementState)
	m, err := movement.New(o)
	require.NoError(t, err)
	r.sup = bus.Run(t, m)
	return r
}

// send publishes bytes as they are.
func (r *rig) send(t *testing.T, topic, payload string) {
	t.Helper()
	_, err := r.peer.PublishRaw(t.Context(), topic, []byte(payload), 1, false)
	require.NoError(t, err)
}

// expect is the next status, without what differs from run to run.
func (r *rig) expect(t *testing.T, event, command, request, detail string) {
	t.Helper()
	m := r.status.Next(t)
	assert.Equal(t, event, m.Data.Event)
	assert.Equal(t, command, contract.Value(m.Data.Command))
	assert.Equal(t, request, contract.Value(m.Data.RequestID))
	if detail == "" {
		assert.Nil(t, m.Data.Detail)
	} else {
		assert.Contains(t, contract.Value(m.Data.Detail), detail)
	}
}

func TestBothFormsMove(t *testing.T) {
	t.Parallel()
	r := start(t, movement.Options{})
	r.send(t, "movement/test", `{"command":"move_arm","params":{"port_main":60},"request_id":"bare"}`)
	r.expect(t, "command_started", "move_arm", "bare", "")
	r.expect(t, "command_completed", "move_arm", "bare", "")
	r.send(t, "movement/test", `{"id":"e1","type":"movement.command","ts":`+nowText()+`,"source":"llm","data":{"command":"move_arm","params":{"port_main":50},"request_id":"enveloped"}}`)
	r.expect(t, "command_started", "move_arm", "enveloped", "")
	r.expect(t, "command_completed", "move_arm", "enveloped", "")
	_, err := client.Publish(t.Context(), r.peer, contract.MovementCommand, contract.PlanMovement{ID: "plan", Command: "reset"})
	require.NoError(t, err)
	r.expect(t, "command_started", "reset", "plan", "")
	r.expect(t, "command_completed", "reset", "plan", "")
	var events []string
	for range 4 + 4 {
		m := r.state.Next(t)
		events = append(events, contract.Value(m.Data.ID)+" "+m.Data.Event)
	}
	assert.Equal(t, []string{
		"bare started", "bare frame_sent", "bare completed", "enveloped started", "enveloped frame_sent", "enveloped completed", "plan started", "plan frame_sent",
	}, events)
}

// nowText is the time as envelopes have it.
func nowText() string { return strconv.FormatInt(time.Now().Unix(), 10) }

// TestRefused: what is not right is answered with the request's id and a reason, and moves nothing;
// the service stays healthy, and the next command works.
func TestRefused(t *testing.T) {
	t.Parallel()
	r := start(t, movement.Options{})
	envelope := func(data string) string {
		return `{"id":"env","type":"movement.test","ts":` + nowText() + `,"source":"llm","data":` + data + `}`
	}
	for _, c := range []struct{ topic, payload, command, request, why string }{
		{"movement/test", `{"command":"fly","request_id":"a"}`, "fly", "a", "want one of"},
		{"movement/test", envelope(`{"command":"fly","request_id":"b"}`), "fly", "b", "want one of"},
		{"movement/test", envelope(`{"command":"fly"}`), "fly", "env", "want one of"},
		{"movement/test", `{"command":"wave","speed":0.05,"request_id":7}`, "wave", "7", "speed: want 0.1 to 1"},
		{"movement/test", `{"command":"wave","speed":1.5,"request_id":"c"}`, "wave", "c", "speed"},
		{"movement/test", `{"command":"wave","speed":"fast","request_id":"c"}`, "wave", "c", "speed"},
		{"movement/test", `{"command":"wave","speed":true,"request_id":"c"}`, "wave", "c", "speed"},
		{"movement/test", `{"command":"wave","volume":1,"request_id":"d"}`, "wave", "d", "volume: unknown key"},
		{"movement/test", `{"command":"wave","params":{"hand":1},"request_id":"e"}`, "wave", "e", `"hand" is no parameter`},
		{"movement/test", `{"command":"move_legs","params":{"height_percent":0,"left_percent":1,"right_percent":1},"request_id":"f"}`, "move_legs", "f", "1 to 100"},
		{"movement/test", `{"command":"move_legs","params":{"height_percent":50},"request_id":"g"}`, "move_legs", "g", "missing"},
		{"movement/test", `{"command":"move_arm","request_id":"h"}`, "move_arm", "h", "needs a parameter"},
		{"movement/test", `{"command":"move_arm","params":{"port_main":101},"request_id":"i"}`, "move_arm", "i", "1 to 100"},
		{"movement/test", `{"command":"bow","request_id":"j","timestamp":1600000000}`, "bow", "j", "too old"},
		{"movement/test", `{"id":"k","type":"t","ts":1600000000,"source":"s","data":{"command":"bow"}}`, "bow", "k", "too old"},
		{"movement/command", `{"command":"wave","id":"l"}`, "wave", "l", "want one of"},
		{"movement/command", `{"command":"bow","id":"m","params":{"speed":1}}`, "bow", "m", `"speed" is no parameter`},
		{"movement/calibrate", `{"action":"move","joint":"tail","ticks":300,"request_id":"n"}`, "calibrate", "n", "joint"},
		{"movement/calibrate", `{"action":"move","joint":"height","ticks":401,"request_id":"o"}`, "calibrate", "o", "200 to 400"},
		{"movement/calibrate", `{"action":"set","joint":"height","position":"max","ticks":500,"request_id":"p"}`, "calibrate", "p", "configured limits"},
	} {
		r.send(t, c.topic, c.payload)
		r.expect(t, "command_failed", c.command, c.request, c.why)
		m := r.state.Next(t)
		assert.Equal(t, "failed", m.Data.Event)
		assert.Equal(t, c.request, contract.Value(m.Data.ID))
	}
	for _, payload := range []string{``, `[]`, `null`, `{`, `{"command":["wave"]}`, "\x00\xff"} {
		r.send(t, "movement/test", payload)
		assert.Equal(t, "command_failed", r.status.Next(t).Data.Event, "%q", payload)
	}
	at, _ := r.model.At()
	assert.Zero(t, at, "nothing has moved")
	health := servicetest.Collect(t, r.peer, contract.Health.At("movement"))
	assert.True(t, health.Next(t).Data.OK)
	r.send(t, "movement/test", `{"command":"reset","request_id":"z"}`)
	r.expect(t, "command_started", "reset", "z", "")
}

// TestRetainedMovesNothing: neither before a start nor after a reconnect.
func TestRetainedMovesNothing(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	peer := bus.Client(t, "peer")
	for topic, payload := range map[string]string{
		"movement/test": `{"command":"bow"}`, "movement/command": `{"command":"bow"}`, "movement/resume": `{}`,
		"movement/manual": `{"seq":1,"joints":{"height":100}}`, "movement/calibrate": `{"action":"move","joint":"height","ticks":220}`,
	} {
		_, err := peer.PublishRaw(t.Context(), topic, []byte(payload), 1, true)
		require.NoError(t, err)
	}
	model := &sim.Model{}
	status := servicetest.Collect(t, peer, contract.MovementStatus)
	m, err := movement.New(movement.Options{Model: model})
	require.NoError(t, err)
	bus.Run(t, m)
	for range 4 {
		assert.Contains(t, contract.Value(status.Next(t).Data.Detail), "it was retained")
	}
	at, _ := model.At()
	assert.Zero(t, at)
}

// TestRepeatedEnvelopeMovesOnce: a command that a broker or a client delivers twice.
func TestRepeatedEnvelopeMovesOnce(t *testing.T) {
	t.Parallel()
	r := start(t, movement.Options{})
	for _, id := range []string{"one", "one", "two"} {
		r.send(t, "movement/test", `{"id":"`+id+`","type":"movement.test","ts":`+nowText()+`,"source":"llm","data":{"command":"disable"}}`)
	}
	for _, id := range []string{"one", "two"} {
		r.expect(t, "command_started", "disable", id, "")
		r.expect(t, "command_completed", "disable", id, "")
	}
}

// TestStop: any payload at all stops, the latch holds until an explicit resume, and nothing goes on
// by itself.
func TestStop(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{
		"empty": ``, "garbage": "\xff\x00{", "object": `{}`, "list": `[1]`, "unknown keys": `{"a":1}`, "reason": `{"reason":"help"}`,
		"envelope": `{"id":"x","type":"movement.stop","ts":1,"source":"mcp-movement","data":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, movement.Options{})
			r.send(t, "movement/test", `{"command":"laugh","request_id":"a"}`)
			r.send(t, "movement/test", `{"command":"bow","request_id":"b"}`)
			r.expect(t, "command_started", "laugh", "a", "")
			r.state.Find(t, func(m client.Message[contract.MovementReport]) bool { return m.Data.Event == "frame_sent" })
			r.send(t, "movement/stop", payload)
			got := map[string]string{}
			for range 3 {
				m := r.status.Next(t)
				got[m.Data.Event+" "+contract.Value(m.Data.RequestID)] = contract.Value(m.Data.Detail)
			}
			want := "emergency_stop"
			if name == "reason" {
				want = "help"
			}
			assert.Equal(t, map[string]string{
				"emergency_stop ": want, "command_failed a": "cancelled: stopped until resume", "command_failed b": "cancelled: stopped until resume",
			}, got)
			assert.Zero(t, r.model.Pulses(), "limp")
			at, moved := r.model.At()
			r.send(t, "movement/test", `{"command":"bow","request_id":"c"}`)
			r.expect(t, "command_failed", "bow", "c", "stopped until resume")
			r.send(t, "movement/resume", `{"request_id":"r"}`)
			r.expect(t, "stop_cleared", "", "r", "")
			r.send(t, "movement/test", `{"command":"disable","request_id":"d"}`)
			r.expect(t, "command_started", "disable", "d", "")
			again, same := r.model.At()
			assert.Equal(t, at, again, "nothing moved by itself")
			assert.Equal(t, moved, same)
		})
	}
}

// TestStopCommandAndBattery: the other two ways to a stop.
func TestStopCommandAndBattery(t *testing.T) {
	t.Parallel()
	r := start(t, movement.Options{})
	r.send(t, "movement/test", `{"command":"stop","request_id":"s"}`)
	r.expect(t, "emergency_stop", "", "s", "stop")
	r.send(t, "movement/resume", ``) // not explicit
	r.send(t, "movement/test", `{"command":"bow","request_id":"a"}`)
	r.expect(t, "command_failed", "bow", "a", "stopped until resume")
	r.send(t, "movement/resume", `{}`)
	r.expect(t, "stop_cleared", "", "", "")
	r.send(t, "movement/status", `{"event":"battery_low"}`)
	r.status.Next(t) // that
	r.expect(t, "emergency_stop", "", "", "battery_low")
	r.send(t, "movement/test", `{"command":"bow","request_id":"b"}`)
	r.expect(t, "command_failed", "bow", "b", "stopped until resume")
}

// TestStopSurvivesRestart: the latch is found again in what was retained.
func TestStopSurvivesRestart(t *testing.T) {
	t.Parallel()
	r := start(t, movement.Options{})
	info := servicetest.Collect(t, r.peer, contract.MovementInfo)
	r.send(t, "movement/stop", `{"reason":"test"}`)
	info.Find(t, func(m client.Message[contract.MotionInfo]) bool { return contract.Value(m.Data.Stopped) == "test" })
	require.NoError(t, r.sup.Stop(t.Context()))
	m, err := movement.New(movement.Options{Model: r.model})
	require.NoError(t, err)
	r.Run(t, m)
	r.expect(t, "emergency_stop", "", "", "test")
	r.send(t, "movement/test", `{"command":"bow","request_id":"a"}`)
	r.expect(t, "command_failed", "bow", "a", "stopped until resume")
	r.send(t, "movement/resume", `{}`)
	r.expect(t, "stop_cleared", "", "", "")
}

// TestNoMotors: a build without motors refuses, and everything else of it works.
func TestNoMotors(t *testing.T) {
	t.Parallel()
	r := start(t, movement.Options{Backend: movement.None})
	r.send(t, "movement/test", `{"command":"bow","request_id":"a"}`)
	r.expect(t, "command_failed", "bow", "a", "there are no motors")
	info := servicetest.Collect(t, r.peer, contract.MovementInfo).Next(t).Data
	assert.False(t, info.Ready)
	assert.Equal(t, "there are no motors", contract.Value(info.Reason))
	r.send(t, "movement/stop", ``)
	r.expect(t, "emergency_stop", "", "", "emergency_stop")
}

// TestEveryCommand: all of the table are carried out by frames, the firmware's missing ones as well.
// How each goes on is tested in fake time, in drive.
func TestEveryCommand(t *testing.T) {
	t.Parallel()
	r := start(t, movement.Options{})
	params := map[string]string{
		"move_legs": `{"height_percent":60,"left_percent":40,"right_percent":40}`, "move_arm": `{"star_hand":100}`, "test_joint": `{"joint":"height"}`,
	}
	for _, m := range contract.Moves() {
		p := params[m.Name]
		if p == "" {
			p = "{}"
		}
		r.send(t, "movement/test", `{"command":"`+m.Name+`","params":`+p+`,"request_id":"`+m.Name+`"}`)
		if m.Name != plan.StopCommand {
			r.status.Find(t, func(s client.Message[contract.MovementUpdate]) bool {
				return s.Data.Event == "command_started" && contract.Value(s.Data.RequestID) == m.Name
			})
			r.send(t, "movement/stop", ``)
		}
		r.status.Find(t, func(m client.Message[contract.MovementUpdate]) bool { return m.Data.Event == "emergency_stop" })
		r.send(t, "movement/resume", `{}`)
		r.status.Find(t, func(m client.Message[contract.MovementUpdate]) bool { return m.Data.Event == "stop_cleared" })
	}
}
