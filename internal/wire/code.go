package wire

import "errors"

// Packet types, the upper four bits of the first byte of a packet.
const (
	TypeConnect byte = iota + 1
	TypeConnack
	TypePublish
	TypePuback
	TypePubrec
	TypePubrel
	TypePubcomp
	TypeSubscribe
	TypeSuback
	TypeUnsubscribe
	TypeUnsuback
	TypePingreq
	TypePingresp
	TypeDisconnect
	TypeAuth
)

// typeNames are the names of the packet types, for reasons.
var typeNames = [16]string{
	"packet type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// Protocol levels, as they stand in CONNECT.
const (
	V31  byte = 3
	V311 byte = 4
	V5   byte = 5
)

// Code is a reason code of MQTT 5. Values from UnspecifiedError on are failures.
type Code byte

// The reason codes of section 2.4. GrantedQoS0 and NormalDisconnection are Success, too.
const (
	Success                           Code = 0x00
	DisconnectWithWill                Code = 0x04
	NoMatchingSubscribers             Code = 0x10
	NoSubscriptionExisted             Code = 0x11
	ContinueAuthentication            Code = 0x18
	ReAuthenticate                    Code = 0x19
	UnspecifiedError                  Code = 0x80
	MalformedPacket                   Code = 0x81
	ProtocolError                     Code = 0x82
	ImplementationSpecific            Code = 0x83
	UnsupportedProtocolVersion        Code = 0x84
	ClientIDNotValid                  Code = 0x85
	BadUserNameOrPassword             Code = 0x86
	NotAuthorized                     Code = 0x87
	ServerUnavailable                 Code = 0x88
	ServerBusy                        Code = 0x89
	Banned                            Code = 0x8A
	ServerShuttingDown                Code = 0x8B
	BadAuthenticationMethod           Code = 0x8C
	KeepAliveTimeout                  Code = 0x8D
	SessionTakenOver                  Code = 0x8E
	TopicFilterInvalid                Code = 0x8F
	TopicNameInvalid                  Code = 0x90
	PacketIDInUse                     Code = 0x91
	PacketIDNotFound                  Code = 0x92
	ReceiveMaximumExceeded            Code = 0x93
	TopicAliasInvalid                 Code = 0x94
	PacketTooLarge                    Code = 0x95
	MessageRateTooHigh                Code = 0x96
	QuotaExceeded                     Code = 0x97
	AdministrativeAction              Code = 0x98
	PayloadFormatInvalid              Code = 0x99
	RetainNotSupported                Code = 0x9A
	QoSNotSupported                   Code = 0x9B
	UseAnotherServer                  Code = 0x9C
	ServerMoved                       Code = 0x9D
	SharedSubscriptionsNotSupported   Code = 0x9E
	ConnectionRateExceeded            Code = 0x9F
	MaximumConnectTime                Code = 0xA0
	SubscriptionIDsNotSupported       Code = 0xA1
	WildcardSubscriptionsNotSupported Code = 0xA2
)

// codeNames are the names of the codes, empty where there is none.
var codeNames = [...]string{
	Success:                           "success",
	DisconnectWithWill:                "disconnect with will message",
	NoMatchingSubscribers:             "no matching subscribers",
	NoSubscriptionExisted:             "no subscription existed",
	ContinueAuthentication:            "continue authentication",
	ReAuthenticate:                    "re-authenticate",
	UnspecifiedError:                  "unspecified error",
	MalformedPacket:                   "malformed packet",
	ProtocolError:                     "protocol error",
	ImplementationSpecific:            "implementation specific error",
	UnsupportedProtocolVersion:        "unsupported protocol version",
	ClientIDNotValid:                  "client id not valid",
	BadUserNameOrPassword:             "bad user name or password",
	NotAuthorized:                     "not authorized",
	ServerUnavailable:                 "server unavailable",
	ServerBusy:                        "server busy",
	Banned:                            "banned",
	ServerShuttingDown:                "server shutting down",
	BadAuthenticationMethod:           "bad authentication method",
	KeepAliveTimeout:                  "keep alive timeout",
	SessionTakenOver:                  "session taken over",
	TopicFilterInvalid:                "topic filter invalid",
	TopicNameInvalid:                  "topic name invalid",
	PacketIDInUse:                     "packet id in use",
	PacketIDNotFound:                  "packet id not found",
	ReceiveMaximumExceeded:            "receive maximum exceeded",
	TopicAliasInvalid:                 "topic alias invalid",
	PacketTooLarge:                    "packet too large",
	MessageRateTooHigh:                "message rate too high",
	QuotaExceeded:                     "quota exceeded",
	AdministrativeAction:              "administrative action",
	PayloadFormatInvalid:              "payload format invalid",
	RetainNotSupported:                "retain not supported",
	QoSNotSupported:                   "QoS not supported",
	UseAnotherServer:                  "use another server",
	ServerMoved:                       "server moved",
	SharedSubscriptionsNotSupported:   "shared subscriptions not supported",
	ConnectionRateExceeded:            "connection rate exceeded",
	MaximumConnectTime:                "maximum connect time",
	SubscriptionIDsNotSupported:       "subscription ids not supported",
	WildcardSubscriptionsNotSupported: "wildcard subscriptions not supported",
}

// String returns the name of the code in words, "not authorized", or "reason code 0x7f" for a
// value that MQTT 5 does not know.
func (c Code) String() string {
	if int(c) < len(codeNames) && codeNames[c] != "" {
		return codeNames[c]
	}
	const hex = "0123456789abcdef"
	return "reason code 0x" + string([]byte{hex[c>>4], hex[c&15]})
}

// V3 returns the CONNACK return code of MQTT 3.1.1 that says most nearly the same: 0 accepted,
// 1 protocol version, 2 client id, 3 server unavailable, 4 user name or password, 5 not
// authorized. What a later try may cure is 3, because clients give up at 5.
func (c Code) V3() byte {
	switch c {
	case Success:
		return 0
	case UnsupportedProtocolVersion:
		return 1
	case ClientIDNotValid:
		return 2
	case BadUserNameOrPassword:
		return 4
	case UnspecifiedError, ImplementationSpecific, ServerUnavailable, ServerBusy, ServerShuttingDown,
		QuotaExceeded, UseAnotherServer, ServerMoved, ConnectionRateExceeded, MaximumConnectTime,
		MessageRateTooHigh, SessionTakenOver, KeepAliveTimeout:
		return 3
	}
	return 5
}

// Error is why a packet is refused. Almost all are package values, so that a flood of bad
// packets costs no memory.
type Error struct {
	Code   Code
	Reason string // names the packet and the field, "PUBLISH: topic name holds a wildcard"
}

// Error returns the reason.
func (e *Error) Error() string { return e.Reason }

// CodeOf returns the reason code of the *Error that err is or wraps.
func CodeOf(err error) (Code, bool) {
	var e *Error
	if errors.As(err, &e) {
		return e.Code, true
	}
	return Success, false
}

func malformed(reason string) error     { return &Error{Code: MalformedPacket, Reason: reason} }
func protocolError(reason string) error { return &Error{Code: ProtocolError, Reason: reason} }
