package app

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/hooks/health"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/web"
)

func TestHealthOfRequiredPeers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := load(t, dir, "services=none", "health.required=lamp", "health.grace=1s", "health.names={lamp: [light]}")
	_, err := Health(t.Context(), l.Config)
	require.ErrorIs(t, err, ErrNotRunning)
	assert.ErrorContains(t, err, dir)

	a := begin(t, l)
	var h web.Health
	healthz := func() web.Health {
		h = web.Health{}
		resp, err := http.Get("http://" + a.HTTP() + "/healthz")
		require.NoError(t, err)
		defer resp.Body.Close()
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&h))
		return h
	}
	assert.Equal(t, "lamp", healthz().Peers[0].Name)
	assert.Eventually(t, func() bool { return healthz().Status == web.Degraded }, 10*time.Second, 20*time.Millisecond)
	assert.Equal(t, "lamp is unknown", h.Reason)
	ready, err := http.Get("http://" + a.HTTP() + "/readyz")
	require.NoError(t, err)
	ready.Body.Close()
	assert.Equal(t, http.StatusOK, ready.StatusCode, "what connects from outside may wait for this answer")

	nc, err := a.Dial(t.Context())
	require.NoError(t, err)
	defer nc.Close()
	require.Equal(t, byte(0), connect(t, nc, "lamp", "", ""))
	topic, payload := "system/health/light", `{"ok":true,"event":"ready","timestamp":1}`
	_, err = nc.Write(append(append([]byte{0x31, byte(2 + len(topic) + len(payload)), 0, byte(len(topic))}, topic...), payload...))
	require.NoError(t, err)
	assert.Eventually(t, func() bool { return healthz().Status == web.OK }, 10*time.Second, 5*time.Millisecond)
	rep, err := Health(t.Context(), l.Config)
	require.NoError(t, err)
	require.Len(t, rep.Peers, 1)
	assert.Equal(t, health.Ready, rep.Peers[0].State)
	assert.Equal(t, []string{"lamp"}, rep.Peers[0].Clients)
	assert.Empty(t, rep.Down)
	assert.Equal(t, "test", rep.Tarsd.Version)

	metrics, err := http.Get("http://" + a.HTTP() + "/metrics")
	require.NoError(t, err)
	defer metrics.Body.Close()
	text, err := io.ReadAll(metrics.Body)
	require.NoError(t, err)
	assert.Contains(t, string(text), `tarsd_peer_up{name="lamp"} 1`)
}

// What a run leaves retained of those that never come back is taken back by the next one.
func TestHealthOverARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, err := Start(t.Context(), Options{Config: load(t, dir, "services=none"), Version: "test", patience: patient})
	require.NoError(t, err)
	a.engine.Publish("system/health/tars-stt", []byte(`{"ok":true,"event":"ready","timestamp":1}`), 1, true)
	require.NoError(t, a.Stop())
	b := begin(t, load(t, dir, "services=none", "health.grace=1s"))
	require.Eventually(t, func() bool {
		rep, err := Health(context.Background(), b.cfg)
		return err == nil && len(rep.Peers) == 1 && rep.Peers[0].Name == "stt" && rep.Peers[0].State == health.Disconnected
	}, 10*time.Second, 20*time.Millisecond)
}

// late is a service that is ready when the test says so.
type late struct{ now chan struct{} }

func (late) Name() string { return "memory" }

func (l late) Run(ctx context.Context, rt services.Runtime) error {
	select {
	case <-l.now:
		rt.Ready()
	case <-ctx.Done():
	}
	<-ctx.Done()
	return nil
}

// Readiness waits for the services of this process; their last words reach every name.
func TestReadyWithServices(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), late{make(chan struct{})}
	all := []service{{name: "memory", make: func(parts) (services.Service, error) { return s, nil }}}
	a, err := Start(t.Context(), Options{Config: load(t, dir, "services=memory"), Version: "test", services: all, patience: patient})
	require.NoError(t, err)
	readyz := func() int {
		resp, err := http.Get("http://" + a.HTTP() + "/readyz")
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	assert.Equal(t, http.StatusServiceUnavailable, readyz())
	rep, err := Health(t.Context(), a.cfg)
	require.NoError(t, err)
	assert.Equal(t, []string{"memory"}, rep.Down)
	assert.Empty(t, rep.Failed)
	close(s.now)
	assert.Eventually(t, func() bool { return readyz() == http.StatusOK }, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, a.Stop())

	b := begin(t, load(t, dir, "services=none"))
	n := 0
	b.engine.EachRetained("system/health/+", func(m delivery.Sight) bool {
		assert.Contains(t, string(m.Payload), `"event":"shutdown"`, "%s", m.Topic)
		n++
		return true
	})
	assert.Equal(t, 2, n, "memory and tars-memory")
}

func TestReadHealth(t *testing.T) {
	t.Parallel()
	c := load(t, t.TempDir(), "health.required=stt").Config
	rep := ReadHealth("zz system/health/stt\n"+strings.Repeat("20", 100_000)+" system/health/a\n"+
		"7b226f6b223a747275657d system/health/x\ny\n7b226f6b223a747275657d system/health/tars-stt\n", c)
	require.Len(t, rep.Peers, 2)
	assert.Equal(t, uint64(3), rep.Malformed, "what a stranger retains there ends nothing")
	assert.Equal(t, "stt", rep.Peers[0].Name)
	assert.True(t, rep.Peers[0].Up)
}
