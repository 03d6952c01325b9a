package delivery

import (
	"time"

	"github.com/tarsd/tarsd/internal/wire"
)

// message is a publication that something keeps: a queue, the retained index, a will. It does
// not change after it was made.
type message struct {
	topic   string
	payload []byte
	props   []byte // raw MQTT 5 properties that are forwarded
	from    string // client id of the publisher
	stored  int64  // Unix ms
	expires int64  // Unix ms; 0 = never
	qos     byte
	retain  bool
}

// messageOverhead is about what a message costs beside its bytes.
const messageOverhead = 160

func (m *message) size() int64 {
	return int64(len(m.topic) + len(m.payload) + len(m.props) + messageOverhead)
}

// left is the Message Expiry Interval to send now, in seconds. [MQTT-3.3.2-6]
func (m *message) left(now time.Time) (seconds uint32, has, expired bool) {
	if m.expires == 0 {
		return 0, false, false
	}
	ms := m.expires - now.UnixMilli()
	if ms <= 0 {
		return 0, true, true
	}
	return uint32((ms + 999) / 1000), true, false
}

// outgoing fills o with m as it is sent to one subscriber. It reports false if m has expired.
func (m *message) outgoing(o *wire.OutPublish, now func() time.Time) bool {
	o.Topic, o.Payload, o.Props = m.topic, m.payload, m.props
	o.HasExpiry = false
	if m.expires == 0 {
		return true
	}
	var expired bool
	o.Expiry, o.HasExpiry, expired = m.left(now())
	return !expired
}
