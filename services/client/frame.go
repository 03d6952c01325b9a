package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Packet types, in the upper half of a packet's first byte.
const (
	typeConnack    = 2
	typePublish    = 3
	typePuback     = 4
	typePubrec     = 5
	typePubrel     = 6
	typePubcomp    = 7
	typeDisconnect = 14
)

const (
	maxString = 65535 // bytes of an MQTT string
	maxSubs   = 1000  // subscription identifiers in one PUBLISH; as many as nobody has
	maxProps  = 100   // user properties of one message that are kept
)

// Properties of a PUBLISH.
const (
	idFormat      = 1
	idExpiry      = 2
	idContentType = 3
	idResponse    = 8
	idCorrelation = 9
	idSubID       = 11
	idTopicAlias  = 35
	idReason      = 31
	idUser        = 38
)

var errFrame = errors.New("malformed packet")

// UserProperty is a name and a value that travel with a message.
type UserProperty struct{ Key, Value string }

// RawMessage is a message as it came.
type RawMessage struct {
	Topic         string
	Payload       []byte // to be read only: handlers share it
	QoS           byte   // the delivery's
	Retained      bool   // a replay of retained state
	Dup           bool   // the broker has sent it before
	Props         []UserProperty
	ContentType   string
	ResponseTopic string // where an answer is wanted, or ""
	Correlation   []byte // to be sent back with the answer
	Received      time.Time
}

// inbound is a decoded PUBLISH.
type inbound struct {
	RawMessage
	id   uint16
	size int      // bytes of the packet, which the payload is a part of
	subs []uint32 // subscription identifiers, all of them
}

// topicCache keeps one string per topic, so that a message does not cost another one. One
// goroutine uses it.
type topicCache map[string]string

