package wiretest

import (
	"bufio"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// DefaultTimeout is how long a Conn waits for a packet or for the end of the connection.
// It is long because tests run many at a time on few cores; nothing waits for it that passes.
const DefaultTimeout = 10 * time.Second

// Conn is one network connection to a broker. It is not safe for use by several goroutines.
// All methods but those that return an error end the test when something goes wrong.
type Conn struct {
	Version byte
	Timeout time.Duration
	Name    string // stands in messages of failed tests

	t    testing.TB
	nc   net.Conn
	in   *bufio.Reader
	last uint16
}

// New wraps a connection that was just opened; the connection is closed when the test ends.
func New(t testing.TB, nc net.Conn, version byte) *Conn {
	t.Helper()
	t.Cleanup(func() { _ = nc.Close() })
	return &Conn{Version: version, Timeout: DefaultTimeout, Name: "client", t: t, nc: nc, in: bufio.NewReader(nc)}
}

// Send writes the packets with one call, so that they travel together.
func (c *Conn) Send(packets ...[]byte) {
	c.t.Helper()
	if err := c.TrySend(packets...); err != nil {
		c.t.Fatalf("%s: send: %v", c.Name, err)
	}
}

// TrySend is Send where the server may have closed already.
func (c *Conn) TrySend(packets ...[]byte) error {
	var b []byte
	for _, p := range packets {
		b = append(b, p...)
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.Timeout))
	_, err := c.nc.Write(b)
	return err
}

// TryNext is the next packet, or why there is none. A time-out is os.ErrDeadlineExceeded.
func (c *Conn) TryNext() (Packet, error) {
	_ = c.nc.SetReadDeadline(time.Now().Add(c.Timeout))
	return Read(c.in, c.Version)
}

// Next is the next packet.
func (c *Conn) Next() Packet {
	c.t.Helper()
	p, err := c.TryNext()
	if err != nil {
		c.t.Fatalf("%s: waiting for a packet: %v", c.Name, err)
	}
	return p
}

// Expect is the next packet, which must be of type typ.
func (c *Conn) Expect(typ byte) Packet {
	c.t.Helper()
	p, err := c.TryNext()
	if err != nil {
		c.t.Fatalf("%s: waiting for %s: %v", c.Name, TypeName(typ), err)
	}
	if p.Type != typ {
		c.t.Fatalf("%s: got %s, want %s", c.Name, p, TypeName(typ))
	}
	return p
}

// ExpectAck is the next packet, which must be of type typ with that packet identifier and
// report success.
func (c *Conn) ExpectAck(typ byte, id uint16) Packet {
	c.t.Helper()
	p := c.Expect(typ)
	if p.ID != id || p.Code >= 0x80 {
		c.t.Fatalf("%s: got %s, want success for id %d", c.Name, p, id)
	}
	return p
}

// ExpectPublish is the next packet, which must be a PUBLISH with that topic and payload. It
// is not acknowledged.
func (c *Conn) ExpectPublish(topic, payload string) Packet {
	c.t.Helper()
	p, err := c.TryNext()
	if err != nil {
		c.t.Fatalf("%s: waiting for PUBLISH %q %.60q: %v", c.Name, topic, payload, err)
	}
	if p.Type != PUBLISH || p.Topic != topic || p.Payload != payload {
		c.t.Fatalf("%s: got %s, want PUBLISH %q %.60q", c.Name, p, topic, payload)
	}
	return p
}

// Receive is ExpectPublish followed by the acknowledgements that its QoS asks for.
func (c *Conn) Receive(topic, payload string) Packet {
	c.t.Helper()
	p := c.ExpectPublish(topic, payload)
	c.Acknowledge(p)
	return p
}

// Acknowledge does the subscriber's part for a received PUBLISH, to its end.
func (c *Conn) Acknowledge(p Packet) {
	c.t.Helper()
	switch p.QoS {
	case 1:
		c.Send(Ack(PUBACK, p.ID))
	case 2:
		c.Send(Ack(PUBREC, p.ID))
		c.ExpectAck(PUBREL, p.ID)
		c.Send(Ack(PUBCOMP, p.ID))
	}
}

// ExpectQuiet proves that nothing was waiting: the answer to a PINGREQ must be next.
func (c *Conn) ExpectQuiet() {
	c.t.Helper()
	c.Send(Ping())
	c.Expect(PINGRESP)
}

