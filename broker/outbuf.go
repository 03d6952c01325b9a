package broker

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tarsd/tarsd/internal/wire"
)

// Sizes of the outbound buffer, in bytes.
const (
	smallChunk = 4 << 10  // first chunk of an empty buffer: most flushes are a few messages
	largeChunk = 64 << 10 // further chunks
	fairShare  = 1 << 20  // limit of a buffer while all together are over their limit
	shareFrom  = 4 << 10  // payloads from here on are queued by reference, not copied
	maxIOV     = 64       // chunks in one writev; IOV_MAX is 1024, more gives nothing
	lowWater   = 64 << 10 // a receiver that waits for room is called below this
)

var (
	smallPool = sync.Pool{New: func() any { b := make([]byte, 0, smallChunk); return &b }}
	largePool = sync.Pool{New: func() any { b := make([]byte, 0, largeChunk); return &b }}
)

// chunk is a piece of outbound bytes. pooled is nil for a shared payload, which must not be
// appended to.
type chunk struct {
	b      []byte
	pooled *[]byte
	held   int64 // what Broker.buffered counts for it; small chunks are not counted
}

func (k *chunk) free(b *Broker) {
	if k.held > 0 {
		b.buffered.Add(-k.held)
	}
	if k.pooled != nil {
		switch cap(*k.pooled) {
		case smallChunk:
			smallPool.Put(k.pooled)
		case largeChunk:
			largePool.Put(k.pooled)
		}
	}
	*k = chunk{}
}

// Outcome says what became of an append to the outbound buffer.
type Outcome byte

// The outcomes of an append.
const (
	Buffered Outcome = iota // it will be written, unless the connection dies
	Full                    // over the buffer's limit; only when a limit was asked for
	TooLarge                // over the client's Maximum Packet Size
	Closed                  // the connection is closing: not a drop, a session keeps the message
)

// outbuf is the outbound half of a Conn. Producers append under mu; whoever sets flushing
// owns batch and the socket's write side until it clears it.
type outbuf struct {
	mu       sync.Mutex
	out      []chunk
	pending  int // bytes in out and batch
	flushing bool
	closing  bool // no further appends
	closed   bool // the socket is gone
	wantRoom bool // call Receiver.Drained below lowWater
	packets  uint64
	publish  uint64
	payload  uint64 // bytes of the payloads of publish
	bytes    uint64

	batch []chunk  // owned by the flusher
	iov   [][]byte // the same
	wn    int      // result of the raw write
	werr  error
	raw   func(fd uintptr) bool // bound once, so that a flush does not allocate
}

// room returns the tail to append n bytes to. mu is held.
func (c *Conn) room(n int) []byte {
	if k := len(c.out); k > 0 {
		t := &c.out[k-1]
		if t.pooled != nil && cap(t.b)-len(t.b) >= n {
			return t.b
		}
	}
	var p *[]byte
	switch {
	case len(c.out) == 0 && n <= smallChunk:
		p = smallPool.Get().(*[]byte)
	case n <= largeChunk:
		p = largePool.Get().(*[]byte)
	default:
		b := make([]byte, 0, n)
		p = &b
	}
	k := chunk{b: (*p)[:0], pooled: p}
	if cap(*p) > smallChunk {
		k.held = int64(cap(*p))
		c.b.buffered.Add(k.held)
	}
	c.out = append(c.out, k)
	return (*p)[:0]
}

// full reports whether the buffer is over its limit. One stuck client may have a large buffer,
// many together may not. mu is held.
func (c *Conn) full() bool {
	if c.pending <= fairShare {
		return false
	}
	return c.pending > c.b.limits.BufferBytes || c.b.buffered.Load() > int64(c.b.limits.BufferTotal)
}

// put stores the tail that room returned, grown by n bytes. mu is held.
func (c *Conn) put(b []byte, n int) {
	c.out[len(c.out)-1].b = b
	c.pending += n
	c.bytes += uint64(n)
	c.packets++
}

