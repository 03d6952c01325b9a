package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// childEnv says which server the test binary is, when it is started as one.
const childEnv = "HOST_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childEnv); mode != "" {
		if err := serveAs(mode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveAs is an MCP server with a fault.
func serveAs(mode string) error {
	ctx := context.Background()
	switch mode {
	case "silent": // it takes everything and says nothing, and does not want to end
		signal.Ignore(syscall.SIGTERM)
		b := make([]byte, 4096)
		for {
			if _, err := os.Stdin.Read(b); err != nil {
				<-make(chan struct{})
			}
		}
	case "exit":
		fmt.Fprintln(os.Stderr, strings.Repeat("cannot start ", 10_000))
		return fmt.Errorf("bad day")
	case "noise":
		fmt.Println("Welcome to my server!")
	case "children": // what it starts outlives it, unless its group is ended
		cmd := exec.Command("sleep", "600")
		if err := cmd.Start(); err != nil {
			return err
		}
		if err := os.WriteFile(os.Getenv("PIDS"), fmt.Appendf(nil, "%d %d", os.Getpid(), cmd.Process.Pid), 0o600); err != nil {
			return err
		}
		signal.Ignore(syscall.SIGTERM)
	}
	s := newServer(mode)
	return s.Run(ctx, &mcp.StdioTransport{})
}

func text(s string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
}

func object(props string) json.RawMessage {
	return json.RawMessage(`{"type":"object","properties":{` + props + `}}`)
}

// newServer is the server of serveAs, for HTTP too.
func newServer(mode string) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "scripted", Version: "1"}, nil)
	add := func(name string, schema json.RawMessage, do func(context.Context, map[string]any) (*mcp.CallToolResult, error)) {
		s.AddTool(&mcp.Tool{Name: name, Description: "does " + name, InputSchema: schema}, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			var args map[string]any
			if err := json.Unmarshal(r.Params.Arguments, &args); err != nil {
				return nil, err
			}
			return do(ctx, args)
		})
	}
	echo := func(_ context.Context, a map[string]any) (*mcp.CallToolResult, error) {
		return text(fmt.Sprint(a["text"])), nil
	}
	add("echo", object(`"text":{"type":"string"}`), echo)
	switch mode {
	case "slow":
		add("wait", object(""), func(context.Context, map[string]any) (*mcp.CallToolResult, error) {
			<-make(chan struct{})
			return nil, nil
		})
	case "dying":
		add("die", object(""), func(context.Context, map[string]any) (*mcp.CallToolResult, error) {
			os.Exit(3)
			return nil, nil
		})
	case "changing":
		add("more", object(""), func(context.Context, map[string]any) (*mcp.CallToolResult, error) {
			add("another", object(""), echo)
			return text("there is more"), nil
		})
	case "schemas":
		add("ring", json.RawMessage(`{"type":"object","properties":{"a":{"$ref":"#"}}}`), echo)
		add("vast", object(`"a":{"description":"`+strings.Repeat("x", 40<<10)+`"}`), echo)
		add("files.read", object(""), echo)
		add("files_read", object(""), echo)
		add(strings.Repeat("n", 100), object(""), echo)
		s.AddTool(&mcp.Tool{Name: "wordy", Description: strings.Repeat("ü", 50_000), InputSchema: object("")}, nil)
	case "many":
		for i := range 300 {
			add(fmt.Sprintf("t%d", i), object(""), echo)
		}
	case "results":
		add("huge", object(""), func(context.Context, map[string]any) (*mcp.CallToolResult, error) {
			return text(strings.Repeat("x", 20<<20)), nil
		})
		add("long", object(""), func(context.Context, map[string]any) (*mcp.CallToolResult, error) {
			return text(strings.Repeat("x", 1<<20)), nil
		})
		add("fails", object(""), func(context.Context, map[string]any) (*mcp.CallToolResult, error) {
			r := text("no such file")
			r.IsError = true
			return r, nil
		})
		add("refuses", object(""), func(context.Context, map[string]any) (*mcp.CallToolResult, error) { return nil, fmt.Errorf("not now") })
		add("unsuccessful", object(""), func(context.Context, map[string]any) (*mcp.CallToolResult, error) {
			return text(`{"success":false,"error":"out of paper"}`), nil
		})
		add("publishes", object(""), func(context.Context, map[string]any) (*mcp.CallToolResult, error) {
			return text(`{"success":true,"message":"lit","mqtt_publish":{"topic":"lamp/set","event_type":"lamp.set","data":{"on":true},"source":"mcp-lamp"}}`), nil
		})
		add("picture", object(""), func(context.Context, map[string]any) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{
				Content: []mcp.Content{
					&mcp.TextContent{Text: "a cat"}, &mcp.ImageContent{Data: []byte("png"), MIMEType: "image/png"},
					&mcp.ResourceLink{URI: "file:///cat.txt"}, &mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "x:y", Text: "meow"}},
				},
				StructuredContent: map[string]any{"cats": 1},
			}, nil
		})
	case "environment":
		add("env", object(""), func(context.Context, map[string]any) (*mcp.CallToolResult, error) {
			return text(strings.Join(os.Environ(), "\n")), nil
		})
	}
	return s
}

// gone waits until a process has ended.
func gone(t *testing.T, pid int) bool {
	t.Helper()
	deadline := time.After(5 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(pid, 0) == nil {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(b), ") Z ") {
			return true // nobody reaps what lost its parent here
		}
		select {
		case <-deadline:
			return false
		case <-tick.C:
		}
	}
	return true
}
