package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/app"
)

func TestStatusTable(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_790_000_000, 0)
	ms := 1.25
	var rep app.HealthReport
	rep.Tarsd = &app.Status{Version: "1.0", PID: 7, Started: now.Add(-90 * time.Minute), Clients: 3, Health: "degraded", Reason: "stt is stale"}
	rep.Down = []string{"stt"}
	rep.Peers = []app.PeerHealth{
		{Name: "movement-esp32", State: "ready", Up: true, Since: now.Add(-72 * time.Hour), LastSeen: now.Add(-5 * time.Second)},
		{Name: "stt", State: "stale", Required: true, Since: now.Add(-61 * time.Second), LastSeen: now.Add(-77 * time.Second), LatencyMS: &ms,
			Restarts: 2, Drops: 40, Err: "no heartbeat for 17s"},
	}
	want := strings.TrimLeft(`
tarsd 1.0, pid 7, up 1h30m, 3 clients: degraded (stt is stale)

NAME            STATE  SINCE      LAST SEEN  LATENCY  RESTARTS  DROPS  WHY
movement-esp32  ready  3d ago     5s ago     -        0         0
stt *           stale  1m01s ago  1m17s ago  1.2 ms   2         40     no heartbeat for 17s

required (*) and not up: stt
`, "\n")
	var out bytes.Buffer
	err := view{out: &out}.show(rep, now)
	assert.Equal(t, want, out.String())
	assert.Equal(t, 1, exitCode(err))
	assert.Empty(t, err.Error())

	out.Reset()
	_ = view{out: &out, colour: true}.show(rep, now)
	assert.Contains(t, out.String(), "stt *           \x1b[31mstale\x1b[0m  1m01s ago")
	assert.Contains(t, out.String(), "\x1b[32mready\x1b[0m")

	out.Reset()
	rep.Down = nil
	require.NoError(t, view{out: &out, json: true}.show(rep, now))
	assert.Contains(t, out.String(), `"heartbeat_latency_ms":1.25`)
	assert.Equal(t, 1, strings.Count(out.String(), "\n"))

	out.Reset()
	require.NoError(t, view{out: &out}.show(app.HealthReport{}, now))
	assert.Equal(t, "no service and no device has been seen\n", out.String())
}

// It goes on while tarsd is away, and ends without an error when it is interrupted.
func TestStatusWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began, asked := time.Now(), 0
		ask := func() (app.HealthReport, error) {
			asked++
			switch asked {
			case 2:
				return app.HealthReport{}, app.ErrNotRunning
			case 4:
				cancel()
				return app.HealthReport{}, errors.New("cut")
			}
			return app.HealthReport{}, nil
		}
		var out bytes.Buffer
		require.NoError(t, view{out: &out}.watch(ctx, ask))
		assert.Equal(t, "no service and no device has been seen\n\nno tarsd is running in this data directory\n\n"+
			"no service and no device has been seen\n\n", out.String())
		assert.Equal(t, 6*time.Second, time.Since(began))
	})
}