// AppendRaw queues one encoded packet. payload is the size of a PUBLISH's payload, negative for
// any other packet. With limit it is refused over the buffer's limit.
func (c *Conn) AppendRaw(p []byte, payload int, limit bool) Outcome {
	if c.maxPacket > 0 && uint32(len(p)) > c.maxPacket {
		return TooLarge
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.closing {
		return Closed
	}
	if limit && c.full() {
		return Full
	}
	c.put(append(c.room(len(p)), p...), len(p))
	if payload >= 0 {
		c.publish++
		c.payload += uint64(payload)
	}
	return Buffered
}

const noPublish = -1 // AppendRaw: the packet is not a PUBLISH

// AppendAck queues a PUBACK, PUBREC, PUBREL or PUBCOMP.
func (c *Conn) AppendAck(typ byte, id uint16, code wire.Code) Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.closing {
		return Closed
	}
	b := c.room(8)
	n := len(b)
	b = wire.AppendAck(b, typ, id, c.version, code)
	c.put(b, len(b)-n)
	return Buffered
}

// AppendPublish queues one PUBLISH. With share a large payload is queued by reference: it
// must never change afterwards.
func (c *Conn) AppendPublish(o *wire.OutPublish, limit, share bool) Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.appendPublish(o, limit, share)
}

// Source gives one message to encode. It is called with the buffer locked, so that what it
// reads cannot be overtaken by an append of something newer.
type Source interface {
	Next(o *wire.OutPublish) bool
}

// AppendFrom queues what s gives, or nothing. The second result is false if s had nothing.
func (c *Conn) AppendFrom(s Source, o *wire.OutPublish) (Outcome, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.closing {
		return Closed, true
	}
	if !s.Next(o) {
		return Buffered, false
	}
	return c.appendPublish(o, false, true), true
}

// appendPublish is AppendPublish with mu held.
func (c *Conn) appendPublish(o *wire.OutPublish, limit, share bool) Outcome {
	if c.closed || c.closing {
		return Closed
	}
	total, rem, props := o.Size()
	if c.maxPacket > 0 && uint32(total) > c.maxPacket {
		return TooLarge // [MQTT-3.1.2-24]
	}
	if limit && c.full() {
		return Full
	}
	if share && len(o.Payload) >= shareFrom {
		c.put(o.Append(c.room(total-len(o.Payload)), rem, props, false), total)
		c.out = append(c.out, chunk{b: o.Payload, held: int64(len(o.Payload))})
		c.b.buffered.Add(int64(len(o.Payload)))
	} else {
		c.put(o.Append(c.room(total), rem, props, true), total)
	}
	c.publish++
	c.payload += uint64(len(o.Payload))
	return Buffered
}

// Pending is the number of bytes that wait for the socket.
func (c *Conn) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending
}

// Closing reports whether appends are refused.
func (c *Conn) Closing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing || c.closed
}

// WantRoom asks for one call of Receiver.Drained when little is pending. It must be followed
// by a Flush, which makes the call itself if nothing is pending by then.
func (c *Conn) WantRoom() {
	c.mu.Lock()
	c.wantRoom = true
	c.mu.Unlock()
}

// Mark reports whether this is the first mark since the last Flush: the caller then owes one.
func (c *Conn) Mark() bool { return !c.marked.Swap(true) }

// Flush writes what is pending as far as the socket takes it without blocking; a goroutine
// goes on from there. It never blocks and may be called by anybody, without locks.
func (c *Conn) Flush() {
	c.marked.Store(false)
	for c.flushOnce() {
	}
}

// flushOnce reports whether the receiver was asked for more, so that there may be more to write.
func (c *Conn) flushOnce() bool {
	c.mu.Lock()
	if c.flushing || c.closed {
		c.mu.Unlock()
		return false
	}
	if c.pending == 0 {
		return c.askMore()
	}
	c.flushing = true
	if c.try == nil {
		c.mu.Unlock()
		c.b.spawn(c.writer)
		return false
	}
	for c.pending > 0 && !c.closed {
		c.takeBatch()
		c.mu.Unlock()
		n, err := c.try(c.vectors(maxIOV))
		rest := c.written(n)
		c.mu.Lock()
		c.pending -= n
		if err != nil {
			c.abandon("write: " + err.Error())
			return false
		}
		if rest {
			c.mu.Unlock()
			c.b.spawn(c.writer)
			return false
		}
	}
	c.flushing = false
	if c.closed {
		c.freeOut()
	}
	return c.askMore()
}

// askMore calls the receiver if it waits for room. mu is held and is released here.
func (c *Conn) askMore() bool {
	want := c.wantRoom && !c.closing && c.pending < lowWater
	if want {
		c.wantRoom = false
	}
	c.mu.Unlock()
	if want {
		c.receiver.Drained()
	}
	return want
}

