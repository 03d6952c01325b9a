package wire

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseSubscribe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		versions versions
		packet   []byte
		want     SubscribePacket
	}{
		{"one", v3, packet(0x82, uint16(1), "a/+", 1), SubscribePacket{ID: 1, Filters: []Filter{{Name: "a/+", QoS: 1}}}},
		{"many, in order", v3, packet(0x82, uint16(65535), "a", 0, "#", 2, "a", 1),
			SubscribePacket{ID: 65535, Filters: []Filter{{Name: "a"}, {Name: "#", QoS: 2}, {Name: "a", QoS: 1}}}},
		{"filters are not judged", v3, packet(0x82, uint16(1), "", 0, "a/#/b", 0, "$share//", 0),
			SubscribePacket{ID: 1, Filters: []Filter{{Name: ""}, {Name: "a/#/b"}, {Name: "$share//"}}}},
		{"options", v5, packet(0x82, uint16(1), 0, "a", 0b10_1_1_10, "b", 0b01_0_0_00, "$share/g/c", 0b00_1_0_01),
			SubscribePacket{ID: 1, Filters: []Filter{{Name: "a", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2},
				{Name: "b", RetainHandling: 1}, {Name: "$share/g/c", QoS: 1, RetainAsPublished: true}}}},
		{"properties", v5, packet(0x82, uint16(1), props(PropUserProperty, "k", "v", PropSubscriptionID, 0xFF, 0xFF, 0xFF, 0x7F, PropUserProperty, "k", "v"), "a", 0),
			SubscribePacket{ID: 1, SubID: maxVarint, Filters: []Filter{{Name: "a"}}}},
	} {
		for _, v := range c.versions {
			got, err := parse(c.packet, v)
			require.NoError(t, err, c.name)
			assert.Equal(t, &c.want, got, c.name)
		}
	}
}

func TestSubscribeRefusals(t *testing.T) {
	t.Parallel()
	with := func(p ...any) []byte { return packet(0x82, uint16(1), props(p...), "a", 0) }
	testRefusals(t, []refusal{
		{"MQTT-2.2.1-3", all, packet(0x82, uint16(0), 0, "a", 0), ProtocolError, "SUBSCRIBE: packet id is 0"},
		{"section 3.8.2 no id", all, packet(0x82, 0), MalformedPacket, "SUBSCRIBE: cut off"},
		{"3.1.1 MQTT-3.8.3-3", v3, packet(0x82, uint16(1)), ProtocolError, "SUBSCRIBE: no topic filter"},
		{"MQTT-3.8.3-2", v5, packet(0x82, uint16(1), 0), ProtocolError, "SUBSCRIBE: no topic filter"},
		{"section 3.8.3 no options", v3, packet(0x82, uint16(1), "a"), MalformedPacket, "SUBSCRIBE: cut off"},
		{"section 3.8.3 no options, v5", v5, packet(0x82, uint16(1), 0, "a"), MalformedPacket, "SUBSCRIBE: cut off"},
		{"section 3.8.3 half a filter", v3, packet(0x82, uint16(1), "a", 0, 0, 2, 'a'), MalformedPacket, "SUBSCRIBE: cut off"},
		{"MQTT-3.8.3-1", v3, packet(0x82, uint16(1), "a\xFF", 0), MalformedPacket, "SUBSCRIBE: topic filter is not UTF-8 without NUL"},
		{"MQTT-4.7.3-2", v5, packet(0x82, uint16(1), 0, "a", 0, "\x00", 0), MalformedPacket, "SUBSCRIBE: topic filter is not UTF-8 without NUL"},
		{"3.1.1 MQTT-3-8.3-4 QoS", v3, packet(0x82, uint16(1), "a", 3), ProtocolError, "SUBSCRIBE: QoS 3"},
		{"3.1.1 MQTT-3-8.3-4 reserved 4", v3, packet(0x82, uint16(1), "a", 4), MalformedPacket, "SUBSCRIBE: reserved bits in the options"},
		{"3.1.1 MQTT-3-8.3-4 reserved 32", v3, packet(0x82, uint16(1), "a", 0x20), MalformedPacket, "SUBSCRIBE: reserved bits in the options"},
		{"section 3.8.3.1 QoS", v5, packet(0x82, uint16(1), 0, "a", 3), ProtocolError, "SUBSCRIBE: QoS 3"},
		{"section 3.8.3.1 retain handling", v5, packet(0x82, uint16(1), 0, "a", 0x30), ProtocolError, "SUBSCRIBE: retain handling 3"},
		{"MQTT-3.8.3-4", v5, packet(0x82, uint16(1), 0, "$share/g/a", 4), ProtocolError, "SUBSCRIBE: no local with a shared subscription"},
		{"MQTT-3.8.3-5 bit 6", v5, packet(0x82, uint16(1), 0, "a", 0x40), MalformedPacket, "SUBSCRIBE: reserved bits in the options"},
		{"MQTT-3.8.3-5 bit 7", v5, packet(0x82, uint16(1), 0, "a", 0x80), MalformedPacket, "SUBSCRIBE: reserved bits in the options"},
		{"section 3.8.2.1.2 zero", v5, with(PropSubscriptionID, 0), ProtocolError, "SUBSCRIBE: subscription id is 0"},
		{"section 3.8.2.1.2 twice", v5, with(PropSubscriptionID, 1, PropSubscriptionID, 2), ProtocolError, "SUBSCRIBE: subscription id is given twice"},
		{"section 3.8.2.1.2 not minimal", v5, with(PropSubscriptionID, 0x81, 0), MalformedPacket, "SUBSCRIBE: subscription id is no variable byte integer"},
		{"section 2.2.2.2", v5, with(PropTopicAlias, uint16(1)), MalformedPacket, "SUBSCRIBE: topic alias does not belong into this packet"},
		{"section 2.2.2.1", v5, packet(0x82, uint16(1)), MalformedPacket, "SUBSCRIBE: properties are cut off"},
	})
}

