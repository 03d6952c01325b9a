package movement

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement/plan"
)

// pump sends frames to the device: the newest, and one at a time.
func (d *device) pump(ctx context.Context) {
	for {
		select {
		case <-d.wake:
		case <-ctx.Done():
			return
		}
		for {
			frame, stop, ok := d.next()
			if !ok {
				break
			}
			d.send(ctx, frame, stop)
		}
	}
}

// next is the frame to send now, if there is one, and whether movement/stop goes with it.
func (d *device) next() (frame contract.Frame, stop, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	waits := !d.frameAt.IsZero() && time.Since(d.frameAt) < frameWithin
	switch {
	case !d.present:
		return frame, false, false
	case d.halt && (!waits || !d.frameOff): // "off" does not wait for the frame of a move
		d.halt = false
		d.frameAt, d.frameOff = time.Now(), true
		stop = time.Since(d.stopAt) > time.Second
		if stop {
			d.stopAt = time.Now()
		}
		off := map[int]int{}
		for ch := range plan.Channels {
			off[ch] = 0
		}
		return contract.TicksOf(off), stop, true
	case d.dirty && !waits:
		d.dirty = false
		d.frameAt, d.frameOff = time.Now(), false
		pulses := map[int]int{}
		for j, t := range d.want {
			if t != 0 { // a joint that is off stays so; 0 is said by Off alone
				pulses[d.r.o.Calibration[j].Channel] = t
			}
		}
		return contract.TicksOf(pulses), false, true
	}
	return frame, false, false
}

// send publishes a frame, which is worth nothing a moment later. The firmware's own stop does not
// stop, but a better one might, so it is told as well.
func (d *device) send(ctx context.Context, frame contract.Frame, stop bool) {
	ctx, cancel := context.WithTimeout(ctx, frameWithin)
	defer cancel()
	if _, err := client.Publish(ctx, d.r.bus, contract.MovementFrame, frame, client.WithExpiry(frameWithin)); err != nil && ctx.Err() == nil {
		d.r.log.Debug().Err(err).Msg("frame not published")
	}
	if !stop {
		return
	}
	id := client.NewID()
	d.r.own.add(id)
	m := contract.StopMovement{MessageID: id, Reason: new("repeated")}
	if _, err := client.Publish(ctx, d.r.bus, contract.MovementStop, m, client.WithExpiry(frameWithin)); err != nil && ctx.Err() == nil {
		d.r.log.Debug().Err(err).Msg("stop not published")
	}
}

