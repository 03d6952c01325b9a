package wire

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// acks are the first bytes of the acknowledgements.
var acks = map[byte]byte{TypePuback: 0x40, TypePubrec: 0x50, TypePubrel: 0x62, TypePubcomp: 0x70}

func TestParseAck(t *testing.T) {
	t.Parallel()
	for typ, first := range acks {
		for _, v := range all {
			a, err := parse(packet(first, uint16(0x1234)), v)
			require.NoError(t, err)
			assert.Equal(t, AckPacket{ID: 0x1234}, a, typeNames[typ])
		}
		code := NoMatchingSubscribers
		if typ == TypePubrel || typ == TypePubcomp {
			code = PacketIDNotFound
		}
		for _, p := range [][]byte{
			packet(first, uint16(1), byte(code)),    // section 3.4.2.2.1: no property length
			packet(first, uint16(1), byte(code), 0), //
			packet(first, uint16(1), byte(code), props(PropReasonString, "why", PropUserProperty, "k", "1", PropUserProperty, "k", "1")),
		} {
			a, err := parse(p, V5)
			require.NoError(t, err)
			assert.Equal(t, AckPacket{ID: 1, Code: code}, a, typeNames[typ])
		}
	}
}

// Each reason code in each acknowledgement: [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1].
func TestAckCodes(t *testing.T) {
	t.Parallel()
	message := []int{0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
	release := []int{0, 0x92}
	for typ, first := range acks {
		var got []int
		for code := range 256 {
			if _, err := parse(packet(first, uint16(1), code), V5); err == nil {
				got = append(got, code)
			}
		}
		want := message
		if typ == TypePubrel || typ == TypePubcomp {
			want = release
		}
		assert.Equal(t, want, got, typeNames[typ])
	}
}

func TestAckRefusals(t *testing.T) {
	t.Parallel()
	for typ, first := range acks {
		n := typeNames[typ]
		testRefusals(t, []refusal{
			{n + "/MQTT-2.2.1-3", all, packet(first, uint16(0)), ProtocolError, n + ": packet id is 0"},
			{n + "/section 3.4.2 empty", all, packet(first), MalformedPacket, n + ": wrong length"},
			{n + "/section 3.4.2 cut off", all, packet(first, 1), MalformedPacket, n + ": wrong length"},
			{n + "/section 3.4.2 trailing, 3.1.1", v3, packet(first, uint16(1), 0), MalformedPacket, n + ": wrong length"},
			{n + "/section 3.4.2 trailing", v5, packet(first, uint16(1), 0, 0, 0), MalformedPacket, n + ": wrong length"},
			{n + "/MQTT-3.4.2-1", v5, packet(first, uint16(1), 1), ProtocolError, n + ": reason code that this packet does not have"},
			{n + "/section 3.4.2.2.1", v5, packet(first, uint16(1), 0, 1), MalformedPacket, n + ": properties are cut off"},
			{n + "/section 3.4.2.2.2 twice", v5, packet(first, uint16(1), 0, props(PropReasonString, "a", PropReasonString, "a")), ProtocolError,
				n + ": reason string is given twice"},
			{n + "/section 2.2.2.2", v5, packet(first, uint16(1), 0, props(PropTopicAlias, uint16(1))), MalformedPacket,
				n + ": topic alias does not belong into this packet"},
		})
	}
}

func TestAckCuts(t *testing.T) {
	t.Parallel()
	testCuts(t, packet(0x40, uint16(1)), V311)
	testCuts(t, packet(0x50, uint16(1), 0x10, props(PropReasonString, "why", PropUserProperty, "k", "v")), V5, 2, 3)
}

func TestAppendAck(t *testing.T) {
	t.Parallel()
	for typ, first := range acks {
		for _, v := range all {
			assert.Equal(t, packet(first, uint16(0xFFFE)), AppendAck(nil, typ, 0xFFFE, v, Success))
		}
		assert.Equal(t, packet(first, uint16(1)), AppendAck(nil, typ, 1, V311, UnspecifiedError))
		assert.Equal(t, append([]byte{9}, packet(first, uint16(1), byte(PacketIDNotFound))...), AppendAck([]byte{9}, typ, 1, V5, PacketIDNotFound))
	}
}
