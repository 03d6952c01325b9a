package robot_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/memory"
	"github.com/tarsd/tarsd/services/movement"
	"github.com/tarsd/tarsd/services/servicetest"
	"github.com/tarsd/tarsd/services/tools/robot"
	"github.com/tarsd/tarsd/services/tools/tool"
)

// rig is a broker with the tools on it.
type rig struct {
	*servicetest.Bus
	peer  *client.Client
	tools map[string]*tool.Ready
	call  *tool.Caller
}

func start(t *testing.T, motion time.Duration) *rig {
	t.Helper()
	bus := servicetest.Start(t)
	return &rig{Bus: bus, peer: bus.Client(t, "peer"), tools: toolsOn(t, bus, motion), call: tool.NewCaller(8<<10, zerolog.Nop())}
}

func toolsOn(t *testing.T, bus *servicetest.Bus, motion time.Duration) map[string]*tool.Ready {
	t.Helper()
	c := bus.Client(t, "tools")
	r, err := robot.New(robot.Options{Bus: c, Motion: motion, Location: time.UTC})
	require.NoError(t, err)
	require.NoError(t, c.Ready(t.Context()))
	out := map[string]*tool.Ready{}
	for _, x := range r.Tools() {
		ready, err := tool.Prepare(x)
		require.NoError(t, err)
		require.NotContains(t, out, x.Name)
		out[x.Name] = ready
	}
	return out
}

func (r *rig) do(t *testing.T, name, args string) (tool.Result, error) {
	t.Helper()
	require.Contains(t, r.tools, name)
	var a map[string]any
	require.NoError(t, json.Unmarshal([]byte(args), &a))
	return r.call.Call(t.Context(), r.tools[name], a)
}

// until calls a tool until its answer is as wanted: what it depends on comes by messages of their own.
func (r *rig) until(t *testing.T, name, args string, ok func(tool.Result, error) bool) (tool.Result, error) {
	t.Helper()
	var res tool.Result
	var err error
	require.Eventually(t, func() bool { res, err = r.do(t, name, args); return ok(res, err) }, 10*time.Second, 5*time.Millisecond)
	return res, err
}

func well(_ tool.Result, err error) bool { return err == nil }

// up says that a service that is played by the test is there.
func (r *rig) up(t *testing.T, name string) *client.Client {
	t.Helper()
	c := r.Client(t, name)
	require.NoError(t, c.Ready(t.Context()))
	r.until(t, "robot_status", `{}`, func(res tool.Result, _ error) bool { return strings.Contains(res.Text, name+": ok") })
	return c
}

func serve[Q, A any](t *testing.T, c *client.Client, q contract.Topic[Q], a contract.Topic[A], answer func(Q) A) {
	t.Helper()
	_, err := client.Subscribe(c, q, func(ctx context.Context, m client.Message[Q]) error {
		_, err := client.Reply(ctx, c, m, a, answer(m.Data))
		return err
	})
	require.NoError(t, err)
	require.NoError(t, c.Ready(t.Context()))
}

// The reference had 21 tools of motion and 3 of the persona, 5 of them for moves that nobody knew.
func TestToolsOfTheReference(t *testing.T) {
	t.Parallel()
	r := start(t, time.Second)
	for name, command := range map[string]string{
		"move_forward": "step_forward", "move_backward": "step_backward", "turn_left": "turn_left", "turn_right": "turn_right", "wave": "wave",
		"laugh": "laugh", "bow": "bow", "point": "now", "pose": "pose", "celebrate": "balance", "swing_legs": "swing_legs",
		"pezz_dispenser": "pezz_dispenser", "mic_drop": "mic_drop", "monster_pose": "monster", "big_shrug": "big_shrug",
		"thinking_pose": "thinking_pose", "excited_bounce": "excited_bounce", "reach_forward": "reach_forward", "wide_stance": "wide_stance",
		"reset_position": "reset",
	} {
		require.Contains(t, r.tools, name)
		assert.Equal(t, "mcp__tars-movement__"+name, r.tools[name].ID)
		_, known := contract.MoveNamed(command)
		assert.True(t, known, command)
	}
	assert.Contains(t, r.tools, "stop_movement")
	for _, name := range []string{"adjust_personality_trait", "get_current_traits", "reset_all_traits"} {
		require.Contains(t, r.tools, name)
		assert.Equal(t, "mcp__tars-character__"+name, r.tools[name].ID)
	}
	for name, x := range r.tools {
		assert.NotEmpty(t, x.Doc, name)
		assert.Positive(t, x.Timeout, name)
		assert.Less(t, len(x.Schema), 2000, name)
		if x.Deletes {
			assert.Contains(t, string(x.Schema), `"required":["confirm"]`, name)
		}
	}
}

