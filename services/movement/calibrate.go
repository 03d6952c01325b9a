package movement

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement/plan"
	"github.com/tarsd/tarsd/services/movement/sim"
)

// onCalibrate changes the calibration in force, or moves a joint to see what it is like.
func (r *run) onCalibrate(ctx context.Context, m client.RawMessage) error {
	<-r.settled
	msg, err := contract.MovementCalibrate.Decode(m.Payload)
	d := msg.Data
	a := asked{id: contract.Value(d.RequestID), name: "calibrate", source: msg.Source, speed: 0.3}
	a.fill(client.TurnOf(ctx), msg.Envelope, msg.Bare)
	if err == nil {
		err = r.fresh(m.Retained, msg.TS, d.Timestamp)
	}
	if err == nil && !msg.Bare && msg.ID != "" && !r.done.add(m.Topic+msg.ID) {
		return nil
	}
	if err != nil {
		a.guess(m.Payload)
		a.name = "calibrate"
		return r.refuse(a, err)
	}
	r.mu.Lock()
	cal := r.cal
	r.mu.Unlock()
	j, _ := plan.JointNamed(contract.Value(d.Joint))
	switch d.Action {
	case "move":
		ticks := contract.Value(d.Ticks)
		if ticks < cal[j].Min || ticks > cal[j].Max {
			return r.refuse(a, fmt.Errorf("%w: %d is not from %d to %d, the limits of %s", plan.ErrRefused, ticks, cal[j].Min, cal[j].Max, j))
		}
		return r.submit(a, plan.Move{Name: a.name, Steps: []plan.Step{{Pulse: map[plan.Joint]int{j: ticks}}}}, false)
	case "test":
		move, err := plan.Command("test_joint", map[string]any{"joint": j.String()})
		if err != nil {
			return r.refuse(a, err)
		}
		return r.submit(a, move, false)
	}
	e := r.hist.add(&entry{id: a.id, command: a.name, turn: a.turn}, 0, a.source, byFrames)
	if err := r.adjust(ctx, d, j, cal); err != nil {
		r.fail(e, err)
		return nil
	}
	e.note("completed", fromHost, "completed", "")
	r.status(e.turn, contract.MovementUpdate{Event: "command_completed", Command: &e.command, Detail: &d.Action, RequestID: &e.id})
	return nil
}

// adjust carries out set, save and reset. What is in force changes only when all of it is right.
func (r *run) adjust(ctx context.Context, d contract.Calibrate, j plan.Joint, cal plan.Calibration) error {
	switch d.Action {
	case "set":
		s := &cal[j]
		ticks := contract.Value(d.Ticks)
		hard := r.o.Calibration[j]
		if ticks < hard.Min || ticks > hard.Max {
			return fmt.Errorf("%w: %d is not from %d to %d, the configured limits of %s", plan.ErrRefused, ticks, hard.Min, hard.Max, j)
		}
		switch contract.Value(d.Position) {
		case "min":
			s.Min = ticks
		case "max":
			s.Max = ticks
		case "rest":
			s.Neutral = ticks
		case "low":
			s.Low = ticks
		case "high":
			s.High = ticks
		}
		if s.Min < s.Max { // narrower limits take the positions with them
			s.Neutral, s.Low, s.High = s.Clamp(s.Neutral), s.Clamp(s.Low), s.Clamp(s.High)
		}
		if err := cal.Validate(); err != nil {
			return fmt.Errorf("%w: %w", plan.ErrRefused, err)
		}
		r.calibrate(cal)
	case "save":
		_, err := client.Publish(ctx, r.bus, contract.MovementCalibration, contract.MotionCalibration{Joints: jointInfos(cal)})
		return err
	case "reset":
		r.calibrate(*r.o.Calibration)
		_, err := r.bus.PublishRaw(ctx, contract.MovementCalibration.Name, nil, 1, true)
		return err
	default:
		return errors.New("unknown action")
	}
	return nil
}

// calibrate puts a calibration in force.
func (r *run) calibrate(cal plan.Calibration) {
	r.mu.Lock()
	r.cal = cal
	r.mu.Unlock()
	r.engine.Calibrate(cal)
	r.poke()
}

// onSaved takes the calibration that was saved, as far as the configuration allows it: its limits
// and channels are the last word.
func (r *run) onSaved(ctx context.Context, m client.RawMessage) error {
	if !m.Retained || len(m.Payload) == 0 {
		return nil // our own, when it is saved or forgotten
	}
	msg, err := contract.MovementCalibration.Decode(m.Payload)
	if err != nil {
		return err
	}
	cal := *r.o.Calibration
	for _, info := range msg.Data.Joints {
		j, ok := plan.JointNamed(info.Name)
		if !ok {
			continue
		}
		hard := cal[j]
		s := plan.Servo{Channel: hard.Channel, Min: max(info.Min, hard.Min), Max: min(info.Max, hard.Max)}
		if s.Min >= s.Max {
			continue
		}
		s.Neutral, s.Low, s.High = s.Clamp(info.Rest), s.Clamp(info.Low), s.Clamp(info.High)
		cal[j] = s
	}
	if err := cal.Validate(); err != nil {
		r.log.Warn().Ctx(ctx).Err(err).Msg("saved calibration is not used")
		return nil
	}
	r.calibrate(cal)
	return nil
}

// jointInfos is a calibration as topics have it.
func jointInfos(cal plan.Calibration) []contract.JointInfo {
	out := make([]contract.JointInfo, 0, plan.Joints)
	for j, s := range cal {
		out = append(out, contract.JointInfo{
			Name: plan.Joint(j).String(), Channel: s.Channel, Min: s.Min, Max: s.Max, Rest: s.Neutral, Low: s.Low, High: s.High,
			Degrees: sim.Degrees(s),
		})
	}
	return out
}

// same compares two reports.
func same(a, b any) bool { return reflect.DeepEqual(a, b) }
