package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPublishParse(t *testing.T) {
	t.Parallel()
	user := join(PropUserProperty, "k", "1", PropUserProperty, "k", "2")
	format := join(PropPayloadFormat, 1)
	rest := join(PropContentType, "text/plain", PropResponseTopic, "r/1", PropCorrelationData, "\x00\xFF")
	alias, expiry := join(PropTopicAlias, uint16(7)), join(PropMessageExpiry, uint32(90))
	for _, c := range []struct {
		name     string
		versions versions
		packet   []byte
		want     PublishPacket
	}{
		{"QoS 0", v3, packet(0x30, "a/b", raw("hi")), PublishPacket{Topic: []byte("a/b"), Payload: []byte("hi")}},
		{"QoS 0, v5", v5, packet(0x30, "a/b", 0, raw("hi")), PublishPacket{Topic: []byte("a/b"), Payload: []byte("hi")}},
		{"QoS 1, retain", v3, packet(0x33, "a", uint16(513)), PublishPacket{Topic: []byte("a"), Payload: []byte{}, ID: 513, QoS: 1, Retain: true}},
		{"QoS 2, dup", v3, packet(0x3C, "a", uint16(65535), raw("x")), PublishPacket{Topic: []byte("a"), Payload: []byte("x"), ID: 65535, QoS: 2, Dup: true}},
		{"QoS 2, v5", v5, packet(0x34, "a", uint16(1), 0), PublishPacket{Topic: []byte("a"), Payload: []byte{}, ID: 1, QoS: 2}},
		{"any topic", all, packet(0x30, "$SYS/\u00FC", 0), PublishPacket{Topic: []byte("$SYS/\u00FC"), Payload: []byte{0}}},
		{"alias", v5, packet(0x30, "", props(raw(alias)), raw("x")), PublishPacket{Topic: []byte{}, Payload: []byte("x"), Alias: 7}},
		{"alias and topic", v5, packet(0x30, "a", props(raw(alias))), PublishPacket{Topic: []byte("a"), Payload: []byte{}, Alias: 7}},
		{"MQTT-3.3.2-4 .. MQTT-3.3.2-20", v5, packet(0x30, "a", props(raw(format), raw(user), raw(rest)), raw("x")),
			PublishPacket{Topic: []byte("a"), Payload: []byte("x"), Props: join(raw(format), raw(user), raw(rest))}},
		{"cut out at both ends", v5, packet(0x30, "a", props(raw(alias), raw(user), raw(rest), raw(expiry))),
			PublishPacket{Topic: []byte("a"), Payload: []byte{}, Props: join(raw(user), raw(rest)), Alias: 7, Expiry: 90, HasExpiry: true}},
		{"MQTT-3.3.2-18 cut out in the middle", v5, packet(0x30, "a", props(raw(format), raw(expiry), raw(user), raw(alias), raw(rest))),
			PublishPacket{Topic: []byte("a"), Payload: []byte{}, Props: join(raw(format), raw(user), raw(rest)), Alias: 7, Expiry: 90, HasExpiry: true}},
		{"expiry 0", v5, packet(0x30, "a", props(PropMessageExpiry, uint32(0))), PublishPacket{Topic: []byte("a"), Payload: []byte{}, HasExpiry: true}},
	} {
		for _, v := range c.versions {
			if c.name == "any topic" && v == V5 {
				c.want.Payload = []byte{} // the zero is the length of the properties
			}
			var p PublishPacket
			for range 2 { // the second time with what the first has left behind
				require.NoError(t, p.Parse(c.packet, headerOf(t, c.packet), v), c.name)
				got := p
				got.scratch = nil
				assert.Equal(t, c.want, got, c.name)
				require.NoError(t, p.Parse(packet(0x3B, "z", uint16(9), props(raw(user), raw(alias), raw(rest))), 2, V5))
			}
		}
	}
}

