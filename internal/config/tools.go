package config

import (
	"fmt"
	"path"
	"regexp"
	"slices"
)

// Tools is the service that carries out what a model calls.
type Tools struct {
	Servers        []ToolServer `yaml:"servers" shown:"none" doc:"MCP servers whose tools the model is offered beside the robot's own: a list of {name, transport, command, args, env, url, headers, allow, publish, connect_timeout, call_timeout}. See tools.md."`
	ServersFile    string       `yaml:"servers_file" shown:"none" doc:"JSON file of further MCP servers: the reference's mcp-servers.json, or the mcpServers of another MCP client."`
	ConnectTimeout Duration     `yaml:"connect_timeout" doc:"Time for an MCP server to be ready, for servers without one of their own."`
	CallTimeout    Duration     `yaml:"call_timeout" doc:"Time for a call of a tool of an MCP server, likewise."`
	MotionTimeout  Duration     `yaml:"motion_timeout" doc:"Time that a tool waits for the end of a move; it should be below llm.tools.timeout."`
	Result         Size         `yaml:"result_bytes" doc:"Longest text of a result; the rest is cut."`
	HTTP           bool         `yaml:"http" doc:"Serve the robot's own tools as an MCP server at /mcp of the HTTP port, for users with the role admin and as access.local_roles says for this machine."`
}

// ToolServer is an MCP server that tarsd is a client of.
type ToolServer struct {
	Name           string            `yaml:"name"`
	Transport      string            `yaml:"transport"` // stdio or http; empty: what url says
	Command        string            `yaml:"command"`
	Args           []string          `yaml:"args"`
	Env            map[string]Secret `yaml:"env"` // ${NAME} stands for what tarsd has under that name
	URL            URL               `yaml:"url"`
	Headers        map[string]Secret `yaml:"headers"` // ${NAME} likewise
	Allow          []string          `yaml:"allow"`   // globs of tool names; none: all
	Publish        []string          `yaml:"publish"` // topic filters for messages in results
	ConnectTimeout Duration          `yaml:"connect_timeout"`
	CallTimeout    Duration          `yaml:"call_timeout"`
}

// MarshalText implements encoding.TextMarshaler: where a server is, without its secrets.
func (t ToolServer) MarshalText() ([]byte, error) {
	if t.Command != "" {
		return fmt.Appendf(nil, "%s: %s", t.Name, t.Command), nil
	}
	return fmt.Appendf(nil, "%s: %s", t.Name, t.URL), nil
}

func defaultTools() Tools {
	return Tools{ConnectTimeout: Duration(5e9), CallTimeout: Duration(30e9), MotionTimeout: Duration(25e9), Result: 64 * KiB, HTTP: true}
}

// maxToolServers is how many servers there may be, those of the file included.
const maxToolServers = 32

var toolServerName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// ownToolServers are names of what tarsd offers itself.
func ownToolServers() []string {
	return []string{"tars", "tars-movement", "tars-character", "tars-mcp-movement", "tars-mcp-character"}
}

func (t Tools) check(key string, ps *Problems) {
	const ms, s = Duration(1e6), Duration(1e9)
	for _, r := range []struct {
		key           string
		v, least, top Duration
	}{
		{"connect_timeout", t.ConnectTimeout, 100 * ms, 300 * s}, {"call_timeout", t.CallTimeout, 100 * ms, 600 * s},
		{"motion_timeout", t.MotionTimeout, s, 120 * s},
	} {
		if r.v < r.least || r.v > r.top {
			ps.add(key+"."+r.key, "", "%s is not from %s to %s", r.v, r.least, r.top)
		}
	}
	if t.Result < 256 || t.Result > MiB {
		ps.add(key+".result_bytes", "", "%s is not from 256 to 1MiB", t.Result)
	}
	if len(t.Servers) > maxToolServers {
		ps.add(key+".servers", "", "there are more than %d", maxToolServers)
	}
	var names []string
	for i, x := range t.Servers {
		at := fmt.Sprintf("%s.servers[%d]", key, i)
		if slices.Contains(names, x.Name) {
			ps.add(at+".name", "", "%s is there twice", x.Name)
		}
		names = append(names, x.Name)
		x.check(at, ps)
	}
}

func (t ToolServer) check(key string, ps *Problems) {
	switch {
	case !toolServerName.MatchString(t.Name):
		ps.add(key+".name", "", "%.64q is not of at most 32 small letters, digits and -", t.Name)
	case slices.Contains(ownToolServers(), t.Name):
		ps.add(key+".name", "", "tarsd has the tools of %s itself", t.Name)
	}
	if t.Transport != "" && t.Transport != "stdio" && t.Transport != "http" {
		ps.add(key+".transport", "", "%.32q is not stdio or http", t.Transport)
	}
	if t.Transport == "stdio" || t.Transport == "" && t.URL.IsZero() {
		if t.Command == "" {
			ps.add(key+".command", "", "must be set: the program to start; or url, for a server elsewhere")
		}
		if !t.URL.IsZero() || len(t.Headers) > 0 {
			ps.add(key+".url", "", "url and headers have no effect with stdio")
		}
	} else {
		if err := checkURL(t.URL, []string{"http", "https"}, "http, https"); err != nil {
			ps.add(key+".url", "", "%s", err)
		}
		if t.URL.parsed().User != nil {
			ps.add(key+".url", "", "has a user in it; use headers")
		}
		if t.Command != "" || len(t.Args) > 0 || len(t.Env) > 0 {
			ps.add(key+".command", "", "command, args and env have no effect with http")
		}
	}
	for i, g := range t.Allow {
		if _, err := path.Match(g, "x"); err != nil {
			ps.add(fmt.Sprintf("%s.allow[%d]", key, i), "", "%q is not a pattern such as read_*", g)
		}
	}
	for i, f := range t.Publish {
		if err := checkFilter(f); err != nil {
			ps.add(fmt.Sprintf("%s.publish[%d]", key, i), "", "%s", err)
		}
	}
	for _, r := range []struct {
		key string
		v   Duration
		top Duration
	}{{"connect_timeout", t.ConnectTimeout, Duration(300e9)}, {"call_timeout", t.CallTimeout, Duration(600e9)}} {
		if r.v != 0 && (r.v < Duration(100e6) || r.v > r.top) {
			ps.add(key+"."+r.key, "", "%s is not from 100ms to %s", r.v, r.top)
		}
	}
}
