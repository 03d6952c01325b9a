package health

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/delivery"
)

func TestRead(t *testing.T) {
	t.Parallel()
	msg := func(level string, payload []byte) delivery.Sight {
		return delivery.Sight{Topic: healthPrefix + level, Payload: payload}
	}
	rep := Read([]delivery.Sight{
		msg("stt", envelope("1", "stt", true, "ready", "", 1_790_000_010)),
		msg("tars-stt", envelope("2", "stt", false, "disconnected", "", 1_790_000_000)),
		msg("tars-llm", envelope("3", "llm", false, "restarting", "engine", 1_790_000_000)),
		msg("camera", envelope("4", "camera", false, "no_camera", "", 1_790_000_000)),
		msg("movement-esp32", []byte(`{"ok":false,"event":"frame_timeout","timestamp":12}`)),
		msg("tts", []byte("junk")), msg("a/b", []byte(`{"ok":true}`)),
	}, Options{Required: []string{"stt", "llm", "lamp"}, Services: []string{"ignored"}, Harmless: []string{"frame_timeout"}})
	states := map[string]State{}
	for _, p := range rep.Peers {
		states[p.Name] = p.State
	}
	assert.Equal(t, map[string]State{"stt": Ready, "llm": Restarting, "camera": Failing, "movement-esp32": Ready, "lamp": Unknown}, states)
	assert.Equal(t, []string{"lamp", "llm"}, rep.Down)
	assert.Equal(t, uint64(2), rep.Malformed)
	require.Equal(t, "camera", rep.Peers[0].Name)
	assert.Equal(t, int64(1_790_000_000), rep.Peers[0].Since.Unix())
	assert.Equal(t, "lamp is unknown, llm is restarting", rep.Reason())
}
