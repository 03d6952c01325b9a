package app

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/dedup"
	"github.com/tarsd/tarsd/hooks/device"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/internal/esp32"
	"github.com/tarsd/tarsd/internal/wire"
)

func TestDefaultHooks(t *testing.T) {
	t.Parallel()
	c := config.Default()
	chain, err := messageHooks(c)
	require.NoError(t, err)
	require.Len(t, chain, 2)
	assert.IsType(t, (*dedup.Hook)(nil), chain[0])
	assert.IsType(t, (*device.Hook)(nil), chain[1])
	assert.Equal(t, dedup.DefaultTTL, time.Duration(c.Dedup.TTL))
	assert.Equal(t, dedup.DefaultEntries, c.Dedup.Entries)

	c.Dedup.Enabled, c.Devices.ESP32, c.Devices.Legacy = false, false, false
	chain, err = messageHooks(c)
	require.NoError(t, err)
	assert.Empty(t, chain)
}

func TestDeviceProfile(t *testing.T) {
	t.Parallel()
	all := deviceProfiles(config.Devices{ESP32: true, Profiles: []config.Device{
		{Match: "arm*", Like: "esp32", Window: 3, Clear: []string{"arm/stop"}, KeepAlive: config.KeepProbe, Subscriptions: []config.Subscribed{{Filter: "arm/move", QoS: 1}}},
		{Name: "lamp", Match: "lamp", MaxAge: config.Duration(time.Second), Rate: config.Rate{Messages: 5, Bytes: 1024}},
	}})
	require.Len(t, all, 3)
	want := device.ESP32()
	want.Name, want.Match, want.Window, want.KeepAlive = "", "arm*", 3, device.Probing
	want.Clear = []string{"arm/stop"}
	want.Subscriptions = []wire.Filter{{Name: "arm/move", QoS: 1}}
	assert.Equal(t, want, all[0])
	assert.Equal(t, device.Profile{Name: "lamp", Match: "lamp", MaxAge: time.Second, Messages: 5, Bytes: 1024}, all[1])
	assert.Equal(t, device.ESP32(), all[2])
	_, err := device.New(all)
	require.NoError(t, err)
}

// TestESP32OutOfTheBox: the firmware as it is and a tarsd without a configuration file.
func TestESP32OutOfTheBox(t *testing.T) {
	t.Parallel()
	a := begin(t, load(t, filepath.Join(t.TempDir(), "data"), "services=none"))
	d := esp32.Start(context.Background(), esp32.Options{
		Addr: strings.TrimPrefix(a.Listeners()[0], "tcp://"), Pace: 100, Poll: 10 * time.Millisecond, KeepAlive: 1,
	})
	t.Cleanup(d.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := d.Wait(ctx, func(s esp32.State) bool { return s.Count("subscribe", esp32.TopicStop) == 1 && s.Waiting == "" })
	require.NoError(t, err)
	for range 5 {
		a.engine.Publish(esp32.TopicTest, []byte(`{"command":"bow"}`), 0, false)
	}
	_, err = d.Wait(ctx, func(s esp32.State) bool { return len(s.Ended) == 5 })
	require.NoError(t, err)
	<-time.After(2 * time.Second) // the keep alive is one second
	a.engine.Publish(esp32.TopicTest, []byte(`{"command":"reset"}`), 1, false)
	s, err := d.Wait(ctx, func(s esp32.State) bool { return len(s.Ended) == 6 })
	require.NoError(t, err)
	assert.Equal(t, 1, s.Connects)
}
