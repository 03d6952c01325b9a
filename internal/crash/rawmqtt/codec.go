// Package rawmqtt is a small MQTT client side for tests and benches that judge a broker
// from outside. It owns framing and encoding of 3.1.1 and 5.0 and nothing else: no
// sessions, no retries, no keep-alive. It shares no code with the broker on purpose, so
// that a mistake in the broker's codec cannot hide behind the same mistake here, and it
// never waits for an answer by itself, so that callers can pipeline as they like.
package rawmqtt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Protocol levels of CONNECT.
const (
	V311 byte = 4
	V5   byte = 5
)

// Control packet types (MQTT 5.0 section 2.1.2; the same numbers in 3.1.1).
const (
	Connect byte = iota + 1
	Connack
	Publish
	Puback
	Pubrec
	Pubrel
	Pubcomp
	Subscribe
	Suback
	Unsubscribe
	Unsuback
	Pingreq
	Pingresp
	Disconnect
)

// MaxFrame is the longest body that Reader accepts, in bytes. Nothing here sends more.
const MaxFrame = 8 << 20

// ErrMalformed says that the broker sent bytes that are not MQTT.
var ErrMalformed = errors.New("malformed packet from the broker")

// ConnectOptions is what CONNECT carries. Version 0 means 3.1.1.
type ConnectOptions struct {
	ID             string
	Version        byte
	Clean          bool
	Expiry         uint32 // seconds, 5.0 only; 0 leaves the property out
	ReceiveMaximum uint16 // 5.0 only; 0 leaves the property out
	KeepAlive      uint16 // seconds
	User, Password string // left out together if User is empty
	WillTopic      string // empty: no will
	WillPayload    []byte
	WillQoS        byte
	WillDelay      uint32 // seconds, 5.0 only; 0 leaves the property out
}

// AppendVarint appends n, 0 to 268,435,455, as a variable byte integer.
func AppendVarint(b []byte, n int) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

// AppendString appends s with its two-byte length.
func AppendString(b []byte, s string) []byte {
	b = append(b, byte(len(s)>>8), byte(len(s)))
	return append(b, s...)
}

// AppendConnect appends a CONNECT packet.
func AppendConnect(b []byte, o ConnectOptions) []byte {
	version := o.Version
	if version == 0 {
		version = V311
	}
	v := AppendString(nil, "MQTT")
	var flags byte
	if o.Clean {
		flags |= 0x02
	}
	if o.WillTopic != "" {
		flags |= 0x04 | o.WillQoS<<3
	}
	if o.User != "" {
		flags |= 0xc0
	}
	v = append(v, version, flags, byte(o.KeepAlive>>8), byte(o.KeepAlive))
	if version == V5 {
		var p []byte
		if o.Expiry > 0 {
			p = binary.BigEndian.AppendUint32(append(p, 0x11), o.Expiry)
		}
		if o.ReceiveMaximum > 0 {
			p = binary.BigEndian.AppendUint16(append(p, 0x21), o.ReceiveMaximum)
		}
		v = append(AppendVarint(v, len(p)), p...)
	}
	v = AppendString(v, o.ID)
	if o.WillTopic != "" {
		if version == V5 && o.WillDelay > 0 {
			v = binary.BigEndian.AppendUint32(append(v, 5, 0x18), o.WillDelay)
		} else if version == V5 {
			v = append(v, 0)
		}
		v = AppendString(AppendString(v, o.WillTopic), string(o.WillPayload))
	}
	if o.User != "" {
		v = AppendString(AppendString(v, o.User), o.Password)
	}
	return append(AppendVarint(append(b, Connect<<4), len(v)), v...)
}

