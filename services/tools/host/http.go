package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/net/http/httpguts"
)

// checkURL judges the address of a server.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("is not a URL") // the error would repeat it, with what secret it may hold
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("its scheme is %q, not http or https", u.Scheme)
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.User != nil:
		return errors.New("has a user in it; use headers")
	}
	return nil
}

// checkHeader judges a header. Its value may be a secret.
func checkHeader(name, value string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%.64q is not a name", name)
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return fmt.Errorf("the value of %s is not one for a header", name)
	}
	return nil
}

// overHTTP is the transport of a server behind a URL.
func overHTTP(s Server) (mcp.Transport, func(), error) {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: s.ConnectTimeout}).DialContext,
		TLSHandshakeTimeout: s.ConnectTimeout,
		MaxConnsPerHost:     16,
		IdleConnTimeout:     90 * time.Second,
	}
	life, cut := context.WithCancel(context.Background())
	c := &http.Client{
		Transport: bounded(life, t, s.Headers),
		// A redirect would carry the headers to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}
	end := func() {
		t.CloseIdleConnections()
		time.AfterFunc(politeWait, cut) // the farewell may take as long, and whatever else is open no longer
	}
	return &mcp.StreamableClientTransport{Endpoint: s.URL, HTTPClient: c, MaxRetries: 2, MaxEventSize: maxFrame}, end, nil
}

var (
	errRedirect = errors.New("the server points elsewhere; configure that URL")
	errHuge     = errors.New("the answer is too large")
)

// roundTrip is a function as an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// bounded adds the headers to requests, ends them when life does, and bounds answers that are read
// as a whole. Streams are bounded by the event.
func bounded(life context.Context, next http.RoundTripper, headers map[string]string) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		ctx, cancel := context.WithCancel(r.Context())
		stop := context.AfterFunc(life, cancel)
		r = r.Clone(ctx)
		for name, v := range headers {
			r.Header.Set(name, v)
		}
		resp, err := next.RoundTrip(r)
		if err != nil {
			stop()
			cancel()
			return nil, err
		}
		b := &body{ReadCloser: resp.Body, left: maxFrame, end: func() { stop(); cancel() }}
		if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
			b.left = math.MaxInt
		}
		resp.Body = b
		return resp, nil
	}
}

// body fails after so many bytes.
type body struct {
	io.ReadCloser
	left int
	end  func()
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errHuge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	if b.left != math.MaxInt {
		b.left -= n
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}
