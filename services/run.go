package services

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// Waits between two runs of a service that fails.
const (
	firstWait = time.Second
	mostWait  = 30 * time.Second
	goodRun   = time.Minute // after a run of this length the waits begin anew
)

// errEnded is the failure of a service that stops working without saying why.
var errEnded = errors.New("ended by itself")

// panicError is a panic of a service.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// Unwrap lets an error that was panicked with be found.
func (e *panicError) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

// runOnce runs s and makes an error of each way in which it can end before ctx does.
func runOnce(ctx context.Context, s Service, rt Runtime) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{r, debug.Stack()}
		}
	}()
	err = s.Run(ctx, rt)
	if ctx.Err() == nil && err == nil {
		return errEnded
	}
	return err
}

// keep calls run until ctx ends. failed is called after each run that failed, with the wait
// before the next one; what failed takes is a part of the wait.
func keep(ctx context.Context, run func(context.Context) error, failed func(err error, wait time.Duration)) {
	for wait := firstWait; ; wait = min(2*wait, mostWait) {
		t0 := time.Now()
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(t0) >= goodRun {
			wait = firstWait
		}
		pause := jitter(wait)
		timer := time.NewTimer(pause)
		failed(err, pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// jitter shortens d by up to a fifth, so that services that failed together do not come back
// together.
func jitter(d time.Duration) time.Duration {
	return d - rand.N(d/5) //nolint:gosec // not a secret
}
