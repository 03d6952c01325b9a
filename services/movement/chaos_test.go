package movement_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/device"
	"github.com/tarsd/tarsd/internal/cutproxy"
	"github.com/tarsd/tarsd/internal/esp32"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement"
	"github.com/tarsd/tarsd/services/movement/pca9685/pca9685test"
	"github.com/tarsd/tarsd/services/movement/sim"
	"github.com/tarsd/tarsd/services/servicetest"
)

// robot is a moving robot whose parts can be taken away.
type robot struct {
	*rig
	net  *cutproxy.Proxy // between the service and the broker
	wire *cutproxy.Proxy // between the device and the broker
	dev  *esp32.Device
	chip *pca9685test.Bus
	last func() time.Time // when a joint moved last

	ticks   func() [16]int // where the joints are
	allowed int            // ticks of one frame, where one may be under way
}

// build starts a robot on a network of its own.
func build(t *testing.T, backend movement.Backend) *robot {
	t.Helper()
	p := device.ESP32()
	p.Settle = 50 * time.Millisecond
	hook, err := device.New([]device.Profile{p})
	require.NoError(t, err)
	bus := servicetest.Start(t, brokertest.WithHooks(hook), brokertest.KeepPorts())
	r := &robot{rig: &rig{Bus: bus, model: &sim.Model{}}, chip: pca9685test.New()}
	addr := bus.Broker.TCP() // a restart keeps it
	dial := cutproxy.TCP(func() string { return addr })
	r.net, r.wire = cutproxy.Start(t, dial), cutproxy.Start(t, dial)
	r.connect(t)
	m, err := movement.New(movement.Options{
		Backend: backend, Model: r.model, Frames: true, Open: func(string) (movement.Bus, error) { return wireBus{r.chip}, nil },
	})
	require.NoError(t, err)
	r.sup = servicetest.Supervise(t, m, func(name string) client.Options {
		o := bus.Options(name)
		o.Dial, o.URL = nil, "mqtt://"+r.net.Addr()
		return o
	})
	r.last = func() time.Time { _, moved := r.model.At(); return moved }
	r.ticks = func() (out [16]int) {
		at, _ := r.model.At()
		copy(out[:], at[:])
		return out
	}
	switch backend {
	case movement.PCA9685:
		r.last = func() time.Time { c := r.chip.Changes(); return c[len(c)-1].At }
		r.ticks = r.chip.Ticks
	case movement.ESP32:
		r.dev = esp32.Start(context.Background(), esp32.Options{Addr: r.wire.Addr(), Poll: 100 * time.Millisecond})
		t.Cleanup(r.dev.Close)
		r.last = func() time.Time { return r.dev.State().Moved }
		r.ticks = func() [16]int { return r.dev.State().PWM }
		r.allowed = 110 // 0.2 s at full speed
		info := servicetest.Collect(t, r.peer, contract.MovementInfo)
		info.Find(t, func(m client.Message[contract.MotionInfo]) bool { return m.Data.Ready })
	}
	return r
}

// connect makes the peer that gives commands.
func (r *robot) connect(t *testing.T) {
	t.Helper()
	r.peer = servicetest.Connect(t, r.Options("peer"+client.NewID()[:6]))
	r.status = servicetest.Collect(t, r.peer, contract.MovementStatus)
	r.state = servicetest.Collect(t, r.peer, contract.MovementState)
}

// TestChaos: whatever is lost in the midst of a move, no joint moves a second later, and none moves
// when it is back.
func TestChaos(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		backends []movement.Backend
		lose     func(*testing.T, *robot)
		restore  func(*testing.T, *robot)
	}{
		"broker": {
			[]movement.Backend{movement.Sim, movement.PCA9685, movement.ESP32},
			func(t *testing.T, r *robot) { r.Broker.Stop(t) },
			func(t *testing.T, r *robot) { r.Broker.Restart(t) },
		},
		"network, without a word": {
			[]movement.Backend{movement.Sim, movement.PCA9685, movement.ESP32},
			func(_ *testing.T, r *robot) { r.net.Stall(true) },
			func(_ *testing.T, r *robot) { r.net.Stall(false) },
		},
		"service": {
			[]movement.Backend{movement.Sim, movement.PCA9685, movement.ESP32},
			func(t *testing.T, r *robot) { require.NoError(t, r.sup.Stop(t.Context())) },
			nil,
		},
		"device's network": {
			[]movement.Backend{movement.ESP32},
			func(_ *testing.T, r *robot) { r.wire.Stall(true) },
			func(_ *testing.T, r *robot) { r.wire.Stall(false) },
		},
		"device's connection": {
			[]movement.Backend{movement.ESP32},
			func(_ *testing.T, r *robot) { r.wire.Cut() },
			nil,
		},
		"I2C bus": {
			[]movement.Backend{movement.PCA9685},
			func(_ *testing.T, r *robot) { r.chip.Break(true) },
			func(_ *testing.T, r *robot) { r.chip.Break(false) },
		},
	} {
		for _, backend := range c.backends {
			t.Run(name+", "+string(backend), func(t *testing.T) {
				t.Parallel()
				r := build(t, backend)
				r.send(t, "movement/command", `{"command":"bow","id":"a"}`) // frames on every backend
				r.send(t, "movement/command", `{"command":"bow","id":"b"}`)
				r.status.Find(t, func(m client.Message[contract.MovementUpdate]) bool { return m.Data.Event == "command_started" })
				for within(t, 300*time.Millisecond); time.Since(r.last()) > 100*time.Millisecond; {
					within(t, 20*time.Millisecond) // until it moves
				}
				t0 := time.Now()
				c.lose(t, r)
				within(t, 1200*time.Millisecond)
				stopped := r.last()
				assert.Less(t, stopped.Sub(t0), time.Second, "moved on")
				if c.restore == nil {
					return
				}
				before := r.ticks()
				c.restore(t, r)
				within(t, 1500*time.Millisecond)
				// The one frame that was under way on a network that only slept may still arrive.
				late := 0
				for j, ticks := range r.ticks() {
					late = max(late, ticks-before[j], before[j]-ticks)
				}
				assert.LessOrEqual(t, late, r.allowed, "began again by itself")
			})
		}
	}
}

// within lets time go by.
func within(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	<-ctx.Done()
	require.True(t, errors.Is(ctx.Err(), context.DeadlineExceeded))
}
