// Package openai speaks the chat completions of OpenAI-style servers: OpenAI itself, Ollama,
// llama.cpp, vLLM, Gemini's compatible endpoint and others. It owns the HTTP client, the stream,
// its timeouts and limits, retries, and what a server turns out not to take. Everything that a
// server sends is bounded and judged as hostile. It leaves conversations, tools and topics to
// services/llm.
package openai

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tarsd/tarsd/services/llm/chat"
)

// DefaultURL is OpenAI's own server.
const DefaultURL = "https://api.openai.com/v1"

// Timeouts of one attempt. Each must be above 0.
type Timeouts struct {
	Connect time.Duration // for a connection, and again for TLS
	First   time.Duration // from the request to the first event of the answer
	Idle    time.Duration // between two events
}

// Limits bound what a server can make us read and keep.
type Limits struct {
	Line      int   // bytes of one line of a stream
	Body      int64 // bytes of one answer on the wire
	Text      int   // bytes of text; an answer is cut there, which is no error
	Calls     int   // tool calls of one answer
	CallBytes int   // bytes of names, ids and arguments of all of them
}

// DefaultLimits are far above what a spoken answer needs.
func DefaultLimits() Limits {
	return Limits{Line: 256 << 10, Body: 8 << 20, Text: 32 << 10, Calls: 16, CallBytes: 64 << 10}
}

// Options of New.
type Options struct {
	Name     string                 // what health and responses call it
	URL      string                 // base, such as https://api.openai.com/v1; may hold user:password@
	Key      func() (string, error) // asked for every request, so that a key file can change; nil: none
	Model    string                 // empty: the first that the server lists
	Timeouts Timeouts
	Limits   Limits                                          // zero: DefaultLimits
	Attempts int                                             // tries of a request that fails before its first word; 0: 3
	Retry    func(attempt int, cause error, w time.Duration) // told of each retry; may be nil
	// Transport takes the place of the network in tests.
	Transport http.RoundTripper
}

// Client is a chat.Provider over HTTP. It is safe for concurrent use; mu guards what has been
// learned about the server.
type Client struct {
	o    Options
	base *url.URL
	http *http.Client
	wg   sync.WaitGroup // of drain

	mu     sync.Mutex
	model  string            // that the server listed first
	quirks map[string]quirks // by model
}

var _ chat.Provider = (*Client)(nil)

// New makes a client. It opens no connection.
func New(o Options) (*Client, error) {
	base, err := baseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits()
	}
	if o.Attempts == 0 {
		o.Attempts = 3
	}
	if o.Transport == nil {
		o.Transport = transport(o.Timeouts.Connect)
	}
	return &Client{
		o: o, base: base, quirks: map[string]quirks{},
		http: &http.Client{
			Transport: o.Transport,
			// A redirect would carry the question, and perhaps the key, to another place.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// baseURL checks and cleans the base URL. Owners paste the whole endpoint as well.
func baseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the URL of the language model is not like https://api.openai.com/v1") // raw may hold a password
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/chat/completions")
	u.RawPath, u.Fragment = "", ""
	return u, nil
}

func transport(connect time.Duration) http.RoundTripper {
	d := &net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            d.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connect,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// Name implements chat.Provider.
func (c *Client) Name() string { return c.o.Name }

// Model is the model that is used when a request names none; empty as long as it is not known.
func (c *Client) Model() string {
	if c.o.Model != "" {
		return c.o.Model
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.model
}

// URL is the base URL without user and password.
func (c *Client) URL() string {
	u := *c.base
	u.User, u.RawQuery = nil, ""
	return u.String()
}

// Close waits for the last bytes of answers and closes idle connections. No round may be under way.
func (c *Client) Close() {
	c.wg.Wait()
	c.http.CloseIdleConnections()
}

// Complete implements chat.Provider. A request that fails before its first word is tried again
// when that makes sense: with growing waits, as the server asks, and never after a word.
func (c *Client) Complete(ctx context.Context, q chat.Request, say func(string) error) (chat.Answer, error) {
	model, err := c.pick(ctx, q.Model)
	if err != nil {
		return chat.Answer{}, err
	}
	wait := 250 * time.Millisecond
	for attempt, adapted := 1, 0; ; attempt++ {
		t := &turn{c: c, q: q, model: model, quirks: c.quirk(model), say: say}
		answer, err := t.run(ctx)
		if err == nil || ctx.Err() != nil || t.said {
			return answer, err
		}
		var e *chat.Error
		if !errors.As(err, &e) {
			return answer, err
		}
		if adapted < maxAdapt && c.adapt(model, t.quirks, e, t.refusal) {
			adapted++
			attempt--
			continue
		}
		pause := max(wait/2+rand.N(wait), e.After)
		if !retry(e) || attempt >= c.o.Attempts || e.After > maxAfter {
			return answer, err
		}
		if c.o.Retry != nil {
			c.o.Retry(attempt, err, pause)
		}
		if err := sleep(ctx, pause); err != nil {
			return answer, err
		}
		wait *= 2
	}
}

// maxAfter is the longest wait that a server can ask for: a person is waiting.
const maxAfter = 5 * time.Second

// retry reports whether another attempt makes sense. After a timeout it does not: the person has
// waited long enough.
func retry(e *chat.Error) bool { return e.Passing() && e.Kind != chat.Slow }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// request makes a request below the base URL.
func (c *Client) request(ctx context.Context, method, path string, payload io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base.JoinPath(path).String(), payload)
	if err != nil {
		return nil, chat.Errorf(chat.Setup, "make the request: %s", c.clean(err.Error()))
	}
	r.Header.Set("User-Agent", "tarsd")
	if c.o.Key != nil {
		key, err := c.o.Key()
		if err != nil {
			return nil, chat.Errorf(chat.Key, "%w", err)
		}
		if strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, chat.Errorf(chat.Key, "the key holds control characters")
		}
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
	}
	return r, nil
}

// fault makes an error of what the HTTP client says, without the URL, which may hold secrets.
func (c *Client) fault(ctx context.Context, err error, what string) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var e *chat.Error
	if errors.As(err, &e) {
		return e
	}
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	kind := chat.Unreachable
	if n := net.Error(nil); errors.As(err, &n) && n.Timeout() {
		kind = chat.Slow
	}
	return &chat.Error{Kind: kind, Detail: fmt.Sprintf("%s: %s", what, c.clean(err.Error())), Err: err}
}
