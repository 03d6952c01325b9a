package broker

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Sizes of one direction of a pipe, in bytes.
const (
	ringSmall = 4 << 10  // allocated at the first write and kept
	ringLarge = 64 << 10 // taken from a pool for as long as there is that much to read
)

var ringPool = sync.Pool{New: func() any { b := make([]byte, ringLarge); return &b }}

// ring is one direction of a pipe: a bounded byte queue with one waiting reader and one
// waiting writer. mu guards everything but wlock, which is taken before it.
type ring struct {
	wlock sync.Mutex // one Write at a time, so that each is contiguous

	mu       sync.Mutex
	canRead  sync.Cond
	canWrite sync.Cond
	buf      []byte  // nil, small or *large
	small    []byte  // of ringSmall bytes; nil before the first write
	large    *[]byte // of ringLarge bytes, from ringPool; nil most of the time
	r, n     int     // n bytes wait from index r on
	want     int     // free bytes that a blocked Write waits for; 0 = nobody waits
	eof      bool    // nothing more will be written
	gone     bool    // nothing more will be read
	reading  ringDeadline
	writing  ringDeadline
}

// ringDeadline is one deadline; its ring's mu guards it.
type ringDeadline struct {
	at      time.Time
	expired bool
	timer   *time.Timer
}

func newRing() *ring {
	q := &ring{}
	q.canRead.L, q.canWrite.L = &q.mu, &q.mu
	return q
}

