package wiretest

// Varint appends v as a variable byte integer of minimal length.
func Varint(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// String appends a string with its length of two bytes.
func String(b []byte, s string) []byte {
	return append(append(b, byte(len(s)>>8), byte(len(s))), s...)
}

// Frame puts a fixed header before body; first is the whole first byte.
func Frame(first byte, body []byte) []byte {
	return append(Varint([]byte{first}, uint32(len(body))), body...)
}

// Connect describes a CONNECT packet; the zero value of a field means what most tests want.
type Connect struct {
	Name      string // protocol name; "" means MQTT, or MQIsdp for 3.1
	Level     byte   // protocol level; 0 means the version of the connection
	Persist   bool   // clean session or clean start is 0
	SetFlags  byte   // set in the connect flags whatever the other fields say
	DropFlags byte   // cleared there
	KeepAlive uint16
	Props     Props
	ClientID  string
	Will      *Will
	User      *string
	Password  *string
	Tail      []byte // added at the end of the payload
	NoPayload bool   // nothing after the variable header but Tail
}

// Will is the Will part of a CONNECT packet.
type Will struct {
	Topic, Payload string
	QoS            byte
	Retain         bool
	Props          Props
}

// Flags of CONNECT.
const (
	FlagReserved   byte = 0x01
	FlagClean      byte = 0x02
	FlagWill       byte = 0x04
	FlagWillQoS1   byte = 0x08
	FlagWillQoS2   byte = 0x10
	FlagWillRetain byte = 0x20
	FlagPassword   byte = 0x40
	FlagUser       byte = 0x80
)

func (c Connect) flags() byte {
	var f byte
	if !c.Persist {
		f |= FlagClean
	}
	if c.Will != nil {
		f |= FlagWill | c.Will.QoS<<3
		if c.Will.Retain {
			f |= FlagWillRetain
		}
	}
	if c.User != nil {
		f |= FlagUser
	}
	if c.Password != nil {
		f |= FlagPassword
	}
	return f&^c.DropFlags | c.SetFlags
}

// Bytes is the packet for a protocol version.
func (c Connect) Bytes(version byte) []byte {
	name, level := c.Name, c.Level
	if name == "" {
		name = "MQTT"
		if version == V31 {
			name = "MQIsdp"
		}
	}
	if level == 0 {
		level = version
	}
	b := append(String(nil, name), level, c.flags(), byte(c.KeepAlive>>8), byte(c.KeepAlive))
	if version == V5 {
		b = c.Props.encode(b)
	}
	if !c.NoPayload {
		b = c.payload(b, version)
	}
	return Frame(CONNECT<<4, append(b, c.Tail...))
}

func (c Connect) payload(b []byte, version byte) []byte {
	b = String(b, c.ClientID)
	if c.Will != nil {
		if version == V5 {
			b = c.Will.Props.encode(b)
		}
		b = String(String(b, c.Will.Topic), c.Will.Payload)
	}
	if c.User != nil {
		b = String(b, *c.User)
	}
	if c.Password != nil {
		b = String(b, *c.Password)
	}
	return b
}

// Publish describes a PUBLISH packet.
type Publish struct {
	Topic, Payload string
	QoS            byte // 3 can be sent as well
	Dup, Retain    bool
	ID             uint16 // sent when QoS is not 0
	Props          Props
}

// Bytes is the packet for a protocol version.
func (p Publish) Bytes(version byte) []byte {
	first := PUBLISH<<4 | p.QoS<<1
	if p.Dup {
		first |= 8
	}
	if p.Retain {
		first |= 1
	}
	b := String(nil, p.Topic)
	if p.QoS > 0 {
		b = append(b, byte(p.ID>>8), byte(p.ID))
	}
	if version == V5 {
		b = p.Props.encode(b)
	}
	return Frame(first, append(b, p.Payload...))
}

// Filter is one entry of a SUBSCRIBE packet. Opts is the whole options byte, the QoS in its
// lowest two bits.
type Filter struct {
	Name string
	Opts byte
}

// Subscription options of MQTT 5.
const (
	NoLocal           byte = 0x04
	RetainAsPublished byte = 0x08
	RetainIfNew       byte = 0x10
	RetainNever       byte = 0x20
)

// Subscribe is a SUBSCRIBE packet.
func Subscribe(version byte, id uint16, props Props, filters ...Filter) []byte {
	b := []byte{byte(id >> 8), byte(id)}
	if version == V5 {
		b = props.encode(b)
	}
	for _, f := range filters {
		b = append(String(b, f.Name), f.Opts)
	}
	return Frame(SUBSCRIBE<<4|2, b)
}

// Unsubscribe is an UNSUBSCRIBE packet.
func Unsubscribe(version byte, id uint16, props Props, filters ...string) []byte {
	b := []byte{byte(id >> 8), byte(id)}
	if version == V5 {
		b = props.encode(b)
	}
	for _, f := range filters {
		b = String(b, f)
	}
	return Frame(UNSUBSCRIBE<<4|2, b)
}

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP in its short form.
func Ack(typ byte, id uint16) []byte { return AckCode(typ, id, 0) }

// AckCode is an acknowledgement with a reason code, which only version 5 knows.
func AckCode(typ byte, id uint16, code byte) []byte {
	b := []byte{byte(id >> 8), byte(id)}
	if code != 0 {
		b = append(b, code)
	}
	return Frame(typ<<4|ackFlags(typ), b)
}

func ackFlags(typ byte) byte {
	if typ == PUBREL {
		return 2
	}
	return 0
}

// Ping is a PINGREQ packet.
func Ping() []byte { return []byte{PINGREQ << 4, 0} }

// Bye is a DISCONNECT packet: two bytes where code is 0 and there are no properties.
func Bye(code byte, props ...Prop) []byte {
	if code == 0 && len(props) == 0 {
		return []byte{DISCONNECT << 4, 0}
	}
	return Frame(DISCONNECT<<4, Props(props).encode([]byte{code}))
}

// Auth is an AUTH packet.
func Auth(code byte, props ...Prop) []byte {
	return Frame(AUTH<<4, Props(props).encode([]byte{code}))
}
