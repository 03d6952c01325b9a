package wire

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets" //nolint:depguard // a second opinion, for tests alone
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The library's decoder is a second opinion. It is more lenient and panics on some packets, so
// what counts are packets that both accept: they must mean the same to both.

// mochi decodes p with the library; ok is false if it refuses or panics.
func mochi(p []byte, header int, version byte) (pk packets.Packet, ok bool) {
	defer func() { ok = recover() == nil && ok }()
	pk.ProtocolVersion = version
	if pk.FixedHeader.Decode(p[0]) != nil {
		return pk, false
	}
	pk.FixedHeader.Remaining = len(p) - header
	body := bytes.Clone(p[header:])
	switch pk.FixedHeader.Type {
	case packets.Connect:
		return pk, pk.ConnectDecode(body) == nil
	case packets.Publish:
		return pk, pk.PublishDecode(body) == nil
	case packets.Subscribe:
		return pk, pk.SubscribeDecode(body) == nil
	}
	return pk, false
}

// compare checks that the library reads p as we do, and reports whether both accept it.
func compare(t *testing.T, p []byte, version byte) bool {
	t.Helper()
	got, err := parse(p, version)
	if err != nil {
		return false
	}
	header, _, _ := Header(p)
	pk, ok := mochi(p, header, version)
	if !ok {
		return false
	}
	switch v := got.(type) {
	case *ConnectPacket:
		same(t, connectFacts(v), mochiConnect(&pk))
	case *PublishPacket:
		same(t, publishFacts(v), mochiPublish(&pk))
	case *SubscribePacket:
		same(t, subscribeFacts(v), mochiSubscribe(&pk))
	}
	return true
}

// facts are what a packet says, by name.
type facts map[string]string

func same(t *testing.T, ours, theirs facts) {
	t.Helper()
	if fmt.Sprint(ours) != fmt.Sprint(theirs) { // assert.Equal is slow, and fuzzing calls this a lot
		assert.Equal(t, theirs, ours)
	}
}

func (f facts) set(name string, v any) { f[name] = fmt.Sprintf("%+v", v) }

// forwarded decodes forwarded properties, with the user properties in their order.
func (f facts) forwarded(raw []byte) {
	r, _, err := propReaderOf(append(AppendVarint(nil, uint32(len(raw))), raw...), "test", publishProps)
	if err != nil {
		panic(err)
	}
	var user []packets.UserProperty
	f.message(packets.Properties{})
	for r.next() {
		switch r.id {
		case PropPayloadFormat:
			f.set("payload format", fmt.Sprint(true, r.num))
		case PropUserProperty:
			user = append(user, packets.UserProperty{Key: string(r.text), Val: string(r.value)})
		default:
			f[propTable[r.id].name] = string(r.text)
		}
	}
	if r.err != nil {
		panic(r.err)
	}
	f.set("user", user)
}

// message notes the forwarded properties as the library has them.
func (f facts) message(p packets.Properties) {
	f.set("payload format", fmt.Sprint(p.PayloadFormatFlag, p.PayloadFormat))
	f["content type"], f["response topic"], f["correlation data"] = p.ContentType, p.ResponseTopic, string(p.CorrelationData)
	f.set("user", p.User)
}

func publishFacts(p *PublishPacket) facts {
	f := facts{"topic": string(p.Topic), "payload": string(p.Payload)}
	f.set("header", fmt.Sprint(p.ID, p.QoS, p.Retain, p.Dup))
	f.set("numbers", fmt.Sprint(p.Alias, p.Expiry))
	f.forwarded(p.Props)
	return f
}

func mochiPublish(pk *packets.Packet) facts {
	f := facts{"topic": pk.TopicName, "payload": string(pk.Payload)}
	f.set("header", fmt.Sprint(pk.PacketID, pk.FixedHeader.Qos, pk.FixedHeader.Retain, pk.FixedHeader.Dup))
	f.set("numbers", fmt.Sprint(pk.Properties.TopicAlias, pk.Properties.MessageExpiryInterval))
	f.message(pk.Properties)
	return f
}

func subscribeFacts(p *SubscribePacket) facts {
	f := facts{}
	for i, s := range p.Filters {
		f.set(fmt.Sprint(i), fmt.Sprint(p.ID, p.SubID, s.Name, s.QoS, s.NoLocal, s.RetainAsPublished, s.RetainHandling))
	}
	return f
}

func mochiSubscribe(pk *packets.Packet) facts {
	f := facts{}
	for i, s := range pk.Filters {
		f.set(fmt.Sprint(i), fmt.Sprint(pk.PacketID, s.Identifier, s.Filter, s.Qos, s.NoLocal, s.RetainAsPublished, s.RetainHandling))
	}
	return f
}

