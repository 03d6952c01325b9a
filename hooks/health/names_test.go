package health

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNames(t *testing.T) {
	t.Parallel()
	n := newNames(map[string][]string{"web": {"ui-web", "page"}, "lamp": {"light"}, "tts": nil})
	for in, want := range map[string]string{
		"stt": "stt", "tars-stt": "stt", "wake-activation": "wake", "tars-wake": "wake", "movement-service": "movement",
		"tars-movement": "movement", "movement-controller": "movement-esp32", "tars-esp32": "movement-esp32", "movement-esp32": "movement-esp32",
		"tars-ui": "ui", "ui-web": "web", "page": "web", "light": "lamp", "tars-light": "lamp", "tars-lamp": "lamp", "tars-tts": "tts",
		"garden": "garden", "tars-garden": "garden", "tars-tars-garden": "garden", "tars-": "tars-",
		"": "", "a/b": "", "a b": "", "é": "",
	} {
		assert.Equal(t, want, n.of(in), "%q", in)
	}
	assert.Equal(t, "garden", n.ofClient("tars-garden"))
	assert.Equal(t, "stt", n.ofClient("stt"))
	assert.Empty(t, n.ofClient("garden"), "a tool is not a peer")
	assert.Empty(t, n.ofClient("mosqpub|123"))
	assert.Empty(t, n.others["tts"], "an entry of one's own replaces the default")
}
