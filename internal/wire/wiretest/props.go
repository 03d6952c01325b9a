package wiretest

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Prop is one property. Num holds numbers, Str holds strings and binary data, Key and Str
// the two halves of a user property.
type Prop struct {
	ID  byte
	Num uint32
	Key string
	Str string
}

// Props are properties in the order in which they stand in the packet.
type Props []Prop

// Num is a property with a number of any width.
func Num(id byte, v uint32) Prop { return Prop{ID: id, Num: v} }

// Str is a property with a string or binary data.
func Str(id byte, v string) Prop { return Prop{ID: id, Str: v} }

// User is a user property.
func User(key, value string) Prop { return Prop{ID: UserProperty, Key: key, Str: value} }

// Get is the number of the first property with that id, and whether there is one.
func (p Props) Get(id byte) (uint32, bool) {
	for _, x := range p {
		if x.ID == id {
			return x.Num, true
		}
	}
	return 0, false
}

// Text is the string of the first property with that id, and whether there is one.
func (p Props) Text(id byte) (string, bool) {
	for _, x := range p {
		if x.ID == id {
			return x.Str, true
		}
	}
	return "", false
}

// Has tells whether there is a property with that id.
func (p Props) Has(id byte) bool { _, ok := p.Get(id); return ok }

// All are the properties with that id.
func (p Props) All(id byte) Props {
	var out Props
	for _, x := range p {
		if x.ID == id {
			out = append(out, x)
		}
	}
	return out
}

type kind byte

const (
	kindByte kind = iota + 1
	kindUint16
	kindUint32
	kindVarint
	kindString
	kindBinary
	kindPair
)

var kinds = map[byte]kind{
	PayloadFormat: kindByte, MessageExpiry: kindUint32, ContentType: kindString, ResponseTopic: kindString,
	CorrelationData: kindBinary, SubscriptionID: kindVarint, SessionExpiry: kindUint32, AssignedClientID: kindString,
	ServerKeepAlive: kindUint16, AuthMethod: kindString, AuthData: kindBinary, RequestProblemInfo: kindByte,
	WillDelay: kindUint32, RequestResponseInfo: kindByte, ResponseInfo: kindString, ServerReference: kindString,
	ReasonString: kindString, ReceiveMaximum: kindUint16, TopicAliasMaximum: kindUint16, TopicAlias: kindUint16,
	MaximumQoS: kindByte, RetainAvailable: kindByte, UserProperty: kindPair, MaximumPacketSize: kindUint32,
	WildcardAvailable: kindByte, SubIDAvailable: kindByte, SharedAvailable: kindByte,
}

// allowed lists what a server may send in which packet, table 2-4 of the specification.
var allowed = map[byte][]byte{
	CONNACK: {
		SessionExpiry, AssignedClientID, ServerKeepAlive, AuthMethod, AuthData, ResponseInfo, ServerReference, ReasonString,
		ReceiveMaximum, TopicAliasMaximum, MaximumQoS, RetainAvailable, UserProperty, MaximumPacketSize, WildcardAvailable,
		SubIDAvailable, SharedAvailable,
	},
	PUBLISH:    {PayloadFormat, MessageExpiry, ContentType, ResponseTopic, CorrelationData, SubscriptionID, TopicAlias, UserProperty},
	PUBACK:     {ReasonString, UserProperty},
	PUBREC:     {ReasonString, UserProperty},
	PUBREL:     {ReasonString, UserProperty},
	PUBCOMP:    {ReasonString, UserProperty},
	SUBACK:     {ReasonString, UserProperty},
	UNSUBACK:   {ReasonString, UserProperty},
	DISCONNECT: {ServerReference, ReasonString, UserProperty},
	AUTH:       {AuthMethod, AuthData, ReasonString, UserProperty},
}

