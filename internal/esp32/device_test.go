package esp32_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/esp32"
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/internal/wire/wiretest"
)

// fast is a device a hundred times as fast as the real one, on a port whose polls are short.
func fast(addr string) esp32.Options {
	return esp32.Options{Addr: addr, Pace: 100, Poll: 10 * time.Millisecond}
}

func start(t *testing.T, o esp32.Options) *esp32.Device {
	t.Helper()
	d := esp32.Start(context.Background(), o)
	t.Cleanup(d.Close)
	return d
}

// wait waits for a state, or fails with what the device has done.
func wait(t *testing.T, d *esp32.Device, what string, cond func(esp32.State) bool) esp32.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := d.Wait(ctx, cond)
	if err != nil {
		for _, e := range s.Events {
			t.Logf("%s %s %s %s", e.At.Format("05.000"), e.Kind, e.Topic, e.Detail)
		}
		require.NoError(t, err, what)
	}
	return s
}

func booted(s esp32.State) bool { return s.Count("subscribe", esp32.TopicStop) > 0 && s.Waiting == "" }

// host is a client of the same broker that listens to everything the device says.
func host(t *testing.T, b *brokertest.Broker, filters ...string) *wiretest.Conn {
	t.Helper()
	c := wiretest.New(t, b.Dial(t, "tcp"), wire.V311)
	c.Connect(wiretest.Connect{ClientID: "host"})
	var all []wiretest.Filter
	for _, f := range filters {
		all = append(all, wiretest.Filter{Name: f, Opts: 1})
	}
	if len(all) > 0 {
		c.Subscribe(all...)
	}
	return c
}

// said is the next message of the host as JSON, without what the clock says.
func said(t *testing.T, c *wiretest.Conn) (topic string, m map[string]any) {
	t.Helper()
	p := c.Expect(wiretest.PUBLISH)
	c.Acknowledge(p)
	require.NoError(t, json.Unmarshal([]byte(p.Payload), &m))
	assert.Contains(t, m, "timestamp")
	delete(m, "timestamp")
	return p.Topic, m
}

type says map[string]any

