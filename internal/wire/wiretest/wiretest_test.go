package wiretest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Examples that the specifications print, or that follow from their tables by hand.
func TestPacketsByHand(t *testing.T) {
	t.Parallel()
	user, password := "u", "p"
	cases := map[string]struct{ have, want []byte }{
		"connect 3.1.1": {
			Connect{ClientID: "ab", KeepAlive: 10}.Bytes(V311),
			[]byte{0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 10, 0, 2, 'a', 'b'},
		},
		"connect 3.1": {
			Connect{Persist: true}.Bytes(V31),
			[]byte{0x10, 14, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 0, 0, 0, 0, 0},
		},
		"connect 5.0, all": {
			Connect{
				Props: Props{Num(SessionExpiry, 258)}, User: &user, Password: &password,
				Will: &Will{Topic: "t", Payload: "m", QoS: 2, Retain: true, Props: Props{Num(WillDelay, 1)}},
			}.Bytes(V5),
			[]byte{
				0x10, 36, 0, 4, 'M', 'Q', 'T', 'T', 5, 0xf6, 0, 0, 5, 0x11, 0, 0, 1, 2, 0, 0,
				5, 0x18, 0, 0, 0, 1, 0, 1, 't', 0, 1, 'm', 0, 1, 'u', 0, 1, 'p',
			},
		},
		"publish": {
			Publish{Topic: "a/b", Payload: "x", QoS: 1, ID: 10, Dup: true, Retain: true}.Bytes(V311),
			[]byte{0x3b, 8, 0, 3, 'a', '/', 'b', 0, 10, 'x'},
		},
		"publish 5.0": {
			Publish{Topic: "a", Props: Props{User("k", "v"), Num(TopicAlias, 3)}}.Bytes(V5),
			[]byte{0x30, 14, 0, 1, 'a', 10, 0x26, 0, 1, 'k', 0, 1, 'v', 0x23, 0, 3},
		},
		"subscribe":   {Subscribe(V311, 10, nil, Filter{"a", 1}), []byte{0x82, 6, 0, 10, 0, 1, 'a', 1}},
		"unsubscribe": {Unsubscribe(V5, 10, nil, "a"), []byte{0xa2, 6, 0, 10, 0, 0, 1, 'a'}},
		"pubrel":      {Ack(PUBREL, 258), []byte{0x62, 2, 1, 2}},
		"puback code": {AckCode(PUBACK, 1, 0x80), []byte{0x40, 3, 0, 1, 0x80}},
		"bye":         {Bye(4), []byte{0xe0, 2, 4, 0}},
		"two bytes":   {Varint(nil, 321), []byte{0xc1, 0x02}},
	}
	for name, c := range cases {
		assert.Equal(t, c.want, c.have, name)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		version byte
		in      []byte
		want    Packet
	}{
		"connack":     {V311, []byte{0x20, 2, 1, 0}, Packet{Type: CONNACK, AckFlags: 1, Present: true, Size: 4}},
		"connack 5.0": {V5, []byte{0x20, 6, 0, 0, 3, 0x21, 0, 9}, Packet{Type: CONNACK, Size: 8, Props: Props{Num(ReceiveMaximum, 9)}}},
		"publish": {V5, []byte{0x3d, 7, 0, 1, 't', 0, 7, 0, 'x'}, Packet{
			Type: PUBLISH, Flags: 13, Size: 9, Topic: "t", ID: 7, Payload: "x", QoS: 2, Dup: true, Retain: true,
		}},
		"puback":     {V5, []byte{0x40, 3, 0, 7, 0x10}, Packet{Type: PUBACK, Size: 5, ID: 7, Code: 0x10}},
		"suback":     {V311, []byte{0x90, 4, 0, 7, 1, 0x80}, Packet{Type: SUBACK, Size: 6, ID: 7, Codes: []byte{1, 0x80}}},
		"unsuback":   {V311, []byte{0xb0, 2, 0, 7}, Packet{Type: UNSUBACK, Size: 4, ID: 7}},
		"pingresp":   {V311, []byte{0xd0, 0}, Packet{Type: PINGRESP, Size: 2}},
		"disconnect": {V5, []byte{0xe0, 1, 0x8e}, Packet{Type: DISCONNECT, Size: 3, Code: 0x8e}},
	}
	for name, c := range cases {
		p, err := Read(bytes.NewReader(c.in), c.version)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, p, name)
		assert.NotEmpty(t, p.String())
		_, err = Read(bytes.NewReader(c.in[:len(c.in)-1]), c.version)
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF, name)
	}
	_, err := Read(strings.NewReader(""), V5)
	assert.ErrorIs(t, err, io.EOF)
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		version byte
		in      []byte
	}{
		"long length":            {V311, []byte{0xd0, 0x80, 0x00}},
		"length of five bytes":   {V311, []byte{0xd0, 0xff, 0xff, 0xff, 0xff, 0x01}},
		"flags":                  {V311, []byte{0xd1, 0}},
		"from a client":          {V311, []byte{0xc0, 0}},
		"connack flags":          {V311, []byte{0x20, 2, 2, 0}},
		"connack code":           {V311, []byte{0x20, 2, 0, 6}},
		"connack too long":       {V311, []byte{0x20, 3, 0, 0, 0}},
		"connack without props":  {V5, []byte{0x20, 2, 0, 0}},
		"code of another packet": {V5, []byte{0x40, 3, 0, 1, 0x8e}},
		"property of another":    {V5, []byte{0x20, 6, 0, 0, 3, 0x23, 0, 1}},
		"property twice":         {V5, []byte{0x20, 9, 0, 0, 6, 0x21, 0, 9, 0x21, 0, 9}},
		"property cut":           {V5, []byte{0x20, 5, 0, 0, 2, 0x21, 0}},
		"qos 3":                  {V311, []byte{0x36, 5, 0, 1, 't', 0, 1}},
		"id 0":                   {V311, []byte{0x32, 5, 0, 1, 't', 0, 0}},
		"topic not UTF-8":        {V311, []byte{0x30, 3, 0, 1, 0xff}},
		"suback code":            {V311, []byte{0x90, 3, 0, 1, 3}},
		"disconnect in 3.1.1":    {V311, []byte{0xe0, 0}},
	}
	for name, c := range cases {
		_, err := Read(bytes.NewReader(c.in), c.version)
		var d *decodeError
		assert.True(t, errors.As(err, &d), "%s: %v", name, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{0x20, 6, 0, 0, 3, 0x21, 0, 9}, true)
	f.Add([]byte{0x3d, 7, 0, 1, 't', 0, 7, 0, 'x'}, true)
	f.Add([]byte{0x90, 4, 0, 7, 1, 0x80}, false)
	f.Add([]byte{0xe0, 1, 0x8e}, true)
	f.Fuzz(func(t *testing.T, b []byte, five bool) {
		version := V311
		if five {
			version = V5
		}
		p, err := Read(bytes.NewReader(b), version)
		if err == nil && (p.Size > len(b) || p.Type == 0) {
			t.Errorf("%s of %d bytes from %x", p, p.Size, b)
		}
	})
}
