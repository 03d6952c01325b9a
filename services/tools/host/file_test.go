package host_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/tools/host"
)

// reference is what the reference's builder writes, and nobody there reads.
const reference = `{"version":1,"generated_at":"2025-10-18T12:00:00+00:00",
 "servers":[
  {"name":"tars-mcp-character","source":"local","transport":"stdio","command":"python","args":["-m","tars_mcp_character"],"env":{},"allowed_tools":null,"package_name":"tars-mcp-character","installed":true,"install_path":"x","url":null},
  {"name":"files","source":"external","transport":"stdio","command":"npx","args":["server-files","/data"],"env":{"TOKEN":"${TOKEN}"},"tools_allowlist":["read_*"],"url":null,"installed":true},
  {"name":"Weather","transport":"stdio","command":"weather"},
  {"name":"lights","transport":"http","command":null,"args":[],"url":"http://10.0.0.2/mcp","allowed_tools":["on","off"],"colour":"red"},
  {"name":"both","transport":"stdio","command":"x","allowed_tools":["a"],"tools_allowlist":["b"]},
  {"name":"nothing","transport":"stdio","command":"x","allowed_tools":[]},
  {"name":"files","transport":"stdio","command":"y"},
  {"name":"odd","transport":"carrier-pigeon"},
  7],
 "discovery_summary":{"total_servers":1},
 "timeouts":{"connect_ms":5000,"tool_call_ms":30000}}`

func TestReadFile(t *testing.T) {
	t.Parallel()
	servers, notes, err := host.ReadFile(strings.NewReader(reference), time.Second, time.Minute)
	require.NoError(t, err)
	assert.Equal(t, []host.Server{
		{
			Name: "files", Transport: host.Stdio, Command: "npx", Args: []string{"server-files", "/data"}, Env: map[string]string{"TOKEN": "${TOKEN}"},
			Allow: []string{"read_*"}, ConnectTimeout: 5 * time.Second, CallTimeout: 30 * time.Second,
		},
		{
			Name: "lights", Transport: host.HTTP, URL: "http://10.0.0.2/mcp", Args: []string{}, Allow: []string{"on", "off"},
			ConnectTimeout: 5 * time.Second, CallTimeout: 30 * time.Second,
		},
	}, servers)
	text := strings.Join(notes, "\n")
	for _, want := range []string{
		"tarsd has these tools itself", `"Weather" is not`, `unknown field "colour"`, "both allowed_tools and tools_allowlist", "allows no tool",
		"there twice", "carrier-pigeon", "servers[8]",
	} {
		assert.Contains(t, text, want)
	}

	servers, notes, err = host.ReadFile(strings.NewReader(`{"mcpServers":{
		"git":{"command":"uvx","args":["mcp-server-git"]},"far":{"type":"http","url":"https://x.example/mcp","headers":{"Authorization":"Bearer x"}},
		"near":{"url":"http://127.0.0.1:1/"},"off":{"command":"x","disabled":true}}}`), time.Second, time.Minute)
	require.NoError(t, err)
	require.Len(t, servers, 3)
	assert.Equal(t, host.Server{
		Name: "far", Transport: host.HTTP, URL: "https://x.example/mcp", Headers: map[string]string{"Authorization": "Bearer x"},
		ConnectTimeout: time.Second, CallTimeout: time.Minute,
	}, servers[0])
	assert.Equal(t, host.Stdio, servers[1].Transport)
	assert.Equal(t, host.HTTP, servers[2].Transport)
	assert.Len(t, notes, 1)

	for _, bad := range []string{``, `[]`, `{}`, `{"servers":{}}`, `{"servers":[` + strings.Repeat(" ", 1<<20) + `]}`} {
		_, _, err = host.ReadFile(strings.NewReader(bad), time.Second, time.Minute)
		require.Error(t, err, "%.20s", bad)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := host.Server{Name: "x", Transport: host.Stdio, Command: "x"}
	require.NoError(t, good.Validate())
	for want, s := range map[string]host.Server{
		"name: \"\"":               {Transport: host.Stdio, Command: "x"},
		"a__b":                     {Name: "a__b", Transport: host.Stdio, Command: "x"},
		"itself":                   {Name: "tars-movement", Transport: host.Stdio, Command: "x"},
		"command: must be set":     {Name: "x", Transport: host.Stdio},
		"url, headers: are for":    {Name: "x", Transport: host.Stdio, Command: "x", URL: "http://x"},
		"has no host":              {Name: "x", Transport: host.HTTP, URL: "http://"},
		"its scheme is \"ftp\"":    {Name: "x", Transport: host.HTTP, URL: "ftp://x"},
		"is not a URL":             {Name: "x", Transport: host.HTTP, URL: "http://a b\x7f"},
		"has a user in it":         {Name: "x", Transport: host.HTTP, URL: "http://u:swordfish@x"},
		"command, args, env: are":  {Name: "x", Transport: host.HTTP, URL: "http://x", Command: "x"},
		"is not a name":            {Name: "x", Transport: host.HTTP, URL: "http://x", Headers: map[string]string{"a b": "x"}},
		"the value of A is not":    {Name: "x", Transport: host.HTTP, URL: "http://x", Headers: map[string]string{"A": "sword\nfish"}},
		"is not stdio or http":     {Name: "x", Transport: "sse"},
		"allow: \"[\" is not a pa": {Name: "x", Transport: host.Stdio, Command: "x", Allow: []string{"["}},
	} {
		err := s.Validate()
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "sword")
	}
}

func FuzzReadFile(f *testing.F) {
	f.Add([]byte(reference))
	f.Add([]byte(`{"mcpServers":{"a":{"command":"x"},"b":null,"c":{"type":"http","url":"http://x"}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		servers, notes, err := host.ReadFile(bytes.NewReader(raw), time.Second, time.Minute)
		if err != nil {
			return
		}
		assert.LessOrEqual(t, len(servers), host.MaxServers)
		assert.LessOrEqual(t, len(notes), 2*host.MaxServers)
		names := map[string]bool{}
		for _, s := range servers {
			require.NoError(t, s.Validate())
			require.False(t, names[s.Name])
			names[s.Name] = true
		}
	})
}
