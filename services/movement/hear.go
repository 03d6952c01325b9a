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
		d.taken(command)
	case "command_error":
		d.rejected()
	case "frame_applied":
		n, _ := m.Data.More["channels"].(float64)
		d.applied(int(n))
	}
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
	i := slices.IndexFunc(d.jobs, func(j *job) bool { return j.command == name && (j.requestID == id || id == "") })
	if i < 0 {
		return nil
	}
	return d.jobs[i]
}

// arrival is a message on movement/test that the device has got and not answered. Whether it takes
// one in an envelope depends on the broker, which may take that off: its answer tells.
type arrival struct {
	name, id string
	runs     bool // the firmware takes it, at least without the envelope
	bare     bool
	ours     bool
	at       time.Time
	turn     client.Turn
	raw      client.RawMessage
	msg      contract.Message[contract.TestMovement]
	err      error // why msg is nothing
}

// overheard notes a message on movement/test that the device has got as well. It reports whether
// the device is there to answer it; until then nobody carries it out.
func (d *device) overheard(turn client.Turn, raw client.RawMessage, m contract.Message[contract.TestMovement], err error) bool {
	a := arrival{at: time.Now(), turn: turn, raw: raw, msg: m, err: err, bare: err != nil || m.Bare}
	a.name, a.id, a.runs = firmwareReads(raw.Payload)
	if !a.runs && err == nil && !m.Bare {
		a.name, a.id = m.Data.Command, contract.Value(m.Data.RequestID)
		known, ok := contract.MoveNamed(a.name)
		a.runs = ok && known.Firmware
	}
	d.mu.Lock()
	if err == nil && m.Bare {
		_, a.ours = d.echoes[m.Data.MessageID]
		delete(d.echoes, m.Data.MessageID)
	}
	takes := d.present && len(d.arrivals) < maxJobs && len(d.jobs) < maxJobs
	if takes {
		d.arrivals = append(d.arrivals, a)
		if a.runs {
			d.halted = false
		}
	}
	d.mu.Unlock()
	switch {
	case a.ours:
		return true
	case !takes:
		return false
	case a.runs && a.name == plan.StopCommand:
		d.r.stop(turn, "stop", &a.id)
	case a.runs && d.r.engine.Stopped():
		d.r.stop(turn, errWhileStop.Error(), &a.id)
	}
	return true
}

// taken deals with the device's word that a command is in its queue.
func (d *device) taken(command string) {
	d.mu.Lock()
	i := slices.IndexFunc(d.arrivals, func(a arrival) bool { return a.runs && a.name == command })
	if i < 0 {
		d.mu.Unlock()
		return
	}
	a, missed := d.arrivals[i], slices.Clone(d.arrivals[:i])
	d.arrivals = d.arrivals[i+1:]
	d.tell()
	defer d.giveUp(missed) // it answers in order
	if a.ours {
		for _, j := range d.jobs {
			if j.done != nil && j.requestID == a.id {
				j.accepted = true
				j.entry.note("command_queued", fromDevice, "", "")
			}
		}
		d.mu.Unlock()
		return
	}
	j := &job{command: command, requestID: a.id, accepted: true, deadline: time.Now().Add(slack + slowness*20*time.Second)}
	if firmwareRuns(command) {
		q := asked{id: a.id, name: command, source: a.msg.Source, speed: max(a.msg.Data.Speed, plan.SpeedMin)}
		q.fill(a.turn, a.msg.Envelope, a.bare)
		j.entry = d.r.hist.add(&entry{id: q.id, command: command, turn: q.turn}, q.speed, q.source, byDevice)
		j.entry.note("command_queued", fromDevice, "", "")
	}
	d.jobs = append(d.jobs, j)
	d.mu.Unlock()
	if j.entry == nil && command != plan.StopCommand {
		_ = d.r.take(a.turn, a.raw, a.msg, a.err) // it is bound to fail there, so we carry it out
	}
}

// rejected deals with the device's word that it does not take a message: then it is ours.
func (d *device) rejected() {
	d.mu.Lock()
	// It answers in order. By frames, a broker may keep all commands from it; otherwise it does not refuse
	// one that it runs: the answer to that is missing.
	i := slices.IndexFunc(d.arrivals, func(a arrival) bool { return d.r.o.Frames || !a.runs || !a.bare })
	if i < 0 {
		d.mu.Unlock()
		return
	}
	a := d.arrivals[i]
	d.arrivals = slices.Delete(d.arrivals, i, i+1)
	d.tell()
	d.mu.Unlock()
	if a.name == plan.StopCommand && a.runs {
		return // done already
	}
	_ = d.r.take(a.turn, a.raw, a.msg, a.err)
}

// unanswered refuses what the device has not answered in time.
func (d *device) unanswered() {
	d.mu.Lock()
	var late []arrival
	d.arrivals = slices.DeleteFunc(d.arrivals, func(a arrival) bool {
		old := time.Since(a.at) > answerWithin
		if old {
			late = append(late, a)
		}
		return old
	})
	if len(late) > 0 {
		d.tell()
	}
	d.mu.Unlock()
	d.giveUp(late)
}

// giveUp answers what the device did not.
func (d *device) giveUp(late []arrival) {
	for _, a := range late {
		if a.ours {
			continue // who sent it waits for an answer as well
		}
		if a.err != nil || !a.runs {
			_ = d.r.take(a.turn, a.raw, a.msg, a.err) // it never was the device's
			continue
		}
		q := asked{id: a.id, name: a.name, source: a.msg.Source}
		q.fill(a.turn, a.msg.Envelope, a.bare)
		_ = d.r.refuse(q, errMute)
	}
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
