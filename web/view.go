package web

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"
)

// May decides whether a request may be served. It answers 0, or the HTTP status of the refusal, and
// a function that reports whether the answer still holds, for requests that last.
type May func(r *http.Request) (status int, still func() bool)

// Ranges of ?fps=.
const (
	minFPS     = 0.1
	maxFPS     = 60.0
	defaultFPS = 10.0
)

// boundary stands between the pictures of a stream.
const boundary = "tarsd-picture"

// sendBuffer is how many bytes of a stream may wait in the system's buffer. What waits there gets
// old, and the system would let megabytes wait.
const sendBuffer = 64 << 10

type connKey struct{}

func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, nc)
}

// routes adds the camera's.
func (c *Camera) routes(mux *http.ServeMux) {
	mux.Handle("GET /camera/stream", c.guarded(c.stream))
	mux.Handle("GET /camera/snapshot", c.guarded(c.snapshot))
}

// guarded asks May. What browsers send for pages from elsewhere is refused: they would add the
// credentials of their user.
func (c *Camera) guarded(next func(w http.ResponseWriter, r *http.Request, still func() bool)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
			http.Error(w, "pages from elsewhere may not show the camera", http.StatusForbidden)
			return
		}
		status, still := 0, func() bool { return true }
		if c.o.May != nil {
			status, still = c.o.May(r)
		}
		switch status {
		case 0:
			next(w, r, still)
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", `Basic realm="tarsd", charset="UTF-8"`)
			http.Error(w, "a user name and a password are needed", status)
		default:
			http.Error(w, http.StatusText(status), status)
		}
	})
}

// unavailable is the answer when there is no picture or no room.
func unavailable(w http.ResponseWriter, text string) {
	w.Header().Set("Retry-After", "5")
	http.Error(w, text, http.StatusServiceUnavailable)
}

// stream sends pictures until the viewer goes, or no more come.
func (c *Camera) stream(w http.ResponseWriter, r *http.Request, still func() bool) {
	fps := defaultFPS
	if q := r.URL.Query().Get("fps"); q != "" {
		var err error
		if fps, err = strconv.ParseFloat(q, 64); err != nil || !(fps >= minFPS && fps <= maxFPS) {
			http.Error(w, fmt.Sprintf("fps is a number from %v to %v", minFPS, maxFPS), http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary="+boundary)
	if r.Method == http.MethodHead {
		return
	}
	v := c.enter(fps, true)
	if v == nil {
		unavailable(w, "too many viewers")
		return
	}
	defer c.leave(v)
	pic, err := c.next(r.Context(), 0, time.Time{}, cameraQuiet)
	if err != nil {
		unavailable(w, err.Error())
		return
	}
	s := &partWriter{w: w, rc: http.NewResponseController(w), within: c.write}
	_ = s.rc.SetReadDeadline(time.Time{}) // the server's would end the stream
	if nc, ok := r.Context().Value(connKey{}).(*net.TCPConn); ok {
		_ = nc.SetWriteBuffer(sendBuffer)
	}
	s.begin()
	pace, due := time.Duration(float64(time.Second)/fps), time.Now()
	for s.err == nil && still() {
		s.part(pic)
		if due.Before(pic.came) {
			due = pic.came
		}
		due = due.Add(pace)
		// A picture that comes is sent at once, or left out. Half a pace early is in time: pictures do not
		// come with the beat of a clock.
		if pic, err = c.next(r.Context(), pic.seq, due.Add(-pace/2), cameraQuiet+pace); err != nil {
			break
		}
	}
	s.end()
}

// partWriter writes the parts of a stream. The boundary follows each picture at once, because
// browsers show a picture when they have seen what ends it.
type partWriter struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	within time.Duration // a picture has to be taken
	err    error
}

func (s *partWriter) deadline() { _ = s.rc.SetWriteDeadline(time.Now().Add(s.within)) }

func (s *partWriter) write(b []byte) {
	if s.err == nil {
		_, s.err = s.w.Write(b)
	}
}

func (s *partWriter) begin() {
	s.deadline()
	s.write([]byte("--" + boundary + "\r\n"))
}

func (s *partWriter) part(p *Picture) {
	s.deadline()
	head := http.Header{}
	p.describe(head)
	b := fmt.Appendf(nil, "Content-Type: image/jpeg\r\nContent-Length: %d\r\n", len(p.JPEG))
	for k := range head {
		b = fmt.Appendf(b, "%s: %s\r\n", k, head.Get(k))
	}
	s.write(append(b, "\r\n"...))
	s.write(p.JPEG)
	s.write([]byte("\r\n--" + boundary + "\r\n"))
	if s.err == nil {
		s.err = s.rc.Flush()
	}
}

// end says that nothing more comes, on a picture too.
func (s *partWriter) end() {
	s.deadline()
	pic := lastPicture()
	s.write(fmt.Appendf(nil, "Content-Type: image/jpeg\r\nContent-Length: %d\r\nX-Stale: unknown\r\n\r\n%s\r\n--%s--\r\n", len(pic), pic, boundary))
}

// describe sets what is known of a picture.
func (p *Picture) describe(h http.Header) {
	if !p.Taken.IsZero() {
		h.Set("X-Timestamp", strconv.FormatFloat(float64(p.Taken.UnixMilli())/1e3, 'f', 3, 64))
	}
	if p.Number > 0 {
		h.Set("X-Frame-Number", strconv.Itoa(p.Number))
	}
	switch {
	case p.Stale && p.Age < 0:
		h.Set("X-Stale", "never") // was there one
	case p.Stale:
		h.Set("X-Stale", strconv.FormatFloat(math.Floor(p.Age.Seconds()), 'f', 0, 64))
	}
}

// snapshot sends one new picture.
func (c *Camera) snapshot(w http.ResponseWriter, r *http.Request, _ func() bool) {
	v := c.enter(snapshotRate, false)
	if v == nil {
		unavailable(w, "too many viewers")
		return
	}
	defer c.leave(v)
	pic, err := c.next(r.Context(), 0, time.Time{}, snapshotWait)
	if err == nil && pic.Stale && r.URL.Query().Get("stale") != "ok" {
		pic.describe(w.Header())
		err = errStale
	}
	if err != nil {
		unavailable(w, err.Error())
		return
	}
	pic.describe(w.Header())
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Content-Length", strconv.Itoa(len(pic.JPEG)))
	_, _ = w.Write(pic.JPEG) // fails only when the peer has gone
}
