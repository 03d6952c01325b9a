package wire

import (
	"encoding/binary"
	"strings"
)

// Filter is one line of a SUBSCRIBE. Name may be no valid filter, see ParseSubscribe.
type Filter struct {
	Name              string
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte // 0 send retained messages, 1 only to a new subscription, 2 do not
}

// SubscribePacket is a SUBSCRIBE. It shares no memory with the packet that it was read from.
type SubscribePacket struct {
	ID      uint16
	SubID   uint32 // 0 without
	Filters []Filter
}

// UnsubscribePacket is an UNSUBSCRIBE. It shares no memory with the packet that it was read from.
type UnsubscribePacket struct {
	ID      uint16
	Filters []string
}

// listErrors are the errors that SUBSCRIBE and UNSUBSCRIBE share.
type listErrors struct{ cut, id, text, empty error }

func listErrorsOf(typ byte) listErrors {
	name := typeNames[typ]
	return listErrors{
		cut:   malformed(name + ": cut off"),
		id:    protocolError(name + ": packet id is 0"),                    // [MQTT-2.2.1-3]
		text:  malformed(name + ": topic filter is not UTF-8 without NUL"), // [MQTT-3.8.3-1] [MQTT-3.10.3-1]
		empty: protocolError(name + ": no topic filter"),                   // [MQTT-3.8.3-2] [MQTT-3.10.3-2]
	}
}

var (
	subscribeErrs        = listErrorsOf(TypeSubscribe)
	unsubscribeErrs      = listErrorsOf(TypeUnsubscribe)
	errSubscribeReserved = malformed("SUBSCRIBE: reserved bits in the options")            // [MQTT-3.8.3-5], 3.1.1 [MQTT-3-8.3-4]
	errSubscribeQoS      = protocolError("SUBSCRIBE: QoS 3")                               // section 3.8.3.1
	errSubscribeHandling = protocolError("SUBSCRIBE: retain handling 3")                   // section 3.8.3.1
	errSubscribeNoLocal  = protocolError("SUBSCRIBE: no local with a shared subscription") // [MQTT-3.8.3-4]
)

// ParseSubscribe reads a SUBSCRIBE. A filter that is a good string but no valid filter is not an
// error here: SUBACK has a code for it, and the other filters of the packet may stand. The error
// is an *Error.
func ParseSubscribe(frame []byte, header int, version byte) (*SubscribePacket, error) {
	b, err := open(frame, header, TypeSubscribe, version)
	if err != nil {
		return nil, err
	}
	p := new(SubscribePacket)
	if p.ID, b, err = packetID(b, &subscribeErrs); err != nil {
		return nil, err
	}
	if version >= V5 {
		r, rest, err := propReaderOf(b, "SUBSCRIBE", subscribeProps)
		if err != nil {
			return nil, err
		}
		for r.next() {
			if r.id == PropSubscriptionID {
				p.SubID = r.num
			}
		}
		if r.err != nil {
			return nil, r.err
		}
		b = rest
	}
	n, err := countFields(b, 1, &subscribeErrs)
	if err != nil {
		return nil, err
	}
	p.Filters = make([]Filter, n)
	for i := range p.Filters {
		f, rest, _ := field(b)
		p.Filters[i].Name = string(f)
		if err = p.Filters[i].options(rest[0], version); err != nil {
			return nil, err
		}
		b = rest[1:]
	}
	return p, nil
}

// options takes the options byte of a filter apart.
func (f *Filter) options(o, version byte) error {
	reserved := byte(0xC0)
	if version < V5 {
		reserved = 0xFC
	}
	f.QoS = o & 3
	f.NoLocal, f.RetainAsPublished = o&4 != 0, o&8 != 0
	f.RetainHandling = o >> 4 & 3
	switch {
	case o&reserved != 0:
		return errSubscribeReserved
	case f.QoS == 3:
		return errSubscribeQoS
	case f.RetainHandling == 3:
		return errSubscribeHandling
	case f.NoLocal && strings.HasPrefix(f.Name, sharePrefix):
		return errSubscribeNoLocal
	}
	return nil
}

// ParseUnsubscribe reads an UNSUBSCRIBE. Filters are good strings, and may be no valid filters:
// those are subscribed by nobody. The error is an *Error.
func ParseUnsubscribe(frame []byte, header int, version byte) (*UnsubscribePacket, error) {
	b, err := open(frame, header, TypeUnsubscribe, version)
	if err != nil {
		return nil, err
	}
	p := new(UnsubscribePacket)
	if p.ID, b, err = packetID(b, &unsubscribeErrs); err != nil {
		return nil, err
	}
	if version >= V5 {
		r, rest, err := propReaderOf(b, "UNSUBSCRIBE", unsubscribeProps)
		if err != nil {
			return nil, err
		}
		for r.next() {
		}
		if r.err != nil {
			return nil, r.err
		}
		b = rest
	}
	n, err := countFields(b, 0, &unsubscribeErrs)
	if err != nil {
		return nil, err
	}
	p.Filters = make([]string, n)
	for i := range p.Filters {
		f, rest, _ := field(b)
		p.Filters[i], b = string(f), rest
	}
	return p, nil
}

// packetID reads the packet id at the start of b and returns what follows it.
func packetID(b []byte, errs *listErrors) (id uint16, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, errs.cut
	}
	if id = binary.BigEndian.Uint16(b); id == 0 {
		return 0, nil, errs.id
	}
	return id, b[2:], nil
}

// countFields checks that b is a list of strings, each with extra bytes behind it, and counts
// them: the list is then made at its final size, and only once it is known to be whole.
func countFields(b []byte, extra int, errs *listErrors) (n int, err error) {
	for ; len(b) > 0; n++ {
		f, rest, ok := field(b)
		switch {
		case !ok || len(rest) < extra:
			return 0, errs.cut
		case !validText(f):
			return 0, errs.text
		}
		b = rest[extra:]
	}
	if n == 0 {
		return 0, errs.empty
	}
	return n, nil
}
