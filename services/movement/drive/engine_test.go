package drive_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/movement/drive"
	"github.com/tarsd/tarsd/services/movement/plan"
)

var errBus = errors.New("bus")

// driver records what it is told.
type driver struct {
	mu     sync.Mutex
	poses  []plan.Pose
	times  []time.Time
	offs   []time.Time
	broken bool          // Write fails
	deaf   bool          // Off is not confirmed
	stall  time.Duration // the next write takes so long
	panics bool
}

func (d *driver) Write(p plan.Pose) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.panics {
		panic("driver")
	}
	if d.stall > 0 {
		time.Sleep(d.stall)
		d.stall = 0
	}
	if d.broken {
		return errBus
	}
	d.poses, d.times = append(d.poses, p), append(d.times, time.Now())
	return nil
}

func (d *driver) Off() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offs = append(d.offs, time.Now())
	if d.deaf {
		return errBus
	}
	return nil
}

func (d *driver) set(f func(*driver)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

// told is when it was told to switch off.
func (d *driver) told() []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.offs)
}

// path is what it was told to do, and when.
func (d *driver) path() ([]plan.Pose, []time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.poses), slices.Clone(d.times)
}

func (d *driver) writes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.poses)
}

// rig is an engine that runs, in a bubble.
type rig struct {
	*drive.Engine
	drv    *driver
	cancel context.CancelFunc
	done   chan struct{}
	mu     sync.Mutex
	events []string
}

func start(t *testing.T, change func(*drive.Options)) *rig {
	t.Helper()
	r := &rig{drv: &driver{}, done: make(chan struct{})}
	o := drive.Options{
		Planner: plan.Planner{Cal: plan.DefaultCalibration()}, Driver: r.drv, Queue: 3,
		Event: func(e drive.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			s := e.Request.ID + " " + string(e.Kind)
			if e.Kind == drive.FrameSent {
				s += fmt.Sprintf(" %d/%d", e.Seq, e.Total)
			}
			if e.Err != nil {
				s += ": " + e.Err.Error()
			}
			r.events = append(r.events, s)
		},
	}
	if change != nil {
		change(&o)
	}
	r.Engine = drive.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		r.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-r.done })
	synctest.Wait()
	return r
}

// said is what happened since the last call.
func (r *rig) said() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.events
	r.events = nil
	return s
}

func move(t *testing.T, id, name string) drive.Request {
	t.Helper()
	m, err := plan.Command(name, nil)
	require.NoError(t, err)
	return drive.Request{ID: id, Name: name, Speed: 0.8, Move: m}
}

func TestMove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		assert.Zero(t, r.drv.writes(), "nothing moves by itself")
		require.NoError(t, r.Submit(move(t, "a", "step_forward")))
		require.NoError(t, r.Submit(move(t, "b", "reset")))
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{
			"a queued", "b queued",
			"a started", "a frame_sent 0/4", "a frame_sent 1/4", "a frame_sent 2/4", "a frame_sent 3/4", "a completed",
			"b started", "b frame_sent 0/2", "b frame_sent 1/2", "b completed",
		}, r.said())
		s := r.State()
		assert.Equal(t, plan.DefaultCalibration().Neutral(), s.Pose)
		assert.Zero(t, s.Clamped)
		assert.Empty(t, r.drv.told())
		poses, times := r.drv.path()
		for i, p := range poses[:20] {
			assert.Zero(t, p[plan.PortMain], "an arm that no leg needs stays off: %d", i)
		}
		for i, at := range times[1:15] {
			assert.LessOrEqual(t, at.Sub(times[i]), 60*time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Len(t, r.drv.told(), 1, "off when idle")
		assert.True(t, r.State().Confirmed)
		time.Sleep(time.Minute)
		assert.Len(t, r.drv.told(), 1)
	})
}

