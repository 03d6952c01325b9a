package camera

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"math"
	"time"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// testSource is a picture that moves, with a counter and a clock, for robots without a camera.
type testSource struct{ o *Options }

func (testSource) String() string { return "test picture" }

func (s testSource) open(context.Context) (reader, error) {
	w, h := s.o.Width, s.o.Height
	if w == 0 {
		w, h = 640, 480
	}
	return &testReader{w: w, h: h, next_: time.Now(), pace: pace(s.o.FPS)}, nil
}

type testReader struct {
	w, h  int
	n     int
	next_ time.Time
	pace  time.Duration
}

func (r *testReader) next(ctx context.Context) (frame, error) {
	timer := time.NewTimer(time.Until(r.next_))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return frame{}, ctx.Err()
	}
	now := time.Now()
	if r.next_ = r.next_.Add(r.pace); r.next_.Before(now) { // late: no catching up
		r.next_ = now.Add(r.pace)
	}
	n := r.n
	r.n++
	return frame{draw: func() image.Image { return testPicture(r.w, r.h, n, now) }, at: now}, nil
}

func (*testReader) close() {}

// testPicture is picture n: bars of colour, a ball that goes round once in 4 s, and what time it is.
func testPicture(w, h, n int, at time.Time) *image.YCbCr {
	img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	bars := []color.YCbCr{
		{180, 128, 128}, {162, 44, 142}, {131, 156, 44}, {112, 72, 58}, {84, 184, 198}, {65, 100, 212}, {35, 212, 114}, {16, 128, 128},
	}
	for y := range h {
		row := img.Y[y*img.YStride:]
		for x := range w {
			row[x] = bars[x*len(bars)/w].Y
		}
	}
	cw, ch := (w+1)/2, (h+1)/2
	for y := range ch {
		for x := range cw {
			b := bars[min(2*x, w-1)*len(bars)/w]
			img.Cb[y*img.CStride+x], img.Cr[y*img.CStride+x] = b.Cb, b.Cr
		}
	}
	turn := 2 * math.Pi * float64(at.UnixMilli()%4000) / 4000
	radius := min(w, h) / 12
	cx, cy := w/2+int(float64(w)/3*math.Cos(turn)), h/2+int(float64(h)/3*math.Sin(turn))
	for y := max(cy-radius, 0); y < min(cy+radius, h); y++ {
		for x := max(cx-radius, 0); x < min(cx+radius, w); x++ {
			if dx, dy := x-cx, y-cy; dx*dx+dy*dy < radius*radius {
				img.Y[y*img.YStride+x] = 235
			}
		}
	}
	label(img, h-6, fmt.Sprintf("TEST PICTURE  %d  %s", n, at.Format("2006-01-02 15:04:05.000")))
	return img
}

// label writes a line of text on a dark strip whose lower edge is at bottom.
func label(img *image.YCbCr, bottom int, text string) {
	w := img.Rect.Dx()
	top := max(bottom-18, 0)
	for y := top; y < min(bottom, img.Rect.Dy()); y++ {
		clear(img.Y[y*img.YStride : y*img.YStride+w])
	}
	strip := &image.Gray{Pix: img.Y, Stride: img.YStride, Rect: img.Rect}
	d := font.Drawer{Dst: strip, Src: image.White, Face: basicfont.Face7x13, Dot: fixed.P(6, bottom-5)}
	d.DrawString(text)
	for y := top / 2; y < min((bottom+1)/2, (img.Rect.Dy()+1)/2); y++ {
		row := y * img.CStride
		for x := range (w + 1) / 2 {
			img.Cb[row+x], img.Cr[row+x] = 128, 128
		}
	}
}
