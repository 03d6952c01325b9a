package config

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  []Assignment
		want string
	}{
		"embedder":    {[]Assignment{{Key: "memory.embedder", Value: "magic"}}, "memory.embedder"},
		"no url":      {[]Assignment{{Key: "memory.embedder", Value: "openai"}, {Key: "memory.model", Value: "m"}}, "memory.url"},
		"no model":    {[]Assignment{{Key: "memory.embedder", Value: "openai"}, {Key: "memory.url", Value: "http://localhost:1/v1"}}, "memory.model"},
		"bad url":     {[]Assignment{{Key: "memory.embedder", Value: "openai"}, {Key: "memory.model", Value: "m"}, {Key: "memory.url", Value: "ftp://x"}}, "memory.url"},
		"two keys":    {[]Assignment{{Key: "memory.embedder", Value: "openai"}, {Key: "memory.model", Value: "m"}, {Key: "memory.url", Value: "http://x/v1"}, {Key: "memory.key", Value: "a"}, {Key: "memory.key_file", Value: "b"}}, "memory.key_file"},
		"full":        {[]Assignment{{Key: "memory.when_full", Value: "panic"}}, "memory.when_full"},
		"records":     {[]Assignment{{Key: "memory.max_records", Value: "0"}}, "memory.max_records"},
		"age":         {[]Assignment{{Key: "memory.max_age", Value: "1m"}}, "memory.max_age"},
		"timeout":     {[]Assignment{{Key: "memory.timeout", Value: "1ms"}}, "memory.timeout"},
		"persona":     {[]Assignment{{Key: "memory.character", Value: "../x"}}, "memory.character"},
		"good remote": {[]Assignment{{Key: "memory.embedder", Value: "openai"}, {Key: "memory.model", Value: "m"}, {Key: "memory.url", Value: "http://localhost:11434/v1"}, {Key: "memory.max_age", Value: "365d"}}, ""},
	} {
		_, err := Load(Source{Set: c.set})
		if c.want == "" {
			require.NoError(t, err, name)
			continue
		}
		assert.ErrorContains(t, err, c.want, name)
	}
	l, err := Load(Source{Env: []string{"CHARACTER_NAME=CASE", "TARSD_DATA_DIR=/x"}})
	require.NoError(t, err)
	assert.Equal(t, "CASE", l.Memory.Character)
	assert.Equal(t, filepath.Join("/x", "characters"), l.CharactersDir())
}
