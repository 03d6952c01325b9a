// Package wiretest is an MQTT client for tests that works on bytes: it can send anything,
// well formed or not, and takes apart strictly what it receives. It owns an encoder and a
// decoder of its own, so that a test which uses it judges a broker by the specification and
// not by the broker's own codec. It knows 3.1, 3.1.1 and 5.0 and nothing of sessions.
package wiretest

// Versions of the protocol, as they stand in CONNECT.
const (
	V31  byte = 3
	V311 byte = 4
	V5   byte = 5
)

// Types of control packets.
const (
	CONNECT     byte = 1
	CONNACK     byte = 2
	PUBLISH     byte = 3
	PUBACK      byte = 4
	PUBREC      byte = 5
	PUBREL      byte = 6
	PUBCOMP     byte = 7
	SUBSCRIBE   byte = 8
	SUBACK      byte = 9
	UNSUBSCRIBE byte = 10
	UNSUBACK    byte = 11
	PINGREQ     byte = 12
	PINGRESP    byte = 13
	DISCONNECT  byte = 14
	AUTH        byte = 15
)

var typeNames = [16]string{
	"type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// TypeName is the name of a packet type as the specification writes it.
func TypeName(typ byte) string { return typeNames[typ&15] }

// Identifiers of the properties of MQTT 5.
const (
	PayloadFormat       byte = 0x01
	MessageExpiry       byte = 0x02
	ContentType         byte = 0x03
	ResponseTopic       byte = 0x08
	CorrelationData     byte = 0x09
	SubscriptionID      byte = 0x0b
	SessionExpiry       byte = 0x11
	AssignedClientID    byte = 0x12
	ServerKeepAlive     byte = 0x13
	AuthMethod          byte = 0x15
	AuthData            byte = 0x16
	RequestProblemInfo  byte = 0x17
	WillDelay           byte = 0x18
	RequestResponseInfo byte = 0x19
	ResponseInfo        byte = 0x1a
	ServerReference     byte = 0x1c
	ReasonString        byte = 0x1f
	ReceiveMaximum      byte = 0x21
	TopicAliasMaximum   byte = 0x22
	TopicAlias          byte = 0x23
	MaximumQoS          byte = 0x24
	RetainAvailable     byte = 0x25
	UserProperty        byte = 0x26
	MaximumPacketSize   byte = 0x27
	WildcardAvailable   byte = 0x28
	SubIDAvailable      byte = 0x29
	SharedAvailable     byte = 0x2a
)
