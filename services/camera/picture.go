package camera

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"sync"
	"time"

	"golang.org/x/image/draw"
)

// picture is one frame and what was made of it, once for all who want it.
type picture struct {
	frame
	seq int

	once sync.Once
	out  encoded
	err  error
}

// encoded is a picture as it is sent.
type encoded struct {
	data []byte
	w, h int // pixels, of what is in data
}

// decoded is the frame as pixels. A JPEG's size is looked at before anything is allocated for it.
func (f *frame) decoded() (image.Image, error) {
	if f.img != nil {
		return f.img, nil
	}
	if f.draw != nil {
		return f.draw(), nil
	}
	conf, err := jpeg.DecodeConfig(bytes.NewReader(f.jpeg))
	if err != nil {
		return nil, fmt.Errorf("picture: %w", err)
	}
	if conf.Width > maxSide || conf.Height > maxSide || conf.Width*conf.Height > maxPixels {
		return nil, fmt.Errorf("picture: %dx%d is too large", conf.Width, conf.Height)
	}
	img, err := jpeg.Decode(bytes.NewReader(f.jpeg))
	if err != nil {
		return nil, fmt.Errorf("picture: %w", err)
	}
	return img, nil
}

// encode is the picture as the options want it.
func (p *picture) encode(o *Options) (encoded, error) {
	p.once.Do(func() { p.out, p.err = p.render(o) })
	return p.out, p.err
}

// render passes a JPEG of the source on as it is when nothing has to be done to it.
func (f *frame) render(o *Options) (encoded, error) {
	if f.jpeg != nil && o.Rotation == 0 && o.Quality == 0 {
		conf, err := jpeg.DecodeConfig(bytes.NewReader(f.jpeg))
		if err != nil {
			return encoded{}, fmt.Errorf("picture: %w", err)
		}
		if o.Width == 0 || (conf.Width == o.Width && conf.Height == o.Height) {
			return encoded{f.jpeg, conf.Width, conf.Height}, nil
		}
	}
	img, err := f.decoded()
	if err != nil {
		return encoded{}, err
	}
	if img, err = scale(img, o.Width, o.Height); err != nil {
		return encoded{}, err
	}
	img = turn(img, o.Rotation)
	quality := o.Quality
	if quality == 0 {
		quality = defQuality
	}
	return encodeJPEG(img, quality)
}

func encodeJPEG(img image.Image, quality int) (encoded, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		return encoded{}, fmt.Errorf("picture: %w", err)
	}
	if b.Len() > maxJPEG {
		return encoded{}, fmt.Errorf("picture: %d bytes are too many", b.Len())
	}
	return encoded{b.Bytes(), img.Bounds().Dx(), img.Bounds().Dy()}, nil
}

// scale brings a picture to w by h pixels; 0 for one of them keeps the ratio, for both the size.
func scale(img image.Image, w, h int) (image.Image, error) {
	size := img.Bounds().Size()
	switch {
	case size.X == 0 || size.Y == 0 || w == 0 && h == 0:
		return img, nil
	case w == 0:
		w = max(h*size.X/size.Y, 1)
	case h == 0:
		h = max(w*size.Y/size.X, 1)
	}
	if w == size.X && h == size.Y {
		return img, nil
	}
	if w > maxSide || h > maxSide || w*h > maxPixels {
		return nil, fmt.Errorf("%dx%d is too large", w, h)
	}
	to := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.ApproxBiLinear.Scale(to, to.Rect, img, img.Bounds(), draw.Src, nil)
	return to, nil
}

// turn rotates clockwise by a multiple of 90 degrees.
func turn(img image.Image, degrees int) image.Image {
	if degrees == 0 {
		return img
	}
	from := image.NewRGBA(image.Rectangle{Max: img.Bounds().Size()})
	draw.Draw(from, from.Rect, img, img.Bounds().Min, draw.Src)
	w, h := from.Rect.Dx(), from.Rect.Dy()
	size := image.Rect(0, 0, h, w)
	if degrees == 180 {
		size = from.Rect
	}
	to := image.NewRGBA(size)
	for y := range h {
		for x := range w {
			var tx, ty int
			switch degrees {
			case 90:
				tx, ty = h-1-y, x
			case 180:
				tx, ty = w-1-x, h-1-y
			default:
				tx, ty = y, w-1-x
			}
			copy(to.Pix[ty*to.Stride+4*tx:][:4], from.Pix[y*from.Stride+4*x:][:4])
		}
	}
	return to
}

