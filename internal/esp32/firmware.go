package esp32

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The topics of the firmware.
const (
	TopicTest   = "movement/test"
	TopicFrame  = "movement/frame"
	TopicStop   = "movement/stop"
	TopicState  = "movement/state"
	TopicStatus = "movement/status"
	TopicHealth = "system/health/movement-esp32"
)

// firmware is the program of one boot. It belongs to one goroutine; the executor runs as a coroutine of
// it, when the main loop gives way.
type firmware struct {
	d   *Device
	ctx context.Context
	c   *client

	began     time.Time
	now       time.Duration // the board's clock; it runs Options.Pace times as fast as the real one
	connected bool
	known     bool // there was a connection in this boot
	full      bool // boot went well: there is a status publisher
	lastFrame time.Duration
	reported  time.Duration // last health report

	table [Channels]int // positions as the gradual move believes them; frames do not change them
	wake  time.Duration // when the executor goes on
	step  func() (time.Duration, bool)
}

// unknown is where a joint is taken to be before its first move.
const unknown = 300

func newFirmware(d *Device) *firmware {
	f := &firmware{d: d, began: time.Now(), lastFrame: -time.Hour}
	for i := range f.table {
		f.table[i] = unknown
	}
	return f
}

func (f *firmware) run(ctx context.Context) {
	f.ctx = ctx
	f.c = &client{d: f.d, ctx: ctx, delay: f.block, on: f.message}
	step, stop := iter.Pull(f.execute)
	defer stop()
	f.step = step
	f.d.event("boot", "", "")
	err := f.start()
	for !errors.Is(err, errOff) && ctx.Err() == nil {
		if err != nil {
			f.connected = false
			f.d.event("crash", "", err.Error())
		}
		err = f.loop()
	}
}

// start is the boot: one connection that begins a clean session, and three subscriptions with the online
// messages between them.
func (f *firmware) start() error {
	if err := f.c.connect(true); err != nil {
		return err
	}
	f.known = true
	if err := f.c.subscribe(TopicFrame); err != nil {
		return err
	}
	// Meant as "ready", but the extra field overwrites it.
	if err := f.state("firmware_online", true, nil); err != nil {
		return err
	}
	if err := f.health(true, "ready"); err != nil {
		return err
	}
	for _, t := range []string{TopicTest, TopicStop} {
		if err := f.c.subscribe(t); err != nil {
			return err
		}
	}
	f.connected, f.full = true, true
	return nil
}

// loop is one turn of the main loop: ten polls, then the others' turn.
func (f *firmware) loop() error {
	if !f.connected {
		if err := f.recover(); err != nil {
			return err
		}
	}
	for range 10 {
		ready := f.c.ready(f.real(f.d.o.Poll))
		f.sync()
		if !ready {
			continue
		}
		if err := f.c.check(); err != nil {
			return err
		}
	}
	if err := f.yield(50 * time.Millisecond); err != nil {
		return err
	}
	if f.now-f.reported < f.d.o.HealthEvery {
		return nil
	}
	f.reported = f.now
	if f.now-f.lastFrame <= f.d.o.FrameTimeout {
		return f.health(true, "periodic_health_check")
	}
	return f.health(false, "frame_timeout")
}

// recover is the firmware's own way to a connection, for what the library does not deal with: it
// subscribes to frames alone.
func (f *firmware) recover() error {
	for {
		err := f.c.connect(false)
		switch {
		case err == nil:
			f.known, f.connected = true, true
			if err := f.c.subscribe(TopicFrame); err != nil {
				return err
			}
			return f.health(true, "reconnected")
		case errors.Is(err, errOff):
			return err
		case errors.Is(err, errMQTT): // no wait
			continue
		}
		wait := 10 * time.Second
		if !f.known {
			wait = 50 * time.Millisecond
		}
		if err := f.block(wait); err != nil {
			return err
		}
	}
}

// real is how long a span of the board's clock takes.
func (f *firmware) real(d time.Duration) time.Duration {
	return time.Duration(float64(d) / f.d.o.Pace)
}

// sync brings the board's clock up to date after something that took time.
func (f *firmware) sync() {
	f.now = max(f.now, time.Duration(float64(time.Since(f.began))*f.d.o.Pace))
}

// until waits for the board's clock. What a computer cannot wait for exactly is not waited for: the
// clock goes ahead of the real one by less than a millisecond.
func (f *firmware) until(t time.Duration) error {
	if left := time.Until(f.began.Add(f.real(t))); left > 500*time.Microsecond {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-f.ctx.Done():
			return errOff
		}
	}
	f.now = max(f.now, t)
	return nil
}

// block lets the whole program stand still.
func (f *firmware) block(d time.Duration) error {
	f.sync()
	return f.until(f.now + d)
}

