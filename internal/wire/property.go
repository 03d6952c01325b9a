package wire

import "encoding/binary"

// Property identifiers, section 2.2.2.2. All fit into one byte.
const (
	PropPayloadFormat          byte = 1
	PropMessageExpiry          byte = 2
	PropContentType            byte = 3
	PropResponseTopic          byte = 8
	PropCorrelationData        byte = 9
	PropSubscriptionID         byte = 11
	PropSessionExpiry          byte = 17
	PropAssignedClientID       byte = 18
	PropServerKeepAlive        byte = 19
	PropAuthMethod             byte = 21
	PropAuthData               byte = 22
	PropRequestProblemInfo     byte = 23
	PropWillDelay              byte = 24
	PropRequestResponseInfo    byte = 25
	PropResponseInfo           byte = 26
	PropServerReference        byte = 28
	PropReasonString           byte = 31
	PropReceiveMaximum         byte = 33
	PropTopicAliasMaximum      byte = 34
	PropTopicAlias             byte = 35
	PropMaximumQoS             byte = 36
	PropRetainAvailable        byte = 37
	PropUserProperty           byte = 38
	PropMaximumPacketSize      byte = 39
	PropWildcardAvailable      byte = 40
	PropSubscriptionIDsAllowed byte = 41
	PropSharedAvailable        byte = 42
)

// kind is the type of a property's value.
type kind byte

const (
	kindNone kind = iota
	kindByte
	kindUint16
	kindUint32
	kindVarint
	kindText
	kindBinary
	kindPair
)

// propTable knows the type and the name of each property.
var propTable = [...]struct {
	kind kind
	name string
}{
	PropPayloadFormat:          {kindByte, "payload format"},
	PropMessageExpiry:          {kindUint32, "message expiry interval"},
	PropContentType:            {kindText, "content type"},
	PropResponseTopic:          {kindText, "response topic"},
	PropCorrelationData:        {kindBinary, "correlation data"},
	PropSubscriptionID:         {kindVarint, "subscription id"},
	PropSessionExpiry:          {kindUint32, "session expiry interval"},
	PropAssignedClientID:       {kindText, "assigned client id"},
	PropServerKeepAlive:        {kindUint16, "server keep alive"},
	PropAuthMethod:             {kindText, "authentication method"},
	PropAuthData:               {kindBinary, "authentication data"},
	PropRequestProblemInfo:     {kindByte, "request problem information"},
	PropWillDelay:              {kindUint32, "will delay interval"},
	PropRequestResponseInfo:    {kindByte, "request response information"},
	PropResponseInfo:           {kindText, "response information"},
	PropServerReference:        {kindText, "server reference"},
	PropReasonString:           {kindText, "reason string"},
	PropReceiveMaximum:         {kindUint16, "receive maximum"},
	PropTopicAliasMaximum:      {kindUint16, "topic alias maximum"},
	PropTopicAlias:             {kindUint16, "topic alias"},
	PropMaximumQoS:             {kindByte, "maximum QoS"},
	PropRetainAvailable:        {kindByte, "retain available"},
	PropUserProperty:           {kindPair, "user property"},
	PropMaximumPacketSize:      {kindUint32, "maximum packet size"},
	PropWildcardAvailable:      {kindByte, "wildcard subscription available"},
	PropSubscriptionIDsAllowed: {kindByte, "subscription identifiers available"},
	PropSharedAvailable:        {kindByte, "shared subscription available"},
}

// propSet is a set of properties, one bit each.
type propSet uint64

// The properties that a packet of a client may have, table 2-4. A PUBLISH has a subscription id
// only on its way to a client; the reader of PUBLISH refuses it with a better reason.
const (
	publishProps propSet = 1<<PropPayloadFormat | 1<<PropMessageExpiry | 1<<PropContentType | 1<<PropResponseTopic |
		1<<PropCorrelationData | 1<<PropSubscriptionID | 1<<PropTopicAlias | 1<<PropUserProperty
	willProps propSet = 1<<PropPayloadFormat | 1<<PropMessageExpiry | 1<<PropContentType | 1<<PropResponseTopic |
		1<<PropCorrelationData | 1<<PropWillDelay | 1<<PropUserProperty
	connectProps propSet = 1<<PropSessionExpiry | 1<<PropAuthMethod | 1<<PropAuthData | 1<<PropRequestProblemInfo |
		1<<PropRequestResponseInfo | 1<<PropReceiveMaximum | 1<<PropTopicAliasMaximum | 1<<PropUserProperty |
		1<<PropMaximumPacketSize
	ackProps         propSet = 1<<PropReasonString | 1<<PropUserProperty
	subscribeProps   propSet = 1<<PropSubscriptionID | 1<<PropUserProperty
	unsubscribeProps propSet = 1 << PropUserProperty
	disconnectProps  propSet = 1<<PropSessionExpiry | 1<<PropServerReference | 1<<PropReasonString | 1<<PropUserProperty
	authProps        propSet = 1<<PropAuthMethod | 1<<PropAuthData | 1<<PropReasonString | 1<<PropUserProperty
)

// propReader walks over the properties of one packet. It checks types, values and number of
// each; what a property means is left to the loop around next.
type propReader struct {
	packet string  // for reasons
	allow  propSet // those that the packet may have
	seen   propSet
	b      []byte // all properties
	at     int    // where the next one starts in b
	err    error  // why next returned false, nil at the end

	id    byte
	start int    // where the property that next found starts in b; it ends at at
	num   uint32 // value of numbers
	text  []byte // value of strings and binary data, name of a user property; points into b
	value []byte // value of a user property
}