// still renders a capture: the format, size and quality of a request. Width and height are those
// of the result; 0 keeps the ratio.
func (f *frame) still(o *Options, format string, quality, w, h int) (encoded, error) {
	img, err := f.decoded()
	if err != nil {
		return encoded{}, err
	}
	if img, err = scale(turn(img, o.Rotation), w, h); err != nil {
		return encoded{}, err
	}
	size := img.Bounds().Size()
	switch format {
	case "png":
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			return encoded{}, err
		}
		return bounded(b.Bytes(), size)
	case "raw":
		return bounded(rgb(img), size)
	}
	return encodeJPEG(img, quality)
}

func bounded(b []byte, size image.Point) (encoded, error) {
	if len(b) > maxJPEG {
		return encoded{}, fmt.Errorf("%d bytes are more than the %d that fit a message: ask for a smaller picture", len(b), maxJPEG)
	}
	return encoded{b, size.X, size.Y}, nil
}

// rgb is a picture as 3 bytes a pixel, row by row.
func rgb(img image.Image) []byte {
	r := img.Bounds()
	rgba := image.NewRGBA(image.Rectangle{Max: r.Size()})
	draw.Draw(rgba, rgba.Rect, img, r.Min, draw.Src)
	out := make([]byte, 0, 3*r.Dx()*r.Dy())
	for i := 0; i+3 < len(rgba.Pix); i += 4 {
		out = append(out, rgba.Pix[i], rgba.Pix[i+1], rgba.Pix[i+2])
	}
	return out
}

// outdated is the last picture in grey, with a line that says how old it is. Without a last
// picture it is dark.
func outdated(last *picture, o *Options, now time.Time, why string) (encoded, error) {
	w, h := o.Width, o.Height
	if w == 0 {
		w, h = 640, 480
	}
	if o.Rotation == 90 || o.Rotation == 270 {
		w, h = h, w
	}
	img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = 128, 128
	}
	age := "never was a picture"
	if last != nil {
		age = "last picture " + now.Sub(last.at).Truncate(time.Second).String() + " ago"
		if pix, err := last.decoded(); err == nil {
			grey(img, turn(pix, o.Rotation))
		}
	}
	label(img, h/2+9, "NO PICTURE: "+age)
	label(img, h-6, why)
	return encodeJPEG(img, defQuality)
}

// grey fills the luma of to with a dimmed copy of from.
func grey(to *image.YCbCr, from image.Image) {
	luma := &image.Gray{Pix: to.Y, Stride: to.YStride, Rect: to.Rect}
	draw.ApproxBiLinear.Scale(luma, luma.Rect, from, from.Bounds(), draw.Src, nil)
	for i := range to.Y {
		to.Y[i] /= 3
	}
}

// latest is the newest picture, and who waits for the next one.
type latest struct {
	mu      sync.Mutex
	pic     *picture
	seq     int
	err     error         // why there are no new ones; nil while there are
	changed chan struct{} // closed, and made anew, at every change
}

func newLatest() *latest { return &latest{changed: make(chan struct{}), err: errors.New("starting")} }

// put has a new picture.
func (l *latest) put(f frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	l.pic, l.err = &picture{frame: f, seq: l.seq}, nil
	close(l.changed)
	l.changed = make(chan struct{})
}

// lose says that there are no new pictures for now.
func (l *latest) lose(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	close(l.changed)
	l.changed = make(chan struct{})
}

// get is the newest picture, a channel that is closed with the next change, and why there is no
// newer picture.
func (l *latest) get() (*picture, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pic, l.changed, l.err
}

// luma is a small copy of a picture in grey, for the detection of motion.
func luma(img image.Image) *image.Gray {
	small := image.NewGray(image.Rect(0, 0, motionWidth, motionHeight))
	draw.ApproxBiLinear.Scale(small, small.Rect, img, img.Bounds(), draw.Src, nil)
	return small
}