func TestBoot(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	d := start(t, fast(b.TCP()))
	s := wait(t, d, "boot", booted)
	var order []string
	for _, e := range s.Events {
		if e.Kind == "connect" || e.Kind == "subscribe" || e.Kind == "publish" {
			order = append(order, strings.TrimSpace(e.Kind+" "+e.Topic))
		}
	}
	assert.Equal(t, []string{
		"connect", "subscribe movement/frame", "publish movement/state", "publish system/health/movement-esp32",
		"subscribe movement/test", "subscribe movement/stop",
	}, order)
	infos := b.Engine.Clients()
	require.Len(t, infos, 1)
	assert.Equal(t, "tars-esp32", infos[0].ID)
	assert.Equal(t, uint16(30), infos[0].KeepAlive)
	assert.True(t, infos[0].Clean)

	c := host(t, b, "movement/state", esp32.TopicHealth)
	for range 2 { // retained
		switch topic, m := said(t, c); topic {
		case esp32.TopicState:
			assert.Equal(t, map[string]any(says{"event": "firmware_online"}), m)
		default:
			assert.Equal(t, map[string]any(says{"ok": true, "event": "ready"}), m)
		}
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	d := start(t, fast(b.TCP()))
	wait(t, d, "boot", booted)
	status := host(t, b, "movement/status")
	state := wiretest.New(t, b.Dial(t, "tcp"), wire.V311)
	state.Connect(wiretest.Connect{ClientID: "state"})
	state.Subscribe(wiretest.Filter{Name: "movement/state", Opts: 1})
	state.Acknowledge(state.Expect(wiretest.PUBLISH)) // online

	id := func(m map[string]any) {
		assert.Contains(t, m["message_id"], "esp32_")
		delete(m, "message_id")
	}
	expect := func(c *wiretest.Conn, want says) {
		t.Helper()
		_, m := said(t, c)
		if _, ok := m["message_id"]; ok {
			id(m)
		}
		assert.Equal(t, map[string]any(want), m)
	}
	run := func(payload, name string, speed float64) {
		t.Helper()
		state.Publish(wiretest.Publish{Topic: "movement/test", Payload: payload, QoS: 1})
		expect(state, says{"event": "command_queued", "command": name, "speed": speed, "queue_size": 1.0})
	}
	run(`{"command":"bow","speed":0.8,"request_id":{"n":7},"more":1}`, "bow", 0.8)
	expect(status, says{"event": "command_started", "command": "bow", "request_id": map[string]any{"n": 7.0}})
	expect(status, says{"event": "command_completed", "command": "bow", "request_id": map[string]any{"n": 7.0}})
	s := d.State()
	assert.Equal(t, []int{300, 300, 300, 287, 290, 240, 287, 290, 330}, s.PWM[:9])

	run(`{"command":"move_legs","params":{"height_percent":20}}`, "move_legs", 1)
	expect(status, says{"event": "command_started", "command": "move_legs"})
	expect(status, says{"event": "command_failed", "command": "move_legs", "detail": "Unknown servo group: 20"})

	for _, bad := range []string{
		`nonsense`, `[]`, `null`, `{"command":"moonwalk"}`, `{"command":"big_shrug"}`, `{"command":"bow","speed":true}`, `{"command":"bow","speed":"1"}`,
		`{"command":"bow","speed":1.1}`, `{"command":"bow","params":null}`, `{"id":"x","type":"t","ts":1,"source":"s","data":{"command":"bow"}}`,
	} {
		state.Publish(wiretest.Publish{Topic: "movement/test", Payload: bad, QoS: 1})
		expect(state, says{"event": "command_error", "error": "invalid_format_or_validation_failed"})
	}

	state.Publish(wiretest.Publish{Topic: "movement/frame", Payload: `{"ch0":250,"ch15":5000,"channels":{},"chx":1,"id":1}`, QoS: 1})
	expect(state, says{"event": "frame_applied", "channels": 4.0})
	s = d.State()
	assert.Equal(t, 250, s.PWM[0])
	assert.Equal(t, 5000&0xfff, s.PWM[15], "no limit but the chip's")
}

// TestMovesTakeTime compares the pace of the two ports, which is fault 6 of the reference.
func TestMovesTakeTime(t *testing.T) {
	t.Parallel()
	took := map[time.Duration]time.Duration{}
	for _, poll := range []time.Duration{time.Millisecond, 100 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			d := offline(t, poll)
			s, err := d.Wait(t.Context(), func(s esp32.State) bool { return len(s.Ended) == 1 })
			require.NoError(t, err)
			took[poll] = s.Ended[0].At.Sub(s.Ended[0].Began)
		})
	}
	assert.InDelta(t, 3.2, took[time.Millisecond].Seconds(), 0.8, "a bow at 0.8 as written")
	assert.InDelta(t, 15, took[100*time.Millisecond].Seconds(), 3, "on the ESP32")
}

func TestStop(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	d := start(t, fast(b.TCP()))
	wait(t, d, "boot", booted)
	c := host(t, b)
	c.Publish(wiretest.Publish{Topic: "movement/test", Payload: `{"command":"pezz"}`, QoS: 1})
	wait(t, d, "start", func(s esp32.State) bool { return s.Running == "pezz" && s.Waiting == "" })
	c.Publish(wiretest.Publish{Topic: "movement/stop", Payload: `x`, QoS: 1})
	s := wait(t, d, "stop", func(s esp32.State) bool { return s.Count("publish", "movement/state") == 3 && s.Waiting == "" })
	assert.Equal(t, "pezz", s.Running, "stop does not stop")
	assert.False(t, s.Latched)

	c.Publish(wiretest.Publish{Topic: "movement/test", Payload: `{"command":"stop"}`, QoS: 1})
	s = wait(t, d, "latch", func(s esp32.State) bool { return s.Latched && s.Running == "" })
	require.Len(t, s.Ended, 2)
	assert.Empty(t, s.Ended[0].Failure, "the sequence ran to its end before the queued stop")
	assert.Equal(t, [esp32.Channels]int{}, s.PWM)

	c.Publish(wiretest.Publish{Topic: "movement/test", Payload: `{"command":"bow"}`, QoS: 1})
	s = wait(t, d, "reply", func(s esp32.State) bool {
		return strings.Contains(s.Events[len(s.Events)-1].Detail, `"command_queued"`) && s.Count("received", "movement/test") == 3
	})
	assert.Empty(t, s.Queue, "reported as queued, and dropped")
	d.PowerCycle()
	s = wait(t, d, "boot", func(s esp32.State) bool { return s.Count("subscribe", "movement/stop") == 2 })
	assert.False(t, s.Latched)
}

