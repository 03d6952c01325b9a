package wake

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// publishLimit bounds what the loop waits for the broker.
const publishLimit = 2 * time.Second

// version is that of what is said on wake/health.
const version = "1.0.0"

// publish carries out one effect.
func (r *run) publish(ctx context.Context, e effect) {
	var opts []client.PublishOption
	if e.call != nil {
		ctx = client.WithTurn(ctx, client.Turn{ID: e.call.id, Origin: e.call.site})
		if !e.call.said && e.event != nil { // the turn has its id from its first event
			e.call.said = true
			opts = append(opts, client.WithID(e.call.id))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	var err error
	switch {
	case e.event != nil:
		r.log.Debug().Ctx(ctx).Str("type", e.event.Type).Str("cause", contract.Value(e.event.Cause)).Msg("call")
		_, err = client.Publish(ctx, r.bus, contract.WakeEvent, *e.event, opts...)
	case e.mic != nil:
		_, err = client.Publish(ctx, r.bus, contract.WakeMic, *e.mic)
	case e.control != nil:
		_, err = client.Publish(ctx, r.bus, contract.TTSControl, *e.control)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		r.log.Warn().Ctx(ctx).Err(err).Msg("not published")
	}
}

// failed tells peers of the legacy system that there is no detector.
func (r *run) failed(ctx context.Context, err error) {
	r.publish(ctx, effect{event: &contract.Wake{Type: contract.WakeDetectorErr, Cause: new(err.Error())}})
	r.sayHealth(ctx, false)
}

func (r *run) sayHealth(ctx context.Context, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	if _, err := client.Publish(ctx, r.bus, contract.WakeHealth, contract.WakeState{OK: ok, Version: version}); err != nil && ctx.Err() == nil {
		r.log.Debug().Err(err).Msg("health not published")
	}
}

// scores are the last score of each site that was not published yet. Ears put them, one goroutine
// publishes them: what it does not manage is replaced by what is newer.
type scores struct {
	news chan struct{} // capacity 1

	mu   sync.Mutex // guards what follows
	last map[string]score
}

func newScores() *scores { return &scores{news: make(chan struct{}, 1), last: map[string]score{}} }

func (s *scores) put(site string, v score) {
	s.mu.Lock()
	s.last[site] = v
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *scores) take() map[string]score {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.last
	s.last = map[string]score{}
	return out
}

func (s *scores) publish(ctx context.Context, bus *client.Client, log zerolog.Logger) {
	for {
		select {
		case <-s.news:
		case <-ctx.Done():
			return
		}
		for site, v := range s.take() {
			within, cancel := context.WithTimeout(client.WithTurn(ctx, client.Turn{Origin: site}), publishLimit)
			data := contract.Score{Score: v.value, Threshold: &v.threshold, Energy: &v.energy}
			if _, err := client.Publish(within, bus, contract.WakeScore, data); err != nil && ctx.Err() == nil {
				log.Debug().Err(err).Msg("score not published")
			}
			cancel()
		}
	}
}
