package wire

// maxVarint is the largest value that a variable byte integer of four bytes holds. Section 1.5.5
const maxVarint = 268_435_455

var (
	errRemainingLength = malformed("remaining length is longer than four bytes")
	errVarint          = malformed("variable byte integer is longer than four bytes")
	errVarintMinimal   = malformed("variable byte integer is longer than needed")    // [MQTT-1.5.5-1]
	errLengthMinimal   = malformed("remaining length is written longer than needed") // [MQTT-1.5.5-1]
	errFrame           = malformed("not one whole packet of the expected type")
	errType0           = malformed("packet type 0 is reserved")   // section 2.1.2
	errQoS3            = malformed("PUBLISH: QoS 3")              // [MQTT-3.3.1-4]
	errDup             = protocolError("PUBLISH: DUP with QoS 0") // [MQTT-3.3.1-2]
	errFlags           = flagErrors()                             // [MQTT-2.1.3-1]
	firstBytes         = firstByteErrors()
)

// flagErrors are the errors for reserved flag bits, by packet type.
func flagErrors() (errs [16]error) {
	for typ := range errs {
		errs[typ] = malformed(typeNames[typ] + ": reserved flags in the fixed header")
	}
	return errs
}

// firstByteErrors says for each first byte what is wrong with it, nil if nothing is. PUBREL,
// SUBSCRIBE and UNSUBSCRIBE pass with DUP set: MQTT 3.1 repeats them so; see open.
func firstByteErrors() (errs [256]error) {
	for i := range errs {
		typ, flags := byte(i>>4), byte(i&15)
		switch typ {
		case 0:
			errs[i] = errType0
		case TypePublish:
			switch {
			case flags&6 == 6:
				errs[i] = errQoS3
			case flags&0xE == 8:
				errs[i] = errDup
			}
		case TypePubrel, TypeSubscribe, TypeUnsubscribe:
			if flags&^8 != 2 { // [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1]
				errs[i] = errFlags[typ]
			}
		default:
			if flags != 0 {
				errs[i] = errFlags[typ]
			}
		}
	}
	return errs
}

// Header reads the fixed header of the packet at the start of b, which may hold less than one
// packet and more. It returns the length of the fixed header and of the whole packet in bytes;
// 0 and 0 while the header is incomplete. The error is an *Error: flags, type or length that no
// packet has. It is given as soon as the bytes at hand show it.
func Header(b []byte) (header, total int, err error) {
	if len(b) == 0 {
		return 0, 0, nil
	}
	if err := firstBytes[b[0]]; err != nil {
		return 0, 0, err
	}
	// A length that is written longer than needed passes here: 3.1.1 does not forbid it, and
	// some small clients reserve four bytes. MQTT 5 does forbid it; see open.
	rem := 0
	for i := 1; i < len(b); i++ {
		rem |= int(b[i]&0x7F) << (7 * (i - 1))
		if b[i] < 0x80 {
			return i + 1, i + 1 + rem, nil
		}
		if i == 4 {
			return 0, 0, errRemainingLength
		}
	}
	return 0, 0, nil
}

// open checks what all packets share and returns what follows the fixed header.
func open(frame []byte, header int, typ, version byte) ([]byte, error) {
	if header < 2 || len(frame) < header || frame[0]>>4 != typ {
		return nil, errFrame
	}
	if err := firstBytes[frame[0]]; err != nil {
		return nil, err
	}
	if frame[0]&8 != 0 && typ != TypePublish && version > V31 {
		return nil, errFlags[typ]
	}
	if header > 2 && version >= V5 && header != 1+VarintLen(uint32(len(frame)-header)) {
		return nil, errLengthMinimal
	}
	return frame[header:], nil
}

// Varint reads the variable byte integer at the start of b and returns it with its length in
// bytes; the length is 0 if b ends before it does. The error is an *Error: more than four bytes,
// or more than needed [MQTT-1.5.5-1].
func Varint(b []byte) (v uint32, n int, err error) {
	for i, c := range b {
		v |= uint32(c&0x7F) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				return 0, 0, errVarintMinimal
			}
			return v, i + 1, nil
		}
		if i == 3 {
			return 0, 0, errVarint
		}
	}
	return 0, 0, nil
}

// AppendVarint appends v as a variable byte integer; v is at most 268,435,455.
func AppendVarint(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// VarintLen is the number of bytes that AppendVarint appends for v.
func VarintLen(v uint32) int {
	switch {
	case v < 1<<7:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<21:
		return 3
	}
	return 4
}
