package host

import (
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/tools/tool"
)

func TestUnfold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text, plain, topic, failure string
	}{
		"words":         {"hello", "hello", "", ""},
		"an object":     {`{"a":1}`, `{"a":1}`, "", ""},
		"half of one":   {`{"a":`, `{"a":`, "", ""},
		"success":       {`{"success":true}`, `{"success":true}`, "", ""},
		"failure":       {`{"success":false,"error":"no"}`, `{"success":false,"error":"no"}`, "", "no"},
		"silent":        {`{"success":false}`, `{"success":false}`, "", `{"success":false}`},
		"directive":     {`{"ok":1,"mqtt_publish":{"topic":"a","data":{}}}`, `{"ok":1}`, "a", ""},
		"no directive":  {`{"ok":1,"mqtt_publish":null}`, `{"ok":1}`, "", ""},
		"bad directive": {`{"ok":1,"mqtt_publish":[1]}`, `{"ok":1}`, "", "what the tool wants published is not understood"},
		"no topic":      {`{"ok":1,"mqtt_publish":{}}`, `{"ok":1}`, "", "what the tool wants published is not understood"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain, d, failure := unfold(c.text)
			assert.Equal(t, c.plain, plain)
			if c.failure == "" {
				assert.Empty(t, failure)
			} else {
				assert.Contains(t, failure, c.failure)
			}
			if c.topic == "" {
				assert.Nil(t, d)
				return
			}
			require.NotNil(t, d)
			assert.Equal(t, c.topic, d.Topic)
		})
	}
}

func FuzzResult(f *testing.F) {
	f.Add(`{"success":true,"mqtt_publish":{"topic":"a","event_type":"b","data":{"x":1},"source":"c"}}`, false)
	f.Add(`{"success":false,"error":7}`, true)
	f.Fuzz(func(t *testing.T, text string, failed bool) {
		_, d, err := read(&mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}, nil}, IsError: failed})
		if err != nil {
			assert.LessOrEqual(t, len(err.Error()), maxError)
			assert.Nil(t, d)
		}
		if d != nil {
			assert.NotEmpty(t, d.Topic)
		}
		_ = tool.Cut(text, 10)
	})
}
