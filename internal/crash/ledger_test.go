package crash

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// The ledger is the model: what was sent, what was acknowledged, what was delivered to
// whom. It knows the rules and nothing about connections.
//
// A stream is one publisher, one topic and one QoS: the unit in which MQTT keeps order
// (MQTT-4.6.0). Publishers never skip or give up a message of a stream, and every
// subscriber of a stream has its SUBACK before the first message, so a persistent
// subscriber has to see 0, 1, 2, ... as first deliveries without a gap, at QoS 1 and 2
// alike. That one rule covers both loss and order, and it is judged at every delivery:
// a message that is passed over is lost or late, and either is wrong. What remains to be
// judged by waiting is only the end of a stream, see owes.
type stream struct {
	id     uint16
	topic  string
	pub    string // client id of the publisher
	qos    byte
	retain bool
	erases bool   // retained, and every third message clears the topic
	limit  uint32 // how many messages there will be; 0: no end

	mu     sync.Mutex
	sent   uint32              // first transmissions: 0 .. sent-1
	acked  uint32              // PUBACK or PUBREC received: 0 .. acked-1; acks come in order
	done   uint32              // QoS 2: PUBCOMP received for all of 0 .. done-1
	resent map[uint32]struct{} // sent again by the publisher, so a second delivery is right at QoS 1
}

const headLen = 16 // magic 2, stream 2, seq 4, length 4, check 4

// payload builds message seq of s with at least headLen bytes, or none for an erasure.
func (s *stream) payload(b []byte, seq uint32, size int) []byte {
	if s.erased(seq) {
		return b[:0]
	}
	size = max(size, headLen)
	b = append(b[:0], 'T', 'C')
	b = binary.BigEndian.AppendUint16(b, s.id)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	b = binary.BigEndian.AppendUint32(b, ^seq)
	for len(b) < size {
		b = append(b, byte(seq)+byte(len(b)))
	}
	return b
}

func (s *stream) erased(seq uint32) bool { return s.erases && seq%3 == 2 }

func (s *stream) String() string {
	return fmt.Sprintf("%s QoS %d from %s", s.topic, s.qos, s.pub)
}

// snapshot returns how many were sent and how many acknowledged so far.
func (s *stream) snapshot() (sent, acked uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent, s.acked
}

// parse finds out which message a payload is and whether it is whole.
func (l *ledger) parse(m rawmqtt.Message) (*stream, uint32, error) {
	p := m.Payload
	if len(p) < headLen || p[0] != 'T' || p[1] != 'C' {
		return nil, 0, fmt.Errorf("a payload of %d bytes that nobody sent, on %q", len(p), m.Topic)
	}
	st := l.stream(binary.BigEndian.Uint16(p[2:]))
	seq := binary.BigEndian.Uint32(p[4:])
	if st == nil || binary.BigEndian.Uint32(p[12:]) != ^seq || int(binary.BigEndian.Uint32(p[8:])) != len(p) {
		return nil, 0, fmt.Errorf("a damaged payload of %d bytes on %q", len(p), m.Topic)
	}
	for i := headLen; i < len(p); i++ {
		if p[i] != byte(seq)+byte(i) {
			return st, seq, fmt.Errorf("byte %d of the payload of %d is damaged", i, len(p))
		}
	}
	if st.topic != string(m.Topic) {
		return st, seq, fmt.Errorf("came on topic %q", m.Topic)
	}
	return st, seq, nil
}

// reading is what one persistent subscriber has seen of one stream. It belongs to the
// subscriber's goroutine, except for next, which the controller reads.
type reading struct {
	stream *stream
	qos    byte          // granted
	next   atomic.Uint32 // first deliveries seen: 0 .. next-1

	// About the current connection:
	exposed    uint32 // an older connection may have carried 0 .. exposed-1, and nothing else
	seenBefore uint32 // next when its CONNACK had arrived
	lastDup    int64  // highest sequence number that came with DUP, -1 if none

	seenBirth uint32 // next when this life of the broker began
}

func newReading(s *stream, qos byte) *reading { return &reading{stream: s, qos: qos, lastDup: -1} }

// birth notes where the stream stands at the begin of a life of the broker. All clients
// rest at that time.
func (r *reading) birth() { r.seenBirth = r.next.Load() }

// attach notes where the stream stands at the begin of a connection. again says that the
// broker has had another connection of this client in the same life: that one might have
// carried everything that was sent up to now. At the first one in a life only what was
// sent before the last death that the client saw can have been carried, see death.
func (r *reading) attach(again bool) {
	if again {
		r.exposed, _ = r.stream.snapshot()
	}
	r.seenBefore = r.next.Load()
	r.lastDup = -1
}

// death notes where the stream stood when the broker died under a connected client.
func (r *reading) death() { r.exposed, _ = r.stream.snapshot() }

