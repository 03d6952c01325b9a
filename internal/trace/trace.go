// Package trace sends spans of what services handle and publish to an OpenTelemetry collector, by
// OTLP over HTTP. It owns the ids of traces, a bounded queue and the requests; what a span is of,
// and how its context travels, is the client's. Nothing here waits for the collector but the one
// goroutine that sends.
package trace

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/client"
)

// Options of New.
type Options struct {
	Endpoint string            // http or https URL; without a path, /v1/traces is added
	Headers  map[string]string // of the requests
	Queue    int               // spans that wait for the collector, 1 or more
	Version  string            // of tarsd
	Log      zerolog.Logger

	gather, retry time.Duration // for tests; 0 means the constants below
}

const (
	gatherFor = time.Second // from a span to the request with it and what came after it
	firstWait = time.Second // after a failed request; doubles
	mostWait  = 30 * time.Second
	batchSize = 512 // spans in one request
	textBytes = 256 // of an error in a span
	respond   = 10 * time.Second
)

// Tracer implements client.Tracer. The goroutine of send is Close's to wait for; everything else
// is safe for concurrent use.
type Tracer struct {
	o     Options
	post  poster
	queue chan span
	seed  *mathrand.ChaCha8 // guarded by mu
	mu    sync.Mutex

	sent, dropped atomic.Uint64

	stop   chan struct{}
	cancel context.CancelFunc
	once   sync.Once
	wg     sync.WaitGroup
}

var _ client.Tracer = (*Tracer)(nil)

// span is one that has ended.
type span struct {
	client.Span
	ctx        spanContext
	parent     [8]byte // zero: none
	start, end time.Time
	err        string // cut; empty: it went well
	failed     bool
}

// New makes a tracer and starts to send. It does not try the collector.
func New(o Options) (*Tracer, error) {
	p, err := newPoster(o)
	if err != nil {
		return nil, err
	}
	if o.gather == 0 {
		o.gather = gatherFor
	}
	if o.retry == 0 {
		o.retry = firstWait
	}
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	ctx, cancel := context.WithCancel(context.Background())
	t := &Tracer{o: o, post: p, queue: make(chan span, max(o.Queue, 1)), seed: mathrand.NewChaCha8(seed), stop: make(chan struct{}), cancel: cancel}
	t.wg.Go(func() { t.send(ctx) })
	return t, nil
}

// Start implements client.Tracer. A parent that is not sampled is followed and not recorded; one
// that cannot be read begins a new trace.
func (t *Tracer) Start(_ context.Context, s client.Span) (traceparent string, end func(error)) {
	parent, ok := parseParent(s.Turn.TraceParent)
	sp := span{Span: s, ctx: parent, start: time.Now()}
	t.mu.Lock()
	if ok {
		sp.parent = parent.span
	} else {
		sp.ctx.sampled = true
		binary.BigEndian.PutUint64(sp.ctx.trace[:8], t.seed.Uint64()|1) // an id of zeros is none
		binary.BigEndian.PutUint64(sp.ctx.trace[8:], t.seed.Uint64())
	}
	binary.BigEndian.PutUint64(sp.ctx.span[:], t.seed.Uint64()|1)
	t.mu.Unlock()
	if !sp.ctx.sampled {
		return sp.ctx.String(), func(error) {}
	}
	return sp.ctx.String(), func(err error) { t.end(sp, err) }
}

// end queues a span, or drops it when there is no room.
func (t *Tracer) end(sp span, err error) {
	sp.end = time.Now()
	if err != nil {
		sp.failed, sp.err = true, cut(err.Error())
	}
	select {
	case t.queue <- sp:
	default:
		t.dropped.Add(1)
	}
}

// Spans is how many spans the collector has taken, and how many were dropped because it did not.
func (t *Tracer) Spans() (sent, dropped uint64) { return t.sent.Load(), t.dropped.Load() }

// Close sends what waits, until ctx ends, and drops the rest.
func (t *Tracer) Close(ctx context.Context) error {
	t.once.Do(func() { close(t.stop) })
	defer context.AfterFunc(ctx, t.cancel)()
	t.wg.Wait()
	t.cancel()
	return nil
}

// spanContext is what W3C trace context says of a span.
type spanContext struct {
	trace   [16]byte
	span    [8]byte
	sampled bool
}

// String is the traceparent.
func (c spanContext) String() string {
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, c.trace[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, c.span[:])
	if c.sampled {
		return string(append(b, "-01"...))
	}
	return string(append(b, "-00"...))
}

// parseParent reads a traceparent of version 00, and of a later one what is the same in it.
func parseParent(s string) (spanContext, bool) {
	var c spanContext
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" ||
		s[:2] == "00" && len(s) > 55 || len(s) > 55 && s[55] != '-' {
		return c, false
	}
	var version, flags [1]byte
	for _, part := range []struct {
		to   []byte
		from string
	}{{version[:], s[:2]}, {c.trace[:], s[3:35]}, {c.span[:], s[36:52]}, {flags[:], s[53:55]}} {
		if !lowerHex(part.from) {
			return spanContext{}, false
		}
		_, _ = hex.Decode(part.to, []byte(part.from)) // it is hexadecimal, and as long as it should be
	}
	c.sampled = flags[0]&1 != 0
	return c, c.trace != [16]byte{} && c.span != [8]byte{}
}

func lowerHex(s string) bool {
	for _, r := range []byte(s) {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
}
