package camera

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

var (
	_ services.Service = (*Camera)(nil)
	_ services.Checker = (*Camera)(nil)
)

// Camera is the service. New makes it, Run runs it.
type Camera struct {
	o   Options
	src source
}

// New checks the options; the error names those that make no sense.
func New(o Options) (*Camera, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("camera: %w", err)
	}
	src, err := newSource(&o)
	if err != nil {
		return nil, fmt.Errorf("camera: %w", err)
	}
	return &Camera{o, src}, nil
}

// Name implements services.Service.
func (c *Camera) Name() string { return "camera" }

// Check implements services.Checker: it takes one picture.
func (c *Camera) Check(ctx context.Context) []services.Finding {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	r, err := c.src.open(ctx)
	if err != nil {
		return []services.Finding{{Verdict: services.Failure, Text: err.Error()}}
	}
	defer r.close()
	f, err := r.next(ctx)
	if err == nil {
		_, err = f.render(&c.o)
	}
	if err != nil {
		return []services.Finding{{Verdict: services.Failure, Text: fmt.Sprintf("%s: %s", c.src, err)}}
	}
	return []services.Finding{{Verdict: services.Fine, Text: c.src.String()}}
}

// Waits between two tries to open the source.
const (
	reopenFirst = 500 * time.Millisecond
	reopenLast  = 10 * time.Second
)

// run is one life of the service.
type run struct {
	o      *Options
	src    source
	bus    *client.Client
	log    zerolog.Logger
	new    *latest
	demand demand
}

// Run implements services.Service.
func (c *Camera) Run(ctx context.Context, rt services.Runtime) error {
	o := c.o
	r := &run{o: &o, src: c.src, bus: rt.Bus, log: rt.Log, new: newLatest(), demand: demand{wake: make(chan struct{}, 1)}}
	_, viewErr := client.Subscribe(r.bus, contract.CameraView, func(_ context.Context, m client.Message[contract.ViewCamera]) error {
		now := time.Now()
		r.demand.set(m.Data.FPS, now, now.Add(time.Duration(m.Data.HoldMS)*time.Millisecond))
		return nil
	})
	_, capErr := client.Subscribe(r.bus, contract.CameraCapture, r.capture, client.Workers(captureWorkers))
	if err := errors.Join(viewErr, capErr); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(rt.Ready)
	wg.Go(func() { r.pump(ctx, r.jpegRate, r.demand.wake, r.sendJPEG) })
	if o.FrameRate > 0 {
		wg.Go(func() { r.pump(ctx, func(time.Time) float64 { return o.FrameRate }, nil, r.sendFrame) })
	}
	if o.Motion {
		wg.Go(func() { r.detect(ctx) })
	}
	r.take(ctx)
	return nil
}

// take opens the source and takes pictures until ctx ends, over and over: a camera that is
// unplugged may come back.
func (r *run) take(ctx context.Context) {
	wait := reopenFirst
	for ctx.Err() == nil {
		n, err := r.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if n > 0 {
			wait = reopenFirst
		}
		r.lost(ctx, err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		wait = min(2*wait, reopenLast)
	}
}

// session takes pictures from one opened source, and returns how many there were.
func (r *run) session(ctx context.Context) (n int, err error) {
	opening, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	src, err := r.src.open(opening)
	if err != nil {
		return 0, err
	}
	defer src.close()
	for {
		f, err := r.nextOf(ctx, src)
		if err != nil {
			return n, err
		}
		if n == 0 {
			r.found(ctx)
		}
		n++
		r.new.put(f)
	}
}

// nextOf bounds the wait for one picture.
func (r *run) nextOf(ctx context.Context, src reader) (frame, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout+pace(r.o.FPS))
	defer cancel()
	return src.next(ctx)
}

// found says that there are pictures.
func (r *run) found(ctx context.Context) {
	if _, _, err := r.new.get(); err == nil {
		return
	}
	r.log.Info().Stringer("source", r.src).Msg("pictures come")
	r.tell(ctx, contract.CameraUpdate{Event: "camera_ready", Detail: new(r.src.String())})
	if err := r.bus.Health(ctx, true, "ready", nil); err != nil {
		r.log.Debug().Err(err).Msg("health not published")
	}
}

// lost says that there are none, once.
func (r *run) lost(ctx context.Context, err error) {
	_, _, had := r.new.get()
	r.new.lose(err)
	if had != nil && had.Error() == err.Error() {
		return
	}
	r.log.Warn().Err(err).Stringer("source", r.src).Msg("no pictures")
	r.tell(ctx, contract.CameraUpdate{Event: "camera_unavailable", Detail: new(err.Error())})
	if err := r.bus.Health(ctx, false, "camera_unavailable", err); err != nil {
		r.log.Debug().Err(err).Msg("health not published")
	}
}

func (r *run) tell(ctx context.Context, u contract.CameraUpdate) {
	if _, err := client.Publish(ctx, r.bus, contract.CameraStatus, u); err != nil && ctx.Err() == nil {
		r.log.Debug().Ctx(ctx).Err(err).Msg("status not published")
	}
}

// ---- pictures on topics

// demand is the rate that viewers ask for.
type demand struct {
	mu   sync.Mutex
	want []want        // none of them is outlasted by one that is as fast
	wake chan struct{} // capacity 1: the rate may have risen
}

// want is what one message asks for.
type want struct {
	fps   float64
	until time.Time
}