// At the reference each move went out in an envelope, which its movement refused. Here it is a bare
// message, and the tool waits for what becomes of it.
func TestMoves(t *testing.T) {
	t.Parallel()
	r := start(t, 20*time.Second)
	m, err := movement.New(movement.Options{})
	require.NoError(t, err)
	r.Run(t, m)
	sent := servicetest.Collect(t, r.peer, contract.MovementTest)

	res, err := r.until(t, "big_shrug", `{"speed":1}`, well)
	require.NoError(t, err)
	assert.Equal(t, "Done: big_shrug.", res.Text)
	msg := sent.Next(t)
	assert.False(t, msg.Bare)
	assert.Equal(t, "big_shrug", msg.Data.Command)
	first := contract.Value(msg.Data.RequestID)
	assert.Len(t, first, 32)

	_, err = r.do(t, "move_arm", `{"port_main":50,"speed":1}`)
	require.NoError(t, err)
	msg = sent.Next(t)
	assert.NotEqual(t, first, contract.Value(msg.Data.RequestID))
	assert.InEpsilon(t, 50, msg.Data.Params["port_main"], 0)
	_, err = r.do(t, "move_arm", `{}`)
	require.ErrorContains(t, err, "at least one joint")
	for _, bad := range []string{`{"speed":0.05}`, `{"speed":1.5}`, `{"speed":"fast"}`, `{"angle":1}`} {
		_, err = r.do(t, "wave", bad)
		require.ErrorIs(t, err, tool.ErrArguments, bad)
	}
	assert.Zero(t, sent.Len(), "nothing was sent")

	res, err = r.do(t, "stop_movement", `{}`)
	require.NoError(t, err)
	assert.Contains(t, res.Text, "Stopped.")
	_, err = r.do(t, "wave", `{}`)
	require.ErrorContains(t, err, "stopped until resume")
	assert.InEpsilon(t, 0.7, sent.Next(t).Data.Speed, 0, "the speed that suits it")
	r.until(t, "robot_status", `{}`, func(res tool.Result, _ error) bool { // it is reported now and then
		return strings.Contains(res.Text, "movement: ok") && strings.Contains(res.Text, "emergency_stop: a tool asked for it")
	})
}

