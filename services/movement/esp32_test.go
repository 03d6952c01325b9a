package movement_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/device"
	"github.com/tarsd/tarsd/internal/esp32"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement"
	"github.com/tarsd/tarsd/services/servicetest"
)

// board is a device with its broker, which treats it as tarsd does, and the service.
type board struct {
	*rig
	dev *esp32.Device
}

// plug starts all three and waits until the service knows of the device.
func plug(t *testing.T, o movement.Options, change func(*esp32.Options), profile ...func(*device.Profile)) *board {
	t.Helper()
	p := device.ESP32()
	p.Settle = 50 * time.Millisecond
	for _, f := range profile {
		f(&p)
	}
	hook, err := device.New([]device.Profile{p})
	require.NoError(t, err)
	o.Backend = movement.ESP32
	r := start(t, o, brokertest.WithHooks(hook), brokertest.KeepPorts())
	do := esp32.Options{Addr: r.Broker.TCP(), Pace: 20, Poll: 5 * time.Millisecond}
	if change != nil {
		change(&do)
	}
	b := &board{r, esp32.Start(context.Background(), do)}
	t.Cleanup(b.dev.Close)
	b.wait(t, "boot", func(s esp32.State) bool { return s.Count("subscribe", esp32.TopicStop) > 0 && s.Waiting == "" })
	b.ready(t)
	return b
}

// ready waits until the service takes commands.
func (b *board) ready(t *testing.T) {
	t.Helper()
	info := servicetest.Collect(t, b.Client(t, "w"+client.NewID()), contract.MovementInfo)
	info.Find(t, func(m client.Message[contract.MotionInfo]) bool { return m.Data.Ready })
}

// wait waits for a state of the device, or fails with what it has done.
func (b *board) wait(t *testing.T, what string, cond func(esp32.State) bool) esp32.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := b.dev.Wait(ctx, cond)
	if err != nil {
		for _, e := range s.Events[max(0, len(s.Events)-40):] {
			t.Logf("%s %s %s %s", e.At.Format("05.000"), e.Kind, e.Topic, e.Detail)
		}
		require.NoError(t, err, what)
	}
	return s
}

func names(s esp32.State) []string {
	var out []string
	for _, e := range s.Ended {
		out = append(out, e.Name+" "+e.Failure)
	}
	return out
}

// TestDeviceRunsMovesOnce: no command is done twice, whether the device refuses the envelope and the
// service sends it on, as with tarsd, or a broker takes it off for the device. The device's own words
// carry the request's id.
func TestDeviceRunsMovesOnce(t *testing.T) {
	t.Parallel()
	for name, profile := range map[string]func(*device.Profile){
		"as it is": func(p *device.Profile) { p.Bare = nil }, "unwrapped": func(p *device.Profile) { p.Bare = []string{"movement/test"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runsOnce(t, plug(t, movement.Options{}, nil, profile))
		})
	}
}

func runsOnce(t *testing.T, b *board) {
	t.Helper()
	b.send(t, "movement/test", `{"command":"bow","request_id":"direct"}`)
	b.expect(t, "command_started", "bow", "direct", "")
	b.expect(t, "command_completed", "bow", "direct", "")
	b.send(t, "movement/test", `{"id":"e","type":"movement.test","ts":`+nowText()+`,"source":"llm","data":{"command":"laugh","request_id":"enveloped"}}`)
	b.expect(t, "command_started", "laugh", "enveloped", "")
	b.expect(t, "command_completed", "laugh", "enveloped", "")
	b.send(t, "movement/test", `{"id":"f","type":"movement.test","ts":`+nowText()+`,"source":"llm","data":{"command":"reset","request_id":"more"}}`)
	b.expect(t, "command_started", "reset", "more", "")
	b.expect(t, "command_completed", "reset", "more", "")
	s := b.wait(t, "idle", func(s esp32.State) bool { return len(s.Ended) == 3 })
	assert.Equal(t, []string{"bow ", "laugh ", "reset "}, names(s))
	h := servicetest.Collect(t, b.peer, contract.MovementHistory).Find(t, func(m client.Message[contract.MotionHistory]) bool {
		return len(m.Data.Requests) == 3 && m.Data.Requests[2].State == "completed"
	}).Data.Requests
	for i, r := range h {
		assert.Equal(t, "device", r.By)
		assert.Equal(t, "completed", r.State)
		assert.Equal(t, []string{"direct", "enveloped", "more"}[i], r.ID)
		events := []string{}
		for _, e := range r.Events {
			events = append(events, e.Event)
		}
		assert.Subset(t, events, []string{"command_queued", "command_started"}, "%v", events)
	}
}

