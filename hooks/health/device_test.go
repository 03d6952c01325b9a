package health_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/device"
	"github.com/tarsd/tarsd/hooks/health"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// The device's profile publishes its presence, in the device's own form. The verdict agrees and adds
// nothing but the other names.
func TestDeviceProfile(t *testing.T) {
	t.Parallel()
	h, err := device.New([]device.Profile{device.ESP32()})
	require.NoError(t, err)
	b := brokertest.Start(t, brokertest.WithHooks(h))
	w, _ := watch(t, b, func(o *health.Options) { o.Harmless = []string{"frame_timeout"} })
	p := page(t, b, true)
	// Its own verdict comes a settling time after whatever came before: what was to be said of the
	// device has been said by then.
	mark := func() {
		c := dial(t, b, wt.V5, wt.Connect{ClientID: "tars-stt"})
		say(c, "stt", true, "ready")
		c.Drop()
		expect(t, p, "stt ok ready", "tars-stt ok ready", "stt bad disconnected", "tars-stt bad disconnected")
	}
	esp := func(persist bool) *wt.Conn {
		return dial(t, b, wt.V311, wt.Connect{ClientID: "tars-esp32", KeepAlive: 30, Persist: persist})
	}
	both := func(word string) []string {
		return []string{"movement-esp32 " + word + " bare", "movement-controller " + word, "tars-esp32 " + word}
	}

	c := esp(false)
	expect(t, p, both("ok reconnected")...) // by the profile, since nothing else was retained
	state(t, w, "movement-esp32", health.Reconnected)
	mark()
	c.Drop()
	expect(t, p, both("bad disconnected")...)
	state(t, w, "movement-esp32", health.Disconnected)
	mark()
	c = esp(true)
	expect(t, p, both("ok reconnected")...)
	mark()
	require.NoError(t, c.TrySend(wt.Publish{
		Topic: "system/health/movement-esp32", Payload: `{"ok": false, "event": "frame_timeout", "timestamp": 300}`, QoS: 0, Retain: true,
	}.Bytes(wt.V311)))
	expect(t, p, "movement-esp32 bad frame_timeout bare", "movement-esp32 ok ready bare") // the others say ok as it is
	mark()
	for _, peer := range w.Report().Peers {
		assert.True(t, peer.Name != "movement-esp32" || peer.Up)
	}
}
