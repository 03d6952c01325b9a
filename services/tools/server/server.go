// Package server offers tools as an MCP server, over standard streams and over HTTP. What the tools
// do is theirs; who may call them over HTTP is decided before a request comes here.
package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/tarsd/tarsd/services/tools/tool"
)

// Bounds of what comes in, in bytes.
const (
	maxBody = 256 << 10
	maxLine = 1 << 20
)

const instructions = "Tools of a robot with a body. Moves are real: do one at a time and wait for its result. " +
	"stop_movement stops everything at once and always works; only a person lifts the stop again."

// Options of New.
type Options struct {
	Tools    []*tool.Ready // their names differ
	Caller   *tool.Caller
	Version  string // of tarsd
	Instance string // of this tarsd
}

// New makes a server of tools, under their plain names.
func New(o Options) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "tarsd", Title: "TARS", Version: o.Version}, &mcp.ServerOptions{
		Instructions: instructions,
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}}, // they do not change
		Logger:       slog.New(slog.DiscardHandler),                           // it would write whole messages
	})
	for _, t := range o.Tools {
		s.AddTool(&mcp.Tool{
			Name: t.Name, Description: t.Doc, InputSchema: t.Schema, Meta: mcp.Meta{tool.InstanceKey: o.Instance},
			Annotations: &mcp.ToolAnnotations{ReadOnlyHint: !t.Writes, DestructiveHint: new(t.Deletes), OpenWorldHint: new(false)},
		}, handler(o.Caller, t))
	}
	return s
}

// handler calls a tool. What goes wrong is a result, which a model reads, not an error of the
// protocol, which it does not.
func handler(c *tool.Caller, t *tool.Ready) mcp.ToolHandler {
	return func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		args, err := arguments(r.Params.Arguments)
		if err != nil {
			return failure(err), nil
		}
		res, err := c.Call(ctx, t, args)
		if err != nil {
			return failure(err), nil
		}
		return result(res), nil
	}
}

func arguments(raw json.RawMessage) (map[string]any, error) {
	if len(raw) > tool.MaxArguments {
		return nil, fmt.Errorf("%w: they are longer than %d bytes", tool.ErrArguments, tool.MaxArguments)
	}
	if len(raw) == 0 {
		return nil, nil
	}
	var args map[string]any
	if err := json.Unmarshal(raw, &args); err != nil {
		return nil, fmt.Errorf("%w: they are no JSON object", tool.ErrArguments)
	}
	return args, nil
}

func failure(err error) *mcp.CallToolResult {
	return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: err.Error()}}}
}

func result(r tool.Result) *mcp.CallToolResult {
	out := &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: r.Text}}}
	for _, i := range r.Images {
		out.Content = append(out.Content, &mcp.ImageContent{Data: i.Data, MIMEType: i.MIME})
	}
	if o, ok := r.Data.(map[string]any); ok {
		out.StructuredContent = o
	}
	return out
}

// Handler serves s over streamable HTTP, without sessions: what a client leaves behind costs
// nothing, and there is nothing to tell it between requests. longest is how long a call may take.
func Handler(s *mcp.Server, longest time.Duration) http.Handler {
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, MaxRequestBodyBytes: maxBody, PropagateRequestCancellation: true,
		DisableLocalhostProtection: true, // the web handler does it, and knows the names of the configuration
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A call may take longer than pages may. Where there is no deadline to move, there is none.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(longest + 10*time.Second))
		h.ServeHTTP(w, r)
	})
}
