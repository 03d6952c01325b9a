package config

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSTT(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*STT){
		"engines":             func(c *STT) { c.Engines = []string{"whisper"} },
		"twice":               func(c *STT) { c.Engines = []string{"openai", "openai"} },
		"wyoming.address":     func(c *STT) { c.Engines = []string{"wyoming"} },
		"openai.url":          func(c *STT) { c.Engines, c.OpenAI.URL = []string{"openai"}, URL{} },
		"websocket.url":       func(c *STT) { c.WebSocket.URL = URL{raw: "http://h"} },
		"patience":            func(c *STT) { c.Patience = 0 },
		"vad.silence":         func(c *STT) { c.VAD.Silence = Duration(time.Minute) },
		"vad.threshold":       func(c *STT) { c.VAD.Threshold = math.NaN() },
		"suppress.echo_ratio": func(c *STT) { c.Suppress.EchoRatio = 0.1 },
		"mic.wake_window":     func(c *STT) { c.Mic.WakeWindow = 0 },
		"vad.max_utterance":   func(c *STT) { c.VAD.MaxUtterance = Duration(30 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ps Problems
			c := defaultSTT()
			c.check("stt", &ps)
			require.Empty(t, ps)
			change(&c)
			c.check("stt", &ps)
			require.Len(t, ps, 1)
			if name == "twice" {
				name = "engines"
			}
			assert.Contains(t, ps[0].Error(), "stt."+name)
		})
	}
}

func TestSTTLegacyNames(t *testing.T) {
	t.Parallel()
	l, err := Load(Source{Env: []string{
		"STT_BACKEND=ws", "WS_URL=ws://gpu:9000/stt", "OPENAI_API_KEY= secret ", "OPENAI_BASE_URL=http://localhost/v1", "OPENAI_STT_MODEL=large", "OPENAI_TIMEOUT_S=20",
		"SILENCE_THRESHOLD_MS=600", "NOISE_MIN_RMS=220", "NOISE_FLOOR_THRESHOLD_MULTIPLIER=3.0", "TTS_MAX_MUTE_MS=9000", "TTS_RESPONSE_WINDOW_SEC=7.5",
		"WAKE_EVENT_FALLBACK_TTL_MS=3500", "STREAMING_PARTIALS=0", "PARTIAL_INTERVAL_MS=600", "NOISE_MIN_ALPHA_RATIO=0.7", "NOISE_MAX_PUNCT_RATIO=0.3",
		"COUGH_SUSPICIOUS_PHRASES=thank you,hi", "REPEAT_COOLDOWN_SEC=8", "ECHO_SUPPRESS_MATCH=0", "ECHO_FUZZ_MIN_RATIO=0.85",
		"VAD_AGGRESSIVENESS=3", "UNMUTE_GUARD_MS=1000", "WHISPER_MODEL=small",
	}})
	require.NoError(t, err)
	want := defaultSTT()
	want.Engines, want.Patience = []string{"websocket", "pocketsphinx"}, Duration(20*time.Second)
	want.WebSocket.URL = URL{raw: "ws://gpu:9000/stt"}
	want.OpenAI = STTServer{URL: URL{raw: "http://localhost/v1"}, Key: NewSecret("secret"), Model: "large"}
	want.VAD.Silence, want.VAD.MinRMS, want.VAD.FloorFactor = Duration(600*time.Millisecond), 220, 3
	want.Mic.SpeechLimit, want.Mic.ResponseWindow, want.Mic.WakeWindow = Duration(9*time.Second), Duration(7500*time.Millisecond), Duration(3500*time.Millisecond)
	want.Partials = STTPartials{Interval: Duration(600 * time.Millisecond)}
	want.Suppress.MinAlpha, want.Suppress.MaxPunct, want.Suppress.Doubtful = 0.7, 0.3, []string{"thank you", "hi"}
	want.Suppress.Repeat, want.Suppress.Echo, want.Suppress.EchoRatio = Duration(8*time.Second), false, 0.85
	assert.Equal(t, want, l.STT)
	assert.Len(t, l.Unused, 3)
	for backend, engine := range map[string]string{"openai": "openai", "whisper": "pocketsphinx", "": "pocketsphinx"} {
		l, err := Load(Source{Env: []string{"STT_BACKEND=" + backend}})
		require.NoError(t, err)
		assert.Equal(t, engine, l.STT.Engines[0])
	}
}

// TestSTTNames: each name of the replaced system is either used or explained, and not both.
func TestSTTNames(t *testing.T) {
	t.Parallel()
	for _, l := range sttEnv {
		assert.NotContains(t, sttUnused, l.name)
	}
	for name, why := range sttUnused {
		assert.NotContains(t, withoutUse, name)
		assert.NotEmpty(t, why)
	}
}
