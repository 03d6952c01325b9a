package services_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// fake is a service of functions.
type fake struct {
	name string
	run  func(ctx context.Context, rt services.Runtime) error
}

func (f fake) Name() string { return f.name }

func (f fake) Run(ctx context.Context, rt services.Runtime) error { return f.run(ctx, rt) }

// mover is a fake that is stopped first.
type mover struct{ fake }

func (mover) StopFirst() {}

// echo says what it hears: one service in ten lines.
func echo(ctx context.Context, rt services.Runtime) error {
	_, err := client.Subscribe(rt.Bus, contract.STTFinal, func(ctx context.Context, m client.Message[contract.FinalTranscript]) error {
		_, err := client.Publish(ctx, rt.Bus, contract.TTSSay, contract.Say{Text: m.Data.Text}, client.WithID(m.ID))
		return err
	})
	if err != nil {
		return err
	}
	rt.Ready()
	<-ctx.Done()
	return nil
}

func health(t *testing.T, c *client.Client, name string) *servicetest.Collector[contract.HealthPing] {
	t.Helper()
	return servicetest.Collect(t, c, contract.Health.At(name))
}

// event waits for a health message with this event.
func event(t *testing.T, h *servicetest.Collector[contract.HealthPing], want string) contract.HealthPing {
	t.Helper()
	return h.Find(t, func(m client.Message[contract.HealthPing]) bool { return m.Data.Event != nil && *m.Data.Event == want }).Data
}

func TestServiceAnswers(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	me := bus.Client(t, "tester")
	said := servicetest.Collect(t, me, contract.TTSSay)
	h := health(t, me, "echo")
	sup := bus.Run(t, fake{"echo", echo})
	assert.True(t, event(t, h, "ready").OK)
	_, err := client.Publish(t.Context(), me, contract.STTFinal, contract.FinalTranscript{Text: "hello"}, client.WithID("abc"))
	require.NoError(t, err)
	m := said.Next(t)
	assert.Equal(t, "abc", m.ID)
	assert.Equal(t, "echo", m.Source)
	assert.Equal(t, "hello", m.Data.Text)
	st := sup.Status()[0]
	assert.Equal(t, services.Ready, st.State)
	assert.Equal(t, "echo", st.Name)
	assert.True(t, st.Bus.Connected)

	require.NoError(t, sup.Stop(t.Context()))
	assert.False(t, event(t, h, "shutdown").OK)
	assert.Equal(t, services.Stopped, sup.Status()[0].State)
	require.NoError(t, sup.Stop(t.Context()), "twice is fine")
}

// What a service logs for a message can be found by its turn.
func TestLogsNameTheTurn(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	me := bus.Client(t, "tester")
	said := servicetest.Collect(t, me, contract.TTSSay)
	var log bytes.Buffer
	sup, err := services.New(services.Options{
		Services: []services.Service{fake{"echo", func(ctx context.Context, rt services.Runtime) error {
			_, err := client.Subscribe(rt.Bus, contract.STTFinal, func(ctx context.Context, m client.Message[contract.FinalTranscript]) error {
				rt.Log.Info().Ctx(ctx).Msg("heard")
				_, err := client.Publish(ctx, rt.Bus, contract.TTSSay, contract.Say{Text: m.Data.Text})
				return err
			})
			if err != nil {
				return err
			}
			rt.Ready()
			rt.Log.Info().Ctx(ctx).Msg("begun")
			<-ctx.Done()
			return nil
		}}},
		Connect: func(name string, _ zerolog.Logger) (*client.Client, error) {
			return client.Connect(context.Background(), bus.Options(name))
		},
		Log: zerolog.New(zerolog.SyncWriter(&log)),
	})
	require.NoError(t, err)
	require.NoError(t, sup.Start())
	h := health(t, me, "echo")
	event(t, h, "ready")
	_, err = client.Publish(client.WithTurn(t.Context(), client.Turn{ID: "turn-7"}), me, contract.STTFinal, contract.FinalTranscript{Text: "hello"})
	require.NoError(t, err)
	said.Next(t)
	require.NoError(t, sup.Stop(t.Context()))
	found := map[string]bool{}
	for line := range strings.Lines(log.String()) {
		var m struct{ Message, Turn string }
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		found[m.Message+" "+m.Turn] = true
	}
	assert.True(t, found["heard turn-7"], "%v", found)
	assert.True(t, found["begun "], "%v", found)
}

