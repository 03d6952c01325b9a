package tools

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/tools/tool"
)

// Bounds of calls.
const (
	maxCalls = 64          // under way at once
	maxAge   = time.Minute // of a request: who asked has given up since
	maxError = 2000        // bytes
)

// onCall takes a call. It is answered exactly once, by whatever way it ends; only a repeat of a
// call that is under way, and a request that a broker retained, are not. ctx is the message's, calls
// is that of all calls.
func (r *run) onCall(ctx, calls context.Context, m client.Message[contract.ToolCall]) error {
	if m.Retained {
		return errors.New("a retained call is not carried out")
	}
	t, err := r.find(m)
	if err == nil && !r.enter(m.Data.CallID) {
		return fmt.Errorf("the call %.64q is under way already", m.Data.CallID)
	}
	if err != nil {
		return r.answer(ctx, m, tool.Result{}, err)
	}
	calls = client.WithTurn(calls, client.TurnOf(ctx))
	r.wg.Go(func() {
		res, err := r.caller.Call(calls, t, m.Data.Arguments)
		r.leave(m.Data.CallID)
		end, cancel := context.WithTimeout(context.WithoutCancel(calls), stopWait)
		defer cancel()
		if err := r.answer(end, m, res, err); err != nil {
			r.log.Error().Ctx(end).Err(err).Str("tool", t.ID).Msg("result not published")
		}
	})
	return nil
}

// find is the tool of a call, if it is to be made. Its error is for the model.
func (r *run) find(m client.Message[contract.ToolCall]) (*tool.Ready, error) {
	if age := time.Since(time.Unix(0, int64(m.TS*1e9))); !m.Bare && m.TS > 0 && age > maxAge {
		return nil, fmt.Errorf("the call is %s old and is not made any more", age.Round(time.Second))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.byName[m.Data.Name]
	switch {
	case t == nil:
		text := fmt.Sprintf("there is no tool %.64q", m.Data.Name)
		if near := r.near(m.Data.Name); near != "" {
			text += "; there is " + near
		}
		return nil, errors.New(text)
	case len(r.calls) >= maxCalls && !r.calls[m.Data.CallID]:
		return nil, tool.ErrBusy
	}
	return t, nil
}

// near finds a tool whose last part is that of name. mu is held.
func (r *run) near(name string) string {
	last := name[max(strings.LastIndexAny(name, ":._/")+1, 0):]
	for _, t := range r.list {
		if last != "" && strings.HasSuffix(t.Function.Name, "_"+last) {
			return t.Function.Name
		}
	}
	return ""
}

func (r *run) enter(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls[id] {
		return false
	}
	r.calls[id] = true
	return true
}

func (r *run) leave(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.calls, id)
}

// answer publishes the result of a call. Pictures stay where they were published: a model on the
// bus reads text.
func (r *run) answer(ctx context.Context, m client.Message[contract.ToolCall], res tool.Result, err error) error {
	out := contract.ToolResult{CallID: m.Data.CallID}
	if err != nil {
		out.Error = new(tool.Cut(err.Error(), maxError))
	} else {
		out.Content, out.Result = &res.Text, res.Data
	}
	_, err = client.Reply(ctx, r.bus, m, contract.ToolCallResult, out, client.WithExpiry(maxAge))
	return err
}

// forbidden are the topics on which a tool's result has nothing published, whatever is configured:
// it would call tools itself, or change which there are.
func forbidden(topic string) bool {
	return slices.Contains([]string{contract.ToolCallRequest.Name, contract.ToolCallResult.Name, contract.ToolsRegistry.Name}, topic)
}
