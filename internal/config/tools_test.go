package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func loadTools(t *testing.T, yaml string) (*Loaded, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tarsd.yaml")
	require.NoError(t, os.WriteFile(file, []byte(yaml), 0o600))
	return Load(Source{File: file})
}

func TestToolServers(t *testing.T) {
	t.Parallel()
	l, err := loadTools(t, `
tools:
  servers:
    - {name: files, command: npx, args: [server-files, /data], env: {TOKEN: swordfish}, allow: ["read_*"], call_timeout: 5s}
    - {name: house, url: "https://house.example/mcp", headers: {Authorization: Bearer swordfish}, publish: [lamp/#]}
`)
	require.NoError(t, err)
	s := l.Tools.Servers
	require.Len(t, s, 2)
	assert.Equal(t, "swordfish", s[0].Env["TOKEN"].Reveal())
	assert.Equal(t, Duration(5e9), s[0].CallTimeout)
	assert.Equal(t, "https://house.example/mcp", s[1].URL.Reveal())
	assert.Contains(t, l.Chosen(), "tools")
	for _, v := range l.Values() {
		assert.NotContains(t, v.Text, "swordfish")
	}
	assert.NotContains(t, fmt.Sprintf("%+v %#v", l.Tools, l.Tools), "swordfish")
}

func TestBadToolServers(t *testing.T) {
	t.Parallel()
	_, err := loadTools(t, `
tools:
  motion_timeout: 1h
  result_bytes: 1
  connect_timeout: 1ms
  servers:
    - {name: A__b, command: x}
    - {name: tars-movement, command: x}
    - {name: a, transport: sse, command: x}
    - {name: a, command: x, allow: ["["], publish: ["a/#/b"]}
    - {name: c}
    - {name: d, url: "ftp://x", args: [x]}
    - {name: e, url: "http://u:swordfish@x", call_timeout: 1h}
    - {name: f, command: x, headers: {A: b}}
    - {name: g, command: x, tools_allowlist: [a]}
`)
	require.Error(t, err)
	for _, want := range []string{
		"tools.motion_timeout", "tools.result_bytes", "tools.connect_timeout", "servers[0].name", "servers[1].name", "servers[2].transport",
		"a is there twice", "servers[3].allow[0]", "servers[3].publish[0]", "servers[4].command", "servers[5].url", "servers[5].command",
		"servers[6].url", "servers[6].call_timeout", "servers[7].url", "tools_allowlist",
	} {
		assert.True(t, strings.Contains(err.Error(), want), "%s in %s", want, err)
	}
	assert.NotContains(t, err.Error(), "swordfish")
}
