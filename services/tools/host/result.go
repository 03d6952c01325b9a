package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/tarsd/tarsd/services/tools/tool"
)

// Directive is a message that a tool of the reference's kind has published for it: the key
// mqtt_publish of a result.
type Directive struct {
	Topic  string          `json:"topic"`
	Type   string          `json:"event_type"`
	Data   json.RawMessage `json:"data"`
	Source string          `json:"source"`
}

// maxError bounds what a tool says of its failure, in bytes.
const maxError = 2000

// read makes a result of what a server answered. A directive is taken out: it is not for the model.
func read(res *mcp.CallToolResult) (tool.Result, *Directive, error) {
	var r tool.Result
	var parts []string
	for _, c := range res.Content {
		switch c := c.(type) {
		case *mcp.TextContent:
			parts = append(parts, c.Text)
		case *mcp.ImageContent:
			r.Images = append(r.Images, tool.Image{Data: c.Data, MIME: c.MIMEType})
			parts = append(parts, "[a picture: "+tool.Cut(c.MIMEType, 64)+"]")
		case *mcp.AudioContent:
			parts = append(parts, "[sound: "+tool.Cut(c.MIMEType, 64)+"]")
		case *mcp.ResourceLink:
			parts = append(parts, "["+tool.Cut(c.URI, 200)+"]")
		case *mcp.EmbeddedResource:
			if c.Resource != nil && c.Resource.Text != "" {
				parts = append(parts, c.Resource.Text)
			}
		}
	}
	r.Text, r.Data = strings.Join(parts, "\n"), res.StructuredContent
	if r.Text == "" && r.Data != nil {
		if b, err := json.Marshal(r.Data); err == nil {
			r.Text = string(b)
		}
	}
	text, directive, failure := unfold(r.Text)
	switch {
	case res.IsError:
		return tool.Result{}, nil, errors.New(tool.Cut(strings.TrimSpace("the tool failed. "+text), maxError))
	case failure != "":
		return tool.Result{}, nil, errors.New(tool.Cut(failure, maxError))
	}
	if r.Text = text; directive != nil {
		r.Data = nil // it repeats the directive
	}
	return r, directive, nil
}

// unfold reads the reference's kind of result: a JSON object with success, message or error, and
// perhaps mqtt_publish. Every other text is returned as it is.
func unfold(text string) (plain string, d *Directive, failure string) {
	trimmed := strings.TrimSpace(text)
	if !strings.HasPrefix(trimmed, "{") {
		return text, nil, ""
	}
	var o map[string]json.RawMessage
	if json.Unmarshal([]byte(trimmed), &o) != nil {
		return text, nil, ""
	}
	if raw, ok := o["success"]; ok && bytes.Equal(bytes.TrimSpace(raw), []byte("false")) {
		var why string
		if json.Unmarshal(o["error"], &why) != nil || why == "" {
			why = trimmed
		}
		return text, nil, why
	}
	raw, ok := o["mqtt_publish"]
	if !ok {
		return text, nil, ""
	}
	delete(o, "mqtt_publish")
	rest, err := json.Marshal(o)
	if err != nil {
		return text, nil, err.Error()
	}
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return string(rest), nil, ""
	}
	d = &Directive{}
	if err := json.Unmarshal(raw, d); err != nil || d.Topic == "" {
		return string(rest), nil, fmt.Sprintf("what the tool wants published is not understood: %v", err)
	}
	return string(rest), d, ""
}
