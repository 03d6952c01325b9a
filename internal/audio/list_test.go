package audio

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPickMicrophone(t *testing.T) {
	t.Parallel()
	list := []Device{
		{Spec: "pulse:alsa_output.usb.monitor", Name: "Monitor of USB Audio"},
		{Spec: "pulse:alsa_output.usb", Name: "USB Audio", Out: true},
		{Spec: "pulse:alsa_input.usb", Name: "USB Audio"},
		{Spec: "arecord:plughw:2,0", Name: "AIRHUG 21, USB Audio"},
	}
	for text, want := range map[string]string{
		"usb": "pulse:alsa_input.usb", "airhug": "arecord:plughw:2,0", "plughw:2": "arecord:plughw:2,0", "Monitor": "pulse:alsa_output.usb.monitor",
	} {
		d, err := pickMicrophone(list, text)
		require.NoError(t, err, text)
		assert.Equal(t, want, d.Spec, text)
	}
	for _, text := range []string{"bluetooth", "", "audio\npulse:"} {
		_, err := pickMicrophone(list, text)
		require.ErrorIs(t, err, ErrNoDevice, text)
		assert.ErrorContains(t, err, "AIRHUG 21", text)
	}
}

// TestMicrophoneByName opens one of a private server's.
func TestMicrophoneByName(t *testing.T) {
	b := newBed(t)
	t.Setenv("PULSE_SERVER", b.Server())
	src, err := OpenSource(t.Context(), "name:MIC.monitor")
	require.NoError(t, err)
	_, err = src.Read(t.Context())
	require.NoError(t, err)
	require.NoError(t, src.Close())
	_, err = OpenSource(t.Context(), "name:nothing")
	require.ErrorIs(t, err, ErrNoDevice)
}
