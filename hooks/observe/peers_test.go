package observe

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPeers(t *testing.T) {
	t.Parallel()
	peers := []Peer{{Name: "stt", Up: true, Required: true, LastSeen: time.Unix(1_790_000_000, 5e8), Beat: 5 * time.Second,
		Latency: 2 * time.Millisecond, Delayed: true, Losses: 3, Restarts: 4}}
	for i := range 1000 {
		peers = append(peers, Peer{Name: fmt.Sprintf("x%d", i)})
	}
	peers = append(peers, Peer{Name: "zz", Required: true})
	w := httptest.NewRecorder()
	NewMetrics(MetricsOptions{Peers: func() []Peer { return peers }}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	for _, line := range []string{
		`tarsd_peer_up{name="stt"} 1`, `tarsd_peer_required{name="stt"} 1`, `tarsd_peer_last_seen_seconds{name="stt"} 1.7900000005e+09`,
		`tarsd_peer_heartbeat_interval_seconds{name="stt"} 5`, `tarsd_peer_heartbeat_seconds{name="stt"} 0.002`,
		`tarsd_peer_losses_total{name="stt"} 3`, `tarsd_peer_restarts_total{name="stt"} 4`,
		`tarsd_peer_up{name="x0"} 0`, `tarsd_peer_up{name="zz"} 0`,
	} {
		assert.Contains(t, text, line+"\n")
	}
	assert.NotContains(t, text, `tarsd_peer_heartbeat_seconds{name="x0"}`)
	assert.NotContains(t, text, `tarsd_peer_last_seen_seconds{name="x0"}`)
	assert.Equal(t, maxPeers+2, strings.Count(text, "tarsd_peer_up{"))
}
