package crash

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// Simple load for the tests that need no ledger: numbered messages, what became of each,
// and what comes out again.

// errCode is a negative acknowledgement, or a DISCONNECT that gives a reason.
type errCode byte

func (e errCode) Error() string { return fmt.Sprintf("reason code %#02x", byte(e)) }

// hungUp says that the other end closed the connection.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// stamp is a payload of at least 8 bytes that says which message it is and whether it is whole.
func stamp(i, size int) []byte {
	b := make([]byte, max(size, 8))
	for k := range b {
		b[k] = byte(i + k)
	}
	binary.BigEndian.PutUint32(b, uint32(i))
	binary.BigEndian.PutUint32(b[4:], 0)
	binary.BigEndian.PutUint32(b[4:], crc32.ChecksumIEEE(b))
	return b
}

// stamped reverses stamp.
func stamped(p []byte) (int, error) {
	if len(p) < 8 {
		return 0, fmt.Errorf("a payload of %d bytes", len(p))
	}
	b := append([]byte(nil), p...)
	binary.BigEndian.PutUint32(b[4:], 0)
	if crc32.ChecksumIEEE(b) != binary.BigEndian.Uint32(p[4:]) {
		return 0, fmt.Errorf("a damaged payload of %d bytes", len(p))
	}
	return int(binary.BigEndian.Uint32(p)), nil
}

// batch is a number of messages to publish: n of them from number first on.
type batch struct {
	id       string
	version  byte
	qos      byte
	retain   bool
	topic    func(i int) string
	first, n int
	size     int
	window   int
	patience time.Duration // for each answer
}

// publish sends the batch over a connection of its own and returns which messages were
// acknowledged. It ends at the first refusal with an errCode, or with the connection.
func (p batch) publish(ctx context.Context, addr string) (acked map[int]bool, err error) {
	acked = map[int]bool{}
	c, err := rawmqtt.Dial(ctx, addr, rawmqtt.ConnectOptions{ID: p.id, Version: p.version, Clean: true})
	if err != nil {
		return acked, err
	}
	defer c.Finish()
	window := min(p.window, int(c.Info.ReceiveMaximum))
	for sent := 0; len(acked) < p.n; {
		for ; sent < p.n && sent-len(acked) < window; sent++ {
			i := p.first + sent
			c.Queue(func(b []byte) []byte {
				return rawmqtt.AppendPublish(b, p.version, rawmqtt.Message{
					Topic: []byte(p.topic(i)), Payload: stamp(i, p.size), ID: uint16(sent%65535 + 1), QoS: p.qos, Retain: p.retain,
				})
			})
		}
		c.Flush()
		if err := c.SetReadDeadline(time.Now().Add(p.patience)); err != nil {
			return acked, err
		}
		f, err := c.Next()
		if err != nil {
			return acked, err
		}
		if err := p.answer(c, f, acked, sent); err != nil {
			return acked, err
		}
	}
	return acked, nil
}

// answer handles one packet of the broker.
func (p batch) answer(c *rawmqtt.Conn, f rawmqtt.Frame, acked map[int]bool, sent int) error {
	if f.Type == rawmqtt.Disconnect {
		if len(f.Body) > 0 {
			return errCode(f.Body[0])
		}
		return errCode(0)
	}
	id, code, err := f.Ack()
	if err != nil {
		return err
	}
	if code >= 0x80 {
		return errCode(code)
	}
	switch f.Type {
	case rawmqtt.Pubrec:
		c.Queue(func(b []byte) []byte { return rawmqtt.AppendAck(b, rawmqtt.Pubrel, id) })
		return nil
	case rawmqtt.Puback, rawmqtt.Pubcomp:
	default:
		return fmt.Errorf("unexpected packet type %d", f.Type)
	}
	// The newest of the messages that can have this identifier; a window is far shorter.
	i := sent - 1
	for uint16(i%65535+1) != id {
		i--
	}
	acked[p.first+i] = true
	return nil
}

// got is what a subscriber was given.
type got struct {
	count   map[int]int // deliveries by number
	damaged int
	order   []int // first deliveries
	present bool  // the session was known
}

// collect connects, subscribes if filter is not empty, and takes messages until enough
// says so, or nothing more comes for quiet.
func collect(ctx context.Context, addr string, o rawmqtt.ConnectOptions, qos byte, filter string, quiet time.Duration, enough func(g *got) bool) (*got, error) {
	g := &got{count: map[int]int{}}
	c, err := rawmqtt.Dial(ctx, addr, o)
	if err != nil {
		return g, err
	}
	defer c.Finish()
	g.present = c.Info.Present
	if filter != "" {
		c.Send(func(b []byte) []byte { return rawmqtt.AppendSubscribe(b, c.Version, 1, qos, filter) })
	}
	subscribed := filter == ""
	for !subscribed || !enough(g) {
		if err := c.SetReadDeadline(time.Now().Add(quiet)); err != nil {
			return g, err
		}
		f, err := c.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return g, nil
		}
		if err != nil {
			return g, err
		}
		switch f.Type {
		case rawmqtt.Suback:
			_, codes, err := f.Codes(c.Version)
			if err != nil {
				return g, err
			}
			if codes[0] >= 0x80 {
				return g, errCode(codes[0])
			}
			subscribed = true
		case rawmqtt.Pubrel:
			id, _, err := f.Ack()
			if err != nil {
				return g, err
			}
			c.Send(func(b []byte) []byte { return rawmqtt.AppendAck(b, rawmqtt.Pubcomp, id) })
		case rawmqtt.Publish:
			if err := g.take(c, f); err != nil {
				return g, err
			}
		}
	}
	return g, nil
}

func (g *got) take(c *rawmqtt.Conn, f rawmqtt.Frame) error {
	m, err := f.Message(c.Version)
	if err != nil {
		return err
	}
	if i, err := stamped(m.Payload); err != nil {
		g.damaged++
	} else {
		if g.count[i] == 0 {
			g.order = append(g.order, i)
		}
		g.count[i]++
	}
	if m.QoS > 0 {
		typ := rawmqtt.Puback
		if m.QoS == 2 {
			typ = rawmqtt.Pubrec
		}
		c.Send(func(b []byte) []byte { return rawmqtt.AppendAck(b, typ, m.ID) })
	}
	return nil
}

// missing lists up to ten of what was acknowledged and not given out.
func (g *got) missing(acked map[int]bool) []int {
	var m []int
	for i := range acked {
		if g.count[i] == 0 && len(m) < 10 {
			m = append(m, i)
		}
	}
	return m
}
