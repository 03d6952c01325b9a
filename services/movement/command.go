package movement

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement/drive"
	"github.com/tarsd/tarsd/services/movement/plan"
)

// Why a message is no command, although its form is right.
var (
	errRetained = fmt.Errorf("%w: it was retained", plan.ErrRefused)
	errStale    = fmt.Errorf("%w: it is too old", plan.ErrRefused)
)

// asked is a command as it was asked for.
type asked struct {
	id, name, source string
	speed            float64
	params           contract.Object
	turn             client.Turn
}

// onStop is the emergency stop. Whatever the payload is, it stops.
func (r *run) onStop(ctx context.Context, m client.RawMessage) error {
	reason := "emergency_stop"
	if msg, err := contract.MovementStop.Decode(m.Payload); err == nil {
		if id := msg.Data.MessageID; id != "" && r.own.has(id) {
			return nil // what we repeat for the device
		}
		if s := contract.Value(msg.Data.Reason); s != "" {
			reason = s
		}
	}
	r.stop(client.TurnOf(ctx), reason, nil)
	return nil
}

// stop stops everything. The servos are told before anything is said.
func (r *run) stop(turn client.Turn, reason string, requestID *string) {
	t0 := time.Now()
	if r.dev != nil {
		r.dev.disturb()
	}
	r.engine.Stop(reason)
	r.log.Warn().Str("turn", turn.ID).Str("reason", reason).Dur("took", time.Since(t0)).Msg("emergency stop")
	r.status(turn, contract.MovementUpdate{Event: "emergency_stop", Detail: &reason, RequestID: requestID})
}

// onResume lifts the stop.
func (r *run) onResume(ctx context.Context, m client.Message[contract.ResumeMovement]) error {
	<-r.settled
	err := r.fresh(m.Retained, m.TS, m.Data.Timestamp)
	if err == nil {
		err = r.engine.Resume()
	}
	u := contract.MovementUpdate{Event: "stop_cleared", RequestID: m.Data.RequestID}
	if err != nil {
		u.Event, u.Detail = "command_failed", new("resume: "+err.Error())
	}
	r.log.Info().Ctx(ctx).Err(err).Msg("resume")
	r.status(client.TurnOf(ctx), u)
	return nil
}

// onTest takes the commands of movement/test.
func (r *run) onTest(ctx context.Context, m client.RawMessage) error {
	<-r.settled
	msg, err := contract.MovementTest.Decode(m.Payload)
	turn := client.TurnOf(ctx)
	if r.dev != nil && !m.Retained {
		if r.dev.overheard(turn, m, msg, err) {
			return nil // the device has got it too: its answer says whose it is
		}
	}
	return r.take(turn, m, msg, err)
}

// take carries a command of movement/test out, or says why not.
func (r *run) take(turn client.Turn, m client.RawMessage, msg contract.Message[contract.TestMovement], err error) error {
	a := asked{id: contract.Value(msg.Data.RequestID), name: msg.Data.Command, source: msg.Source, speed: msg.Data.Speed, params: msg.Data.Params}
	a.fill(turn, msg.Envelope, msg.Bare)
	if err == nil {
		err = r.fresh(m.Retained, msg.TS, msg.Data.Timestamp)
	}
	if err == nil && !msg.Bare && msg.ID != "" && !r.done.add(m.Topic+msg.ID) {
		return nil // a repeat
	}
	if err != nil {
		a.guess(m.Payload)
		return r.refuse(a, err)
	}
	if a.name == plan.StopCommand {
		r.stop(turn, "stop", &a.id)
		return nil
	}
	move, err := plan.Command(a.name, a.params)
	if err != nil {
		return r.refuse(a, err)
	}
	return r.submit(a, move, r.dev != nil && r.dev.native(a.name))
}

// onCommand takes the actions of movement/command.
func (r *run) onCommand(ctx context.Context, m client.RawMessage) error {
	<-r.settled
	msg, err := contract.MovementCommand.Decode(m.Payload)
	a := asked{id: msg.Data.ID, name: msg.Data.Command, source: msg.Source, speed: plan.SpeedMax, params: msg.Data.Params}
	a.fill(client.TurnOf(ctx), msg.Envelope, msg.Bare)
	if err == nil {
		err = r.fresh(m.Retained, msg.TS, msg.Data.Timestamp)
	}
	if err == nil && !msg.Bare && msg.ID != "" && !r.done.add(m.Topic+msg.ID) {
		return nil
	}
	var move plan.Move
	if err == nil {
		move, err = plan.Action(a.name, a.params)
	}
	if err != nil {
		a.guess(m.Payload)
		return r.refuse(a, err)
	}
	return r.submit(a, move, false)
}

// fill gives a request its identity: its own, or that of its envelope, or a new one.
func (a *asked) fill(turn client.Turn, e contract.Envelope, bare bool) {
	if a.id == "" {
		a.id = e.ID
	}
	if a.id == "" {
		a.id = "mv-" + client.NewID()[:8]
	}
	a.turn = turn
	if a.turn.ID == "" && !bare {
		a.turn.ID = e.ID
	}
}

