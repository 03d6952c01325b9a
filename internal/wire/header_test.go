package wire

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		b             []byte
		header, total int
		err           error
	}{
		{"nothing", nil, 0, 0, nil},
		{"first byte only", []byte{0x30}, 0, 0, nil},
		{"length goes on", []byte{0x30, 0x80}, 0, 0, nil},
		{"length goes on, 3", []byte{0x30, 0x80, 0x80, 0x80}, 0, 0, nil},
		{"empty packet", []byte{0xC0, 0}, 2, 2, nil},
		{"more than the packet", []byte{0xC0, 0, 0xC0, 0}, 2, 2, nil},
		{"less than the packet", []byte{0x30, 0x7F}, 2, 129, nil},
		{"two bytes", []byte{0x30, 0x80, 0x01}, 3, 131, nil},
		{"section 1.5.5, largest", []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, 5, 5 + 268435455, nil},
		{"3.1.1: longer than needed", []byte{0x30, 0x85, 0x80, 0x80, 0x00}, 5, 10, nil},
		{"section 1.5.5, five bytes", []byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}, 0, 0, errRemainingLength},
		{"section 1.5.5, fourth byte goes on", []byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF}, 0, 0, errRemainingLength},
		{"section 2.1.2, type 0", []byte{0x00, 0}, 0, 0, errType0},
		{"MQTT-3.3.1-4", []byte{0x36}, 0, 0, errQoS3},
		{"MQTT-3.3.1-4, DUP and retain", []byte{0x3F}, 0, 0, errQoS3},
		{"MQTT-3.3.1-2", []byte{0x38}, 0, 0, errDup},
		{"MQTT-3.3.1-2, retain", []byte{0x39}, 0, 0, errDup},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			header, total, err := Header(c.b)
			assert.Equal(t, c.err, err)
			assert.Equal(t, c.header, header)
			assert.Equal(t, c.total, total)
		})
	}
}

// The flags of each type are those of table 2-2 [MQTT-2.1.3-1]. DUP on PUBREL, SUBSCRIBE and
// UNSUBSCRIBE is for the parsers to judge: MQTT 3.1 has it.
func TestHeaderFlags(t *testing.T) {
	t.Parallel()
	for first := range 256 {
		typ, flags := byte(first>>4), byte(first&15)
		want := flags == 0
		switch typ {
		case 0:
			want = false
		case TypePublish:
			want = flags>>1&3 != 3 && (flags&8 == 0 || flags&6 != 0)
		case TypePubrel, TypeSubscribe, TypeUnsubscribe:
			want = flags == 2 || flags == 10
		}
		_, _, err := Header([]byte{byte(first), 0})
		assert.Equal(t, want, err == nil, "%#02x: %v", first, err)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	wide := []byte{0x82, 0x86, 0x00, 0, 1, 0, 1, 'a', 0} // remaining length in two bytes
	testRefusals(t, []refusal{
		{"MQTT-3.6.1-1", versions{V311, V5}, packet(0x6A, uint16(1)), MalformedPacket, "PUBREL: reserved flags in the fixed header"},
		{"MQTT-3.8.1-1", versions{V311, V5}, packet(0x8A, uint16(1), "a", 0), MalformedPacket, "SUBSCRIBE: reserved flags in the fixed header"},
		{"MQTT-3.10.1-1", versions{V311, V5}, packet(0xAA, uint16(1), "a"), MalformedPacket, "UNSUBSCRIBE: reserved flags in the fixed header"},
		{"MQTT-2.1.3-1 PUBACK", all, packet(0x41, uint16(1)), MalformedPacket, "PUBACK: reserved flags in the fixed header"},
		{"MQTT-1.5.5-1", v5, wide, MalformedPacket, "remaining length is written longer than needed"},
	})
	for _, p := range [][]byte{packet(0x6A, uint16(1)), packet(0x8A, uint16(1), "a", 0), packet(0xAA, uint16(1), "a")} {
		_, err := parse(p, V31)
		assert.NoError(t, err, "DUP in MQTT 3.1")
	}
	_, err := parse(wide, V311)
	assert.NoError(t, err, "3.1.1 does not forbid it")

	// What Header has not seen must not get anywhere.
	_, err = open([]byte{0x30, 0}, 3, TypePublish, V5)
	assert.Equal(t, errFrame, err)
	_, err = open([]byte{0x30, 0}, 0, TypePublish, V5)
	assert.Equal(t, errFrame, err)
	_, err = open([]byte{0x40, 0}, 2, TypePublish, V5)
	assert.Equal(t, errFrame, err)
	_, err = open([]byte{0x36, 0}, 2, TypePublish, V5)
	assert.Equal(t, errQoS3, err)
	_, err = ParseAck([]byte{0x30, 0}, 2, V5)
	assert.Equal(t, errFrame, err)
	_, err = ParseAck(nil, 2, V5)
	assert.Equal(t, errFrame, err)
}

func TestVarint(t *testing.T) {
	t.Parallel()
	for _, v := range []uint32{0, 1, 127, 128, 16383, 16384, 2097151, 2097152, maxVarint} {
		b := AppendVarint(nil, v)
		require.Len(t, b, VarintLen(v))
		got, n, err := Varint(append(b, 0x55))
		require.NoError(t, err)
		assert.Equal(t, v, got)
		assert.Equal(t, len(b), n)
		_, n, err = Varint(b[:len(b)-1])
		assert.NoError(t, err)
		assert.Zero(t, n, "incomplete")
	}
	for name, b := range map[string][]byte{
		"MQTT-1.5.5-1 zero":        {0x80, 0x00},
		"MQTT-1.5.5-1 one":         {0x81, 0x80, 0x00},
		"section 1.5.5 five bytes": {0x80, 0x80, 0x80, 0x80, 0x01},
		"section 1.5.5 fourth":     {0xFF, 0xFF, 0xFF, 0xFF},
	} {
		_, _, err := Varint(b)
		assert.Error(t, err, name)
	}
}
