package services

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// script is a service whose runs are functions; the last one repeats.
type script struct {
	runs []func(ctx context.Context, rt Runtime) error
	n    int
}

func (*script) Name() string { return "script" }

func (s *script) Run(ctx context.Context, rt Runtime) error {
	run := s.runs[min(s.n, len(s.runs)-1)]
	s.n++
	return run(ctx, rt)
}

func fails(context.Context, Runtime) error { return errors.New("broken") }

func lasts(d time.Duration) func(context.Context, Runtime) error {
	return func(ctx context.Context, _ Runtime) error {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(d):
			return errors.New("broken")
		}
	}
}

// waits runs s for d and returns the waits between its runs.
func waits(t *testing.T, s *script, d time.Duration) (out []time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	keep(ctx, func(ctx context.Context) error { return runOnce(ctx, s, Runtime{}) }, func(err error, wait time.Duration) {
		assert.Error(t, err)
		out = append(out, wait)
	})
	return out
}

func TestWaitsDoubleUpToTheCap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := waits(t, &script{runs: []func(context.Context, Runtime) error{fails}}, 10*time.Minute)
		require.Greater(t, len(got), 20, "it goes on for ever")
		for i, w := range got {
			nominal := mostWait
			if i < 5 {
				nominal = time.Second << i
			}
			assert.LessOrEqual(t, w, nominal, "wait %d", i)
			assert.Greater(t, w, nominal*4/5-1, "wait %d", i)
		}
		assert.NotEqual(t, got[6], got[7], "there is jitter")
	})
}

func TestAGoodMinuteResetsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{runs: []func(context.Context, Runtime) error{fails, fails, fails, lasts(goodRun - time.Second), lasts(goodRun), fails, lasts(time.Hour)}}
		got := waits(t, s, 30*time.Minute)
		require.Len(t, got, 6)
		for i, seconds := range []float64{1, 2, 4, 8, 1, 2} {
			assert.InDelta(t, seconds*0.9, got[i].Seconds(), seconds*0.11, "wait %d", i)
		}
	})
}

// What failed takes, such as telling of it, does not make the wait longer.
func TestReportIsAPartOfTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var at []time.Time
		var pause time.Duration
		keep(ctx, func(context.Context) error {
			if at = append(at, time.Now()); len(at) == 2 {
				cancel()
			}
			return errEnded
		}, func(_ error, wait time.Duration) {
			pause = wait
			time.Sleep(wait / 2)
		})
		assert.Equal(t, pause, at[1].Sub(at[0]))
	})
}

func TestEndDuringAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		t0 := time.Now()
		waits(t, &script{runs: []func(context.Context, Runtime) error{fails}}, 500*time.Millisecond)
		assert.Equal(t, 500*time.Millisecond, time.Since(t0))
	})
}

func TestHowRunsEnd(t *testing.T) {
	t.Parallel()
	cause := errors.New("the cause")
	for name, c := range map[string]struct {
		run  func(context.Context, Runtime) error
		want string
		is   error
	}{
		"error":          {func(context.Context, Runtime) error { return cause }, "the cause", cause},
		"nil":            {func(context.Context, Runtime) error { return nil }, "ended by itself", errEnded},
		"panic":          {func(context.Context, Runtime) error { panic("oh no") }, "panic: oh no", nil},
		"panic with one": {func(context.Context, Runtime) error { panic(fmt.Errorf("deep: %w", cause)) }, "panic: deep: the cause", cause},
		"runtime error":  {func(ctx context.Context, _ Runtime) error { _ = []int{}[len(fmt.Sprint(ctx))]; return nil }, "index out of range", nil},
	} {
		err := runOnce(t.Context(), &script{runs: []func(context.Context, Runtime) error{c.run}}, Runtime{})
		require.Error(t, err, name)
		assert.Contains(t, err.Error(), c.want, name)
		if c.is != nil {
			assert.ErrorIs(t, err, c.is, name)
		}
		var p *panicError
		if errors.As(err, &p) {
			assert.Contains(t, err.Error(), "TestHowRunsEnd", "the stack of %s", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.NoError(t, runOnce(ctx, &script{runs: []func(context.Context, Runtime) error{lasts(time.Hour)}}, Runtime{}))
}
