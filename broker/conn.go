package broker

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/tarsd/tarsd/internal/wire"
)

// Receiver is the message side of a connection: hooks/delivery. All calls but Drained are made
// on the connection's reader goroutine.
type Receiver interface {
	// Receive handles one PUBLISH, PUBACK, PUBREC, PUBREL or PUBCOMP, which is valid during
	// the call. An error ends the connection with the error's reason code.
	Receive(frame []byte, header int) error
	// Flush is called when everything that was read has been handled, and before a control
	// packet: what Receive buffered on other connections is to be written now.
	Flush()
	// Drained is called once after WantRoom, from any goroutine and without locks.
	Drained()
	// Closed is called once, when the library has let go of the connection, whatever happened.
	Closed()
}

// Conn is the connection that the library gets: it takes messages out of the byte stream
// before the library reads them, checks every control packet, and owns the outbound buffer.
//
// Read and the inbound fields belong to the library's reader goroutine. The outbound half
// is guarded by mu, see outbuf. The fields set by Attach do not change afterwards.
type Conn struct {
	outbuf
	nc   net.Conn
	sock syscall.RawConn // nil: neither TCP nor unix
	wait waitReader      // nil: no wait without a buffer
	try  func([][]byte) (int, error)
	b    *Broker
	info Info

	marked atomic.Bool

	// Inbound.
	rb                 []byte  // current buffer; nil while idle
	small              []byte  // buffer of idleSize for connections that cannot wait without one
	lastRead           int     // bytes of the last read
	pooled             *[]byte // rb's pool entry; nil if rb was made for a large packet
	r, w               int     // unread bytes are rb[r:w]
	ctl                []byte  // rest of a control packet that the library has not read yet
	rn                 int
	rerr               error
	rawIn              func(fd uintptr) bool
	inPackets, inBytes uint64 // since the last account

	connect     *wire.ConnectPacket
	subscribe   *wire.SubscribePacket
	unsubscribe *wire.UnsubscribePacket
	disconnect  atomic.Pointer[wire.DisconnectPacket]

	client    *mqtt.Client
	receiver  Receiver // nil until Attach
	version   byte
	maxPacket uint32        // of the client; 0 = no limit
	keep      time.Duration // 1.5 times the keep alive; 0 = none
	greeted   atomic.Bool   // the CONNACK is in the outbound buffer
	Value     any           // the front hook's state of this connection; set before anything is shared
	extended  time.Time     // when the read deadline was last moved; not used for sockets

	lastPacket atomic.Int64 // Unix ns of the last read that completed a packet
	bytesIn    atomic.Uint64
	packetsIn  atomic.Uint64

	reasonOnce sync.Once
	reason     atomic.Pointer[string]
	done       chan struct{} // closed when the library has let go of the connection
}

// waitReader is a connection that can wait for bytes before it needs a buffer.
type waitReader interface {
	ReadReady(get func() []byte) (int, error)
}

type tryWriter interface {
	TryWritev(bufs [][]byte) (int, error)
}

func newConn(b *Broker, nc net.Conn, info Info) *Conn {
	c := &Conn{nc: nc, b: b, info: info, done: make(chan struct{})}
	switch t := nc.(type) {
	case *net.TCPConn:
		c.sock, _ = t.SyscallConn()
	case *net.UnixConn:
		c.sock, _ = t.SyscallConn()
	}
	if c.sock != nil {
		c.raw, c.rawIn, c.try = c.rawWriteFD, c.rawReadFD, c.rawWrite
	} else if t, ok := nc.(tryWriter); ok {
		c.try = t.TryWritev
	}
	if t, ok := nc.(waitReader); ok && c.sock == nil {
		c.wait = t
	}
	return c
}

// Info tells where the connection comes from.
func (c *Conn) Info() Info { return c.info }

// Connect is the CONNECT packet as it was checked, complete with the will's properties.
func (c *Conn) Connect() *wire.ConnectPacket { return c.connect }

// Subscribe is the SUBSCRIBE that the library is handling.
func (c *Conn) Subscribe() *wire.SubscribePacket { return c.subscribe }

// Unsubscribe is the UNSUBSCRIBE that the library is handling.
func (c *Conn) Unsubscribe() *wire.UnsubscribePacket { return c.unsubscribe }

// Disconnected is the DISCONNECT that the client sent, or nil.
func (c *Conn) Disconnected() *wire.DisconnectPacket { return c.disconnect.Load() }

// Version is the protocol version of the client: wire.V31, wire.V311 or wire.V5.
func (c *Conn) Version() byte { return c.version }

// Done is closed when the connection's reader has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Bind remembers the library's client, whose registry entry is removed at the end.
func (c *Conn) Bind(cl *mqtt.Client) { c.client = cl }

// Attach makes r the receiver of all further messages. It is called once, on the reader's
// goroutine, before the CONNACK. keepAlive is in seconds, 0 for none; maxPacket is the client's
// Maximum Packet Size, 0 for none.
func (c *Conn) Attach(r Receiver, maxPacket uint32, keepAlive uint16) {
	c.receiver, c.maxPacket = r, maxPacket
	c.keep = time.Duration(keepAlive) * time.Second * 3 / 2 // [MQTT-3.1.2-22]
}

