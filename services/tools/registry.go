package tools

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/tools/host"
	"github.com/tarsd/tarsd/services/tools/robot"
	"github.com/tarsd/tarsd/services/tools/tool"
)

// Bounds of the announced list.
const (
	maxTools   = 128
	maxSchemas = 256 << 10             // bytes of names, texts and schemas
	settle     = 50 * time.Millisecond // in which several servers may come
	lookEvery  = 10 * time.Second      // for a new connection, at whose broker the list may be lost
)

// run is one run of the service. mu guards what follows it; wg holds the calls.
type run struct {
	o       Options
	bus     *client.Client
	log     zerolog.Logger
	caller  *tool.Caller
	own     []*tool.Ready
	host    *host.Host
	changed chan struct{} // capacity 1
	wg      sync.WaitGroup

	mu     sync.Mutex
	byName map[string]*tool.Ready
	list   []contract.Tool
	calls  map[string]bool // under way, by call id
}

// rebuild makes the list of what there is now, the robot's own tools first.
func (r *run) rebuild() {
	byName, list, size := map[string]*tool.Ready{}, []contract.Tool{}, 0
	announced := map[string]bool{}
	add := func(t *tool.Ready) {
		byName[t.ID] = t
		if t.Outside {
			return
		}
		cost := len(t.ID) + len(t.Doc) + len(t.Schema)
		if len(list) >= maxTools || size+cost > maxSchemas {
			r.log.Warn().Str("tool", t.ID).Msg("too many tools: not offered to the model")
			return
		}
		f := contract.Function{Name: t.ID, Description: t.Doc}
		if err := json.Unmarshal(t.Schema, &f.Parameters); err != nil {
			r.log.Error().Err(err).Str("tool", t.ID).Msg("tool left out")
			return
		}
		announced[t.ID], size = true, size+cost
		list = append(list, contract.Tool{Type: "function", Function: f})
	}
	for _, t := range r.own {
		add(t)
	}
	for _, t := range r.host.Tools() {
		ready, err := tool.Prepare(t)
		if err != nil || byName[t.ID] != nil {
			r.log.Warn().Err(err).Str("tool", t.ID).Msg("tool left out")
			continue
		}
		add(ready)
	}
	for _, t := range r.own {
		for _, name := range aliases(t) {
			if byName[name] == nil {
				byName[name] = t
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byName, r.list = byName, list
}

// aliases are the other names under which the robot's own tools are called: the plain one, that of
// the reference's local packages, and the spelling of its documents.
func aliases(t *tool.Ready) []string {
	out := []string{t.Name, "mcp:" + t.Server + ":" + t.Name}
	if t.Server == robot.Movement || t.Server == robot.Character {
		out = append(out, tool.ID(strings.Replace(t.Server, "tars-", "tars-mcp-", 1), t.Name))
	}
	return out
}

// announce keeps the retained list up to date until ctx ends.
func (r *run) announce(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	seen := r.bus.Stats().Reconnects
	for {
		r.mu.Lock()
		list := r.list
		r.mu.Unlock()
		again := (<-chan time.Time)(nil)
		if err := r.say(ctx, list); err != nil && ctx.Err() == nil {
			r.log.Warn().Err(err).Msg("list of tools not published")
			again = time.After(time.Second)
		}
	wait:
		for {
			select {
			case <-ctx.Done():
				return
			case <-again:
				break wait
			case <-r.changed:
				pause := time.NewTimer(settle)
				select {
				case <-pause.C:
				case <-ctx.Done():
					pause.Stop()
				}
				r.rebuild()
				break wait
			case <-tick.C:
				if n := r.bus.Stats().Reconnects; n != seen {
					seen = n
					break wait
				}
			}
		}
	}
}

// say publishes a list.
func (r *run) say(ctx context.Context, list []contract.Tool) error {
	if list == nil {
		list = []contract.Tool{}
	}
	_, err := client.Publish(ctx, r.bus, contract.ToolsRegistry, contract.Tools{Tools: list})
	return err
}
