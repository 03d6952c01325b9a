package device_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/hooks/device"
	"github.com/tarsd/tarsd/internal/esp32"
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/internal/wire/wiretest"
)

// start runs a broker with the profile of the ESP32, changed for the pace of a test.
func start(t *testing.T, change func(*device.Profile), opts ...brokertest.Option) *brokertest.Broker {
	t.Helper()
	p := device.ESP32()
	p.Settle = 150 * time.Millisecond
	if change != nil {
		change(&p)
	}
	h, err := device.New([]device.Profile{p})
	require.NoError(t, err)
	return brokertest.Start(t, append(opts, brokertest.WithHooks(h), brokertest.KeepPorts())...)
}

// power switches a device on that is a hundred times as fast as the real one.
func power(t *testing.T, b *brokertest.Broker, change func(*esp32.Options)) *esp32.Device {
	t.Helper()
	o := esp32.Options{Addr: b.TCP(), Pace: 100, Poll: 10 * time.Millisecond}
	if change != nil {
		change(&o)
	}
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
		for _, e := range s.Events[max(0, len(s.Events)-40):] {
			t.Logf("%s %s %s %s", e.At.Format("05.000"), e.Kind, e.Topic, e.Detail)
		}
		require.NoError(t, err, what)
	}
	return s
}

func booted(s esp32.State) bool { return s.Count("subscribe", "movement/stop") > 0 && s.Waiting == "" }

func done(n int) func(esp32.State) bool {
	return func(s esp32.State) bool { return len(s.Ended) == n && s.Waiting == "" }
}

func host(t *testing.T, b *brokertest.Broker, filters ...string) *wiretest.Conn {
	t.Helper()
	c := wiretest.New(t, b.Dial(t, "memory"), wire.V5)
	c.Connect(wiretest.Connect{ClientID: fmt.Sprint("host ", filters)})
	var all []wiretest.Filter
	for _, f := range filters {
		all = append(all, wiretest.Filter{Name: f, Opts: 1 | wiretest.RetainNever})
	}
	if len(all) > 0 {
		c.Subscribe(all...)
	}
	return c
}

func command(name string) wiretest.Publish {
	return wiretest.Publish{Topic: "movement/test", Payload: fmt.Sprintf(`{"command":%q}`, name), QoS: 1}
}

// health is the retained presence.
func health(t *testing.T, b *brokertest.Broker) (m struct {
	OK        bool
	Event     string
	Timestamp int64
}) {
	t.Helper()
	b.Engine.EachRetained(esp32.TopicHealth, func(s delivery.Sight) bool {
		require.NoError(t, json.Unmarshal(s.Payload, &m))
		return true
	})
	return m
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, 15*time.Second, 2*time.Millisecond, what)
}

// TestBurst: a burst of commands of every QoS is executed in order, none is lost.
func TestBurst(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	d := power(t, b, nil)
	wait(t, d, "boot", booted)
	c := host(t, b)
	var burst [][]byte
	var want []string
	for i := range 12 {
		p := command([]string{"laugh", "bow", "reset"}[i%3])
		p.QoS, p.ID = byte(i%3), uint16(i+1)
		burst = append(burst, p.Bytes(wire.V5))
		want = append(want, []string{"laugh", "bow", "reset"}[i%3])
	}
	c.Send(burst...)
	s := wait(t, d, "all", done(12))
	var got []string
	for _, e := range s.Ended {
		got = append(got, e.Name)
	}
	assert.Equal(t, want, got)
	assert.Equal(t, 1, s.Connects)
}

// TestBurstWhileItBoots: what comes while the device waits for its SUBACKs and PUBACKs would be the end.
func TestBurstWhileItBoots(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	d := power(t, b, func(o *esp32.Options) { o.LED = true })
	c := host(t, b)
	wait(t, d, "first subscription", func(s esp32.State) bool { return s.Count("subscribe", "movement/frame") == 1 })
	for range 5 {
		c.Publish(command("reset"))
	}
	s := wait(t, d, "all", done(5))
	assert.Equal(t, 1, s.Count("subscribe", "movement/stop"))
}

// TestReportsAmongCommands: the device publishes its health while commands come, hundreds of times.
func TestReportsAmongCommands(t *testing.T) {
	t.Parallel()
	b := start(t, func(p *device.Profile) { p.Messages = 0 }, brokertest.WithStore(t.TempDir()))
	d := power(t, b, func(o *esp32.Options) { o.HealthEvery, o.Poll = 50*time.Millisecond, time.Millisecond })
	wait(t, d, "boot", booted)
	c := host(t, b)
	for i := range 200 {
		c.Publish(wiretest.Publish{Topic: "movement/frame", Payload: fmt.Sprintf(`{"ch0":%d}`, 200+i), QoS: 1})
	}
	s := wait(t, d, "all frames", func(s esp32.State) bool { return s.PWM[0] == 399 && s.Waiting == "" })
	assert.Greater(t, s.Count("publish", esp32.TopicHealth), 10)
	assert.Equal(t, 200, s.Count("received", "movement/frame"))
}

