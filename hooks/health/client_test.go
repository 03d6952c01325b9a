package health_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/health"
	"github.com/tarsd/tarsd/services/client"
)

// The client that all services use says the rest itself.
func TestOurClient(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	w, _ := watch(t, b, nil)
	p := page(t, b, true)
	var nc atomic.Pointer[net.Conn]
	c, err := client.Connect(t.Context(), client.Options{
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", b.TCP())
			nc.Store(&conn)
			return conn, err
		},
		ID: "tars-tts", Heartbeat: 600 * time.Millisecond, BackoffMin: 20 * time.Millisecond,
	})
	require.NoError(t, err)
	require.NoError(t, c.Await(t.Context()))
	state(t, w, "tts", health.Connected)
	require.NoError(t, c.Ready(t.Context()))
	expect(t, p, "tts ok ready", "tars-tts ok ready")
	require.Eventually(t, func() bool {
		peer := w.Report().Peers[0]
		return peer.LatencyMS != nil && *peer.LatencyMS < 1000 && peer.IntervalMS < 2000
	}, 10*time.Second, 10*time.Millisecond, "%+v", w.Report())

	require.NoError(t, c.Health(t.Context(), false, "no_voice", errors.New("the voice is missing")))
	expect(t, p, "tts bad no_voice", "tars-tts bad no_voice")
	state(t, w, "tts", health.Failing)
	assert.Equal(t, "the voice is missing", w.Report().Peers[0].Err)
	require.NoError(t, c.Health(t.Context(), true, "ready", nil))
	expect(t, p, "tts ok ready", "tars-tts ok ready")

	_ = (*nc.Load()).Close()
	expect(t, p, "tts bad disconnected", "tars-tts bad disconnected", "tts ok reconnected", "tars-tts ok reconnected")
	state(t, w, "tts", health.Reconnected)
	assert.Equal(t, 1, w.Report().Peers[0].Losses)

	require.NoError(t, c.Close(t.Context()))
	expect(t, p, "tts bad shutdown", "tars-tts bad shutdown")
	state(t, w, "tts", health.Shutdown)
	p.ExpectQuiet()
}
