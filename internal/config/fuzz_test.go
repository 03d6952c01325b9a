package config

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// FuzzFile feeds any file. What is accepted must be valid, and must come out the same after it
// was written and read once more.
func FuzzFile(f *testing.F) {
	f.Add([]byte("limits: {packet_bytes: 1MiB, topic_rates: [{filter: a/#, messages: 1}]}\naccess: {roles: {a: [both x]}}"))
	f.Add([]byte("a: &a [*a]\n<<: *a"))
	f.Add([]byte("log:\n? {a: b}\n: c"))
	f.Add([]byte("listen: [tcp://:1883, unix:///x]\nlimits: {keep_alive: 65536}"))
	f.Add([]byte("broker: {url: 'mqtts://u:p%40@h:1', tls: {ca: x}}\ntrace: {endpoint: 'http://h', headers: {a: b}}"))
	f.Add([]byte("broker: {url: 'mqtt://h', user: u, password: p}\nservices: [none]"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		name := filepath.Join(dir, "tarsd.yaml")
		require.NoError(t, os.WriteFile(name, data, 0o600))
		l, err := Load(Source{File: name})
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NoError(t, l.Validate())
		out, err := yaml.Marshal(l.Config)
		require.NoError(t, err)
		if bytes.Contains(out, []byte(hidden)) {
			return // a secret is not written
		}
		require.NoError(t, os.WriteFile(name, out, 0o600))
		again, err := Load(Source{File: name})
		require.NoError(t, err, "%s", out)
		second, err := yaml.Marshal(again.Config)
		require.NoError(t, err)
		require.Equal(t, string(out), string(second))
	})
}

// FuzzAssign feeds any key and value, as a flag and in the environment.
func FuzzAssign(f *testing.F) {
	f.Add("limits.packet_bytes", "1MiB")
	f.Add("access.roles.x", "[a, b]")
	f.Add("limits.topic_rates", "[{filter: a}]")
	f.Add("limits..", "{")
	f.Fuzz(func(t *testing.T, key, value string) {
		for _, s := range []Source{
			{File: os.DevNull, Set: []Assignment{{key, value, "--set"}}},
			{File: os.DevNull, Env: []string{EnvName(key) + "=" + value}},
		} {
			l, err := Load(s)
			if err == nil {
				require.NoError(t, l.Validate())
				continue
			}
			require.NotEmpty(t, err.Error())
		}
	})
}
