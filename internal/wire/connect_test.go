package wire

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// connect is a CONNECT of MQTT 3.1.1; parts come after the keep alive of 60 s.
func connect(flags byte, parts ...any) []byte {
	return packet(0x10, append([]any{"MQTT", V311, flags, uint16(60)}, parts...)...)
}

// connect5 is a CONNECT of MQTT 5.0; parts begin with the properties.
func connect5(flags byte, parts ...any) []byte {
	return packet(0x10, append([]any{"MQTT", V5, flags, uint16(60)}, parts...)...)
}

// connect31 is a CONNECT of MQTT 3.1.
func connect31(flags byte, parts ...any) []byte {
	return packet(0x10, append([]any{"MQIsdp", V31, flags, uint16(60)}, parts...)...)
}

func TestParseConnect(t *testing.T) {
	t.Parallel()
	base := func(version byte, f func(*ConnectPacket)) *ConnectPacket {
		p := &ConnectPacket{Version: version, ClientID: "id", CleanStart: true, KeepAlive: 60, ReceiveMaximum: 65535}
		if f != nil {
			f(p)
		}
		return p
	}
	for _, c := range []struct {
		name   string
		packet []byte
		want   *ConnectPacket
	}{
		{"3.1", connect31(2, "id"), base(V31, nil)},
		{"3.1.1", connect(2, "id"), base(V311, nil)},
		{"5.0", connect5(2, 0, "id"), base(V5, nil)},
		{"session kept", connect(0, "id"), base(V311, func(p *ConnectPacket) { p.CleanStart = false })},
		{"MQTT-3.1.3-6", connect(2, ""), base(V311, func(p *ConnectPacket) { p.ClientID = "" })},
		{"5.0, no client id, session kept", connect5(0, 0, ""), base(V5, func(p *ConnectPacket) { p.ClientID, p.CleanStart = "", false })},
		{"any client id", connect(2, "küche/+#$ \x01"), base(V311, func(p *ConnectPacket) { p.ClientID = "küche/+#$ \x01" })},
		{"user", connect(0x82, "id", "u"), base(V311, func(p *ConnectPacket) { p.HasUser, p.User = true, "u" })},
		{"user and password, empty", connect(0xC2, "id", "", ""), base(V311, func(p *ConnectPacket) {
			p.HasUser, p.HasPassword, p.Password = true, true, []byte{}
		})},
		{"password is binary", connect(0xC2, "id", "u", "\x00\xFF"), base(V311, func(p *ConnectPacket) {
			p.HasUser, p.User, p.HasPassword, p.Password = true, "u", true, []byte{0, 0xFF}
		})},
		{"5.0, password alone", connect5(0x42, 0, "id", "pw"), base(V5, func(p *ConnectPacket) { p.HasPassword, p.Password = true, []byte("pw") })},
		{"will", connect(0x36, "id", "w/t", "bye"), base(V311, func(p *ConnectPacket) {
			p.Will = &WillPacket{Topic: "w/t", Payload: []byte("bye"), QoS: 2, Retain: true}
		})},
		{"will, empty payload", connect(0x06, "id", "w", ""), base(V311, func(p *ConnectPacket) { p.Will = &WillPacket{Topic: "w", Payload: []byte{}} })},
		{"MQTT-3.1.3-1 order", connect(0xCE, "id", "w", "bye", "u", "pw"), base(V311, func(p *ConnectPacket) {
			p.Will = &WillPacket{Topic: "w", Payload: []byte("bye"), QoS: 1}
			p.HasUser, p.User, p.HasPassword, p.Password = true, "u", true, []byte("pw")
		})},
		{"3.1, user flag without user name", connect31(0xC2, "id"), base(V31, nil)},
		{"3.1, password flag without password", connect31(0xC2, "id", "u"), base(V31, func(p *ConnectPacket) { p.HasUser, p.User = true, "u" })},
		{"properties", connect5(2, props(PropSessionExpiry, uint32(10), PropReceiveMaximum, uint16(20), PropMaximumPacketSize, uint32(30),
			PropTopicAliasMaximum, uint16(40), PropRequestResponseInfo, 1, PropRequestProblemInfo, 0, PropUserProperty, "k", "2",
			PropUserProperty, "k", "1", PropAuthMethod, "m", PropAuthData, "\x00"), "id"), base(V5, func(p *ConnectPacket) {
			p.SessionExpiry, p.HasSessionExpiry, p.ReceiveMaximum, p.MaximumPacket, p.TopicAliasMaximum = 10, true, 20, 30, 40
			p.RequestResponseInfo, p.NoProblemInfo, p.UserProps = true, true, [][2]string{{"k", "2"}, {"k", "1"}}
			p.HasAuth, p.AuthMethod, p.AuthData = true, "m", []byte{0}
		})},
		{"properties at their defaults", connect5(2, props(PropSessionExpiry, uint32(0), PropTopicAliasMaximum, uint16(0),
			PropRequestResponseInfo, 0, PropRequestProblemInfo, 1), "id"), base(V5, func(p *ConnectPacket) { p.HasSessionExpiry = true })},
		{"will properties", connect5(6, 0, "id", props(PropUserProperty, "k", "2", PropWillDelay, uint32(5), PropPayloadFormat, 1,
			PropMessageExpiry, uint32(6), PropResponseTopic, "r", PropUserProperty, "k", "1"), "w", "p"), base(V5, func(p *ConnectPacket) {
			p.Will = &WillPacket{Topic: "w", Payload: []byte("p"), Delay: 5, Expiry: 6, HasExpiry: true,
				Props: join(PropUserProperty, "k", "2", PropPayloadFormat, 1, PropResponseTopic, "r", PropUserProperty, "k", "1")}
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := c.packet
			got, err := ParseConnect(p, headerOf(t, p))
			require.NoError(t, err)
			clear(p) // nothing may point into the packet
			assert.Equal(t, c.want, got)
		})
	}
}

func TestConnectRefusals(t *testing.T) {
	t.Parallel()
	once := versions{0} // CONNECT says its version itself
	with := func(p ...any) []byte { return connect5(2, props(p...), "id") }
	will := func(p ...any) []byte { return connect5(6, 0, "id", props(p...), "w", "p") }
	version := "CONNECT: protocol name or version is unknown"
	testRefusals(t, []refusal{
		{"MQTT-3.1.2-1", once, packet(0x10, "mqtt", 4, 2, uint16(0), "id"), UnsupportedProtocolVersion, version},
		{"MQTT-3.1.2-1 empty", once, packet(0x10, "", 4, 2, uint16(0), "id"), UnsupportedProtocolVersion, version},
		{"MQTT-3.1.2-2 below", once, packet(0x10, "MQTT", 3, 2, uint16(0), "id"), UnsupportedProtocolVersion, version},
		{"MQTT-3.1.2-2 above", once, packet(0x10, "MQTT", 6, 2, uint16(0), "id"), UnsupportedProtocolVersion, version},
		{"MQTT-3.1.2-2 3.1 with another level", once, packet(0x10, "MQIsdp", 4, 2, uint16(0), "id"), UnsupportedProtocolVersion, version},
		{"MQTT-3.1.2-2 bridge bit", once, packet(0x10, "MQTT", 0x84, 2, uint16(0), "id"), UnsupportedProtocolVersion, version},
		{"section 3.1.2 empty", once, packet(0x10), MalformedPacket, "CONNECT: cut off before the client id"},
		{"section 3.1.2 no version", once, packet(0x10, "MQTT"), MalformedPacket, "CONNECT: cut off before the client id"},
		{"section 3.1.2 no keep alive", once, packet(0x10, "MQTT", 4, 2, 0), MalformedPacket, "CONNECT: cut off before the client id"},
		{"MQTT-3.1.2-3", once, connect(3, "id"), MalformedPacket, "CONNECT: reserved flag is set"},
		{"MQTT-3.1.2-12", once, connect(0x1E, "id", "w", "p"), MalformedPacket, "CONNECT: QoS 3 for the will"},
		{"MQTT-3.1.2-11", once, connect(0x0A, "id"), MalformedPacket, "CONNECT: QoS or retain for a will, but no will"},
		{"MQTT-3.1.2-13", once, connect5(0x22, 0, "id"), MalformedPacket, "CONNECT: QoS or retain for a will, but no will"},
		{"3.1.1 MQTT-3.1.2-22", once, connect(0x42, "id", "pw"), MalformedPacket, "CONNECT: password without user name"},
		{"3.1.1 MQTT-3.1.2-22, 3.1", once, connect31(0x42, "id", "pw"), MalformedPacket, "CONNECT: password without user name"},
		{"MQTT-3.1.3-3", once, connect(2), MalformedPacket, "CONNECT: client id is cut off"},
		{"MQTT-3.1.3-4 surrogate", once, connect(2, "\xED\xA0\x80"), MalformedPacket, "CONNECT: client id is not UTF-8 without NUL"},
		{"MQTT-3.1.3-4 NUL", once, connect5(2, 0, "a\x00b"), MalformedPacket, "CONNECT: client id is not UTF-8 without NUL"},
		{"3.1.1 MQTT-3.1.3-8", once, connect(0, ""), ClientIDNotValid, "CONNECT: no client id, and the session is to be kept"},
		{"3.1 section 3.1", once, connect31(2, ""), ClientIDNotValid, "CONNECT: no client id"},
		{"MQTT-3.1.2-9 no will topic", once, connect(6, "id"), MalformedPacket, "CONNECT: will topic is cut off"},
		{"MQTT-3.1.2-9 no will payload", once, connect(6, "id", "w"), MalformedPacket, "CONNECT: will payload is cut off"},
		{"MQTT-3.1.3-11", once, connect(6, "id", "\xFF", "p"), MalformedPacket, "CONNECT: will topic is not UTF-8 without NUL"},
		{"MQTT-4.7.3-1 will", once, connect(6, "id", "", "p"), ProtocolError, "CONNECT: will topic is empty"},
		{"MQTT-3.3.2-2 will plus", once, connect(6, "id", "a/+", "p"), ProtocolError, "CONNECT: will topic holds a wildcard"},
		{"MQTT-3.3.2-2 will hash", once, connect5(6, 0, "id", 0, "#", "p"), ProtocolError, "CONNECT: will topic holds a wildcard"},
		{"MQTT-3.1.2-17", once, connect(0x82, "id"), MalformedPacket, "CONNECT: user name is cut off"},
		{"3.1, half a user name", once, connect31(0x82, "id", 0), MalformedPacket, "CONNECT: user name is cut off"},
		{"MQTT-3.1.3-12", once, connect(0x82, "id", "u\x00"), MalformedPacket, "CONNECT: user name is not UTF-8 without NUL"},
		{"MQTT-3.1.2-19", once, connect(0xC2, "id", "u"), MalformedPacket, "CONNECT: password is cut off"},
		{"3.1, half a password", once, connect31(0xC2, "id", "u", 0), MalformedPacket, "CONNECT: password is cut off"},
		{"MQTT-3.1.2-16 MQTT-3.1.2-18 trailing", once, connect(2, "id", "u"), MalformedPacket, "CONNECT: bytes after the last field"},
		{"MQTT-3.1.0 flags", once, packet(0x11, "MQTT", 4, 2, uint16(0), "id"), MalformedPacket, "CONNECT: reserved flags in the fixed header"},

		{"section 3.1.2.11.2", once, with(PropSessionExpiry, uint32(0), PropSessionExpiry, uint32(0)), ProtocolError, "CONNECT: session expiry interval is given twice"},
		{"section 3.1.2.11.3", once, with(PropReceiveMaximum, uint16(0)), ProtocolError, "CONNECT: receive maximum is 0"},
		{"section 3.1.2.11.3 twice", once, with(PropReceiveMaximum, uint16(1), PropReceiveMaximum, uint16(1)), ProtocolError, "CONNECT: receive maximum is given twice"},
		{"section 3.1.2.11.4", once, with(PropMaximumPacketSize, uint32(0)), ProtocolError, "CONNECT: maximum packet size is 0"},
		{"section 3.1.2.11.4 twice", once, with(PropMaximumPacketSize, uint32(1), PropMaximumPacketSize, uint32(1)), ProtocolError, "CONNECT: maximum packet size is given twice"},
		{"section 3.1.2.11.5", once, with(PropTopicAliasMaximum, uint16(1), PropTopicAliasMaximum, uint16(1)), ProtocolError, "CONNECT: topic alias maximum is given twice"},
		{"section 3.1.2.11.6", once, with(PropRequestResponseInfo, 2), ProtocolError, "CONNECT: request response information is not 0 or 1"},
		{"section 3.1.2.11.7", once, with(PropRequestProblemInfo, 2), ProtocolError, "CONNECT: request problem information is not 0 or 1"},
		{"section 3.1.2.11.9", once, with(PropAuthMethod, "m", PropAuthMethod, "m"), ProtocolError, "CONNECT: authentication method is given twice"},
		{"section 3.1.2.11.10", once, with(PropAuthData, "d"), ProtocolError, "CONNECT: authentication data without authentication method"},
		{"section 2.2.2.2", once, with(PropAssignedClientID, "x"), MalformedPacket, "CONNECT: assigned client id does not belong into this packet"},
		{"section 2.2.2.2 of the will", once, with(PropWillDelay, uint32(0)), MalformedPacket, "CONNECT: will delay interval does not belong into this packet"},
		{"section 3.1.3.2.2", once, will(PropWillDelay, uint32(0), PropWillDelay, uint32(0)), ProtocolError, "CONNECT: will: will delay interval is given twice"},
		{"section 3.1.3.2.3", once, will(PropPayloadFormat, 2), ProtocolError, "CONNECT: will: payload format is not 0 or 1"},
		{"section 3.1.3.2.6", once, will(PropResponseTopic, "#"), ProtocolError, "CONNECT: will: response topic holds a wildcard"},
		{"section 2.2.2.2 alias", once, will(PropTopicAlias, uint16(1)), MalformedPacket, "CONNECT: will: topic alias does not belong into this packet"},
		{"MQTT-2.2.2-1", once, connect5(2), MalformedPacket, "CONNECT: properties are cut off"},
		{"MQTT-2.2.2-1 will", once, connect5(6, 0, "id"), MalformedPacket, "CONNECT: will: properties are cut off"},
		{"MQTT-1.5.5-1", once, []byte{0x10, 0x8F, 0x00, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0, 0, 2, 'i', 'd'}, MalformedPacket,
			"remaining length is written longer than needed"},
	})
}

func TestConnectCuts(t *testing.T) {
	t.Parallel()
	testCuts(t, connect(0xCE, "id", "w", "bye", "u", "pw"), V311)
	testCuts(t, connect5(0xCE, props(PropSessionExpiry, uint32(1), PropAuthMethod, "m", PropAuthData, "d"), "id",
		props(PropWillDelay, uint32(1), PropUserProperty, "k", "v"), "w", "bye", "u", "pw"), V5)
}
