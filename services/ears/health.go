package ears

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
)

// publishLimit bounds what a publish waits for the broker.
const publishLimit = 2 * time.Second

// health says on the health topic how the microphone is, when that has changed. Its methods do not
// wait, but for spread.
type health struct {
	bus *client.Client
	log zerolog.Logger

	mu       sync.Mutex // guards what follows
	ok       bool       // the microphone is as it should be
	event    string
	err      error
	silent   bool             // it gives nothing but zeros
	problems map[string]error // with what is less than the microphone
	wake     chan struct{}
}

func newHealth(rt services.Runtime) *health {
	return &health{bus: rt.Bus, log: rt.Log, problems: map[string]error{}, wake: make(chan struct{}, 1)}
}

// microphone notes how the microphone of this machine is.
func (h *health) microphone(ok bool, event string, err error) {
	level := zerolog.WarnLevel
	if ok {
		level = zerolog.InfoLevel
	}
	h.log.WithLevel(level).Str("event", event).AnErr("err", err).Msg("microphone")
	h.change(func() { h.ok, h.event, h.err = ok, event, err })
}

// muted notes whether the microphone gives nothing but zeros, which it may go on with after a loss.
func (h *health) muted(silent bool) {
	h.log.Info().Bool("silent", silent).Msg("microphone")
	h.change(func() { h.silent = silent })
}

// problem notes what is wrong with a part; nil: nothing. It is said, and the service is well.
func (h *health) problem(part string, err error) {
	if err != nil {
		h.log.Warn().Err(err).Str("part", part).Msg("not served")
	}
	h.change(func() {
		delete(h.problems, part)
		if err != nil {
			h.problems[part] = err
		}
	})
}

func (h *health) change(f func()) {
	h.mu.Lock()
	f()
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *health) verdict() (ok bool, event string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	errs := []error{h.err}
	for _, part := range slices.Sorted(maps.Keys(h.problems)) {
		errs = append(errs, h.problems[part])
	}
	event = h.event
	if h.silent && h.ok {
		event += fmt.Sprintf("; nothing but zeros for %s: is it muted?", mutedAfter)
	}
	return h.ok, event, errors.Join(errs...)
}

// spread publishes the latest verdict until ctx ends.
func (h *health) spread(ctx context.Context) {
	for {
		select {
		case <-h.wake:
		case <-ctx.Done():
			return
		}
		ok, event, err := h.verdict()
		if event == "" { // a part was quicker than the microphone, which is what counts
			continue
		}
		within, cancel := context.WithTimeout(ctx, publishLimit)
		if perr := h.bus.Health(within, ok, event, err); perr != nil && ctx.Err() == nil {
			h.log.Debug().Err(perr).Msg("health not published")
		}
		cancel()
	}
}
