package llmtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

// Reply is what a server does with one request, in parts.
type Reply []Part

// Part does one thing on the stream. It reports whether the reply goes on.
type Part func(s *stream) bool

// stream is one answer under way.
type stream struct {
	w     http.ResponseWriter
	r     *http.Request
	q     Request
	begun bool
}

// event writes one server-sent event.
func (s *stream) event(data string) bool { return s.raw("data: " + data + "\n\n") }

// raw writes bytes at once.
func (s *stream) raw(text string) bool {
	if !s.begun {
		s.begun = true
		if s.w.Header().Get("Content-Type") == "" {
			s.w.Header().Set("Content-Type", "text/event-stream")
		}
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return false
	}
	return http.NewResponseController(s.w).Flush() == nil
}

// chunk is an event with one choice.
func (s *stream) chunk(delta map[string]any, finish any) bool {
	return s.event(encode(map[string]any{
		"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": s.model(),
		"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}},
	}))
}

func (s *stream) model() string {
	if s.q.Model == "" {
		return "script-1"
	}
	return s.q.Model
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only values of this package get here
	}
	return string(b)
}

// Say is a complete answer in the given pieces, with a usage of one token for each.
func Say(words ...string) Reply { return Reply{Words(words...), Done("stop")} }

// Words are pieces of text, each in a chunk of its own.
func Words(words ...string) Part {
	return func(s *stream) bool {
		for _, w := range words {
			if !s.chunk(map[string]any{"content": w}, nil) {
				return false
			}
		}
		return true
	}
}

// Done ends an answer as it should: the reason, the usage, and the mark of the end.
func Done(reason string) Part {
	return func(s *stream) bool {
		return s.chunk(map[string]any{}, reason) &&
			s.event(`{"model":"`+s.model()+`","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}`) &&
			s.event("[DONE]")
	}
}

// Call asks for one tool, its arguments cut into the given number of pieces.
func Call(index int, id, name, arguments string, pieces int) Part {
	return func(s *stream) bool {
		call := func(f map[string]any, more map[string]any) bool {
			c := map[string]any{"index": index, "function": f}
			maps.Copy(c, more)
			return s.chunk(map[string]any{"tool_calls": []any{c}}, nil)
		}
		if !call(map[string]any{"name": name, "arguments": ""}, map[string]any{"id": id, "type": "function"}) {
			return false
		}
		pieces = max(1, min(pieces, len(arguments)))
		for i := range pieces {
			from, to := len(arguments)*i/pieces, len(arguments)*(i+1)/pieces
			if !call(map[string]any{"arguments": arguments[from:to]}, nil) {
				return false
			}
		}
		return true
	}
}

// CallTool is a complete answer that asks for one tool, in three pieces.
func CallTool(id, name, arguments string) Reply {
	return Reply{Call(0, id, name, arguments, 3), Done("tool_calls")}
}

// Event is one event with this data, whatever it is.
func Event(data string) Part { return func(s *stream) bool { return s.event(data) } }

// Raw are bytes as they are: half lines, comments, nonsense.
func Raw(text string) Part { return func(s *stream) bool { return s.raw(text) } }

// Comment is a comment, as servers send it to keep a connection open.
func Comment(text string) Part { return Raw(": " + text + "\n\n") }

// Stall is silence until the client leaves.
func Stall() Part {
	return func(s *stream) bool {
		<-s.r.Context().Done()
		return false
	}
}

// Wait is silence until the channel is closed, or the client leaves.
func Wait(until <-chan struct{}) Part {
	return func(s *stream) bool {
		select {
		case <-until:
			return true
		case <-s.r.Context().Done():
			return false
		}
	}
}

// Cut closes the connection without the end of the answer.
func Cut() Part {
	return func(s *stream) bool {
		conn, _, err := http.NewResponseController(s.w).Hijack()
		if err == nil {
			conn.Close()
		}
		return false
	}
}

// Header sets a header of the answer; it stands before what is sent.
func Header(name, value string) Part {
	return func(s *stream) bool {
		s.w.Header().Set(name, value)
		return true
	}
}

// Huge is one line of n bytes.
func Huge(n int) Part { return Raw("data: " + strings.Repeat("x", n) + "\n\n") }

// Endless sends pieces of text until the client leaves.
func Endless(word string) Part {
	return func(s *stream) bool {
		for s.chunk(map[string]any{"content": word}, nil) {
			if s.r.Context().Err() != nil {
				return false
			}
		}
		return false
	}
}

// Drip sends a piece of text again and again, with a pause between, until the client leaves.
func Drip(word string, pause time.Duration) Part {
	return func(s *stream) bool {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for s.chunk(map[string]any{"content": word}, nil) {
			select {
			case <-s.r.Context().Done():
				return false
			case <-tick.C:
			}
		}
		return false
	}
}

// Whole is an answer that is not streamed.
func Whole(text string) Reply {
	return Reply{Header("Content-Type", "application/json"), func(s *stream) bool {
		return s.raw(encode(map[string]any{
			"id": "chatcmpl-1", "object": "chat.completion", "model": s.model(),
			"choices": []any{map[string]any{
				"index": 0, "message": map[string]any{"role": "assistant", "content": text}, "finish_reason": "stop",
			}},
			"usage": map[string]any{"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
		}))
	}}
}

// Fail refuses with a status and OpenAI's form of an error. Headers are pairs of name and value.
func Fail(status int, text string, headers ...string) Reply {
	return Reply{func(s *stream) bool {
		s.w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			s.w.Header().Set(headers[i], headers[i+1])
		}
		s.w.WriteHeader(status)
		fmt.Fprint(s.w, encode(map[string]any{"error": map[string]any{"message": text, "type": "error", "param": nil, "code": nil}}))
		return false
	}}
}

// Unsupported refuses a parameter, as OpenAI does.
func Unsupported(param, text string) Reply {
	return Reply{func(s *stream) bool {
		s.w.Header().Set("Content-Type", "application/json")
		s.w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(s.w, encode(map[string]any{"error": map[string]any{
			"message": text, "type": "invalid_request_error", "param": param, "code": "unsupported_parameter",
		}}))
		return false
	}}
}
