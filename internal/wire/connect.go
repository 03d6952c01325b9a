package wire

import (
	"bytes"
	"encoding/binary"
)

var (
	errConnectCut         = malformed("CONNECT: cut off before the client id")
	errConnectVersion     = &Error{UnsupportedProtocolVersion, "CONNECT: protocol name or version is unknown"} // [MQTT-3.1.2-1] [MQTT-3.1.2-2]
	errConnectReserved    = malformed("CONNECT: reserved flag is set")                                         // [MQTT-3.1.2-3]
	errConnectWillQoS     = malformed("CONNECT: QoS 3 for the will")                                           // [MQTT-3.1.2-12]
	errConnectWillFlags   = malformed("CONNECT: QoS or retain for a will, but no will")                        // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
	errConnectPassword    = malformed("CONNECT: password without user name")                                   // 3.1.1 [MQTT-3.1.2-22]
	errConnectIDCut       = malformed("CONNECT: client id is cut off")                                         // [MQTT-3.1.3-3]
	errConnectIDText      = malformed("CONNECT: client id is not UTF-8 without NUL")                           // [MQTT-3.1.3-4]
	errConnectNoID        = &Error{ClientIDNotValid, "CONNECT: no client id, and the session is to be kept"}   // 3.1.1 [MQTT-3.1.3-8]
	errConnectNoID31      = &Error{ClientIDNotValid, "CONNECT: no client id"}                                  // MQTT 3.1, section 3.1
	errConnectAuth        = protocolError("CONNECT: authentication data without authentication method")        // section 3.1.2.11.10
	errConnectWillCut     = malformed("CONNECT: will topic is cut off")
	errConnectPayloadCut  = malformed("CONNECT: will payload is cut off")
	errConnectWillText    = malformed("CONNECT: will topic is not UTF-8 without NUL") // [MQTT-3.1.3-11]
	errConnectWillEmpty   = protocolError("CONNECT: will topic is empty")             // [MQTT-4.7.3-1]
	errConnectWillWild    = protocolError("CONNECT: will topic holds a wildcard")     // [MQTT-3.3.2-2]
	errConnectUserCut     = malformed("CONNECT: user name is cut off")
	errConnectUserText    = malformed("CONNECT: user name is not UTF-8 without NUL") // [MQTT-3.1.3-12]
	errConnectPasswordCut = malformed("CONNECT: password is cut off")
	errConnectTrailing    = malformed("CONNECT: bytes after the last field")
)

// Flags of CONNECT, section 3.1.2.3.
const (
	flagReserved   = 1 << 0
	flagClean      = 1 << 1
	flagWill       = 1 << 2
	flagWillQoS    = 3 << 3
	flagWillRetain = 1 << 5
	flagPassword   = 1 << 6
	flagUser       = 1 << 7
)

// ConnectPacket is a CONNECT. It shares no memory with the packet that it was read from.
type ConnectPacket struct {
	Version             byte   // V31, V311 or V5
	ClientID            string // empty: the server assigns one
	CleanStart          bool
	KeepAlive           uint16 // seconds, 0 for none
	HasUser             bool
	HasPassword         bool
	User                string
	Password            []byte
	SessionExpiry       uint32 // seconds, 0xFFFFFFFF for never
	HasSessionExpiry    bool
	ReceiveMaximum      uint16 // 65535 unless given
	MaximumPacket       uint32 // bytes, 0 for no limit
	TopicAliasMaximum   uint16
	RequestResponseInfo bool
	NoProblemInfo       bool // no reason strings and user properties but in PUBLISH, CONNACK, DISCONNECT [MQTT-3.1.2-29]
	HasAuth             bool // an authentication method is given
	AuthMethod          string
	AuthData            []byte
	UserProps           [][2]string
	Will                *WillPacket // nil without
}

// WillPacket is the will of a CONNECT.
type WillPacket struct {
	Topic     string
	Payload   []byte
	Props     []byte // encoded properties for subscribers, without delay and expiry
	QoS       byte
	Retain    bool
	Delay     uint32 // seconds
	Expiry    uint32 // seconds, with HasExpiry
	HasExpiry bool
}

// ParseConnect reads a CONNECT of any version. The error is an *Error: UnsupportedProtocolVersion
// and ClientIDNotValid are meant to be told to a client of any version, the others close the
// connection before MQTT 5.
func ParseConnect(frame []byte, header int) (*ConnectPacket, error) {
	b, err := open(frame, header, TypeConnect, V311) // the version follows, and is looked at below
	if err != nil {
		return nil, err
	}
	p := &ConnectPacket{ReceiveMaximum: 65535}
	if p.Version, b, err = connectVersion(b); err != nil {
		return nil, err
	}
	if _, err = open(frame, header, TypeConnect, p.Version); err != nil {
		return nil, err
	}
	if len(b) < 3 {
		return nil, errConnectCut
	}
	flags := b[0]
	p.CleanStart = flags&flagClean != 0
	p.KeepAlive = binary.BigEndian.Uint16(b[1:])
	if err = connectFlags(flags, p.Version); err != nil {
		return nil, err
	}
	b = b[3:]
	if p.Version >= V5 {
		if b, err = p.properties(b); err != nil {
			return nil, err
		}
	}
	// The order of the fields is fixed. [MQTT-3.1.3-1]
	if b, err = p.clientID(b); err != nil {
		return nil, err
	}
	if flags&flagWill != 0 {
		p.Will = &WillPacket{QoS: flags & flagWillQoS >> 3, Retain: flags&flagWillRetain != 0}
		if b, err = p.Will.parse(b, p.Version); err != nil {
			return nil, err
		}
	}
	if b, err = p.login(b, flags); err != nil {
		return nil, err
	}
	if len(b) > 0 {
		return nil, errConnectTrailing
	}
	return p, nil
}

