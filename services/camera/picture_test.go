package camera

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// corners is a picture whose four quarters are white, red, green, blue in reading order.
func corners(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{255, 255, 255, 255}
			switch {
			case y < h/2 && x >= w/2:
				c = color.RGBA{255, 0, 0, 255}
			case y >= h/2 && x < w/2:
				c = color.RGBA{0, 255, 0, 255}
			case y >= h/2:
				c = color.RGBA{0, 0, 255, 255}
			}
			img.Set(x, y, c)
		}
	}
	return img
}

// quarters names the colours of a picture's quarters.
func quarters(img image.Image) string {
	b := img.Bounds()
	name := func(x, y int) string {
		r, g, bl, _ := img.At(b.Min.X+x, b.Min.Y+y).RGBA()
		switch {
		case r > 0xA000 && g > 0xA000 && bl > 0xA000:
			return "w"
		case r > 0xA000:
			return "r"
		case g > 0xA000:
			return "g"
		case bl > 0xA000:
			return "b"
		}
		return "?"
	}
	w, h := b.Dx(), b.Dy()
	return name(w/4, h/4) + name(3*w/4, h/4) + name(w/4, 3*h/4) + name(3*w/4, 3*h/4)
}

func TestPicturesAreAsAsked(t *testing.T) {
	t.Parallel()
	img := corners(160, 120)
	asJPEG, err := encodeJPEG(img, 95)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		o    Options
		size image.Point
		want string
	}{
		"as it is":         {Options{}, image.Pt(160, 120), "wrgb"},
		"a quarter turn":   {Options{Rotation: 90}, image.Pt(120, 160), "gwbr"},
		"a half turn":      {Options{Rotation: 180}, image.Pt(160, 120), "bgrw"},
		"three quarters":   {Options{Rotation: 270}, image.Pt(120, 160), "rbwg"},
		"smaller":          {Options{Width: 80, Height: 60}, image.Pt(80, 60), "wrgb"},
		"larger":           {Options{Width: 320, Height: 240}, image.Pt(320, 240), "wrgb"},
		"smaller, turned":  {Options{Width: 80, Height: 60, Rotation: 90}, image.Pt(60, 80), "gwbr"},
		"another quality":  {Options{Quality: 30}, image.Pt(160, 120), "wrgb"},
		"size that it has": {Options{Width: 160, Height: 120}, image.Pt(160, 120), "wrgb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, f := range []*picture{{frame: frame{img: img}}, {frame: frame{jpeg: asJPEG.data}}} {
				e, err := f.encode(&c.o)
				require.NoError(t, err)
				got, err := jpeg.Decode(bytes.NewReader(e.data))
				require.NoError(t, err)
				assert.Equal(t, c.size, got.Bounds().Size())
				assert.Equal(t, c.size, image.Pt(e.w, e.h), "what is said is what is sent")
				assert.Equal(t, c.want, quarters(got))
			}
		})
	}
	same := picture{frame: frame{jpeg: asJPEG.data}}
	e, err := same.encode(&Options{Width: 160, Height: 120})
	require.NoError(t, err)
	assert.Equal(t, &asJPEG.data[0], &e.data[0], "a JPEG that is right already is passed on")
	low, high := picture{frame: frame{img: img}}, picture{frame: frame{img: img}}
	a, err := low.encode(&Options{Quality: 10})
	require.NoError(t, err)
	b, err := high.encode(&Options{Quality: 95})
	require.NoError(t, err)
	assert.Less(t, len(a.data), len(b.data))
}

func TestStills(t *testing.T) {
	t.Parallel()
	f := frame{img: corners(160, 120)}
	e, err := f.still(&Options{}, "png", 0, 80, 0)
	require.NoError(t, err)
	got, err := png.Decode(bytes.NewReader(e.data))
	require.NoError(t, err)
	assert.Equal(t, image.Pt(80, 60), got.Bounds().Size(), "the ratio is kept")
	e, err = f.still(&Options{Rotation: 90}, "raw", 0, 0, 0)
	require.NoError(t, err)
	assert.Len(t, e.data, 3*160*120)
	assert.Equal(t, image.Pt(120, 160), image.Pt(e.w, e.h))
	assert.Equal(t, []byte{0, 255, 0}, e.data[:3], "the green corner comes to the top left")
	_, err = f.still(&Options{}, "raw", 0, 4000, 4000)
	require.ErrorContains(t, err, "smaller")
	_, err = f.still(&Options{}, "jpeg", 80, 16000, 16000)
	require.ErrorContains(t, err, "too large")
}

func TestHostilePictures(t *testing.T) {
	t.Parallel()
	small, err := encodeJPEG(corners(16, 16), 80)
	require.NoError(t, err)
	huge := bytes.Clone(small.data) // the header claims 65,000 x 65,000
	at := bytes.Index(huge, []byte{0xFF, 0xC0})
	copy(huge[at+5:], []byte{0xFD, 0xE8, 0xFD, 0xE8})
	for name, data := range map[string][]byte{"huge": huge, "none": {}, "text": []byte("hello"), "cut": small.data[:40]} {
		f := frame{jpeg: data}
		_, err := f.render(&Options{Rotation: 90})
		assert.Error(t, err, name)
	}
}