// TestDeviceOneAtATime: the service's queue waits for the device, so that its own stays short.
func TestDeviceOneAtATime(t *testing.T) {
	t.Parallel()
	b := plug(t, movement.Options{}, nil)
	for i := range 4 {
		b.send(t, "movement/test", fmt.Sprintf(`{"id":"e%d","type":"movement.test","ts":%s,"source":"llm","data":{"command":"bow","request_id":"%d"}}`, i, nowText(), i))
	}
	for i := range 4 {
		b.expect(t, "command_started", "bow", fmt.Sprint(i), "")
		assert.Empty(t, b.dev.State().Queue)
		b.expect(t, "command_completed", "bow", fmt.Sprint(i), "")
	}
}

// TestDeviceMissingMoves: what the firmware refuses, or always fails at, goes out as frames within
// the limits, also when it was published without an envelope.
func TestDeviceMissingMoves(t *testing.T) {
	t.Parallel()
	b := plug(t, movement.Options{Rate: 2000}, func(o *esp32.Options) { o.Pace = 100 })
	b.send(t, "movement/test", `{"command":"move_legs","params":{"height_percent":100,"left_percent":1,"right_percent":1},"request_id":"legs"}`)
	fromDevice := b.status.Next(t).Data // the device begins it, fails at it, and then it is done
	assert.Equal(t, "command_started", fromDevice.Event)
	b.expect(t, "command_failed", "move_legs", "legs", "Unknown servo group")
	b.expect(t, "command_started", "move_legs", "legs", "")
	b.expect(t, "command_completed", "move_legs", "legs", "")
	s := b.wait(t, "frames", func(s esp32.State) bool { return s.PWM[0] == 220 })
	assert.Equal(t, []int{220, 380, 220}, s.PWM[:3])
	assert.Zero(t, s.PWM[3], "an arm that was not asked for stays off")
	b.send(t, "movement/test", `{"command":"move_arm","params":{"port_main":100},"request_id":"arm"}`)
	b.status.Find(t, func(m client.Message[contract.MovementUpdate]) bool { return m.Data.Event == "command_completed" })
	b.wait(t, "frames", func(s esp32.State) bool { return s.PWM[3] == 440 })
	for _, name := range []string{"big_shrug", "reach_forward"} {
		b.send(t, "movement/test", `{"command":"`+name+`","request_id":"`+name+`"}`)
		b.expect(t, "command_started", name, name, "")
		b.expect(t, "command_completed", name, name, "")
	}
	s = b.wait(t, "rest", func(s esp32.State) bool { return s.PWM[8] == 330 })
	for _, e := range s.Events {
		if e.Kind == "received" && e.Topic == esp32.TopicTest {
			assert.NotContains(t, e.Detail, "timestamp", "nothing of these was sent on to the device")
		}
	}
}

// TestDeviceOffIsNoStop: a move that ends with everything off, as all of movement/command do, is no
// emergency stop.
func TestDeviceOffIsNoStop(t *testing.T) {
	t.Parallel()
	b := plug(t, movement.Options{Frames: true, Rate: 2000}, nil)
	for _, id := range []string{"a", "b"} {
		b.send(t, "movement/command", `{"command":"reset","id":"`+id+`"}`)
		b.expect(t, "command_started", "reset", id, "")
		b.expect(t, "command_completed", "reset", id, "")
		assert.Zero(t, b.dev.State().PWM)
	}
	assert.Zero(t, b.dev.State().Count("received", esp32.TopicStop))
}

