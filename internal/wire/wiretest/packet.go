package wiretest

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// Packet is one packet from a server, taken apart.
type Packet struct {
	Type  byte
	Flags byte
	Size  int // bytes of the whole packet

	ID       uint16
	Code     byte   // CONNACK, PUBACK and its kin, DISCONNECT, AUTH
	Codes    []byte // SUBACK, and UNSUBACK of version 5
	AckFlags byte   // first byte of CONNACK
	Present  bool   // session present of CONNACK

	Topic       string
	Payload     string
	QoS         byte
	Dup, Retain bool
	Props       Props
}

// String is the packet in a line, for messages of failed tests.
func (p Packet) String() string {
	s := TypeName(p.Type)
	switch p.Type {
	case PUBLISH:
		s += fmt.Sprintf(" %q %.60q qos %d id %d dup %t retain %t", p.Topic, p.Payload, p.QoS, p.ID, p.Dup, p.Retain)
	case CONNACK:
		s += fmt.Sprintf(" code 0x%02x present %t", p.Code, p.Present)
	case SUBACK, UNSUBACK:
		s += fmt.Sprintf(" id %d codes %x", p.ID, p.Codes)
	case PINGRESP:
	default:
		s += fmt.Sprintf(" id %d code 0x%02x", p.ID, p.Code)
	}
	for _, x := range p.Props {
		s += fmt.Sprintf(" 0x%02x=%d%s%q", x.ID, x.Num, x.Key, x.Str)
	}
	return s
}