// yield lets the executor run for a while.
func (f *firmware) yield(d time.Duration) error {
	f.sync()
	for end := f.now + d; ; {
		if f.wake > end {
			return f.until(end)
		}
		if err := f.until(max(f.wake, f.now)); err != nil {
			return err
		}
		sleep, ok := f.step()
		if !ok {
			return errOff
		}
		f.wake = f.now + sleep
		if f.now >= end {
			return nil
		}
	}
}

// send publishes JSON.
func (f *firmware) send(topic string, m map[string]any, qos byte, retain bool) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	err = f.c.publish(topic, b, qos, retain)
	f.sync()
	if err == nil && f.d.o.LED {
		err = f.block(300 * time.Millisecond)
	}
	return err
}

// seconds is the board's time of day, which nobody sets.
func (f *firmware) seconds() int { return int(f.now / time.Second) }

func (f *firmware) health(ok bool, event string) error {
	return f.send(TopicHealth, map[string]any{"ok": ok, "event": event, "timestamp": f.seconds()}, 1, true)
}

func (f *firmware) state(event string, retain bool, extra map[string]any) error {
	m := map[string]any{"event": event, "timestamp": f.seconds()}
	for k, v := range extra {
		m[k] = v
	}
	return f.send(TopicState, m, 1, retain)
}

// status says how a command goes on.
func (f *firmware) status(event string, c *Command, detail string) error {
	if !f.full {
		return nil
	}
	m := map[string]any{"event": event, "message_id": "esp32_" + strconv.Itoa(int(f.now/time.Millisecond)), "timestamp": f.seconds()}
	if c != nil {
		m["command"] = c.Name
		if c.RequestID != nil {
			m["request_id"] = c.RequestID
		}
	}
	if detail != "" {
		m["detail"] = detail
	}
	return f.send(TopicStatus, m, 0, false)
}

// message handles what came in, inside the library's wait.
func (f *firmware) message(topic string, payload []byte) error {
	f.d.event("received", topic, string(payload))
	switch route(topic) {
	case "frame":
		return f.frame(payload)
	case "test":
		return f.command(payload)
	case "stop":
		// The stop is made, and never run.
		return f.state("stopped", false, map[string]any{"reason": "emergency_stop_command"})
	}
	return nil
}

// frame writes ticks to servos as they are. Neither queue nor latch nor the position table know of it.
func (f *firmware) frame(payload []byte) error {
	var m map[string]any
	if err := json.Unmarshal(payload, &m); err != nil {
		return nil //nolint:nilerr // printed by the firmware, and forgotten
	}
	f.lastFrame = f.now
	n := 0
	f.servos(func(pwm *[Channels]int) {
		for k, v := range m {
			name, ok := strings.CutPrefix(k, "ch")
			if !ok {
				continue
			}
			n++
			ch, err := strconv.Atoi(name)
			ticks, isNumber := v.(float64)
			if err == nil && isNumber && ch >= 0 && ch < Channels {
				pwm[ch] = int(ticks) & 0xfff
			}
		}
	})
	return f.state("frame_applied", false, map[string]any{"channels": n})
}

// commands are what the validator lets pass.
var commands = []string{
	"reset", "step_forward", "step_backward", "turn_left", "turn_right", "wave", "laugh", "swing_legs", "pezz", "pezz_dispenser",
	"now", "balance", "mic_drop", "monster", "pose", "bow", "disable", "stop", "move_legs", "move_arm",
}

// parse validates a command.
func parse(payload []byte) (Command, error) {
	var m map[string]any
	if err := json.Unmarshal(payload, &m); err != nil || m == nil {
		return Command{}, errors.New("no JSON object")
	}
	c := Command{Speed: 1, Params: map[string]any{}, RequestID: m["request_id"]}
	c.Name, _ = m["command"].(string)
	if !slices.Contains(commands, c.Name) {
		return c, fmt.Errorf("no command %q", c.Name)
	}
	if v, there := m["speed"]; there {
		speed, ok := v.(float64)
		if !ok || speed < 0.1 || speed > 1 {
			return c, errors.New("speed")
		}
		c.Speed = speed
	}
	if v, there := m["params"]; there {
		params, ok := v.(map[string]any)
		if !ok {
			return c, errors.New("params")
		}
		c.Params = params
	}
	return c, nil
}

func (f *firmware) command(payload []byte) error {
	c, err := parse(payload)
	if err != nil {
		return f.state("command_error", false, map[string]any{"error": "invalid_format_or_validation_failed"})
	}
	size := 0
	f.d.change(func(s *State) {
		if !s.Latched { // dropped otherwise, and reported all the same
			s.Queue = append(s.Queue, c)
		}
		size = len(s.Queue)
	})
	return f.state("command_queued", false, map[string]any{"command": c.Name, "speed": c.Speed, "queue_size": size})
}
