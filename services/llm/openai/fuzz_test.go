package openai

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/llm/chat"
)

type fixedBody struct{ kind, text string }

func (f fixedBody) RoundTrip(*http.Request) (*http.Response, error) {
	h := http.Header{}
	h.Set("Content-Type", f.kind)
	return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(strings.NewReader(f.text))}, nil
}

// FuzzAnswer reads any answer: it is bounded, ends, and what was said is the answer's text.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"", "data: [DONE]\n\n", "data: {\"choices\":[{\"delta\":{\"content\":\"<think>a</think> b\"}}]}\n\ndata: [DONE]\n\n",
		"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"x\",\"arguments\":\"{\"}}]}}]}\n",
		"data: {\"error\":{\"message\":\"x\"}}\r\n\r\n", ": c\n\ndata:\n\n", "data: {\"usage\":{\"prompt_tokens\":-1}}",
		"{\"choices\":[{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}}]}",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	limits := Limits{Line: 2048, Body: 16 << 10, Text: 256, Calls: 3, CallBytes: 512}
	f.Fuzz(func(t *testing.T, text string, stream bool) {
		kind := "application/json"
		if stream {
			kind = "text/event-stream"
		}
		c, err := New(Options{
			Name: "x", URL: "http://model.example", Model: "m", Attempts: 1, Limits: limits, Transport: fixedBody{kind, text},
			Timeouts: Timeouts{Connect: time.Minute, First: time.Minute, Idle: time.Minute},
		})
		require.NoError(t, err)
		var said strings.Builder
		answer, err := c.Complete(context.Background(), chat.Request{}, func(s string) error {
			assert.NotEmpty(t, s)
			said.WriteString(s)
			return nil
		})
		assert.Equal(t, said.String(), answer.Text)
		assert.LessOrEqual(t, len(answer.Text), limits.Text)
		assert.LessOrEqual(t, len(answer.Calls), limits.Calls)
		ids := map[string]bool{}
		for _, call := range answer.Calls {
			assert.False(t, ids[call.ID], "two calls with one id")
			ids[call.ID] = true
		}
		if err != nil {
			var e *chat.Error
			require.ErrorAs(t, err, &e)
			assert.NotEmpty(t, e.Spoken())
		}
	})
}
