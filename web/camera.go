package web

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Picture is one JPEG of the camera. All viewers share it: it is read only.
type Picture struct {
	JPEG   []byte
	Taken  time.Time     // by the clock of the camera's machine; zero when it is not known
	Number int           // counts up; 0 when it is not known
	Stale  bool          // it says on itself that there are no new ones
	Age    time.Duration // of the last real one when Stale; below 0: there never was one

	came time.Time
	seq  int
}

// CameraOptions of NewCamera.
type CameraOptions struct {
	// Feed brings pictures until ctx ends. It runs while somebody looks, and a little longer. rate
	// is how many pictures a second are wanted now.
	Feed func(ctx context.Context, rate func() float64, put func(Picture)) error
	// May decides about a request. nil: all may look.
	May May
	// Viewers is how many streams are served at a time.
	Viewers int
	Log     zerolog.Logger
}

// Times of the camera.
const (
	cameraLinger = 3 * time.Second  // the feed goes on after the last viewer, for those who ask for single pictures
	cameraRetry  = time.Second      // between two tries of a feed that fails
	cameraQuiet  = 5 * time.Second  // without a picture a stream ends, or does not begin
	cameraWrite  = 10 * time.Second // a viewer that takes no picture for so long is given up
	snapshotAge  = 2 * time.Second  // older pictures are not sent
	snapshotWait = 3 * time.Second
	snapshotRate = 10.0 // pictures a second that are asked for, so that the first comes soon
	maxSnapshots = 16   // at a time
)

// Camera serves the pictures of the camera. It keeps the newest one, and each viewer waits for a
// newer one than it has: who is slow gets fewer, and nobody waits for anybody.
//
// mu guards the fields below it. The goroutine of wg runs the feed.
type Camera struct {
	o     CameraOptions
	write time.Duration // cameraWrite

	wg      sync.WaitGroup
	mu      sync.Mutex
	pic     *Picture
	seq     int
	changed chan struct{} // closed, and made anew, with each picture
	viewers map[*viewer]struct{}
	streams int
	cancel  context.CancelFunc // of the feed; nil while there is none
	idle    *time.Timer
	closed  bool
}

// viewer is one who looks.
type viewer struct {
	fps    float64
	stream bool
}

// NewCamera makes a Camera. Close ends it.
func NewCamera(o CameraOptions) *Camera {
	return &Camera{o: o, write: cameraWrite, changed: make(chan struct{}), viewers: map[*viewer]struct{}{}}
}

// Close ends all streams and the feed, and waits for the feed.
func (c *Camera) Close() {
	c.mu.Lock()
	c.closed = true
	if c.idle != nil {
		c.idle.Stop()
	}
	c.rest()
	c.wake()
	c.mu.Unlock()
	c.wg.Wait()
}

// enter adds a viewer; nil if there are too many.
func (c *Camera) enter(fps float64, stream bool) *viewer {
	c.mu.Lock()
	defer c.mu.Unlock()
	full := c.streams >= c.o.Viewers
	if !stream {
		full = len(c.viewers)-c.streams >= maxSnapshots
	}
	if c.closed || full {
		return nil
	}
	v := &viewer{fps, stream}
	c.viewers[v] = struct{}{}
	if stream {
		c.streams++
	}
	if c.idle != nil {
		c.idle.Stop()
	}
	if c.cancel == nil {
		ctx, cancel := context.WithCancel(context.Background()) // ends with rest
		c.cancel = cancel
		c.wg.Go(func() { c.run(ctx) })
	}
	return v
}

func (c *Camera) leave(v *viewer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.viewers, v)
	if v.stream {
		c.streams--
	}
	if len(c.viewers) == 0 && !c.closed {
		c.idle = time.AfterFunc(cameraLinger, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.viewers) == 0 {
				c.rest()
			}
		})
	}
}

// rest ends the feed. mu is held.
func (c *Camera) rest() {
	if c.cancel != nil {
		c.cancel()
		c.cancel, c.pic = nil, nil
	}
}

// wake tells all viewers to look again. mu is held.
func (c *Camera) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// run feeds until ctx ends.
func (c *Camera) run(ctx context.Context) {
	put := func(p Picture) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if ctx.Err() != nil {
			return // another feed may have begun
		}
		c.seq++
		p.seq, p.came = c.seq, time.Now()
		c.pic = &p
		c.wake()
	}
	for ctx.Err() == nil {
		if err := c.o.Feed(ctx, c.rate, put); err != nil && ctx.Err() == nil {
			c.o.Log.Warn().Err(err).Msg("no pictures from the camera")
		}
		timer := time.NewTimer(cameraRetry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// rate is what the fastest viewer wants; 0 without one.
func (c *Camera) rate() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	fps := 0.0
	for v := range c.viewers {
		fps = max(fps, v.fps)
	}
	return fps
}

// Why there is no picture.
var (
	errCameraClosed = errors.New("shutting down")
	errNoPicture    = errors.New("the camera sends no pictures")
	errStale        = errors.New("the camera has no new pictures")
)

// newest is the newest picture, if it is not number seq, nor old, nor from before a time, and a
// channel that is closed when there may be another one.
func (c *Camera) newest(seq int, from time.Time) (*Picture, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, errCameraClosed
	}
	if c.pic == nil || c.pic.seq == seq || c.pic.came.Before(from) || time.Since(c.pic.came) > snapshotAge {
		return nil, c.changed, nil
	}
	return c.pic, c.changed, nil
}

// next waits for a newer picture than number seq, that comes at a time or later.
func (c *Camera) next(ctx context.Context, seq int, from time.Time, within time.Duration) (*Picture, error) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		pic, changed, err := c.newest(seq, from)
		if pic != nil || err != nil {
			return pic, err
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil, errNoPicture
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lastPicture ends a stream: a dark picture with a cross, since browsers go on showing whatever
// came last.
var lastPicture = sync.OnceValue(func() []byte {
	const w, h = 320, 240
	img := image.NewGray(image.Rect(0, 0, w, h))
	for x := range w {
		for d := range 3 {
			img.SetGray(x, min(x*h/w+d, h-1), color.Gray{Y: 128})
			img.SetGray(w-1-x, min(x*h/w+d, h-1), color.Gray{Y: 128})
		}
	}
	var b bytes.Buffer
	_ = jpeg.Encode(&b, img, nil) // a buffer takes everything
	return b.Bytes()
})
