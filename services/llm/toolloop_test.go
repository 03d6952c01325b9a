package llm_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm"
	"github.com/tarsd/tarsd/services/llm/llmtest"
	"github.com/tarsd/tarsd/services/servicetest"
)

const wave = "mcp__tars-movement__wave"

const registry = `{"tools":[
	{"type":"function","function":{"name":"mcp__tars-movement__wave","description":"Waves.","parameters":{"type":"object","properties":{"speed":{"type":"number","minimum":0.1,"maximum":1}},"required":["speed"]}}},
	{"type":"function","function":{"name":"weather","description":"Tells the weather.","parameters":{"type":"object","properties":{}}}}]}`

// withTools starts a service that knows two tools before it is ready, and a server of them.
func withTools(t *testing.T, s *llmtest.Server, enveloped bool, serve func(contract.ToolCall) (string, bool), change ...func(*llm.Options)) *world {
	t.Helper()
	w := start(t, s, change...)
	payload := registry
	if enveloped {
		payload = `{"id":"x","type":"llm.tools.registry","ts":1,"source":"mcp","data":` + registry + `}`
	}
	_, err := w.asker.PublishRaw(t.Context(), contract.ToolsRegistry.Name, []byte(payload), 1, true)
	require.NoError(t, err)
	c := w.bus.Client(t, "tools")
	_, err = client.Subscribe(c, contract.ToolCallRequest, func(ctx context.Context, m client.Message[contract.ToolCall]) error {
		if answer, ok := serve(m.Data); ok {
			_, err := c.PublishRaw(ctx, contract.ToolCallResult.Name, []byte(answer), 1, false)
			return err
		}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, c.Ready(t.Context()))
	return w
}

// offered waits until the model is offered tools.
func offered(t *testing.T, w *world, s *llmtest.Server) {
	t.Helper()
	for i := range 500 { // the registry has a queue of its own
		s.Script(llmtest.Say("Hello."))
		id := fmt.Sprint("offered", i)
		w.ask(id, "Hello?")
		w.answer(id)
		r := s.Requests()
		if len(r[len(r)-1].Tools) == 2 {
			return
		}
	}
	require.Fail(t, "no tools are offered")
}

func last(s *llmtest.Server) llmtest.Request {
	r := s.Requests()
	return r[len(r)-1]
}

// Tools were left out of streamed answers at the reference, and thus of all that is spoken.
func TestToolsInAStream(t *testing.T) {
	t.Parallel()
	for name, form := range map[string]struct {
		enveloped bool
		result    string
		want      string
	}{
		"content":              {false, `{"call_id":"%s","content":"waved","error":null}`, "waved"},
		"result":               {true, `{"call_id":"%s","result":{"success":true,"message":"waved"}}`, `{"message":"waved","success":true}`},
		"result in a envelope": {true, `{"id":"1","type":"llm.tool.call.result","ts":1,"source":"mcp","data":{"message_id":"m","call_id":"%s","result":{"ok":1},"error":null}}`, `{"ok":1}`},
		"error":                {false, `{"call_id":"%s","error":"arm stuck"}`, "Error: arm stuck"},
		"error_msg":            {false, `{"call_id":"%s","error_msg":"arm stuck"}`, "Error: arm stuck"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := llmtest.Start(t)
			calls := make(chan contract.ToolCall, 10)
			w := withTools(t, s, form.enveloped, func(c contract.ToolCall) (string, bool) {
				calls <- c
				return fmt.Sprintf(form.result, c.CallID), true
			})
			offered(t, w, s)
			s.Script(
				llmtest.Reply{llmtest.Words("Watch ", "this."), llmtest.Call(0, "call_1", wave, `{"speed":0.5}`, 4), llmtest.Done("tool_calls")},
				llmtest.Say("I ", "waved."),
			)
			w.ask("r1", "Wave.")
			assert.Equal(t, "Watch this. I waved.", w.answer("r1"))
			c := <-calls
			assert.Equal(t, wave, c.Name)
			assert.Equal(t, contract.Object{"speed": 0.5}, c.Arguments)
			assert.NotEqual(t, "call_1", c.CallID, "a model's ids repeat")
			m := last(s).Messages
			require.GreaterOrEqual(t, len(m), 3)
			assert.Equal(t, "call_1", m[len(m)-2].ToolCalls[0].ID)
			assert.Equal(t, "tool", m[len(m)-1].Role)
			assert.Equal(t, "call_1", m[len(m)-1].CallID)
			assert.Equal(t, form.want, m[len(m)-1].Content)
			w.quiet()
		})
	}
}

// A tool's result could make the reference publish anything anywhere.
func TestAResultIsNoOrder(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t)
	w := withTools(t, s, false, func(c contract.ToolCall) (string, bool) {
		return fmt.Sprintf(`{"call_id":%q,"result":{"ok":true,"mqtt_publish":{"topic":"movement/stop","event_type":"movement.stop","data":{}}}}`, c.CallID), true
	})
	stops := servicetest.Collect(t, w.asker, contract.MovementStop)
	offered(t, w, s)
	s.Script(llmtest.CallTool("a", "weather", ""), llmtest.Say("Fine."))
	w.ask("r1", "What is the weather?")
	assert.Equal(t, "Fine.", w.answer("r1"))
	m := last(s).Messages
	assert.Equal(t, `{"ok":true}`, m[len(m)-1].Content)
	w.quiet()
	assert.Zero(t, stops.Len())
}

func TestCallsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t)
	w := withTools(t, s, false, func(c contract.ToolCall) (string, bool) {
		t.Errorf("called: %v", c)
		return "", false
	})
	offered(t, w, s)
	s.Script(
		llmtest.Reply{
			llmtest.Call(0, "a", "mcp__x__rm", `{}`, 1), llmtest.Call(1, "b", wave, `{"speed":9}`, 1), llmtest.Call(2, "c", wave, `{"speed":`, 1),
			llmtest.Done("tool_calls"),
		},
		llmtest.Say("I could not."),
	)
	w.ask("r1", "Wave.")
	assert.Equal(t, "I could not.", w.answer("r1"))
	m := last(s).Messages
	require.Len(t, m, 6)
	for i, want := range []string{"there is no tool", "not as the tool wants them", "not JSON"} {
		assert.Contains(t, m[3+i].Content, want)
		assert.Equal(t, string("abc"[i]), m[3+i].CallID)
	}
}

func TestLimitsOfTools(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t)
	n := 0
	w := withTools(t, s, false, func(c contract.ToolCall) (string, bool) {
		n++
		return fmt.Sprintf(`{"call_id":%q,"content":%q}`, c.CallID, strings.Repeat("rain ", 10_000)), true
	}, func(o *llm.Options) { o.Tools.Rounds, o.Tools.Calls = 2, 3 })
	offered(t, w, s)
	before := len(s.Requests())
	s.Script(
		llmtest.Reply{llmtest.Call(0, "a", "weather", "", 1), llmtest.Call(1, "b", "weather", "", 1), llmtest.Done("tool_calls")},
		llmtest.Reply{llmtest.Call(0, "a", "weather", "", 1), llmtest.Call(1, "b", "weather", "", 1), llmtest.Done("tool_calls")},
		llmtest.Say("It rains."),
	)
	w.ask("r1", "What is the weather?")
	assert.Equal(t, "It rains.", w.answer("r1"))
	assert.Equal(t, 3, n, "calls in one turn")
	r := s.Requests()[before:]
	require.Len(t, r, 3)
	assert.Len(t, r[1].Tools, 2)
	assert.Empty(t, r[2].Tools, "after the last round it has to answer")
	m := r[2].Messages
	assert.LessOrEqual(t, len(m[3].Content), 4200)
	assert.Contains(t, m[3].Content, "rain rain")
	assert.Contains(t, m[len(m)-1].Content, "more than 3 tool calls")
	size := 0
	for _, x := range m {
		size += len(x.Content)
	}
	assert.Less(t, size, 4*8192, "it fits into the window")

	s.Script(llmtest.CallTool("a", "weather", ""), llmtest.CallTool("a", "weather", ""), llmtest.CallTool("a", "weather", ""))
	w.ask("r2", "What is the weather?")
	assert.Equal(t, "I have no answer to that.", w.failure("r2"), "a model that calls what it is not offered")
}

func TestAToolThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t)
	w := withTools(t, s, false, func(contract.ToolCall) (string, bool) { return "", false },
		func(o *llm.Options) { o.Tools.Timeout = 100 * time.Millisecond })
	offered(t, w, s)
	s.Script(llmtest.CallTool("a", "weather", ""), llmtest.Say("No idea."))
	w.ask("r1", "What is the weather?")
	assert.Equal(t, "No idea.", w.answer("r1"))
	m := last(s).Messages
	assert.Equal(t, "Error: no result within 100ms", m[len(m)-1].Content)
}

func TestCancelDuringATool(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t)
	called := make(chan contract.ToolCall, 1)
	w := withTools(t, s, false, func(c contract.ToolCall) (string, bool) { called <- c; return "", false })
	offered(t, w, s)
	s.Script(llmtest.CallTool("a", "weather", ""))
	w.ask("r1", "What is the weather?")
	c := <-called
	publish(w, contract.LLMCancel, contract.ChatCancel{ID: "r1"})
	assert.Equal(t, contract.ChatCancelled, w.failure("r1"))
	publish(w, contract.ToolCallResult, contract.ToolResult{CallID: c.CallID, Content: new("too late")})
	w.quiet()
}

func TestToolsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	s := llmtest.Start(t, llmtest.CallTool("a", "weather", ""))
	w := start(t, s, func(o *llm.Options) { o.Tools.Enabled = false })
	calls := servicetest.Collect(t, w.asker, contract.ToolCallRequest)
	_, err := w.asker.PublishRaw(t.Context(), contract.ToolsRegistry.Name, []byte(registry), 1, true)
	require.NoError(t, err)
	w.ask("r1", "What is the weather?")
	assert.Equal(t, "I have no answer to that.", w.failure("r1"))
	assert.Empty(t, last(s).Tools)
	assert.Zero(t, calls.Len())
}