// TestDeviceWithholds: where the broker keeps commands from the device, those that somebody publishes
// for it without an envelope are carried out once, in their order, by frames, and a stop ends them. Its own
// "stop", which nothing would clear, does not reach it.
func TestDeviceWithholds(t *testing.T) {
	t.Parallel()
	b := plug(t, movement.Options{Frames: true}, nil, func(p *device.Profile) { p.Withhold = []string{"movement/test"} })
	b.send(t, "movement/test", `{"command":"reset","request_id":"a"}`)
	b.send(t, "movement/test", `{"id":"b","type":"movement.test","ts":`+nowText()+`,"source":"llm","data":{"command":"disable"}}`)
	b.send(t, "movement/test", `{"command":"laugh","speed":0.2,"request_id":"c"}`)
	for _, id := range []string{"a", "b"} {
		b.status.Find(t, func(m client.Message[contract.MovementUpdate]) bool {
			return m.Data.Event == "command_completed" && contract.Value(m.Data.RequestID) == id
		})
	}
	b.expect(t, "command_started", "laugh", "c", "")
	b.wait(t, "motion", func(s esp32.State) bool { return s.PWM[0] != 0 })
	b.send(t, "movement/test", `{"command":"stop"}`)
	b.wait(t, "off", func(s esp32.State) bool { return s.PWM == [esp32.Channels]int{} })
	b.resume(t)
	b.send(t, "movement/test", `{"command":"reset","request_id":"d"}`)
	b.expect(t, "command_started", "reset", "d", "")
	b.expect(t, "command_completed", "reset", "d", "")
	s := b.dev.State()
	assert.Empty(t, s.Ended, "the device has begun nothing by itself")
	assert.False(t, s.Latched)
	h := servicetest.Collect(t, b.peer, contract.MovementHistory).Find(t, func(m client.Message[contract.MotionHistory]) bool {
		return len(m.Data.Requests) == 4 && m.Data.Requests[3].State == "completed"
	}).Data.Requests
	for i, r := range h {
		assert.Equal(t, []string{"a", "b", "c", "d"}[i], r.ID)
		assert.Equal(t, "frames", r.By)
	}
}

// TestDeviceGone: nothing is accepted without the device, a move ends when it goes, and nothing
// goes on when it is back.
func TestDeviceGone(t *testing.T) {
	t.Parallel()
	b := plug(t, movement.Options{}, nil)
	for _, id := range []string{"a", "b"} {
		b.send(t, "movement/test", `{"id":"`+id+`","type":"t","ts":`+nowText()+`,"source":"llm","data":{"command":"pezz","request_id":"`+id+`"}}`)
	}
	b.expect(t, "command_started", "pezz", "a", "")
	b.dev.Close()
	got := []string{contract.Value(b.status.Next(t).Data.Detail), contract.Value(b.status.Next(t).Data.Detail)}
	slices.Sort(got)
	assert.Equal(t, []string{"cancelled: control lost: the device is gone", "control lost: the device is gone"}, got)
	b.send(t, "movement/test", `{"command":"bow","request_id":"c"}`)
	b.expect(t, "command_failed", "bow", "c", "the device is not there")
	info := servicetest.Collect(t, b.peer, contract.MovementInfo)
	info.Find(t, func(m client.Message[contract.MotionInfo]) bool { return !m.Data.Ready })
	again := esp32.Start(context.Background(), esp32.Options{Addr: b.Broker.TCP(), Pace: 20, Poll: 5 * time.Millisecond})
	t.Cleanup(again.Close)
	b.ready(t)
	b.send(t, "movement/test", `{"command":"reset","request_id":"d"}`)
	b.expect(t, "command_started", "reset", "d", "")
	b.expect(t, "command_completed", "reset", "d", "")
	assert.Len(t, again.State().Ended, 1, "nothing of before")
}

// TestDeviceLatched: a firmware that somebody sent its own "stop" runs no move any more until it is switched
// off, so that it is driven by frames.
func TestDeviceLatched(t *testing.T) {
	t.Parallel()
	b := plug(t, movement.Options{}, nil)
	b.send(t, "movement/test", `{"command":"stop"}`)
	b.wait(t, "latch", func(s esp32.State) bool { return s.Latched })
	b.resume(t)
	b.send(t, "movement/test", `{"id":"a","type":"t","ts":`+nowText()+`,"source":"llm","data":{"command":"reset"}}`)
	b.expect(t, "command_started", "reset", "a", "")
	b.expect(t, "command_completed", "reset", "a", "")
	assert.Equal(t, 300, b.dev.State().PWM[0])
}

