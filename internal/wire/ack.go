package wire

import "encoding/binary"

// AckPacket is a PUBACK, PUBREC, PUBREL or PUBCOMP.
type AckPacket struct {
	ID   uint16
	Code Code // Success before MQTT 5
}

// ackErrors are the errors of one of the four acknowledgements.
type ackErrors struct{ length, id, code error }

func ackErrorsOf(typ byte) ackErrors {
	name := typeNames[typ]
	return ackErrors{
		length: malformed(name + ": wrong length"),
		id:     protocolError(name + ": packet id is 0"),                             // [MQTT-2.2.1-3]
		code:   protocolError(name + ": reason code that this packet does not have"), // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
	}
}

var ackErrs = [...]ackErrors{
	ackErrorsOf(TypePuback), ackErrorsOf(TypePubrec), ackErrorsOf(TypePubrel), ackErrorsOf(TypePubcomp),
}

// ParseAck reads a PUBACK, PUBREC, PUBREL or PUBCOMP. It allocates nothing unless the packet is
// refused for its properties. The error is an *Error.
func ParseAck(frame []byte, header int, version byte) (AckPacket, error) {
	if len(frame) < 2 || frame[0]>>4 < TypePuback || frame[0]>>4 > TypePubcomp {
		return AckPacket{}, errFrame
	}
	typ := frame[0] >> 4
	b, err := open(frame, header, typ, version)
	if err != nil {
		return AckPacket{}, err
	}
	errs := &ackErrs[typ-TypePuback]
	if len(b) < 2 || len(b) > 2 && version < V5 {
		return AckPacket{}, errs.length
	}
	a := AckPacket{ID: binary.BigEndian.Uint16(b)}
	if a.ID == 0 {
		return AckPacket{}, errs.id
	}
	if len(b) == 2 { // Success, section 3.4.2.1
		return a, nil
	}
	if a.Code = Code(b[2]); !ackCode(typ, a.Code) {
		return AckPacket{}, errs.code
	}
	if len(b) == 3 || len(b) == 4 && b[3] == 0 { // no properties, section 3.4.2.2.1
		return a, nil
	}
	return a, skipProps(b[3:], typeNames[typ], ackProps, errs.length)
}

// ackCode reports whether an acknowledgement of this type may have this reason code.
func ackCode(typ byte, c Code) bool {
	if typ == TypePubrel || typ == TypePubcomp {
		return c == Success || c == PacketIDNotFound
	}
	switch c {
	case Success, NoMatchingSubscribers, UnspecifiedError, ImplementationSpecific, NotAuthorized, TopicNameInvalid,
		PacketIDInUse, QuotaExceeded, PayloadFormatInvalid:
		return true
	}
	return false
}

// skipProps checks properties that nobody wants, and that nothing follows them.
func skipProps(b []byte, packet string, allow propSet, trailing error) error {
	r, rest, err := propReaderOf(b, packet, allow)
	if err != nil {
		return err
	}
	for r.next() {
	}
	if r.err == nil && len(rest) > 0 {
		return trailing
	}
	return r.err
}

// AppendAck appends a PUBACK, PUBREC, PUBREL or PUBCOMP. Success and versions before MQTT 5 have
// the short form without reason code.
func AppendAck(b []byte, typ byte, id uint16, version byte, code Code) []byte {
	first := typ << 4
	if typ == TypePubrel {
		first |= 2 // [MQTT-3.6.1-1]
	}
	if version < V5 || code == Success {
		return append(b, first, 2, byte(id>>8), byte(id))
	}
	return append(b, first, 3, byte(id>>8), byte(id), byte(code))
}
