package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pictures is a feed that makes one picture of so many bytes every so often.
func pictures(every time.Duration, size int, change func(*Picture)) CameraOptions {
	return CameraOptions{Viewers: 8, Feed: func(ctx context.Context, _ func() float64, put func(Picture)) error {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 1; ; n++ {
			p := Picture{JPEG: bytes.Repeat([]byte{byte(n)}, size), Taken: time.Now(), Number: n}
			if change != nil {
				change(&p)
			}
			put(p)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	}}
}

// look asks the camera's handler in a bubble.
func look(t *testing.T, c *Camera, ctx context.Context, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	h, err := New(Options{Camera: c})
	require.NoError(t, err)
	r := httptest.NewRequestWithContext(ctx, method, path, nil)
	r.RemoteAddr, r.Host = here, "localhost"
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// parts reads a whole stream. Each part ends with the length that it claims to have.
func parts(t *testing.T, w *httptest.ResponseRecorder) []*multipart.Part {
	t.Helper()
	kind, params, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/x-mixed-replace", kind)
	var all []*multipart.Part
	in := multipart.NewReader(w.Body, params["boundary"])
	for {
		p, err := in.NextPart()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return all
		}
		require.NoError(t, err)
		b, err := io.ReadAll(p)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return all // the viewer left
		}
		require.NoError(t, err)
		assert.Equal(t, strconv.Itoa(len(b)), p.Header.Get("Content-Length"))
		assert.Equal(t, "image/jpeg", p.Header.Get("Content-Type"))
		all = append(all, p)
	}
}

func TestStreamAtTheRateOfTheViewer(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]int{"": 100, "?fps=1": 10, "?fps=60": 300, "?fps=7": 70} {
		synctest.Test(t, func(t *testing.T) {
			c := NewCamera(pictures(time.Second/30, 5000, nil))
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			w := look(t, c, ctx, "GET", "/camera/stream"+query)
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			all := parts(t, w)
			assert.InDelta(t, want, len(all), 2, query)
			last := 0
			for _, p := range all[:len(all)-1] {
				n, err := strconv.Atoi(p.Header.Get("X-Frame-Number"))
				require.NoError(t, err)
				assert.Greater(t, n, last, "no picture comes twice")
				last = n
				assert.NotEmpty(t, p.Header.Get("X-Timestamp"))
				assert.Empty(t, p.Header.Get("X-Stale"))
			}
		})
	}
}

// A stream ends when pictures do, and its last picture does not look like one of the camera.
func TestStreamEndsWithThePictures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := pictures(100*time.Millisecond, 100, nil)
		many := o.Feed
		o.Feed = func(ctx context.Context, rate func() float64, put func(Picture)) error {
			short, cancel := context.WithTimeout(ctx, 950*time.Millisecond)
			defer cancel()
			_ = many(short, rate, put)
			<-ctx.Done()
			return nil
		}
		c := NewCamera(o)
		defer c.Close()
		t0 := time.Now()
		all := parts(t, look(t, c, t.Context(), "GET", "/camera/stream"))
		assert.InDelta(t, (time.Second + cameraQuiet).Seconds(), time.Since(t0).Seconds(), 0.5)
		assert.Len(t, all, 11)
		assert.Equal(t, "unknown", all[len(all)-1].Header.Get("X-Stale"))
		_, err := jpeg.Decode(bytes.NewReader(lastPicture()))
		require.NoError(t, err)
		w := look(t, c, t.Context(), "GET", "/camera/snapshot")
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.Contains(t, w.Body.String(), errNoPicture.Error())
		assert.NotEmpty(t, w.Header().Get("Retry-After"))
		w = look(t, c, t.Context(), "GET", "/camera/stream")
		assert.Equal(t, http.StatusServiceUnavailable, w.Code, "not even a beginning")
	})
}

