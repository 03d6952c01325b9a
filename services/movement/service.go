package movement

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement/drive"
	"github.com/tarsd/tarsd/services/movement/plan"
)

var (
	_ services.Service    = (*Mover)(nil)
	_ services.StopsFirst = (*Mover)(nil)
	_ services.Checker    = (*Mover)(nil)
)

// Mover is the movement service.
type Mover struct{ o Options }

// New checks the options; the error names all that is wrong.
func New(o Options) (*Mover, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	return &Mover{o}, nil
}

// Name implements services.Service.
func (*Mover) Name() string { return "movement" }

// StopFirst implements services.StopsFirst: motion ends before anything else does.
func (*Mover) StopFirst() {}

// Check implements services.Checker. It opens the I2C bus and sends nothing on it.
func (m *Mover) Check(context.Context) []services.Finding {
	say := func(v services.Verdict, text string) []services.Finding {
		return []services.Finding{{Verdict: v, Text: text}}
	}
	switch m.o.Backend {
	case PCA9685:
		bus, err := m.o.Open(m.o.I2CBus)
		if err != nil {
			return say(services.Failure, "backend pca9685: "+err.Error())
		}
		_ = bus.Close()
		return say(services.Fine, "backend pca9685: the I2C bus opens")
	case ESP32:
		return say(services.Fine, "backend esp32: waits for "+m.o.Device)
	case None:
		return say(services.Warning, "backend none: every command is refused")
	default:
		return say(services.Fine, "backend sim: no motors, the page draws the robot")
	}
}

// linkGrace is for how long a move may run without hearing anything of the broker: after it nobody
// could stop it.
const linkGrace = 600 * time.Millisecond

// run is one run of the service. Its goroutines are those of wg, the engine's and the client's.
type run struct {
	o      Options
	bus    *client.Client
	log    zerolog.Logger
	engine *drive.Engine
	dev    *device // nil unless the backend is ESP32
	hist   *history
	out    chan func(context.Context)

	heard   atomic.Int64  // when our own joints came back last, in Unix nanoseconds
	settled chan struct{} // closed when the retained state of before is known
	settle  sync.Once
	changed chan struct{} // something for the reporter
	moving  chan struct{} // something for whoever publishes joints
	own     seen          // ids of messages that we sent to topics that we listen to
	done    seen          // ids of envelopes whose command was taken

	mu  sync.Mutex
	cal plan.Calibration // in force
	seq int              // of manual control, the last one
	ctl string           // whose

	scolded time.Time // when a setpoint was refused last
}

// Run implements services.Service.
func (m *Mover) Run(ctx context.Context, rt services.Runtime) error {
	r := &run{
		o: m.o, bus: rt.Bus, log: rt.Log, cal: *m.o.Calibration,
		out: make(chan func(context.Context), 1024), settled: make(chan struct{}),
		changed: make(chan struct{}, 1), moving: make(chan struct{}, 1),
	}
	r.hist = &history{changed: r.poke}
	o := drive.Options{
		Planner: plan.Planner{Cal: r.cal, Rate: m.o.Rate}, Period: time.Second / servoHz,
		Queue: m.o.Queue, IdleOff: m.o.IdleOff, DeadMan: m.o.DeadMan,
		Alive: r.alive, Event: r.event, Changed: r.poke,
	}
	switch m.o.Backend {
	case PCA9685:
		s, err := openServos(m.o)
		if err != nil {
			return fmt.Errorf("backend pca9685: %w", err)
		}
		defer func() { _ = s.bus.Close() }()
		o.Driver = s
	case ESP32:
		r.dev = newDevice(r)
		o.Driver, o.Native, o.Before, o.Settled = r.dev, r.dev.run, r.dev.idle, r.dev.settled
		o.Period, o.IdleOff, o.Hold = time.Second/deviceHz, -1, true
	default:
		o.Driver = m.o.Model
	}
	r.engine = drive.New(o)
	if err := r.subscribe(); err != nil {
		return err
	}
	return r.work(ctx, rt.Ready)
}