// TestSilence: a device that says nothing is not cut off, and hears.
func TestSilence(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	d := power(t, b, func(o *esp32.Options) { o.KeepAlive = 1 })
	wait(t, d, "boot", booted)
	c := host(t, b)
	<-time.After(2500 * time.Millisecond) // 1.5 s are the end of a keep alive of one second
	assert.Equal(t, 1, d.State().Connects)
	c.Publish(command("bow"))
	s := wait(t, d, "bow", done(1))
	assert.Zero(t, s.Count("lost", ""))
}

// TestProbes is the other way: the device answers, and nobody else hears of it.
func TestProbes(t *testing.T) {
	t.Parallel()
	b := start(t, func(p *device.Profile) { p.KeepAlive, p.Probe.Interval = device.Probing, time.Second })
	d := power(t, b, func(o *esp32.Options) { o.KeepAlive = 2 })
	wait(t, d, "boot", booted)
	c := host(t, b, "movement/frame", "movement/state", "movement/status")
	s := wait(t, d, "probes", func(s esp32.State) bool { return s.Count("received", "movement/frame") == 5 })
	assert.Equal(t, 1, s.Connects)
	c.ExpectQuiet()
	info, _ := b.Engine.Client("tars-esp32")
	assert.Empty(t, info.Dropped, "taken out is not dropped")

	c.Send(wiretest.Publish{Topic: "movement/frame", Payload: `{"ch0":250}`, ID: 77}.Bytes(wire.V5))
	c.ExpectPublish("movement/frame", `{"ch0":250}`)
	assert.Contains(t, c.Expect(wiretest.PUBLISH).Payload, `"channels":1`, "an answer that is for everybody")
	d.PullCable()
	eventually(t, "found dead", func() bool { i, _ := b.Engine.Client("tars-esp32"); return !i.Connected })
}

// TestAnswersOfOthers: what answers no probe is for everybody, also when it looks like an answer.
func TestAnswersOfOthers(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	d := power(t, b, nil)
	wait(t, d, "boot", booted)
	c := host(t, b, "movement/state")
	c.Send(wiretest.Publish{Topic: "movement/frame", Payload: `{}`}.Bytes(wire.V5))
	assert.Contains(t, c.Expect(wiretest.PUBLISH).Payload, `"channels":0`)
}

// TestProbesWhereTheLinkIsNotWatched: on a WebSocket or behind a proxy the rule of MQTT holds, and probes
// see to it that it is kept.
func TestProbesWhereTheLinkIsNotWatched(t *testing.T) {
	t.Parallel()
	b := start(t, func(p *device.Profile) { p.Probe.Interval = time.Second })
	ws := b.Dial(t, "ws")
	ours, theirs := net.Pipe() // a WebSocket does not survive the deadlines of polls
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(ws, ours); _ = ws.Close() })
	wg.Go(func() { _, _ = io.Copy(ours, ws); _ = ours.Close() })
	defer wg.Wait()
	defer func() { _ = ours.Close() }()
	d := power(t, b, func(o *esp32.Options) {
		o.KeepAlive = 2
		o.Dial = func(context.Context) (net.Conn, error) { return theirs, nil }
	})
	s := wait(t, d, "probes", func(s esp32.State) bool { return s.Count("received", "movement/frame") == 5 })
	assert.Equal(t, 1, s.Connects)
}

// TestBrokerRestart: the device comes back to a session without subscriptions and to a read without end,
// in the midst of a move.
func TestBrokerRestart(t *testing.T) {
	t.Parallel()
	for _, store := range []bool{false, true} {
		t.Run(fmt.Sprint("store ", store), func(t *testing.T) {
			t.Parallel()
			var opts []brokertest.Option
			if store {
				opts = append(opts, brokertest.WithStore(t.TempDir()))
			}
			b := start(t, nil, opts...)
			d := power(t, b, nil)
			wait(t, d, "boot", booted)
			host(t, b).Publish(command("pezz"))
			wait(t, d, "begin", func(s esp32.State) bool { return s.Running == "pezz" && s.Waiting == "" })
			for round := 1; round <= 2; round++ {
				b.Restart(t)
				wait(t, d, "connect", func(s esp32.State) bool { return s.Connects == round+1 })
				wait(t, d, "woken", func(s esp32.State) bool { return s.Waiting == "" && s.Count("received", "movement/frame") == round })
			}
			wait(t, d, "the move goes on", done(1))
			host(t, b).Publish(command("bow"))
			s := wait(t, d, "bow", done(2))
			assert.Equal(t, 1, s.Count("subscribe", "movement/test"), "it did not subscribe by itself")
			info, _ := b.Engine.Client("tars-esp32")
			assert.ElementsMatch(t, []string{"movement/frame", "movement/test", "movement/stop"}, info.Subscriptions)
			assert.Equal(t, "reconnected", health(t, b).Event)
		})
	}
}

