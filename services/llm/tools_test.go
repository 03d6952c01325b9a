package llm

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/chat"
)

func function(name, schema string) contract.Tool {
	f := contract.Function{Name: name, Description: "does " + name}
	if schema != "" {
		if err := json.Unmarshal([]byte(schema), &f.Parameters); err != nil {
			panic(err)
		}
	}
	return contract.Tool{Type: "function", Function: f}
}

const speedSchema = `{"type":"object","properties":{"speed":{"type":"number","minimum":0.1,"maximum":1}},"required":["speed"],"additionalProperties":false}`

func TestToolbox(t *testing.T) {
	t.Parallel()
	var b toolbox
	problems := b.replace([]contract.Tool{
		function("mcp__tars-movement__wave", speedSchema), function("plain", ""), function("plain", ""), function("no spaces", ""),
		{Type: "retrieval", Function: contract.Function{Name: "x"}}, function("loop", `{"properties":{"a":{"$ref":"#"}}}`), function("", ""),
	})
	assert.Len(t, problems, 5)
	offered := b.offer(1e6)
	require.Len(t, offered, 2)
	assert.JSONEq(t, speedSchema, string(offered[0].Parameters))
	assert.JSONEq(t, `{"type":"object","properties":{}}`, string(offered[1].Parameters), "servers insist on a schema")
	assert.Len(t, b.offer(toolCost(offered)-1), 1, "as many as fit")
	assert.Equal(t, []string{"wave", "plain"}, b.names())

	for args, bad := range map[string]string{
		`{"speed":0.5}`:           "",
		`{"speed":1}`:             "",
		`{"speed":2}`:             "not as the tool wants them",
		`{}`:                      "not as the tool wants them",
		`{"speed":"fast"}`:        "not as the tool wants them",
		`{"speed":0.5,"extra":1}`: "not as the tool wants them",
		`{"speed":`:               "not JSON",
		`[1]`:                     "not an object",
		`null`:                    "not an object",
		`{"speed":` + strings.Repeat(" ", maxArguments) + `1}`: "larger than",
	} {
		o, err := b.check(chat.Call{Name: "mcp__tars-movement__wave", Arguments: args}, offered)
		if bad == "" {
			require.NoError(t, err, args)
			assert.Contains(t, o, "speed")
			continue
		}
		require.ErrorContains(t, err, bad)
	}
	_, err := b.check(chat.Call{Name: "rm", Arguments: "{}"}, offered)
	require.ErrorContains(t, err, `there is no tool "rm"`)
	_, err = b.check(chat.Call{Name: "plain", Arguments: "{}"}, offered[:1])
	require.ErrorContains(t, err, "there is no tool", "it was not offered")
	b.replace(nil)
	_, err = b.check(chat.Call{Name: "plain", Arguments: "{}"}, offered)
	require.ErrorContains(t, err, "has gone")

	var many []contract.Tool
	for i := range maxTools + 5 {
		many = append(many, function(fmt.Sprintf("t%d", i), ""))
	}
	assert.Len(t, b.replace(many), 5)
	big := `{"type":"object","description":"` + strings.Repeat("x", 30<<10) + `"}`
	many = nil
	for i := range 10 {
		many = append(many, function(fmt.Sprintf("t%d", i), big))
	}
	assert.Len(t, b.replace(many), 2, "schemas of 30 KiB within 256 KiB")
}

// A schema comes from outside. One that makes the validator run for ever would take the robot down.
func TestResultText(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		res  contract.ToolResult
		want string
		err  string
	}{
		"content":          {contract.ToolResult{Content: new("it is warm")}, "it is warm", ""},
		"result as JSON":   {contract.ToolResult{Result: map[string]any{"ok": true}}, `{"ok":true}`, ""},
		"result as text":   {contract.ToolResult{Result: "warm"}, "warm", ""},
		"a directive":      {contract.ToolResult{Content: new(`{"ok":1,"mqtt_publish":{"topic":"movement/test"}}`)}, `{"ok":1}`, ""},
		"and as JSON":      {contract.ToolResult{Result: map[string]any{"ok": 1.0, "mqtt_publish": map[string]any{}}}, `{"ok":1}`, ""},
		"error":            {contract.ToolResult{Error: new("no"), Content: new("x")}, "", "no"},
		"other spelling":   {contract.ToolResult{ErrorMsg: new("no")}, "", "no"},
		"nothing":          {contract.ToolResult{}, "Done.", ""},
		"an empty error":   {contract.ToolResult{Error: new(" "), Content: new("x")}, "x", ""},
		"long":             {contract.ToolResult{Content: new(strings.Repeat("ä", 100))}, strings.Repeat("ä", 10) + "\n(cut: it was longer)", ""},
		"a long error too": {contract.ToolResult{Error: new(strings.Repeat("x", 100))}, "", strings.Repeat("x", 20) + "\n(cut"},
	} {
		got, err := resultText(c.res, 20)
		if c.err != "" {
			require.ErrorContains(t, err, c.err, name)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, c.want, got, name)
	}
}

func TestSalvage(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string][2]string{
		`{"id":"e","type":"llm.request","ts":1,"source":"x","data":{"id":"r","text":7}}`: {"e", "r"},
		`{"message_id":"e","id":"r","text":7}`:                                           {"e", "r"},
		`{"id":"r"}`:                                                                     {"", "r"},
		`{"id":7}`:                                                                       {"", ""},
		`{"id":"e","data":[1]}`:                                                          {"e", ""},
		`{"id":"e","data":{"id":"r"}} extra`:                                             {"", ""},
		`"text"`:                                                                         {"", ""},
		``:                                                                               {"", ""},
		`{"id":"` + strings.Repeat("x", 300) + `"}`: {"", ""},
	} {
		event, id := salvage([]byte(payload))
		assert.Equal(t, want, [2]string{event, id}, payload)
	}
}