func connectFacts(p *ConnectPacket) facts {
	f := facts{"id": p.ClientID, "user name": p.User, "password": string(p.Password), "method": p.AuthMethod, "data": string(p.AuthData)}
	f.set("flags", fmt.Sprint(p.Version, p.CleanStart, p.KeepAlive, p.HasUser, p.HasPassword, p.HasSessionExpiry, p.NoProblemInfo, p.RequestResponseInfo))
	max := p.ReceiveMaximum
	if max == 65535 {
		max = 0
	}
	f.set("numbers", fmt.Sprint(p.SessionExpiry, max, p.MaximumPacket, p.TopicAliasMaximum))
	for i, u := range p.UserProps {
		f.set(fmt.Sprint("user ", i), u)
	}
	if w := p.Will; w != nil {
		f["will topic"], f["will payload"] = w.Topic, string(w.Payload)
		f.set("will", fmt.Sprint(w.QoS, w.Retain, w.Delay, w.Expiry))
		f.forwarded(w.Props)
	}
	return f
}

func mochiConnect(pk *packets.Packet) facts {
	c, p := &pk.Connect, &pk.Properties
	f := facts{"id": c.ClientIdentifier, "user name": string(c.Username), "password": string(c.Password),
		"method": p.AuthenticationMethod, "data": string(p.AuthenticationData)}
	f.set("flags", fmt.Sprint(pk.ProtocolVersion, c.Clean, c.Keepalive, c.UsernameFlag, c.PasswordFlag, p.SessionExpiryIntervalFlag,
		p.RequestProblemInfoFlag && p.RequestProblemInfo == 0, p.RequestResponseInfo == 1))
	max := p.ReceiveMaximum
	if max == 65535 {
		max = 0
	}
	f.set("numbers", fmt.Sprint(p.SessionExpiryInterval, max, p.MaximumPacketSize, p.TopicAliasMaximum))
	for i, u := range p.User {
		f.set(fmt.Sprint("user ", i), [2]string{u.Key, u.Val})
	}
	if c.WillFlag {
		f["will topic"], f["will payload"] = c.WillTopic, string(c.WillPayload)
		f.set("will", fmt.Sprint(c.WillQos, c.WillRetain, c.WillProperties.WillDelayInterval, c.WillProperties.MessageExpiryInterval))
		f.message(c.WillProperties)
	}
	return f
}

// samples are good packets, for comparison and as seeds for fuzzing.
func samples() map[byte][][]byte {
	message := props(PropPayloadFormat, 1, PropMessageExpiry, uint32(60), PropUserProperty, "k", "2", PropContentType, "text/plain",
		PropTopicAlias, uint16(3), PropResponseTopic, "r/1", PropUserProperty, "k", "1", PropCorrelationData, "\x00\xFF")
	will := props(PropWillDelay, uint32(5), PropPayloadFormat, 1, PropMessageExpiry, uint32(6), PropContentType, "c",
		PropResponseTopic, "r", PropCorrelationData, "d", PropUserProperty, "k", "v")
	return map[byte][][]byte{
		V311: {
			packet(0x30, "a/b", raw("hi")), packet(0x33, "küche", uint16(5)), packet(0x3D, "a", uint16(65535), raw("x")),
			connect(2, "id"), connect(0xF6, "id", "w/t", "bye", "u", "pw"), connect31(2, "id"), connect(0x82, "", "u"),
			packet(0x82, uint16(1), "a/+", 1, "#", 2, "b", 0),
		},
		V5: {
			packet(0x30, "a/b", 0, raw("hi")), packet(0x35, "a/b", uint16(9), message, raw("hi")), packet(0x30, "", props(PropTopicAlias, uint16(1))),
			connect5(2, 0, "id"), connect5(0x42, 0, "id", "pw"),
			connect5(0xEE, props(PropSessionExpiry, uint32(10), PropReceiveMaximum, uint16(20), PropMaximumPacketSize, uint32(30),
				PropTopicAliasMaximum, uint16(40), PropRequestResponseInfo, 1, PropRequestProblemInfo, 0, PropUserProperty, "k", "2",
				PropUserProperty, "k", "1", PropAuthMethod, "m", PropAuthData, "\x00"), "id", will, "w", "bye", "u", "pw"),
			packet(0x82, uint16(1), props(PropSubscriptionID, 0x80, 1, PropUserProperty, "k", "v"), "a/+", 0b10_1_1_10, "b", 0b01_0_0_01, "$share/g/c", 8),
		},
	}
}

func TestAgainstMochi(t *testing.T) {
	t.Parallel()
	for version, list := range samples() {
		for _, p := range list {
			require.True(t, compare(t, p, version), "%q is accepted by both", p)
		}
	}
}