// AppendSubscribe appends a SUBSCRIBE packet that asks for qos with every filter.
func AppendSubscribe(b []byte, version byte, id uint16, qos byte, filters ...string) []byte {
	n := 2
	if version == V5 {
		n++
	}
	for _, f := range filters {
		n += 3 + len(f)
	}
	b = append(AppendVarint(append(b, Subscribe<<4|2), n), byte(id>>8), byte(id))
	if version == V5 {
		b = append(b, 0)
	}
	for _, f := range filters {
		b = append(AppendString(b, f), qos)
	}
	return b
}

// Message is one PUBLISH. Payload and Topic of a decoded one alias the frame.
type Message struct {
	Topic   []byte
	Payload []byte
	ID      uint16
	QoS     byte
	Retain  bool
	Dup     bool
}

// AppendPublish appends m as a PUBLISH packet without properties.
func AppendPublish(b []byte, version byte, m Message) []byte {
	n := 2 + len(m.Topic) + len(m.Payload)
	if m.QoS > 0 {
		n += 2
	}
	if version == V5 {
		n++
	}
	first := Publish<<4 | m.QoS<<1
	if m.Dup {
		first |= 8
	}
	if m.Retain {
		first |= 1
	}
	b = AppendVarint(append(b, first), n)
	b = append(b, byte(len(m.Topic)>>8), byte(len(m.Topic)))
	b = append(b, m.Topic...)
	if m.QoS > 0 {
		b = append(b, byte(m.ID>>8), byte(m.ID))
	}
	if version == V5 {
		b = append(b, 0)
	}
	return append(b, m.Payload...)
}

// AppendAck appends PUBACK, PUBREC, PUBREL or PUBCOMP in its four-byte form, which means
// success in both protocol versions.
func AppendAck(b []byte, typ byte, id uint16) []byte {
	first := typ << 4
	if typ == Pubrel {
		first |= 2
	}
	return append(b, first, 2, byte(id>>8), byte(id))
}

// AppendEmpty appends a packet that has no body: PINGREQ, or a DISCONNECT with code 0.
func AppendEmpty(b []byte, typ byte) []byte { return append(b, typ<<4, 0) }

// Frame is one packet from the broker. Body is valid until the next call of Reader.Next.
type Frame struct {
	Type, Flags byte
	Body        []byte
}

// Reader cuts a byte stream into frames. It is not safe for concurrent use.
type Reader struct {
	r   *bufio.Reader
	buf []byte
}

// NewReader reads from r through a buffer of size bytes.
func NewReader(r io.Reader, size int) *Reader { return &Reader{r: bufio.NewReaderSize(r, size)} }

// Buffered says how many bytes can be read without waiting.
func (r *Reader) Buffered() int { return r.r.Buffered() }

// Next reads one frame. The error is the transport's, or ErrMalformed.
func (r *Reader) Next() (Frame, error) {
	first, err := r.r.ReadByte()
	if err != nil {
		return Frame{}, err
	}
	n, shift := 0, 0
	for {
		c, err := r.r.ReadByte()
		if err != nil {
			return Frame{}, err
		}
		n |= int(c&0x7f) << shift
		if c&0x80 == 0 {
			break
		}
		if shift += 7; shift > 21 {
			return Frame{}, ErrMalformed
		}
	}
	if n > MaxFrame {
		return Frame{}, fmt.Errorf("%w: %d bytes long", ErrMalformed, n)
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, max(n, 512))
	}
	b := r.buf[:n]
	if _, err := io.ReadFull(r.r, b); err != nil {
		return Frame{}, err
	}
	return Frame{Type: first >> 4, Flags: first & 15, Body: b}, nil
}

// properties cuts a property block off the front of b and returns both parts.
func properties(b []byte) (props, rest []byte, err error) {
	n := 0
	for i := 0; i < len(b) && i < 4; i++ {
		n |= int(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			b = b[i+1:]
			if len(b) < n {
				return nil, nil, ErrMalformed
			}
			return b[:n], b[n:], nil
		}
	}
	return nil, nil, ErrMalformed
}

