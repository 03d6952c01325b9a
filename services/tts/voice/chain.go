package voice

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// patience is how long an engine that failed is not asked, unless all have.
const patience = 30 * time.Second

// Chain asks engines in their order until one speaks. mu guards which of them failed.
type Chain struct {
	engines []Engine
	absent  []error
	silence time.Duration

	mu     sync.Mutex
	failed map[int]time.Time
	errs   map[int]error
}

// NewChain makes a chain. absent says why others are not in it. An engine that gives nothing for
// the time of silence has failed.
func NewChain(engines []Engine, absent []error, silence time.Duration) *Chain {
	return &Chain{engines: engines, absent: absent, silence: silence, failed: map[int]time.Time{}, errs: map[int]error{}}
}

// Speak has the first engine speak that can, and returns its name. An engine that fails in the
// middle of a sentence is not replaced by another, who would say the beginning twice.
func (c *Chain) Speak(ctx context.Context, t Text, emit func(Sound) error) (string, error) {
	var errs []error
	for _, i := range c.order(&t) {
		begun, err := c.try(ctx, c.engines[i], t, emit)
		c.note(i, err, ctx.Err() != nil)
		if err == nil || begun || ctx.Err() != nil {
			return Name(c.engines[i]), err
		}
		errs = append(errs, err)
	}
	return "", errors.Join(append(errs, c.absent...)...)
}

func (c *Chain) try(ctx context.Context, e Engine, t Text, emit func(Sound) error) (begun bool, err error) {
	in, touch, cancel := withIdle(ctx, c.silence)
	defer cancel()
	var emitted error
	err = e.Speak(in, t, func(s Sound) error {
		touch()
		if len(s.PCM) == 0 {
			return nil
		}
		begun = true
		emitted = emit(s)
		touch()
		return emitted
	})
	switch {
	case emitted != nil:
		return true, emitted
	case ctx.Err() != nil:
		return begun, err
	case err == nil && (begun || !speakable(t.Text)):
		return begun, nil
	case err == nil:
		err = fmt.Errorf("%w: none", ErrSound)
	case in.Err() != nil:
		err = context.Cause(in)
	}
	return begun, fmt.Errorf("%s: %w", Name(e), err)
}

// speakable reports whether a text has anything that can be heard.
func speakable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}

// judge is implemented by an engine that cannot say everything, such as texts of other languages.
type judge interface{ Suits(t Text) bool }

// order is whom to ask: those that failed a moment ago later, and those that it does not suit last.
func (c *Chain) order(t *Text) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var good, bad, unsuited []int
	for i, e := range c.engines {
		at, failed := c.failed[i]
		if j, ok := e.(judge); ok && t != nil && !j.Suits(*t) {
			unsuited = append(unsuited, i)
		} else if failed && time.Since(at) < patience {
			bad = append(bad, i)
		} else {
			good = append(good, i)
		}
	}
	return slices.Concat(good, bad, unsuited)
}

func (c *Chain) note(i int, err error, cancelled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		delete(c.failed, i)
		delete(c.errs, i)
	case !cancelled:
		c.failed[i], c.errs[i] = time.Now(), err
	}
}

// First is the engine that is asked next, and its ID; nothing when there is none. t may be nil.
func (c *Chain) First(t *Text) (name, id string) {
	if order := c.order(t); len(order) > 0 {
		e := c.engines[order[0]]
		return Name(e), e.ID()
	}
	return "", ""
}

// Err says what is wrong with engines that were wanted: those that are missing, and those that failed.
func (c *Chain) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := append([]error(nil), c.absent...)
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

// Name is the first word of an engine's ID.
func Name(e Engine) string {
	name, _, _ := strings.Cut(e.ID(), " ")
	return name
}
