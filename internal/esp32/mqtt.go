package esp32

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// The kinds of failure that the firmware tells apart. An error that is none of them is an OSError,
// which the library swallows.
var (
	errOff   = errors.New("no power")
	errMQTT  = errors.New("MQTTException") // a CONNACK or SUBACK that refuses
	errCheck = errors.New("AssertionError")
)

// swallowed reports whether the robust layer of the library deals with an error.
func swallowed(err error) bool {
	return !errors.Is(err, errOff) && !errors.Is(err, errMQTT) && !errors.Is(err, errCheck)
}

// client is the device's MQTT library: a simple layer that sends and waits, and a robust layer that
// connects again when the socket breaks. It belongs to the device's goroutine.
type client struct {
	d     *Device
	ctx   context.Context // of the boot: ends with the power
	delay func(time.Duration) error
	wire  *cable
	r     *bufio.Reader
	pid   int // of SUBSCRIBE and PUBLISH; written as 16 bits, compared as it is
	on    func(topic string, payload []byte) error
}

func str(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// send writes one packet.
func (c *client) send(first byte, body []byte) error {
	p := binary.AppendUvarint([]byte{first}, uint64(len(body))) // the same code as MQTT's lengths
	if c.ctx.Err() != nil {
		return errOff
	}
	if c.wire == nil {
		return net.ErrClosed
	}
	_, err := c.wire.Write(append(p, body...))
	return err
}

// connect opens a connection. Its CONNACK must be four bytes.
func (c *client) connect(clean bool) error {
	if c.ctx.Err() != nil {
		return errOff
	}
	c.d.drop(c.wire)
	c.wire = nil
	c.d.change(func(s *State) { s.Tries++ })
	nc, err := c.d.open(c.ctx)
	if err != nil {
		if c.ctx.Err() != nil {
			return errOff
		}
		c.d.event("unreachable", "", err.Error())
		return err
	}
	c.wire, c.r = nc, bufio.NewReader(nc)
	o := &c.d.o
	flags := byte(0)
	if clean {
		flags |= 2
	}
	if o.User != "" {
		flags |= 0xc0
	}
	b := append(str(nil, "MQTT"), 4, flags)
	b = str(binary.BigEndian.AppendUint16(b, o.KeepAlive), o.ClientID)
	if o.User != "" {
		b = str(str(b, o.User), o.Password)
	}
	if err := c.send(0x10, b); err != nil {
		return err
	}
	ack, err := c.read(4)
	switch {
	case err != nil:
		return err
	case ack[0] != 0x20 || ack[1] != 2:
		return fmt.Errorf("%w: CONNACK begins with % x", errCheck, ack)
	case ack[3] != 0:
		c.d.event("refused", "", fmt.Sprint(ack[3]))
		return fmt.Errorf("%w: %d", errMQTT, ack[3])
	}
	c.d.change(func(s *State) { s.Connects++ })
	c.d.event("connect", "", fmt.Sprintf("clean=%t present=%d", clean, ack[2]&1))
	return nil
}

// reconnect is the robust layer's: until it works, two seconds apart, and nothing else.
func (c *client) reconnect() error {
	for {
		err := c.connect(false)
		if err == nil || !swallowed(err) {
			return err
		}
		if err := c.delay(2 * time.Second); err != nil {
			return err
		}
	}
}

// lost notes that the socket broke, and connects again.
func (c *client) lost(err error) error {
	c.d.event("lost", "", err.Error())
	return c.reconnect()
}

// read reads n bytes, as long as that takes.
func (c *client) read(n int) ([]byte, error) {
	if err := c.wire.SetReadDeadline(time.Time{}); err != nil {
		return nil, errOff
	}
	b := make([]byte, n)
	_, err := io.ReadFull(c.r, b)
	if c.ctx.Err() != nil {
		return nil, errOff
	}
	return b, err
}

// ready reports whether there is something to read within d.
func (c *client) ready(d time.Duration) bool {
	if c.wire == nil {
		return false
	}
	if c.r.Buffered() > 0 {
		return true
	}
	if c.wire.SetReadDeadline(time.Now().Add(d)) != nil {
		return false
	}
	_, err := c.r.Peek(1)
	return !isTimeout(err)
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// receive is the simple layer's wait_msg: one packet, of which it understands PUBLISH and PINGRESP. Of
// others it takes the first byte only and leaves the rest to its caller.
func (c *client) receive() (op byte, err error) {
	b, err := c.read(1)
	if err != nil {
		return 0, err
	}
	op = b[0]
	switch {
	case op == 0xd0:
		if b, err = c.read(1); err == nil && b[0] != 0 {
			err = errCheck
		}
		return 0, err
	case op&0xf0 != 0x30:
		return op, nil
	}
	size, err := c.length()
	if err != nil {
		return 0, err
	}
	b, err = c.read(size)
	if err != nil {
		return 0, err
	}
	if len(b) < 2 {
		return 0, errCheck
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n || op&6 != 0 && len(b) < 4+n {
		return 0, errCheck
	}
	topic, rest := string(b[2:2+n]), b[2+n:]
	id := uint16(0)
	if op&6 != 0 {
		id, rest = binary.BigEndian.Uint16(rest), rest[2:]
	}
	if err := c.on(topic, rest); err != nil {
		return 0, err
	}
	switch op & 6 {
	case 2: // acknowledged when the handler has returned
		return op, c.send(0x40, binary.BigEndian.AppendUint16(nil, id))
	case 4:
		return op, fmt.Errorf("%w: QoS 2", errCheck)
	}
	return op, nil
}

func (c *client) length() (int, error) {
	n, shift := 0, 0
	for {
		b, err := c.read(1)
		if err != nil {
			return 0, err
		}
		n |= int(b[0]&0x7f) << shift
		if b[0]&0x80 == 0 {
			return n, nil
		}
		shift += 7
	}
}

// wait is the robust layer's wait_msg: after a broken socket it reads on from the new one, without end.
func (c *client) wait() (op byte, err error) {
	for {
		if op, err = c.receive(); err == nil || !swallowed(err) {
			return op, err
		}
		if err := c.lost(err); err != nil {
			return 0, err
		}
		c.d.change(func(s *State) {
			if s.Waiting == "" {
				s.Waiting = "read"
			}
		})
	}
}

// waiting says what the device waits for without a limit.
func (c *client) waiting(what string) string {
	was := ""
	c.d.change(func(s *State) { was, s.Waiting = s.Waiting, what })
	return was
}

// check takes one message that ready has seen.
func (c *client) check() error {
	_, err := c.wait()
	c.waiting("")
	return err
}

// subscribe asks for one filter at QoS 1 and waits for its SUBACK. It is of the simple layer: a broken
// socket fails it.
func (c *client) subscribe(filter string) error {
	c.pid++
	pid := uint16(c.pid)
	if err := c.send(0x82, append(str(binary.BigEndian.AppendUint16(nil, pid), filter), 1)); err != nil {
		return err
	}
	was := c.waiting(fmt.Sprintf("SUBACK %d", pid))
	defer c.waiting(was)
	for {
		op, err := c.wait()
		if err != nil {
			return err
		}
		if op != 0x90 {
			continue
		}
		ack, err := c.read(4)
		switch {
		case err != nil:
			return err
		case binary.BigEndian.Uint16(ack[1:]) != pid:
			return fmt.Errorf("%w: SUBACK of another id", errCheck)
		case ack[3] == 0x80:
			return fmt.Errorf("%w: subscription to %s refused", errMQTT, filter)
		}
		c.d.event("subscribe", filter, "")
		return nil
	}
}

// publish sends a message and, at QoS 1, waits for its PUBACK. The robust layer sends it again when the
// socket breaks while it is sent; one that breaks while it waits is replaced below, in wait.
func (c *client) publish(topic string, payload []byte, qos byte, retain bool) error {
	for {
		err := c.publishOnce(topic, payload, qos, retain)
		if err == nil || !swallowed(err) {
			return err
		}
		if err := c.lost(err); err != nil {
			return err
		}
	}
}

func (c *client) publishOnce(topic string, payload []byte, qos byte, retain bool) error {
	first := 0x30 | qos<<1
	if retain {
		first |= 1
	}
	b := str(nil, topic)
	if qos > 0 {
		c.pid++
		b = binary.BigEndian.AppendUint16(b, uint16(c.pid))
	}
	pid := c.pid
	if err := c.send(first, append(b, payload...)); err != nil {
		return err
	}
	c.d.event("publish", topic, string(payload))
	if qos == 0 {
		return nil
	}
	was := c.waiting(fmt.Sprintf("PUBACK %d", pid))
	defer c.waiting(was)
	for {
		op, err := c.wait()
		if err != nil {
			return err
		}
		if op != 0x40 { // also one that a handler inside wait was waiting for
			continue
		}
		ack, err := c.read(3)
		switch {
		case err != nil:
			return err
		case ack[0] != 2:
			return fmt.Errorf("%w: PUBACK begins with % x", errCheck, ack)
		case int(binary.BigEndian.Uint16(ack[1:])) == pid:
			return nil
		}
	}
}

// route is how the firmware tells topics apart: by a part of their name, in this order.
func route(topic string) string {
	for _, part := range []string{"frame", "test", "stop"} {
		if strings.Contains(topic, part) {
			return part
		}
	}
	return ""
}