func TestPublishRefusals(t *testing.T) {
	t.Parallel()
	with := func(p ...any) []byte { return packet(0x30, "a", props(p...), raw("payload")) }
	long := strings.Repeat("x", 65535)
	testRefusals(t, []refusal{
		{"MQTT-3.3.1-4", all, packet(0x36, "a", uint16(1), 0), MalformedPacket, "PUBLISH: QoS 3"},
		{"MQTT-3.3.1-2", all, packet(0x38, "a", 0), ProtocolError, "PUBLISH: DUP with QoS 0"},
		{"MQTT-3.3.2-1 cut off", all, packet(0x30, 0, 5, raw("abc")), MalformedPacket, "PUBLISH: topic name is cut off"},
		{"MQTT-3.3.2-1 no length", all, packet(0x30, 0), MalformedPacket, "PUBLISH: topic name is cut off"},
		{"MQTT-1.5.4-1", all, packet(0x30, "a\xED\xA0\x80", 0), MalformedPacket, "PUBLISH: topic name is not UTF-8 without NUL"},
		{"MQTT-1.5.4-2", all, packet(0x30, "a\x00", 0), MalformedPacket, "PUBLISH: topic name is not UTF-8 without NUL"},
		{"MQTT-3.3.2-2 plus", all, packet(0x30, "a/+", 0), ProtocolError, "PUBLISH: topic name holds a wildcard"},
		{"MQTT-3.3.2-2 hash", all, packet(0x30, "ü/#", 0), ProtocolError, "PUBLISH: topic name holds a wildcard"},
		{"MQTT-4.7.3-1", v3, packet(0x30, "", raw("x")), ProtocolError, "PUBLISH: topic name is empty"},
		{"section 3.3.2.1", v5, packet(0x30, "", 0, raw("x")), ProtocolError, "PUBLISH: topic name is empty and there is no topic alias"},
		{"MQTT-2.2.1-3", all, packet(0x32, "a", uint16(0), 0), ProtocolError, "PUBLISH: packet id is 0"},
		{"section 3.3.2.2", all, packet(0x32, "a", 1), MalformedPacket, "PUBLISH: packet id is cut off"},
		{"MQTT-2.2.2-1", v5, packet(0x30, "a"), MalformedPacket, "PUBLISH: properties are cut off"},
		{"section 2.2.2.1 too long", v5, packet(0x30, "a", 5, 1, 1), MalformedPacket, "PUBLISH: properties are cut off"},
		{"section 2.2.2.1 half", v5, packet(0x30, "a", 0x80), MalformedPacket, "PUBLISH: properties are cut off"},
		{"MQTT-1.5.5-1 properties", v5, packet(0x30, "a", 0x80, 0), MalformedPacket, "PUBLISH: property length: variable byte integer is longer than needed"},
		{"section 1.5.5", v5, packet(0x30, "a", 0x80, 0x80, 0x80, 0x80, 1), MalformedPacket, "PUBLISH: property length: variable byte integer is longer than four bytes"},

		{"section 2.2.2.2 unknown", v5, with(127, 0), MalformedPacket, "PUBLISH: unknown property"},
		{"section 2.2.2.2 unknown 0", v5, with(0), MalformedPacket, "PUBLISH: unknown property"},
		{"section 2.2.2.2 unknown 4", v5, with(4, 0), MalformedPacket, "PUBLISH: unknown property"},
		{"section 2.2.2.2 unknown, two bytes", v5, with(0x81, 1, 0), MalformedPacket, "PUBLISH: unknown property"},
		{"section 2.2.2.2 wrong packet", v5, with(PropReceiveMaximum, uint16(1)), MalformedPacket, "PUBLISH: receive maximum does not belong into this packet"},
		{"section 3.3.2.3.2 twice", v5, with(PropPayloadFormat, 0, PropPayloadFormat, 0), ProtocolError, "PUBLISH: payload format is given twice"},
		{"section 3.3.2.3.2 value", v5, with(PropPayloadFormat, 2), ProtocolError, "PUBLISH: payload format is not 0 or 1"},
		{"section 3.3.2.3.2 cut off", v5, with(PropPayloadFormat), MalformedPacket, "PUBLISH: payload format is cut off"},
		{"section 3.3.2.3.3 twice", v5, with(PropMessageExpiry, uint32(1), PropMessageExpiry, uint32(1)), ProtocolError, "PUBLISH: message expiry interval is given twice"},
		{"section 3.3.2.3.3 cut off", v5, with(PropMessageExpiry, uint16(1), 1), MalformedPacket, "PUBLISH: message expiry interval is cut off"},
		{"MQTT-3.3.2-8", v5, with(PropTopicAlias, uint16(0)), TopicAliasInvalid, "PUBLISH: topic alias is 0"},
		{"section 3.3.2.3.4 twice", v5, with(PropTopicAlias, uint16(1), PropTopicAlias, uint16(1)), ProtocolError, "PUBLISH: topic alias is given twice"},
		{"section 3.3.2.3.4 cut off", v5, with(PropTopicAlias, 1), MalformedPacket, "PUBLISH: topic alias is cut off"},
		{"MQTT-3.3.2-13", v5, with(PropResponseTopic, "\xFF"), MalformedPacket, "PUBLISH: response topic is not UTF-8 without NUL"},
		{"MQTT-3.3.2-14 plus", v5, with(PropResponseTopic, "a/+"), ProtocolError, "PUBLISH: response topic holds a wildcard"},
		{"MQTT-3.3.2-14 hash", v5, with(PropResponseTopic, "#"), ProtocolError, "PUBLISH: response topic holds a wildcard"},
		{"MQTT-4.7.3-1 response topic", v5, with(PropResponseTopic, ""), ProtocolError, "PUBLISH: response topic is empty"},
		{"section 3.3.2.3.5 twice", v5, with(PropResponseTopic, "a", PropResponseTopic, "a"), ProtocolError, "PUBLISH: response topic is given twice"},
		{"section 3.3.2.3.6 twice", v5, with(PropCorrelationData, "a", PropCorrelationData, "a"), ProtocolError, "PUBLISH: correlation data is given twice"},
		{"section 3.3.2.3.6 cut off", v5, with(PropCorrelationData, 0, 2, 0), MalformedPacket, "PUBLISH: correlation data is cut off"},
		{"MQTT-1.5.7-1 name", v5, with(PropUserProperty, "\x00", "v"), MalformedPacket, "PUBLISH: user property is not UTF-8 without NUL"},
		{"MQTT-1.5.7-1 value", v5, with(PropUserProperty, "k", "\xC0"), MalformedPacket, "PUBLISH: user property is not UTF-8 without NUL"},
		{"section 3.3.2.3.7 no value", v5, with(PropUserProperty, "k"), MalformedPacket, "PUBLISH: user property is cut off"},
		{"section 3.3.2.3.7 no name", v5, with(PropUserProperty, 0), MalformedPacket, "PUBLISH: user property is cut off"},
		{"MQTT-3.3.4-6", v5, with(PropSubscriptionID, 1), ProtocolError, "PUBLISH: subscription id in a message of a client"},
		{"section 3.3.2.3.8 zero", v5, with(PropSubscriptionID, 0), ProtocolError, "PUBLISH: subscription id is 0"},
		{"section 3.3.2.3.8 cut off", v5, with(PropSubscriptionID, 0x80), MalformedPacket, "PUBLISH: subscription id is cut off"},
		{"section 3.3.2.3.8 five bytes", v5, with(PropSubscriptionID, 0xFF, 0xFF, 0xFF, 0xFF, 1), MalformedPacket, "PUBLISH: subscription id is no variable byte integer"},
		{"MQTT-3.3.2-19 twice", v5, with(PropContentType, "a", PropContentType, long), ProtocolError, "PUBLISH: content type is given twice"},
		{"MQTT-3.3.2-19", v5, with(PropContentType, long[1:]+"\x00"), MalformedPacket, "PUBLISH: content type is not UTF-8 without NUL"},
	})
}

