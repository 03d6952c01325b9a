package movement

import (
	"context"
	"errors"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement/drive"
	"github.com/tarsd/tarsd/services/movement/plan"
	"github.com/tarsd/tarsd/services/movement/sim"
)

// task is what a request of the engine carries for us.
type task struct {
	entry  *entry
	params contract.Object
	source string
}

// event tells what became of a request: on movement/state in the host's words, on movement/status
// in the firmware's unless the device does that, and in the history.
func (r *run) event(ev drive.Event) {
	t, ok := ev.Request.Tag.(*task)
	if !ok {
		return
	}
	e := t.entry
	detail := ""
	if ev.Err != nil {
		detail = ev.Err.Error()
	}
	switch ev.Kind {
	case drive.Queued:
		if ev.Request.Name == drive.ManualName {
			r.hist.add(e, ev.Request.Speed, t.source, byFrames)
		}
		e.note("queued", fromHost, "queued", "")
		return
	case drive.FrameSent:
		e.frame()
		r.state(e.turn, e.id, string(ev.Kind), &ev.Seq, "")
		return
	case drive.Started, drive.Completed, drive.Failed, drive.Cancelled:
		e.note(string(ev.Kind), fromHost, string(ev.Kind), detail)
		r.state(e.turn, e.id, string(ev.Kind), nil, detail)
	}
	u := contract.MovementUpdate{Command: &e.command, RequestID: &e.id}
	switch ev.Kind {
	case drive.Started:
		u.Event = "command_started"
	case drive.Completed:
		u.Event = "command_completed"
	case drive.Failed:
		u.Event, u.Detail = "command_failed", &detail
	default:
		u.Event, u.Detail = "command_failed", new("cancelled: "+detail)
	}
	// Of a native run the device tells itself, unless it has fallen silent or was never asked.
	if !e.silent || ev.Kind == drive.Cancelled || ev.Kind == drive.Failed && !errors.Is(ev.Err, errDevice) {
		r.status(e.turn, u)
	}
}

// status says something on movement/status.
func (r *run) status(turn client.Turn, u contract.MovementUpdate) {
	r.say(turn, func(ctx context.Context) error {
		_, err := client.Publish(ctx, r.bus, contract.MovementStatus, u)
		return err
	})
}

// state says something on movement/state.
func (r *run) state(turn client.Turn, id, event string, seq *int, detail string) {
	m := contract.MovementReport{ID: &id, Event: event, Seq: seq}
	if detail != "" {
		m.Detail = &detail
	}
	r.say(turn, func(ctx context.Context) error {
		_, err := client.Publish(ctx, r.bus, contract.MovementState, m, client.WithExpiry(time.Minute))
		return err
	})
}

// say hands a publish to the one goroutine that makes them, so that they keep their order and the
// engine waits for none. When too many wait, it is dropped.
func (r *run) say(turn client.Turn, publish func(context.Context) error) {
	f := func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(client.WithTurn(ctx, turn), time.Second)
		defer cancel()
		if err := publish(ctx); err != nil && ctx.Err() == nil {
			r.log.Debug().Ctx(ctx).Err(err).Msg("not published")
		}
	}
	select {
	case r.out <- f:
	default:
		r.log.Warn().Str("turn", turn.ID).Msg("too much to say: a message about motion is dropped")
	}
}

