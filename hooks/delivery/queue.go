package delivery

// maxID is the largest packet id. The ids of a session's deliveries repeat after this many
// sequence numbers.
const maxID = 65535

// The states of a queue item.
const (
	waiting  byte = iota // not sent on this connection
	held                 // waits for its commit; nothing behind it is sent before
	sent                 // PUBLISH sent, not acknowledged
	released             // QoS 2: PUBREC received; PUBREL is or will be sent
	finished             // acknowledged or dropped; a hole until it reaches the front
)

// item is one QoS 1 or 2 delivery of a session.
type item struct {
	msg    *message
	subIDs []uint32
	rec    *queueRecord // nil: not on disk
	group  *group       // the shared subscription that it came through, or nil
	qos    byte
	state  byte
	retain bool
	dup    bool // was sent on an earlier connection
	onDisk bool // released: the record that says so is committed
}

// queue holds the deliveries of a session in order. The front part was sent, the rest waits.
// It is guarded by session.mu.
//
// Sequence numbers count from 1. items[0] has sequence base.
type queue struct {
	ring     []item // length is a power of two
	head     int
	n        int
	base     uint64
	sent     int // items before this were sent on this connection, or are finished
	inflight int // of those, how many are not finished: what Receive Maximum counts
	live     int // items that are not finished
	bytes    int64
}

func (q *queue) at(i int) *item { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

// seq is the sequence number of item i.
func (q *queue) seq(i int) uint64 { return q.base + uint64(i) }

// next is the sequence number that push gives.
func (q *queue) next() uint64 { return q.base + uint64(q.n) }

// packetID is the packet id of a sequence number.
func packetID(seq uint64) uint16 { return uint16((seq-1)%maxID) + 1 }

// push appends an item and returns it.
func (q *queue) push(it item) *item {
	if q.n == len(q.ring) {
		q.grow()
	}
	p := q.at(q.n)
	*p = it
	q.n++
	if it.state != finished {
		q.live++
		q.bytes += it.size()
	}
	return p
}

func (q *queue) grow() {
	bigger := make([]item, max(8, 2*len(q.ring)))
	for i := range q.n {
		bigger[i] = *q.at(i)
	}
	q.ring, q.head = bigger, 0
}

// find returns the index of the delivery with this packet id among those that were sent.
func (q *queue) find(id uint16) (int, bool) {
	i := (int(id) - 1 - int((q.base-1)%maxID) + maxID) % maxID
	if i >= q.sent || q.at(i).state == finished {
		return 0, false
	}
	return i, true
}

// finish ends item i: acknowledged, dropped or expired.
func (q *queue) finish(i int) {
	it := q.at(i)
	if i < q.sent && it.state != finished {
		q.inflight--
	}
	q.live--
	q.bytes -= it.size()
	*it = item{state: finished}
	q.trim()
}

// trim takes finished items off the front.
func (q *queue) trim() {
	for q.n > 0 && q.ring[q.head].state == finished {
		q.head = (q.head + 1) & (len(q.ring) - 1)
		q.n--
		q.base++
		q.sent = max(0, q.sent-1)
	}
	if q.n == 0 && len(q.ring) > 64 {
		q.ring, q.head = nil, 0
	}
}

// rewind prepares for a new connection: everything that is not finished is to be sent again,
// in order, with DUP where it was sent before.
func (q *queue) rewind() {
	for i := range q.sent {
		if it := q.at(i); it.state == sent {
			it.state, it.dup = waiting, true
		}
	}
	q.sent, q.inflight = 0, 0
}

// size is what an item counts for in the queue's byte limit. A message that was sent at once
// and belongs to a session that ends with its connection is not kept.
func (it *item) size() int64 {
	if it.msg == nil {
		return 0
	}
	return it.msg.size()
}