// Message decodes a PUBLISH.
func (f Frame) Message(version byte) (Message, error) {
	b := f.Body
	if f.Type != Publish || len(b) < 2 {
		return Message{}, ErrMalformed
	}
	n := int(b[0])<<8 | int(b[1])
	m := Message{QoS: f.Flags >> 1 & 3, Retain: f.Flags&1 != 0, Dup: f.Flags&8 != 0}
	if len(b) < 2+n || m.QoS == 3 {
		return Message{}, ErrMalformed
	}
	m.Topic, b = b[2:2+n], b[2+n:]
	if m.QoS > 0 {
		if len(b) < 2 {
			return Message{}, ErrMalformed
		}
		m.ID, b = uint16(b[0])<<8|uint16(b[1]), b[2:]
	}
	if version == V5 {
		var err error
		if _, b, err = properties(b); err != nil {
			return Message{}, err
		}
	}
	m.Payload = b
	return m, nil
}

// Ack decodes the packet identifier and the reason code (0 if left out) of PUBACK,
// PUBREC, PUBREL, PUBCOMP.
func (f Frame) Ack() (id uint16, code byte, err error) {
	if len(f.Body) < 2 {
		return 0, 0, ErrMalformed
	}
	if len(f.Body) > 2 {
		code = f.Body[2]
	}
	return uint16(f.Body[0])<<8 | uint16(f.Body[1]), code, nil
}

// Codes decodes the packet identifier and the reason codes of a SUBACK or UNSUBACK. The
// codes alias the frame.
func (f Frame) Codes(version byte) (id uint16, codes []byte, err error) {
	if len(f.Body) < 2 {
		return 0, nil, ErrMalformed
	}
	codes = f.Body[2:]
	if version == V5 {
		if _, codes, err = properties(codes); err != nil {
			return 0, nil, err
		}
	}
	return uint16(f.Body[0])<<8 | uint16(f.Body[1]), codes, nil
}

// ConnackInfo is the answer to a CONNECT.
type ConnackInfo struct {
	Present        bool
	Code           byte
	ReceiveMaximum uint16 // 65535 if the broker named none
}

// Connack decodes a CONNACK.
func (f Frame) Connack(version byte) (ConnackInfo, error) {
	if f.Type != Connack || len(f.Body) < 2 {
		return ConnackInfo{}, ErrMalformed
	}
	c := ConnackInfo{Present: f.Body[0]&1 != 0, Code: f.Body[1], ReceiveMaximum: 65535}
	if version != V5 || len(f.Body) == 2 {
		return c, nil
	}
	p, _, err := properties(f.Body[2:])
	for err == nil && len(p) > 0 {
		if p[0] == 0x21 && len(p) >= 3 {
			c.ReceiveMaximum = binary.BigEndian.Uint16(p[1:])
		}
		p, err = skipProperty(p)
	}
	return c, err
}

// skipProperty drops the first property of p, one of those that CONNACK may carry
// (MQTT 5.0 section 2.2.2.2).
func skipProperty(p []byte) ([]byte, error) {
	n := 0
	switch p[0] {
	case 0x24, 0x25, 0x28, 0x29, 0x2A: // one byte
		n = 2
	case 0x13, 0x21, 0x22: // two bytes
		n = 3
	case 0x11, 0x27: // four bytes
		n = 5
	case 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F: // a string or binary data
		if len(p) >= 3 {
			n = 3 + int(binary.BigEndian.Uint16(p[1:]))
		}
	case 0x26: // a pair of strings
		if len(p) >= 3 {
			n = 3 + int(binary.BigEndian.Uint16(p[1:]))
			if len(p) >= n+2 {
				n += 2 + int(binary.BigEndian.Uint16(p[n:]))
			}
		}
	}
	if n == 0 || n > len(p) {
		return nil, fmt.Errorf("%w: property %#02x", ErrMalformed, p[0])
	}
	return p[n:], nil
}