// codes lists the reason codes that a server may use in each packet of version 5.
var codes = map[byte][]byte{
	CONNACK: {
		0, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
	},
	PUBACK:   {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
	PUBREC:   {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
	PUBREL:   {0, 0x92},
	PUBCOMP:  {0, 0x92},
	SUBACK:   {0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2},
	UNSUBACK: {0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91},
	DISCONNECT: {
		0, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b,
		0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
	},
	AUTH: {0, 0x18},
}

// maxPacket is what Read takes at most; more means that the stream is out of step.
const maxPacket = 16 << 20

// Read takes one packet of a server from r. The error is io.EOF only between packets.
func Read(r io.Reader, version byte) (Packet, error) {
	var first [1]byte
	if _, err := io.ReadFull(r, first[:]); err != nil {
		return Packet{}, err
	}
	n, size := 0, 1
	for shift := 0; ; shift += 7 {
		var c [1]byte
		if _, err := io.ReadFull(r, c[:]); err != nil {
			return Packet{}, noEOF(err)
		}
		size++
		n |= int(c[0]&0x7f) << shift
		if c[0] < 0x80 {
			if c[0] == 0 && shift > 0 {
				return Packet{}, &decodeError{what: "fixed header", err: errors.New("remaining length is not of minimal length")}
			}
			break
		}
		if shift == 21 {
			return Packet{}, &decodeError{what: "fixed header", err: errors.New("remaining length is too long")}
		}
	}
	if n > maxPacket {
		return Packet{}, &decodeError{what: "fixed header", err: fmt.Errorf("packet of %d bytes", n)}
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return Packet{}, noEOF(err)
	}
	p, err := decode(first[0], body, version)
	p.Size = size + n
	if err != nil {
		return p, &decodeError{what: fmt.Sprintf("%s % x", TypeName(first[0]>>4), body[:min(len(body), 64)]), err: err}
	}
	return p, nil
}

// decodeError is a whole packet that is not as the specification wants it.
type decodeError struct {
	what string
	err  error
}

func (e *decodeError) Error() string { return e.what + ": " + e.err.Error() }
func (e *decodeError) Unwrap() error { return e.err }

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func decode(first byte, body []byte, version byte) (Packet, error) {
	p := Packet{Type: first >> 4, Flags: first & 15}
	if p.Type != PUBLISH && p.Flags != ackFlags(p.Type) {
		return p, fmt.Errorf("flags of the fixed header are %04b", p.Flags)
	}
	r := &reader{b: body}
	var err error
	switch p.Type {
	case CONNACK:
		err = p.connack(r, version)
	case PUBLISH:
		err = p.publish(r, version)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		err = p.ack(r, version)
	case SUBACK, UNSUBACK:
		err = p.suback(r, version)
	case PINGRESP:
	case DISCONNECT, AUTH:
		err = p.disconnect(r, version)
	default:
		err = errors.New("a server does not send this type")
	}
	if err == nil && len(r.b) > 0 {
		err = fmt.Errorf("%d bytes too many", len(r.b))
	}
	return p, err
}

func (p *Packet) checkCode(version byte) error {
	if version == V5 && !slices.Contains(codes[p.Type], p.Code) {
		return fmt.Errorf("reason code 0x%02x is not one of %s", p.Code, TypeName(p.Type))
	}
	return nil
}

func (p *Packet) connack(r *reader, version byte) (err error) {
	if p.AckFlags, err = r.byte(); err != nil {
		return err
	}
	if p.AckFlags&^1 != 0 {
		return fmt.Errorf("connect acknowledge flags are %08b", p.AckFlags)
	}
	p.Present = p.AckFlags == 1
	if p.Code, err = r.byte(); err != nil {
		return err
	}
	if version != V5 {
		if p.Code > 5 {
			return fmt.Errorf("return code %d does not exist", p.Code)
		}
		return nil
	}
	if p.Code == 1 && len(r.b) == 0 { // a server of 3.1.1 does not know our version
		return nil
	}
	if p.Props, err = r.props(p.Type); err != nil {
		return err
	}
	return p.checkCode(version)
}

func (p *Packet) publish(r *reader, version byte) (err error) {
	p.QoS, p.Dup, p.Retain = p.Flags>>1&3, p.Flags&8 != 0, p.Flags&1 != 0
	if p.QoS == 3 {
		return errors.New("QoS is 3")
	}
	if p.Topic, err = r.text(); err != nil {
		return err
	}
	if p.QoS > 0 {
		if p.ID, err = r.uint16(); err != nil {
			return err
		}
		if p.ID == 0 {
			return errors.New("packet identifier is 0")
		}
	}
	if version == V5 {
		if p.Props, err = r.props(p.Type); err != nil {
			return err
		}
	}
	p.Payload, r.b = string(r.b), nil
	return nil
}

func (p *Packet) ack(r *reader, version byte) (err error) {
	if p.ID, err = r.uint16(); err != nil {
		return err
	}
	if p.ID == 0 {
		return errors.New("packet identifier is 0")
	}
	if version != V5 || len(r.b) == 0 {
		return nil
	}
	if p.Code, err = r.byte(); err != nil {
		return err
	}
	if len(r.b) > 0 {
		if p.Props, err = r.props(p.Type); err != nil {
			return err
		}
	}
	return p.checkCode(version)
}

func (p *Packet) suback(r *reader, version byte) (err error) {
	if p.ID, err = r.uint16(); err != nil {
		return err
	}
	if version == V5 {
		if p.Props, err = r.props(p.Type); err != nil {
			return err
		}
	}
	if p.Type == UNSUBACK && version != V5 {
		return nil
	}
	p.Codes, r.b = r.b, nil
	for _, c := range p.Codes {
		if version == V5 && !slices.Contains(codes[p.Type], c) || version != V5 && c > 2 && c != 0x80 {
			return fmt.Errorf("reason code 0x%02x is not one of %s", c, TypeName(p.Type))
		}
	}
	return nil
}

func (p *Packet) disconnect(r *reader, version byte) (err error) {
	if version != V5 {
		return errors.New("a server sends this in version 5 only")
	}
	if len(r.b) == 0 {
		return nil
	}
	if p.Code, err = r.byte(); err != nil {
		return err
	}
	if len(r.b) > 0 {
		if p.Props, err = r.props(p.Type); err != nil {
			return err
		}
	}
	return p.checkCode(version)
}
