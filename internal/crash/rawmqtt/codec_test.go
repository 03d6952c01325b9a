package rawmqtt

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPublishRoundTrip(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		version byte
		m       Message
	}{
		{"qos 0", V311, Message{Topic: []byte("a"), Payload: []byte("x")}},
		{"qos 1 retained", V311, Message{Topic: []byte("a/b"), ID: 7, QoS: 1, Retain: true, Payload: []byte{}}},
		{"qos 2 again", V5, Message{Topic: []byte("a/b"), ID: 65535, QoS: 2, Dup: true, Payload: bytes.Repeat([]byte("y"), 20000)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := NewReader(bytes.NewReader(AppendPublish(nil, tc.version, tc.m)), 64)
			f, err := r.Next()
			require.NoError(t, err)
			m, err := f.Message(tc.version)
			require.NoError(t, err)
			assert.Equal(t, tc.m, m)
		})
	}
}

func TestConnack(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		version byte
		body    []byte
		want    ConnackInfo
		bad     bool
	}{
		{"3.1.1", V311, []byte{1, 0}, ConnackInfo{Present: true, ReceiveMaximum: 65535}, false},
		{"5 refused", V5, []byte{0, 0x87, 0}, ConnackInfo{Code: 0x87, ReceiveMaximum: 65535}, false},
		{"5 properties", V5, []byte{0, 0, 14, 0x26, 0, 1, 'k', 0, 1, 'v', 0x24, 1, 0x21, 0, 9, 0x25, 1}, ConnackInfo{ReceiveMaximum: 9}, false},
		{"5 cut off", V5, []byte{0, 0, 3, 0x21, 0}, ConnackInfo{}, true},
		{"5 unknown property", V5, []byte{0, 0, 2, 0x7f, 0}, ConnackInfo{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := Frame{Type: Connack, Body: tc.body}.Connack(tc.version)
			if tc.bad {
				require.ErrorIs(t, err, ErrMalformed)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
}

// FuzzFrames feeds any bytes to everything that decodes what a broker sends: a broken
// broker must show up as an error of its own test, not as a panic here.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0}, true)
	f.Add(AppendPublish(nil, V5, Message{Topic: []byte("t"), ID: 1, QoS: 1}), true)
	f.Add([]byte{0x90, 4, 0, 1, 0, 0x80}, true)
	f.Fuzz(func(t *testing.T, b []byte, five bool) {
		version := V311
		if five {
			version = V5
		}
		r := NewReader(bytes.NewReader(b), 64)
		for {
			fr, err := r.Next()
			if err != nil {
				return
			}
			_, _ = fr.Message(version)
			_, _ = fr.Connack(version)
			_, _, _ = fr.Ack()
			_, _, _ = fr.Codes(version)
		}
	})
}
