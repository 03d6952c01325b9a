package config

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNamesOfTheReplacedSystem: its variables for the router are taken, in its units and lists, and
// those that mean nothing here are told of.
func TestNamesOfTheReplacedSystem(t *testing.T) {
	t.Parallel()
	l, err := Load(Source{File: os.DevNull, Env: []string{
		"ROUTER_WAKE_WINDOW_SEC=6.5", "ROUTER_WAKE_PHRASES=hey tars|okay \"tars\"", "ROUTER_WAKE_ACK_CHOICES=Yes?, Hm?", "ONLINE_ANNOUNCE=0",
		"STREAM_MIN_CHARS=30", "ROUTER_STREAM_MIN_CHARS=40", "ROUTER_LIVE_MODE_ENTER_PHRASE=start live mode", "CAMERA_DEVICE_INDEX=2",
		"CAMERA_TIMEOUT_MS=700", "TOPIC_STT_FINAL=stt/final", "TOPIC_TTS_SAY=robot/say", "ROUTER_QUEUE_OVERFLOW=block", "ROUTER_HANDLER_TIMEOUT=",
	}})
	require.NoError(t, err)
	assert.Equal(t, "6.5s", l.Router.WakeWindow.String())
	assert.Equal(t, []string{"hey tars", `okay "tars"`}, l.Router.WakePhrases)
	assert.Equal(t, []string{"Yes?", "Hm?"}, l.Router.Ack.Choices)
	assert.False(t, l.Router.Announce)
	assert.Equal(t, 40, l.Router.MinChars, "the newer name wins")
	assert.Equal(t, "start live mode", l.Router.Live.EnterPhrase)
	assert.Equal(t, "v4l2:/dev/video2", l.Camera.Source.Reveal())
	assert.Equal(t, "700ms", l.Camera.Timeout.String())
	var names []string
	for _, u := range l.Unused {
		assert.NotEmpty(t, u.Why)
		names = append(names, u.Name)
	}
	assert.Equal(t, []string{"ROUTER_QUEUE_OVERFLOW", "TOPIC_TTS_SAY"}, names)
}