func TestParseUnsubscribe(t *testing.T) {
	t.Parallel()
	for _, v := range v3 {
		got, err := parse(packet(0xA2, uint16(7), "a", "", "#"), v)
		require.NoError(t, err)
		assert.Equal(t, &UnsubscribePacket{ID: 7, Filters: []string{"a", "", "#"}}, got)
	}
	got, err := parse(packet(0xA2, uint16(7), props(PropUserProperty, "k", "v"), "a/+"), V5)
	require.NoError(t, err)
	assert.Equal(t, &UnsubscribePacket{ID: 7, Filters: []string{"a/+"}}, got)

	testRefusals(t, []refusal{
		{"MQTT-2.2.1-3", all, packet(0xA2, uint16(0), 0, "a"), ProtocolError, "UNSUBSCRIBE: packet id is 0"},
		{"section 3.10.2 no id", all, packet(0xA2), MalformedPacket, "UNSUBSCRIBE: cut off"},
		{"MQTT-3.10.3-2", v3, packet(0xA2, uint16(1)), ProtocolError, "UNSUBSCRIBE: no topic filter"},
		{"MQTT-3.10.3-2 v5", v5, packet(0xA2, uint16(1), 0), ProtocolError, "UNSUBSCRIBE: no topic filter"},
		{"MQTT-3.10.3-1", v5, packet(0xA2, uint16(1), 0, "\xFF"), MalformedPacket, "UNSUBSCRIBE: topic filter is not UTF-8 without NUL"},
		{"section 3.10.3 cut off", v3, packet(0xA2, uint16(1), "a", 0, 2, 'a'), MalformedPacket, "UNSUBSCRIBE: cut off"},
		{"section 3.10.2.1", v5, packet(0xA2, uint16(1), props(PropSubscriptionID, 1), "a"), MalformedPacket,
			"UNSUBSCRIBE: subscription id does not belong into this packet"},
		{"section 2.2.2.1", v5, packet(0xA2, uint16(1)), MalformedPacket, "UNSUBSCRIBE: properties are cut off"},
	})
}

func TestSubscribeCuts(t *testing.T) {
	t.Parallel()
	testCuts(t, packet(0x82, uint16(1), "a", 0, "b", 1), V311, 6)
	testCuts(t, packet(0x82, uint16(1), props(PropSubscriptionID, 1, PropUserProperty, "k", "v"), "a", 0), V5)
	testCuts(t, packet(0xA2, uint16(1), "a", "b"), V311, 5)
	testCuts(t, packet(0xA2, uint16(1), props(PropUserProperty, "k", "v"), "a"), V5)
}
