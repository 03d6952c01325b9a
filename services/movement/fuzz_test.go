package movement

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement/drive"
	"github.com/tarsd/tarsd/services/movement/plan"
)

// witness is a driver that looks at every pulse.
type witness struct {
	mu    sync.Mutex
	cal   plan.Calibration
	wrong []string
}

// Write implements drive.Driver.
func (w *witness) Write(p plan.Pose) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for j, s := range w.cal {
		if p[j] != 0 && (p[j] < s.Min || p[j] > s.Max) {
			w.wrong = append(w.wrong, plan.Joint(j).String())
		}
	}
	return nil
}

// Off implements drive.Driver.
func (*witness) Off() error { return nil }

// FuzzInput: no bytes on any of the topics yield a pulse outside the limits of its joint, not even
// one that the gate would have to hold back, and none makes a handler panic. Each input runs for a
// minute of fake time.
func FuzzInput(f *testing.F) {
	for _, s := range []string{
		``, `{`, `{"command":"wave","speed":1e308}`, `{"command":"move_legs","params":{"height_percent":1e9,"left_percent":-1,"right_percent":100}}`,
		`{"command":"move_arm","speed":0.1,"params":{"port_main":100,"star_hand":1}}`, `{"command":"test_joint","params":{"joint":"height","percent":100}}`,
		`{"id":"x","type":"t","ts":1,"source":"s","data":{"command":"excited_bounce"}}`, `{"command":"bow","params":{}}`,
		`{"seq":1,"joints":{"height":100,"port_main":1},"speed":1,"hold_ms":500}`,
		`{"action":"set","joint":"height","position":"min","ticks":250}`, `{"action":"set","joint":"left_leg","position":"high","ticks":400}`,
		`{"action":"move","joint":"star_hand","ticks":280}`, `{"joints":[{"name":"height","channel":0,"min":0,"max":4095,"rest":0,"low":4095,"high":0}]}`,
	} {
		f.Add([]byte(s), []byte(`{"command":"laugh"}`))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		synctest.Test(t, func(t *testing.T) {
			r, w, end := offline(t)
			for _, payload := range [][]byte{first, second} {
				for _, h := range []func(context.Context, client.RawMessage) error{
					r.onCalibrate, typed(contract.MovementManual, r.onManual), r.onTest, r.onCommand,
					typed(contract.MovementResume, r.onResume), typed(contract.MovementStatus, r.onStatus),
				} {
					_ = h(t.Context(), client.RawMessage{Topic: "t", Payload: payload})
				}
				_ = r.onSaved(t.Context(), client.RawMessage{Payload: payload, Retained: true})
				_ = r.onTest(t.Context(), client.RawMessage{Topic: "t", Payload: payload, Retained: true})
				time.Sleep(30 * time.Second)
			}
			_ = r.onStop(t.Context(), client.RawMessage{Payload: first})
			if !r.engine.Stopped() {
				t.Error("does not stop")
			}
			if n := r.engine.State().Clamped; n > 0 {
				t.Errorf("the gate had to hold back %d poses", n)
			}
			end()
			if len(w.wrong) > 0 {
				t.Errorf("outside the limits: %v", w.wrong)
			}
		})
	})
}

// typed is a handler of a typed subscription as a raw one.
func typed[T any](topic contract.Topic[T], h client.Handler[T]) func(context.Context, client.RawMessage) error {
	return func(ctx context.Context, raw client.RawMessage) error {
		m, err := topic.Decode(raw.Payload)
		if err != nil {
			return err
		}
		return h(ctx, client.Message[T]{Message: m, Topic: raw.Topic})
	}
}

// offline is a run without a broker: what it says goes nowhere.
func offline(t *testing.T) (*run, *witness, func()) {
	t.Helper()
	bus, err := client.Connect(context.Background(), client.Options{
		ID: "tars-movement", Log: zerolog.Nop(), Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("no broker") },
	})
	if err != nil {
		t.Fatal(err)
	}
	var o Options
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	w := &witness{cal: *o.Calibration}
	r := &run{
		o: o, bus: bus, log: zerolog.Nop(), cal: *o.Calibration, out: make(chan func(context.Context), 16),
		settled: make(chan struct{}), changed: make(chan struct{}, 1), moving: make(chan struct{}, 1),
	}
	close(r.settled)
	r.hist = &history{changed: r.poke}
	r.engine = drive.New(drive.Options{
		Planner: plan.Planner{Cal: r.cal, Rate: o.Rate}, Driver: w, Event: r.event, Changed: r.poke,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.engine.Run(ctx) })
	return r, w, func() {
		cancel()
		wg.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = bus.Close(ctx)
	}
}

// FuzzDevice: what a device or anybody else says in its name neither panics nor piles up.
func FuzzDevice(f *testing.F) {
	for _, s := range []string{
		`{"event":"command_queued","command":"bow"}`, `{"event":"frame_applied","channels":16}`, `{"event":"firmware_online"}`,
		`{"event":"command_failed","command":"bow","request_id":7}`, `{"command":"bow","speed":0.5}`, `{"command":"move_legs"}`, `{"command":"stop"}`,
	} {
		f.Add([]byte(s), []byte(`{"ok":true,"event":"ready"}`))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		synctest.Test(t, func(t *testing.T) {
			r, _, end := offline(t)
			defer end()
			r.dev = newDevice(r)
			r.dev.alive()
			for _, payload := range [][]byte{first, second} {
				for _, topic := range []contract.Spec{contract.MovementTest.Spec, contract.MovementState.Spec, contract.MovementStatus.Spec} {
					_ = r.dev.onBus(t.Context(), client.RawMessage{Topic: topic.Name, Payload: payload})
				}
				_ = typed(contract.Health.At("movement-esp32"), r.dev.onHealth)(t.Context(), client.RawMessage{Payload: payload})
			}
			if len(r.dev.jobs) > 2 {
				t.Errorf("%d jobs of two commands", len(r.dev.jobs))
			}
		})
	})
}
