package tts

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

const (
	reopenAfter = 15 * time.Second // a device that was not there is looked for again
	deadWithin  = 2 * time.Second  // two errors within that mean that there is none
	writeLimit  = 5 * time.Second  // for 20 ms of sound
	peerAhead   = 400 * time.Millisecond
)

// room is the site of this machine's own microphone and speaker.
const room = "room"

// output is where sound goes: the speaker of this machine, kept open at the rate of the first sound,
// or a site on a topic. The player's goroutine uses it; stop may be called by another one meanwhile.
type output struct {
	o    *Options
	bus  *client.Client
	log  zerolog.Logger
	gain atomic.Int32                                       // percent
	tell func(ctx context.Context, err error, nowhere bool) // the speaker of this machine: what is wrong with it; none: that there is none, which is fine

	mu    sync.Mutex // guards what follows; not held while a device works
	sink  audio.Sink // nil: none is open
	site  string     // whose it is; empty: this machine's
	rate  int        // that it was opened with
	local *localSink // kept while a site has its turn
	until time.Time  // when all that was written has been heard

	resample *audio.Resampler // the player's alone; nil if rates are equal
	from     int
	buf      []int16
	failed   time.Time // when it last could not write
}

// localSink is the speaker of this machine.
type localSink struct {
	sink   audio.Sink
	rate   int
	silent bool // there is none; since when
	since  time.Time
}

// aim opens the speaker for sound of a rate.
func (out *output) aim(ctx context.Context, site string, rate int) {
	if site != "" {
		out.aimAt(site, rate)
	} else {
		out.aimHere(ctx, rate)
	}
	if out.from != rate {
		out.from, out.resample = rate, nil
		if rate != out.rate {
			r, err := audio.NewResampler(rate, out.rate)
			if err != nil { // of odd rates: too fast or too slow is better than nothing
				r = nil
			}
			out.resample = r
		}
	}
}

func (out *output) aimAt(site string, rate int) {
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.sink != nil && out.site == site && out.rate == rate {
		return
	}
	if out.site != "" && out.sink != nil {
		_ = out.sink.Close() // it has been drained
	}
	out.sink, out.site, out.rate, out.from = audio.NewPeerSink(&peer{out.bus, site, rate}, rate, peerAhead), site, rate, 0
}

func (out *output) aimHere(ctx context.Context, rate int) {
	out.mu.Lock()
	l, was := out.local, out.site
	out.mu.Unlock()
	if l == nil || (l.silent && time.Since(l.since) > reopenAfter) {
		l = out.openHere(ctx, rate, l)
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	if was != "" && out.sink != nil {
		_ = out.sink.Close()
	}
	if out.sink != l.sink {
		out.from = 0
	}
	out.local, out.sink, out.site, out.rate = l, l.sink, "", l.rate
}

// openHere opens the device. Without one there is a sink that plays nowhere, in real time, so that all
// else goes on as if somebody listened.
func (out *output) openHere(ctx context.Context, rate int, old *localSink) *localSink {
	s, err := out.o.OpenSink(ctx, out.o.Sink, rate)
	if err == nil {
		if old != nil {
			_ = old.sink.Close()
		}
		return &localSink{sink: s, rate: rate}
	}
	out.missing(ctx, err)
	if old != nil {
		old.since = time.Now()
		return old
	}
	return nowhere(rate)
}

// missing says that there is no device. On a machine that was not told to have one that is fine.
func (out *output) missing(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case out.o.Sink == "auto" && errors.Is(err, audio.ErrNoDevice):
		out.tell(ctx, nil, true)
	default:
		out.tell(ctx, err, true)
	}
}

func nowhere(rate int) *localSink {
	return &localSink{sink: audio.NewPeerSink(deaf{}, rate, peerAhead), rate: rate, silent: true, since: time.Now()}
}

// write plays samples.
func (out *output) write(ctx context.Context, pcm []int16) error {
	if g := out.gain.Load(); g != 100 || out.resample != nil {
		out.buf = scale(out.buf[:0], pcm, g)
		pcm = out.buf
	}
	if out.resample != nil {
		pcm = out.resample.Process(nil, pcm)
	}
	return out.put(ctx, pcm)
}