// Established ends the time limit for connecting and starts the keep alive's. It is called
// once, when the CONNACK is in the outbound buffer.
func (c *Conn) Established() {
	now := time.Now()
	c.lastPacket.Store(now.UnixNano())
	var deadline time.Time
	if c.keep > 0 {
		deadline = now.Add(c.keep)
	}
	_ = c.nc.SetReadDeadline(deadline)
	if c.Closing() { // closed meanwhile: the deadline that wakes the reader must stay
		_ = c.nc.SetReadDeadline(now)
	}
}

// Counters are totals of one connection.
type Counters struct {
	PacketsIn, PacketsOut, PublishOut, BytesIn, BytesOut uint64
	PayloadOut                                           uint64 // bytes of the payloads of PublishOut
	Pending                                              int    // bytes that wait for the socket
	LastPacket                                           time.Time
}

// Counters reads the totals.
func (c *Conn) Counters() Counters {
	c.mu.Lock()
	n := Counters{PacketsOut: c.packets, PublishOut: c.publish, PayloadOut: c.payload, BytesOut: c.bytes, Pending: c.pending}
	c.mu.Unlock()
	n.PacketsIn, n.BytesIn = c.packetsIn.Load(), c.bytesIn.Load()
	if t := c.lastPacket.Load(); t != 0 {
		n.LastPacket = time.Unix(0, t)
	}
	return n
}

// setReason keeps the first reason: later ones are consequences.
func (c *Conn) setReason(s string) {
	c.reasonOnce.Do(func() { c.reason.Store(&s) })
}

// Reason tells why the connection ended; empty while it lives.
func (c *Conn) Reason() string {
	if p := c.reason.Load(); p != nil {
		return *p
	}
	return ""
}

// ---- the library's side: net.Conn

// Read gives the library one whole control packet at a time and handles everything else. The
// library asks for more only when it has finished with the packet before, which keeps messages
// and control packets in the order in which the client sent them.
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.ctl) > 0 {
		n := copy(p, c.ctl)
		c.ctl = c.ctl[n:]
		return n, nil
	}
	for {
		f, header, err := c.frame()
		if err == nil && f == nil {
			if err = c.fill(); err == nil {
				continue
			}
		} else if err == nil {
			if c.receiver != nil && f[0]>>4 >= wire.TypePublish && f[0]>>4 <= wire.TypePubcomp {
				err = c.receiver.Receive(f, header)
			} else if f, err = c.control(f, header); err == nil {
				n := copy(p, f)
				c.ctl = f[n:]
				return n, nil
			}
		}
		if err != nil {
			return 0, c.fail(err)
		}
	}
}

// frame takes the next complete packet out of the buffer, or returns nil.
func (c *Conn) frame() ([]byte, int, error) {
	b := c.rb[c.r:c.w]
	if len(b) < 2 {
		return nil, 0, nil
	}
	header, total, err := wire.Header(b)
	if err != nil || header == 0 {
		return nil, 0, err
	}
	limit := c.b.limits.PacketBytes
	if c.receiver == nil {
		limit = c.b.limits.PreAuthBytes
	}
	if total > limit {
		return nil, 0, errTooLarge
	}
	if len(b) < total {
		c.makeRoom(total)
		return nil, 0, nil
	}
	c.r += total
	c.inPackets++
	return b[:total:total], header, nil
}

// makeRoom prepares the buffer for a packet of total bytes, growing it only as bytes arrive:
// a length is a claim of the client.
func (c *Conn) makeRoom(total int) {
	have := c.w - c.r
	if total <= len(c.rb) {
		if total > len(c.rb)-c.r {
			copy(c.rb, c.rb[c.r:c.w])
			c.r, c.w = 0, have
		}
		return
	}
	if c.w < len(c.rb) && c.r == 0 {
		return
	}
	nb := make([]byte, min(total, max(2*len(c.rb), readSize)))
	copy(nb, c.rb[c.r:c.w])
	c.releaseRead()
	c.rb, c.r, c.w = nb, 0, have
}

// control checks a control packet and returns what the library gets in its place: see canonical.
func (c *Conn) control(f []byte, header int) (_ []byte, err error) {
	typ := f[0] >> 4
	if c.connect == nil {
		if typ != wire.TypeConnect {
			return nil, errFirstPacket
		}
		c.connect, err = wire.ParseConnect(f, header)
		if err != nil {
			c.refuse(f, header, err)
			return nil, err
		}
		c.version = c.connect.Version
		return canonicalConnect(c.connect), nil
	}
	if c.receiver == nil {
		return nil, errFirstPacket
	}
	c.receiver.Flush()
	switch typ {
	case wire.TypeSubscribe:
		if c.subscribe, err = wire.ParseSubscribe(f, header, c.version); err == nil {
			return canonicalSubscribe(c.subscribe.ID, c.version), nil
		}
	case wire.TypeUnsubscribe:
		if c.unsubscribe, err = wire.ParseUnsubscribe(f, header, c.version); err == nil {
			return canonicalUnsubscribe(c.unsubscribe.ID, c.version), nil
		}
	case wire.TypeDisconnect:
		var d wire.DisconnectPacket
		if d, err = wire.ParseDisconnect(f, header, c.version); err == nil {
			if d.HasSessionExpiry && d.SessionExpiry > 0 && c.connect.SessionExpiry == 0 {
				return nil, errRaisedExpiry
			}
			c.disconnect.Store(&d)
			c.setReason("client disconnected")
			return []byte{wire.TypeDisconnect << 4, 0}, nil
		}
	case wire.TypePingreq:
		if err = wire.ParsePing(f, header); err == nil {
			return f, nil
		}
	case wire.TypeAuth:
		return nil, errAuth
	case wire.TypeConnect:
		return nil, errSecondConnect
	default: // CONNACK, SUBACK, UNSUBACK, PINGRESP
		return nil, errServerPacket
	}
	return nil, err
}