// TestSilence is fault 1: a device that is cut off for its silence never hears anything again.
func TestSilence(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	o := fast(b.TCP())
	o.KeepAlive = 1
	d := start(t, o)
	s := wait(t, d, "two connects", func(s esp32.State) bool { return s.Connects == 2 && s.Waiting == "read" })
	assert.Equal(t, 1, s.Count("lost", ""))
	c := host(t, b)
	c.Publish(wiretest.Publish{Topic: "movement/test", Payload: `{"command":"bow"}`, QoS: 1})
	s = wait(t, d, "one more cut", func(s esp32.State) bool { return s.Connects == 3 })
	assert.Zero(t, s.Count("received", ""), "deaf")
	assert.Equal(t, 1, s.Count("subscribe", "movement/test"), "the library subscribes to nothing")
	for _, i := range b.Engine.Clients() {
		if i.ID == "tars-esp32" {
			assert.Empty(t, i.Subscriptions)
		}
	}
}

// TestBurst is fault 2: two commands at once, and none is ever executed.
func TestBurst(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	d := start(t, fast(b.TCP()))
	wait(t, d, "boot", booted)
	c := host(t, b)
	c.Send(
		wiretest.Publish{Topic: "movement/test", Payload: `{"command":"bow"}`, QoS: 0}.Bytes(wire.V311),
		wiretest.Publish{Topic: "movement/test", Payload: `{"command":"laugh"}`, QoS: 0}.Bytes(wire.V311),
	)
	s := wait(t, d, "both", func(s esp32.State) bool { return len(s.Queue) == 2 })
	assert.Contains(t, s.Waiting, "PUBACK")
	c.Publish(wiretest.Publish{Topic: "movement/test", Payload: `{"command":"wave"}`, QoS: 1})
	s = wait(t, d, "a third", func(s esp32.State) bool { return len(s.Queue) == 3 && s.Count("publish", "movement/state") == 4 })
	assert.Contains(t, s.Waiting, "PUBACK")
	assert.Empty(t, s.Ended)
}

// TestLateBroker is fault 3.
func TestLateBroker(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	o := fast(b.TCP())
	d := esp32.Start(context.Background(), o)
	defer d.Close()
	d.PullCable()
	d.PowerCycle() // boots without a network
	wait(t, d, "retries", func(s esp32.State) bool { return s.Count("unreachable", "") > 3 })
	d.PlugIn()
	s := wait(t, d, "reconnected", func(s esp32.State) bool {
		return s.Count("publish", esp32.TopicHealth) > 0 && strings.Contains(s.Events[len(s.Events)-1].Detail, "reconnected") && s.Waiting == ""
	})
	boot := 0
	for i, e := range s.Events {
		if e.Kind == "boot" {
			boot = i
		}
	}
	for _, e := range s.Events[boot:] {
		assert.NotEqual(t, "movement/test", e.Topic)
	}
}

// refusing is a policy that lets nobody in.
type refusing struct{ brokertest.AllowAll }

func (refusing) Authenticate(context.Context, *delivery.Peer, *string, []byte) (wire.Code, string) {
	return wire.NotAuthorized, "no"
}

// TestRefused is fault 7.
func TestRefused(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithPolicy(refusing{}))
	d := start(t, esp32.Options{Addr: b.TCP()})
	s := wait(t, d, "tries", func(s esp32.State) bool { return s.Count("refused", "") == 20 })
	first, last := s.Events[0].At, s.Events[len(s.Events)-1].At
	assert.Less(t, last.Sub(first), 5*time.Second)
}

// TestCablePulled shows that nobody hears of it.
func TestCablePulled(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	d := start(t, fast(b.TCP()))
	wait(t, d, "boot", booted)
	d.PullCable()
	c := host(t, b)
	c.Publish(wiretest.Publish{Topic: "movement/test", Payload: `{"command":"bow"}`, QoS: 1})
	c.ExpectQuiet()
	require.Len(t, b.Engine.Clients(), 2)
	assert.Zero(t, d.State().Count("received", ""))
	d.PlugIn()
	d.PowerCycle()
	s := wait(t, d, "boot", func(s esp32.State) bool { return s.Connects == 2 })
	assert.Zero(t, s.Count("lost", ""))
}

func ExampleState_Count() {
	s := esp32.State{Events: []esp32.Event{{Kind: "publish", Topic: "a"}, {Kind: "publish", Topic: "b"}}}
	fmt.Println(s.Count("publish", ""), s.Count("publish", "a"))
	// Output: 2 1
}
