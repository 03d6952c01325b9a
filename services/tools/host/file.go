package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/tarsd/tarsd/services/tools/tool"
)

// Limits of a file of servers.
const (
	maxFile    = 1 << 20 // bytes
	MaxServers = 32      // of a file, and of all together
)

// entry is a server as files of the reference and of other clients have it. Both spellings of the
// reference's list of tools are read; there only one of them was, and the other silently ignored.
type entry struct {
	Name      string            `json:"name"`
	Transport string            `json:"transport"`
	Type      string            `json:"type"` // what others call the transport
	Command   *string           `json:"command"`
	Args      []string          `json:"args"`
	Env       map[string]string `json:"env"`
	URL       *string           `json:"url"`
	Headers   map[string]string `json:"headers"`
	Allowed   []string          `json:"allowed_tools"`
	Allowlist []string          `json:"tools_allowlist"`
	Disabled  bool              `json:"disabled"`

	// What the reference's builder noted for itself.
	Source      any `json:"source"`
	PackageName any `json:"package_name"`
	Package     any `json:"package"`
	Description any `json:"description"`
	Installed   any `json:"installed"`
	InstallPath any `json:"install_path"`
	InstallSpec any `json:"install_spec"`
}

// list is a file: servers as a list (the reference's mcp-servers.json) or by name (mcpServers, as
// other clients have it).
type list struct {
	Servers    []json.RawMessage          `json:"servers"`
	McpServers map[string]json.RawMessage `json:"mcpServers"`
	Timeouts   struct {
		Connect  float64 `json:"connect_ms"`
		ToolCall float64 `json:"tool_call_ms"`
	} `json:"timeouts"`
}

// ReadFile reads servers from a file of the reference or of another MCP client. connect and call
// are the times for servers of a file that has none. notes are for the log: what of the file is left
// out, and why. An entry that cannot be used costs only itself.
func ReadFile(from io.Reader, connect, call time.Duration) (servers []Server, notes []string, err error) {
	raw, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return nil, nil, err
	}
	if len(raw) > maxFile {
		return nil, nil, fmt.Errorf("longer than %d bytes", maxFile)
	}
	var l list
	if err := json.Unmarshal(raw, &l); err != nil {
		return nil, nil, fmt.Errorf("not a file of MCP servers: %w", err)
	}
	if l.Servers == nil && l.McpServers == nil {
		return nil, nil, errors.New("has neither servers nor mcpServers")
	}
	times := func(ms float64, usual time.Duration) time.Duration {
		if ms >= 100 && ms <= 600_000 {
			return time.Duration(ms) * time.Millisecond
		}
		return usual
	}
	connect, call = times(l.Timeouts.Connect, connect), times(l.Timeouts.ToolCall, call)
	note := func(format string, args ...any) {
		if len(notes) < 2*MaxServers {
			notes = append(notes, tool.Cut(fmt.Sprintf(format, args...), 300))
		}
	}
	seen := map[string]bool{}
	add := func(at, name string, raw json.RawMessage) {
		s, unknown, err := readEntry(name, raw)
		if unknown != "" {
			note("%s: %s", at, unknown)
		}
		switch {
		case err != nil:
		case seen[s.Name]:
			err = fmt.Errorf("%s is there twice; the first one counts", s.Name)
		case len(servers) >= MaxServers:
			err = fmt.Errorf("more than %d servers", MaxServers)
		}
		if err != nil {
			note("%s is left out: %s", at, err)
			return
		}
		seen[s.Name] = true
		s.ConnectTimeout, s.CallTimeout = connect, call
		servers = append(servers, s)
	}
	for i, raw := range l.Servers {
		add(fmt.Sprintf("servers[%d]", i), "", raw)
	}
	for _, name := range slices.Sorted(maps.Keys(l.McpServers)) {
		add(fmt.Sprintf("mcpServers.%.64s", name), name, l.McpServers[name])
	}
	return servers, notes, nil
}

// readEntry reads one server. unknown tells of a key that means nothing here.
func readEntry(name string, raw json.RawMessage) (s Server, unknown string, err error) {
	var e entry
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		unknown = err.Error()
		e = entry{}
		if err := json.Unmarshal(raw, &e); err != nil {
			return s, "", err
		}
	}
	if e.Disabled {
		return s, unknown, errors.New("it is disabled")
	}
	if e.Allowed != nil && e.Allowlist != nil {
		return s, unknown, errors.New("it has both allowed_tools and tools_allowlist")
	}
	s = Server{Name: e.Name, Args: e.Args, Env: e.Env, Headers: e.Headers, Allow: slices.Concat(e.Allowed, e.Allowlist)}
	if s.Name == "" {
		s.Name = name
	}
	if e.Command != nil {
		s.Command = *e.Command
	}
	if e.URL != nil {
		s.URL = *e.URL
	}
	switch t := e.Transport + e.Type; {
	case t == "stdio", t == "" && s.URL == "":
		s.Transport = Stdio
	case t == "http", t == "streamable-http", t == "streamableHttp", t == "":
		s.Transport = HTTP
	default:
		s.Transport = t
	}
	// An empty list in the file allows nothing, other than no list.
	if (e.Allowed != nil || e.Allowlist != nil) && len(s.Allow) == 0 {
		return s, unknown, errors.New("it allows no tool")
	}
	return s, unknown, s.Validate()
}
