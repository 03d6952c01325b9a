package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/hooks/access"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/tools"
	"github.com/tarsd/tarsd/services/tools/host"
)

// makeTools makes the service that carries out what a model calls.
func makeTools(p parts) (services.Service, error) {
	c := p.cfg.Tools
	o := toolOptions(c, p.version)
	for _, s := range c.Servers {
		o.Servers = append(o.Servers, toolServer(s, c))
	}
	if c.ServersFile != "" {
		if err := addServers(&o, c); err != nil {
			return nil, fmt.Errorf("tools.servers_file: %w", err)
		}
	}
	for _, s := range o.Servers {
		if err := s.Validate(); err != nil { // what ${NAME} stands for may be bad
			return nil, fmt.Errorf("tools.servers: %s: %w", s.Name, err)
		}
	}
	return tools.New(o), nil
}

// toolOptions are the options without the servers.
func toolOptions(c config.Tools, version string) tools.Options {
	return tools.Options{Motion: time.Duration(c.MotionTimeout), Result: int(c.Result), Version: version}
}

func toolServer(s config.ToolServer, c config.Tools) host.Server {
	out := host.Server{
		Name: s.Name, Transport: cmp.Or(s.Transport, host.Stdio), Command: s.Command, Args: s.Args, URL: s.URL.Reveal(), Allow: s.Allow, Publish: s.Publish,
		Env: revealed(s.Env), Headers: revealed(s.Headers),
		ConnectTimeout: time.Duration(cmp.Or(s.ConnectTimeout, c.ConnectTimeout)), CallTimeout: time.Duration(cmp.Or(s.CallTimeout, c.CallTimeout)),
	}
	if s.Transport == "" && out.URL != "" {
		out.Transport = host.HTTP
	}
	return out
}

func revealed(secrets map[string]config.Secret) map[string]string {
	out := make(map[string]string, len(secrets))
	for name, s := range secrets {
		out[name] = s.Reveal()
	}
	return filled(out)
}

// filled puts our environment's values in the place of ${NAME}; what is not set stays, as at the
// reference. $NAME is left alone: a password may hold a $.
func filled(values map[string]string) map[string]string {
	for name, v := range values {
		var b strings.Builder
		for {
			before, rest, found := strings.Cut(v, "${")
			b.WriteString(before)
			if !found {
				break
			}
			var key string
			if key, v, found = strings.Cut(rest, "}"); !found {
				b.WriteString("${" + rest)
				break
			}
			value, set := os.LookupEnv(key)
			if !set {
				value = "${" + key + "}"
			}
			b.WriteString(value)
		}
		values[name] = b.String()
	}
	return values
}

// addServers adds those of the file. A server of the configuration goes before one of the same name.
func addServers(o *tools.Options, c config.Tools) error {
	f, err := os.Open(c.ServersFile)
	if err != nil {
		return err
	}
	defer f.Close()
	list, notes, err := host.ReadFile(f, time.Duration(c.ConnectTimeout), time.Duration(c.CallTimeout))
	if err != nil {
		return fmt.Errorf("%s: %w", c.ServersFile, err)
	}
	o.Notes = append(o.Notes, notes...)
	for _, s := range list {
		if slices.ContainsFunc(o.Servers, func(x host.Server) bool { return x.Name == s.Name }) || len(o.Servers) >= host.MaxServers {
			o.Notes = append(o.Notes, s.Name+" of the file is left out: it is in the configuration too, or there are too many")
			continue
		}
		s.Env, s.Headers = filled(s.Env), filled(s.Headers)
		o.Servers = append(o.Servers, s)
	}
	return nil
}

// mcpHandler is what serves /mcp: the tools service, for those who may manage this robot. nil if it
// does not run here.
func (a *App) mcpHandler() http.Handler {
	if a.mcp == nil || !a.cfg.Tools.HTTP {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, _ := a.signIn(r, "", func(p *delivery.Peer) bool { return slices.Contains(p.Roles, access.RoleAdmin) })
		if code == 0 {
			a.mcp.ServeHTTP(w, r)
			return
		}
		if code == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="tarsd", charset="UTF-8"`)
		}
		http.Error(w, "the tools are for users with the role admin", code)
	})
}

// MCP serves the robot's own tools on in and out until they end, over the broker of a tarsd that
// runs: the one of the data directory, or broker.url.
func MCP(ctx context.Context, c config.Config, version string, in io.Reader, out io.Writer, log zerolog.Logger) error {
	o, err := mcpClient(c.Broker, c)
	if err != nil {
		return err
	}
	// It is no service: neither its name nor a heartbeat is to make health think so.
	o.ID, o.Name, o.NoHealth, o.Heartbeat, o.Log, o.SessionExpiry = "tarsd-mcp-"+client.NewID()[:8], "mcp", true, -1, log, -1
	bus, err := client.Connect(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = bus.Close(end) // what was asked has been answered
	}()
	first, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("no connection within 10s"))
	defer cancel()
	if err := bus.Await(first); err != nil {
		return fmt.Errorf("connect to %s: %w", where(c), errors.Join(err, context.Cause(first)))
	}
	instance := ""
	if !c.Broker.Remote() { // a robot elsewhere is not who started us
		instance = os.Getenv(host.InstanceEnv)
	}
	return tools.ServeStdio(ctx, bus, toolOptions(c.Tools, version), instance, in, out, log)
}

// mcpClient is how that broker is reached.
func mcpClient(b config.Broker, c config.Config) (client.Options, error) {
	if b.Remote() {
		return remoteOptions(b)
	}
	path := c.SocketPath()
	if _, err := os.Stat(path); err != nil {
		return client.Options{}, fmt.Errorf("%w (%w): start it, or name a broker with --broker", errNotRunning, err)
	}
	return client.Options{URL: "unix://" + path}, nil
}

func where(c config.Config) string {
	if c.Broker.Remote() {
		return c.Broker.URL.String()
	}
	return c.SocketPath()
}
