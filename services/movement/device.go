package movement

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement/drive"
	"github.com/tarsd/tarsd/services/movement/plan"
)

var _ drive.Driver = (*device)(nil)

// What the device may take. Its program looks at the network ten times a second at best, runs its
// moves at a quarter of the speed that they are written for, and blinks after each message.
const (
	answerWithin = 5 * time.Second        // to say that it has a command in its queue
	frameWithin  = time.Second            // to say that it has applied a frame
	quietFor     = 500 * time.Millisecond // after its last move, before "off" is believed
	slowness     = 6                      // times the planned time that a move may take
	maxJobs      = 256                    // of others that we keep track of
	slack        = 15 * time.Second       // and more
)

// Errors of the device.
var (
	errUnconfirmed = errors.New("the device has not confirmed the last frame")
	errDevice      = errors.New("the device says")
	errMute        = errors.New("the device does not answer")
	errGone        = errors.New("the device is gone")
	errRebooted    = errors.New("the device has started anew")
	errNotYet      = errors.New("the device has not confirmed that all servos are off")
	errWhileStop   = errors.New("the device got a command while everything is stopped")
	errSilentMove  = errors.New("the device never said how it ended")
)

// job is a command that the device has, or is about to have: ours, or one that somebody published
// without an envelope, which reaches it without our help.
type job struct {
	entry     *entry // nil for one that it is bound to fail, and we carry out
	command   string
	requestID string
	accepted  bool
	deadline  time.Time
	done      chan error // of ours; has room for one
}

// device is the ESP32: what we know of it, and the frames to it. The firmware understands bare
// messages only and runs one move at a time, which nothing interrupts. It answers each message on
// movement/test, in order and without the request's id: command_queued or command_error. What it says is
// handled in one order with what it was told.
type device struct {
	r *run

	mu       sync.Mutex
	present  bool
	why      string          // why it is not
	latched  bool            // it got a "stop" of its own kind: no command runs until it is switched off
	arrivals []arrival       // what it got and has not answered, in order
	jobs     []*job          // in the order in which it has them
	echoes   map[string]*job // our commands that have not come back yet, by message id
	busy     time.Time       // when the last job ended
	news     chan struct{}   // closed and made anew when jobs or present change

	want     plan.Pose // the next frame
	dirty    bool      // want has not been sent
	halt     bool      // send "off"
	halted   bool      // it has confirmed "off", and got nothing since
	frameAt  time.Time // of the frame that is not confirmed; zero: none
	frameOff bool      // that frame is "off"
	applies  bool      // it has applied a frame of a move, and not been told "off" since
	stopAt   time.Time // when movement/stop was repeated last
	wake     chan struct{}
}

func newDevice(r *run) *device {
	return &device{
		r: r, why: "it has not been heard of", halted: true,
		news: make(chan struct{}), wake: make(chan struct{}, 1), echoes: map[string]*job{},
	}
}

// here reports whether the device is there.
func (d *device) here() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.present
}

// refusal is why the device gets no commands, or empty.
func (d *device) refusal() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.present {
		return ""
	}
	return "the device is not there: " + d.why
}

// firmwareRuns reports whether the firmware has a sequence for a command that ends well.
func firmwareRuns(name string) bool {
	m, ok := contract.MoveNamed(name)
	return ok && m.Firmware && len(m.Params) == 0 && name != plan.StopCommand
}

// native reports whether the device is to run a command by itself.
func (d *device) native(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	// Its own "disable" makes its next move begin at 0: we send a frame for that.
	return !d.r.o.Frames && !d.latched && firmwareRuns(name) && name != "disable"
}

// tell wakes whoever waits for news. mu is held.
func (d *device) tell() {
	close(d.news)
	d.news = make(chan struct{})
}

