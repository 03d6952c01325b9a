package ears

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
)

// publishLimit bounds what a publish waits for the broker.
const publishLimit = 2 * time.Second

// health says on the health topic how the microphone is, when that has changed.
type health struct {
	bus *client.Client
	log zerolog.Logger

	mu   sync.Mutex // guards what follows
	now  verdict
	wake chan struct{}
}

// verdict is what there is to say.
type verdict struct {
	ok    bool
	event string
	err   error
}

func newHealth(rt services.Runtime) *health {
	return &health{bus: rt.Bus, log: rt.Log, wake: make(chan struct{}, 1)}
}

// microphone notes how the microphone of this machine is. It does not wait.
func (h *health) microphone(ok bool, event string, err error) {
	h.log.WithLevel(level(ok)).Str("event", event).AnErr("err", err).Msg("microphone")
	h.mu.Lock()
	h.now = verdict{ok, event, err}
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func level(ok bool) zerolog.Level {
	if ok {
		return zerolog.InfoLevel
	}
	return zerolog.WarnLevel
}

// spread publishes the latest verdict until ctx ends.
func (h *health) spread(ctx context.Context) {
	for {
		select {
		case <-h.wake:
		case <-ctx.Done():
			return
		}
		h.mu.Lock()
		v := h.now
		h.mu.Unlock()
		within, cancel := context.WithTimeout(ctx, publishLimit)
		if err := h.bus.Health(within, v.ok, v.event, v.err); err != nil && ctx.Err() == nil {
			h.log.Debug().Err(err).Msg("health not published")
		}
		cancel()
	}
}
