package mqttcli

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Packet types, as in the first byte of a packet.
const (
	packetConnack    = 2
	packetPublish    = 3
	packetPuback     = 4
	packetPubrel     = 6
	packetPubcomp    = 7
	packetSubscribe  = 8
	packetDisconnect = 14
)

// tap sits between an MQTT library and the socket and sees which packets pass. The libraries do
// not tell when an acknowledgement has left, and `sub -C 1` must not disconnect before that, or a
// persistent session gets the message again.
//
// out belongs to whoever writes, and both libraries write one packet at a time; in to the reader.
type tap struct {
	net.Conn
	sync.Mutex // paho.golang locks it around the parts of one packet
	out, in    splitter
	see        func(sent bool, p *packet)

	reading sync.Mutex
	said    atomic.Bool // a DISCONNECT has left
	ended   atomic.Bool
	leave   chan struct{} // closed when a DISCONNECT has left, or the connection was closed
	closed  sync.Once
}

func newTap(nc net.Conn, see func(sent bool, p *packet)) *tap {
	return &tap{Conn: nc, see: see, leave: make(chan struct{})}
}

func (t *tap) end() {
	t.ended.Store(true)
	t.closed.Do(func() { close(t.leave) })
}

// Write sends b. After a DISCONNECT nothing more leaves.
func (t *tap) Write(b []byte) (int, error) {
	if t.ended.Load() {
		return 0, net.ErrClosed
	}
	n, err := t.Conn.Write(b)
	t.out.feed(b[:n], func(p *packet) {
		t.see(true, p)
		if p.kind == packetDisconnect {
			t.said.Store(true)
			t.end()
		}
	})
	return n, err
}

func (t *tap) Read(b []byte) (int, error) {
	t.reading.Lock()
	defer t.reading.Unlock()
	n, err := t.Conn.Read(b)
	t.in.feed(b[:n], func(p *packet) { t.see(false, p) })
	return n, err
}

// goodbye is how long a server may take to close the connection after a DISCONNECT.
const goodbye = 2 * time.Second

// Close ends the connection. After a DISCONNECT it reads until the server has closed: a socket
// that is closed with something unread in it is reset, and takes our last acknowledgements and
// the DISCONNECT with it.
func (t *tap) Close() error {
	t.end()
	if t.said.Load() {
		_ = t.Conn.SetReadDeadline(time.Now().Add(goodbye))
		if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
		t.reading.Lock() // the library's reader has stopped, or reads and gets the end itself
		_, _ = io.Copy(io.Discard, t.Conn)
		t.reading.Unlock()
	}
	return t.Conn.Close()
}

// packet is the beginning of one MQTT packet.
type packet struct {
	kind, flags byte
	length      int    // of the body
	head        []byte // the first bytes of the body, valid during the call
}

// id is the packet identifier of an acknowledgement.
func (p *packet) id() uint16 {
	if len(p.head) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(p.head)
}

// headBytes is how much of a body the splitter keeps: enough for identifiers and for the topics
// that debug output shows.
const headBytes = 256

// splitter finds the packets in a stream of bytes.
type splitter struct {
	state byte // 0: first byte, 1: length, 2: body
	first byte
	shift uint
	size  int // of the body
	left  int // of the body, still to come
	head  []byte
	lost  bool // the stream made no sense; nothing is reported any more
}

func (s *splitter) feed(b []byte, f func(*packet)) {
	for len(b) > 0 && !s.lost {
		switch s.state {
		case 0:
			s.first, s.state, s.shift, s.size = b[0], 1, 0, 0
			b = b[1:]
		case 1:
			s.size |= int(b[0]&0x7F) << s.shift
			s.shift += 7
			more := b[0]&0x80 != 0
			b = b[1:]
			if more {
				s.lost = s.shift > 21
				continue
			}
			s.state, s.left, s.head = 2, s.size, s.head[:0]
		case 2:
			n := min(len(b), s.left)
			s.head = append(s.head, b[:min(n, headBytes-len(s.head))]...)
			s.left -= n
			b = b[n:]
		}
		if s.state == 2 && s.left == 0 {
			s.state = 0
			f(&packet{kind: s.first >> 4, flags: s.first & 0x0F, length: s.size, head: s.head})
		}
	}
}

var packetNames = [16]string{1: "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
	"UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"}

// debug writes one line about a packet, in the words of mosquitto's -d.
func debug(w io.Writer, client string, sent bool, p *packet) {
	verb := "received"
	if sent {
		verb = "sending"
	}
	if client == "" {
		client = "(null)"
	}
	fmt.Fprintf(w, "Client %s %s %s%s\n", client, verb, packetNames[p.kind], p.detail())
}

func (p *packet) detail() string {
	switch p.kind {
	case packetConnack:
		if len(p.head) > 1 {
			return fmt.Sprintf(" (%d)", p.head[1])
		}
	case packetPublish:
		return p.publishDetail()
	case packetPuback, packetPubcomp, 5, packetPubrel:
		code := byte(0)
		if len(p.head) > 2 {
			code = p.head[2]
		}
		return fmt.Sprintf(" (Mid: %d, RC:%d)", p.id(), code)
	case packetSubscribe, 9, 10, 11:
		return fmt.Sprintf(" (Mid: %d)", p.id())
	}
	return ""
}

func (p *packet) publishDetail() string {
	if len(p.head) < 2 {
		return ""
	}
	n := int(binary.BigEndian.Uint16(p.head))
	topic, rest := p.head[2:], p.head[2:]
	if n <= len(topic) {
		topic, rest = topic[:n], topic[n:]
	}
	qos, id := p.flags>>1&3, uint16(0)
	if qos > 0 && len(rest) >= 2 {
		id = binary.BigEndian.Uint16(rest)
	}
	return fmt.Sprintf(" (d%d, q%d, r%d, m%d, '%s', ... (%d bytes in all))", p.flags>>3, qos, p.flags&1, id, topic, p.length)
}