func TestPublishCuts(t *testing.T) {
	t.Parallel()
	testCuts(t, packet(0x32, "a/b", uint16(1)), V311)
	testCuts(t, packet(0x32, "a/b", uint16(1), props(PropPayloadFormat, 1, PropMessageExpiry, uint32(1), PropContentType, "c",
		PropCorrelationData, "d", PropTopicAlias, uint16(1), PropUserProperty, "k", "v")), V5)
}

// A message with large properties must not cost memory for the life of the connection.
func TestPublishScratch(t *testing.T) {
	t.Parallel()
	var p PublishPacket
	big := packet(0x30, "a", props(PropUserProperty, "k", strings.Repeat("v", 60000), PropMessageExpiry, uint32(1), PropContentType, "c"))
	small := packet(0x30, "a", props(PropUserProperty, "k", "v", PropMessageExpiry, uint32(1), PropContentType, "c"))
	require.NoError(t, p.Parse(big, headerOf(t, big), V5))
	assert.Greater(t, cap(p.scratch), 60000)
	require.NoError(t, p.Parse(small, headerOf(t, small), V5))
	assert.LessOrEqual(t, cap(p.scratch), keptScratch)
	assert.Equal(t, join(PropUserProperty, "k", "v", PropContentType, "c"), p.Props)
}