func TestStalePictures(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]string{7500 * time.Millisecond: "7", -1: "never"} {
		synctest.Test(t, func(t *testing.T) {
			c := NewCamera(pictures(time.Second, 100, func(p *Picture) { p.Stale, p.Age = true, age }))
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			all := parts(t, look(t, c, ctx, "GET", "/camera/stream"))
			require.NotEmpty(t, all)
			assert.Equal(t, want, all[0].Header.Get("X-Stale"))
			w := look(t, c, t.Context(), "GET", "/camera/snapshot")
			assert.Equal(t, http.StatusServiceUnavailable, w.Code, "a stale picture is not a new one")
			assert.Contains(t, w.Body.String(), errStale.Error())
			assert.Equal(t, want, w.Header().Get("X-Stale"))
			w = look(t, c, t.Context(), "GET", "/camera/snapshot?stale=ok")
			assert.Equal(t, 200, w.Code)
			assert.Equal(t, want, w.Header().Get("X-Stale"))
		})
	}
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCamera(pictures(100*time.Millisecond, 1234, nil))
		defer c.Close()
		w := look(t, c, t.Context(), "GET", "/camera/snapshot")
		assert.Equal(t, 200, w.Code)
		assert.Equal(t, "image/jpeg", w.Header().Get("Content-Type"))
		assert.Equal(t, "1234", w.Header().Get("Content-Length"))
		assert.Equal(t, 1234, w.Body.Len())
		assert.Equal(t, "1", w.Header().Get("X-Frame-Number"), "the feed began with the request")
		time.Sleep(cameraLinger - time.Millisecond)
		w = look(t, c, t.Context(), "GET", "/camera/snapshot")
		n, err := strconv.Atoi(w.Header().Get("X-Frame-Number"))
		require.NoError(t, err)
		assert.Greater(t, n, 20, "the feed went on, and the picture is a new one")
		time.Sleep(cameraLinger + time.Second)
		w = look(t, c, t.Context(), "GET", "/camera/snapshot")
		assert.Equal(t, "1", w.Header().Get("X-Frame-Number"), "the feed had ended")
	})
}

// A picture from before a pause is not served after it.
func TestSnapshotIsNotOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCamera(pictures(time.Hour, 10, nil))
		defer c.Close()
		assert.Equal(t, 200, look(t, c, t.Context(), "GET", "/camera/snapshot").Code)
		time.Sleep(snapshotAge + time.Millisecond)
		assert.Equal(t, 503, look(t, c, t.Context(), "GET", "/camera/snapshot").Code)
	})
}

func TestFeedIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int32
		c := NewCamera(CameraOptions{Viewers: 1, Feed: func(_ context.Context, rate func() float64, put func(Picture)) error {
			if tries.Add(1) < 3 {
				return errors.New("no broker")
			}
			assert.InDelta(t, snapshotRate, rate(), 0)
			put(Picture{JPEG: []byte{1}})
			return nil
		}})
		defer c.Close()
		assert.Equal(t, 200, look(t, c, t.Context(), "GET", "/camera/snapshot").Code)
		assert.EqualValues(t, 3, tries.Load())
	})
}

func TestCameraRequests(t *testing.T) {
	t.Parallel()
	yes := func() bool { return true }
	for _, c := range []struct {
		name, method, path string
		status             int // that May answers
		header             []string
		code               int
		body               string
	}{
		{"head of a snapshot", "HEAD", "/camera/snapshot", 0, nil, 200, ""},
		{"head of a stream", "HEAD", "/camera/stream", 0, nil, 200, ""},
		{"post", "POST", "/camera/stream", 0, nil, 405, ""},
		{"delete", "DELETE", "/camera/snapshot", 0, nil, 405, ""},
		{"another path", "GET", "/camera/", 0, nil, 404, ""},
		{"no number", "GET", "/camera/stream?fps=fast", 0, nil, 400, "fps is a number"},
		{"not a number", "GET", "/camera/stream?fps=NaN", 0, nil, 400, "fps is a number"},
		{"too fast", "GET", "/camera/stream?fps=61", 0, nil, 400, "fps is a number"},
		{"too slow", "GET", "/camera/stream?fps=0", 0, nil, 400, "fps is a number"},
		{"who are you", "GET", "/camera/snapshot", 401, nil, 401, "a user name"},
		{"who streams", "GET", "/camera/stream", 401, nil, 401, "a user name"},
		{"may not", "GET", "/camera/snapshot", 403, nil, 403, "Forbidden"},
		{"slowed", "GET", "/camera/snapshot", 429, nil, 429, "Too Many"},
		{"in a page from elsewhere", "GET", "/camera/snapshot", 0, []string{"Sec-Fetch-Site", "cross-site"}, 403, "elsewhere"},
		{"in a page of another port", "GET", "/camera/stream", 0, []string{"Sec-Fetch-Site", "same-site"}, 403, "elsewhere"},
		{"in our page", "GET", "/camera/snapshot", 0, []string{"Sec-Fetch-Site", "same-origin"}, 200, ""},
		{"typed in", "GET", "/camera/snapshot", 0, []string{"Sec-Fetch-Site", "none"}, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := pictures(time.Second, 10, nil)
				o.May = func(*http.Request) (int, func() bool) { return c.status, yes }
				cam := NewCamera(o)
				defer cam.Close()
				w := look(t, cam, t.Context(), c.method, c.path, c.header...)
				assert.Equal(t, c.code, w.Code)
				assert.Contains(t, w.Body.String(), c.body)
				assert.Equal(t, c.code == 401, w.Header().Get("WWW-Authenticate") != "")
				if c.code >= 400 || c.path == "/camera/stream" {
					assert.Nil(t, cam.cancel, "no feed was begun")
				}
			})
		})
	}
}