// read waits for bytes. With get it takes the buffer only when there are some.
func (q *ring) read(p []byte, get func() []byte) (int, error) {
	q.mu.Lock()
	for {
		if q.gone {
			q.mu.Unlock()
			return 0, net.ErrClosed
		}
		if q.reading.expired {
			q.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		if q.n > 0 {
			break
		}
		if q.eof {
			q.mu.Unlock()
			return 0, io.EOF
		}
		q.canRead.Wait()
	}
	if get != nil {
		p = get()
	}
	n := q.take(p)
	wake := q.want > 0 && ringLarge-q.n >= q.want
	q.mu.Unlock()
	if wake {
		q.canWrite.Signal()
	}
	return n, nil
}

// take moves bytes out. mu is held.
func (q *ring) take(p []byte) int {
	n := copy(p, q.buf[q.r:min(q.r+q.n, len(q.buf))])
	if n < len(p) && n < q.n { // the rest is at the front
		n += copy(p[n:], q.buf[:q.n-n])
	}
	q.n -= n
	if q.r += n; q.r >= len(q.buf) {
		q.r -= len(q.buf)
	}
	if q.n == 0 {
		q.r = 0
		q.shrink()
	}
	return n
}

// shrink gives a large buffer back once it is empty. mu is held.
func (q *ring) shrink() {
	if q.large != nil {
		ringPool.Put(q.large)
		q.buf, q.large = q.small, nil
	}
}

// put moves as much of p in as fits. mu is held.
func (q *ring) put(p []byte) int {
	n := min(len(p), ringLarge-q.n)
	if n == 0 {
		return 0
	}
	if q.n+n > len(q.buf) {
		q.grow(q.n + n)
	}
	w := q.r + q.n
	if w >= len(q.buf) {
		w -= len(q.buf)
	}
	k := copy(q.buf[w:], p[:n])
	copy(q.buf, p[k:n])
	q.n += n
	return n
}

// grow makes room for n bytes altogether. mu is held.
func (q *ring) grow(n int) {
	if n <= ringSmall {
		q.small = make([]byte, ringSmall)
		q.buf, q.r = q.small, 0 // there was no buffer, so nothing is in it
		return
	}
	large := ringPool.Get().(*[]byte)
	k := copy(*large, q.buf[q.r:min(q.r+q.n, len(q.buf))])
	copy((*large)[k:], q.buf[:q.n-k])
	q.buf, q.large, q.r = *large, large, 0
}

// writable is why nothing can be written, or nil. mu is held.
func (q *ring) writable() error {
	switch {
	case q.eof:
		return net.ErrClosed
	case q.gone:
		return io.ErrClosedPipe
	case q.writing.expired:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// write blocks until everything is in the buffer.
func (q *ring) write(p []byte) (int, error) {
	q.wlock.Lock()
	defer q.wlock.Unlock()
	n := 0
	q.mu.Lock()
	for {
		if err := q.writable(); err != nil {
			q.mu.Unlock()
			return n, err
		}
		n += q.put(p[n:])
		if n == len(p) {
			break
		}
		q.canRead.Signal()
		// A small write goes on as soon as it fits; a large one waits for half of the buffer,
		// or the two sides would take turns for every few bytes.
		q.want = min(len(p)-n, ringLarge/2)
		q.canWrite.Wait()
		q.want = 0
	}
	q.mu.Unlock()
	q.canRead.Signal()
	return n, nil
}

// tryWritev writes what fits without waiting.
func (q *ring) tryWritev(bufs [][]byte) (int, error) {
	if !q.wlock.TryLock() {
		return 0, nil // a Write is waiting for room: there is none
	}
	defer q.wlock.Unlock()
	q.mu.Lock()
	if err := q.writable(); err != nil {
		q.mu.Unlock()
		return 0, err
	}
	n := 0
	for _, b := range bufs {
		k := q.put(b)
		n += k
		if k < len(b) {
			break
		}
	}
	q.mu.Unlock()
	if n > 0 {
		q.canRead.Signal()
	}
	return n, nil
}

// closeWrite ends the stream: the reader gets what is left and then io.EOF.
func (q *ring) closeWrite() {
	q.mu.Lock()
	q.eof = true
	q.writing.stop()
	q.mu.Unlock()
	q.wakeAll()
}

// closeRead forgets what is left and fails the writer.
func (q *ring) closeRead() {
	q.mu.Lock()
	q.gone = true
	q.r, q.n = 0, 0
	q.shrink()
	q.buf, q.small = nil, nil
	q.reading.stop()
	q.mu.Unlock()
	q.wakeAll()
}

func (q *ring) wakeAll() {
	q.canRead.Broadcast()
	q.canWrite.Broadcast()
}

// setDeadline sets the deadline d of this ring, whose waiters wait for wake. The zero time is
// no deadline.
func (q *ring) setDeadline(d *ringDeadline, wake *sync.Cond, t time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gone && d == &q.reading {
		return net.ErrClosed
	}
	if q.eof && d == &q.writing {
		return nil // nothing will be written: no timer
	}
	d.stop()
	d.at = t
	if t.IsZero() {
		return nil
	}
	in := time.Until(t)
	switch {
	case in <= 0:
		d.expired = true
		wake.Broadcast()
	case d.timer == nil:
		d.timer = time.AfterFunc(in, func() { q.expire(d, wake) })
	default:
		d.timer.Reset(in)
	}
	return nil
}

// expire runs when d's timer fires, which may be just after d was moved.
func (q *ring) expire(d *ringDeadline, wake *sync.Cond) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d.at.IsZero() {
		return
	}
	if in := time.Until(d.at); in > 0 {
		d.timer.Reset(in)
		return
	}
	d.expired = true
	wake.Broadcast()
}

// stop ends d: no deadline. The ring's mu is held.
func (d *ringDeadline) stop() {
	d.at, d.expired = time.Time{}, false
	if d.timer != nil {
		d.timer.Stop()
	}
}

// memoryAddr is the address of both ends of an in-memory connection.
type memoryAddr struct{}

// Network implements net.Addr.
func (memoryAddr) Network() string { return "memory" }

// String implements net.Addr.
func (memoryAddr) String() string { return "memory" }

// pipeEnd is one end of a buffered full-duplex connection within the process. All methods may
// be called from any goroutine.
type pipeEnd struct {
	in, out *ring
}

var (
	_ net.Conn   = (*pipeEnd)(nil)
	_ waitReader = (*pipeEnd)(nil)
	_ tryWriter  = (*pipeEnd)(nil)
)

// newPipe makes a connection with 64 KiB of buffer each way and gives its two ends. Unlike
// those of net.Pipe they can both write at once without anybody reading.
func newPipe() (a, b *pipeEnd) {
	there, back := newRing(), newRing()
	return &pipeEnd{in: back, out: there}, &pipeEnd{in: there, out: back}
}

// Read implements net.Conn.
func (e *pipeEnd) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return e.in.read(p, nil)
}

// ReadReady waits for bytes, then calls get for a buffer and reads into it. get must not use
// this connection. It obeys the read deadline.
func (e *pipeEnd) ReadReady(get func() []byte) (int, error) { return e.in.read(nil, get) }

// Write implements net.Conn.
func (e *pipeEnd) Write(p []byte) (int, error) { return e.out.write(p) }

// TryWritev writes as much of bufs as fits, without waiting: 0 and no error when the buffer
// is full.
func (e *pipeEnd) TryWritev(bufs [][]byte) (int, error) { return e.out.tryWritev(bufs) }

// CloseWrite ends this direction; the other end reads what is left and then io.EOF.
func (e *pipeEnd) CloseWrite() error {
	e.out.closeWrite()
	return nil
}

// Close ends both directions. What this end has written can still be read.
func (e *pipeEnd) Close() error {
	e.out.closeWrite()
	e.in.closeRead()
	return nil
}

// LocalAddr implements net.Conn.
func (e *pipeEnd) LocalAddr() net.Addr { return memoryAddr{} }

// RemoteAddr implements net.Conn.
func (e *pipeEnd) RemoteAddr() net.Addr { return memoryAddr{} }

// SetDeadline implements net.Conn.
func (e *pipeEnd) SetDeadline(t time.Time) error {
	if err := e.SetReadDeadline(t); err != nil {
		return err
	}
	return e.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (e *pipeEnd) SetReadDeadline(t time.Time) error {
	return e.in.setDeadline(&e.in.reading, &e.in.canRead, t)
}

// SetWriteDeadline implements net.Conn.
func (e *pipeEnd) SetWriteDeadline(t time.Time) error {
	return e.out.setDeadline(&e.out.writing, &e.out.canWrite, t)
}
