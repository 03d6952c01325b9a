package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxPeers bounds the series that carry the name of a peer: names are chosen by strangers.
// Required ones always have theirs.
const maxPeers = 200

// Peer is what the metrics show of the health of a service or device.
type Peer struct {
	Name     string
	Up       bool
	Required bool
	LastSeen time.Time     // zero: never
	Beat     time.Duration // interval of its heartbeats; 0: it sends none
	Latency  time.Duration // of the last heartbeat
	Delayed  bool          // Latency is known
	Losses   int           // connections that ended without a DISCONNECT
	Restarts int           // by its supervisor, as it told
}

// peerCollector shows the health of peers.
type peerCollector struct {
	peers func() []Peer

	up, required, seen, beat, latency, losses, restarts *prometheus.Desc
}

func newPeerCollector(peers func() []Peer) *peerCollector {
	return &peerCollector{
		peers:    peers,
		up:       desc("peer_up", "1 while a service or device works, as far as the broker knows.", "name"),
		required: desc("peer_required", "1 for what has to be up.", "name"),
		seen:     desc("peer_last_seen_seconds", "Unix time of the last sign of life.", "name"),
		beat:     desc("peer_heartbeat_interval_seconds", "Interval of the heartbeats of a peer that sends them.", "name"),
		latency:  desc("peer_heartbeat_seconds", "Latency of the last heartbeat, by the clock of the peer.", "name"),
		losses:   desc("peer_losses_total", "Connections that ended without a DISCONNECT.", "name"),
		restarts: desc("peer_restarts_total", "Restarts by its supervisor, as the peer told.", "name"),
	}
}

func (c *peerCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.up, c.required, c.seen, c.beat, c.latency, c.losses, c.restarts} {
		ch <- d
	}
}

func (c *peerCollector) Collect(ch chan<- prometheus.Metric) {
	left := maxPeers
	for _, p := range c.peers() {
		if !p.Required {
			if left == 0 {
				continue
			}
			left--
		}
		put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
			ch <- prometheus.MustNewConstMetric(d, kind, v, p.Name)
		}
		put(c.up, prometheus.GaugeValue, number(p.Up))
		put(c.required, prometheus.GaugeValue, number(p.Required))
		if !p.LastSeen.IsZero() {
			put(c.seen, prometheus.GaugeValue, float64(p.LastSeen.UnixMilli())/1000)
		}
		if p.Beat > 0 {
			put(c.beat, prometheus.GaugeValue, p.Beat.Seconds())
		}
		if p.Delayed {
			put(c.latency, prometheus.GaugeValue, p.Latency.Seconds())
		}
		put(c.losses, prometheus.CounterValue, float64(p.Losses))
		put(c.restarts, prometheus.CounterValue, float64(p.Restarts))
	}
}

func number(v bool) float64 {
	if v {
		return 1
	}
	return 0
}
