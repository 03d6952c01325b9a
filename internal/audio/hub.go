package audio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Listener depths, in frames, and how long a hub waits.
const (
	DefaultDepth = 100 // 2 s

	backoffFirst = 250 * time.Millisecond
	backoffLast  = 5 * time.Second
	backoffReset = 10 * time.Second // of sound, after which a loss is a new one
	defaultStall = 3 * time.Second
)

// HubOptions say how a hub gets its sound.
type HubOptions struct {
	// Open opens the microphone, now and after each loss.
	Open func(context.Context) (Source, error)
	// OnState hears when sound comes and when it ceases, in order, from Run's goroutine. It may be nil.
	OnState func(State)
	// Stall is how long a microphone may be silent, by giving no frames at all, before it is taken
	// for lost; 0: 3 s, negative: for ever, as one that sends only while somebody talks.
	Stall time.Duration
}

// State is how a microphone is.
type State struct {
	OK  bool
	Err error // why not; nil if OK
}

// Hub fans one microphone out to listeners, none of which waits for another. It opens the
// microphone again when it is lost.
type Hub struct {
	o HubOptions

	mu        sync.Mutex // guards what follows; never held while opening or reading
	listeners map[*Listener]struct{}
	end       error // after Run
}

// NewHub returns a hub, which is silent until Run.
func NewHub(o HubOptions) *Hub {
	if o.OnState == nil {
		o.OnState = func(State) {}
	}
	if o.Stall == 0 {
		o.Stall = defaultStall
	}
	return &Hub{o: o, listeners: map[*Listener]struct{}{}}
}

// Listener is one who listens. Its methods are for one goroutine, but for Close and Dropped.
type Listener struct {
	hub *Hub
	q   *queue
}

// Listen joins with a queue of depth frames; 0: DefaultDepth.
func (h *Hub) Listen(depth int) *Listener {
	if depth <= 0 {
		depth = DefaultDepth
	}
	l := &Listener{hub: h, q: newQueue(depth)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.end != nil {
		l.q.end(h.end)
		return l
	}
	h.listeners[l] = struct{}{}
	return l
}

// Next returns the next frame. The end of the sound is io.EOF.
func (l *Listener) Next(ctx context.Context) (Frame, error) { return l.q.next(ctx) }

// Dropped returns how many frames came while the queue was full; the oldest of it went.
func (l *Listener) Dropped() uint64 { return l.q.lost() }

// Close leaves the hub.
func (l *Listener) Close() {
	l.hub.mu.Lock()
	delete(l.hub.listeners, l)
	l.hub.mu.Unlock()
	l.q.end(ErrClosed)
}

// Run brings sound until the context ends, or a source does with io.EOF, as a file: then it
// returns nil. Listeners get io.EOF in both cases.
func (h *Hub) Run(ctx context.Context) error {
	defer h.finish()
	wait, lost := backoffFirst, false
	for {
		n, err := h.once(ctx, lost)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if n > 0 || !lost {
			h.o.OnState(State{Err: err})
		}
		lost = true
		if time.Duration(n)*FrameTime >= backoffReset {
			wait = backoffFirst
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, backoffLast)
	}
}

// once opens the source and hands its frames on until it fails, and returns how many there were.
func (h *Hub) once(ctx context.Context, gap bool) (n int, err error) {
	src, err := h.o.Open(ctx)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	for {
		f, err := h.read(ctx, src)
		if err != nil {
			return n, err
		}
		if n++; n == 1 {
			h.o.OnState(State{OK: true})
			f.Gap = f.Gap || gap
		}
		h.mu.Lock()
		for l := range h.listeners {
			l.q.push(f)
		}
		h.mu.Unlock()
	}
}

func (h *Hub) read(ctx context.Context, src Source) (Frame, error) {
	if h.o.Stall < 0 {
		return src.Read(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.o.Stall, fmt.Errorf("%w: no sound for %s", errLost, h.o.Stall))
	defer cancel()
	return src.Read(ctx)
}

// finish tells all who listen, and will.
func (h *Hub) finish() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end = io.EOF
	for l := range h.listeners {
		l.q.end(io.EOF)
	}
	clear(h.listeners)
}
