package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/tools/server"
	"github.com/tarsd/tarsd/services/tools/tool"
)

func newServer(t *testing.T) *mcp.Server {
	t.Helper()
	prepare := func(x tool.Tool) *tool.Ready {
		x.Server, x.Timeout = "tars", time.Second
		r, err := tool.Prepare(x)
		require.NoError(t, err)
		return r
	}
	return server.New(server.Options{
		Version: "1", Instance: "me", Caller: tool.NewCaller(1000, zerolog.Nop()),
		Tools: []*tool.Ready{
			prepare(tool.Tool{
				Name: "wave", Doc: "Waves.", Writes: true, Schema: json.RawMessage(`{"properties":{"speed":{"type":"number","maximum":1}},"additionalProperties":false}`),
				Do: func(_ context.Context, a tool.Args) (tool.Result, error) {
					return tool.Result{Text: "waved", Data: map[string]any{"speed": a.Number("speed", 0.5)}}, nil
				},
			}),
			prepare(tool.Tool{Name: "look", Schema: json.RawMessage(`{}`), Do: func(context.Context, tool.Args) (tool.Result, error) {
				return tool.Result{Text: "a cat", Images: []tool.Image{{Data: []byte("jpeg"), MIME: "image/jpeg"}}}, nil
			}}),
			prepare(tool.Tool{Name: "fail", Schema: json.RawMessage(`{}`), Writes: true, Deletes: true, Do: func(context.Context, tool.Args) (tool.Result, error) {
				return tool.Result{}, errors.New("arm stuck")
			}}),
		},
	})
}

func use(t *testing.T, transport mcp.Transport) {
	t.Helper()
	c, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), transport, nil)
	require.NoError(t, err)
	defer c.Close()
	list, err := c.ListTools(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, list.Tools, 3)
	byName := map[string]*mcp.Tool{}
	for _, x := range list.Tools {
		byName[x.Name] = x
		assert.Equal(t, "me", x.Meta[tool.InstanceKey])
		assert.Equal(t, "object", x.InputSchema.(map[string]any)["type"])
	}
	assert.True(t, byName["look"].Annotations.ReadOnlyHint)
	assert.True(t, *byName["fail"].Annotations.DestructiveHint)
	assert.False(t, *byName["wave"].Annotations.DestructiveHint)
	call := func(name string, args any) *mcp.CallToolResult {
		res, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: args})
		require.NoError(t, err, "what goes wrong is for the model")
		return res
	}
	text := func(r *mcp.CallToolResult) string { return r.Content[0].(*mcp.TextContent).Text }
	r := call("wave", map[string]any{"speed": 1})
	assert.False(t, r.IsError)
	assert.Equal(t, "waved", text(r))
	assert.Equal(t, map[string]any{"speed": 1.0}, r.StructuredContent)
	r = call("look", nil)
	require.Len(t, r.Content, 2)
	assert.Equal(t, []byte("jpeg"), r.Content[1].(*mcp.ImageContent).Data)
	r = call("fail", map[string]any{})
	assert.True(t, r.IsError)
	assert.Equal(t, "arm stuck", text(r))
	for _, bad := range []any{map[string]any{"speed": 2}, map[string]any{"x": 1}, map[string]any{"speed": strings.Repeat("x", 20_000)}} {
		r = call("wave", bad)
		assert.True(t, r.IsError)
		assert.Contains(t, text(r), "not as the tool wants them")
	}
	_, err = c.CallTool(t.Context(), &mcp.CallToolParams{Name: "rm"})
	require.ErrorContains(t, err, "rm")
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(server.Handler(newServer(t), time.Second))
	t.Cleanup(web.Close)
	use(t, &mcp.StreamableClientTransport{Endpoint: web.URL})
	long := strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"x","params":"` + strings.Repeat("x", 1<<20) + `"}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, web.URL, long)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
}

// The reference's servers ended with an error whenever their input did.
func TestStdio(t *testing.T) {
	t.Parallel()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- server.Stdio(t.Context(), newServer(t), inR, outW, time.Second) }()
	use(t, &mcp.IOTransport{Reader: outR, Writer: inW})
	require.NoError(t, <-done)
}

// What a shell pipes in ends before the answers are there.
func TestStdioAnswersBeforeItEnds(t *testing.T) {
	t.Parallel()
	const lines = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/list"}
{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"wave","arguments":{"speed":1}}}
`
	for range 20 {
		var out bytes.Buffer
		require.NoError(t, server.Stdio(t.Context(), newServer(t), strings.NewReader(lines), &out, time.Second))
		assert.Equal(t, 3, strings.Count(out.String(), "\n"), "%s", out.String())
		assert.Contains(t, out.String(), "waved")
	}
}

func FuzzStdio(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"wave","arguments":{"speed":1}}}
`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"wave","arguments":[]}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_ = server.Stdio(ctx, newServer(t), bytes.NewReader(in), &out, time.Second) // any end will do, but one
		require.NoError(t, ctx.Err())
	})
}