func TestOutPublish(t *testing.T) {
	t.Parallel()
	forwarded := join(PropUserProperty, "k", "v")
	for _, c := range []struct {
		name string
		o    OutPublish
		want []byte
	}{
		{"3.1.1, QoS 0", OutPublish{Version: V311, Topic: "a/b", Payload: []byte("hi")}, packet(0x30, "a/b", raw("hi"))},
		{"3.1.1 has no properties", OutPublish{Version: V311, QoS: 1, Retain: true, Topic: "a", ID: 258, Props: forwarded, Expiry: 1, HasExpiry: true,
			SubIDs: []uint32{1}, Alias: 3}, packet(0x33, "a", uint16(258))},
		{"QoS 2, DUP", OutPublish{Version: V5, QoS: 2, Dup: true, Topic: "a", ID: 1}, packet(0x3C, "a", uint16(1), 0)},
		{"id only above QoS 0", OutPublish{Version: V5, Topic: "a", ID: 1}, packet(0x30, "a", 0)},
		{"everything", OutPublish{Version: V5, QoS: 1, Topic: "a", ID: 1, Props: forwarded, Expiry: 0x01020304, HasExpiry: true,
			SubIDs: []uint32{1, 128, maxVarint}, Alias: 300, Payload: []byte("p")},
			packet(0x32, "a", uint16(1), props(PropMessageExpiry, uint32(0x01020304), PropTopicAlias, uint16(300), PropSubscriptionID, 1,
				PropSubscriptionID, 0x80, 1, PropSubscriptionID, 0xFF, 0xFF, 0xFF, 0x7F, raw(forwarded)), raw("p"))},
		{"alias only", OutPublish{Version: V5, Topic: "a/long/name", OmitTopic: true, Alias: 1}, packet(0x30, "", props(PropTopicAlias, uint16(1)))},
		{"two byte length", OutPublish{Version: V5, Topic: "a", Payload: make([]byte, 200)}, packet(0x30, "a", 0, raw(make([]byte, 200)))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			total, rem, props := c.o.Size()
			assert.Equal(t, len(c.want), total)
			got := c.o.Append([]byte{0xEE}, rem, props, true)
			assert.Equal(t, append([]byte{0xEE}, c.want...), got)
			assert.Equal(t, c.want[:len(c.want)-len(c.o.Payload)], c.o.Append(nil, rem, props, false))
		})
	}
}