func (out *output) put(ctx context.Context, pcm []int16) error {
	if len(pcm) == 0 {
		return nil
	}
	for try := 0; ; try++ {
		out.mu.Lock()
		sink, rate, local := out.sink, out.rate, out.site == ""
		out.mu.Unlock()
		began := time.Now()
		within, cancel := context.WithTimeout(ctx, writeLimit)
		err := sink.Write(within, pcm)
		cancel()
		if err == nil {
			out.wrote(pcm, rate)
			return nil
		}
		again := began.Sub(out.failed) > deadWithin // what comes and goes within a moment is no device, nor what hangs twice
		out.failed = time.Now()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, audio.ErrFlushed) || !local && try > 0 || try > 1:
			return err
		case local && !again: // what is said goes on, so that all who wait for its end get it
			out.missing(ctx, err)
			l := nowhere(rate)
			out.mu.Lock()
			old := out.sink
			out.local, out.sink = l, l.sink
			out.mu.Unlock()
			if err := old.Close(); err != nil {
				out.log.Debug().Err(err).Msg("lost speaker does not close")
			}
		}
	}
}

func (out *output) wrote(pcm []int16, rate int) {
	out.mu.Lock()
	defer out.mu.Unlock()
	if now := time.Now(); out.until.Before(now) {
		out.until = now
	}
	if out.o.Reference != nil && (out.site != "" || out.local == nil || !out.local.silent) {
		out.o.Reference.Played(out.place(), pcm, rate, out.until)
	}
	out.until = out.until.Add(audio.Duration(len(pcm), rate))
}

// place is the site that the microphones of the same place are known by. mu is held.
func (out *output) place() string {
	if out.site == "" {
		return room
	}
	return out.site
}

// drain waits until all has been heard.
func (out *output) drain(ctx context.Context) error {
	if out.resample != nil {
		if err := out.put(ctx, out.resample.Flush(nil)); err != nil {
			return err
		}
	}
	out.mu.Lock()
	sink, left, here := out.sink, max(0, time.Until(out.until)), out.site == "" && out.local != nil && !out.local.silent
	out.mu.Unlock()
	if sink == nil {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, left+writeLimit)
	defer cancel()
	err := sink.Drain(within)
	switch {
	case !here || errors.Is(err, audio.ErrFlushed):
	case err == nil:
		out.tell(ctx, nil, false)
	default:
		out.missing(ctx, err)
	}
	return err
}

// stop silences at once, and says how much has not been heard.
func (out *output) stop() (unheard time.Duration, err error) {
	out.mu.Lock()
	sink := out.sink
	unheard = min(max(0, time.Until(out.until)), 5*time.Second)
	out.until = time.Time{}
	if out.o.Reference != nil {
		out.o.Reference.Cut(out.place(), time.Now())
	}
	out.mu.Unlock()
	if sink == nil {
		return 0, nil
	}
	return unheard, sink.Flush()
}

// reset forgets what the resampler holds, after a stop. The player is not running.
func (out *output) reset() {
	if out.resample != nil {
		out.resample.Reset()
	}
}

func (out *output) close() error {
	out.mu.Lock()
	defer out.mu.Unlock()
	var errs []error
	if out.sink != nil && out.site != "" {
		errs = append(errs, out.sink.Close())
	}
	if out.local != nil {
		errs = append(errs, out.local.sink.Close())
	}
	out.sink, out.local = nil, nil
	return errors.Join(errs...)
}

func scale(dst, pcm []int16, percent int32) []int16 {
	for _, v := range pcm {
		dst = append(dst, int16(int32(v)*percent/100)) //nolint:gosec // percent is at most 100
	}
	return dst
}

// peer is the speaker of a site.
type peer struct {
	bus  *client.Client
	site string
	rate int
}

// Send implements audio.Peer.
func (p *peer) Send(ctx context.Context, pcm []int16) error {
	return p.publish(ctx, audio.AppendBytes(make([]byte, 0, 2*len(pcm)), pcm))
}

// End implements audio.Peer.
func (p *peer) End(ctx context.Context, dropped bool) error {
	if dropped {
		return p.publish(ctx, nil, client.UserProperty{Key: contract.PropDropped, Value: "true"})
	}
	return p.publish(ctx, nil)
}

func (p *peer) publish(ctx context.Context, b []byte, more ...client.UserProperty) error {
	t := contract.AudioOut.At(p.site)
	props := append(more, client.UserProperty{Key: contract.PropRate, Value: strconv.Itoa(p.rate)})
	_, err := p.bus.PublishRaw(ctx, t.Name, b, t.QoS, t.Retain, client.WithProps(props...))
	if errors.Is(err, client.ErrOffline) {
		return nil // that piece is lost, as on the air
	}
	return err
}

// deaf is a peer that is not there.
type deaf struct{}

func (deaf) Send(context.Context, []int16) error { return nil }
func (deaf) End(context.Context, bool) error     { return nil }