// A run that fails is told of on the health topic, its subscriptions end with it, and the next run
// works on the same client.
func TestFailedRunIsReportedAndRestarted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail func(rt services.Runtime) error
		want string
	}{
		"error":      {func(services.Runtime) error { return errors.New("no microphone") }, "no microphone"},
		"panic":      {func(services.Runtime) error { panic("out of range") }, "panic: out of range\ngoroutine"},
		"a long one": {func(services.Runtime) error { return errors.New("x" + strings.Repeat("é", 5000)) }, "xé"},
		"early end":  {func(services.Runtime) error { return nil }, "ended by itself"},
		"closed client": {func(rt services.Runtime) error {
			return errors.Join(errors.New("clumsy"), rt.Bus.Close(context.Background()))
		}, "clumsy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bus := servicetest.Start(t)
			me := bus.Client(t, "tester")
			h := health(t, me, "fragile")
			said := servicetest.Collect(t, me, contract.TTSSay)
			var runs atomic.Int32
			first := make(chan struct{})
			sup := bus.Run(t, fake{"fragile", func(ctx context.Context, rt services.Runtime) error {
				if runs.Add(1) > 1 {
					return echo(ctx, rt)
				}
				_, err := client.Subscribe(rt.Bus, contract.STTFinal, func(context.Context, client.Message[contract.FinalTranscript]) error {
					t.Error("a handler of a run that has failed")
					return nil
				})
				if err != nil {
					return err
				}
				rt.Ready()
				rt.Ready() // does nothing
				<-first
				return c.fail(rt)
			}})
			event(t, h, "ready")
			close(first)
			ping := event(t, h, "restarting")
			assert.False(t, ping.OK)
			require.NotNil(t, ping.Err)
			assert.True(t, strings.HasPrefix(*ping.Err, c.want), "%s", *ping.Err)
			assert.Less(t, len(*ping.Err), 5000, "the log has all of it")
			st := sup.Status()[0]
			assert.Equal(t, uint64(1), st.Restarts)
			assert.Contains(t, st.Err, c.want)
			assert.True(t, event(t, h, "ready").OK, "the retained state is good again")
			_, err := client.Publish(t.Context(), me, contract.STTFinal, contract.FinalTranscript{Text: "x"})
			require.NoError(t, err)
			said.Next(t)
			assert.Zero(t, said.Len(), "once")
			require.Eventually(t, func() bool { return sup.Status()[0].State == services.Ready }, 10*time.Second, time.Millisecond) // a moment after it is said
			assert.Empty(t, sup.Status()[0].Err)
		})
	}
}

// A handler that does not end keeps its run's client, not the next run.
func TestStuckHandler(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	me := bus.Client(t, "tester")
	h := health(t, me, "stuck")
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	entered := make(chan struct{})
	var runs atomic.Int32
	bus.Run(t, fake{"stuck", func(ctx context.Context, rt services.Runtime) error {
		if runs.Add(1) > 1 {
			return echo(ctx, rt)
		}
		_, err := client.Subscribe(rt.Bus, contract.STTFinal, func(context.Context, client.Message[contract.FinalTranscript]) error {
			close(entered)
			<-release
			return nil
		})
		if err != nil {
			return err
		}
		rt.Ready()
		<-entered
		return errors.New("broken")
	}})
	event(t, h, "ready")
	_, err := client.Publish(t.Context(), me, contract.STTFinal, contract.FinalTranscript{Text: "x"})
	require.NoError(t, err)
	event(t, h, "restarting")
	event(t, h, "ready")
	assert.Equal(t, int32(2), runs.Load())
}

// A service that does not say it is ready is reported, and goes on.
func TestLateService(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	h := health(t, bus.Client(t, "tester"), "slow")
	sup := supervise(t, bus, 20*time.Millisecond, fake{"slow", func(ctx context.Context, _ services.Runtime) error {
		<-ctx.Done()
		return nil
	}})
	ping := event(t, h, "starting")
	assert.False(t, ping.OK)
	require.NotNil(t, ping.Err)
	assert.Equal(t, "not ready after 20ms", *ping.Err)
	st := sup.Status()[0]
	assert.Equal(t, services.Starting, st.State)
	assert.Equal(t, "not ready after 20ms", st.Err)
	assert.Zero(t, st.Restarts)
}

// A subscription that the broker refuses is a failure of the run, not a service that hears nothing.
func TestRefusedSubscription(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t, brokertest.WithPolicy(noSubscriptions{}))
	h := health(t, bus.Client(t, "tester"), "deaf")
	supervise(t, bus, time.Minute, fake{"deaf", echo})
	ping := event(t, h, "restarting")
	require.NotNil(t, ping.Err)
	assert.Contains(t, *ping.Err, "not ready: ")
	assert.Contains(t, *ping.Err, "refused")
}