func TestMovesThatComeToNothing(t *testing.T) {
	t.Parallel()
	r := start(t, 300*time.Millisecond)
	_, err := r.do(t, "wave", `{}`)
	require.EqualError(t, err, "there is no body to move now: it is not running")
	res, err := r.do(t, "stop_movement", `{}`)
	require.NoError(t, err, "a stop is sent whatever is known")
	assert.Contains(t, res.Text, "Nobody has confirmed")

	c := r.up(t, "movement")
	events := make(chan []string, 1)
	_, err = client.Subscribe(c, contract.MovementTest, func(ctx context.Context, m client.Message[contract.TestMovement]) error {
		for _, ev := range <-events {
			other := contract.MovementUpdate{Event: "command_completed", RequestID: new("somebody else's")}
			mine := contract.MovementUpdate{Event: ev, RequestID: m.Data.RequestID, Detail: new("battery")}
			for _, u := range []contract.MovementUpdate{other, mine} {
				if _, err := client.Publish(ctx, c, contract.MovementStatus, u); err != nil {
					return err
				}
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, c.Ready(t.Context()))
	for _, x := range []struct {
		events []string
		want   string
	}{
		{[]string{"queue_full"}, "too many moves wait"}, {[]string{"command_started", "command_failed"}, "wave was not done: battery"},
		{nil, "has not begun within 300ms"},
	} {
		events <- x.events
		_, err = r.do(t, "wave", `{}`)
		require.ErrorContains(t, err, x.want)
	}
	events <- []string{"command_started"}
	res, err = r.do(t, "wave", `{}`)
	require.NoError(t, err)
	assert.Contains(t, res.Text, "still goes on")
	require.NoError(t, c.Health(t.Context(), false, "", assert.AnError))
	close(events)
	r.until(t, "wave", `{}`, func(_ tool.Result, err error) bool {
		return err != nil && strings.Contains(err.Error(), assert.AnError.Error())
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	r := start(t, time.Second)
	_, err := r.do(t, "memory_search", `{"query":"tea"}`)
	require.ErrorContains(t, err, "there is no memory now")
	r.Run(t, memory.New(memory.Options{Character: "tars"}))
	res, err := r.until(t, "memory_search", `{"query":"tea"}`, well)
	require.NoError(t, err)
	assert.Equal(t, "Nothing was found.", res.Text)
	for _, text := range []string{"Anna drinks green tea.", "The key lies under the mat."} {
		raw, err := json.Marshal(map[string]any{"text": text, "tags": []string{"home"}})
		require.NoError(t, err)
		res, err = r.do(t, "memory_remember", string(raw))
		require.NoError(t, err)
		assert.Equal(t, "Remembered.", res.Text)
	}
	res, err = r.do(t, "memory_search", `{"query":"green tea","limit":1}`)
	require.NoError(t, err)
	assert.Contains(t, res.Text, "Anna drinks green tea.")
	list := res.Data.(map[string]any)["results"].([]any)
	require.Len(t, list, 1)
	id := list[0].(map[string]any)["id"].(string)
	require.NotEmpty(t, id)

	for args, want := range map[string]string{
		`{"id":"1"}`: "the arguments", `{"id":"1","confirm":false}`: "the arguments", `{"confirm":true}`: "either id or text",
		`{"id":"1","text":"tea","confirm":true}`: "either id or text", `{"text":" e ","confirm":true}`: "too short",
		`{"all":true,"confirm":true}`: "the arguments", `{"id":"999","confirm":true}`: "nothing was deleted",
	} {
		_, err = r.do(t, "memory_forget", args)
		require.ErrorContains(t, err, want, args)
	}
	res, err = r.do(t, "memory_forget", `{"id":"`+id+`","confirm":true}`)
	require.NoError(t, err)
	assert.Equal(t, "Deleted: 1.", res.Text)
	res, err = r.do(t, "memory_forget", `{"text":"under the MAT","confirm":true}`)
	require.NoError(t, err)
	assert.Equal(t, "Deleted: 1.", res.Text)
	_, err = r.do(t, "memory_remember", `{"text":"  "}`)
	require.ErrorContains(t, err, "blank")
}

// The reference's updates lacked section and action and were ignored, and its reading of traits told
// the model nothing.
func TestPersona(t *testing.T) {
	t.Parallel()
	r := start(t, time.Second)
	_, err := r.do(t, "get_current_traits", `{}`)
	require.ErrorContains(t, err, "not known")
	r.Run(t, memory.New(memory.Options{Character: "tars"}))
	current := servicetest.Collect(t, r.peer, contract.CharacterCurrent)
	before := current.Next(t).Data.Traits["humor"]
	require.NotNil(t, before)
	res, err := r.until(t, "adjust_personality_trait", `{"trait_name":"Humor","new_value":7}`, well)
	require.NoError(t, err)
	assert.Equal(t, "Humor is now 7.", res.Text)
	current.Find(t, func(m client.Message[contract.Character]) bool { return m.Data.Traits["humor"] == 7.0 })
	res, err = r.until(t, "get_current_traits", `{}`, func(res tool.Result, err error) bool {
		return err == nil && res.Data.(map[string]any)["traits"].(map[string]any)["humor"] == 7.0
	})
	require.NoError(t, err)
	assert.Contains(t, res.Text, "humor: 7;")
	_, err = r.do(t, "adjust_personality_trait", `{"trait_name":"beauty","new_value":7}`)
	require.ErrorContains(t, err, "unknown trait: beauty; there are ")
	require.ErrorContains(t, err, "humor")
	for _, bad := range []string{
		`{"trait_name":"humor","new_value":101}`, `{"trait_name":"humor","new_value":-1}`, `{"trait_name":"humor","new_value":1.5}`,
		`{"trait_name":"humor"}`, `{"trait_name":"","new_value":1}`,
	} {
		_, err = r.do(t, "adjust_personality_trait", bad)
		require.ErrorIs(t, err, tool.ErrArguments, bad)
	}
	_, err = r.do(t, "reset_all_traits", `{}`)
	require.NoError(t, err)
	current.Find(t, func(m client.Message[contract.Character]) bool { return m.Data.Traits["humor"] == before })
}

func TestCameraAndSpeech(t *testing.T) {
	t.Parallel()
	r := start(t, time.Second)
	_, err := r.do(t, "camera_snapshot", `{}`)
	require.ErrorContains(t, err, "there is no camera now")
	fail := false
	serve(t, r.Client(t, "camera"), contract.CameraCapture, contract.CameraImage, func(c contract.Capture) contract.Image {
		if fail {
			return contract.Image{RequestID: c.RequestID, Format: c.Format, ImageData: []byte{}, Error: new("no light")}
		}
		return contract.Image{RequestID: c.RequestID, Format: c.Format, Width: *c.Width, Height: 5, ImageData: []byte("jpeg"), Success: true}
	})
	res, err := r.until(t, "camera_snapshot", `{"width":320}`, well)
	require.NoError(t, err)
	assert.Equal(t, []tool.Image{{Data: []byte("jpeg"), MIME: "image/jpeg"}}, res.Images)
	assert.Contains(t, res.Text, "320 by 5")
	fail = true
	_, err = r.do(t, "camera_snapshot", `{}`)
	require.EqualError(t, err, "no picture: no light")

	said := servicetest.Collect(t, r.peer, contract.TTSSay)
	control := servicetest.Collect(t, r.peer, contract.TTSControl)
	_, err = r.do(t, "say", `{"text":"Dinner."}`)
	require.ErrorContains(t, err, "there is no voice now")
	r.up(t, "tts")
	_, err = r.until(t, "say", `{"text":"Dinner."}`, well)
	require.NoError(t, err)
	assert.Equal(t, "Dinner.", said.Next(t).Data.Text)
	_, err = r.do(t, "stop_speaking", `{}`)
	require.NoError(t, err)
	assert.Equal(t, contract.ActionStop, control.Next(t).Data.Action)
	res, err = r.do(t, "current_time", `{}`)
	require.NoError(t, err)
	assert.Contains(t, res.Text, "UTC")
}
