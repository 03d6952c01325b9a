package recognise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tarsd/tarsd/internal/audio"

	"github.com/tarsd/tarsd/internal/engine/pocketsphinx"
)

// rest is how long an engine that failed is asked after the others.
const rest = 30 * time.Second

// piece is how much sound an engine gets at once, so that one that is slow, and not dead, gets its
// time again with each.
const piece = audio.Rate

// maxKept bounds the sound of an utterance that is kept for the next engine. The service cuts
// utterances long before that.
const maxKept = 2 * 60 * audio.Rate

// Named errors.
var (
	// ErrNone says that there is no engine at all.
	ErrNone = errors.New("no engine")
	// ErrTooLong says that an utterance is longer than two minutes.
	ErrTooLong = errors.New("an utterance of more than two minutes")
	// ErrAnswer is wrapped when what a peer says makes no sense.
	ErrAnswer = errors.New("an answer that makes no sense")
)

// Chain asks engines in their order until one understands. mu guards which of them failed.
type Chain struct {
	engines  []Engine
	absent   []error
	patience time.Duration

	mu     sync.Mutex
	failed map[int]time.Time
	errs   map[int]error
}

// NewChain makes a chain. absent says why others are not in it. An engine that takes longer than
// patience for a second of sound, a partial or a final transcript has failed.
func NewChain(engines []Engine, absent []error, patience time.Duration) *Chain {
	return &Chain{engines: engines, absent: absent, patience: patience, failed: map[int]time.Time{}, errs: map[int]error{}}
}

// Begin starts an utterance. It asks nobody yet, and so cannot fail.
func (c *Chain) Begin(u Utterance) *Relay { return &Relay{c: c, u: u, left: c.order()} }

// order is whom to ask: those that failed a moment ago last.
func (c *Chain) order() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var good, bad []int
	for i := range c.engines {
		if at, failed := c.failed[i]; failed && time.Since(at) < rest {
			bad = append(bad, i)
		} else {
			good = append(good, i)
		}
	}
	return slices.Concat(good, bad)
}

func (c *Chain) note(i int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		delete(c.failed, i)
		delete(c.errs, i)
		return
	}
	for _, asked := range []error{ErrLang, ErrTooLong, pocketsphinx.ErrTooLong} {
		if errors.Is(err, asked) { // that is the matter of who asked; the next one asks for something else
			return
		}
	}
	c.failed[i], c.errs[i] = time.Now(), err
}

// Name is that of the engine that is asked next; empty when there is none.
func (c *Chain) Name() string {
	if order := c.order(); len(order) > 0 {
		return c.engines[order[0]].Name()
	}
	return ""
}

// Err says what is wrong with engines that were wanted: those that are missing, and those that
// failed when they were asked last.
func (c *Chain) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := slices.Clone(c.absent)
	for i := range c.engines {
		if err := c.errs[i]; err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Close closes the engines.
func (c *Chain) Close() error {
	var errs []error
	for _, e := range c.engines {
		errs = append(errs, e.Close())
	}
	return errors.Join(errs...)
}

// Relay is one utterance in a chain. It keeps the sound, which the next engine gets when one fails,
// hangs or goes away. It is for one goroutine.
type Relay struct {
	c    *Chain
	u    Utterance
	left []int // engines that were not asked yet, behind the one that is
	pcm  []int16
	fed  int    // samples of pcm that s has
	s    Stream // nil: left[0] has not begun
	errs []error
}

// Engine is the name of the engine that is asked, or comes next; empty when none is left.
func (r *Relay) Engine() string {
	if len(r.left) == 0 {
		return ""
	}
	return r.c.engines[r.left[0]].Name()
}

// Feed takes the next piece of sound. An error means that no engine is left, ctx has ended, or the
// utterance is too long.
func (r *Relay) Feed(ctx context.Context, pcm []int16) error {
	if len(r.pcm)+len(pcm) > maxKept {
		return ErrTooLong
	}
	r.pcm = append(r.pcm, pcm...)
	return r.ask(ctx, func(context.Context, Stream) error { return nil })
}

// Partial returns what was understood so far.
func (r *Relay) Partial(ctx context.Context) (text string, err error) {
	err = r.ask(ctx, func(ctx context.Context, s Stream) error {
		text, err = s.Partial(ctx)
		return err
	})
	return text, err
}

// Finish tells that the speech is over, and returns what was understood.
func (r *Relay) Finish(ctx context.Context) (res Result, err error) {
	err = r.ask(ctx, func(ctx context.Context, s Stream) error {
		res, err = s.Finish(ctx)
		return err
	})
	if err == nil {
		r.c.note(r.left[0], nil)
	}
	return res, err
}

// Close gives the utterance up; also needed after Finish.
func (r *Relay) Close() error {
	if r.s == nil {
		return nil
	}
	err := r.s.Close()
	r.s = nil
	return err
}

// ask has the engine do something when it has all sound, and the next one when it cannot.
func (r *Relay) ask(ctx context.Context, do func(context.Context, Stream) error) error {
	for len(r.left) > 0 {
		err := r.one(ctx, do)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err = fmt.Errorf("%s: %w", r.Engine(), err)
		r.c.note(r.left[0], err)
		r.errs = append(r.errs, err)
		_ = r.Close() // it has failed already
		r.left, r.fed = r.left[1:], 0
	}
	if err := errors.Join(append(r.errs, r.c.absent...)...); err != nil {
		return err
	}
	return ErrNone
}

func (r *Relay) one(ctx context.Context, do func(context.Context, Stream) error) error {
	if r.s == nil {
		err := r.within(ctx, func(ctx context.Context) (err error) {
			r.s, err = r.c.engines[r.left[0]].Begin(ctx, r.u)
			return err
		})
		if err != nil {
			return err
		}
	}
	for r.fed < len(r.pcm) {
		next := r.pcm[r.fed:min(len(r.pcm), r.fed+piece)]
		if err := r.within(ctx, func(ctx context.Context) error { return r.s.Feed(ctx, next) }); err != nil {
			return err
		}
		r.fed += len(next)
	}
	return r.within(ctx, func(ctx context.Context) error { return do(ctx, r.s) })
}

// within gives an engine its time.
func (r *Relay) within(ctx context.Context, f func(context.Context) error) error {
	in, cancel := context.WithTimeoutCause(ctx, r.c.patience, fmt.Errorf("nothing within %v", r.c.patience))
	defer cancel()
	err := f(in)
	if err != nil && in.Err() != nil && ctx.Err() == nil {
		return context.Cause(in)
	}
	return err
}