// takeBatch moves out to batch. mu is held.
func (c *Conn) takeBatch() {
	c.batch = append(c.batch, c.out...)
	clear(c.out)
	c.out = c.out[:0]
}

func (c *Conn) vectors(most int) [][]byte {
	c.iov = c.iov[:0]
	for i := range min(len(c.batch), most) {
		c.iov = append(c.iov, c.batch[i].b)
	}
	return c.iov
}

// written drops n bytes from the front of batch and reports whether the socket was full.
func (c *Conn) written(n int) bool {
	i := 0
	for i < len(c.batch) {
		k := &c.batch[i]
		if n < len(k.b) {
			k.b = k.b[n:]
			break
		}
		n -= len(k.b)
		k.free(c.b)
		i++
	}
	full := i < min(len(c.batch), maxIOV)
	m := copy(c.batch, c.batch[i:])
	clear(c.batch[m:])
	c.batch = c.batch[:m]
	return full
}

// writer goes on with a flush that would block. It ends when everything is written, so that
// idle connections have no writer.
func (c *Conn) writer() {
	timed := false
	for {
		c.mu.Lock()
		if c.closed {
			c.flushing = false
			c.freeOut() // shut left it to the flusher
			c.mu.Unlock()
			return
		}
		if len(c.batch) == 0 && c.pending == 0 {
			if timed { // an old deadline would fail the next write, also one that does not block
				timed = false
				c.mu.Unlock()
				_ = c.nc.SetWriteDeadline(time.Time{})
				continue
			}
			c.flushing = false
			if c.askMore() {
				c.Flush()
			}
			return
		}
		c.takeBatch()
		c.mu.Unlock()

		timed = true
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.b.limits.WriteTimeout))
		n, err := c.writeSome()
		c.written(n)
		c.mu.Lock()
		c.pending -= n
		if err != nil {
			reason := "write: " + err.Error()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				reason = "write timeout"
			}
			c.abandon(reason)
			return
		}
		if c.pending < lowWater && c.wantRoom {
			c.askMore()
			continue
		}
		c.mu.Unlock()
	}
}

// writeSome writes about one large chunk, so that the write deadline is for progress and not
// for the whole backlog. Small chunks are joined: each Write is one WebSocket message or one
// TLS record.
func (c *Conn) writeSome() (int, error) {
	n, k := 0, 0
	for k < len(c.batch) && n < largeChunk {
		n += len(c.batch[k].b)
		k++
	}
	if k == 1 {
		return c.nc.Write(c.batch[0].b)
	}
	if c.try != nil { // a TCP or unix socket: writev
		v := net.Buffers(c.vectors(k))
		w, err := v.WriteTo(c.nc)
		return int(w), err
	}
	p := largePool.Get().(*[]byte)
	b := (*p)[:0]
	for i := range k {
		b = append(b, c.batch[i].b...)
	}
	w, err := c.nc.Write(b)
	largePool.Put(p) // still the pooled array, even if b has outgrown it
	return w, err
}

// abandon gives the socket up after a failed write. mu is held and is released here.
func (c *Conn) abandon(reason string) {
	c.closed, c.flushing = true, false
	c.setReason(reason)
	c.freeOut()
	c.mu.Unlock()
	_ = c.nc.Close()
}

// freeOut gives pending chunks back. mu is held, and nobody flushes.
func (c *Conn) freeOut() {
	for i := range c.out {
		c.out[i].free(c.b)
	}
	for i := range c.batch {
		c.batch[i].free(c.b)
	}
	c.out, c.batch, c.pending = nil, nil, 0
}

// rawWrite is the non-blocking write of a socket: one write or writev inside RawConn.Write.
func (c *Conn) rawWrite(v [][]byte) (int, error) {
	c.iov = v
	if err := c.sock.Write(c.raw); err != nil {
		return 0, err
	}
	if errors.Is(c.werr, unix.EAGAIN) {
		return 0, nil
	}
	return max(c.wn, 0), c.werr
}

func (c *Conn) rawWriteFD(fd uintptr) bool {
	for {
		if len(c.iov) == 1 {
			c.wn, c.werr = unix.Write(int(fd), c.iov[0])
		} else {
			c.wn, c.werr = unix.Writev(int(fd), c.iov)
		}
		if !errors.Is(c.werr, unix.EINTR) {
			return true
		}
	}
}
