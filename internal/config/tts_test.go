package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTTS(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*TTS){
		"engines":     func(c *TTS) { c.Engines = []string{"festival"} },
		"twice":       func(c *TTS) { c.Engines = []string{"flite", "flite"} },
		"address":     func(c *TTS) { c.Engines = []string{"wyoming"} },
		"openai.url":  func(c *TTS) { c.Engines = []string{"openai"} },
		"flite.voice": func(c *TTS) { c.Flite.Voice = "clb" },
		"volume":      func(c *TTS) { c.Volume = 101 },
		"max":         func(c *TTS) { c.Cache.Max = -1 },
		"sink":        func(c *TTS) { c.Sink = "" },
		"sites":       func(c *TTS) { c.Sites = []string{"a/b"} },
		"gap":         func(c *TTS) { c.Gap = Duration(1e12) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ps Problems
			c := defaultTTS()
			c.check("tts", &ps)
			require.Empty(t, ps)
			change(&c)
			c.check("tts", &ps)
			require.Len(t, ps, 1)
			assert.Contains(t, ps[0].Error(), "tts.")
		})
	}
}

func TestTTSLegacyNames(t *testing.T) {
	t.Parallel()
	l, err := Load(Source{Env: []string{
		"TTS_PROVIDER=ElevenLabs", "PIPER_VOICE=/voices/x.onnx", "ELEVEN_API_KEY=secret", "ELEVEN_VOICE_ID=v", "TTS_WAKE_CACHE_MAX=5",
		"TTS_WAKE_ACK_TEXTS=Hm, what?|Yes?", "ELEVEN_API_BASE=http://localhost/v1",
	}})
	require.NoError(t, err)
	assert.Equal(t, []string{"elevenlabs", "flite", "espeak-ng"}, l.TTS.Engines)
	assert.Equal(t, "/voices/x.onnx", l.TTS.Piper.Model)
	assert.Equal(t, "secret", l.TTS.ElevenLabs.Key.Reveal())
	assert.Equal(t, []string{"Hm, what?", "Yes?"}, l.TTS.Cache.Preload, "commas belong to the phrases")
	assert.Equal(t, 5, l.TTS.Cache.Max)
	assert.NotContains(t, l.TTS.ElevenLabs.Key.String(), "secret")
}
