package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tarsd/tarsd/services/llm/chat"
)

// The request, as far as tarsd uses it.
type (
	body struct {
		Model               string         `json:"model"`
		Messages            []message      `json:"messages"`
		Tools               []tool         `json:"tools,omitempty"`
		Stream              bool           `json:"stream"`
		StreamOptions       *streamOptions `json:"stream_options,omitempty"`
		MaxTokens           int            `json:"max_tokens,omitempty"`
		MaxCompletionTokens int            `json:"max_completion_tokens,omitempty"`
		Temperature         *float64       `json:"temperature,omitempty"`
		TopP                *float64       `json:"top_p,omitempty"`
	}
	streamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	}
	message struct {
		Role      string  `json:"role"`
		Content   *string `json:"content"` // null beside tool calls without words
		ToolCalls []call  `json:"tool_calls,omitempty"`
		CallID    string  `json:"tool_call_id,omitempty"`
	}
	call struct {
		ID       string   `json:"id"`
		Type     string   `json:"type"`
		Function function `json:"function"`
	}
	function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	tool struct {
		Type     string   `json:"type"`
		Function toolSpec `json:"function"`
	}
	toolSpec struct {
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Parameters  json.RawMessage `json:"parameters,omitempty"`
	}
)

// The answer: a chunk of a stream and a whole completion are read alike.
type (
	chunk struct {
		Model   string          `json:"model"`
		Choices []choice        `json:"choices"`
		Usage   *usage          `json:"usage"`
		Error   json.RawMessage `json:"error"`
	}
	choice struct {
		Index   int    `json:"index"`
		Delta   delta  `json:"delta"`
		Message delta  `json:"message"`
		Finish  string `json:"finish_reason"`
	}
	delta struct {
		Content   text        `json:"content"`
		Refusal   string      `json:"refusal"`
		ToolCalls []deltaCall `json:"tool_calls"`
	}
	deltaCall struct {
		Index    *int   `json:"index"`
		ID       string `json:"id"`
		Function struct {
			Name      string    `json:"name"`
			Arguments arguments `json:"arguments"`
		} `json:"function"`
	}
	usage struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	}
)

// text is a string, null, or a list of parts, of which those of type text count.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		var parts []struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}
		if err := json.Unmarshal(b, &parts); err != nil {
			return err
		}
		for _, p := range parts {
			if p.Type == "text" {
				*t += text(p.Text)
			}
		}
		return nil
	}
	return json.Unmarshal(b, (*string)(t))
}

// arguments are JSON in a string; some servers send the object itself.
type arguments string

// UnmarshalJSON implements json.Unmarshaler.
func (a *arguments) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		*a = arguments(b)
		return nil
	}
	return json.Unmarshal(b, (*string)(a))
}

// encode makes the request of q, with what is known of the server.
func encode(q chat.Request, model string, k quirks) ([]byte, error) {
	b := body{Model: model, Messages: make([]message, len(q.Messages)), Stream: true}
	for i, m := range q.Messages {
		out := message{Role: m.Role, Content: &m.Content, CallID: m.CallID}
		for _, c := range m.Calls {
			args := c.Arguments
			if !json.Valid([]byte(args)) {
				args = "{}" // servers parse it, and the model is told that it was wrong
			}
			out.ToolCalls = append(out.ToolCalls, call{c.ID, "function", function{c.Name, args}})
		}
		if m.Content == "" && len(m.Calls) > 0 {
			out.Content = nil
		}
		b.Messages[i] = out
	}
	if !k.noTools {
		for _, t := range q.Tools {
			b.Tools = append(b.Tools, tool{"function", toolSpec(t)})
		}
	}
	if !k.noStreamOptions {
		b.StreamOptions = &streamOptions{true}
	}
	if k.completionTokens {
		b.MaxCompletionTokens = q.MaxTokens
	} else {
		b.MaxTokens = q.MaxTokens
	}
	if q.Temperature >= 0 && !k.noTemperature {
		b.Temperature = &q.Temperature
	}
	if q.TopP >= 0 && !k.noTopP {
		b.TopP = &q.TopP
	}
	return json.Marshal(b)
}

// apiError is the error object of an answer, in any of the forms that servers use: an object with
// message, a plain string, or a detail.
type apiError struct {
	Message string
	Code    string
	Param   string
}

func parseError(raw []byte) apiError {
	var outer struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	raw = bytes.TrimSpace(raw)
	if bytes.HasPrefix(raw, []byte("[")) { // Gemini wraps it in a list
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) == nil && len(list) > 0 {
			raw = list[0]
		}
	}
	if json.Unmarshal(raw, &outer) != nil {
		return apiError{Message: string(raw)}
	}
	e := innerError(outer.Error)
	if e.Message == "" {
		e.Message = outer.Message
	}
	if e.Message == "" {
		e.Message = string(outer.Detail)
	}
	return e
}

func innerError(raw json.RawMessage) apiError {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return apiError{Message: s}
	}
	var o struct {
		Message string `json:"message"`
		Code    any    `json:"code"` // a word, or a number
		Type    string `json:"type"`
		Param   any    `json:"param"`
	}
	if json.Unmarshal(raw, &o) != nil {
		return apiError{}
	}
	e := apiError{Message: o.Message, Code: o.Type}
	if c, ok := o.Code.(string); ok && c != "" {
		e.Code = c
	}
	e.Param, _ = o.Param.(string)
	return e
}

// gather puts the calls of a stream together, whose names and arguments come in pieces.
type gather struct {
	calls []chat.Call
	index []int // of the server, by position in calls
	bytes int
	limit Limits
}

var errCalls = errors.New("more tool calls, or larger ones, than the limits allow")

func (g *gather) add(deltas []deltaCall) error {
	for _, d := range deltas {
		i, err := g.slot(d)
		if err != nil {
			return err
		}
		c := &g.calls[i]
		if c.ID == "" {
			c.ID = d.ID
		}
		if d.Function.Name != c.Name { // some repeat the whole name with every piece
			c.Name += d.Function.Name
		}
		c.Arguments += string(d.Function.Arguments)
		g.bytes += len(d.ID) + len(d.Function.Name) + len(d.Function.Arguments)
		if g.bytes > g.limit.CallBytes {
			return errCalls
		}
	}
	return nil
}

// slot finds the call that d is a piece of. Its index says so; a new id in a used index, and an
// id without an index, begin a call of their own.
func (g *gather) slot(d deltaCall) (int, error) {
	at := -1
	for i := range g.calls {
		if d.Index == nil || g.index[i] == *d.Index {
			at = i // the last one
		}
	}
	if at >= 0 && (d.ID == "" || g.calls[at].ID == "" || g.calls[at].ID == d.ID) {
		return at, nil
	}
	if len(g.calls) >= g.limit.Calls {
		return 0, errCalls
	}
	index := len(g.calls)
	if d.Index != nil {
		index = *d.Index
	}
	g.calls = append(g.calls, chat.Call{})
	g.index = append(g.index, index)
	return len(g.calls) - 1, nil
}

// done returns the calls. Those without an id get one, since the result must name it.
func (g *gather) done() []chat.Call {
	seen := map[string]bool{}
	for i := range g.calls {
		c := &g.calls[i]
		for n := i; c.ID == "" || seen[c.ID]; n++ {
			c.ID = fmt.Sprintf("call_%d", n)
		}
		seen[c.ID] = true
		if strings.TrimSpace(c.Arguments) == "" {
			c.Arguments = "{}"
		}
	}
	return g.calls
}
