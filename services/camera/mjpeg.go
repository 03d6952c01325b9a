package camera

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// httpSource is a camera that sends JPEG pictures over HTTP, as multipart/x-mixed-replace or one
// after the other. What is between the pictures is not looked at.
type httpSource struct {
	o   *Options
	url *url.URL
}

func (s httpSource) String() string { return s.url.Redacted() }

func (s httpSource) open(ctx context.Context) (reader, error) {
	// The body is read for as long as the reader lives; only the answer has to come in time.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	req, err := http.NewRequestWithContext(life, http.MethodGet, s.url.String(), nil)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open %s: %w", s, err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{ResponseHeaderTimeout: s.o.Timeout, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open %s: %s", s, hidePasswords(err.Error()))
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		cancel()
		return nil, fmt.Errorf("open %s: %s", s, resp.Status)
	}
	if !stop() { // ctx ended meanwhile
		resp.Body.Close()
		return nil, fmt.Errorf("open %s: %w", s, ctx.Err())
	}
	return &httpReader{newPump(resp.Body), cancel}, nil
}

type httpReader struct {
	*pump
	cancel context.CancelFunc
}

func (r *httpReader) close() {
	r.cancel()
	r.pump.stop()
}

// pace is how far apart pictures are.
func pace(fps float64) time.Duration { return time.Duration(float64(time.Second) / fps) }
