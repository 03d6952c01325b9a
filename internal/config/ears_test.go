package config

import (
	"io/fs"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEars(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Ears){
		"unknown":              func(c *Ears) { c.Microphone = "telepathy" },
		"empty":                func(c *Ears) { c.Microphone = "" },
		"wav-fast":             func(c *Ears) { c.Microphone = "wav-fast:/x" },
		"wav":                  func(c *Ears) { c.Microphone = "wav:" },
		"name":                 func(c *Ears) { c.Microphone = "name" },
		"none":                 func(c *Ears) { c.Microphone = "none:1" },
		"max_sites":            func(c *Ears) { c.MaxSites = 65 },
		"idle":                 func(c *Ears) { c.Idle = 0 },
		"spectrum.bins":        func(c *Ears) { c.Spectrum.Bins = 7 },
		"spectrum.rate":        func(c *Ears) { c.Spectrum.Rate = math.NaN() },
		"spectrum.socket.port": func(c *Ears) { c.Spectrum.Socket.Port = 0 },
		"spectrum.socket.host": func(c *Ears) { c.Spectrum.Socket.Host = "" },
		"spectrum.socket.path": func(c *Ears) { c.Spectrum.Socket.Path = "fft" },
		"fanout.path":          func(c *Ears) { c.FanOut.Path = "fan.sock" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ps Problems
			c := defaultEars()
			c.check("ears", &ps)
			require.Empty(t, ps)
			change(&c)
			c.check("ears", &ps)
			require.Len(t, ps, 1)
			assert.Contains(t, ps[0].Error(), "ears.")
		})
	}
	for _, m := range []string{"auto", "none", "pulse", "pulse@tcp:host:4713", "pulse:mic@unix:/x", "arecord", "arecord:plughw:1,0", "name:USB", "wav:/x.wav"} {
		var ps Problems
		c := defaultEars()
		c.Microphone = m
		c.check("ears", &ps)
		assert.Empty(t, ps, m)
	}
}

func TestEarsLegacyNames(t *testing.T) {
	t.Parallel()
	load := func(env ...string) *Loaded {
		l, err := Load(Source{Env: env})
		require.NoError(t, err)
		return l
	}
	for name, want := range map[string]string{
		"": "auto", "Default": "auto", "pulse": "auto", "hw:1,0": "arecord:plughw:1,0", "plughw:CARD=Mic": "arecord:plughw:CARD=Mic", "AirHug 21": "name:AirHug 21",
	} {
		assert.Equal(t, want, load("AUDIO_DEVICE_NAME="+name).Ears.Microphone, name)
	}
	c := load("AUDIO_FANOUT_PATH=/tmp/tars/audio-fanout.sock", "FFT_PUBLISH=0", "FFT_BINS=32", "FFT_RATE_HZ=10", "FFT_WS_ENABLE=1",
		"FFT_WS_HOST=0.0.0.0", "FFT_WS_PORT=8766", "FFT_WS_PATH=/x").Ears
	assert.Equal(t, EarsFanOut{Path: "/tmp/tars/audio-fanout.sock"}, c.FanOut)
	assert.Equal(t, fs.FileMode(0o600), c.FanOut.Mode())
	assert.Equal(t, fs.FileMode(0o660), EarsFanOut{Group: true}.Mode())
	assert.Equal(t, EarsSpectrum{Bins: 32, Rate: 10, Socket: EarsSpectrumSocket{Enabled: true, Host: "0.0.0.0", Port: 8766, Path: "/x"}}, c.Spectrum)
	assert.Equal(t, "0.0.0.0:8766", c.Spectrum.Socket.Address())
	assert.Empty(t, defaultEars().Spectrum.Socket.Address())
	assert.Equal(t, Duration(30*time.Second), c.Idle)
	var names []string
	for _, u := range load("FFT_TOPIC=spectrum", "SAMPLE_RATE=48000", "AUDIO_FANOUT_RATE=8000", "FFT_LOG_SCALE=0").Unused {
		names = append(names, u.Name)
	}
	assert.Equal(t, []string{"AUDIO_FANOUT_RATE", "FFT_LOG_SCALE", "FFT_TOPIC", "SAMPLE_RATE"}, names)
	assert.Empty(t, load("FFT_TOPIC=stt/audio_fft").Unused)
}