// The errors that end a connection; package values, because hostile clients cause them.
var (
	errTooLarge      = &wire.Error{Code: wire.PacketTooLarge, Reason: "packet larger than allowed"}
	errFirstPacket   = &wire.Error{Code: wire.ProtocolError, Reason: "protocol error: first packet is not a CONNECT"}         // [MQTT-3.1.0-1]
	errSecondConnect = &wire.Error{Code: wire.ProtocolError, Reason: "protocol error: second CONNECT"}                        // [MQTT-3.1.0-2]
	errServerPacket  = &wire.Error{Code: wire.ProtocolError, Reason: "protocol error: packet type that only a server sends"}  // section 2.1.2
	errAuth          = &wire.Error{Code: wire.ProtocolError, Reason: "protocol error: AUTH without an authentication method"} // [MQTT-4.12.0-6]
	errRaisedExpiry  = &wire.Error{Code: wire.ProtocolError, Reason: "protocol error: session expiry raised from zero"}       // section 3.14.2.2.2
)

// refuse answers a CONNECT that does not parse, as far as the protocol allows an answer. The
// version is read from the fixed place where every protocol version has it.
func (c *Conn) refuse(f []byte, header int, err error) {
	code, ok := wire.CodeOf(err)
	if !ok {
		return
	}
	b := f[header:]
	if len(b) < 2 {
		return
	}
	name := int(b[0])<<8 | int(b[1])
	if len(b) < 3+name || (string(b[2:2+name]) != "MQTT" && string(b[2:2+name]) != "MQIsdp") {
		return // [MQTT-3.1.2-1]: not MQTT at all
	}
	version := b[2+name]
	if version < wire.V5 && code != wire.UnsupportedProtocolVersion && code != wire.ClientIDNotValid {
		return // 3.1.1 has no return code for a malformed CONNECT
	}
	if version > wire.V5 {
		version = wire.V5 // [MQTT-3.1.2-2]: the CONNACK of the newest version that we know
	} else if version < wire.V311 {
		version = wire.V311
	}
	c.AppendRaw(wire.AppendConnack(nil, version, false, code, nil), noPublish, false)
}

// fail turns an error of the inbound side into the end of the connection and, where the
// protocol has one, a DISCONNECT with the reason.
func (c *Conn) fail(err error) error {
	if c.receiver != nil {
		c.receiver.Flush()
	}
	var ne net.Error
	switch code, ok := wire.CodeOf(err); {
	case ok && c.receiver != nil:
		c.Disconnect(code, err.Error())
	case ok:
		c.setReason(err.Error())
	case errors.Is(err, io.EOF):
		c.setReason("closed by peer")
	case errors.As(err, &ne) && ne.Timeout():
		switch {
		case c.receiver != nil && !c.Closing():
			c.Disconnect(wire.KeepAliveTimeout, "keep alive timeout")
		case c.connect == nil:
			c.setReason("no CONNECT in time")
		default:
			c.setReason("connecting took too long")
		}
	default:
		c.setReason("read: " + err.Error())
	}
	return err
}

// Write is the library's way to send a control packet.
func (c *Conn) Write(p []byte) (int, error) {
	if c.version < wire.V5 && len(p) > 0 && p[0]>>4 == wire.TypeDisconnect {
		return len(p), nil // 3.1.1 has no DISCONNECT from the server
	}
	if c.AppendRaw(p, noPublish, false) != Buffered {
		return 0, net.ErrClosed
	}
	if len(p) > 3 && p[0]>>4 == wire.TypeConnack && p[3] == 0 {
		c.greeted.Store(true) // before the client can see it: from here on a DISCONNECT may follow
	}
	c.Flush()
	return len(p), nil
}

// LocalAddr is the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr is the address of the client, also behind a PROXY protocol header.
func (c *Conn) RemoteAddr() net.Addr {
	if c.info.Remote != nil {
		return c.info.Remote
	}
	return c.nc.RemoteAddr()
}

// SetDeadline does nothing, as its two sisters: the library derives deadlines from a keep
// alive that overflows, and only for packets that it sees. Attach and fill do it instead.
func (c *Conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing, see SetDeadline.
func (c *Conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing, see SetDeadline.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