// encode writes the property length and the properties; an unknown id is written as one byte,
// so that a test can send it.
func (p Props) encode(b []byte) []byte {
	var body []byte
	for _, x := range p {
		body = append(body, x.ID)
		switch kinds[x.ID] {
		case kindByte:
			body = append(body, byte(x.Num))
		case kindUint16:
			body = append(body, byte(x.Num>>8), byte(x.Num))
		case kindUint32:
			body = append(body, byte(x.Num>>24), byte(x.Num>>16), byte(x.Num>>8), byte(x.Num))
		case kindVarint:
			body = Varint(body, x.Num)
		case kindString, kindBinary:
			body = String(body, x.Str)
		case kindPair:
			body = String(String(body, x.Key), x.Str)
		default:
			body = append(body, byte(x.Num))
		}
	}
	return append(Varint(b, uint32(len(body))), body...)
}

// props reads the properties of a packet that a server sent.
func (r *reader) props(typ byte) (Props, error) {
	n, err := r.varint()
	if err != nil {
		return nil, fmt.Errorf("property length: %w", err)
	}
	if int(n) > len(r.b) {
		return nil, fmt.Errorf("property length %d exceeds the packet", n)
	}
	in := reader{b: r.b[:n]}
	r.b = r.b[n:]
	var out Props
	for len(in.b) > 0 {
		x, err := in.prop()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(allowed[typ], x.ID) {
			return nil, fmt.Errorf("property 0x%02x does not belong into %s", x.ID, TypeName(typ))
		}
		repeats := x.ID == UserProperty || x.ID == SubscriptionID && typ == PUBLISH
		if !repeats && out.Has(x.ID) {
			return nil, fmt.Errorf("property 0x%02x stands twice", x.ID)
		}
		out = append(out, x)
	}
	return out, nil
}

func (r *reader) prop() (Prop, error) {
	id, err := r.byte()
	if err != nil {
		return Prop{}, err
	}
	x := Prop{ID: id}
	switch kinds[id] {
	case kindByte:
		var v byte
		v, err = r.byte()
		x.Num = uint32(v)
	case kindUint16:
		var v uint16
		v, err = r.uint16()
		x.Num = uint32(v)
	case kindUint32:
		x.Num, err = r.uint32()
	case kindVarint:
		x.Num, err = r.varint()
	case kindString:
		x.Str, err = r.text()
	case kindBinary:
		x.Str, err = r.binary()
	case kindPair:
		if x.Key, err = r.text(); err == nil {
			x.Str, err = r.text()
		}
	default:
		err = fmt.Errorf("unknown property 0x%02x", id)
	}
	return x, err
}

var errShort = errors.New("packet ends too early")

// reader takes fields from the front of b.
type reader struct{ b []byte }

func (r *reader) byte() (byte, error) {
	if len(r.b) < 1 {
		return 0, errShort
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v, nil
}

func (r *reader) uint16() (uint16, error) {
	if len(r.b) < 2 {
		return 0, errShort
	}
	v := uint16(r.b[0])<<8 | uint16(r.b[1])
	r.b = r.b[2:]
	return v, nil
}

func (r *reader) uint32() (uint32, error) {
	hi, err := r.uint16()
	if err != nil {
		return 0, err
	}
	lo, err := r.uint16()
	return uint32(hi)<<16 | uint32(lo), err
}

func (r *reader) varint() (uint32, error) {
	var v uint32
	for i := range 4 {
		c, err := r.byte()
		if err != nil {
			return 0, err
		}
		v |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				return 0, errors.New("variable byte integer is not of minimal length")
			}
			return v, nil
		}
	}
	return 0, errors.New("variable byte integer is too long")
}

func (r *reader) binary() (string, error) {
	n, err := r.uint16()
	if err != nil {
		return "", err
	}
	if len(r.b) < int(n) {
		return "", errShort
	}
	v := string(r.b[:n])
	r.b = r.b[n:]
	return v, nil
}

func (r *reader) text() (string, error) {
	v, err := r.binary()
	if err == nil && (!utf8.ValidString(v) || slices.Contains([]byte(v), 0)) {
		return "", fmt.Errorf("%q is not a UTF-8 string of MQTT", v)
	}
	return v, err
}