// maxWants bounds how many demands are told apart. Of more the slowest is served as long as the
// next faster one.
const maxWants = 32

func (d *demand) set(fps float64, now, until time.Time) {
	d.mu.Lock()
	d.want = slices.DeleteFunc(d.want, func(w want) bool {
		return now.After(w.until) || w.fps <= fps && !w.until.After(until)
	})
	if !slices.ContainsFunc(d.want, func(w want) bool { return w.fps >= fps && !w.until.Before(until) }) {
		d.want = append(d.want, want{fps, until})
		slices.SortFunc(d.want, func(a, b want) int { return cmp.Compare(a.fps, b.fps) })
	}
	if len(d.want) > maxWants {
		d.want[1].until = d.want[0].until // the slower lasts longer
		d.want = d.want[1:]
	}
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *demand) rate(now time.Time) float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	fps := 0.0
	for _, w := range d.want {
		if !now.After(w.until) {
			fps = max(fps, w.fps)
		}
	}
	return fps
}

func (r *run) jpegRate(now time.Time) float64 { return max(r.o.JPEGRate, r.demand.rate(now)) }

// staleRate is how many pictures a second say that there are no new ones.
const staleRate = 1

// pump sends the newest picture at a rate that may change; pictures that nobody wants are not
// encoded. When there are no new ones it sends what says so. wake says that the rate may have
// risen.
func (r *run) pump(ctx context.Context, rate func(time.Time) float64, wake <-chan struct{}, send func(context.Context, *picture, string)) {
	if r.bus.Await(ctx) != nil { // the first picture may be the only one for long: it is not to be lost
		return
	}
	seq, sent, stale := 0, time.Time{}, false
	for ctx.Err() == nil {
		fps := rate(time.Now())
		if fps <= 0 {
			select {
			case <-wake:
			case <-ctx.Done():
			}
			continue
		}
		if stale {
			fps = min(fps, staleRate)
		}
		// A picture is sent as soon as it is there, or not at all: waiting would only make it old. Half a
		// pace early is in time, since pictures do not come with the beat of a clock.
		due := sent.Add(pace(fps))
		early := due.Add(-pace(fps) / 2)
		if wait := time.Until(early); wait > 0 {
			sleep(ctx, wait, wake)
			continue
		}
		pic, changed, lost := r.new.get()
		if lost == nil && (pic == nil || pic.seq == seq || pic.at.Before(early)) {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		why, at := "", time.Now()
		if stale = lost != nil; stale {
			why = lost.Error()
		} else {
			seq, at = pic.seq, pic.at
		}
		if sent = due; sent.Before(at) {
			sent = at
		}
		send(ctx, pic, why)
	}
}

// sleep waits, until ctx ends or something wakes it.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// rendered is the picture to send; with why it is one that says that there are none.
func (r *run) rendered(p *picture, why string) (encoded, bool) {
	var e encoded
	var err error
	if why != "" {
		e, err = outdated(p, r.o, time.Now(), why)
	} else {
		e, err = p.encode(r.o)
	}
	if err != nil {
		r.log.Debug().Err(err).Msg("picture not sent")
	}
	return e, err == nil
}

func (r *run) sendJPEG(ctx context.Context, p *picture, why string) {
	e, ok := r.rendered(p, why)
	if !ok {
		return
	}
	var props []client.UserProperty
	if p != nil {
		props = append(props, client.UserProperty{Key: contract.PropTaken, Value: strconv.FormatFloat(unix(p.at), 'f', 3, 64)},
			client.UserProperty{Key: contract.PropNumber, Value: strconv.Itoa(p.seq)})
	}
	if why != "" {
		age := math.Inf(1)
		if p != nil {
			age = time.Since(p.at).Seconds()
		}
		props = append(props, client.UserProperty{Key: contract.PropStale, Value: strconv.FormatFloat(age, 'f', 0, 64)})
	}
	t := contract.CameraJPEG
	if _, err := r.bus.PublishRaw(ctx, t.Name, e.data, t.QoS, t.Retain, client.WithProps(props...), client.WithContentType("image/jpeg")); err != nil {
		r.log.Debug().Err(err).Msg("picture not published")
	}
}

func (r *run) sendFrame(ctx context.Context, p *picture, why string) {
	e, ok := r.rendered(p, why)
	if !ok {
		return
	}
	f := contract.New[contract.VideoFrame]()
	f.FrameData, f.Width, f.Height, f.FPS = e.data, e.w, e.h, &r.o.FrameRate
	if p != nil {
		f.Number, f.Timestamp = p.seq, unix(p.at)
	}
	if _, err := client.Publish(ctx, r.bus, contract.CameraFrame, f); err != nil {
		r.log.Debug().Err(err).Msg("picture not published")
	}
}

// detect looks for motion.
func (r *run) detect(ctx context.Context) {
	m := motion{threshold: r.o.MotionThreshold}
	r.pump(ctx, func(time.Time) float64 { return motionRate }, nil, func(ctx context.Context, p *picture, why string) {
		if why != "" {
			return
		}
		img, err := p.decoded()
		if err != nil {
			return
		}
		begins, ends, score := m.look(img, p.at)
		if !begins && !ends {
			return
		}
		ev := contract.Motion{Event: "start", Score: &score}
		if ends {
			ev.Event = "end"
		}
		if _, err := client.Publish(ctx, r.bus, contract.CameraMotion, ev); err != nil && ctx.Err() == nil {
			r.log.Debug().Err(err).Msg("motion not published")
		}
	})
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
