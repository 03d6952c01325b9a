package client

import (
	"context"
	"io"
	"sync"

	"github.com/eclipse/paho.golang/packets"
	paholog "github.com/eclipse/paho.golang/paho/log"
	pahosession "github.com/eclipse/paho.golang/paho/session"
)

// Packet ids: those of messages and those of paho's SUBSCRIBE and UNSUBSCRIBE come from different
// ranges, so that neither needs to know about the other.
const (
	maxPublishID  = 60000
	minControlID  = maxPublishID + 1
	controlIDs    = 65535 - maxPublishID
	maxControlOut = 64 // waiting at once; the keeper has one
)

// session is what paho asks about packets with ids. Messages do not come to it (see link), so it
// only matches SUBACK and UNSUBACK with their requests.
type session struct {
	c *Client

	mu   sync.Mutex
	up   bool
	last uint16
	wait map[uint16]chan<- packets.ControlPacket
}

var _ pahosession.SessionManager = (*session)(nil)

// ConAckReceived runs before anything else of the new connection is read.
func (s *session) ConAckReceived(conn io.Writer, _ *packets.Connect, ca *packets.Connack) error {
	s.mu.Lock()
	s.up, s.wait = true, map[uint16]chan<- packets.ControlPacket{}
	s.mu.Unlock()
	s.c.accepted(conn.(*link), ca)
	return nil
}

// ConnectionLost ends all waits. paho's own session forgets them, and its callers sit out their
// timeout.
func (s *session) ConnectionLost(*packets.Disconnect) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up = false
	for _, ch := range s.wait {
		ch <- packets.ControlPacket{} // buffered, and the only one
	}
	s.wait = nil
	return nil
}

// AddToSession gives a SUBSCRIBE or UNSUBSCRIBE its id.
func (s *session) AddToSession(_ context.Context, p pahosession.Packet, resp chan<- packets.ControlPacket) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.up {
		return pahosession.ErrNoConnection
	}
	if len(s.wait) >= maxControlOut {
		return pahosession.ErrPacketIdentifiersExhausted
	}
	for {
		id := minControlID + s.last
		s.last = (s.last + 1) % controlIDs
		if _, used := s.wait[id]; !used {
			s.wait[id] = resp
			p.SetIdentifier(id)
			return nil
		}
	}
}

// PacketReceived takes SUBACK and UNSUBACK.
func (s *session) PacketReceived(p *packets.ControlPacket, _ chan<- *packets.Publish) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch, ok := s.wait[p.PacketID()]; ok {
		delete(s.wait, p.PacketID())
		ch <- *p
	}
	return nil
}

// Ack has nothing to do: paho sees no messages.
func (*session) Ack(*packets.Publish) error { return nil }

// Close has nothing to do: ConnectionLost was called.
func (*session) Close() error { return nil }

// SetErrorLogger has nothing to do.
func (*session) SetErrorLogger(paholog.Logger) {}

// SetDebugLogger has nothing to do.
func (*session) SetDebugLogger(paholog.Logger) {}
