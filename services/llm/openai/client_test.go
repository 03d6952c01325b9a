package openai_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/llm/chat"
	"github.com/tarsd/tarsd/services/llm/llmtest"
	"github.com/tarsd/tarsd/services/llm/openai"
)

func fixed(key string) func() (string, error) {
	return func() (string, error) { return key, nil }
}

// client makes a client of s with quick timeouts.
func client(t *testing.T, s *llmtest.Server, change ...func(*openai.Options)) *openai.Client {
	t.Helper()
	o := openai.Options{
		Name: "openai", URL: s.URL, Key: fixed("sk-secret-0123456789"), Model: "m",
		Timeouts: openai.Timeouts{Connect: 5 * time.Second, First: 10 * time.Second, Idle: 10 * time.Second},
	}
	for _, f := range change {
		f(&o)
	}
	c, err := openai.New(o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// ask is one round; it returns what was said besides.
func ask(t *testing.T, c *openai.Client, q chat.Request) (chat.Answer, []string, error) {
	t.Helper()
	var said []string
	if q.Messages == nil {
		q.Messages = []chat.Message{{Role: chat.User, Content: "Hello?"}}
	}
	answer, err := c.Complete(t.Context(), q, func(s string) error {
		said = append(said, s)
		return nil
	})
	assert.Equal(t, answer.Text, strings.Join(said, ""), "the answer is what was said")
	return answer, said, err
}

func kind(t *testing.T, err error) chat.Kind {
	t.Helper()
	var e *chat.Error
	require.ErrorAs(t, err, &e)
	assert.NotContains(t, e.Error(), "sk-secret-0123456789")
	assert.NotContains(t, e.Error(), "hunter2")
	return e.Kind
}

func TestStream(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t, llmtest.Say("Cer", "tainly", "."))
	answer, said, err := ask(t, client(t, s), chat.Request{
		Messages: []chat.Message{
			{Role: chat.System, Content: "Be brief."}, {Role: chat.User, Content: "Help me."},
			{Role: chat.Assistant, Calls: []chat.Call{{ID: "a", Name: "wave", Arguments: `{"n":1}`}}},
			{Role: chat.ToolRole, CallID: "a", Content: "done"},
		},
		Tools:     []chat.Tool{{Name: "wave", Description: "waves", Parameters: json.RawMessage(`{"type":"object"}`)}},
		MaxTokens: 99, Temperature: 0, TopP: -1,
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"Cer", "tainly", "."}, said)
	assert.Equal(t, chat.Answer{Text: "Certainly.", Model: "m", Finish: "stop", Usage: chat.Usage{Prompt: 7, Completion: 5, Total: 12}}, answer)

	q := s.Requests()[0]
	assert.Equal(t, "Bearer sk-secret-0123456789", q.Header.Get("Authorization"))
	assert.True(t, q.Stream)
	assert.Equal(t, "m", q.Model)
	assert.Equal(t, 99, q.MaxTokens)
	require.NotNil(t, q.Temperature, "0 is a temperature")
	assert.Zero(t, *q.Temperature)
	assert.Nil(t, q.TopP, "below 0 is not sent")
	assert.Equal(t, "wave", q.Tools[0].Function.Name)
	assert.Equal(t, "wave", q.Messages[2].ToolCalls[0].Function.Name)
	assert.Equal(t, "a", q.Messages[3].CallID)
	assert.JSONEq(t, `{"include_usage":true}`, string(q.Raw["stream_options"]))
}

func TestForms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reply  llmtest.Reply
		want   string
		finish string
	}{
		"not streamed":              {llmtest.Whole("All at once."), "All at once.", "stop"},
		"no blank lines":            {llmtest.Reply{llmtest.Raw("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\ndata: [DONE]\n")}, "ab", ""},
		"carriage returns":          {llmtest.Reply{llmtest.Raw("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n")}, "a", ""},
		"JSON over several lines":   {llmtest.Reply{llmtest.Raw("data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n")}, "a", ""},
		"comments and names":        {llmtest.Reply{llmtest.Comment("wait"), llmtest.Raw("event: x\nid: 1\nretry: 5\n\n"), llmtest.Words("a"), llmtest.Done("stop")}, "a", "stop"},
		"byte order mark":           {llmtest.Reply{llmtest.Raw("\ufeffdata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n")}, "a", ""},
		"no [DONE], but a reason":   {llmtest.Reply{llmtest.Words("a"), llmtest.Event(`{"choices":[{"delta":{},"finish_reason":"stop"}]}`)}, "a", "stop"},
		"no newline at the end":     {llmtest.Reply{llmtest.Words("a"), llmtest.Raw("data: [DONE]")}, "a", ""},
		"parts":                     {llmtest.Reply{llmtest.Event(`{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"type":"image"},{"type":"text","text":"b"}]}}]}`), llmtest.Done("stop")}, "ab", "stop"},
		"null content":              {llmtest.Reply{llmtest.Event(`{"choices":[{"delta":{"role":"assistant","content":null},"finish_reason":null}],"usage":null,"error":null}`), llmtest.Words("a"), llmtest.Done("length")}, "a", "length"},
		"a refusal is said":         {llmtest.Reply{llmtest.Event(`{"choices":[{"delta":{"refusal":"I will not."}}]}`), llmtest.Done("stop")}, "I will not.", "stop"},
		"a second choice":           {llmtest.Reply{llmtest.Event(`{"choices":[{"index":1,"delta":{"content":"no"}},{"index":0,"delta":{"content":"yes"}}]}`), llmtest.Done("stop")}, "yes", "stop"},
		"reasoning aloud":           {llmtest.Say("<thi", "nk>Hm. He", " wants</th", "ink>", "\n\n", "Hello", " <think>."), "Hello <think>.", "stop"},
		"reasoning that never ends": {llmtest.Say("<think>", "Hm", "..."), "", "stop"},
		"almost reasoning":          {llmtest.Say("<", "th", "ree>"), "<three>", "stop"},
		"reasoning of its own":      {llmtest.Reply{llmtest.Event(`{"choices":[{"delta":{"reasoning_content":"Hm."}}]}`), llmtest.Words("a"), llmtest.Done("stop")}, "a", "stop"},
		"a line above the buffer":   {llmtest.Say(strings.Repeat("long ", 3000)), strings.Repeat("long ", 3000), "stop"},
		"no type":                   {llmtest.Reply{llmtest.Header("Content-Type", "text/event-stream; charset=utf-8"), llmtest.Words("a"), llmtest.Done("stop")}, "a", "stop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, _, err := ask(t, client(t, llmtest.Start(t, c.reply)), chat.Request{})
			require.NoError(t, err)
			assert.Equal(t, c.want, answer.Text)
			assert.Equal(t, c.finish, answer.Finish)
		})
	}
}

