package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Defaults of Options.
const (
	DefaultHeartbeat      = 5 * time.Second
	DefaultKeepAlive      = 30 * time.Second
	DefaultConnectTimeout = 10 * time.Second
	DefaultBackoffLow     = 500 * time.Millisecond
	DefaultBackoffHigh    = 5 * time.Second
	DefaultSessionExpiry  = time.Hour
	DefaultDrain          = 5 * time.Second
	DefaultRequestTimeout = 10 * time.Second
	DefaultAckTimeout     = 30 * time.Second
	DefaultOutbox         = 4096
	DefaultOutboxBytes    = 16 << 20
	DefaultQueue          = 256
	DefaultWindow         = 1000
	DefaultMaxPacket      = 16 << 20
)

// Offline says what happens to a QoS 0 publish while there is no connection.
type Offline byte

// What happens to QoS 0 offline.
const (
	OfflineRefuse Offline = iota // ErrOffline
	OfflineDrop                  // dropped; Receipt.Dropped says so
)

// Options is how a client connects and what it may use. Zero values take the defaults.
type Options struct {
	// URL is where the broker is: mqtt:// or tcp://, mqtts:// or tls://, ws://, wss://,
	// unix:///path. It may have user:password@ with percent escapes. Options print without it.
	URL string
	// Dial takes the place of URL, for the in-memory listener. Its connections need not be safe
	// for concurrent writes.
	Dial func(context.Context) (net.Conn, error)
	// ID is the client id, such as tars-stt.
	ID string
	// Name is the short name: the envelope's source and the health topic, such as stt. Empty: ID
	// without a leading "tars-".
	Name string
	// Log gets the client's own lines. The zero Logger writes nothing.
	Log zerolog.Logger
	// NoHealth leaves out the will and the health messages, for tools that are no service.
	NoHealth bool

	// Heartbeat is the time between two heartbeats and two pings; three without an answer end the
	// connection. 0: 5 s; < 0: no heartbeats, and pings follow KeepAlive. Otherwise >= 10 ms.
	Heartbeat time.Duration
	// KeepAlive is what the broker is told, in whole seconds, 1 s to 65,535 s. 0: 30 s.
	KeepAlive time.Duration
	// TLS is for mqtts and wss. nil: the system's authorities.
	TLS *tls.Config
	// Credentials are asked for before each attempt to connect. nil: those of URL.
	Credentials func(context.Context) (user string, password Secret, err error)
	// SessionExpiry is for how long the broker keeps the session without a connection, in whole
	// seconds. 0: 1 h for a URL and nothing for Dial; < 0: nothing.
	SessionExpiry time.Duration
	// ConnectTimeout bounds one attempt, from the name lookup to the CONNACK. 0: 10 s.
	ConnectTimeout time.Duration
	// BackoffMin and BackoffMax bound the wait between attempts, which doubles; up to half of it
	// is left off at random. 0: 0.5 s and 5 s.
	BackoffMin, BackoffMax time.Duration
	// AckTimeout ends a connection whose broker acknowledges nothing, although it should. 0: 30 s;
	// < 0: never.
	AckTimeout time.Duration

	// Outbox is how many QoS 1 and 2 messages may wait for their acknowledgement, connected or
	// not, and OutboxBytes how much memory they may take. 0: 4,096 and 16 MiB.
	Outbox, OutboxBytes int
	// Offline is for QoS 0 publishes while there is no connection.
	Offline Offline
	// Queue is how many messages a subscription holds for its handler. 0: 256.
	Queue int
	// Window is how many unacknowledged messages the broker may have under way to us: the receive
	// maximum, 1 to 65,535. 0: 1,000.
	Window int
	// MaxPacket is the largest packet that is taken, in bytes. 0: 16 MiB.
	MaxPacket int
	// Drain is how long Close waits for handlers and for the outbox. 0: 5 s; < 0: it does not.
	Drain time.Duration
	// RequestTimeout is for a Request whose context has no deadline. 0: 10 s.
	RequestTimeout time.Duration
	// Trace is told of handlers and publishes. nil: nobody is.
	Trace Tracer
	// NewID makes ids of messages. nil: NewID.
	NewID func() string
}