// TestEveryMove runs both tables to their ends, at the slowest and at full speed.
func TestEveryMove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		for _, m := range append(plan.Sequences(), plan.Actions()...) {
			for _, speed := range []float64{0.1, 1} {
				require.NoError(t, r.Submit(drive.Request{ID: m.Name, Name: m.Name, Speed: speed, Move: m}))
				time.Sleep(5 * time.Minute)
				said := r.said()
				assert.Equal(t, m.Name+" completed", said[len(said)-1])
				assert.Len(t, said, 3+len(m.Steps))
				assert.Equal(t, plan.Pose{}, r.State().Pose, "off after so long")
			}
		}
		assert.Zero(t, r.State().Clamped)
	})
}

func TestDisable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		require.NoError(t, r.Submit(move(t, "a", "bow")))
		require.NoError(t, r.Submit(move(t, "b", "disable")))
		time.Sleep(8 * time.Second)
		assert.Equal(t, "b completed", r.said()[8])
		assert.Len(t, r.drv.told(), 1)
		assert.Zero(t, r.State().Pose)
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		for _, id := range []string{"a", "b"} {
			require.NoError(t, r.Submit(move(t, id, "laugh")))
		}
		time.Sleep(time.Second)
		r.said() // waits for the tick of this moment
		n := r.drv.writes()
		require.Positive(t, n)
		r.Stop("test")
		require.NotEmpty(t, r.drv.told(), "told before Stop returns")
		assert.ElementsMatch(t, []string{"b cancelled: stopped until resume", "a cancelled: stopped until resume"}, r.said())
		s := r.State()
		assert.Equal(t, "test", s.Stopped)
		assert.True(t, s.Confirmed)
		assert.Zero(t, s.Pose)
		require.ErrorIs(t, r.Submit(move(t, "c", "bow")), drive.ErrStopped)
		require.ErrorIs(t, r.Manual(drive.Setpoint{ID: "m"}), drive.ErrStopped)
		time.Sleep(time.Minute)
		require.NoError(t, r.Resume())
		time.Sleep(time.Minute)
		assert.Equal(t, n, r.drv.writes(), "nothing moves by itself after a resume")
		require.NoError(t, r.Submit(move(t, "d", "reset")))
		time.Sleep(time.Second)
		assert.Equal(t, "d completed", r.said()[4])
	})
}

// TestStopIsRepeated: "off" is told again until it is confirmed, and only then one can resume.
func TestStopIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.drv.set(func(d *driver) { d.deaf = true })
		r.Stop("test")
		time.Sleep(time.Second)
		assert.GreaterOrEqual(t, len(r.drv.told()), 10)
		require.ErrorIs(t, r.Resume(), drive.ErrNotOff)
		r.drv.set(func(d *driver) { d.deaf = false })
		time.Sleep(200 * time.Millisecond)
		n := len(r.drv.told())
		time.Sleep(time.Second)
		assert.Len(t, r.drv.told(), n)
		r.Stop("again")
		assert.Len(t, r.drv.told(), n+1, "who stops again is obeyed again")
		assert.Equal(t, "test", r.State().Stopped)
		require.NoError(t, r.Resume())
	})
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		require.NoError(t, r.Submit(move(t, "a", "pezz")))
		synctest.Wait()
		for range 3 {
			require.NoError(t, r.Submit(move(t, "b", "bow")))
		}
		require.ErrorIs(t, r.Submit(move(t, "c", "bow")), drive.ErrQueueFull)
		s := r.State()
		assert.Equal(t, []string{"bow", "bow", "bow"}, s.Waiting)
		assert.Equal(t, 3, s.Limit)
		assert.Equal(t, "pezz", s.Current.Name)
	})
}

