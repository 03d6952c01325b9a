// Package host is the client of other MCP servers: it starts or reaches each of them, keeps it, and
// makes tools of what it offers. It owns their processes and connections; who calls the tools is left
// to services/tools.
//
// A server is somebody else's program. What it sends is bounded, what it is called by the model is
// made of its configured name, and one that hangs costs its own calls only.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/tools/tool"
)

// Transports of a Server.
const (
	Stdio = "stdio" // a program that we start
	HTTP  = "http"  // streamable HTTP
)

// Bounds of a server.
const (
	firstWait = time.Second
	mostWait  = time.Minute
	goodRun   = time.Minute // after which the waits begin anew
	maxTools  = 128         // of one server
	maxPages  = 64          // of its list
	maxFrame  = 8 << 20     // bytes of a message
	listEvery = time.Second // between two looks at a list that changes
	pingWait  = 5 * time.Second
	pingEvery = 30 * time.Second
	maxLate   = 3 // calls without an answer, one after the other
)

// Server is an MCP server. Values of Env and Headers may be secrets; they are in no log line.
type Server struct {
	Name      string // in the names of its tools
	Transport string // Stdio or HTTP
	Command   string
	Args      []string
	Env       map[string]string // beside the few names that every program gets
	URL       string
	Headers   map[string]string
	Allow     []string // globs of tool names; none: all of them
	Publish   []string // topic filters on which a result may have a message published

	ConnectTimeout time.Duration // from the start to the list of tools
	CallTimeout    time.Duration
}

// namePattern leaves out the underscore, so that a name cannot end the part that it is.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// own are the names of what tarsd offers itself.
func own() []string {
	return []string{"tars", "tars-movement", "tars-character", "tars-mcp-movement", "tars-mcp-character"}
}

// ErrOwn is wrapped by the error about a server that has the name of one of tarsd's own.
var ErrOwn = errors.New("tarsd has these tools itself")

// Validate reports what is wrong with a server.
func (s Server) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case !namePattern.MatchString(s.Name):
		bad("name: %q is not of at most 32 small letters, digits and -", tool.Cut(s.Name, 64))
	case slices.Contains(own(), s.Name):
		bad("name: %s: %w", s.Name, ErrOwn)
	}
	switch s.Transport {
	case Stdio:
		if s.Command == "" {
			bad("command: must be set for stdio")
		}
		if s.URL != "" || len(s.Headers) > 0 {
			bad("url, headers: are for http")
		}
	case HTTP:
		if err := checkURL(s.URL); err != nil {
			bad("url: %w", err)
		}
		if s.Command != "" || len(s.Args) > 0 || len(s.Env) > 0 {
			bad("command, args, env: are for stdio")
		}
		for name, value := range s.Headers {
			if err := checkHeader(name, value); err != nil {
				bad("headers: %w", err)
			}
		}
	default:
		bad("transport: %q is not stdio or http", tool.Cut(s.Transport, 32))
	}
	for _, g := range s.Allow {
		if _, err := path.Match(g, "x"); err != nil {
			bad("allow: %q is not a pattern", tool.Cut(g, 64))
		}
	}
	return errors.Join(errs...)
}

// allows reports whether a tool of the server is wanted.
func (s Server) allows(name string) bool {
	return len(s.Allow) == 0 || slices.ContainsFunc(s.Allow, func(g string) bool {
		ok, err := path.Match(g, name)
		return err == nil && ok
	})
}

// Options of New.
type Options struct {
	Servers  []Server // each valid, and no name twice
	Version  string   // of tarsd
	Instance string   // of this tarsd, which its own MCP server shows
	Log      zerolog.Logger
	Changed  func() // called when Tools has something new
	// Publish publishes what a result of a server asks for. It checks everything.
	Publish func(ctx context.Context, s Server, d Directive) error
}

// Host keeps all servers. mu guards tools.
type Host struct {
	o  Options
	mu sync.Mutex

	tools map[string][]tool.Tool // by server
}

// New makes a Host. Its servers are started by Run.
func New(o Options) *Host { return &Host{o: o, tools: map[string][]tool.Tool{}} }

// Run keeps every server until ctx ends, and waits for all of them.
func (h *Host) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range h.o.Servers {
		wg.Go(func() { h.keep(ctx, s) })
	}
	wg.Wait()
}

// Tools are those of all servers that are there, in the order of the configuration.
func (h *Host) Tools() []tool.Tool {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []tool.Tool
	for _, s := range h.o.Servers {
		out = append(out, h.tools[s.Name]...)
	}
	return out
}

