package tools_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement"
	"github.com/tarsd/tarsd/services/servicetest"
	"github.com/tarsd/tarsd/services/tools"
	"github.com/tarsd/tarsd/services/tools/host"
)

type rig struct {
	*servicetest.Bus
	t        *testing.T
	peer     *client.Client
	svc      *tools.Service
	sup      *services.Supervisor
	registry *servicetest.Collector[contract.Tools]
	results  *servicetest.Collector[contract.ToolResult]
}

func start(t *testing.T, servers ...host.Server) *rig {
	t.Helper()
	r := &rig{Bus: servicetest.Start(t), t: t}
	r.peer = r.Client(t, "peer")
	r.registry = servicetest.Collect(t, r.peer, contract.ToolsRegistry)
	r.results = servicetest.Collect(t, r.peer, contract.ToolCallResult)
	for i := range servers {
		servers[i].ConnectTimeout, servers[i].CallTimeout = 5*time.Second, 5*time.Second
		require.NoError(t, servers[i].Validate())
	}
	r.svc = tools.New(tools.Options{Servers: servers, Motion: 20 * time.Second, Result: 64 << 10, Location: time.UTC, Version: "1"})
	r.sup = r.Run(t, r.svc)
	return r
}

func names(l contract.Tools) []string {
	var out []string
	for _, t := range l.Tools {
		out = append(out, t.Function.Name)
	}
	return out
}

// until waits for a list that has a tool, or no longer has it.
func (r *rig) until(name string, there bool) contract.Tools {
	r.t.Helper()
	return r.registry.Find(r.t, func(m client.Message[contract.Tools]) bool { return slices.Contains(names(m.Data), name) == there }).Data
}

func (r *rig) send(payload string) {
	r.t.Helper()
	_, err := r.peer.PublishRaw(r.t.Context(), contract.ToolCallRequest.Name, []byte(payload), 1, false)
	require.NoError(r.t, err)
}

// call makes a call and waits for its result.
func (r *rig) call(id, name, args string) contract.ToolResult {
	r.t.Helper()
	r.send(fmt.Sprintf(`{"call_id":%q,"name":%q,"arguments":%s}`, id, name, args))
	m := r.results.Next(r.t)
	assert.Equal(r.t, id, m.Data.CallID)
	assert.True(r.t, m.Bare)
	return m.Data
}

// quiet makes sure that nothing more was said: what follows comes next.
func (r *rig) quiet() {
	r.t.Helper()
	assert.NotEmpty(r.t, contract.Value(r.call("last", "current_time", "{}").Content))
	assert.Zero(r.t, r.results.Len())
}

// At the reference nobody published the list, so that no tool was ever called.
func TestRegistry(t *testing.T) {
	t.Parallel()
	r := start(t)
	l := r.until("mcp__tars-movement__wave", true)
	assert.Contains(t, names(l), "mcp__tars-character__adjust_personality_trait")
	assert.Contains(t, names(l), "mcp__tars__memory_search")
	assert.NotContains(t, names(l), "mcp__tars__say", "its own model speaks by answering")
	for _, x := range l.Tools {
		assert.Equal(t, "function", x.Type)
		assert.Equal(t, "object", x.Function.Parameters["type"])
		assert.NotEmpty(t, x.Function.Description)
		assert.Regexp(t, `^[a-zA-Z0-9_-]{1,64}$`, x.Function.Name)
	}
	late := r.Client(t, "late")
	m := servicetest.Collect(t, late, contract.ToolsRegistry).Next(t)
	assert.True(t, m.Retained)
	assert.True(t, m.Bare, "the legacy worker reads tools at the top level")
	require.NoError(t, r.sup.Stop(t.Context()))
	assert.Empty(t, r.until("mcp__tars-movement__wave", false).Tools, "nobody is offered what nobody carries out")
}

