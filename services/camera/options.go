package camera

import (
	"errors"
	"fmt"
	"time"
)

// Options of New. Start from Defaults.
type Options struct {
	// Source is where pictures come from: auto (the first V4L2 device, else the test picture),
	// test, v4l2:/dev/video0, http://HOST/PATH (multipart MJPEG), or anything that ffmpeg reads,
	// such as rtsp://HOST/PATH, file:/PATH or ffmpeg:ARGUMENT.
	Source   string
	Width    int // pixels before turning; 0: as the source has it
	Height   int
	FPS      float64 // pictures a second that are taken, 0.1 to 60
	Quality  int     // JPEG, 1 to 100; 0: as the source encodes, and 80 for what we encode
	Rotation int     // degrees clockwise: 0, 90, 180 or 270

	JPEGRate  float64       // pictures a second on camera/jpeg when nobody asks for more; 0: only on demand
	FrameRate float64       // pictures a second on camera/frame; 0: none
	Timeout   time.Duration // for a picture from the source, and for a capture
	FFmpeg    string        // the program

	Motion          bool    // detect motion
	MotionThreshold float64 // part of the picture that has to change, 0 to 1
}

// Defaults are the reference's, where it has them.
func Defaults() Options {
	return Options{
		Source: "auto", Width: 640, Height: 480, FPS: 10, JPEGRate: 0.2, Timeout: 5 * time.Second, FFmpeg: "ffmpeg", MotionThreshold: 0.02,
	}
}

// Limits of what a picture may be.
const (
	maxSide    = 8192
	maxPixels  = 16 << 20
	maxJPEG    = 6 << 20 // with base64 it fits a message
	maxFPS     = 60
	defQuality = 80
)

// Validate reports every option that makes no sense.
func (o *Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, err := newSource(o); err != nil {
		errs = append(errs, err)
	}
	if o.Width < 0 || o.Height < 0 || o.Width > maxSide || o.Height > maxSide || o.Width*o.Height > maxPixels {
		bad("width, height: %dx%d is not within %d and 16 megapixels", o.Width, o.Height, maxSide)
	}
	if (o.Width == 0) != (o.Height == 0) {
		bad("width, height: set both or none")
	}
	if !(o.FPS >= 0.1 && o.FPS <= maxFPS) {
		bad("fps: %v is not from 0.1 to %d", o.FPS, maxFPS)
	}
	if o.Quality < 0 || o.Quality > 100 {
		bad("quality: %d is not from 0 to 100", o.Quality)
	}
	if o.Rotation != 0 && o.Rotation != 90 && o.Rotation != 180 && o.Rotation != 270 {
		bad("rotation: %d is not 0, 90, 180 or 270", o.Rotation)
	}
	if !(o.JPEGRate >= 0 && o.JPEGRate <= maxFPS) {
		bad("jpeg_rate: %v is not from 0 to %d", o.JPEGRate, maxFPS)
	}
	if !(o.FrameRate >= 0 && o.FrameRate <= maxFPS) {
		bad("frame_rate: %v is not from 0 to %d", o.FrameRate, maxFPS)
	}
	if o.Timeout < 100*time.Millisecond || o.Timeout > time.Minute {
		bad("timeout: %v is not from 100ms to 1m", o.Timeout)
	}
	if !(o.MotionThreshold > 0 && o.MotionThreshold <= 1) {
		bad("motion_threshold: %v is not above 0 and up to 1", o.MotionThreshold)
	}
	return errors.Join(errs...)
}
