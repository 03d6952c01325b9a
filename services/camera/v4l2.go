package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"time"

	"github.com/blackjack/webcam"
)

// Pixel formats of V4L2, as their four characters.
const (
	fourMJPG = webcam.PixelFormat('M' | 'J'<<8 | 'P'<<16 | 'G'<<24)
	fourJPEG = webcam.PixelFormat('J' | 'P'<<8 | 'E'<<16 | 'G'<<24)
	fourYUYV = webcam.PixelFormat('Y' | 'U'<<8 | 'Y'<<16 | 'V'<<24)
)

// buffers is how many pictures the driver holds: few, so that they are new.
const buffers = 3

// deviceSource is a camera on this machine.
type deviceSource struct {
	o    *Options
	path string
}

func (s deviceSource) String() string { return s.path }

func (s deviceSource) open(context.Context) (reader, error) {
	cam, err := webcam.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s.path, err)
	}
	r, err := s.start(cam)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", s.path, err), cam.Close())
	}
	return r, nil
}

func (s deviceSource) start(cam *webcam.Webcam) (*deviceReader, error) {
	format := webcam.PixelFormat(0)
	for _, f := range []webcam.PixelFormat{fourYUYV, fourJPEG, fourMJPG} { // the last that there is
		if _, ok := cam.GetSupportedFormats()[f]; ok {
			format = f
		}
	}
	if format == 0 {
		return nil, errors.New("gives neither MJPEG nor YUYV pictures")
	}
	w, h := uint32(s.o.Width), uint32(s.o.Height) //nolint:gosec // checked
	if w == 0 {
		w, h = 640, 480
	}
	got, gotW, gotH, err := cam.SetImageFormat(format, w, h)
	if err != nil {
		return nil, err
	}
	if got != fourMJPG && got != fourJPEG && got != fourYUYV {
		return nil, fmt.Errorf("gives pixel format %#x", uint32(got))
	}
	_ = cam.SetFramerate(float32(s.o.FPS)) // not every driver can; what comes too fast is left out
	if err := cam.SetBufferCount(buffers); err != nil {
		return nil, err
	}
	if err := cam.StartStreaming(); err != nil {
		return nil, err
	}
	return &deviceReader{cam: cam, yuyv: got == fourYUYV, w: int(gotW), h: int(gotH), pace: pace(s.o.FPS)}, nil
}

type deviceReader struct {
	cam  *webcam.Webcam
	yuyv bool
	w, h int
	pace time.Duration
	due  time.Time
}

func (r *deviceReader) next(ctx context.Context) (frame, error) {
	for {
		if err := ctx.Err(); err != nil {
			return frame{}, errors.Join(errNoPicture, err)
		}
		err := r.cam.WaitForFrame(1) // in seconds; the shortest
		var late *webcam.Timeout
		if errors.As(err, &late) {
			continue
		}
		if err != nil {
			return frame{}, err
		}
		raw, err := r.cam.ReadFrame()
		if err != nil {
			return frame{}, err
		}
		now := time.Now()
		if len(raw) == 0 || now.Before(r.due.Add(-r.pace/4)) {
			continue
		}
		r.due = now.Add(r.pace)
		if !r.yuyv {
			pic, err := newSplitter(bytes.NewReader(raw)).next() // bounded, complete, and a copy
			if err != nil {
				continue // a broken picture is not a broken camera; none at all is, in time
			}
			return frame{jpeg: withTables(pic), at: now}, nil
		}
		img, err := fromYUYV(raw, r.w, r.h)
		if err != nil {
			continue
		}
		return frame{img: img, at: now}, nil
	}
}

func (r *deviceReader) close() { _ = r.cam.Close() }

// fromYUYV decodes packed 4:2:2 pixels: Y0 Cb Y1 Cr for two of them.
func fromYUYV(raw []byte, w, h int) (*image.YCbCr, error) {
	if w <= 0 || h <= 0 || w%2 != 0 || len(raw) < 2*w*h {
		return nil, fmt.Errorf("%d bytes for a picture of %dx%d", len(raw), w, h)
	}
	img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio422)
	for i := range w * h / 2 {
		img.Y[2*i], img.Cb[i], img.Y[2*i+1], img.Cr[i] = raw[4*i], raw[4*i+1], raw[4*i+2], raw[4*i+3]
	}
	return img, nil
}
