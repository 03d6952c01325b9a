package broker

import (
	"encoding/binary"

	"github.com/tarsd/tarsd/internal/wire"
)

// The library decodes control packets with a lenient, unfuzzed decoder before authentication,
// refuses some that the specification allows (an empty will payload, an empty password), and
// logs what it reads. So it gets packets of ours with the same type and packet id and nothing
// else in them; the front hook reads what the client really sent from the Conn.

// canonicalConnect is a CONNECT with the version and the client id of p.
func canonicalConnect(p *wire.ConnectPacket) []byte {
	name := "MQTT"
	if p.Version == wire.V31 {
		name = "MQIsdp"
	}
	id := p.ClientID
	if id == "" {
		id = "-" // the front hook assigns one
	}
	n := 2 + len(name) + 1 + 1 + 2 + 2 + len(id)
	if p.Version >= wire.V5 {
		n++
	}
	b := make([]byte, 0, n+5)
	b = wire.AppendVarint(append(b, wire.TypeConnect<<4), uint32(n))
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(name))), name...)
	b = append(b, p.Version, 0x02, 0, 60) // clean start; a keep alive that the library does not warn about
	if p.Version >= wire.V5 {
		b = append(b, 0)
	}
	return append(binary.BigEndian.AppendUint16(b, uint16(len(id))), id...)
}

// canonicalSubscribe is a SUBSCRIBE to "-". The front hook takes the filter out again.
func canonicalSubscribe(id uint16, version byte) []byte {
	if version >= wire.V5 {
		return []byte{wire.TypeSubscribe<<4 | 2, 7, byte(id >> 8), byte(id), 0, 0, 1, '-', 0}
	}
	return []byte{wire.TypeSubscribe<<4 | 2, 6, byte(id >> 8), byte(id), 0, 1, '-', 0}
}

// canonicalUnsubscribe is an UNSUBSCRIBE from "-".
func canonicalUnsubscribe(id uint16, version byte) []byte {
	if version >= wire.V5 {
		return []byte{wire.TypeUnsubscribe<<4 | 2, 6, byte(id >> 8), byte(id), 0, 0, 1, '-'}
	}
	return []byte{wire.TypeUnsubscribe<<4 | 2, 5, byte(id >> 8), byte(id), 0, 1, '-'}
}
