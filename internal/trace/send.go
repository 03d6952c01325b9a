package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
)

// send takes spans from the queue until Close, and then what is left of them.
func (t *Tracer) send(ctx context.Context) {
	batch := make([]span, 0, batchSize)
	for closing := false; ; {
		batch = batch[:0]
		select {
		case s := <-t.queue:
			batch = append(batch, s)
		case <-t.stop:
			closing = true
		}
		batch = t.fill(batch, closing)
		if len(batch) > 0 {
			t.deliver(ctx, batch)
		} else if closing {
			return
		}
		if ctx.Err() != nil {
			t.dropped.Add(uint64(len(t.queue)))
			return
		}
	}
}

// fill adds what comes within the time to gather; when closing, what is there.
func (t *Tracer) fill(batch []span, closing bool) []span {
	timer := time.NewTimer(t.o.gather)
	defer timer.Stop()
	for len(batch) < batchSize {
		if closing {
			select {
			case s := <-t.queue:
				batch = append(batch, s)
				continue
			default:
				return batch
			}
		}
		select {
		case s := <-t.queue:
			batch = append(batch, s)
		case <-timer.C:
			return batch
		case <-t.stop:
			closing = true
		}
	}
	return batch
}

// deliver posts a batch until the collector has taken or refused it. While it is away the queue
// fills, and then drops.
func (t *Tracer) deliver(ctx context.Context, batch []span) {
	body, err := proto.Marshal(encode(batch, t.o.Version))
	if err != nil {
		t.lose(len(batch), err)
		return
	}
	for wait, failures := t.o.retry, 0; ; wait = min(2*wait, mostWait) {
		after, err := t.post.do(ctx, body)
		if err == nil {
			t.sent.Add(uint64(len(batch)))
			if failures > 0 {
				t.o.Log.Info().Uint64("dropped", t.dropped.Load()).Msg("trace collector is back")
			}
			return
		}
		if after < 0 {
			t.lose(len(batch), err)
			return
		}
		if failures++; failures == 1 {
			t.o.Log.Warn().Err(err).Msg("trace collector does not answer; spans wait, then are dropped")
		}
		select {
		case <-time.After(min(max(wait, after), mostWait)):
		case <-t.stop: // one try is enough now
			t.dropped.Add(uint64(len(batch)))
			return
		}
	}
}

func (t *Tracer) lose(n int, err error) {
	t.dropped.Add(uint64(n)) //nolint:gosec // a length
	t.o.Log.Warn().Err(err).Int("count", n).Msg("spans refused")
}

// poster makes the requests.
type poster struct {
	url    string
	header http.Header
	http   *http.Client
}

func newPoster(o Options) (poster, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return poster{}, errors.New("trace endpoint: not an http URL")
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
	}
	p := poster{url: u.String(), header: http.Header{}, http: &http.Client{
		Timeout:   respond,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second},
		// The headers may hold a secret, which is meant for this host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for k, v := range o.Headers {
		p.header.Set(k, v)
	}
	p.header.Set("Content-Type", "application/x-protobuf")
	p.header.Set("User-Agent", "tarsd/"+o.Version)
	return p, nil
}

// do posts once. With an error, after is how long the collector wants us to wait, and negative
// when it wants us to give up.
func (p poster) do(ctx context.Context, body []byte) (after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return -1, err
	}
	req.Header = p.header.Clone()
	resp, err := p.http.Do(req)
	if err != nil {
		var u *url.Error // says the URL, which may hold a password
		if errors.As(err, &u) {
			err = u.Err
		}
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return 0, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if s, serr := strconv.Atoi(resp.Header.Get("Retry-After")); serr == nil && s > 0 {
			after = time.Duration(min(s, 3600)) * time.Second
		}
		return after, fmt.Errorf("status %s", resp.Status)
	}
	return -1, fmt.Errorf("status %s", resp.Status)
}
