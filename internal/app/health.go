package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/hooks/health"
	"github.com/tarsd/tarsd/hooks/observe"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/web"
)

// ErrNotRunning is wrapped by errors which say that no tarsd runs in a data directory.
var ErrNotRunning = errNotRunning

// HealthReport is the health of all peers and of the tarsd that knows it.
type HealthReport struct {
	health.Report
	Tarsd *Status `json:"tarsd,omitempty"` // nil when it was read from a broker elsewhere
}

// PeerHealth is that of one of them.
type PeerHealth = health.Peer

func healthOptions(c config.Health) health.Options {
	return health.Options{
		Required: c.Required, Names: c.Names, Heartbeat: time.Duration(c.Heartbeat), Grace: time.Duration(c.Grace),
		ErrorHold: time.Duration(c.ErrorHold), Harmless: c.Harmless,
	}
}

// startHealth starts the watching before anybody can connect. At the stop it ends after the
// services, whose last words it carries, and before the broker ends the other connections.
func (a *App) startHealth(context.Context) error {
	o := healthOptions(a.cfg.Health)
	o.Engine, o.MayPublish, o.Log = a.engine, a.policy.MayPublish, a.log.With().Str("part", "health").Logger()
	for _, s := range choose(a.o.available(), a.cfg) {
		o.Services = append(o.Services, s.name)
	}
	a.peers = health.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	a.wg.Go(func() { defer close(done); a.fail(a.peers.Run(ctx)) })
	a.onStop("health", func(stop context.Context) error {
		cancel()
		return within(stop, func() { <-done })
	})
	return nil
}

// isReady is the answer of /readyz: clients are served, and every service of this process has been
// ready once. What connects from outside does not count, since it may wait for this very answer.
func (a *App) isReady() bool {
	return a.ready.Load() && a.peers.Verdict().Ready
}

// peerHealth adds the health of required peers to the verdict of /healthz.
func (a *App) peerHealth(h *web.Health) {
	rep := a.peers.Verdict()
	for _, p := range rep.Peers {
		h.Peers = append(h.Peers, web.Peer{Name: p.Name, State: string(p.State), Up: p.Up, Since: p.Since, Reason: p.Err})
	}
	if reason := rep.Reason(); reason != "" && h.Status == web.OK {
		h.Status, h.Reason = web.Degraded, reason
	}
}

// peerFigures are what the metrics show of peers.
func (a *App) peerFigures() []observe.Peer {
	rep := a.peers.Report()
	out := make([]observe.Peer, len(rep.Peers))
	for i, p := range rep.Peers {
		out[i] = observe.Peer{
			Name: p.Name, Up: p.Up, Required: p.Required, LastSeen: p.LastSeen, Beat: time.Duration(p.IntervalMS) * time.Millisecond,
			Losses: p.Losses, Restarts: p.Restarts,
		}
		if p.LatencyMS != nil {
			out[i].Latency, out[i].Delayed = time.Duration(*p.LatencyMS*float64(time.Millisecond)), true
		}
	}
	return out
}

func (a *App) adminHealth(w http.ResponseWriter, _ *http.Request) {
	s := a.status()
	rep := a.peers.Report()
	for _, f := range a.serviceFigures() { // what the broker does not see
		for i := range rep.Peers {
			if rep.Peers[i].Name == f.Name {
				rep.Peers[i].Drops += f.Dropped
			}
		}
	}
	answer(w, HealthReport{Report: rep, Tarsd: &s})
}

// Health asks the tarsd that runs in the data directory. The error wraps ErrNotRunning if none
// does.
func Health(ctx context.Context, c config.Config) (HealthReport, error) {
	var rep HealthReport
	r, err := dialRemote(ctx, c.DataDir)
	if errors.Is(err, errNotRunning) {
		return rep, fmt.Errorf("%w: %s", err, c.DataDir)
	}
	if err != nil {
		return rep, err
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err = r.call(ctx, http.MethodGet, "/v1/health", nil, &rep)
	return rep, err
}

// Forms of what ReadHealth reads.
const (
	HealthFilter = "system/health/+" // topics of health
	HealthLine   = "%x %t"           // how tarsd sub is to print them
)

// ReadHealth makes a report of retained health messages of a broker elsewhere, as `tarsd sub`
// prints them by HealthLine: what is retained there, which is less than that broker may know. A line
// that is none, such as the second of a topic with a line feed, counts as malformed.
func ReadHealth(lines string, c config.Config) HealthReport {
	var kept []delivery.Sight
	for line := range strings.Lines(lines) {
		payload, topic, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		b, err := hex.DecodeString(payload)
		if err != nil {
			b = nil
		}
		kept = append(kept, delivery.Sight{Topic: topic, Payload: b, Retain: true})
	}
	return HealthReport{Report: health.Read(kept, healthOptions(c.Health))}
}