// TestDeviceReboots: what was under way fails, also when the device is back before anybody has noticed that
// it was gone, and nothing of it goes on.
func TestDeviceReboots(t *testing.T) {
	t.Parallel()
	for _, frames := range []bool{true, false} {
		b := plug(t, movement.Options{Frames: frames}, nil)
		for _, id := range []string{"a", "b"} {
			b.send(t, "movement/test", `{"id":"`+id+`","type":"t","ts":`+nowText()+`,"source":"llm","data":{"command":"pezz","request_id":"`+id+`"}}`)
		}
		b.wait(t, "motion", func(s esp32.State) bool { return s.PWM[0] != 0 })
		b.expect(t, "command_started", "pezz", "a", "")
		b.dev.PowerCycle()
		failed := map[string]string{}
		for len(failed) < 2 {
			m := b.status.Find(t, func(m client.Message[contract.MovementUpdate]) bool { return m.Data.Event == "command_failed" })
			failed[contract.Value(m.Data.RequestID)] = contract.Value(m.Data.Detail)
		}
		assert.Contains(t, failed["a"], "control lost", "%v", failed)
		assert.Contains(t, failed["b"], "control lost")
		b.wait(t, "boot", func(s esp32.State) bool { return s.Count("subscribe", esp32.TopicStop) == 2 && s.Waiting == "" })
		b.ready(t)
		b.send(t, "movement/test", `{"id":"c","type":"t","ts":`+nowText()+`,"source":"llm","data":{"command":"reset","request_id":"c"}}`)
		b.expect(t, "command_started", "reset", "c", "")
		b.expect(t, "command_completed", "reset", "c", "")
	}
}

// TestDeviceStop: off is sent until the device has applied it after its move has ended, and resume
// waits for that. A command that somebody sends it meanwhile makes it begin anew.
func TestDeviceStop(t *testing.T) {
	t.Parallel()
	b := plug(t, movement.Options{}, nil)
	b.send(t, "movement/test", `{"command":"laugh","speed":0.5,"request_id":"a"}`)
	b.expect(t, "command_started", "laugh", "a", "")
	b.wait(t, "motion", func(s esp32.State) bool { return s.PWM[0] != 0 })
	b.send(t, "movement/stop", `{}`)
	b.expect(t, "emergency_stop", "", "", "emergency_stop")
	b.wait(t, "off", func(s esp32.State) bool { return s.PWM == [esp32.Channels]int{} })
	b.send(t, "movement/resume", `{}`)
	b.expect(t, "command_failed", "", "", "not confirmed")
	b.expect(t, "command_completed", "laugh", "a", "") // the device's: nothing stops it
	b.resume(t)
	s := b.dev.State()
	assert.Zero(t, s.PWM)
	assert.False(t, s.Latched, "the firmware's own stop, which no message clears, is not used")
	assert.Greater(t, s.Count("received", esp32.TopicStop), 1, "movement/stop is repeated")

	b.send(t, "movement/stop", `{}`)
	b.expect(t, "emergency_stop", "", "", "emergency_stop")
	b.send(t, "movement/test", `{"command":"bow","request_id":"b"}`)
	b.status.Find(t, func(m client.Message[contract.MovementUpdate]) bool { return m.Data.Event == "command_completed" })
	b.resume(t)
	assert.Zero(t, b.dev.State().PWM)
}

// realPace is the device as it is, on the port whose idle polls take 100 ms.
func realPace(o *esp32.Options) { o.Pace, o.Poll = 1, 100*time.Millisecond }

// TestStopLatencyFrames measures stops of a device at its own pace that is driven by frames: its
// joints change for the last time when it has applied the frame of zeros.
func TestStopLatencyFrames(t *testing.T) {
	t.Parallel()
	b := plug(t, movement.Options{Frames: true}, realPace)
	report(t, "esp32 by frames, publish to last change", time.Second, b.measureBy(t,
		"movement/command", `{"message_id":"%s","id":"%s","command":"bow"}`, func() time.Time { return b.dev.State().Moved }))
}

// TestStopLatencyCommands measures a device that runs a move of its own, at its own pace. Nothing
// remote ends that: it is switched off at once, begins again at its next step, is switched off again,
// and this until it ends. What is measured is the first "off", and how long it is limp meanwhile.
func TestStopLatencyCommands(t *testing.T) {
	t.Parallel()
	b := plug(t, movement.Options{}, realPace)
	var took []time.Duration
	for i := range max(2, *stops/30) {
		b.send(t, "movement/test", fmt.Sprintf(`{"command":"laugh","speed":0.6,"request_id":"%d"}`, i))
		b.wait(t, "motion", func(s esp32.State) bool { return s.Running == "laugh" && s.PWM[0] != 0 && s.PWM[0] < 300-20*i })
		t0 := time.Now()
		b.send(t, "movement/stop", ``)
		b.wait(t, "off", func(s esp32.State) bool { return s.PWM == [esp32.Channels]int{} })
		took = append(took, time.Since(t0))
		b.dev.PowerCycle()
		b.wait(t, "boot", func(s esp32.State) bool { return s.Count("subscribe", esp32.TopicStop) == i+2 && s.Waiting == "" })
		b.resume(t)
		b.ready(t)
	}
	report(t, "esp32 by commands, publish to first off (best effort)", time.Second, took)
}
