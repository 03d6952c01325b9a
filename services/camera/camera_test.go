package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// scene is a camera on a broker and somebody who watches.
type scene struct {
	t      *testing.T
	bus    *servicetest.Bus
	peer   *client.Client
	jpegs  chan client.RawMessage
	status *servicetest.Collector[contract.CameraUpdate]
	health *servicetest.Collector[contract.HealthPing]
}

func newScene(t *testing.T, change ...func(*Options)) *scene {
	t.Helper()
	s := &scene{t: t, bus: servicetest.Start(t), jpegs: make(chan client.RawMessage, 10_000)}
	s.peer = s.bus.Client(t, "peer")
	_, err := s.peer.SubscribeRaw("camera/jpeg", 0, func(_ context.Context, m client.RawMessage) error {
		s.jpegs <- m
		return nil
	})
	require.NoError(t, err)
	s.status = servicetest.Collect(t, s.peer, contract.CameraStatus)
	s.health = servicetest.Collect(t, s.peer, contract.Health.At("camera"))
	o := Defaults()
	o.Source, o.FPS, o.JPEGRate, o.Width, o.Height, o.Timeout = "test", 50, 50, 160, 120, 2*time.Second
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	require.NoError(t, err)
	s.bus.Run(t, c)
	return s
}

// jpeg waits for the next picture that ok accepts.
func (s *scene) jpeg(ok func(client.RawMessage) bool) client.RawMessage {
	s.t.Helper()
	timeout := time.After(15 * time.Second)
	for {
		select {
		case m := <-s.jpegs:
			if ok(m) {
				return m
			}
		case <-timeout:
			require.FailNow(s.t, "no such picture")
		}
	}
}

func prop(m client.RawMessage, name string) string {
	for _, p := range m.Props {
		if p.Key == name {
			return p.Value
		}
	}
	return ""
}

func live(m client.RawMessage) bool  { return prop(m, contract.PropStale) == "" }
func stale(m client.RawMessage) bool { return prop(m, contract.PropStale) != "" }

func event(name string) func(client.Message[contract.CameraUpdate]) bool {
	return func(m client.Message[contract.CameraUpdate]) bool { return m.Data.Event == name }
}

func TestPicturesOnTopics(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(o *Options) { o.FrameRate = 20; o.Rotation = 90 })
	frames := servicetest.Collect(t, s.peer, contract.CameraFrame)
	last := 0
	for range 10 {
		m := s.jpeg(live)
		conf, err := jpeg.DecodeConfig(bytes.NewReader(m.Payload))
		require.NoError(t, err)
		assert.Equal(t, image.Pt(120, 160), image.Pt(conf.Width, conf.Height))
		n, err := strconv.Atoi(prop(m, contract.PropNumber))
		require.NoError(t, err)
		assert.Greater(t, n, last, "no picture is sent twice")
		last = n
		taken, err := strconv.ParseFloat(prop(m, contract.PropTaken), 64)
		require.NoError(t, err)
		assert.InDelta(t, unix(time.Now()), taken, 2)
		assert.Equal(t, "image/jpeg", m.ContentType)
	}
	f := frames.Next(t).Data
	conf, err := jpeg.DecodeConfig(bytes.NewReader(f.FrameData))
	require.NoError(t, err)
	assert.Equal(t, image.Pt(f.Width, f.Height), image.Pt(conf.Width, conf.Height), "the real size")
	assert.InDelta(t, 20, *f.FPS, 0)
	s.status.Find(t, event("camera_ready"))
}

func TestDemand(t *testing.T) {
	t.Parallel()
	for name, rate := range map[string]float64{"only on demand": 0, "slow without demand": 0.01} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, func(o *Options) { o.JPEGRate = rate })
			if s.status.Find(t, event("camera_ready")); rate > 0 {
				s.jpeg(live) // the next one is due in minutes
			}
			assert.Empty(t, s.jpegs, "nobody looks")
			_, err := client.Publish(t.Context(), s.peer, contract.CameraView, contract.ViewCamera{FPS: 30, HoldMS: 5000})
			require.NoError(t, err)
			s.jpeg(live)
			s.jpeg(live)
		})
	}
}