// TestLateBroker: the device boots before the broker and subscribes to frames alone.
func TestLateBroker(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	addr := b.TCP()
	b.Stop(t)
	d := power(t, b, func(o *esp32.Options) { o.Addr = addr })
	wait(t, d, "retries", func(s esp32.State) bool { return s.Count("unreachable", "") > 3 })
	b.Restart(t)
	wait(t, d, "connect", func(s esp32.State) bool { return s.Connects == 1 })
	host(t, b).Publish(command("bow"))
	s := wait(t, d, "bow", done(1))
	assert.Zero(t, s.Count("subscribe", "movement/test"))
	assert.Empty(t, s.Ended[0].Failure)
}

// TestStop: the broker's part of a stop is that the device has it at once, ahead of nothing.
func TestStop(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	d := power(t, b, nil)
	wait(t, d, "boot", booted)
	c := host(t, b)
	p := command("pezz")
	p.ID = 5
	c.Send(p.Bytes(wire.V5))
	wait(t, d, "begin", func(s esp32.State) bool { return s.Running == "pezz" })
	sent := time.Now()
	c.Send(wiretest.Publish{Topic: "movement/stop", Payload: "{}", QoS: 1, ID: 6}.Bytes(wire.V5))
	s := wait(t, d, "stop", func(s esp32.State) bool { return s.Count("received", "movement/stop") == 1 })
	assert.Less(t, time.Since(sent), 2*time.Second)
	assert.Equal(t, "pezz", s.Running, "what it does with it is the firmware's")
	s = wait(t, d, "the end of the move", done(1))
	assert.Equal(t, 300, s.PWM[0])
}

// TestStopIsNotBehindFrames: what waits for the device is nothing that it should still do.
func TestStopIsNotBehindFrames(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	d := power(t, b, func(o *esp32.Options) { o.LED = true }) // slow: 3 ms a frame
	wait(t, d, "boot", booted)
	c := host(t, b)
	for i := range 100 {
		c.Send(wiretest.Publish{Topic: "movement/frame", Payload: fmt.Sprintf(`{"ch0":%d}`, 200+i)}.Bytes(wire.V5))
	}
	c.Publish(wiretest.Publish{Topic: "movement/stop", QoS: 1})
	s := wait(t, d, "stop", func(s esp32.State) bool { return s.Count("received", "movement/stop") == 1 && s.Waiting == "" })
	assert.Less(t, s.Count("received", "movement/frame"), 90)
	c.Publish(command("reset"))
	s = wait(t, d, "what follows", done(1))
	assert.Less(t, s.Count("received", "movement/frame"), 90)
	info, _ := b.Engine.Client("tars-esp32")
	assert.Positive(t, info.Dropped["cleared"])
}

// TestPresence: nobody has to guess whether the device is there.
func TestPresence(t *testing.T) {
	t.Parallel()
	b := start(t, nil, brokertest.WithStore(t.TempDir()))
	d := power(t, b, nil)
	wait(t, d, "boot", booted)
	eventually(t, "its own word", func() bool { return health(t, b).Event == "ready" })
	c := host(t, b, esp32.TopicHealth)
	d.PullCable()
	d.PlugIn()
	d.PowerCycle() // the old connection is taken over: nothing to say but what the device says
	wait(t, d, "boot", func(s esp32.State) bool { return s.Count("subscribe", "movement/stop") == 2 })
	assert.True(t, health(t, b).OK)
	assert.NotContains(t, c.Expect(wiretest.PUBLISH).Payload, "disconnected")
	d.Close()
	eventually(t, "gone", func() bool { return !health(t, b).OK })
	m := health(t, b)
	assert.Equal(t, "disconnected", m.Event)
	assert.InDelta(t, time.Now().Unix(), m.Timestamp, 60)

	d = power(t, b, nil)
	wait(t, d, "boot", booted)
	eventually(t, "back", func() bool { return health(t, b).OK })
	b.Restart(t)
	wait(t, d, "back again", func(s esp32.State) bool { return s.Connects == 2 })
	eventually(t, "back again", func() bool { return health(t, b).Event == "reconnected" })
}

