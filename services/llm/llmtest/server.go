// Package llmtest is an OpenAI-style chat server on loopback that does what a script says: it
// answers, calls tools, and fails in every way that real servers do. Tests of the llm service and
// of whole dialogues use it.
package llmtest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Server answers requests with the replies of its script, one after the other.
type Server struct {
	URL string // base URL, with /v1

	t       testing.TB
	models  []string
	changed chan struct{} // replaced at each change of what mu guards

	mu       sync.Mutex
	script   []Reply
	always   func(Request) Reply
	requests []Request
	ended    int // replies whose handler has returned
	gone     int // replies whose client left before their end
}

// Request is what a client asked, as far as tests look at it.
type Request struct {
	Model               string    `json:"model"`
	Messages            []Message `json:"messages"`
	Tools               []Tool    `json:"tools"`
	Stream              bool      `json:"stream"`
	MaxTokens           int       `json:"max_tokens"`
	MaxCompletionTokens int       `json:"max_completion_tokens"`
	Temperature         *float64  `json:"temperature"`
	TopP                *float64  `json:"top_p"`

	Raw    map[string]json.RawMessage `json:"-"`
	Header http.Header                `json:"-"`
	At     time.Time                  `json:"-"` // of its arrival
}

// Message is one message of a request.
type Message struct {
	Role      string     `json:"role"`
	Content   string     `json:"content"`
	ToolCalls []ToolCall `json:"tool_calls"`
	CallID    string     `json:"tool_call_id"`
}

// ToolCall is a call in the history of a request.
type ToolCall struct {
	ID       string `json:"id"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// Tool is a tool that a request offers.
type Tool struct {
	Type     string `json:"type"`
	Function struct {
		Name       string          `json:"name"`
		Parameters json.RawMessage `json:"parameters"`
	} `json:"function"`
}

// Last is the text of the last message.
func (r Request) Last() string {
	if len(r.Messages) == 0 {
		return ""
	}
	return r.Messages[len(r.Messages)-1].Content
}

// Start starts a server that ends with the test. A request beyond the script is an error of the
// test, unless Always has been called.
func Start(t testing.TB, script ...Reply) *Server {
	t.Helper()
	s := &Server{t: t, script: script, models: []string{"script-1"}, changed: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", s.complete)
	mux.HandleFunc("GET /v1/models", s.list)
	srv := httptest.NewServer(mux)
	s.URL = srv.URL + "/v1"
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return s
}

// Script adds replies to the script.
func (s *Server) Script(replies ...Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, replies...)
}

// Always answers what the script does not.
func (s *Server) Always(f func(Request) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = f
}

// Models sets what the server lists; none is an empty list.
func (s *Server) Models(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.models = names
}

// Requests are the requests so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// WaitRequests waits until n requests have come in all, and returns them.
func (s *Server) WaitRequests(t testing.TB, n int) []Request {
	t.Helper()
	s.wait(t, func() bool { return len(s.requests) >= n }, "%d requests", n)
	return s.Requests()
}

// WaitGone waits until the clients of n replies in all have left in the middle: the stream was
// stopped on the wire.
func (s *Server) WaitGone(t testing.TB, n int) {
	t.Helper()
	s.wait(t, func() bool { return s.gone >= n }, "%d clients gone", n)
}

// Ended is how many replies are over.
func (s *Server) Ended() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

func (s *Server) wait(t testing.TB, ok func() bool, what string, args ...any) {
	t.Helper()
	for {
		s.mu.Lock()
		changed, yes := s.changed, ok()
		s.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			require.FailNowf(t, "the test is over", "waiting for "+what, args...)
		}
	}
}

// change runs f under the lock and wakes those who wait.
func (s *Server) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client left
	}
	q := Request{Header: r.Header.Clone(), At: at}
	if err := json.Unmarshal(body, &q); err != nil {
		http.Error(w, `{"error":{"message":"not a request"}}`, http.StatusBadRequest)
		s.t.Errorf("llmtest: the request is not JSON: %s", body)
		return
	}
	_ = json.Unmarshal(body, &q.Raw)
	var reply Reply
	s.change(func() {
		s.requests = append(s.requests, q)
		switch {
		case len(s.script) > 0:
			reply, s.script = s.script[0], s.script[1:]
		case s.always != nil:
			reply = s.always(q)
		default:
			s.t.Errorf("llmtest: request %d is beyond the script: %q", len(s.requests), q.Last())
			reply = Fail(http.StatusInternalServerError, "the script is over")
		}
	})
	st := &stream{w: w, r: r, q: q}
	defer s.change(func() {
		s.ended++
		if r.Context().Err() != nil {
			s.gone++
		}
	})
	for _, part := range reply {
		if !part(st) {
			return
		}
	}
}

func (s *Server) list(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	type model struct {
		ID string `json:"id"`
	}
	list := []model{}
	for _, m := range s.models {
		list = append(list, model{m})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": list})
}
