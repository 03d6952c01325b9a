package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	linkBuffer  = 256 << 10 // bytes that may wait to be written before publishers wait
	linkKeep    = 64 << 10  // a larger buffer is given back once it is empty
	goodbyeTime = time.Second
)

// link is one network connection. paho reads and writes through it, and sees CONNACK, SUBACK,
// UNSUBACK, PINGRESP and DISCONNECT only: messages and their acknowledgements are taken out here
// and go to the client.
//
// Read belongs to paho's reading goroutine. Writes go to a buffer, which a goroutine of the link
// empties: nobody else waits for the network, least of all the reader. Packets of paho are put
// together between Lock and Unlock. Locks: packet, then mu.
type link struct {
	net.Conn
	c *Client

	br       *bufio.Reader
	frame    []byte // the last packet for paho, reused
	rest     []byte // what paho has not taken of it
	topics   topicCache
	up       bool // the CONNACK has been seen
	noSubIDs bool // the broker takes no subscription identifiers; set before anything reads it
	ended    chan struct{}
	once     sync.Once // of ended
	acks     acks

	packet sync.Mutex
	part   []byte // of paho's packet

	mu      sync.Mutex
	work    sync.Cond     // out has something, or the end
	idle    sync.Cond     // everything is written, or the end
	out     []byte        // to be written
	spare   []byte        // the other buffer
	writing bool          // the spare buffer is being written
	room    chan struct{} // closed when there is room again; nil when nobody waits
	err     error         // why nothing is written any more
	done    chan struct{} // the writing goroutine has ended
}

func newLink(c *Client, conn net.Conn) *link {
	l := &link{
		Conn: conn, c: c, br: bufio.NewReaderSize(conn, 8<<10), topics: topicCache{},
		ended: make(chan struct{}), done: make(chan struct{}),
	}
	l.work.L, l.idle.L = &l.mu, &l.mu
	l.acks.l = l
	go l.write()
	return l
}

// Read gives paho its packets, at most one per call.
func (l *link) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		if err := l.next(); err != nil {
			l.once.Do(func() { close(l.ended) })
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// next reads a packet and handles it, or leaves it in rest.
func (l *link) next() error {
	first, err := l.br.ReadByte()
	if err != nil {
		return err
	}
	n, err := l.length()
	if err != nil {
		return err
	}
	kind := first >> 4
	if kind == typePublish {
		body, err := l.body(nil, n)
		if err != nil {
			return err
		}
		if !l.up {
			return fmt.Errorf("%w: PUBLISH before CONNACK", errFrame)
		}
		return l.c.receive(l, first&15, body)
	}
	head := appendVarint(append(l.frame[:0], first), n)
	if l.frame, err = l.body(head, n); err != nil {
		return err
	}
	body := l.frame[len(head):]
	switch kind {
	case typePuback, typePubrec, typePubrel, typePubcomp:
		if !l.up {
			return fmt.Errorf("%w: acknowledgement before CONNACK", errFrame)
		}
		id, code, reason, err := parseAck(body)
		if err != nil {
			return err
		}
		if kind == typePubrel {
			l.c.released(l, id)
		} else {
			l.c.out.acknowledged(kind, id, code, reason)
		}
		return nil
	case typeConnack:
		l.up = true
	}
	l.rest = l.frame
	return nil
}

// length reads the remaining length. A packet that is too large ends the connection before any
// memory is taken for it.
func (l *link) length() (int, error) {
	n := 0
	for shift := 0; ; shift += 7 {
		b, err := l.br.ReadByte()
		if err != nil {
			return 0, err
		}
		n |= int(b&127) << shift
		if b < 128 {
			break
		}
		if shift == 21 {
			return 0, fmt.Errorf("%w: remaining length", errFrame)
		}
	}
	if n > l.c.opts.MaxPacket {
		return 0, fmt.Errorf("%w: %d bytes, more than the %d we take", errFrame, n, l.c.opts.MaxPacket)
	}
	return n, nil
}

// body reads n bytes behind head. Memory grows with what really comes.
func (l *link) body(head []byte, n int) ([]byte, error) {
	if n <= 64<<10 {
		k := len(head)
		if cap(head) < k+n {
			head = append(make([]byte, 0, k+n), head...)
		}
		b := head[:k+n]
		_, err := io.ReadFull(l.br, b[k:])
		return b, err
	}
	w := bytes.NewBuffer(head)
	if _, err := io.CopyN(w, l.br, int64(n)); err != nil {
		return nil, err
	}
	return w.Bytes(), nil
}

// Lock begins a packet of paho.
func (l *link) Lock() { l.packet.Lock() }

// Write takes a part of a packet of paho.
func (l *link) Write(p []byte) (int, error) {
	l.mu.Lock()
	err := l.err
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	l.part = append(l.part, p...)
	return len(p), nil
}

// Unlock ends a packet of paho. A DISCONNECT is on its way when Unlock returns, and the broker
// has had a moment to take it: paho closes the connection right after it.
func (l *link) Unlock() {
	bye := len(l.part) > 0 && l.part[0]>>4 == typeDisconnect
	l.push(l.part)
	l.part = l.part[:0]
	l.packet.Unlock()
	if bye {
		l.goodbye()
	}
}

// push sends a packet however full the buffer is. It is for packets that are few: acknowledgements,
// of which there is one per message in the window, and control packets.
func (l *link) push(p []byte) {
	l.mu.Lock()
	if l.err == nil {
		l.out = append(l.out, p...)
	}
	l.mu.Unlock()
	l.work.Signal()
}

// tryPush calls f to append a packet, if there is room for one. full reports that there is not.
func (l *link) tryPush(f func([]byte) []byte) (full bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return false, l.err
	}
	if len(l.out) >= linkBuffer {
		return true, nil
	}
	l.out = f(l.out)
	l.work.Signal()
	return false, nil
}

