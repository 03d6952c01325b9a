package movement_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement"
	"github.com/tarsd/tarsd/services/movement/pca9685/pca9685test"
	"github.com/tarsd/tarsd/services/servicetest"
)

// stops is how many emergency stops each backend is measured with:
//
//	go test ./services/movement -run StopLatency -v -stops 300
var stops = flag.Int("stops", 12, "emergency stops that TestStopLatency measures per backend")

// wireBus is a bus of the fake chip that can be closed.
type wireBus struct{ *pca9685test.Bus }

func (wireBus) Close() error { return nil }

// TestStopLatency measures from the publish of movement/stop to the last change of a joint.
func TestStopLatency(t *testing.T) {
	for _, backend := range []movement.Backend{movement.Sim, movement.PCA9685} {
		t.Run(string(backend), func(t *testing.T) {
			chip := pca9685test.New()
			r := start(t, movement.Options{
				Backend: backend, Open: func(string) (movement.Bus, error) { return wireBus{chip}, nil },
			})
			last := func() time.Time {
				if backend == movement.Sim {
					_, moved := r.model.At()
					return moved
				}
				changes := chip.Changes()
				return changes[len(changes)-1].At
			}
			report(t, "publish to last change", 50*time.Millisecond, r.measure(t, last))
			if backend == movement.PCA9685 {
				assert.Zero(t, chip.Ticks())
			}
		})
	}
}

func (r *rig) measure(t *testing.T, last func() time.Time) []time.Duration {
	t.Helper()
	return r.measureBy(t, "movement/test", `{"command":"laugh","speed":0.6,"message_id":"%s","request_id":"%s"}`, last)
}

// measureBy stops a move many times, at different places of it. The command has its id twice.
func (r *rig) measureBy(t *testing.T, topic, command string, last func() time.Time) []time.Duration {
	t.Helper()
	joints := servicetest.Collect(t, r.peer, contract.MovementJoints)
	var took []time.Duration
	for i := range *stops {
		id := fmt.Sprintf("l%d", i)
		r.send(t, topic, fmt.Sprintf(command, id, id))
		r.status.Find(t, func(m client.Message[contract.MovementUpdate]) bool {
			return m.Data.Event == "command_started" && contract.Value(m.Data.RequestID) == id
		})
		t0 := time.Now()
		joints.Find(t, func(m client.Message[contract.Joints]) bool {
			return m.Data.Moving && m.Received.Sub(t0) > time.Duration(80+37*i%500)*time.Millisecond
		})
		t0 = time.Now()
		r.send(t, "movement/stop", ``)
		r.status.Find(t, func(m client.Message[contract.MovementUpdate]) bool { return m.Data.Event == "emergency_stop" })
		r.resume(t)
		took = append(took, max(last().Sub(t0), 0))
	}
	return took
}

// resume lifts the stop as soon as it is confirmed.
func (r *rig) resume(t *testing.T) {
	t.Helper()
	for {
		r.send(t, "movement/resume", `{}`)
		answer := r.status.Find(t, func(m client.Message[contract.MovementUpdate]) bool {
			return m.Data.Event == "stop_cleared" || m.Data.Event == "command_failed" && m.Data.Command == nil
		})
		if answer.Data.Event == "stop_cleared" {
			return
		}
	}
}

// report prints the distribution and holds its p99 to a bound. Under the race detector on a busy
// machine a few stops may be late; the bound is that of the issue, so it has room.
func report(t *testing.T, what string, bound time.Duration, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	at := func(p float64) time.Duration { return took[min(int(p*float64(len(took))), len(took)-1)] }
	t.Logf("%s: %d stops, p50 %s, p99 %s, max %s", what, len(took), at(0.5).Round(10*time.Microsecond), at(0.99).Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond))
	require.NotEmpty(t, took)
	assert.LessOrEqual(t, at(0.99), bound, "p99 of %s", what)
}