// TestPresenceAfterACrash: what the run before left is not true any more.
func TestPresenceAfterACrash(t *testing.T) {
	t.Parallel()
	b := start(t, nil, brokertest.WithStore(t.TempDir()))
	b.Engine.Publish(esp32.TopicHealth, []byte(`{"ok":true,"event":"ready","timestamp":12}`), 1, true)
	b.Restart(t)
	assert.Equal(t, "disconnected", health(t, b).Event)
}

// mute is a policy under which nobody but the robot itself may publish health.
type mute struct{ brokertest.AllowAll }

func (mute) MayPublish(_ *delivery.Peer, topic string) bool {
	return !strings.HasPrefix(topic, "system/")
}

func TestAClientIDIsNoVoice(t *testing.T) {
	t.Parallel()
	b := start(t, nil, brokertest.WithPolicy(mute{}))
	c := wiretest.New(t, b.Dial(t, "tcp"), wire.V311)
	c.Connect(wiretest.Connect{ClientID: "tars-esp32-evil"})
	c.Disconnect()
	eventually(t, "gone", func() bool { return b.Engine.Stats().ClientsConnected == 0 })
	assert.Empty(t, health(t, b).Event)
}

// TestRefused: the loop without a pause gets one.
func TestRefused(t *testing.T) {
	t.Parallel()
	b := start(t, func(p *device.Profile) { p.HoldRefusal = 400 * time.Millisecond }, brokertest.WithPolicy(refusing{}))
	d := power(t, b, nil)
	wait(t, d, "refused", func(s esp32.State) bool { return s.Count("refused", "") == 1 })
	<-time.After(time.Second)
	assert.LessOrEqual(t, d.State().Tries, 5)
}

type refusing struct{ brokertest.AllowAll }

func (refusing) Authenticate(context.Context, *delivery.Peer, *string, []byte) (wire.Code, string) {
	return wire.NotAuthorized, "no"
}

// TestRate: a device that says too much is not sent away for it.
func TestRate(t *testing.T) {
	t.Parallel()
	b := start(t, func(p *device.Profile) { p.Messages = 10 })
	c := wiretest.New(t, b.Dial(t, "tcp"), wire.V311)
	c.Connect(wiretest.Connect{ClientID: "tars-esp32-2"})
	for range 200 { // many times what would end the connection of anybody else
		c.Publish(wiretest.Publish{Topic: "movement/state", Payload: "{}", QoS: 1})
	}
	info, _ := b.Engine.Client("tars-esp32-2")
	assert.True(t, info.Connected)
	assert.Greater(t, info.Dropped[device.ReasonRate], uint64(150))
}

// TestNothingOfBefore: what was asked for while the device was away is not done when it is back, and
// nothing that is retained when it boots.
func TestNothingOfBefore(t *testing.T) {
	t.Parallel()
	b := start(t, nil, brokertest.WithStore(t.TempDir()))
	c := host(t, b)
	laugh := command("laugh")
	laugh.Retain = true
	c.Publish(laugh)
	var away atomic.Bool
	d := power(t, b, func(o *esp32.Options) {
		o.Dial = func(ctx context.Context) (net.Conn, error) {
			if away.Load() {
				return nil, syscall.EHOSTUNREACH
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp", b.TCP())
		}
	})
	wait(t, d, "boot", booted)
	kick := func() {
		b.Engine.Kick(func(p *delivery.Peer) bool { return p.ID == "tars-esp32" }, wire.UnspecifiedError, "test")
	}
	kick() // from here on its session outlives its connection
	wait(t, d, "back", func(s esp32.State) bool { return s.Connects == 2 && s.Waiting == "" })
	away.Store(true)
	kick()
	wait(t, d, "gone", func(s esp32.State) bool { return s.Count("unreachable", "") > 0 })
	c.Publish(command("wave"))
	c.Publish(wiretest.Publish{Topic: "movement/frame", Payload: `{"ch0":250}`, QoS: 1})
	away.Store(false)
	wait(t, d, "back", func(s esp32.State) bool { return s.Connects == 3 && s.Waiting == "" })
	c.Publish(command("bow"))
	s := wait(t, d, "bow", done(1))
	assert.Equal(t, "bow", s.Ended[0].Name)
	for _, e := range s.Events {
		assert.False(t, e.Kind == "received" && e.Topic == "movement/frame" && e.Detail != "{}", e.Detail)
	}
}