// The ways in which a broker can fail. Every one of them ends the test.
var (
	errLost       = errors.New("acknowledged message lost, or delivered out of order")
	errTwice      = errors.New("QoS 2 message delivered twice")
	errUncaused   = errors.New("QoS 1 message delivered twice in one connection without a cause")
	errDup        = errors.New("DUP on a message that cannot have been sent before")
	errNoDup      = errors.New("redelivery without DUP in one life of the broker")
	errOrder      = errors.New("redelivery out of order")
	errFlag       = errors.New("wrong QoS or retain flag")
	errGhost      = errors.New("message that was never sent")
	errRetained   = errors.New("wrong retained message")
	errSession    = errors.New("session lost")
	errAckOrder   = errors.New("acknowledgement out of order")
	errFlow       = errors.New("more messages in flight than Receive Maximum")
	errPacketID   = errors.New("packet identifier used twice at a time")
	errRefused    = errors.New("refused without a reason to")
	errClosed     = errors.New("connection closed by the broker")
	errStuck      = errors.New("not finished")
	errUnexpected = errors.New("unexpected packet")
)

// deliver judges one message that reaches the application of a subscriber. It returns
// whether it is the first delivery.
func (r *reading) deliver(seq uint32, m rawmqtt.Message) (first bool, err error) {
	next := r.next.Load()
	sent, _ := r.stream.snapshot()
	switch {
	case m.Retain:
		return false, fmt.Errorf("%w: retain flag on a message to an established subscription", errFlag)
	case m.QoS != min(r.qos, r.stream.qos):
		return false, fmt.Errorf("%w: QoS %d to a subscription with QoS %d", errFlag, m.QoS, r.qos)
	case seq >= sent:
		return false, errGhost
	case m.Dup && seq >= r.exposed:
		return false, fmt.Errorf("%w: it was published when no older connection could carry it", errDup)
	case seq > next:
		return false, fmt.Errorf("%w: message %d came, %d was due", errLost, seq, next)
	case seq == next:
		r.next.Store(next + 1)
		return true, r.redelivered(seq, m.Dup)
	case m.QoS == 2:
		return false, errTwice
	case r.stream.qos == 1 && r.stream.wasResent(seq):
		// To the broker the repeat is a message of its own (MQTT-4.3.2), with a place of its
		// own in the order of redelivery.
		return false, nil
	case seq >= r.seenBefore:
		return false, errUncaused
	case seq >= r.seenBirth && !m.Dup:
		return false, errNoDup
	}
	return false, r.redelivered(seq, m.Dup)
}

// redelivered checks that what comes with DUP comes in its old order (MQTT-4.6.0-1).
func (r *reading) redelivered(seq uint32, dup bool) error {
	if !dup {
		return nil
	}
	if int64(seq) <= r.lastDup {
		return fmt.Errorf("%w: %d after %d", errOrder, seq, r.lastDup)
	}
	r.lastDup = int64(seq)
	return nil
}

func (s *stream) wasResent(seq uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.resent[seq]
	return ok
}

// ledger holds all streams and the first failure.
type ledger struct {
	mu      sync.Mutex
	streams []*stream
	failure error
	failed  chan struct{} // closed at the first failure
	rings   []*ring
}

func newLedger() *ledger { return &ledger{failed: make(chan struct{})} }

// add gives a new stream its number.
func (l *ledger) add(s *stream) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.id = uint16(len(l.streams))
	s.resent = map[uint32]struct{}{}
	l.streams = append(l.streams, s)
	return s
}

func (l *ledger) stream(id uint16) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int(id) >= len(l.streams) {
		return nil
	}
	return l.streams[id]
}

func (l *ledger) all() []*stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streams[:len(l.streams):len(l.streams)]
}

// fail keeps the first failure with the story of the message concerned; what goes wrong
// after it is usually a consequence.
func (l *ledger) fail(client string, st *stream, seq uint32, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		return
	}
	what := "client " + client
	if st != nil {
		what = fmt.Sprintf("%s, message %d of %v", what, seq, st)
	}
	l.failure = fmt.Errorf("%s: %w\n%s", what, err, tell(l.rings, client, st, seq))
	close(l.failed)
}

func (l *ledger) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// retainedAllowed says which sequence numbers a retained topic may show, from the last
// acknowledged one to the last one sent, and whether it may show nothing. A QoS 2 message
// counts with its PUBCOMP: a broker may publish at PUBREL (MQTT 5.0 figure 4.3).
func (s *stream) retainedAllowed() (from, to int64, none bool) {
	s.mu.Lock()
	from, to = int64(s.acked)-1, int64(s.sent)-1
	if s.qos == 2 {
		from = int64(s.done) - 1
	}
	s.mu.Unlock()
	none = from < 0
	for i := max(from, 0); i <= to; i++ {
		none = none || s.erased(uint32(i))
	}
	return from, to, none
}
