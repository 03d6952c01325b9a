// Package tools carries out what a language model calls: the robot's own tools and those of the MCP
// servers that it is a client of. It owns the announced list (llm/tools/registry), each call on
// llm/tool.call.request until its one result, and the MCP server over the robot's own tools. The
// packages below it have the tools; who decides to call one is the llm service, or a peer.
package tools

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/tools/host"
	"github.com/tarsd/tarsd/services/tools/robot"
	"github.com/tarsd/tarsd/services/tools/server"
	"github.com/tarsd/tarsd/services/tools/tool"
)

// Options of New.
type Options struct {
	Servers  []host.Server  // valid, and no name twice
	Notes    []string       // for the log: what of the configuration is left out
	Motion   time.Duration  // how long a tool waits for the end of a move
	Result   int            // longest text of a result, bytes
	Location *time.Location // of the robot; nil: that of the machine
	Version  string         // of tarsd
}

// Service is the tools service. As an http.Handler it is the MCP server, while it runs.
type Service struct {
	o        Options
	instance string
	http     atomic.Pointer[http.Handler]
}

var (
	_ services.Service = (*Service)(nil)
	_ services.Checker = (*Service)(nil)
	_ http.Handler     = (*Service)(nil)
)

// New makes the service.
func New(o Options) *Service {
	if o.Location == nil {
		o.Location = time.Local
	}
	return &Service{o: o, instance: client.NewID()}
}

// Name implements services.Service.
func (*Service) Name() string { return "tools" }

// Run implements services.Service.
func (s *Service) Run(ctx context.Context, rt services.Runtime) error {
	own, err := s.o.robot(rt.Bus)
	if err != nil {
		return err
	}
	for _, n := range s.o.Notes {
		rt.Log.Warn().Str("note", n).Msg("MCP servers")
	}
	r := &run{
		o: s.o, bus: rt.Bus, log: rt.Log, caller: tool.NewCaller(s.o.Result, rt.Log), own: own,
		changed: make(chan struct{}, 1), calls: map[string]bool{},
	}
	r.host = host.New(host.Options{
		Servers: s.o.Servers, Version: s.o.Version, Instance: s.instance, Log: rt.Log, Publish: r.publish,
		Changed: func() {
			select {
			case r.changed <- struct{}{}:
			default: // it is known already
			}
		},
	})
	r.rebuild()
	calls, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	sub, err := client.Subscribe(rt.Bus, contract.ToolCallRequest, func(ctx context.Context, m client.Message[contract.ToolCall]) error {
		return r.onCall(ctx, calls, m)
	})
	if err != nil {
		cancel(nil)
		return err
	}
	h := server.Handler(server.New(server.Options{Tools: own, Caller: r.caller, Version: s.o.Version, Instance: s.instance}), s.o.longest())
	s.http.Store(&h)
	rt.Ready()
	var wg sync.WaitGroup
	wg.Go(func() { r.host.Run(ctx) })
	r.announce(ctx)

	s.http.Store(nil)
	cancel(tool.ErrStopping)
	end, done := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
	defer done()
	err = sub.Close(end)
	r.wg.Wait()
	wg.Wait()
	return errors.Join(err, r.say(end, nil))
}

// stopWait is how long the last words may take.
const stopWait = 600 * time.Millisecond

// longest is the longest that one of the robot's own tools may take.
func (o Options) longest() time.Duration { return max(o.Motion+2*time.Second, 10*time.Second) }

// robot makes the robot's own tools over a client.
func (o Options) robot(bus *client.Client) ([]*tool.Ready, error) {
	r, err := robot.New(robot.Options{Bus: bus, Motion: o.Motion, Location: o.Location})
	if err != nil {
		return nil, err
	}
	var out []*tool.Ready
	for _, t := range r.Tools() {
		ready, err := tool.Prepare(t)
		if err != nil {
			return nil, err
		}
		out = append(out, ready)
	}
	return out, nil
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := s.http.Load()
	if h == nil {
		http.Error(w, "the tools service is not running", http.StatusServiceUnavailable)
		return
	}
	(*h).ServeHTTP(w, r)
}

// ServeStdio is the MCP server on two streams, over a client of a tarsd that runs elsewhere. instance
// says which tarsd started this program, if one did. It returns when the streams or ctx end.
func ServeStdio(ctx context.Context, bus *client.Client, o Options, instance string, in io.Reader, out io.Writer, log zerolog.Logger) error {
	if o.Location == nil {
		o.Location = time.Local
	}
	own, err := o.robot(bus)
	if err != nil {
		return err
	}
	if err := bus.Ready(ctx); err != nil {
		return err
	}
	s := server.New(server.Options{Tools: own, Caller: tool.NewCaller(o.Result, log), Version: o.Version, Instance: instance})
	return server.Stdio(ctx, s, in, out, o.longest())
}
