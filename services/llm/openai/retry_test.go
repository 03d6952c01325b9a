package openai_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/llm/chat"
	"github.com/tarsd/tarsd/services/llm/openai"
)

// counting is a transport that counts its connections.
func counting(n *int) http.RoundTripper {
	return &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		*n++
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
}

// scripted is a transport without a network, for tests in fake time.
type scripted struct {
	steps []func(r *http.Request) (*http.Response, error)
	at    []time.Time
}

func (s *scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	s.at = append(s.at, time.Now())
	step := s.steps[min(len(s.at), len(s.steps))-1]
	return step(r)
}

func status(code int, header ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		if len(header) > 0 {
			h.Set(header[0], header[1])
		}
		return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	}
}

func body(text string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text))}, nil
	}
}

const (
	hello = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n"
	done  = "data: [DONE]\n\n"
)

func broken(*http.Request) (*http.Response, error) {
	return nil, errors.New("connection reset by peer")
}

func silent(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// endless is a body that sends a word every second.
type endless struct{ ctx context.Context }

func (e endless) Read(p []byte) (int, error) {
	select {
	case <-e.ctx.Done():
		return 0, e.ctx.Err()
	case <-time.After(time.Second):
		return copy(p, hello), nil
	}
}

func (endless) Close() error { return nil }

func TestRetries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps []func(*http.Request) (*http.Response, error)
		tries int
		text  string
		kind  chat.Kind
		least time.Duration
		most  time.Duration
	}{
		"429 with Retry-After":       {[]func(*http.Request) (*http.Response, error){status(429, "Retry-After", "3"), body(hello + done)}, 2, "Hello", "", 3 * time.Second, 3 * time.Second},
		"429 without it":             {[]func(*http.Request) (*http.Response, error){status(429), body(hello + done)}, 2, "Hello", "", 125 * time.Millisecond, 375 * time.Millisecond},
		"Retry-After as a date":      {[]func(*http.Request) (*http.Response, error){status(503, "Retry-After", "Sat, 01 Jan 2000 00:00:02 GMT"), body(hello + done)}, 2, "Hello", "", 2 * time.Second, 2 * time.Second},
		"nonsense in Retry-After":    {[]func(*http.Request) (*http.Response, error){status(503, "Retry-After", "NaN"), body(hello + done)}, 2, "Hello", "", 125 * time.Millisecond, 375 * time.Millisecond},
		"503 and a reset":            {[]func(*http.Request) (*http.Response, error){status(503), broken, body(hello + done)}, 3, "Hello", "", 375 * time.Millisecond, 1125 * time.Millisecond},
		"three times and no more":    {[]func(*http.Request) (*http.Response, error){status(500)}, 3, "", chat.Server, 375 * time.Millisecond, 1125 * time.Millisecond},
		"the stream ends in silence": {[]func(*http.Request) (*http.Response, error){body(""), body(hello + done)}, 2, "Hello", "", 125 * time.Millisecond, 375 * time.Millisecond},
		"never after a word":         {[]func(*http.Request) (*http.Response, error){body(hello), body(hello + done)}, 1, "Hello", chat.Cut, 0, 0},
		"never after a timeout":      {[]func(*http.Request) (*http.Response, error){silent}, 1, "", chat.Slow, 20 * time.Second, 20 * time.Second},
		"not after 401":              {[]func(*http.Request) (*http.Response, error){status(401)}, 1, "", chat.Key, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{steps: c.steps}
				retries := 0
				cl, err := openai.New(openai.Options{
					Name: "x", URL: "http://model.example/v1", Model: "m", Transport: s,
					Timeouts: openai.Timeouts{Connect: time.Second, First: 20 * time.Second, Idle: 5 * time.Second},
					Retry:    func(int, error, time.Duration) { retries++ },
				})
				require.NoError(t, err)
				start := time.Now()
				answer, _, err := ask(t, cl, chat.Request{})
				took := time.Since(start)
				assert.Equal(t, c.text, answer.Text)
				if c.kind == "" {
					require.NoError(t, err)
				} else {
					assert.Equal(t, c.kind, kind(t, err))
				}
				assert.Len(t, s.at, c.tries)
				assert.Equal(t, c.tries-1, retries)
				assert.GreaterOrEqual(t, took, c.least)
				assert.LessOrEqual(t, took, c.most)
			})
		})
	}
}

func TestTimeoutsAreOfTheSilenceNotOfTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl, err := openai.New(openai.Options{
			Name: "x", URL: "http://model.example/v1", Model: "m",
			Timeouts: openai.Timeouts{Connect: time.Second, First: 2 * time.Second, Idle: 2 * time.Second},
			Transport: &scripted{steps: []func(*http.Request) (*http.Response, error){func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: endless{r.Context()}}, nil
			}}},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
		defer cancel()
		answer, err := cl.Complete(ctx, chat.Request{}, func(string) error { return nil })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, strings.Repeat("Hello", 10), answer.Text, "a word a second for ten seconds")
	})
}

func TestCancelDuringTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl, err := openai.New(openai.Options{
			Name: "x", URL: "http://model.example/v1", Model: "m", Transport: &scripted{steps: []func(*http.Request) (*http.Response, error){status(429, "Retry-After", "4")}},
			Timeouts: openai.Timeouts{Connect: time.Second, First: time.Second, Idle: time.Second},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err = cl.Complete(ctx, chat.Request{}, func(string) error { return nil })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
	})
}