// String is what may be shown of o.
func (o Options) String() string {
	where := "in memory"
	if o.Dial == nil {
		where = "bad URL"
		if s, err := parseURL(o.URL); err == nil {
			where = s.String()
		}
	}
	return fmt.Sprintf("client %s (%s) at %s", o.ID, o.Name, where)
}

// GoString is String, so that %#v shows no password either.
func (o Options) GoString() string { return o.String() }

// complete fills in defaults and reports every mistake at once.
func (o *Options) complete() (server, error) {
	var errs []error
	var s server
	if o.Dial == nil {
		var err error
		if s, err = parseURL(o.URL); err != nil {
			errs = append(errs, err)
		}
	}
	if o.SessionExpiry == 0 && o.Dial == nil {
		o.SessionExpiry = DefaultSessionExpiry
	}
	o.SessionExpiry = max(o.SessionExpiry, 0)
	o.Name = cmp.Or(o.Name, strings.TrimPrefix(o.ID, "tars-"))
	o.Heartbeat = cmp.Or(o.Heartbeat, DefaultHeartbeat)
	o.KeepAlive = cmp.Or(o.KeepAlive, DefaultKeepAlive)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, DefaultConnectTimeout)
	o.BackoffMin = cmp.Or(o.BackoffMin, DefaultBackoffLow)
	o.BackoffMax = cmp.Or(o.BackoffMax, max(DefaultBackoffHigh, o.BackoffMin))
	o.Drain = cmp.Or(o.Drain, DefaultDrain)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, DefaultRequestTimeout)
	o.AckTimeout = cmp.Or(o.AckTimeout, DefaultAckTimeout)
	o.Outbox = cmp.Or(o.Outbox, DefaultOutbox)
	o.OutboxBytes = cmp.Or(o.OutboxBytes, DefaultOutboxBytes)
	o.Queue = cmp.Or(o.Queue, DefaultQueue)
	o.Window = cmp.Or(o.Window, DefaultWindow)
	o.MaxPacket = cmp.Or(o.MaxPacket, DefaultMaxPacket)
	if o.NewID == nil {
		o.NewID = NewID
	}
	return s, errors.Join(append(errs, o.check()...)...)
}

func (o *Options) check() []error {
	var errs []error
	bad := func(wrong bool, text string) {
		if wrong {
			errs = append(errs, errors.New(text))
		}
	}
	bad(o.Dial != nil && o.URL != "", "both url and dial are set")
	bad(o.ID == "" || !validString(o.ID), "id: must be set, as UTF-8 of at most 65535 bytes")
	bad(!validTopic(o.ID) || strings.Contains(o.ID, "/"), "id: must not contain /, + or #")
	bad(!validTopic(o.Name) || strings.Contains(o.Name, "/"), "name: must be set and not contain /, + or #")
	bad(o.Heartbeat > 0 && o.Heartbeat < 10*time.Millisecond, "heartbeat: below 10ms")
	bad(o.KeepAlive < time.Second || o.KeepAlive > 65535*time.Second, "keep alive: not from 1s to 65535s")
	bad(o.SessionExpiry > (1<<32-2)*time.Second, "session expiry: too long")
	bad(o.ConnectTimeout < 0 || o.RequestTimeout < 0, "connect timeout, request timeout: negative")
	bad(o.BackoffMin < time.Millisecond || o.BackoffMax < o.BackoffMin, "backoff: below 1ms, or the maximum below the minimum")
	bad(o.Outbox < 0 || o.OutboxBytes < 0 || o.Queue < 0, "outbox, queue: negative")
	bad(o.Window < 1 || o.Window > 65535, "window: not from 1 to 65535")
	bad(o.MaxPacket < 1024 || o.MaxPacket > 256<<20, "max packet: not from 1 KiB to 256 MiB")
	return errs
}

// NewID makes the id of a message: a random UUID (version 4) as 32 hex digits.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return hex.EncodeToString(b[:])
}