func (d *device) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// idle waits until the device has nothing to do.
func (d *device) idle(ctx context.Context, _ drive.Request) error {
	for {
		d.mu.Lock()
		free, news := len(d.jobs)+len(d.arrivals) == 0, d.news
		d.mu.Unlock()
		if free {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// run lets the device run a move: one command, and then its word that it has ended.
func (d *device) run(ctx context.Context, req drive.Request) error {
	t, ok := req.Tag.(*task)
	if !ok {
		return errMute
	}
	planner := plan.Planner{Cal: *d.r.o.Calibration}
	long := slack + slowness*planner.Plan(req.Move, plan.Pose{}, req.Speed).Duration()
	j := &job{
		entry: t.entry, command: req.Name, requestID: t.entry.id,
		deadline: time.Now().Add(long), done: make(chan error, 1),
	}
	messageID := client.NewID()
	d.mu.Lock()
	d.jobs = append(d.jobs, j)
	d.echoes[messageID] = j
	d.halted = false
	d.mu.Unlock()
	ctx2, cancel := context.WithTimeout(client.WithTurn(ctx, t.entry.turn), answerWithin)
	_, err := client.Publish(ctx2, d.r.bus, contract.MovementTest, contract.TestMovement{
		MessageID: messageID, Command: req.Name, Speed: req.Speed, Params: t.params, RequestID: &j.requestID,
	}, client.WithExpiry(answerWithin))
	cancel()
	if err != nil {
		d.drop(j)
		return fmt.Errorf("%w: %w", errMute, err)
	}
	answer := time.NewTimer(answerWithin)
	defer answer.Stop()
	for {
		select {
		case err := <-j.done:
			return err
		case <-ctx.Done():
			return ctx.Err() // the device goes on, so the job stays
		case <-answer.C:
			d.mu.Lock()
			accepted := j.accepted
			d.mu.Unlock()
			if !accepted {
				d.drop(j)
				return errMute
			}
		}
	}
}

// drop forgets a job, and reports whether it was there.
func (d *device) drop(j *job) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.jobs, j)
	if i < 0 {
		return false
	}
	d.jobs = slices.Delete(d.jobs, i, i+1)
	d.busy = time.Now()
	d.tell()
	return true
}

// finish ends a job: ours by telling whoever waits for it, another one in the history.
func (d *device) finish(j *job, event string, err error) {
	if !d.drop(j) {
		return
	}
	switch {
	case j.done != nil:
		j.done <- err // has room: a job is dropped once
	case j.entry == nil:
	case err != nil:
		j.entry.note(event, fromDevice, "failed", err.Error())
		d.r.state(j.entry.turn, j.entry.id, "failed", nil, err.Error())
	default:
		j.entry.note(event, fromDevice, "completed", "")
		d.r.state(j.entry.turn, j.entry.id, "completed", nil, "")
	}
}

// watch gives up on jobs whose end the device never told.
func (d *device) watch(ctx context.Context) {
	for pause(ctx, 500*time.Millisecond) {
		d.mu.Lock()
		var late []*job
		for _, j := range d.jobs {
			if time.Now().After(j.deadline) {
				late = append(late, j)
			}
		}
		maps.DeleteFunc(d.echoes, func(_ string, j *job) bool { return time.Now().After(j.deadline) })
		d.mu.Unlock()
		for _, j := range late {
			d.finish(j, "timeout", errSilentMove)
		}
		d.unanswered()
	}
}

// lose ends everything that was under way, since the device is not what it was.
func (d *device) lose(why error) {
	d.mu.Lock()
	jobs := d.jobs
	d.arrivals, d.frameAt, d.dirty = nil, time.Time{}, false
	d.mu.Unlock()
	d.r.engine.Lose(why)
	for _, j := range jobs {
		d.finish(j, "lost", why)
	}
}

// Write implements drive.Driver: the pose goes out as soon as the device has applied the frame
// before it.
func (d *device) Write(p plan.Pose) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !d.present:
		return errGone
	case !d.frameAt.IsZero() && time.Since(d.frameAt) > frameWithin:
		return errMute
	}
	d.want, d.dirty, d.halted = p, true, false
	d.poke()
	return nil
}

// Off implements drive.Driver: it sends a frame of zeros, and is content when the device has applied
// one half a second after its last move ended. Until then a move writes its joints again, so that
// each call sends one more.
func (d *device) Off() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirty = false
	if d.halted {
		return nil
	}
	d.halt = true
	d.poke()
	return errNotYet
}

// disturb makes the next Off ask again.
func (d *device) disturb() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halted = false
	d.stopAt = time.Now() // who stops has told the device; it is repeated later
}