func TestCalls(t *testing.T) {
	t.Parallel()
	r := start(t)
	m, err := movement.New(movement.Options{})
	require.NoError(t, err)
	r.Run(t, m)
	r.until("mcp__tars-movement__wave", true)
	require.Eventually(t, func() bool {
		return strings.Contains(contract.Value(r.call("s", "robot_status", "{}").Content), "movement: ok")
	}, 10*time.Second, 5*time.Millisecond)

	res := r.call("1", "mcp__tars-movement__big_shrug", `{"speed":1}`)
	assert.Equal(t, "Done: big_shrug.", contract.Value(res.Content))
	assert.Equal(t, map[string]any{"success": true, "command": "big_shrug", "state": "completed"}, res.Result)
	assert.Empty(t, res.Failure())
	for name, want := range map[string]string{
		"rm": `there is no tool "rm"`, "mcp__other__wave": "there is mcp__tars-movement__wave", "": "", strings.Repeat("x", 10_000): "there is no tool",
	} {
		if want == "" {
			continue // the contract wants a name
		}
		res = r.call("2", name, "{}")
		assert.Contains(t, res.Failure(), want)
		assert.Nil(t, res.Content)
		assert.Less(t, len(res.Failure()), 500)
	}
	assert.Contains(t, r.call("3", "wave", `{"speed":7}`).Failure(), "not as the tool wants them")
	for _, name := range []string{"wave", "mcp__tars-mcp-movement__wave", "mcp:tars-movement:wave"} {
		assert.Contains(t, r.call("4", name, `{"speed":7}`).Failure(), "not as the tool wants them", name)
	}
	assert.Contains(t, contract.Value(r.call("5", "stop_movement", `{}`).Content), "Stopped.")
	assert.Contains(t, r.call("6", "wave", `{}`).Failure(), "stopped until resume")
	r.quiet()
}

// One result for each call, and none for what is no call any more.
func TestOneResultForEachCall(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.until("mcp__tars__current_time", true)
	envelope := func(ts float64) string {
		return fmt.Sprintf(`{"id":"e%v","type":"llm.tool.call.request","ts":%v,"source":"x","data":{"call_id":"e","name":"current_time","arguments":{}}}`, ts, ts)
	}
	now := float64(time.Now().Unix())
	r.send(envelope(now))
	r.send(envelope(now))
	r.send(envelope(now))
	assert.Empty(t, r.results.Next(t).Data.Failure())
	r.send(envelope(now - 3600))
	assert.Contains(t, r.results.Next(t).Data.Failure(), "not made any more")
	_, err := r.peer.PublishRaw(t.Context(), contract.ToolCallRequest.Name, []byte(`{"call_id":"kept","name":"current_time","arguments":{}}`), 1, true)
	require.NoError(t, err)
	assert.Equal(t, "kept", r.results.Next(t).Data.CallID, "live it is a call")
	r.quiet()

	require.NoError(t, r.sup.Stop(t.Context()))
	r.sup = r.Run(t, tools.New(tools.Options{Motion: time.Second, Result: 1 << 10, Version: "1"}))
	r.quiet() // what is retained is not
	for range 200 {
		r.send(`{"call_id":"x","name":"robot_status","arguments":{}}`)
	}
	seen := 0
	for res := r.results.Next(t); ; res = r.results.Next(t) {
		if res.Data.CallID == "x" {
			if seen++; seen == 1 {
				r.send(`{"call_id":"end","name":"nothing","arguments":{}}`)
			}
			continue
		}
		break
	}
	assert.LessOrEqual(t, seen, 200)
}