// propReaderOf starts reading at the property length at the start of b, and returns what follows
// the properties.
func propReaderOf(b []byte, packet string, allow propSet) (r propReader, rest []byte, err error) {
	r = propReader{packet: packet, allow: allow}
	n, w, err := Varint(b)
	switch {
	case err != nil:
		return r, nil, fault(MalformedPacket, packet, "property length: "+err.Error())
	case w == 0 || int(n) > len(b)-w:
		return r, nil, fault(MalformedPacket, packet, "properties are cut off") // [MQTT-2.2.2-1]
	}
	r.b = b[w : w+int(n)]
	return r, b[w+int(n):], nil
}

// fault makes an error about a property. These are the errors that are no package values: there
// would be some hundreds, and each ends a connection, which costs far more than this.
func fault(c Code, packet, what string) error { return &Error{Code: c, Reason: packet + ": " + what} }

func (r *propReader) fail(c Code, what string) bool {
	r.err = fault(c, r.packet, propTable[r.id].name+" "+what)
	return false
}

// next reads one property; false at the end and after an error, which is in r.err.
func (r *propReader) next() bool {
	if r.at >= len(r.b) {
		return false
	}
	r.start, r.id = r.at, r.b[r.at]
	r.at++
	// A property that its packet does not have is malformed, section 2.2.2.2.
	if int(r.id) >= len(propTable) || propTable[r.id].kind == kindNone {
		r.err = fault(MalformedPacket, r.packet, "unknown property")
		return false
	}
	if r.allow&(1<<r.id) == 0 {
		return r.fail(MalformedPacket, "does not belong into this packet")
	}
	if r.seen&(1<<r.id) != 0 && r.id != PropUserProperty { // sections 3.x.2 of each property
		return r.fail(ProtocolError, "is given twice")
	}
	r.seen |= 1 << r.id
	return r.read() && r.check()
}

// read takes the value of the property r.id from r.b.
func (r *propReader) read() bool {
	b := r.b[r.at:]
	var n int
	switch k := propTable[r.id].kind; k {
	case kindByte:
		if n = 1; len(b) >= n {
			r.num = uint32(b[0])
		}
	case kindUint16:
		if n = 2; len(b) >= n {
			r.num = uint32(binary.BigEndian.Uint16(b))
		}
	case kindUint32:
		if n = 4; len(b) >= n {
			r.num = binary.BigEndian.Uint32(b)
		}
	case kindVarint:
		var err error
		if r.num, n, err = Varint(b); err != nil {
			return r.fail(MalformedPacket, "is no variable byte integer")
		}
		if n == 0 {
			n = len(b) + 1
		}
	default:
		var ok bool
		if r.text, b, ok = field(b); ok && k == kindPair {
			r.value, b, ok = field(b)
		}
		if !ok {
			return r.fail(MalformedPacket, "is cut off")
		}
		// [MQTT-1.5.4-1] [MQTT-1.5.7-1]
		if k != kindBinary && !validText(r.text) || k == kindPair && !validText(r.value) {
			return r.fail(MalformedPacket, "is not UTF-8 without NUL")
		}
		r.at = len(r.b) - len(b)
		return true
	}
	if n > len(b) {
		return r.fail(MalformedPacket, "is cut off")
	}
	r.at += n
	return true
}

// check refuses the values that no packet may give its property.
func (r *propReader) check() bool {
	switch r.id {
	case PropPayloadFormat, PropRequestProblemInfo, PropRequestResponseInfo: // sections 3.3.2.3.2, 3.1.2.11.7, 3.1.2.11.6
		if r.num > 1 {
			return r.fail(ProtocolError, "is not 0 or 1")
		}
	case PropReceiveMaximum, PropMaximumPacketSize, PropSubscriptionID: // sections 3.1.2.11.3, 3.1.2.11.4, 3.8.2.1.2
		if r.num == 0 {
			return r.fail(ProtocolError, "is 0")
		}
	case PropTopicAlias: // [MQTT-3.3.2-8]
		if r.num == 0 {
			return r.fail(TopicAliasInvalid, "is 0")
		}
	case PropResponseTopic:
		switch {
		case len(r.text) == 0: // [MQTT-4.7.3-1]
			return r.fail(ProtocolError, "is empty")
		case wild(r.text): // [MQTT-3.3.2-14]
			return r.fail(ProtocolError, "holds a wildcard")
		}
	}
	return true
}

// field splits a field that starts with its length in two bytes off b. [MQTT-1.5.4-1]
func field(b []byte) (f, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, b, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b)-2 < n {
		return nil, b, false
	}
	return b[2 : 2+n : 2+n], b[2+n:], true
}

// forwarder collects the properties of a message that go to its subscribers unaltered and in
// their order [MQTT-3.3.2-18]. As long as nothing between them is left out they are one piece
// of the packet; otherwise they are put together in a buffer.
type forwarder struct {
	props      []byte // all properties of the packet
	start, end int    // the piece
	joined     bool   // the pieces are in buf
	buf        []byte
}

// keep adds props[from:to].
func (f *forwarder) keep(from, to int) {
	switch {
	case f.joined:
		f.buf = append(f.buf, f.props[from:to]...)
	case f.start == f.end:
		f.start, f.end = from, to
	case f.end == from:
		f.end = to
	default:
		f.buf = append(append(f.buf[:0], f.props[f.start:f.end]...), f.props[from:to]...)
		f.joined = true
	}
}

// bytes returns what was kept, nil if nothing was.
func (f *forwarder) bytes() []byte {
	switch {
	case f.joined:
		return f.buf
	case f.start == f.end:
		return nil
	}
	return f.props[f.start:f.end:f.end]
}
