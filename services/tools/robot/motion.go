package robot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/tools/tool"
)

// movers are the peers that carry out a move: the service, or the board by itself.
func movers() []string {
	return []string{"movement", "movement-esp32", "movement-controller", "tars-movement"}
}

// motionTools are a tool for each move that the reference had one for, and those for single joints,
// by percent. A stop is there; lifting one is not, since that is for people who see the robot.
func (r *Robot) motionTools() []tool.Tool {
	out := []tool.Tool{{
		Server: Movement, Name: "stop_movement", Writes: true, Urgent: true, Timeout: stopWait + time.Second, Do: r.stop,
		Doc:    "Emergency stop: all servos off at once. The robot then stays still until a person lifts the stop.",
		Schema: object(nil),
	}}
	for _, m := range contract.Moves() {
		name := m.Tool
		if m.Name == "move_legs" || m.Name == "move_arm" {
			name = m.Name
		}
		if name == "" || m.Name == "stop" {
			continue
		}
		props := fields{{"speed", number(fmt.Sprintf("How fast, 0.1 to 1.0. %v suits it.", m.Speed), 0.1, 1, m.Speed)}}
		var required []string
		for _, p := range m.Params {
			props = append(props, field{p.Name, whole(p.Doc+", in percent", 1, 100)})
			if p.Required {
				required = append(required, p.Name)
			}
		}
		out = append(out, tool.Tool{
			Server: Movement, Name: name, Doc: m.Doc, Schema: object(props, required...), Writes: true,
			Timeout: r.o.Motion + 2*time.Second, Do: r.mover(m),
		})
	}
	return out
}

// mover is the function of a tool that moves: it asks, and waits for what becomes of it.
func (r *Robot) mover(m contract.Move) func(context.Context, tool.Args) (tool.Result, error) {
	return func(ctx context.Context, args tool.Args) (tool.Result, error) {
		if err := r.need(ctx, "body to move", movers()...); err != nil {
			return tool.Result{}, err
		}
		id := client.NewID()
		cmd := contract.TestMovement{Command: m.Name, Speed: args.Number("speed", m.Speed), RequestID: &id}
		for _, p := range m.Params {
			if v, ok := args[p.Name]; ok {
				if cmd.Params == nil {
					cmd.Params = contract.Object{}
				}
				cmd.Params[p.Name] = v
			}
		}
		if m.Name == "move_arm" && cmd.Params == nil {
			return tool.Result{}, errors.New("name at least one joint")
		}
		ch := make(chan contract.MovementUpdate, 16)
		r.mu.Lock()
		r.waiting[id] = ch
		r.mu.Unlock()
		defer func() {
			r.mu.Lock()
			delete(r.waiting, id)
			r.mu.Unlock()
		}()
		if _, err := client.Publish(ctx, r.o.Bus, contract.MovementTest.Wrapped(), cmd, client.WithExpiry(r.o.Motion)); err != nil {
			return tool.Result{}, fmt.Errorf("the move was not sent: %w", err)
		}
		return r.outcome(ctx, m.Name, ch)
	}
}

// outcome waits for the end of a move.
func (r *Robot) outcome(ctx context.Context, name string, ch <-chan contract.MovementUpdate) (tool.Result, error) {
	limit := time.NewTimer(r.o.Motion)
	defer limit.Stop()
	began := false
	for {
		select {
		case u := <-ch:
			switch u.Event {
			case "command_started":
				began = true
			case "command_completed":
				return tool.Result{Text: "Done: " + name + ".", Data: map[string]any{"success": true, "command": name, "state": "completed"}}, nil
			case "queue_full":
				return tool.Result{}, errors.New("too many moves wait already; try again later")
			case "command_failed":
				return tool.Result{}, fmt.Errorf("%s was not done: %s", name, tool.Cut(contract.Value(u.Detail), 300))
			}
		case <-limit.C:
			if began {
				return tool.Result{
					Text: fmt.Sprintf("%s has begun and still goes on after %s.", name, r.o.Motion),
					Data: map[string]any{"success": true, "command": name, "state": "started"},
				}, nil
			}
			return tool.Result{}, fmt.Errorf("%s has not begun within %s; it may still come after the moves before it", name, r.o.Motion)
		case <-ctx.Done():
			return tool.Result{}, context.Cause(ctx)
		}
	}
}

// stop stops, whatever is known of the robot, and then waits a little for the word of it.
func (r *Robot) stop(ctx context.Context, _ tool.Args) (tool.Result, error) {
	ch := make(chan contract.MovementUpdate, 1)
	r.mu.Lock()
	r.stops[ch] = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.stops, ch)
		r.mu.Unlock()
	}()
	reason := "a tool asked for it"
	if _, err := client.Publish(ctx, r.o.Bus, contract.MovementStop, contract.StopMovement{Reason: &reason}); err != nil {
		return tool.Result{}, fmt.Errorf("the stop was not sent: %w", err)
	}
	limit := time.NewTimer(stopWait)
	defer limit.Stop()
	done := map[string]any{"success": true, "confirmed": true}
	select {
	case <-ch:
		return tool.Result{Text: "Stopped. A person has to lift the stop before the robot moves again.", Data: done}, nil
	case <-limit.C:
	case <-ctx.Done():
	}
	done["confirmed"] = false
	return tool.Result{Text: "The stop was sent. Nobody has confirmed it.", Data: done}, nil
}

func (r *Robot) onMovement(_ context.Context, m client.Message[contract.MovementUpdate]) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.Data.Event == "emergency_stop" && !m.Retained {
		for ch := range r.stops {
			tell(ch, m.Data)
		}
	}
	if ch := r.waiting[contract.Value(m.Data.RequestID)]; ch != nil && !m.Retained {
		tell(ch, m.Data)
	}
	return nil
}

// tell never blocks: a device that says the same for ever must not.
func tell(ch chan<- contract.MovementUpdate, u contract.MovementUpdate) {
	select {
	case ch <- u:
	default:
	}
}
