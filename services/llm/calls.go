package llm

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/chat"
)

// caller calls the tools of one turn, within its limits.
type caller struct {
	t       *turn
	offered []chat.Tool
	room    int // tokens that are left in the model's window
	made    int // calls
}

// aliveEvery is how often a turn that waits for a tool gives a sign of life, so that nobody takes
// it for dead.
const aliveEvery = 5 * time.Second

// run makes the calls that an answer asks for, one after the other. It returns what goes into the
// conversation: the answer, and a result for each of its calls, since models insist on that.
func (c *caller) run(ctx context.Context, a chat.Answer) ([]chat.Message, error) {
	out := []chat.Message{{Role: chat.Assistant, Content: a.Text, Calls: a.Calls}}
	c.room -= cost(out[0]) + len(a.Calls)*2*perMessage
	for _, call := range a.Calls {
		text, err := c.one(ctx, call)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			c.t.r.log.Warn().Str("turn", c.t.of.ID).Err(err).Str("id", c.t.id).Str("tool", clipped(call.Name)).Msg("tool call failed")
			text = "Error: " + err.Error()
		}
		text = shorten(text, max(c.room/2, 0))
		if text == "" {
			text = "Error: there is no room for the result"
		}
		m := chat.Message{Role: chat.ToolRole, CallID: call.ID, Content: text}
		c.room -= cost(m)
		out = append(out, m)
	}
	return out, nil
}

// one makes one call.
func (c *caller) one(ctx context.Context, call chat.Call) (string, error) {
	if c.made++; c.made > c.t.r.o.Tools.Calls {
		return "", fmt.Errorf("more than %d tool calls in one turn", c.t.r.o.Tools.Calls)
	}
	args, err := c.t.r.tools.check(call, c.offered)
	if err != nil {
		return "", err
	}
	start := time.Now()
	res, err := c.t.call(ctx, call.Name, args)
	if err != nil {
		return "", err
	}
	text, err := resultText(res, c.t.r.o.Tools.Bytes)
	c.t.r.log.Info().Str("turn", c.t.of.ID).Str("id", c.t.id).Str("tool", call.Name).Bool("ok", err == nil).Dur("took", time.Since(start)).Msg("tool call")
	return text, err
}

// call asks for a tool on the bus and waits for its result.
func (t *turn) call(ctx context.Context, name string, args contract.Object) (contract.ToolResult, error) {
	limit := t.r.o.Tools.Timeout
	ctx, cancel := context.WithTimeoutCause(client.WithTurn(ctx, t.of), limit, fmt.Errorf("no result within %s", limit))
	defer cancel()
	id := client.NewID() // the model's own ids repeat from turn to turn
	answer := make(chan contract.ToolResult, 1)
	t.r.mu.Lock()
	t.r.calls[id] = answer
	t.r.mu.Unlock()
	defer func() {
		t.r.mu.Lock()
		delete(t.r.calls, id)
		t.r.mu.Unlock()
	}()
	req := contract.ToolCall{CallID: id, Name: name, Arguments: args}
	if _, err := client.Publish(ctx, t.r.bus, contract.ToolCallRequest, req, client.WithID(id), client.WithExpiry(limit)); err != nil {
		return contract.ToolResult{}, fmt.Errorf("the tool cannot be reached: %w", err)
	}
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		select {
		case res := <-answer:
			return res, nil
		case <-alive.C:
			t.delta(new(""), false)
		case <-ctx.Done():
			return contract.ToolResult{}, context.Cause(ctx)
		}
	}
}

// called takes a result. One that nobody waits for came too late, or is not ours.
func (r *run) called(_ context.Context, m client.Message[contract.ToolResult]) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if answer := r.calls[m.Data.CallID]; answer != nil && !m.Retained {
		delete(r.calls, m.Data.CallID)
		answer <- m.Data
	}
	return nil
}

// resultText is a result as the model reads it: the text, or else the JSON, up to a size.
func resultText(r contract.ToolResult, most int) (string, error) {
	if f := strings.TrimSpace(r.Failure()); f != "" {
		return "", fmt.Errorf("%s", shortText(f, most))
	}
	text := contract.Value(r.Content)
	if s, ok := r.Result.(string); ok && text == "" {
		text = s
	} else if text == "" && r.Result != nil {
		if b, err := json.Marshal(r.Result); err == nil {
			text = string(b)
		}
	}
	text = withoutDirective(text)
	if strings.TrimSpace(text) == "" {
		return "Done.", nil
	}
	return shortText(text, most), nil
}

// withoutDirective takes the order to publish something out of a result. The reference's tools did
// everything by such orders, to any topic; who has a tool publishes for itself now, and a model has
// no use for it.
func withoutDirective(text string) string {
	const directive = "mqtt_publish"
	if !strings.Contains(text, directive) {
		return text
	}
	var o map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &o) != nil {
		return text
	}
	delete(o, directive)
	b, err := json.Marshal(o)
	if err != nil {
		return text
	}
	return string(b)
}

// shortText cuts text to most bytes, and says so.
func shortText(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "\n(cut: it was longer)"
}

// clipped is a name for the log that a model may have made up.
func clipped(s string) string { return strings.ToValidUTF8(s[:min(len(s), 64)], "") }
