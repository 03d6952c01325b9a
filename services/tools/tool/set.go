package tool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// The limits of calls.
const (
	perServer = 4         // calls of one server's tools at once
	maxImages = 8         // in a result
	maxImage  = 6 << 20   // bytes of all of them
	logged    = 200       // bytes of an error in the log
	cutNote   = "\n[cut]" // stands at the end of what was longer
)

// Why a call comes to nothing, besides what the tool itself says.
var (
	ErrBusy      = errors.New("too many calls are under way; try again later")
	ErrArguments = errors.New("the arguments are not as the tool wants them")
	ErrTimeout   = errors.New("no result in time")
	ErrStopping  = errors.New("the robot is shutting down")
	errPanic     = errors.New("the tool failed badly; the log says how")
)

// Caller calls tools within limits: so many at once for each server, so long, and results of a
// bounded size. mu guards busy.
type Caller struct {
	result int // bytes of text
	log    zerolog.Logger

	mu   sync.Mutex
	busy map[string]int // calls by server
}

// NewCaller makes a Caller. result is the longest text of a result, in bytes.
func NewCaller(result int, log zerolog.Logger) *Caller {
	return &Caller{result: result, log: log, busy: map[string]int{}}
}

// Call calls a tool and waits for it, at most its Timeout. It returns also if the tool does not
// heed its context: what hangs then is left to itself, and goes on counting as a call of its server.
// The error is in words for a model.
func (c *Caller) Call(ctx context.Context, t *Ready, args map[string]any) (Result, error) {
	start := time.Now()
	r, err := c.call(ctx, t, args)
	e := c.log.Info().Ctx(ctx)
	if err != nil {
		e = c.log.Warn().Ctx(ctx).Str("err", Cut(err.Error(), logged))
	}
	e.Str("tool", t.ID).Dur("took", time.Since(start)).Msg("tool call")
	return r, err
}

func (c *Caller) call(ctx context.Context, t *Ready, args map[string]any) (Result, error) {
	if args == nil {
		args = map[string]any{}
	}
	if err := t.check(args); err != nil {
		return Result{}, err
	}
	if !c.enter(t) {
		return Result{}, ErrBusy
	}
	ctx, cancel := context.WithTimeoutCause(ctx, t.Timeout, fmt.Errorf("%w: waited for %s", ErrTimeout, t.Timeout))
	defer cancel()
	type outcome struct {
		r   Result
		err error
	}
	done := make(chan outcome, 1)
	// It ends with its context. One that does not is held by the count of its server, so that
	// perServer of them is the most there can be.
	go func() {
		defer c.leave(t)
		r, err := c.guarded(ctx, t, args)
		done <- outcome{r, err}
	}()
	select {
	case o := <-done:
		if o.err != nil && ctx.Err() != nil {
			o.err = context.Cause(ctx)
		}
		if o.err != nil {
			return Result{}, o.err
		}
		return c.bound(o.r), nil
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
}

// check judges arguments before anything happens.
func (t *Ready) check(args map[string]any) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrArguments, err)
	}
	if len(raw) > MaxArguments {
		return fmt.Errorf("%w: they are longer than %d bytes", ErrArguments, MaxArguments)
	}
	if err := t.schema.Check(args); err != nil {
		return fmt.Errorf("%w: %s", ErrArguments, Cut(err.Error(), 500))
	}
	return nil
}

func (c *Caller) guarded(ctx context.Context, t *Ready, args map[string]any) (r Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error().Ctx(ctx).Str("tool", t.ID).Msgf("panic: %v\n%s", p, debug.Stack())
			r, err = Result{}, errPanic
		}
	}()
	return t.Do(ctx, args)
}

func (c *Caller) enter(t *Ready) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[t.Server] >= perServer && !t.Urgent {
		return false
	}
	c.busy[t.Server]++
	return true
}

func (c *Caller) leave(t *Ready) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[t.Server]--; c.busy[t.Server] == 0 {
		delete(c.busy, t.Server)
	}
}

// bound cuts a result to size.
func (c *Caller) bound(r Result) Result {
	if r.Text = strings.ToValidUTF8(r.Text, "\uFFFD"); len(r.Text) > c.result {
		r.Text = Cut(r.Text, max(c.result-len(cutNote), 0)) + cutNote
	}
	if r.Data != nil {
		raw, err := json.Marshal(r.Data)
		if err != nil || len(raw) > c.result {
			r.Data = nil
		}
	}
	r.Images = r.Images[:min(len(r.Images), maxImages)]
	size := 0
	for i, img := range r.Images {
		if size += len(img.Data); size > maxImage {
			r.Images = r.Images[:i]
			r.Text += "\n[a picture is too large and was left out]"
			break
		}
	}
	return r
}