// A request may be anything. Whatever it is, the service stays.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.until("mcp__tars__current_time", true)
	for _, p := range []string{
		``, `{`, `[]`, `7`, `{"call_id":"a"}`, `{"name":"wave"}`, `{"call_id":"a","name":"wave","arguments":7}`, `{"call_id":7,"name":"wave"}`,
		`{"call_id":"a","name":"wave","arguments":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40) + `}`,
	} {
		r.send(p)
	}
	assert.Contains(t, r.call("big", "wave", `{"speed":"`+strings.Repeat("x", 100_000)+`"}`).Failure(), "longer than")
	r.quiet()
}

// A stop of the service answers what is under way.
func TestStopAnswersCalls(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}, 1), make(chan struct{})
	s := mcp.NewServer(&mcp.Implementation{Name: "slow", Version: "1"}, nil)
	s.AddTool(&mcp.Tool{Name: "wait", InputSchema: json.RawMessage(`{"type":"object"}`)}, func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		begun <- struct{}{}
		select {
		case <-ctx.Done():
		case <-release:
		}
		return nil, ctx.Err()
	})
	s.AddTool(&mcp.Tool{Name: "light", InputSchema: json.RawMessage(`{"type":"object","properties":{"topic":{"type":"string"},"data":{}}}`)},
		func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			var a struct{ Topic, Data any }
			if err := json.Unmarshal(req.Params.Arguments, &a); err != nil {
				return nil, err
			}
			b, err := json.Marshal(map[string]any{"success": true, "mqtt_publish": map[string]any{"topic": a.Topic, "data": a.Data, "event_type": "x.y"}})
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(b)}}}, err
		})
	web := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil))
	t.Cleanup(web.Close)
	t.Cleanup(func() { close(release) })
	r := start(t, host.Server{Name: "house", Transport: host.HTTP, URL: web.URL, Publish: []string{"lamp/+", "character/#", "movement/test", "llm/#", "tts/say"}})
	r.until("mcp__house__wait", true)

	// Directives: only where they are allowed, and only what somebody reads.
	said := servicetest.Collect(t, r.peer, contract.MovementTest)
	trait := servicetest.Collect(t, r.peer, contract.CharacterUpdate)
	lamp := make(chan client.RawMessage, 10)
	_, err := r.peer.SubscribeRaw("lamp/#", 1, func(_ context.Context, m client.RawMessage) error { lamp <- m; return nil })
	require.NoError(t, err)
	require.NoError(t, r.peer.Ready(t.Context()))
	for args, want := range map[string]string{
		`{"topic":"lamp/kitchen/x","data":{}}`:                                           "not allowed",
		`{"topic":"lamp/+","data":{}}`:                                                   "not allowed",
		`{"topic":"door/open","data":{}}`:                                                "not allowed",
		`{"topic":"llm/tool.call.request","data":{"call_id":"l","name":"wave"}}`:         "not allowed",
		`{"topic":"llm/tools/registry","data":{"tools":[]}}`:                             "not allowed",
		`{"topic":"movement/test","data":{"command":"explode"}}`:                         "nobody would read it",
		`{"topic":"lamp/kitchen","data":{"on":true}}`:                                    "",
		`{"topic":"character/update","data":{"trait":"humor","value":1}}`:                "",
		`{"topic":"movement/test","data":{"command":"wave","speed":1,"request_id":"q"}}`: "",
	} {
		res := r.call("d", "mcp__house__light", args)
		if want != "" {
			assert.Contains(t, res.Failure(), want, args)
			continue
		}
		assert.Empty(t, res.Failure(), args)
		assert.JSONEq(t, `{"success":true}`, contract.Value(res.Content))
	}
	e, data, ok := contract.Peek((<-lamp).Payload)
	require.True(t, ok)
	assert.Equal(t, "x.y", e.Type)
	assert.Equal(t, "house", e.Source)
	assert.JSONEq(t, `{"on":true}`, string(data))
	assert.True(t, said.Next(t).Bare, "an envelope is what the board does not read")
	assert.Equal(t, "traits", trait.Next(t).Data.Trait.Section)

	r.send(`{"call_id":"w","name":"mcp__house__wait","arguments":{}}`)
	<-begun
	require.NoError(t, r.sup.Stop(t.Context()))
	assert.Equal(t, "the robot is shutting down", r.results.Next(t).Data.Failure())
	assert.Zero(t, r.results.Len())
}

// The robot's own tools for MCP clients, and no others: two robots that are each other's clients
// have no circle of calls.
func TestServer(t *testing.T) {
	t.Parallel()
	r := start(t)
	web := httptest.NewServer(r.svc)
	t.Cleanup(web.Close)
	connect := func() *mcp.ClientSession {
		c, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: web.URL}, nil)
		require.NoError(t, err)
		return c
	}
	c := connect()
	defer c.Close()
	list, err := c.ListTools(t.Context(), nil)
	require.NoError(t, err)
	var have []string
	for _, x := range list.Tools {
		have = append(have, x.Name)
	}
	for _, want := range []string{"wave", "stop_movement", "adjust_personality_trait", "memory_search", "camera_snapshot", "say", "robot_status"} {
		assert.Contains(t, have, want)
	}
	res, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: "wave"})
	require.NoError(t, err)
	assert.True(t, res.IsError)
	assert.Contains(t, res.Content[0].(*mcp.TextContent).Text, "there is no body to move now")

	require.NoError(t, r.sup.Stop(t.Context()))
	resp, err := http.Get(web.URL) //nolint:noctx // a closed service
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
}
