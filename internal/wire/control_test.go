package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseDisconnect(t *testing.T) {
	t.Parallel()
	for _, v := range all {
		got, err := parse(packet(0xE0), v)
		require.NoError(t, err)
		assert.Equal(t, DisconnectPacket{}, got)
	}
	for _, c := range []struct {
		packet []byte
		want   DisconnectPacket
	}{
		{packet(0xE0, 4), DisconnectPacket{Code: DisconnectWithWill}},
		{packet(0xE0, 0, 0), DisconnectPacket{}},
		{packet(0xE0, 0, props(PropSessionExpiry, uint32(0))), DisconnectPacket{HasSessionExpiry: true}},
		{packet(0xE0, 0x80, props(PropReasonString, "why", PropSessionExpiry, uint32(9), PropUserProperty, "k", "v", PropServerReference, "x")),
			DisconnectPacket{Code: UnspecifiedError, SessionExpiry: 9, HasSessionExpiry: true}},
	} {
		got, err := parse(c.packet, V5)
		require.NoError(t, err)
		assert.Equal(t, c.want, got)
	}
	testRefusals(t, []refusal{
		{"MQTT-3.14.1-1", all, packet(0xE1), MalformedPacket, "DISCONNECT: reserved flags in the fixed header"},
		{"3.1.1 section 3.14", v3, packet(0xE0, 0), MalformedPacket, "DISCONNECT: wrong length"},
		{"section 3.14.2 trailing", v5, packet(0xE0, 0, 0, 0), MalformedPacket, "DISCONNECT: wrong length"},
		{"section 3.14.2.2.1", v5, packet(0xE0, 0, 9), MalformedPacket, "DISCONNECT: properties are cut off"},
		{"section 3.14.2.2.2", v5, packet(0xE0, 0, props(PropSessionExpiry, uint32(0), PropSessionExpiry, uint32(0))), ProtocolError,
			"DISCONNECT: session expiry interval is given twice"},
		{"section 2.2.2.2", v5, packet(0xE0, 0, props(PropMaximumQoS, 1)), MalformedPacket, "DISCONNECT: maximum QoS does not belong into this packet"},
	})
	testCuts(t, packet(0xE0, 0, props(PropSessionExpiry, uint32(1), PropReasonString, "x")), V5, 0, 1)
}

// [MQTT-3.14.2-1], table 3-10.
func TestDisconnectCodes(t *testing.T) {
	t.Parallel()
	var got []int
	for code := range 256 {
		_, err := parse(packet(0xE0, code), V5)
		if err == nil {
			got = append(got, code)
			continue
		}
		assert.Equal(t, errDisconnectCode, err)
	}
	assert.Equal(t, []int{0, 4, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99}, got)
}

func TestParseAuth(t *testing.T) {
	t.Parallel()
	for _, code := range []Code{ContinueAuthentication, ReAuthenticate} {
		_, err := parse(packet(0xF0, byte(code), props(PropAuthMethod, "m", PropAuthData, "\x00", PropReasonString, "r", PropUserProperty, "k", "v")), V5)
		assert.NoError(t, err)
	}
	testRefusals(t, []refusal{
		{"MQTT-3.15.1-1", v5, packet(0xF1), MalformedPacket, "AUTH: reserved flags in the fixed header"},
		{"MQTT-3.15.2-1 short form", v5, packet(0xF0), ProtocolError, "AUTH: reason code that a client does not send"},
		{"MQTT-3.15.2-1", v5, packet(0xF0, 1, 0), ProtocolError, "AUTH: reason code that a client does not send"},
		{"section 3.15.2.2.1", v5, packet(0xF0, 0x18), MalformedPacket, "AUTH: properties are cut off"},
		{"section 3.15.2.2.2", v5, packet(0xF0, 0x18, 0), ProtocolError, "AUTH: no authentication method"},
		{"section 3.15.2.2.2 twice", v5, packet(0xF0, 0x18, props(PropAuthMethod, "m", PropAuthMethod, "m")), ProtocolError,
			"AUTH: authentication method is given twice"},
		{"section 3.15.3", v5, packet(0xF0, 0x18, props(PropAuthMethod, "m"), 0), MalformedPacket, "AUTH: wrong length"},
	})
	testCuts(t, packet(0xF0, 0x19, props(PropAuthMethod, "m")), V5)
}

