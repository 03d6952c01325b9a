package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/tarsd/tarsd/services/tools/tool"
)

// refresh reads the list of tools, as long as it may be, and makes tools of it.
func (n *session) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, n.s.ConnectTimeout, fmt.Errorf("no list of tools within %s", n.s.ConnectTimeout))
	defer cancel()
	var out []tool.Tool
	names := map[string]bool{}
	seen, left := 0, 0
	params := &mcp.ListToolsParams{}
	for range maxPages {
		page, err := n.mcp.ListTools(ctx, params)
		if err != nil {
			return reason(ctx, err)
		}
		for _, t := range page.Tools {
			if t == nil {
				continue
			}
			if n.h.o.Instance != "" && t.Meta[tool.InstanceKey] == n.h.o.Instance {
				return errSelf
			}
			if seen++; !n.s.allows(t.Name) {
				left++
				continue
			}
			made, err := n.make(t)
			switch {
			case err != nil:
			case names[made.ID]:
				err = fmt.Errorf("tool %s is there twice", made.ID)
			case len(out) >= maxTools:
				err = fmt.Errorf("more than %d tools", maxTools)
			}
			if err != nil {
				n.log.Warn().Str("err", tool.Cut(err.Error(), 300)).Msg("tool left out")
				continue
			}
			names[made.ID] = true
			out = append(out, made)
		}
		if params.Cursor = page.NextCursor; params.Cursor == "" || seen > 4*maxTools {
			break
		}
	}
	n.h.set(n.s.Name, out)
	n.log.Info().Int("tools", len(out)).Int("not_allowed", left).Msg("tools of an MCP server")
	return nil
}

// make makes a tool of what a server says of it.
func (n *session) make(t *mcp.Tool) (tool.Tool, error) {
	raw, err := json.Marshal(t.InputSchema)
	if err != nil {
		return tool.Tool{}, fmt.Errorf("tool %.64q: %w", t.Name, err)
	}
	if t.InputSchema == nil {
		raw = json.RawMessage(`{}`)
	}
	name := t.Name
	made := tool.Tool{
		Server: n.s.Name, Name: name, Doc: t.Description, Schema: raw, Timeout: n.s.CallTimeout, Writes: true, Deletes: true,
		Do: func(ctx context.Context, args tool.Args) (tool.Result, error) { return n.call(ctx, name, args) },
	}
	if a := t.Annotations; a != nil {
		made.Writes = !a.ReadOnlyHint
		made.Deletes = made.Writes && (a.DestructiveHint == nil || *a.DestructiveHint)
	}
	ready, err := tool.Prepare(made)
	if err != nil {
		return tool.Tool{}, err
	}
	return ready.Tool, nil
}

// call calls a tool of the server.
func (n *session) call(ctx context.Context, name string, args tool.Args) (tool.Result, error) {
	res, err := n.mcp.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: map[string]any(args)})
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			n.late.Add(1)
			poke(n.deaf)
		}
		if ctx.Err() != nil {
			return tool.Result{}, context.Cause(ctx)
		}
		return tool.Result{}, fmt.Errorf("%s", tool.Cut(err.Error(), 500))
	}
	n.late.Store(0)
	r, d, err := read(res)
	if err != nil {
		return tool.Result{}, err
	}
	if d != nil {
		if err := n.h.o.Publish(ctx, n.s, *d); err != nil {
			return tool.Result{}, fmt.Errorf("the tool wants something published on %.100q: %w", d.Topic, err)
		}
	}
	return r, nil
}
