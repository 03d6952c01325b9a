package app

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/dedup"
	"github.com/tarsd/tarsd/hooks/device"
	"github.com/tarsd/tarsd/internal/config"
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

	c.Dedup.Enabled, c.Devices.ESP32 = false, false
	chain, err = messageHooks(c)
	require.NoError(t, err)
	assert.Empty(t, chain)
}

func TestDeviceProfile(t *testing.T) {
	t.Parallel()
	all := deviceProfiles(config.Devices{ESP32: true, Profiles: []config.Device{
		{Match: "arm*", Like: "esp32", Window: 3, KeepAlive: config.KeepProbe, Subscriptions: []config.Subscribed{{Filter: "arm/move", QoS: 1}}},
		{Name: "lamp", Match: "lamp", MaxAge: config.Duration(time.Second), Rate: config.Rate{Messages: 5, Bytes: 1024}},
	}})
	require.Len(t, all, 3)
	want := device.ESP32()
	want.Name, want.Match, want.Window, want.KeepAlive = "", "arm*", 3, device.Probing
	want.Subscriptions = []wire.Filter{{Name: "arm/move", QoS: 1}}
	assert.Equal(t, want, all[0])
	assert.Equal(t, device.Profile{Name: "lamp", Match: "lamp", MaxAge: time.Second, Messages: 5, Bytes: 1024}, all[1])
	assert.Equal(t, device.ESP32(), all[2])
	_, err := device.New(all)
	require.NoError(t, err)
}