func (h *Host) set(name string, tools []tool.Tool) {
	h.mu.Lock()
	changed := len(tools) > 0 || len(h.tools[name]) > 0
	h.tools[name] = tools
	h.mu.Unlock()
	if changed {
		h.o.Changed()
	}
}

// keep runs a server, again and again.
func (h *Host) keep(ctx context.Context, s Server) {
	log := h.o.Log.With().Str("server", s.Name).Logger()
	for wait, n := firstWait, 0; ; wait, n = min(2*wait, mostWait), n+1 {
		start := time.Now()
		err := h.run(ctx, s, n, log)
		h.set(s.Name, nil)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errSelf) {
			log.Error().Err(err).Msg("MCP server left out")
			return
		}
		if time.Since(start) >= goodRun {
			wait = firstWait
		}
		log.Warn().Str("err", tool.Cut(fmt.Sprint(err), 300)).Dur("again_in", wait).Msg("MCP server lost")
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

var (
	errSelf  = errors.New("it is this tarsd itself")
	errEnded = errors.New("it ended the connection")
	errDeaf  = errors.New("it does not answer")
)

// legacyProtocol is asked for at every other attempt: a server that falls silent at what it does not
// know would never be reached.
const legacyProtocol = "2025-11-25"

// session is one run of a server.
type session struct {
	h    *Host
	s    Server
	log  zerolog.Logger
	mcp  *mcp.ClientSession
	list chan struct{} // capacity 1: the list has changed
	deaf chan struct{} // capacity 1: a call timed out
	late atomic.Int32  // calls that timed out since the last one that did not
}

// run connects to a server and keeps its list of tools until the connection ends.
func (h *Host) run(ctx context.Context, s Server, attempt int, log zerolog.Logger) error {
	transport, closeAll, err := open(ctx, s, h.o.Instance, log)
	if err != nil {
		return err
	}
	defer closeAll()
	n := &session{h: h, s: s, log: log, list: make(chan struct{}, 1), deaf: make(chan struct{}, 1)}
	c := mcp.NewClient(&mcp.Implementation{Name: "tarsd", Version: h.o.Version}, &mcp.ClientOptions{
		// Neither roots nor sampling nor elicitation: a server gets nothing of ours.
		Capabilities:           &mcp.ClientCapabilities{},
		Logger:                 slog.New(slog.DiscardHandler), // it would write whole messages
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { poke(n.list) },
	})
	first, cancel := context.WithTimeoutCause(ctx, s.ConnectTimeout, fmt.Errorf("not ready within %s", s.ConnectTimeout))
	defer cancel()
	var so *mcp.ClientSessionOptions
	if attempt%2 == 1 {
		so = &mcp.ClientSessionOptions{ProtocolVersion: legacyProtocol}
	}
	if n.mcp, err = c.Connect(first, transport, so); err != nil {
		return reason(first, err)
	}
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { ended <- n.mcp.Wait() })
	// First the transport: Close of the session waits for a peer that may never answer.
	defer wg.Wait()
	defer n.mcp.Close()
	defer closeAll()
	if err := n.refresh(first); err != nil {
		return reason(first, err)
	}
	if i := n.mcp.InitializeResult(); i != nil && i.ServerInfo != nil {
		log.Info().Str("it_is", tool.Cut(i.ServerInfo.Name, 64)).Str("version", tool.Cut(i.ServerInfo.Version, 32)).Msg("MCP server ready")
	}
	return n.watch(ctx, ended)
}

// watch waits for the end of a session, and looks at its list again when that changes.
func (n *session) watch(ctx context.Context, ended <-chan error) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			if err == nil {
				err = errEnded
			}
			return err
		case <-n.list:
			if err := n.refresh(ctx); err != nil {
				return err
			}
			pause := time.NewTimer(listEvery) // a server may say it a thousand times a second
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
			}
		case <-n.deaf:
			if n.late.Load() >= maxLate {
				return errDeaf
			}
			if err := n.ping(ctx); err != nil {
				return err
			}
		case <-tick.C:
			if err := n.ping(ctx); err != nil {
				return err
			}
		}
	}
}

// ping asks whether the server lives. Any answer will do, also that it does not know a ping, which
// newer ones need not.
func (n *session) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingWait)
	defer cancel()
	if err := n.mcp.Ping(ctx, nil); err != nil && ctx.Err() != nil {
		return errDeaf
	}
	return nil
}

// reason is why ctx ended, if it has, since that says more than what it made fail.
func reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func poke(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
