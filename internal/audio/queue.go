package audio

import (
	"context"
	"sync"
)

// queue is a bounded row of frames between a writer that never waits and one reader. When it is
// full the oldest goes, and the frame after it says so.
type queue struct {
	mu      sync.Mutex // guards what follows
	ring    []Frame
	head, n int
	dropped uint64
	err     error // set: nothing more comes

	wake chan struct{}
}

func newQueue(depth int) *queue {
	return &queue{ring: make([]Frame, depth), wake: make(chan struct{}, 1)}
}

func (q *queue) push(f Frame) {
	q.mu.Lock()
	if q.err != nil {
		q.mu.Unlock()
		return
	}
	if q.n == len(q.ring) {
		q.ring[q.head] = Frame{}
		q.head = (q.head + 1) % len(q.ring)
		q.n--
		q.dropped++
		if q.n > 0 {
			q.ring[q.head].Gap = true
		} else {
			f.Gap = true
		}
	}
	q.ring[(q.head+q.n)%len(q.ring)] = f
	q.n++
	q.mu.Unlock()
	q.stir()
}

// end lets the reader have what is queued, and then err. The first one counts.
func (q *queue) end(err error) {
	q.mu.Lock()
	if q.err == nil {
		q.err = err
	}
	q.mu.Unlock()
	q.stir()
}

func (q *queue) stir() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) next(ctx context.Context) (Frame, error) {
	for {
		q.mu.Lock()
		if q.n > 0 {
			f := q.ring[q.head]
			q.ring[q.head] = Frame{}
			q.head = (q.head + 1) % len(q.ring)
			q.n--
			q.mu.Unlock()
			return f, nil
		}
		err := q.err
		q.mu.Unlock()
		if err != nil {
			return Frame{}, err
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return Frame{}, context.Cause(ctx)
		}
	}
}

func (q *queue) lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
