package health_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/dedup"
	"github.com/tarsd/tarsd/hooks/device"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// TestDrops: what a device sent too fast is a drop, a repeat that was delivered once is none.
func TestDrops(t *testing.T) {
	t.Parallel()
	d, err := dedup.New(dedup.Options{})
	require.NoError(t, err)
	rate, err := device.New([]device.Profile{{Match: "tars-stt", Messages: 5}})
	require.NoError(t, err)
	b := brokertest.Start(t, brokertest.WithHooks(d, rate))
	w, _ := watch(t, b, nil)
	c := dial(t, b, wt.V5, wt.Connect{ClientID: "tars-stt"})
	say(c, "stt", true, "ready")
	state(t, w, "stt", "ready")
	const final = `{"id":"a","type":"stt.final","ts":1.5,"source":"stt","data":{"text":"x"}}`
	for range 3 {
		c.Publish(wt.Publish{Topic: "stt/final", Payload: final, QoS: 1})
	}
	for range 50 { // more than a second's worth and its burst
		c.Publish(wt.Publish{Topic: "stt/partial", Payload: "{}", QoS: 1})
	}
	require.Eventually(t, func() bool { return w.Report().Peers[0].Drops > 0 }, 10*time.Second, 10*time.Millisecond)
	assert.EqualValues(t, 2, w.Report().Peers[0].Repeats)
	assert.Less(t, w.Report().Peers[0].Drops, uint64(51))
}