// ExpectClosed waits until the server has closed the connection. In version 5 it may say why
// with a DISCONNECT, which is returned; anything else is a failure.
func (c *Conn) ExpectClosed() *Packet {
	c.t.Helper()
	return c.expectEnd(DISCONNECT)
}

// ExpectRefused waits until the server has closed the connection. It may answer with a
// CONNACK that tells a failure, which is returned; anything else is a failure.
func (c *Conn) ExpectRefused() *Packet {
	c.t.Helper()
	p := c.expectEnd(CONNACK)
	if p != nil && (p.Code == 0 || p.Present) {
		c.t.Fatalf("%s: got %s, want a refusal", c.Name, *p)
	}
	return p
}

func (c *Conn) expectEnd(typ byte) *Packet {
	c.t.Helper()
	var last *Packet
	for {
		p, err := c.TryNext()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatalf("%s: the server did not close the connection within %s", c.Name, c.Timeout)
		}
		if isDecode(err) {
			c.t.Fatalf("%s: waiting for the end: %v", c.Name, err)
		}
		if err != nil {
			return last
		}
		if p.Type != typ || last != nil {
			c.t.Fatalf("%s: got %s, want the connection closed", c.Name, p)
		}
		last = &p
	}
}

// isDecode tells a packet that cannot be read from a connection that ended.
func isDecode(err error) bool {
	var d *decodeError
	return errors.As(err, &d)
}

// Connect sends a CONNECT and returns the CONNACK, which must report success.
func (c *Conn) Connect(o Connect) Packet {
	c.t.Helper()
	c.Send(o.Bytes(c.Version))
	p := c.Expect(CONNACK)
	if p.Code != 0 {
		c.t.Fatalf("%s: got %s, want success", c.Name, p)
	}
	return p
}

// NextID is a packet identifier that was not used before.
func (c *Conn) NextID() uint16 {
	c.last++
	if c.last == 0 {
		c.last = 1
	}
	return c.last
}

// Publish sends a message and does the sender's part of the handshake to its end. The
// acknowledgement must be the next packet. A missing id is filled in.
func (c *Conn) Publish(p Publish) {
	c.t.Helper()
	if p.ID == 0 {
		p.ID = c.NextID()
	}
	c.Send(p.Bytes(c.Version))
	switch p.QoS {
	case 1:
		c.ExpectAck(PUBACK, p.ID)
	case 2:
		c.ExpectAck(PUBREC, p.ID)
		c.Send(Ack(PUBREL, p.ID))
		c.ExpectAck(PUBCOMP, p.ID)
	}
}

// Subscribe subscribes and returns the SUBACK, which must grant every filter; that the
// granted QoS is the requested one is not looked at.
func (c *Conn) Subscribe(filters ...Filter) Packet {
	c.t.Helper()
	return c.SubscribeWith(nil, filters...)
}

// SubscribeWith is Subscribe with properties.
func (c *Conn) SubscribeWith(props Props, filters ...Filter) Packet {
	c.t.Helper()
	id := c.NextID()
	c.Send(Subscribe(c.Version, id, props, filters...))
	p := c.Expect(SUBACK)
	if p.ID != id || len(p.Codes) != len(filters) {
		c.t.Fatalf("%s: got %s, want %d codes for id %d", c.Name, p, len(filters), id)
	}
	for i, code := range p.Codes {
		if code > 2 {
			c.t.Fatalf("%s: subscription to %q failed with 0x%02x", c.Name, filters[i].Name, code)
		}
	}
	return p
}

// Unsubscribe ends subscriptions and returns the UNSUBACK.
func (c *Conn) Unsubscribe(filters ...string) Packet {
	c.t.Helper()
	id := c.NextID()
	c.Send(Unsubscribe(c.Version, id, nil, filters...))
	p := c.Expect(UNSUBACK)
	if p.ID != id {
		c.t.Fatalf("%s: got %s, want id %d", c.Name, p, id)
	}
	return p
}

// Disconnect takes leave properly and waits until the server has closed.
func (c *Conn) Disconnect(props ...Prop) {
	c.t.Helper()
	c.Send(Bye(0, props...))
	if p := c.expectEnd(DISCONNECT); p != nil {
		c.t.Fatalf("%s: got %s after DISCONNECT", c.Name, *p)
	}
}

// Drop closes the connection without a word, as a broken network does.
func (c *Conn) Drop() { _ = c.nc.Close() }

// NetConn is the connection itself.
func (c *Conn) NetConn() net.Conn { return c.nc }