func (c topicCache) get(b []byte) string {
	if s, ok := c[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(c) < 512 {
		c[s] = s
	}
	return s
}

// parsePublish decodes a PUBLISH. The payload is a part of body.
func parsePublish(flags byte, body []byte, topics topicCache) (*inbound, error) {
	m := &inbound{size: len(body)}
	m.QoS, m.Retained, m.Dup = flags>>1&3, flags&1 != 0, flags&8 != 0
	if m.QoS == 3 {
		return nil, fmt.Errorf("%w: QoS 3", errFrame)
	}
	r := reader{b: body}
	topic := r.binary()
	if m.QoS > 0 {
		m.id = r.uint16()
	}
	props := reader{b: r.take(r.varint())}
	if r.bad || len(topic) == 0 || m.QoS > 0 && m.id == 0 {
		return nil, fmt.Errorf("%w: PUBLISH", errFrame)
	}
	m.Topic = topics.get(topic)
	if !validTopic(m.Topic) {
		return nil, fmt.Errorf("%w: topic", errFrame)
	}
	if err := m.parseProps(&props); err != nil {
		return nil, err
	}
	m.Payload = r.b
	return m, nil
}

func (m *inbound) parseProps(r *reader) error {
	for len(r.b) > 0 {
		switch id := r.byte(); id {
		case idFormat:
			r.byte()
		case idExpiry:
			r.take(4)
		case idContentType:
			m.ContentType = string(r.binary())
		case idResponse:
			m.ResponseTopic = string(r.binary())
		case idCorrelation:
			m.Correlation = r.binary()
		case idSubID:
			if len(m.subs) == maxSubs {
				return fmt.Errorf("%w: too many subscription identifiers", errFrame)
			}
			m.subs = append(m.subs, uint32(r.varint())) //nolint:gosec // at most 28 bits
		case idUser:
			k, v := r.binary(), r.binary()
			if len(m.Props) < maxProps {
				m.Props = append(m.Props, UserProperty{string(k), string(v)})
			}
		default: // an alias too: none was allowed
			return fmt.Errorf("%w: property %d", errFrame, id)
		}
		if r.bad {
			return fmt.Errorf("%w: properties", errFrame)
		}
	}
	return nil
}

// parseAck decodes PUBACK, PUBREC, PUBREL and PUBCOMP.
func parseAck(body []byte) (id uint16, code byte, reason string, err error) {
	r := reader{b: body}
	id = r.uint16()
	if len(r.b) > 0 {
		code = r.byte()
	}
	if len(r.b) > 0 {
		reason = reasonString(reader{b: r.take(r.varint())})
	}
	if r.bad || id == 0 {
		err = fmt.Errorf("%w: acknowledgement", errFrame)
	}
	return id, code, reason, err
}

// reasonString finds the reason string. What comes after something unknown is not looked at: it
// is only for people.
func reasonString(r reader) string {
	for len(r.b) > 0 && !r.bad {
		switch r.byte() {
		case idReason:
			return strings.ToValidUTF8(string(r.binary()), "?")
		case idUser:
			r.binary()
			r.binary()
		default:
			return ""
		}
	}
	return ""
}

// reader takes fields from the front of b. After a short read bad is set and all values are zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) || r.bad {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) binary() []byte { return r.take(int(r.uint16())) }

func (r *reader) varint() int {
	n := 0
	for shift := 0; shift < 28; shift += 7 {
		b := r.byte()
		n |= int(b&127) << shift
		if b < 128 {
			return n
		}
	}
	r.bad, r.b = true, nil
	return -1
}

// publication is a message on its way out.
type publication struct {
	topic       string
	payload     []byte
	qos         byte
	retain      bool
	props       []UserProperty
	contentType string
	response    string
	correlation []byte
	expires     time.Time // zero: never
	id          string    // envelope id, for logs
}

// size is the memory that p holds, about, in bytes.
func (p *publication) size() int {
	n := 200 + len(p.topic) + len(p.payload) + len(p.contentType) + len(p.response) + len(p.correlation)
	for i := range p.props {
		n += 40 + len(p.props[i].Key) + len(p.props[i].Value)
	}
	return n
}

// check reports what a PUBLISH cannot carry.
func (p *publication) check() error {
	switch {
	case p.qos > 2:
		return fmt.Errorf("publish: QoS %d", p.qos)
	case !validTopic(p.topic):
		return fmt.Errorf("publish: bad topic %.100q", p.topic)
	case p.response != "" && !validTopic(p.response):
		return fmt.Errorf("publish %q: bad response topic %.100q", p.topic, p.response)
	case len(p.correlation) > maxString:
		return fmt.Errorf("publish %q: correlation data of %d bytes", p.topic, len(p.correlation))
	case !validString(p.contentType):
		return fmt.Errorf("publish %q: bad content type", p.topic)
	}
	for i := range p.props {
		if !validString(p.props[i].Key) || !validString(p.props[i].Value) {
			return fmt.Errorf("publish %q: bad user property %.100q", p.topic, p.props[i].Key)
		}
	}
	return nil
}

// appendTo encodes the PUBLISH. left is the rest of its life, 0 for ever.
func (p *publication) appendTo(b []byte, id uint16, qos byte, dup bool, left time.Duration) []byte {
	flags := byte(typePublish<<4) | qos<<1
	if p.retain {
		flags |= 1
	}
	if dup {
		flags |= 8
	}
	props := p.propsLen(left)
	n := 2 + len(p.topic) + varintLen(props) + props + len(p.payload)
	if qos > 0 {
		n += 2
	}
	b = append(b, flags)
	b = appendVarint(b, n)
	b = appendString(b, p.topic)
	if qos > 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	b = appendVarint(b, props)
	if left > 0 {
		b = append(b, idExpiry)
		b = binary.BigEndian.AppendUint32(b, expirySeconds(left))
	}
	if p.contentType != "" {
		b = appendString(append(b, idContentType), p.contentType)
	}
	if p.response != "" {
		b = appendString(append(b, idResponse), p.response)
	}
	if len(p.correlation) > 0 {
		b = append(b, idCorrelation)
		b = binary.BigEndian.AppendUint16(b, uint16(len(p.correlation))) //nolint:gosec // checked
		b = append(b, p.correlation...)
	}
	for i := range p.props {
		b = appendString(append(b, idUser), p.props[i].Key)
		b = appendString(b, p.props[i].Value)
	}
	return append(b, p.payload...)
}

func (p *publication) propsLen(left time.Duration) int {
	n := 0
	if left > 0 {
		n += 5
	}
	if p.contentType != "" {
		n += 3 + len(p.contentType)
	}
	if p.response != "" {
		n += 3 + len(p.response)
	}
	if len(p.correlation) > 0 {
		n += 3 + len(p.correlation)
	}
	for i := range p.props {
		n += 5 + len(p.props[i].Key) + len(p.props[i].Value)
	}
	return n
}

// expirySeconds rounds up: a message that has not expired has a second.
func expirySeconds(left time.Duration) uint32 {
	return uint32(min((left+time.Second-1)/time.Second, 1<<32-1)) //nolint:gosec // bounded
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s))) //nolint:gosec // checked
	return append(b, s...)
}

func appendVarint(b []byte, n int) []byte {
	for ; n > 127; n >>= 7 {
		b = append(b, byte(n)|128) //nolint:gosec // the low seven bits are meant
	}
	return append(b, byte(n))
}

func varintLen(n int) int {
	k := 1
	for ; n > 127; n >>= 7 {
		k++
	}
	return k
}

func validString(s string) bool {
	return len(s) <= maxString && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

func validTopic(s string) bool {
	return s != "" && validString(s) && !strings.ContainsAny(s, "+#")
}

// validFilter reports whether s is a topic filter, shared subscriptions included.
func validFilter(s string) bool {
	if s == "" || !validString(s) {
		return false
	}
	for rest, more := s, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if level == "#" && more || len(level) > 1 && strings.ContainsAny(level, "+#") {
			return false
		}
	}
	return true
}