func TestDemandsAreToldApart(t *testing.T) {
	t.Parallel()
	d := demand{wake: make(chan struct{}, 1)}
	now := time.Now()
	in := func(ms int) time.Time { return now.Add(time.Duration(ms) * time.Millisecond) }
	d.set(5, now, in(1000))
	d.set(30, now, in(500))
	d.set(2, now, in(400)) // a slower one that does not outlast the others
	assert.Len(t, d.want, 2)
	assert.InDelta(t, 30, d.rate(now), 0, "the fastest viewer is served")
	assert.InDelta(t, 5, d.rate(in(600)), 0, "and then the one that is still there")
	d.set(5, in(400), in(1400))
	assert.InDelta(t, 5, d.rate(in(600)), 0, "who stays does not ask for the one that left")
	assert.InDelta(t, 0, d.rate(in(2000)), 0, "demand ends by itself")
	for i := range 10 * maxWants {
		d.set(60-float64(i)/10, now, in(5000+i)) // each slower and longer than the one before
	}
	assert.LessOrEqual(t, len(d.want), maxWants)
	assert.InDelta(t, 60, d.rate(now), 0)
	assert.Positive(t, d.rate(in(5000+10*maxWants-1)), "the longest is not forgotten")
}

func TestCapture(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	ask := func(change func(*contract.Capture)) contract.Image {
		c := contract.New[contract.Capture]()
		change(&c)
		m, err := client.Request(t.Context(), s.peer, contract.CameraCapture, contract.CameraImage, c)
		require.NoError(t, err)
		return m.Data
	}
	before := unix(time.Now())
	img := ask(func(c *contract.Capture) { c.RequestID, c.Purpose = "r-1", new("what is this") })
	assert.True(t, img.Success)
	assert.Equal(t, "r-1", img.RequestID)
	assert.Equal(t, "what is this", contract.Value(img.Purpose))
	assert.GreaterOrEqual(t, img.Captured, before, "taken after the request")
	conf, err := jpeg.DecodeConfig(bytes.NewReader(img.ImageData))
	require.NoError(t, err)
	assert.Equal(t, image.Pt(img.Width, img.Height), image.Pt(conf.Width, conf.Height))
	assert.Equal(t, img.SizeBytes, len(img.ImageData))
	img = ask(func(c *contract.Capture) { c.Format, c.Width = "raw", new(80) })
	assert.Len(t, img.ImageData, 3*80*60)
	img = ask(func(c *contract.Capture) { c.RequestID, c.Width, c.Height = "r-3", new(16000), new(16000) })
	assert.False(t, img.Success)
	assert.Contains(t, contract.Value(img.Error), "too large")
	s.status.Find(t, func(m client.Message[contract.CameraUpdate]) bool {
		return m.Data.Event == "capture_failed" && contract.Value(m.Data.RequestID) == "r-3"
	})
}

func TestWithoutACamera(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(o *Options) { o.Source, o.Timeout = "v4l2:/dev/no-such-video", 300*time.Millisecond })
	s.health.Find(t, func(m client.Message[contract.HealthPing]) bool {
		return !m.Data.OK && contract.Value(m.Data.Event) == "camera_unavailable"
	})
	m := s.jpeg(stale)
	_, err := jpeg.Decode(bytes.NewReader(m.Payload))
	require.NoError(t, err, "it says so on a picture")
	t0 := m.Received
	assert.Greater(t, s.jpeg(stale).Received.Sub(t0), 300*time.Millisecond, "and seldom, whatever the rate is")
	c := contract.New[contract.Capture]()
	answer, err := client.Request(t.Context(), s.peer, contract.CameraCapture, contract.CameraImage, c)
	require.NoError(t, err)
	assert.False(t, answer.Data.Success)
	assert.Contains(t, contract.Value(answer.Data.Error), "no-such-video")
}

// TestHTTPCamera takes pictures from a camera that hangs up, fails, and comes back.
func TestHTTPCamera(t *testing.T) {
	t.Parallel()
	var mode atomic.Value
	mode.Store("stream")
	pic := testJPEG(t, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mode.Load() == "error" {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=f")
		for mode.Load() == "stream" {
			fmt.Fprintf(w, "--f\r\nContent-Length: %d\r\n\r\n%s\r\n", len(pic), pic)
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}))
	defer server.Close()
	s := newScene(t, func(o *Options) { o.Source, o.Width, o.Height = server.URL, 0, 0 })
	defer mode.Store("error") // so that the server can close
	assert.Equal(t, pic, s.jpeg(live).Payload, "passed on as it is")
	mode.Store("error")
	s.status.Find(t, event("camera_unavailable"))
	s.jpeg(stale)
	mode.Store("stream")
	s.health.Find(t, func(m client.Message[contract.HealthPing]) bool {
		return m.Data.OK && contract.Value(m.Data.Event) == "ready"
	})
	s.jpeg(live)
}