// connectVersion reads protocol name and version and returns what follows.
func connectVersion(b []byte) (version byte, rest []byte, err error) {
	name, rest, ok := field(b)
	if !ok || len(rest) == 0 {
		return 0, nil, errConnectCut
	}
	version = rest[0]
	switch {
	case string(name) == "MQTT" && (version == V311 || version == V5):
	case string(name) == "MQIsdp" && version == V31:
	default:
		return 0, nil, errConnectVersion
	}
	return version, rest[1:], nil
}

func connectFlags(flags, version byte) error {
	switch {
	case flags&flagReserved != 0:
		return errConnectReserved
	case flags&flagWillQoS == flagWillQoS:
		return errConnectWillQoS
	case flags&flagWill == 0 && flags&(flagWillQoS|flagWillRetain) != 0:
		return errConnectWillFlags
	case flags&flagPassword != 0 && flags&flagUser == 0 && version < V5: // MQTT 5 allows it, section 3.1.2.9
		return errConnectPassword
	}
	return nil
}

// properties reads the properties at the start of b and returns what follows them.
func (p *ConnectPacket) properties(b []byte) ([]byte, error) {
	r, rest, err := propReaderOf(b, "CONNECT", connectProps)
	if err != nil {
		return nil, err
	}
	for r.next() {
		switch r.id {
		case PropSessionExpiry:
			p.SessionExpiry, p.HasSessionExpiry = r.num, true
		case PropReceiveMaximum:
			p.ReceiveMaximum = uint16(r.num)
		case PropMaximumPacketSize:
			p.MaximumPacket = r.num
		case PropTopicAliasMaximum:
			p.TopicAliasMaximum = uint16(r.num)
		case PropRequestResponseInfo:
			p.RequestResponseInfo = r.num == 1
		case PropRequestProblemInfo:
			p.NoProblemInfo = r.num == 0
		case PropAuthMethod:
			p.AuthMethod, p.HasAuth = string(r.text), true
		case PropAuthData:
			p.AuthData = bytes.Clone(r.text)
		case PropUserProperty:
			p.UserProps = append(p.UserProps, [2]string{string(r.text), string(r.value)})
		}
	}
	if r.err == nil && !p.HasAuth && r.seen&(1<<PropAuthData) != 0 {
		return nil, errConnectAuth
	}
	return rest, r.err
}

// clientID reads the client id at the start of b and returns what follows it. Ids longer than
// the 23 characters of MQTT 3.1 pass: clients in use have them, and 3.1.1 allows it.
func (p *ConnectPacket) clientID(b []byte) ([]byte, error) {
	id, rest, ok := field(b)
	switch {
	case !ok:
		return nil, errConnectIDCut
	case !validText(id):
		return nil, errConnectIDText
	case len(id) == 0 && p.Version == V31:
		return nil, errConnectNoID31
	case len(id) == 0 && p.Version == V311 && !p.CleanStart:
		return nil, errConnectNoID
	}
	p.ClientID = string(id)
	return rest, nil
}

// login reads user name and password at the start of b and returns what follows them. In MQTT
// 3.1 the remaining length overrides the flags: a server must allow that they are set and the
// fields are missing.
func (p *ConnectPacket) login(b []byte, flags byte) ([]byte, error) {
	var f []byte
	var ok bool
	if flags&flagUser != 0 && !(p.Version == V31 && len(b) == 0) {
		switch f, b, ok = field(b); {
		case !ok:
			return nil, errConnectUserCut // [MQTT-3.1.2-17]
		case !validText(f):
			return nil, errConnectUserText
		}
		p.User, p.HasUser = string(f), true
	}
	if flags&flagPassword != 0 && !(p.Version == V31 && len(b) == 0) {
		if f, b, ok = field(b); !ok {
			return nil, errConnectPasswordCut // [MQTT-3.1.2-19]
		}
		p.Password, p.HasPassword = bytes.Clone(f), true
	}
	return b, nil
}

// parse reads the will at the start of b and returns what follows it.
func (w *WillPacket) parse(b []byte, version byte) ([]byte, error) {
	if version >= V5 {
		var err error
		if b, err = w.properties(b); err != nil {
			return nil, err
		}
	}
	topic, b, ok := field(b)
	switch {
	case !ok:
		return nil, errConnectWillCut
	case !validText(topic):
		return nil, errConnectWillText
	case len(topic) == 0:
		return nil, errConnectWillEmpty
	case wild(topic):
		return nil, errConnectWillWild
	}
	payload, b, ok := field(b)
	if !ok {
		return nil, errConnectPayloadCut
	}
	w.Topic, w.Payload = string(topic), bytes.Clone(payload)
	return b, nil
}

// properties reads the properties of the will at the start of b and returns what follows them.
func (w *WillPacket) properties(b []byte) ([]byte, error) {
	r, rest, err := propReaderOf(b, "CONNECT: will", willProps)
	if err != nil {
		return nil, err
	}
	f := forwarder{props: r.b}
	for r.next() {
		switch r.id {
		case PropWillDelay:
			w.Delay = r.num
		case PropMessageExpiry:
			w.Expiry, w.HasExpiry = r.num, true
		default:
			f.keep(r.start, r.at)
		}
	}
	w.Props = bytes.Clone(f.bytes())
	return rest, r.err
}