// roomy returns a channel that is closed when there is room for a packet, or the link has ended.
func (l *link) roomy() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.room == nil {
		l.room = make(chan struct{})
		if l.err != nil || len(l.out) < linkBuffer {
			close(l.room)
		}
	}
	ch := l.room
	if l.err != nil || len(l.out) < linkBuffer {
		l.room = nil
	}
	return ch
}

// write empties the buffer until the link ends.
func (l *link) write() {
	defer close(l.done)
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for len(l.out) == 0 && l.err == nil {
			l.idle.Broadcast()
			l.work.Wait()
		}
		if l.err != nil {
			l.fail(l.err)
			return
		}
		b := l.out
		l.out, l.writing = l.spare[:0], true
		l.mu.Unlock()
		_, err := l.Conn.Write(b)
		if err == nil {
			l.c.out.pump() // the outbox may have been waiting for room
		}
		l.mu.Lock()
		l.writing = false
		if l.spare = b[:0]; cap(b) > linkKeep {
			l.spare = nil
		}
		if err != nil && l.err == nil {
			l.err = err
			_ = l.Conn.Close() // the reader ends, and paho with it
		}
		if l.room != nil {
			close(l.room)
			l.room = nil
		}
	}
}

// fail drops what was to be written. mu is held.
func (l *link) fail(err error) {
	l.err, l.out = err, nil
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
	l.work.Broadcast()
	l.idle.Broadcast()
}

// goodbye waits until all is written, and then a little for the broker to close: closing first,
// with something unread, can take the DISCONNECT back.
func (l *link) goodbye() {
	t := time.AfterFunc(goodbyeTime, func() { _ = l.Conn.Close() })
	defer t.Stop()
	l.mu.Lock()
	for l.err == nil && (len(l.out) > 0 || l.writing) {
		l.idle.Wait()
	}
	l.mu.Unlock()
	select {
	case <-l.ended:
	case <-time.After(goodbyeTime / 4):
	}
}

// cut ends the connection from outside; paho notices at its next Read.
func (l *link) cut() { _ = l.Conn.Close() }

// Close implements net.Conn. It waits for the writing goroutine.
func (l *link) Close() error {
	l.mu.Lock()
	if l.err == nil {
		l.fail(net.ErrClosed)
	}
	l.mu.Unlock()
	err := l.Conn.Close()
	<-l.done
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