func TestManual(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		up := drive.Setpoint{ID: "m", Target: plan.Pose{plan.Height: 9999}, Speed: 1}
		require.NoError(t, r.Manual(up))
		time.Sleep(200 * time.Millisecond)
		require.NoError(t, r.Manual(drive.Setpoint{ID: "m", Speed: 1}), "a heartbeat moves on")
		require.ErrorIs(t, r.Manual(drive.Setpoint{ID: "n"}), drive.ErrManual)
		require.ErrorIs(t, r.Submit(move(t, "a", "bow")), drive.ErrManual)
		time.Sleep(time.Second)
		assert.Equal(t, []string{"m queued", "m started", "m failed: manual control fell silent"}, r.said())
		_, times := r.drv.path()
		assert.LessOrEqual(t, r.State().Moved.Sub(times[0]), 720*time.Millisecond, "dead man")
		assert.Equal(t, plan.Pose{plan.Height: 400}, r.State().Pose, "clamped, and nothing else is on")

		n := r.drv.writes()
		time.Sleep(time.Second)
		assert.Equal(t, n, r.drv.writes())
		require.NoError(t, r.Manual(drive.Setpoint{ID: "n", Target: plan.Pose{plan.Height: 300}, Speed: 0.1}))
		time.Sleep(100 * time.Millisecond)
		require.NoError(t, r.Manual(drive.Setpoint{ID: "n", Release: true}))
		time.Sleep(50 * time.Millisecond)
		assert.Equal(t, []string{"n queued", "n started", "n completed"}, r.said())
		require.NoError(t, r.Submit(move(t, "a", "pezz")))
		require.ErrorIs(t, r.Manual(up), drive.ErrBusy)
		r.Stop("test")
		require.NoError(t, r.Resume())
		time.Sleep(time.Second)
		require.NoError(t, r.Manual(up))
		r.Stop("test")
		time.Sleep(time.Second)
		assert.Empty(t, r.State().Manual)
		assert.Zero(t, r.State().Pose)
	})
}

// TestHold: a setpoint may be held for less than the dead man's time, and for no longer.
func TestHold(t *testing.T) {
	t.Parallel()
	for hold, want := range map[time.Duration]time.Duration{100 * time.Millisecond: 100, 0: 500, time.Hour: 500} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, nil)
			require.NoError(t, r.Manual(drive.Setpoint{ID: "m", Target: plan.Pose{plan.Height: 400}, Speed: 0.1, Hold: hold}))
			t0 := time.Now()
			time.Sleep(2 * time.Second)
			assert.Contains(t, r.said(), "m failed: manual control fell silent")
			assert.InDelta(t, want, r.State().Moved.Sub(t0).Milliseconds(), 40)
		})
	}
}

// TestGateClamps: limits that become narrower in the midst of a move hold for it too: its plan is that of
// before, and the gate is behind it.
func TestGateClamps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		require.NoError(t, r.Submit(move(t, "a", "laugh")))
		time.Sleep(500 * time.Millisecond)
		n := r.drv.writes()
		cal := plan.DefaultCalibration()
		cal[plan.Height] = plan.Servo{Channel: 0, Min: 290, Max: 310, Neutral: 300, Low: 310, High: 290}
		r.Calibrate(cal)
		time.Sleep(10 * time.Second)
		poses, _ := r.drv.path()
		require.Greater(t, len(poses), n)
		for _, p := range poses[n:] {
			require.GreaterOrEqual(t, p[plan.Height], 290)
			require.LessOrEqual(t, p[plan.Height], 310)
		}
		assert.Positive(t, r.State().Clamped)
	})
}