// noSubscriptions is a policy under which services may subscribe to nothing.
type noSubscriptions struct{ brokertest.AllowAll }

func (noSubscriptions) MaySubscribe(p *delivery.Peer, _ string) bool { return p.ID != "tars-deaf" }

func supervise(t *testing.T, bus *servicetest.Bus, readyWithin time.Duration, list ...services.Service) *services.Supervisor {
	t.Helper()
	sup, err := services.New(services.Options{
		Services: list, ReadyWithin: readyWithin, Log: zerolog.Nop(),
		Connect: func(name string, _ zerolog.Logger) (*client.Client, error) {
			return client.Connect(context.Background(), bus.Options(name))
		},
	})
	require.NoError(t, err)
	require.NoError(t, sup.Start())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		assert.NoError(t, sup.Stop(ctx))
	})
	return sup
}

// What moves is stopped, and has ended, before the others hear of it.
func TestMotionStopsFirst(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	var order atomic.Value
	order.Store("")
	ends := func(name string, takes time.Duration) fake {
		return fake{name, func(ctx context.Context, rt services.Runtime) error {
			rt.Ready()
			<-ctx.Done()
			<-time.After(takes)
			for {
				old := order.Load()
				if order.CompareAndSwap(old, old.(string)+name+" ") {
					return nil
				}
			}
		}}
	}
	sup := supervise(t, bus, time.Minute, ends("quick", 0), mover{ends("legs", 200*time.Millisecond)}, ends("slow", 100*time.Millisecond))
	require.NoError(t, sup.Stop(t.Context()))
	assert.Equal(t, "legs quick slow ", order.Load())
}

// A service that ignores its end costs the stop its deadline, and nothing else its goodbye.
func TestStopHasADeadline(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	h := health(t, bus.Client(t, "tester"), "good")
	release := make(chan struct{})
	sup, err := services.New(services.Options{
		Services: []services.Service{
			mover{fake{"deaf", func(_ context.Context, rt services.Runtime) error { rt.Ready(); <-release; return nil }}},
			fake{"good", echo},
		},
		Connect: func(name string, _ zerolog.Logger) (*client.Client, error) {
			return client.Connect(context.Background(), bus.Options(name))
		},
		Log: zerolog.Nop(),
	})
	require.NoError(t, err)
	require.NoError(t, sup.Start())
	event(t, h, "ready")
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	t0 := time.Now()
	require.ErrorContains(t, sup.StopFirst(short()), "service deaf: does not end")
	require.ErrorContains(t, sup.Stop(short()), "service deaf: does not end")
	assert.Less(t, time.Since(t0), 2*time.Second)
	event(t, h, "shutdown")
	close(release)
	require.NoError(t, sup.Stop(t.Context()), "now it does")
}

// A failing service is stopped in the middle of its wait.
func TestStopDuringAWait(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	h := health(t, bus.Client(t, "tester"), "broken")
	sup := supervise(t, bus, time.Minute, fake{"broken", func(context.Context, services.Runtime) error { return errors.New("no") }})
	event(t, h, "restarting")
	t0 := time.Now()
	require.NoError(t, sup.Stop(t.Context()))
	assert.Less(t, time.Since(t0), 500*time.Millisecond)
}

func TestNewRefusesNames(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{"a", "a"}, {""}, {"a/b"}, {"a+"}, {"Upper"}, {strings.Repeat("x", 33)}} {
		var list []services.Service
		for _, n := range names {
			list = append(list, fake{name: n})
		}
		_, err := services.New(services.Options{Services: list})
		assert.Error(t, err, "%q", names)
	}
}

// A client that cannot be made fails the start, and nothing is left running.
func TestStartFailsAsAWhole(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	var one *client.Client
	sup, err := services.New(services.Options{
		Services: []services.Service{fake{"one", func(context.Context, services.Runtime) error { t.Error("runs"); return nil }}, fake{name: "two"}},
		Connect: func(name string, _ zerolog.Logger) (*client.Client, error) {
			o := bus.Options(name)
			if name == "two" {
				o.Dial, o.URL = nil, "nonsense"
			}
			c, err := client.Connect(context.Background(), o)
			if name == "one" {
				one = c
			}
			return c, err
		},
		Log: zerolog.Nop(),
	})
	require.NoError(t, err)
	require.ErrorContains(t, sup.Start(), "service two: ")
	require.ErrorIs(t, one.Reset(t.Context()), client.ErrClosed)
	require.NoError(t, sup.Stop(t.Context()))
}