// hints are the keys of a message that say who asks for what.
type hints struct {
	RequestID json.RawMessage `json:"request_id"`
	ID        json.RawMessage `json:"id"`
	Command   json.RawMessage `json:"command"`
	Data      json.RawMessage `json:"data"`
}

// guess finds what a message that does not decode says about itself, for the answer.
func (a *asked) guess(payload []byte) {
	var top, in hints
	if len(payload) > 1<<16 || json.Unmarshal(payload, &top) != nil {
		return
	}
	if json.Unmarshal(top.Data, &in) != nil {
		in = hints{}
	}
	first := func(to *string, all ...json.RawMessage) {
		for _, raw := range all {
			if s := text(raw); s != "" {
				*to = s
				return
			}
		}
	}
	first(&a.id, top.RequestID, in.RequestID, in.ID, top.ID)
	first(&a.name, top.Command, in.Command)
}

// text is a short JSON string or number as text.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		var f float64
		if json.Unmarshal(raw, &f) != nil {
			return ""
		}
		s = strconv.FormatFloat(f, 'f', -1, 64)
	}
	return s[:min(len(s), 128)]
}

// fresh refuses what may be a leftover: retained, or with a time stamp of before.
func (r *run) fresh(retained bool, stamps ...float64) error {
	if retained {
		return errRetained
	}
	for _, ts := range stamps {
		// Small numbers are the seconds since power-on of a device without a clock.
		if ts > 1e9 && now()-ts > r.o.MaxAge.Seconds() {
			return errStale
		}
	}
	return nil
}

// submit hands a move to the engine.
func (r *run) submit(a asked, move plan.Move, native bool) error {
	if why := r.refusal(); why != "" {
		return r.refuse(a, errors.New(why))
	}
	by := byFrames
	if native {
		by = byDevice
	}
	e := r.hist.add(&entry{id: a.id, command: a.name, turn: a.turn, silent: native}, a.speed, a.source, by)
	err := r.engine.Submit(drive.Request{
		ID: a.id, Name: a.name, Speed: a.speed, Move: move, Native: native, Tag: &task{entry: e, params: a.params, source: a.source},
	})
	if err != nil {
		r.fail(e, err)
	}
	return nil
}

// refuse answers a command that nobody carries out.
func (r *run) refuse(a asked, err error) error {
	r.fail(r.hist.add(&entry{id: a.id, command: a.name, turn: a.turn}, max(min(a.speed, 1), 0), a.source, byFrames), err)
	return nil
}

// fail says that a request came to nothing before it began.
func (r *run) fail(e *entry, err error) {
	detail := err.Error()
	r.log.Info().Str("turn", e.turn.ID).Str("command", e.command).Str("request", e.id).Err(err).Msg("command refused")
	e.note("failed", fromHost, "failed", detail)
	event := "command_failed"
	if errors.Is(err, drive.ErrQueueFull) {
		event = "queue_full"
	}
	r.state(e.turn, e.id, "failed", nil, detail)
	r.status(e.turn, contract.MovementUpdate{Event: event, Command: &e.command, Detail: &detail, RequestID: &e.id})
}

// onManual takes manual control.
func (r *run) onManual(ctx context.Context, m client.Message[contract.ManualMovement]) error {
	<-r.settled
	who := contract.Value(m.Data.Control)
	if who == "" {
		who = "manual"
	}
	if err := r.fresh(m.Retained, m.TS, m.Data.TS); err != nil || r.refusal() != "" {
		return err
	}
	r.mu.Lock()
	old := r.ctl == who && m.Data.Seq <= r.seq && r.engine.State().Manual == who
	if !old {
		r.ctl, r.seq = who, m.Data.Seq
	}
	cal := r.cal
	r.mu.Unlock()
	if old {
		return nil
	}
	var target plan.Pose
	for name, percent := range m.Data.Joints {
		if j, ok := plan.JointNamed(name); ok {
			target[j] = cal[j].Ticks(float64(percent))
		}
	}
	e := &entry{id: who, command: drive.ManualName, turn: client.TurnOf(ctx)}
	err := r.engine.Manual(drive.Setpoint{
		ID: who, Target: target, Speed: m.Data.Speed, Release: m.Data.Release,
		Hold: time.Duration(m.Data.HoldMS) * time.Millisecond, Tag: &task{entry: e, source: m.Source},
	})
	if err != nil && r.scold() {
		r.status(e.turn, contract.MovementUpdate{Event: "command_failed", Command: &e.command, Detail: new(err.Error()), RequestID: &who})
	}
	return nil
}

// scold reports whether a refused setpoint is answered: they come many times a second.
func (r *run) scold() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.scolded) < time.Second {
		return false
	}
	r.scolded = time.Now()
	return true
}
