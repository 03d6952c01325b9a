package app

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/config"
)

// ask posts a request to /mcp and returns the status.
func ask(t *testing.T, a *App, change func(*http.Request)) int {
	t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.HTTP()+"/mcp", strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	change(req)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

func as(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func nothing(*http.Request) {}

// The tools move the robot: over HTTP they are for those who may do everything.
func TestWhoMayUseMCP(t *testing.T) {
	t.Parallel()
	l := load(t, filepath.Join(t.TempDir(), "data"), "services=tools", "access.anonymous=false")
	change(t, l, UserChange{Name: "root", Password: []byte("swordfish"), Roles: []string{"admin"}})
	change(t, l, UserChange{Name: "eve", Password: []byte("swordfish"), Roles: []string{"page"}})
	a := begin(t, l)
	require.Eventually(t, func() bool { return ask(t, a, as("root", "swordfish")) == http.StatusOK }, 1e10, 1e7, "the service becomes ready")
	assert.Equal(t, http.StatusUnauthorized, ask(t, a, nothing))
	assert.Equal(t, http.StatusForbidden, ask(t, a, as("eve", "swordfish")))
	assert.Equal(t, http.StatusUnauthorized, ask(t, a, as("root", "wrong")))
	assert.Equal(t, http.StatusForbidden, ask(t, a, func(r *http.Request) {
		r.SetBasicAuth("root", "swordfish")
		r.Header.Set("Origin", "http://evil.example")
	}), "a page from elsewhere")
	assert.Equal(t, http.StatusMisdirectedRequest, ask(t, a, func(r *http.Request) {
		r.SetBasicAuth("root", "swordfish")
		r.Host = "evil.example"
	}), "a name from elsewhere")
}

func TestMCPOnThisMachine(t *testing.T) {
	t.Parallel()
	a := begin(t, load(t, filepath.Join(t.TempDir(), "data"), "services=tools"))
	require.Eventually(t, func() bool { return ask(t, a, nothing) == http.StatusOK }, 1e10, 1e7, "loopback has the role admin")
	forwarded := func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.7") }
	assert.Equal(t, http.StatusUnauthorized, ask(t, a, forwarded), "a proxy is not who asks")

	a = begin(t, load(t, filepath.Join(t.TempDir(), "data"), "services=tools", "access.local_roles=viewer"))
	require.Eventually(t, func() bool { return ask(t, a, nothing) != http.StatusServiceUnavailable }, 1e10, 1e7)
	assert.NotEqual(t, http.StatusOK, ask(t, a, nothing))
	for _, off := range []string{"tools.http=false", "services=none"} {
		a = begin(t, load(t, filepath.Join(t.TempDir(), "data"), "services=tools", off))
		assert.Equal(t, http.StatusNotFound, ask(t, a, nothing), off)
	}
}

func TestServersOfTheConfiguration(t *testing.T) {
	t.Setenv("TOOLS_TOKEN", "swordfish")
	dir := t.TempDir()
	file := filepath.Join(dir, "mcp-servers.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"servers":[
		{"name":"files","transport":"stdio","command":"x","env":{"A":"${TOOLS_TOKEN}"}},{"name":"house","transport":"stdio","command":"y"},{"name":"A b"}]}`), 0o600))
	l := load(t, dir, "tools.servers_file="+file,
		"tools.servers=[{name: house, url: 'http://127.0.0.1:1/mcp', headers: {Authorization: 'Bearer ${TOOLS_TOKEN} $x ${NOT_SET} ${'}}]")
	s := toolServer(l.Tools.Servers[0], l.Tools)
	assert.Equal(t, "http", s.Transport)
	assert.Equal(t, "Bearer swordfish $x ${NOT_SET} ${", s.Headers["Authorization"])
	o := toolOptions(l.Tools, "1")
	o.Servers = append(o.Servers, s)
	require.NoError(t, addServers(&o, l.Tools))
	require.Len(t, o.Servers, 2)
	assert.Equal(t, "swordfish", o.Servers[1].Env["A"])
	assert.Len(t, o.Notes, 2)
	assert.NotContains(t, strings.Join(o.Notes, "\n"), "swordfish")
	require.NoError(t, os.WriteFile(file, []byte(`{}`), 0o600))
	_, err := makeTools(parts{cfg: l.Config, log: zerolog.Nop()})
	require.ErrorContains(t, err, "tools.servers_file")
	_, err = makeTools(parts{cfg: config.Default(), log: zerolog.Nop()})
	require.NoError(t, err)
}

// tarsd mcp is an ordinary client of the tarsd that runs, by the socket of the data directory.
func TestMCPByTheSocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	l := load(t, dir)
	require.ErrorIs(t, MCP(t.Context(), l.Config, "1", strings.NewReader(""), io.Discard, zerolog.Nop()), ErrNotRunning)
	l = load(t, dir, "listen=tcp://127.0.0.1:0,unix://"+filepath.Join(dir, "tarsd.sock"))
	begin(t, l)
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- MCP(t.Context(), l.Config, "1", inR, outW, zerolog.Nop()) }()
	c, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.IOTransport{Reader: outR, Writer: inW}, nil)
	require.NoError(t, err)
	list, err := c.ListTools(t.Context(), nil)
	require.NoError(t, err)
	assert.Greater(t, len(list.Tools), 30)
	res, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: "say", Arguments: map[string]any{"text": "Hello."}})
	require.NoError(t, err)
	assert.Contains(t, res.Content[0].(*mcp.TextContent).Text, "there is no voice now")
	require.NoError(t, c.Close())
	require.NoError(t, <-done)
}