// TestControlLost: a move ends when nobody could stop it, and its queue is forgotten.
func TestControlLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		alive := true
		r := start(t, func(o *drive.Options) {
			o.Alive = func(time.Duration) bool { mu.Lock(); defer mu.Unlock(); return alive }
		})
		require.NoError(t, r.Submit(move(t, "a", "laugh")))
		require.NoError(t, r.Submit(move(t, "z", "laugh")))
		time.Sleep(1005 * time.Millisecond)
		mu.Lock()
		alive = false
		mu.Unlock()
		t0 := time.Now()
		time.Sleep(time.Second)
		said := r.said()
		assert.Equal(t, []string{"a failed: control lost", "z cancelled: control lost"}, said[len(said)-2:])
		assert.LessOrEqual(t, r.State().Moved.Sub(t0), 20*time.Millisecond)
		assert.NotZero(t, r.State().Pose, "held")

		mu.Lock()
		alive = true
		mu.Unlock()
		require.NoError(t, r.Submit(move(t, "b", "laugh")))
		require.NoError(t, r.Submit(move(t, "c", "laugh")))
		time.Sleep(500 * time.Millisecond)
		r.said()
		r.Lose(errors.New("device gone"))
		assert.ElementsMatch(t, []string{"c cancelled: control lost: device gone", "b failed: control lost: device gone"}, r.said())
		n := r.drv.writes()
		time.Sleep(5 * time.Second)
		assert.Equal(t, n, r.drv.writes(), "nothing goes on")
	})
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		require.NoError(t, r.Submit(move(t, "a", "laugh")))
		require.NoError(t, r.Submit(move(t, "b", "laugh")))
		time.Sleep(time.Second)
		r.said()
		r.drv.set(func(d *driver) { d.deaf = true })
		t0 := time.Now()
		r.cancel()
		<-r.done
		assert.Equal(t, []string{"a cancelled: shutdown", "b cancelled: shutdown"}, r.said())
		assert.NotEmpty(t, r.drv.told())
		assert.LessOrEqual(t, time.Since(t0), 600*time.Millisecond, "a deaf driver does not hold it up for long")
		require.ErrorIs(t, r.Submit(move(t, "c", "bow")), drive.ErrShutdown)
	})
}

func TestPanicSwitchesOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		drv := &driver{panics: true}
		e := drive.New(drive.Options{Planner: plan.Planner{Cal: plan.DefaultCalibration()}, Driver: drv, Hold: true})
		require.NoError(t, e.Submit(move(t, "a", "laugh")))
		assert.Panics(t, func() { e.Run(t.Context()) })
		assert.NotEmpty(t, drv.told())
	})
}

// TestStall: time that the process did not get is not caught up with a jump.
func TestStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		require.NoError(t, r.Submit(move(t, "a", "step_forward")))
		time.Sleep(50 * time.Millisecond)
		r.drv.set(func(d *driver) { d.stall = 3 * time.Second })
		time.Sleep(10 * time.Second)
		poses, _ := r.drv.path()
		require.Greater(t, len(poses), 20)
		for i, p := range poses[1:] {
			for j := range p {
				assert.LessOrEqual(t, p[j]-poses[i][j], 25, "%s", plan.Joint(j))
			}
		}
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.drv.set(func(d *driver) { d.broken = true })
		require.NoError(t, r.Submit(move(t, "a", "laugh")))
		time.Sleep(time.Second)
		assert.Equal(t, []string{"a queued", "a started", "a failed: bus"}, r.said())
		require.ErrorIs(t, r.State().Err, errBus)
	})
}

func TestNative(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		lost := false
		r := start(t, func(o *drive.Options) {
			o.Hold = true
			o.IdleOff = -1
			o.Native = func(ctx context.Context, r drive.Request) error {
				select {
				case <-time.After(time.Second):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			o.Alive = func(time.Duration) bool { mu.Lock(); defer mu.Unlock(); return !lost }
		})
		run := func(id string) {
			q := move(t, id, "bow")
			q.Native = true
			require.NoError(t, r.Submit(q))
		}
		run("a")
		run("b")
		time.Sleep(1500 * time.Millisecond)
		assert.Equal(t, []string{"a queued", "b queued", "a completed"}, r.said())
		r.Stop("test")
		assert.Equal(t, []string{"b cancelled: stopped until resume"}, r.said())
		require.NoError(t, r.Resume())
		run("c")
		mu.Lock()
		lost = true
		mu.Unlock()
		time.Sleep(time.Second)
		assert.Equal(t, []string{"c queued", "c failed: control lost"}, r.said())
		assert.Zero(t, r.drv.writes())
		n := len(r.drv.told())
		time.Sleep(time.Hour)
		r.cancel()
		<-r.done
		assert.Len(t, r.drv.told(), n, "a machine that holds itself is left alone")
	})
}