func TestToolCalls(t *testing.T) {
	t.Parallel()
	const long = `{"place":"the far side of the room","speed":0.5}`
	for name, c := range map[string]struct {
		reply llmtest.Reply
		want  []chat.Call
	}{
		"split over chunks": {
			llmtest.Reply{llmtest.Words("Let me see."), llmtest.Call(0, "c1", "walk", long, 7), llmtest.Call(1, "c2", "wave", "", 1), llmtest.Done("tool_calls")},
			[]chat.Call{{ID: "c1", Name: "walk", Arguments: long}, {ID: "c2", Name: "wave", Arguments: "{}"}},
		},
		"no index": {
			llmtest.Reply{llmtest.Event(`{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"x","arguments":"{}"}},{"id":"b","function":{"name":"y","arguments":"{}"}}]}}]}`), llmtest.Done("tool_calls")},
			[]chat.Call{{ID: "a", Name: "x", Arguments: "{}"}, {ID: "b", Name: "y", Arguments: "{}"}},
		},
		"one index for all": {
			llmtest.Reply{llmtest.Call(0, "a", "x", "{}", 1), llmtest.Call(0, "b", "y", "{}", 1), llmtest.Done("tool_calls")},
			[]chat.Call{{ID: "a", Name: "x", Arguments: "{}"}, {ID: "b", Name: "y", Arguments: "{}"}},
		},
		"no ids": {
			llmtest.Reply{llmtest.Call(0, "", "x", "{}", 1), llmtest.Call(1, "", "y", "{}", 1), llmtest.Done("tool_calls")},
			[]chat.Call{{ID: "call_0", Name: "x", Arguments: "{}"}, {ID: "call_1", Name: "y", Arguments: "{}"}},
		},
		"arguments as an object": {
			llmtest.Reply{llmtest.Event(`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"x","arguments":{"n": 1}}}]}}]}`), llmtest.Done("stop")},
			[]chat.Call{{ID: "a", Name: "x", Arguments: `{"n": 1}`}},
		},
		"broken JSON is handed on": {
			llmtest.Reply{llmtest.Call(0, "a", "x", `{"n": `, 2), llmtest.Done("tool_calls")},
			[]chat.Call{{ID: "a", Name: "x", Arguments: `{"n": `}},
		},
		"the name with every piece": {
			llmtest.Reply{llmtest.Event(`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"x","arguments":"{"}}]}}]}`), llmtest.Event(`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"x","arguments":"}"}}]}}]}`), llmtest.Done("tool_calls")},
			[]chat.Call{{ID: "a", Name: "x", Arguments: "{}"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, _, err := ask(t, client(t, llmtest.Start(t, c.reply)), chat.Request{})
			require.NoError(t, err)
			assert.Equal(t, c.want, answer.Calls)
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	small := func(o *openai.Options) {
		o.Limits = openai.Limits{Line: 4096, Body: 32 << 10, Text: 1000, Calls: 2, CallBytes: 100}
	}
	short := func(o *openai.Options) {
		o.Timeouts.First, o.Timeouts.Idle = 80*time.Millisecond, 80*time.Millisecond
	}
	once := func(o *openai.Options) { o.Attempts = 1 }
	for name, c := range map[string]struct {
		reply llmtest.Reply
		set   func(*openai.Options)
		want  chat.Kind
	}{
		"silence":                   {llmtest.Reply{llmtest.Stall()}, short, chat.Slow},
		"comments are no answer":    {llmtest.Reply{llmtest.Comment("a"), llmtest.Stall()}, short, chat.Slow},
		"stall":                     {llmtest.Reply{llmtest.Words("Hel"), llmtest.Stall()}, short, chat.Cut},
		"half a line and a stall":   {llmtest.Reply{llmtest.Words("Hel"), llmtest.Raw(`data: {"cho`), llmtest.Stall()}, short, chat.Cut},
		"half a line and the end":   {llmtest.Reply{llmtest.Words("Hel"), llmtest.Raw(`data: {"cho`)}, nil, chat.Cut},
		"cut connection":            {llmtest.Reply{llmtest.Words("Hel"), llmtest.Cut()}, nil, chat.Cut},
		"cut before a word":         {llmtest.Reply{llmtest.Cut()}, once, chat.Unreachable},
		"ends without a word":       {llmtest.Reply{llmtest.Comment("x")}, once, chat.Cut},
		"wrong JSON":                {llmtest.Reply{llmtest.Event("{]")}, nil, chat.Garbled},
		"wrong types":               {llmtest.Reply{llmtest.Event(`{"choices":[{"delta":{"content":{"a":1}}}]}`)}, nil, chat.Garbled},
		"a list":                    {llmtest.Reply{llmtest.Event(`[1,2]`)}, nil, chat.Garbled},
		"wrong content type":        {llmtest.Reply{llmtest.Header("Content-Type", "text/html"), llmtest.Raw("<html>")}, nil, chat.Garbled},
		"error in the stream":       {llmtest.Reply{llmtest.Words("a"), llmtest.Event(`{"error":{"message":"overloaded sk-secret-0123456789"}}`)}, nil, chat.Server},
		"error in plain words":      {llmtest.Reply{llmtest.Words("a"), llmtest.Event(`{"error":"overloaded"}`)}, nil, chat.Server},
		"huge line":                 {llmtest.Reply{llmtest.Huge(10_000)}, small, chat.TooLarge},
		"huge event of many lines":  {llmtest.Reply{llmtest.Raw(strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", 10))}, small, chat.TooLarge},
		"huge stream":               {llmtest.Reply{llmtest.Endless("")}, small, chat.TooLarge},
		"huge body":                 {llmtest.Reply{llmtest.Header("Content-Type", "application/json"), llmtest.Raw(strings.Repeat(" ", 40<<10))}, small, chat.TooLarge},
		"too many calls":            {llmtest.Reply{llmtest.Call(0, "a", "x", "", 1), llmtest.Call(1, "b", "x", "", 1), llmtest.Call(2, "c", "x", "", 1)}, small, chat.TooLarge},
		"huge arguments":            {llmtest.Reply{llmtest.Call(0, "a", "x", strings.Repeat("x", 200), 3)}, small, chat.TooLarge},
		"content filter":            {llmtest.Reply{llmtest.Done("content_filter")}, nil, chat.Refused},
		"401":                       {llmtest.Fail(401, "Incorrect API key provided: sk-secret-0123456789"), nil, chat.Key},
		"403":                       {llmtest.Fail(403, "no"), nil, chat.Key},
		"404":                       {llmtest.Fail(404, "no such model"), nil, chat.Setup},
		"a redirect":                {llmtest.Fail(307, "", "Location", "http://127.0.0.1:1/"), nil, chat.Setup},
		"quota":                     {llmtest.Fail(429, "insufficient_quota: pay"), nil, chat.Key},
		"a long Retry-After":        {llmtest.Fail(429, "busy", "Retry-After", "60"), nil, chat.Busy},
		"too long a question":       {llmtest.Fail(400, "This model's maximum context length is 8192 tokens"), nil, chat.TooLong},
		"400":                       {llmtest.Fail(400, "bad"), nil, chat.Refused},
		"a success that is none":    {llmtest.Fail(204, ""), nil, chat.Garbled},
		"500 in the last attempt":   {llmtest.Fail(500, "boom"), once, chat.Server},
		"an error page that stalls": {llmtest.Reply{llmtest.Header("Content-Type", "application/json"), llmtest.Raw(`{"choices":[`), llmtest.Stall()}, short, chat.Slow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := llmtest.Start(t, c.reply)
			set := []func(*openai.Options){}
			if c.set != nil {
				set = append(set, c.set)
			}
			_, _, err := ask(t, client(t, s, set...), chat.Request{})
			assert.Equal(t, c.want, kind(t, err), err.Error())
			assert.Len(t, s.Requests(), 1, "asked once")
		})
	}
}

func TestLongTextIsCutAndTheStreamStopped(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t, llmtest.Reply{llmtest.Endless("müde ")})
	answer, _, err := ask(t, client(t, s, func(o *openai.Options) {
		o.Limits = openai.DefaultLimits()
		o.Limits.Text = 1001
	}), chat.Request{})
	require.NoError(t, err)
	assert.LessOrEqual(t, len(answer.Text), 1001)
	assert.Greater(t, len(answer.Text), 990)
	assert.Equal(t, "size", answer.Finish)
	s.WaitGone(t, 1)
}

func TestCancelStopsTheStreamOnTheWire(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t, llmtest.Reply{llmtest.Words("one "), llmtest.Stall()})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	answer, err := client(t, s).Complete(ctx, chat.Request{}, func(string) error { cancel(why); return nil })
	require.ErrorIs(t, err, why)
	assert.Equal(t, "one ", answer.Text)
	s.WaitGone(t, 1)
}

func TestAnErrorOfSayEndsTheRound(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t, llmtest.Reply{llmtest.Words("one ", "two "), llmtest.Stall()})
	why := errors.New("enough")
	_, err := client(t, s).Complete(t.Context(), chat.Request{}, func(string) error { return why })
	require.ErrorIs(t, err, why)
	s.WaitGone(t, 1)
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t)
	s.Always(func(llmtest.Request) llmtest.Reply { return llmtest.Say("a") })
	dials := 0
	c := client(t, s, func(o *openai.Options) { o.Transport = counting(&dials) })
	for range 5 {
		_, _, err := ask(t, c, chat.Request{})
		require.NoError(t, err)
		c.Settle()
	}
	assert.Equal(t, 1, dials)
}

func TestNothingListens(t *testing.T) {
	t.Parallel()
	c, err := openai.New(openai.Options{
		Name: "x", URL: "http://user:hunter2@127.0.0.1:1/v1?key=hunter2", Model: "m", Attempts: 1,
		Timeouts: openai.Timeouts{Connect: time.Second, First: time.Second, Idle: time.Second},
	})
	require.NoError(t, err)
	assert.Equal(t, "http://127.0.0.1:1/v1", c.URL())
	_, _, err = ask(t, c, chat.Request{})
	assert.Equal(t, chat.Unreachable, kind(t, err))
}

func TestKeys(t *testing.T) {
	t.Parallel()
	key, fails := "one", error(nil)
	s := llmtest.Start(t, llmtest.Say("a"), llmtest.Say("b"))
	c := client(t, s, func(o *openai.Options) { o.Key = func() (string, error) { return key, fails } })
	_, _, err := ask(t, c, chat.Request{})
	require.NoError(t, err)
	key = "two"
	_, _, err = ask(t, c, chat.Request{})
	require.NoError(t, err)
	assert.Equal(t, "Bearer two", s.Requests()[1].Header.Get("Authorization"), "a key file may change")
	key = "a\nb"
	_, _, err = ask(t, c, chat.Request{})
	assert.Equal(t, chat.Key, kind(t, err))
	fails = errors.New("no such file")
	_, _, err = ask(t, c, chat.Request{})
	assert.Equal(t, chat.Key, kind(t, err))
	require.ErrorIs(t, err, fails)
}

func TestURLs(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t)
	s.Always(func(llmtest.Request) llmtest.Reply { return llmtest.Say("a") })
	for _, tail := range []string{"", "/", "/chat/completions", "/chat/completions/", "#x"} {
		c := client(t, s, func(o *openai.Options) { o.URL = " " + s.URL + tail })
		_, _, err := ask(t, c, chat.Request{})
		require.NoError(t, err, tail)
	}
	for _, bad := range []string{"", "api.openai.com", "ftp://x", "http://", "http://a b:hunter2@c/%zz"} {
		_, err := openai.New(openai.Options{URL: bad})
		require.Error(t, err, bad)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t)
	s.Always(func(llmtest.Request) llmtest.Reply { return llmtest.Say("a") })
	s.Models("nomic-embed-text", "llama3:8b", "other")
	c := client(t, s, func(o *openai.Options) { o.Model = "" })
	assert.Empty(t, c.Model())
	_, _, err := ask(t, c, chat.Request{})
	require.NoError(t, err)
	_, _, err = ask(t, c, chat.Request{Model: "wanted"})
	require.NoError(t, err)
	assert.Equal(t, "llama3:8b", s.Requests()[0].Model, "the first that can talk")
	assert.Equal(t, "wanted", s.Requests()[1].Model)
	assert.Equal(t, "llama3:8b", c.Model())

	s.Models()
	_, _, err = ask(t, client(t, s, func(o *openai.Options) { o.Model = "" }), chat.Request{})
	assert.Equal(t, chat.Setup, kind(t, err))
}

// What a model does not take is left out from then on: a defect of the reference, which sent
// temperature and max_tokens to models that refuse them.
func TestQuirks(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t,
		llmtest.Unsupported("max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."),
		llmtest.Unsupported("temperature", "Unsupported value: 'temperature' does not support 0.7 with this model."),
		llmtest.Unsupported("top_p", "Unsupported parameter: 'top_p'"),
		llmtest.Fail(400, "unknown field stream_options"),
		llmtest.Fail(400, "registry.ollama.ai/library/x does not support tools"),
		llmtest.Say("a"), llmtest.Say("b"), llmtest.Fail(400, "temperature"),
	)
	c := client(t, s)
	q := chat.Request{MaxTokens: 9, Temperature: 0.7, TopP: 0.9, Tools: []chat.Tool{{Name: "x"}}}
	_, _, err := ask(t, c, q)
	require.NoError(t, err)
	_, _, err = ask(t, c, q)
	require.NoError(t, err)
	for _, r := range s.Requests()[5:7] {
		assert.Zero(t, r.MaxTokens)
		assert.Equal(t, 9, r.MaxCompletionTokens)
		assert.Nil(t, r.Temperature)
		assert.Nil(t, r.TopP)
		assert.NotContains(t, r.Raw, "stream_options")
		assert.Empty(t, r.Tools)
	}
	_, _, err = ask(t, c, q)
	assert.Equal(t, chat.Refused, kind(t, err), "what is left out already is not learned again")
	assert.Len(t, s.Requests(), 8)
}

var _ http.RoundTripper = (*http.Transport)(nil)