func TestParsePing(t *testing.T) {
	t.Parallel()
	_, err := parse([]byte{0xC0, 0}, V5)
	assert.NoError(t, err)
	testRefusals(t, []refusal{
		{"MQTT-2.1.3-1", all, []byte{0xC1, 0}, MalformedPacket, "PINGREQ: reserved flags in the fixed header"},
		{"section 3.12.1", all, packet(0xC0, 0), MalformedPacket, "PINGREQ: wrong length"},
		{"MQTT-1.5.5-1", all, []byte{0xC0, 0x80, 0}, MalformedPacket, "remaining length is written longer than needed"},
	})
}

func TestAppendConnack(t *testing.T) {
	t.Parallel()
	limits := AppendPropUint16(nil, PropReceiveMaximum, 10)
	for _, c := range []struct {
		name    string
		version byte
		present bool
		code    Code
		props   []byte
		want    []byte
	}{
		{"3.1.1", V311, false, Success, limits, []byte{0x20, 2, 0, 0}},
		{"MQTT-3.2.2-3", V311, true, Success, nil, []byte{0x20, 2, 1, 0}},
		{"MQTT-3.2.2-6", V311, true, NotAuthorized, nil, []byte{0x20, 2, 0, 5}},
		{"3.1 has no session present", V31, true, Success, nil, []byte{0x20, 2, 0, 0}},
		{"5.0", V5, true, Success, nil, []byte{0x20, 3, 1, 0, 0}},
		{"5.0, MQTT-3.2.2-6", V5, true, Banned, nil, []byte{0x20, 3, 0, 0x8A, 0}},
		{"5.0, properties", V5, false, Success, limits, []byte{0x20, 6, 0, 0, 3, 33, 0, 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.want, AppendConnack(nil, c.version, c.present, c.code, c.props))
		})
	}
	long := AppendPropString(nil, PropReasonString, strings.Repeat("x", 300))
	assert.Equal(t, packet(0x20, 0, 0x80, props(raw(long))), AppendConnack(nil, V5, false, UnspecifiedError, long))
}

func TestAppendDisconnect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, reason string
		want         []byte
	}{
		{"no reason", "", []byte{0xE0, 1, 0x8E}},
		{"reason", "why", packet(0xE0, 0x8E, props(PropReasonString, "why"))},
		{"MQTT-1.5.4-1", "\xFF", []byte{0xE0, 1, 0x8E}},
		{"MQTT-1.5.4-2", "a\x00", []byte{0xE0, 1, 0x8E}},
		{"long", strings.Repeat("x", 1000), packet(0xE0, 0x8E, props(PropReasonString, strings.Repeat("x", 256)))},
		{"long, not within a character", strings.Repeat("x", 255) + "ü", packet(0xE0, 0x8E, props(PropReasonString, strings.Repeat("x", 255)))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := AppendDisconnect(nil, SessionTakenOver, c.reason)
			assert.Equal(t, c.want, got)
			headerOf(t, got)
		})
	}
}

func TestAppendProps(t *testing.T) {
	t.Parallel()
	b := AppendPropByte(nil, PropMaximumQoS, 1)
	b = AppendPropUint16(b, PropServerKeepAlive, 0x0102)
	b = AppendPropUint32(b, PropMaximumPacketSize, 0x01020304)
	b = AppendPropVarint(b, PropSubscriptionID, 300)
	b = AppendPropString(b, PropAssignedClientID, "id")
	b = AppendPropPair(b, "k", "v")
	assert.Equal(t, join(36, 1, 19, 1, 2, 39, 1, 2, 3, 4, 11, 0xAC, 2, 18, "id", 38, "k", "v"), b)

	b = AppendPropString(nil, PropReasonString, strings.Repeat("ü", 40000)) // 80,000 bytes
	assert.Equal(t, join(PropReasonString, strings.Repeat("ü", 32767)), b)
	assert.Len(t, AppendPropString(nil, PropAuthData, strings.Repeat("\x80", 70000)), 3+65535, "no character to cut at")
}
