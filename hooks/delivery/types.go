package delivery

import (
	"context"
	"time"

	"github.com/tarsd/tarsd/internal/wire"
)

// Peer is what is known of one connection. The adapter fills it before Authenticate;
// Policy may set User, Roles and SignedIn there; afterwards it does not change.
type Peer struct {
	ID       string // client id, given or assigned
	User     string // empty: anonymous
	Roles    []string
	Version  byte   // wire.V31, wire.V311 or wire.V5
	Listener string // address of the listener, such as "tcp://127.0.0.1:1883", or "memory"
	Remote   string // address of the peer, "memory" for the in-memory listener
	Host     string // Remote without the port; what limits per address count by
	Local    bool   // loopback, unix socket or in-memory
	CN       string // common name of the verified client certificate
	// SignedIn is the user of the browser session that the connection came with, empty when there is none or
	// it has ended; may be nil. Policy sets it to nil where User does not come from it.
	SignedIn  func() string
	KeepAlive uint16 // seconds, as agreed; 0 means none
	Clean     bool   // clean start
	Since     time.Time
}

// Policy decides who may connect and what each may do. hooks/access implements it.
// All methods are called on the connection's own goroutine; MayPublish and MaySubscribe
// are cached by the engine for the life of the connection, so a policy that changes has
// to end the sessions concerned with Engine.Kick.
type Policy interface {
	// Authenticate answers wire.Success or the reason of the refusal, and may take long.
	// username is nil when the client sent none.
	Authenticate(ctx context.Context, p *Peer, username *string, password []byte) (wire.Code, string)
	MayPublish(p *Peer, topic string) bool
	MaySubscribe(p *Peer, filter string) bool // filter without the $share prefix
	// Current reports whether what Authenticate said of the peer still holds. It is asked when
	// the connection begins, for a change that came between Authenticate and a Kick.
	Current(p *Peer) bool
}

// Message is one inbound PUBLISH as hooks see it. The slices are valid during the call only.
type Message struct {
	Topic   string
	Payload []byte
	Props   []byte // raw MQTT 5 properties that are forwarded, without alias and expiry
	QoS     byte
	Retain  bool
	Dup     bool
}

// Action is what a hook wants done with a message.
type Action byte

// The actions, from harmless to final.
const (
	Deliver Action = iota // pass it on
	Absorb                // acknowledge it and go no further: it was meant for the hook, and nothing is lost
	Repeat                // acknowledge it when what was accepted before is on disk, and go no further
	Ignore                // acknowledge it and go no further
	Refuse                // negative acknowledgement where the protocol has one, no delivery
	Close                 // end the connection with Code
)

// Verdict is the answer of a hook. Reason is a short constant such as "rate"; it names the
// counter and the audit event.
type Verdict struct {
	Action Action
	Code   wire.Code
	Reason string
}

// Hook looks at every message of a connection after the policy allowed it. Attach is called
// once for each connection and returns that connection's inspector, which keeps its state
// without locks; nil means that the hook does not care for this peer.
type Hook interface {
	Name() string
	Attach(p *Peer) Inspector
}

// Inspector judges the messages of one connection, on its reader goroutine.
type Inspector interface {
	OnMessage(m *Message) Verdict
}

// Event is one entry of the audit stream. Repeats of a drop within a second are folded into
// one event with a Count.
type Event struct {
	Time     time.Time `json:"ts"`
	Kind     string    `json:"event"` // connect, disconnect, refused, takeover, drop, publish_refused, subscribe_refused, session_end, storage
	Client   string    `json:"client,omitempty"`
	User     string    `json:"user,omitempty"`
	Remote   string    `json:"remote,omitempty"`
	Listener string    `json:"listener,omitempty"`
	Topic    string    `json:"topic,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Code     wire.Code `json:"code,omitempty"`
	Count    int       `json:"count,omitempty"`
}

// Stats are totals since the start, and gauges as of now.
type Stats struct {
	Started                                        time.Time
	ClientsConnected, ClientsTotal, ClientsMaximum int // total: sessions, connected or kept
	Subscriptions, SharedSubscriptions             int
	Retained                                       int
	RetainedBytes, QueuedBytes                     int64
	Queued, Inflight                               int // messages in queues, and of those sent but not acknowledged
	MessagesReceived, MessagesSent                 uint64
	PublishReceived, PublishSent                   uint64 // PUBLISH packets; Messages* count every packet
	PublishDropped                                 uint64
	BytesReceived, BytesSent                       uint64
	Dropped                                        map[string]uint64 // by reason
	Connects, Refused                              uint64
}

// ClientInfo describes one session.
type ClientInfo struct {
	Peer
	Connected        bool
	Since            time.Time // of the connection, or of its loss
	SessionExpiry    uint32    // seconds; 0xFFFFFFFF never
	Subscriptions    []string
	Queued, Inflight int
	QueuedBytes      int64
	BufferedBytes    int64 // waiting for the socket
	PublishReceived  uint64
	PublishSent      uint64
	BytesReceived    uint64
	BytesSent        uint64
	LastPacket       time.Time
	Dropped          map[string]uint64
}