// talk publishes what say was given.
func (r *run) talk(ctx context.Context) {
	for {
		select {
		case f := <-r.out:
			f(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// reportEvery is the least time between two retained reports.
const reportEvery = 200 * time.Millisecond

// report keeps the retained topics up to date, and publishes one only when it says something new.
func (r *run) report(ctx context.Context) {
	var info contract.MotionInfo
	var told []contract.MotionRequest
	first := true
	for {
		select {
		case <-r.changed:
		case <-ctx.Done():
			return
		}
		select { // what was retained before us is read before it is replaced
		case <-r.settled:
		case <-ctx.Done():
			return
		}
		if i := r.info(); first || !same(i, info) {
			r.publish(ctx, func(ctx context.Context) error {
				_, err := client.Publish(ctx, r.bus, contract.MovementInfo, i)
				return err
			})
			info = i
		}
		if reqs := r.hist.requests(); first || !same(reqs, told) {
			r.publish(ctx, func(ctx context.Context) error {
				_, err := client.Publish(ctx, r.bus, contract.MovementHistory, contract.MotionHistory{Requests: reqs})
				return err
			})
			told = reqs
		}
		first = false
		if !pause(ctx, reportEvery) {
			return
		}
	}
}

func (r *run) publish(ctx context.Context, f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := f(ctx); err != nil && ctx.Err() == nil {
		r.log.Debug().Ctx(ctx).Err(err).Msg("not published")
	}
}

// info is what movement/info says now.
func (r *run) info() contract.MotionInfo {
	s := r.engine.State()
	i := contract.MotionInfo{
		Backend: string(r.o.Backend), Ready: true, Confirmed: s.Confirmed, Queue: s.Waiting, QueueLimit: s.Limit, FrameHz: servoHz,
	}
	if r.dev != nil {
		i.FrameHz = deviceHz
	}
	why := r.refusal()
	if s.Stopped != "" {
		i.Stopped = &s.Stopped
		why = drive.ErrStopped.Error()
	}
	if s.Manual != "" {
		i.Manual = &s.Manual
	}
	if why == "" && s.Err != nil {
		why = s.Err.Error()
	}
	if why != "" {
		i.Ready, i.Reason = false, &why
	}
	if s.Current != nil {
		i.Command, i.RequestID = &s.Current.Name, &s.Current.ID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i.Joints = jointInfos(r.cal)
	return i
}

// jointsEvery is the time between two messages on movement/joints while something moves: 25 a second.
const jointsEvery = 40 * time.Millisecond

// joints publishes where the joints are: while something moves, and once more when it has ended.
// Our own subscription to them is the proof that the broker is there.
func (r *run) joints(ctx context.Context) {
	turn := context.WithoutCancel(ctx)
	was := true
	for {
		s := r.engine.State()
		moves := s.Current != nil
		if moves || was {
			j := r.posture(s)
			pctx, cancel := context.WithTimeout(turn, jointsEvery)
			if _, err := client.Publish(pctx, r.bus, contract.MovementJoints, j); err != nil {
				r.log.Trace().Err(err).Msg("joints not published")
			}
			cancel()
		}
		was = moves
		if moves {
			if !pause(ctx, jointsEvery) {
				return
			}
			continue
		}
		select {
		case <-r.moving:
			was = true
		case <-ctx.Done():
			return
		}
	}
}

// posture is what movement/joints says.
func (r *run) posture(s drive.State) contract.Joints {
	r.mu.Lock()
	cal := r.cal
	r.mu.Unlock()
	j := contract.Joints{Ticks: s.Pose[:], Moving: s.Current != nil, Stopped: s.Stopped != ""}
	if s.Current != nil {
		j.Command = &s.Current.Name
	}
	a := sim.Angles(cal, s.Last)
	for i := range plan.Joints {
		j.Degrees = append(j.Degrees, float64(int(a[i]*10))/10)
	}
	j.LiftMM = float64(int(sim.Lift(a[plan.Height])*10)) / 10
	return j
}

// onJoints hears our own joints.
func (r *run) onJoints(context.Context, client.Message[contract.Joints]) error {
	r.heard.Store(time.Now().UnixNano())
	return nil
}

// onStatus hears of low batteries.
func (r *run) onStatus(ctx context.Context, m client.Message[contract.MovementUpdate]) error {
	if m.Data.Event == "battery_low" {
		r.stop(client.TurnOf(ctx), "battery_low", nil)
	}
	return nil
}

// onInfo finds an emergency stop of before in what was retained.
func (r *run) onInfo(ctx context.Context, m client.Message[contract.MotionInfo]) error {
	if m.Retained && m.Data.Stopped != nil {
		select {
		case <-r.settled: // our own, after a reconnect
		default:
			r.log.Warn().Ctx(ctx).Str("reason", *m.Data.Stopped).Msg("still stopped")
			r.engine.Stop(*m.Data.Stopped)
		}
	}
	r.settle.Do(func() { close(r.settled) })
	return nil
}

// pause waits; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