func TestOutdatedPictureSaysSo(t *testing.T) {
	t.Parallel()
	o := Options{Width: 320, Height: 240, Rotation: 90}
	last := &picture{frame: frame{img: corners(320, 240), at: time.Now().Add(-3 * time.Second)}}
	e, err := outdated(last, &o, time.Now(), "the camera was unplugged")
	require.NoError(t, err)
	assert.Equal(t, image.Pt(240, 320), image.Pt(e.w, e.h))
	img, err := jpeg.Decode(bytes.NewReader(e.data))
	require.NoError(t, err)
	assert.NotContains(t, quarters(img), "r", "no colours: nobody takes it for live")
	assert.NotContains(t, quarters(img), "w", "and dark")
	none, err := outdated(nil, &Options{}, time.Now(), "starting")
	require.NoError(t, err)
	assert.Equal(t, 640, none.w)
}

func TestYUYV(t *testing.T) {
	t.Parallel()
	img, err := fromYUYV([]byte{235, 128, 16, 128, 81, 90, 81, 240}, 2, 2)
	require.NoError(t, err)
	assert.Equal(t, color.YCbCr{Y: 235, Cb: 128, Cr: 128}, img.YCbCrAt(0, 0))
	assert.Equal(t, color.YCbCr{Y: 16, Cb: 128, Cr: 128}, img.YCbCrAt(1, 0))
	assert.Equal(t, color.YCbCr{Y: 81, Cb: 90, Cr: 240}, img.YCbCrAt(1, 1))
	_, err = fromYUYV(make([]byte, 7), 2, 2)
	require.Error(t, err)
	_, err = fromYUYV(make([]byte, 100), 3, 2)
	require.Error(t, err)
}

func TestMotion(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	m := motion{threshold: 0.02}
	var got []string
	look := func(n int, img func(i int) image.Image) {
		for i := range n {
			begins, ends, score := m.look(img(i), now)
			assert.LessOrEqual(t, score, 1.0)
			if begins {
				got = append(got, "start")
			}
			if ends {
				got = append(got, "end")
			}
			now = now.Add(200 * time.Millisecond)
		}
	}
	still := func(int) image.Image { return corners(320, 240) }
	moving := func(i int) image.Image { return testPicture(320, 240, 0, time.UnixMilli(int64(500*i))) }
	look(10, still)
	assert.Empty(t, got)
	look(10, moving)
	assert.Equal(t, []string{"start"}, got)
	look(5, still)
	assert.Equal(t, []string{"start"}, got, "a short rest is no end")
	look(20, still)
	assert.Equal(t, []string{"start", "end"}, got)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"auto": "", "test": "", "v4l2:/dev/video2": "/dev/video2", "/dev/video0": "/dev/video0",
		"http://u:secret@cam/stream": "http://u:xxxxx@cam/stream", "rtsp://u:secret@cam:554/1": "ffmpeg rtsp://u:***@cam:554/1",
		"file:/tmp/a.mp4": "ffmpeg /tmp/a.mp4", "ffmpeg:lavfi:testsrc2": "ffmpeg lavfi:testsrc2",
	} {
		o := Defaults()
		o.Source = source
		require.NoError(t, o.Validate(), source)
		src, err := newSource(&o)
		require.NoError(t, err)
		assert.NotContains(t, src.String(), "secret")
		if want != "" {
			assert.Equal(t, want, src.String())
		}
	}
	for name, change := range map[string]func(*Options){
		"source": func(o *Options) { o.Source = "ffmpeg:-vf" }, "source: ": func(o *Options) { o.Source = "webcam" },
		"fps": func(o *Options) { o.FPS = 0 }, "quality": func(o *Options) { o.Quality = 101 }, "rotation": func(o *Options) { o.Rotation = 45 },
		"width": func(o *Options) { o.Width, o.Height = 9000, 9000 }, "both or none": func(o *Options) { o.Height = 0 },
		"jpeg_rate": func(o *Options) { o.JPEGRate = -1 }, "frame_rate": func(o *Options) { o.FrameRate = 100 },
		"timeout": func(o *Options) { o.Timeout = 0 }, "motion_threshold": func(o *Options) { o.MotionThreshold = 0 },
	} {
		o := Defaults()
		change(&o)
		assert.ErrorContains(t, o.Validate(), name)
	}
}

// BenchmarkPicture is what one picture of 640 by 480 pixels costs: drawn and encoded, passed on as it
// is, and turned.
func BenchmarkPicture(b *testing.B) {
	pic, err := encodeJPEG(testPicture(640, 480, 1, time.Unix(1, 0)), 80)
	require.NoError(b, err)
	for name, c := range map[string]struct {
		make func(n int) frame
		o    Options
	}{
		"test":   {func(n int) frame { return frame{img: testPicture(640, 480, n, time.Unix(1, 0))} }, Options{Width: 640, Height: 480}},
		"passed": {func(int) frame { return frame{jpeg: pic.data} }, Options{Width: 640, Height: 480}},
		"turned": {func(int) frame { return frame{jpeg: pic.data} }, Options{Width: 640, Height: 480, Rotation: 180}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				f := c.make(n)
				n++
				if _, err := f.render(&c.o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
