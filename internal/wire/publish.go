package wire

import "encoding/binary"

// keptScratch is how much memory a PublishPacket keeps between messages, in bytes.
const keptScratch = 4096

var (
	errPublishCut     = malformed("PUBLISH: topic name is cut off")
	errPublishIDCut   = malformed("PUBLISH: packet id is cut off")
	errPublishText    = malformed("PUBLISH: topic name is not UTF-8 without NUL")                 // [MQTT-3.3.2-1] [MQTT-1.5.4-2]
	errPublishWild    = protocolError("PUBLISH: topic name holds a wildcard")                     // [MQTT-3.3.2-2]
	errPublishNoTopic = protocolError("PUBLISH: topic name is empty")                             // [MQTT-4.7.3-1]
	errPublishNoAlias = protocolError("PUBLISH: topic name is empty and there is no topic alias") // section 3.3.2.1
	errPublishID      = protocolError("PUBLISH: packet id is 0")                                  // [MQTT-2.2.1-3]
	errPublishSubID   = protocolError("PUBLISH: subscription id in a message of a client")        // [MQTT-3.3.4-6]
)

// PublishPacket is a PUBLISH of a client. Parse overwrites it, so that one value can serve a
// whole connection.
type PublishPacket struct {
	Topic   []byte // empty only with an alias; points into the packet
	Payload []byte // points into the packet
	// Props are the properties that go to subscribers unaltered, encoded: all but alias and
	// expiry. They point into the packet or into memory that the next Parse overwrites.
	Props     []byte
	ID        uint16 // 0 with QoS 0
	QoS       byte
	Retain    bool
	Dup       bool
	HasExpiry bool
	Alias     uint16 // 0 without
	Expiry    uint32 // seconds, with HasExpiry

	scratch []byte
}

// Parse reads frame, one whole packet with a fixed header of header bytes. It allocates nothing
// once its memory for properties has grown. The error is an *Error; p is of no use then.
func (p *PublishPacket) Parse(frame []byte, header int, version byte) error {
	b, err := open(frame, header, TypePublish, version)
	if err != nil {
		return err
	}
	scratch := p.scratch
	if cap(scratch) > keptScratch {
		scratch = nil // one large message must not cost memory for the life of the connection
	}
	first := frame[0]
	*p = PublishPacket{QoS: first >> 1 & 3, Retain: first&1 != 0, Dup: first&8 != 0, scratch: scratch}
	var ok bool
	if p.Topic, b, ok = field(b); !ok {
		return errPublishCut
	}
	if !plain(p.Topic) {
		switch {
		case !validText(p.Topic):
			return errPublishText
		case wild(p.Topic):
			return errPublishWild
		}
	}
	if p.QoS > 0 {
		if len(b) < 2 {
			return errPublishIDCut
		}
		if p.ID = binary.BigEndian.Uint16(b); p.ID == 0 {
			return errPublishID
		}
		b = b[2:]
	}
	if version >= V5 {
		if len(b) > 0 && b[0] == 0 { // no properties, as in most messages
			b = b[1:]
		} else if b, err = p.properties(b); err != nil {
			return err
		}
	}
	p.Payload = b
	if len(p.Topic) == 0 && p.Alias == 0 {
		if version >= V5 {
			return errPublishNoAlias
		}
		return errPublishNoTopic
	}
	return nil
}

// properties reads the properties at the start of b and returns what follows them.
func (p *PublishPacket) properties(b []byte) ([]byte, error) {
	r, rest, err := propReaderOf(b, "PUBLISH", publishProps)
	if err != nil {
		return nil, err
	}
	f := forwarder{props: r.b, buf: p.scratch}
	for r.next() {
		switch r.id {
		case PropTopicAlias:
			p.Alias = uint16(r.num)
		case PropMessageExpiry:
			p.Expiry, p.HasExpiry = r.num, true
		case PropSubscriptionID:
			return nil, errPublishSubID
		default:
			f.keep(r.start, r.at)
		}
	}
	p.Props, p.scratch = f.bytes(), f.buf
	return rest, r.err
}

// OutPublish is a PUBLISH to a client.
type OutPublish struct {
	Version   byte
	QoS       byte
	Dup       bool
	Retain    bool
	OmitTopic bool // the alias is known to the client: the topic name stays away
	HasExpiry bool
	ID        uint16 // with QoS 1 and 2
	Alias     uint16 // 0 for none
	Expiry    uint32 // seconds that are left, with HasExpiry
	Topic     string
	Props     []byte // encoded properties, as PublishPacket has them
	SubIDs    []uint32
	Payload   []byte
}

// Size returns the length of the packet, its remaining length and the length of its properties,
// in bytes. Before MQTT 5 there are no properties. The remaining length must not exceed
// 268,435,455; the caller's limit for payloads sees to that.
func (o *OutPublish) Size() (total, rem, props int) {
	rem = 2 + len(o.Payload)
	if !o.OmitTopic {
		rem += len(o.Topic)
	}
	if o.QoS > 0 {
		rem += 2
	}
	if o.Version >= V5 {
		props = len(o.Props)
		if o.HasExpiry {
			props += 5
		}
		if o.Alias > 0 {
			props += 3
		}
		for _, id := range o.SubIDs {
			props += 1 + VarintLen(id)
		}
		rem += VarintLen(uint32(props)) + props
	}
	return 1 + VarintLen(uint32(rem)) + rem, rem, props
}

// Append appends the packet to b; rem and props are from Size. Without withPayload the payload
// stays away: the caller sends it from where it is.
func (o *OutPublish) Append(b []byte, rem, props int, withPayload bool) []byte {
	first := TypePublish<<4 | o.QoS<<1
	if o.Dup {
		first |= 8
	}
	if o.Retain {
		first |= 1
	}
	b = AppendVarint(append(b, first), uint32(rem))
	topic := o.Topic
	if o.OmitTopic {
		topic = ""
	}
	b = append(append(b, byte(len(topic)>>8), byte(len(topic))), topic...)
	if o.QoS > 0 {
		b = append(b, byte(o.ID>>8), byte(o.ID))
	}
	if o.Version >= V5 {
		b = AppendVarint(b, uint32(props))
		if o.HasExpiry {
			b = append(b, PropMessageExpiry, byte(o.Expiry>>24), byte(o.Expiry>>16), byte(o.Expiry>>8), byte(o.Expiry))
		}
		if o.Alias > 0 {
			b = append(b, PropTopicAlias, byte(o.Alias>>8), byte(o.Alias))
		}
		for _, id := range o.SubIDs {
			b = AppendVarint(append(b, PropSubscriptionID), id)
		}
		b = append(b, o.Props...)
	}
	if withPayload {
		b = append(b, o.Payload...)
	}
	return b
}
