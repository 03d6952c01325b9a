package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWake(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Wake){
		"threshold":        func(c *Wake) { c.Threshold = 1.1 },
		"faint":            func(c *Wake) { c.Faint = 0 },
		"vad_threshold":    func(c *Wake) { c.VADThreshold = -1 },
		"energy_boost":     func(c *Wake) { c.EnergyBoost = 0 },
		"own_voice":        func(c *Wake) { c.OwnVoice = 2 },
		"retrigger":        func(c *Wake) { c.Retrigger = -1 },
		"energy_window":    func(c *Wake) { c.EnergyWindow = 0 },
		"idle_timeout":     func(c *Wake) { c.IdleTimeout = 0 },
		"interrupt_window": func(c *Wake) { c.InterruptWindow = 0 },
		"speech_limit":     func(c *Wake) { c.SpeechLimit = Duration(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ps Problems
			c := defaultWake()
			c.check("wake", &ps)
			require.Empty(t, ps)
			change(&c)
			c.check("wake", &ps)
			require.Len(t, ps, 1)
			assert.Contains(t, ps[0].Error(), "wake."+name)
		})
	}
}

func TestWakeLegacyNames(t *testing.T) {
	t.Parallel()
	l, err := Load(Source{Env: []string{
		"WAKE_DETECTION_THRESHOLD=0.35", "WAKE_MIN_RETRIGGER_SEC=0.8", "WAKE_INTERRUPT_WINDOW_SEC=2", "WAKE_IDLE_TIMEOUT_SEC=3.5",
		"WAKE_DETECTION_WINDOW_MS=500", "WAKE_VAD_THRESHOLD=0.3", "WAKE_ENERGY_BOOST_FACTOR=1.2", "WAKE_LOW_ENERGY_THRESHOLD_FACTOR=0.7",
	}})
	require.NoError(t, err)
	want := defaultWake()
	want.Threshold, want.Retrigger, want.InterruptWindow = 0.35, Duration(800*time.Millisecond), Duration(2*time.Second)
	want.IdleTimeout, want.EnergyWindow, want.VADThreshold = Duration(3500*time.Millisecond), Duration(500*time.Millisecond), 0.3
	want.EnergyBoost, want.Faint = 1.2, 0.7
	assert.Equal(t, want, l.Wake)
	_, err = Load(Source{Env: []string{"WAKE_IDLE_TIMEOUT_SEC=soon"}})
	assert.ErrorContains(t, err, "WAKE_IDLE_TIMEOUT_SEC")
}