// applied is the device's word for a frame with so many channels.
func (d *device) applied(channels int) {
	if channels == 0 {
		return // a sign of life that the broker asked for
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	off := channels == plan.Channels
	d.applies = !off
	if off && d.frameOff && len(d.jobs) == 0 && d.frameAt.After(d.busy.Add(quietFor)) {
		d.halted = true
	}
	if off == d.frameOff {
		d.frameAt = time.Time{}
	}
	d.poke()
}

// onBus hears everything that was said to the device and by it, in the order in which it was said.
func (d *device) onBus(ctx context.Context, m client.RawMessage) error {
	switch m.Topic {
	case contract.MovementTest.Name:
		return d.r.onTest(ctx, m)
	case contract.MovementState.Name:
		msg, err := contract.MovementState.Decode(m.Payload)
		if err != nil {
			return err
		}
		d.onState(msg, m.Retained)
	case contract.MovementStatus.Name:
		msg, err := contract.MovementStatus.Decode(m.Payload)
		if err != nil {
			return err
		}
		if msg.Bare && !m.Retained {
			d.onStatus(msg.Data)
		}
	}
	return nil
}

// onState hears what the device does with what it got.
func (d *device) onState(m contract.Message[contract.MovementReport], retained bool) {
	if !m.Bare || retained {
		return // ours, or its boot, some time ago
	}
	switch m.Data.Event {
	case "firmware_online", "ready":
		d.booted()
		return
	case "shutdown":
		d.gone("shutdown")
		return
	}
	d.alive()
	switch m.Data.Event {
	case "command_queued":
		command, _ := m.Data.More["command"].(string)
		if j := d.accept(command); j != nil && j.entry != nil {
			j.entry.note(m.Data.Event, fromDevice, "", "")
		}
	case "frame_applied":
		n, _ := m.Data.More["channels"].(float64)
		d.applied(int(n))
	}
}

// accept is the job that the device has put into its queue: the oldest of that name.
func (d *device) accept(command string) *job {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range d.jobs {
		if j.command == command && !j.accepted {
			j.accepted = true
			return j
		}
	}
	return nil
}

// onStatus hears how the device's jobs go.
func (d *device) onStatus(u contract.MovementUpdate) {
	d.alive()
	if u.Event == "emergency_stop" {
		d.mu.Lock()
		d.latched = true
		d.mu.Unlock()
		return
	}
	j := d.job(u)
	if j == nil {
		return
	}
	switch u.Event {
	case "command_started":
		d.mu.Lock()
		j.accepted = true
		d.mu.Unlock()
		if j.entry != nil {
			j.entry.note(u.Event, fromDevice, "started", "")
			d.r.state(j.entry.turn, j.entry.id, "started", nil, "")
		}
	case "command_completed":
		d.finish(j, u.Event, nil)
	case "command_failed":
		d.finish(j, u.Event, fmt.Errorf("%w: %s", errDevice, contract.Value(u.Detail)))
	}
}

// job finds what a status is about: by its request, or else the oldest of that name.
func (d *device) job(u contract.MovementUpdate) *job {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, name := contract.Value(u.RequestID), contract.Value(u.Command)
	i := slices.IndexFunc(d.jobs, func(j *job) bool { return j.command == name && j.requestID == id })
	if i < 0 {
		return nil
	}
	return d.jobs[i]
}

// overheard deals with a message on movement/test that the device has got as well. It reports
// whether there is nothing left to do for us. m is the decoded form, unless err says why not.
func (d *device) overheard(ctx context.Context, payload []byte, m *contract.Message[contract.TestMovement], err error) bool {
	name, id, runs := firmwareReads(payload)
	d.mu.Lock()
	if err == nil && m.Bare {
		if _, ok := d.echoes[m.Data.MessageID]; ok {
			delete(d.echoes, m.Data.MessageID)
			d.mu.Unlock()
			return true
		}
	}
	if !runs || !d.present || len(d.jobs) >= maxJobs {
		d.mu.Unlock()
		return false
	}
	j := &job{command: name, requestID: id, deadline: time.Now().Add(slack + slowness*20*time.Second)}
	if firmwareRuns(name) {
		a := asked{id: id, name: name, speed: plan.SpeedMax}
		if err == nil {
			a.speed = m.Data.Speed
		}
		a.fill(ctx, contract.Envelope{}, true)
		j.entry = d.r.hist.add(&entry{id: a.id, command: name, turn: a.turn}, a.speed, "", byDevice)
	}
	d.jobs = append(d.jobs, j)
	d.halted = false
	d.mu.Unlock()
	switch {
	case name == plan.StopCommand:
		d.r.stop(ctx, "stop", &id)
		return true
	case j.entry == nil:
		return false // it is bound to fail there, and we carry it out
	case d.r.engine.Stopped():
		d.r.stop(ctx, errWhileStop.Error(), &j.entry.id)
	}
	return true
}

// firmwareReads is what the firmware makes of a message: its rules are laxer than the contract's.
func firmwareReads(payload []byte) (name, requestID string, runs bool) {
	var m map[string]any
	if len(payload) > 1<<16 || json.Unmarshal(payload, &m) != nil || m == nil {
		return "", "", false
	}
	name, _ = m["command"].(string)
	if known, ok := contract.MoveNamed(name); !ok || !known.Firmware {
		return "", "", false
	}
	if v, ok := m["speed"]; ok {
		if f, ok := v.(float64); !ok || f < plan.SpeedMin || f > plan.SpeedMax {
			return "", "", false
		}
	}
	if v, ok := m["params"]; ok {
		if _, ok := v.(map[string]any); !ok {
			return "", "", false
		}
	}
	raw, err := json.Marshal(m["request_id"])
	if err != nil {
		return name, "", true
	}
	return name, text(raw), true
}