func TestViewersAreBounded(t *testing.T) {
	t.Parallel()
	o := pictures(10*time.Millisecond, 100, nil)
	o.Viewers = 2
	c := NewCamera(o)
	s := start(t, Options{Camera: c}, ServerOptions{})
	t.Cleanup(c.Close)
	get := func(path string) *http.Response {
		resp, err := http.Get("http://" + s.Addr().String() + path)
		require.NoError(t, err)
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	one := get("/camera/stream")
	assert.Equal(t, 200, one.StatusCode)
	assert.Equal(t, 200, get("/camera/stream").StatusCode)
	assert.Equal(t, 503, get("/camera/stream").StatusCode)
	assert.Equal(t, 200, get("/camera/snapshot").StatusCode, "single pictures have room of their own")
	one.Body.Close()
	require.Eventually(t, func() bool { return get("/camera/stream").StatusCode == 200 }, 5*time.Second, 10*time.Millisecond)
}

// A user who may no longer look sees no further picture.
func TestStreamOfAUserThatIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := pictures(time.Second, 10, nil)
		until := time.Now().Add(10 * time.Second)
		o.May = func(*http.Request) (int, func() bool) { return 0, func() bool { return time.Now().Before(until) } }
		c := NewCamera(o)
		defer c.Close()
		all := parts(t, look(t, c, t.Context(), "GET", "/camera/stream"))
		assert.Len(t, all, 11, "ten, and the one that ends it")
	})
}

// TestStalledViewer has a viewer that reads nothing: the others get every picture meanwhile, the
// feed does not wait, and in the end the viewer is given up.
func TestStalledViewer(t *testing.T) {
	t.Parallel()
	var longest atomic.Int64
	o := pictures(10*time.Millisecond, 200<<10, nil)
	feed := o.Feed
	o.Feed = func(ctx context.Context, rate func() float64, put func(Picture)) error {
		return feed(ctx, rate, func(p Picture) {
			t0 := time.Now()
			put(p)
			longest.Store(max(longest.Load(), int64(time.Since(t0))))
		})
	}
	c := NewCamera(o)
	c.write = 2 * time.Second
	s := start(t, Options{Camera: c}, ServerOptions{})
	t.Cleanup(c.Close)
	nc, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, "GET /camera/stream?fps=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	_, err = http.ReadResponse(bufio.NewReader(nc), nil)
	require.NoError(t, err)

	resp, err := http.Get("http://" + s.Addr().String() + "/camera/stream?fps=60")
	require.NoError(t, err)
	defer resp.Body.Close()
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	require.NoError(t, err)
	in := multipart.NewReader(resp.Body, params["boundary"])
	t0 := time.Now()
	for range 60 {
		p, err := in.NextPart()
		require.NoError(t, err)
		b, err := io.ReadAll(p)
		require.NoError(t, err)
		assert.Len(t, b, 200<<10)
	}
	assert.Less(t, time.Since(t0), 10*time.Second)
	assert.Less(t, time.Duration(longest.Load()), 500*time.Millisecond, "the feed waits for nobody")
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.streams == 1
	}, 10*time.Second, 10*time.Millisecond, "the stalled one is given up")
}

// TestStreamOutlivesTheTimeouts holds the deadlines of the server against a stream.
func TestStreamOutlivesTheTimeouts(t *testing.T) {
	t.Parallel()
	const timeout = 100 * time.Millisecond
	c := NewCamera(pictures(20*time.Millisecond, 100, nil))
	h, err := New(Options{Camera: c})
	require.NoError(t, err)
	s, err := Listen("127.0.0.1:0", h, ServerOptions{})
	require.NoError(t, err)
	s.http.ReadHeaderTimeout, s.http.ReadTimeout, s.http.WriteTimeout = timeout, timeout, timeout
	serve(t, s)
	t.Cleanup(c.Close)
	resp, err := http.Get("http://" + s.Addr().String() + "/camera/stream?fps=60")
	require.NoError(t, err)
	defer resp.Body.Close()
	in := multipart.NewReader(resp.Body, boundary)
	for t0 := time.Now(); time.Since(t0) < 5*timeout; {
		_, err := in.NextPart()
		require.NoError(t, err)
	}
	c.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err, "Close ends streams in an orderly way")
}