// work runs the goroutines until ctx ends. The engine ends before those that tell about it.
func (r *run) work(ctx context.Context, ready func()) error {
	var movers, tellers sync.WaitGroup
	telling, hush := context.WithCancel(context.WithoutCancel(ctx))
	defer hush()
	tellers.Go(func() { r.talk(telling) })
	tellers.Go(func() { r.report(telling) })
	tellers.Go(func() { r.joints(telling) })
	if r.dev != nil {
		tellers.Go(func() { r.dev.pump(telling) })
		tellers.Go(func() { r.dev.watch(telling) })
	}
	movers.Go(func() { r.engine.Run(ctx) })
	ready()
	r.poke()
	select { // what was retained comes right after the acknowledgement of the subscription
	case <-r.settled:
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
	}
	r.settle.Do(func() { close(r.settled) })
	movers.Wait()
	r.flush()
	hush()
	tellers.Wait()
	return nil
}

// flush waits for what is said about the end, for a moment: a shutdown does not wait for a broker
// that is away.
func (r *run) flush() {
	said := make(chan struct{})
	select {
	case r.out <- func(context.Context) { close(said) }:
	default:
		return
	}
	select {
	case <-said:
	case <-time.After(50 * time.Millisecond):
	}
}

// alive reports whether a stop would reach us: our own joints come back from the broker.
func (r *run) alive(running time.Duration) bool {
	if running > linkGrace && time.Since(time.Unix(0, r.heard.Load())) > linkGrace {
		return false
	}
	return r.dev == nil || r.dev.here()
}

// refusal is why no command is accepted at all, or empty.
func (r *run) refusal() string {
	if r.o.Backend == None {
		return "there are no motors"
	}
	if r.dev != nil {
		return r.dev.refusal()
	}
	return ""
}

// poke wakes the reporter and the publisher of joints.
func (r *run) poke() {
	for _, c := range []chan struct{}{r.changed, r.moving} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// subscribe makes all subscriptions.
func (r *run) subscribe() error {
	live := client.MaxQoS(0)
	subs := []func() (*client.Subscription, error){
		func() (*client.Subscription, error) { return client.Subscribe(r.bus, contract.MovementInfo, r.onInfo) },
		func() (*client.Subscription, error) {
			return r.bus.SubscribeRaw(contract.MovementCalibration.Name, 1, r.onSaved)
		},
		func() (*client.Subscription, error) {
			return r.bus.SubscribeRaw(contract.MovementStop.Name, 1, r.onStop)
		},
		func() (*client.Subscription, error) {
			return r.bus.SubscribeRaw(contract.MovementCommand.Name, 0, r.onCommand)
		},
		func() (*client.Subscription, error) {
			return r.bus.SubscribeRaw(contract.MovementCalibrate.Name, 0, r.onCalibrate)
		},
		func() (*client.Subscription, error) {
			return client.Subscribe(r.bus, contract.MovementResume, r.onResume, live)
		},
		func() (*client.Subscription, error) {
			return client.Subscribe(r.bus, contract.MovementManual, r.onManual, live)
		},
		func() (*client.Subscription, error) {
			return client.Subscribe(r.bus, contract.MovementJoints, r.onJoints, live)
		},
		func() (*client.Subscription, error) {
			return client.Subscribe(r.bus, contract.MovementStatus, r.onStatus, live)
		},
	}
	if r.dev != nil {
		subs = append(subs,
			func() (*client.Subscription, error) { return r.bus.SubscribeRaw(contract.MovementAll, 0, r.dev.onBus) },
			func() (*client.Subscription, error) {
				return client.Subscribe(r.bus, contract.Health.At(r.o.Device), r.dev.onHealth)
			},
		)
	}
	if r.dev == nil {
		subs = append(subs, func() (*client.Subscription, error) {
			return r.bus.SubscribeRaw(contract.MovementTest.Name, 0, r.onTest)
		})
	}
	for _, s := range subs {
		if _, err := s(); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
	}
	return nil
}