func needFFmpeg(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed: apt-get install ffmpeg")
	}
}

// TestFFmpegIsKilled kills the process under the camera: it starts another one.
func TestFFmpegIsKilled(t *testing.T) {
	t.Parallel()
	needFFmpeg(t)
	s := newScene(t, func(o *Options) {
		o.Source, o.FPS, o.Timeout = "ffmpeg:lavfi:testsrc2=size=320x240:rate=25", 25, 5*time.Second
	})
	m := s.jpeg(live)
	conf, err := jpeg.DecodeConfig(bytes.NewReader(m.Payload))
	require.NoError(t, err)
	assert.Equal(t, image.Pt(160, 120), image.Pt(conf.Width, conf.Height))
	require.NoError(t, syscall.Kill(ffmpegOfOurs(t), syscall.SIGKILL))
	s.status.Find(t, event("camera_unavailable"))
	s.jpeg(stale)
	s.status.Find(t, event("camera_ready"))
	s.jpeg(live)
}

// ffmpegOfOurs finds the child of this process.
func ffmpegOfOurs(t *testing.T) int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, stat := range dirs {
		b, err := os.ReadFile(stat)
		if err != nil || !strings.Contains(string(b), "(ffmpeg)") {
			continue
		}
		f := strings.Fields(string(b))
		if f[3] == strconv.Itoa(os.Getpid()) && f[2] != "Z" {
			pid, err := strconv.Atoi(f[0])
			require.NoError(t, err)
			return pid
		}
	}
	require.FailNow(t, "no ffmpeg")
	return 0
}

func TestFFmpegSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	needFFmpeg(t)
	o := Defaults()
	o.Source = "file:/no/such/film.mp4"
	src, err := newSource(&o)
	require.NoError(t, err)
	r, err := src.open(t.Context())
	require.NoError(t, err)
	defer r.close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = r.next(ctx)
	assert.ErrorContains(t, err, "No such file")
	o.FFmpeg = "/no/such/ffmpeg"
	_, err = src.open(t.Context())
	assert.ErrorContains(t, err, "start ffmpeg")
	assert.Equal(t, "a rtsp://u:***@h/x b", hidePasswords("a rtsp://u:secret@h/x b"))
}

func TestMotionOnTopic(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(o *Options) { o.Motion = true })
	motion := servicetest.Collect(t, s.peer, contract.CameraMotion)
	m := motion.Next(t).Data // the test picture's ball moves
	assert.Equal(t, "start", m.Event)
	assert.Positive(t, contract.Value(m.Score))
}

func TestCheck(t *testing.T) {
	t.Parallel()
	o := Defaults()
	o.Source = "test"
	c, err := New(o)
	require.NoError(t, err)
	assert.Equal(t, "test picture", c.Check(t.Context())[0].Text)
	o.Source = "v4l2:/dev/no-such-video"
	c, err = New(o)
	require.NoError(t, err)
	assert.Contains(t, c.Check(t.Context())[0].Text, "no-such-video")
}

// TestSlowConsumerGetsTheNewest holds what a pump does when nobody takes its pictures.
func TestSlowConsumerGetsTheNewest(t *testing.T) {
	t.Parallel()
	var stream bytes.Buffer
	for i := range 20 {
		stream.Write(testJPEG(t, i))
	}
	p := newPump(readCloser{&stream})
	<-p.done // everything was read while nobody took anything
	f, err := p.next(t.Context())
	require.NoError(t, err)
	assert.Equal(t, testJPEG(t, 19), f.jpeg)
	_, err = p.next(t.Context())
	require.Error(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	idle := newPump(blocked{make(chan struct{})})
	_, err = idle.next(ctx)
	assert.True(t, errors.Is(err, errNoPicture))
	idle.stop()
}

type readCloser struct{ *bytes.Buffer }

func (readCloser) Close() error { return nil }

type blocked struct{ c chan struct{} }

func (b blocked) Read([]byte) (int, error) { <-b.c; return 0, errors.New("closed") }
func (b blocked) Close() error             { close(b.c); return nil }
