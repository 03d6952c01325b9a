package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/services/memory"
	"github.com/tarsd/tarsd/services/memory/legacy"
	"github.com/tarsd/tarsd/services/servicetest"
)

// TestImportOfTheOldFile: what the system before this one kept can be taken over, once.
func TestImportOfTheOldFile(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	bus.Run(t, memory.New(memory.Options{Character: "TARS"}))
	cfg, err := config.Load(config.Source{File: os.DevNull, Set: []config.Assignment{{Key: "broker.url", Value: "mqtt://" + bus.Broker.TCP()}}})
	require.NoError(t, err)
	load := func(name string) (added, skipped int) {
		t.Helper()
		f, err := os.Open("../../services/memory/legacy/testdata/" + name)
		require.NoError(t, err)
		defer f.Close()
		added, skipped, err = ImportMemory(t.Context(), cfg.Config, f, zerolog.Nop())
		require.NoError(t, err)
		return added, skipped
	}
	added, _ := load("memory.pickle.gz")
	assert.Equal(t, 7, added)
	added, skipped := load("p2.pickle")
	assert.Zero(t, added)
	assert.Equal(t, 7, skipped)

	var out bytes.Buffer
	n, err := ExportMemory(t.Context(), cfg.Config, &out, zerolog.Nop())
	require.NoError(t, err)
	assert.Equal(t, 7, n)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	assert.Contains(t, lines[0], `"text":"I like pizza","role":"user","ts":1760000000,"lang":"en","message_id":"a1"`)
	assert.Contains(t, lines[3], "You are Cooper.", "what has no time keeps its place")

	f, err := os.Open("../../services/memory/legacy/testdata/evil.pickle")
	require.NoError(t, err)
	defer f.Close()
	_, _, err = ImportMemory(t.Context(), cfg.Config, f, zerolog.Nop())
	require.ErrorIs(t, err, legacy.ErrRefused)
}

// TestImportOfLines: facts that somebody wrote down without times are taken over once, in their order.
func TestImportOfLines(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	bus.Run(t, memory.New(memory.Options{Character: "TARS"}))
	cfg, err := config.Load(config.Source{File: os.DevNull, Set: []config.Assignment{{Key: "broker.url", Value: "mqtt://" + bus.Broker.TCP()}}})
	require.NoError(t, err)
	var in, want strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&in, `{"text":"fact %d","role":"fact"}`+"\n", i)
		fmt.Fprintf(&want, "fact %d\n", i)
	}
	for _, added := range []int{1200, 0} {
		n, skipped, err := ImportMemory(t.Context(), cfg.Config, strings.NewReader(in.String()), zerolog.Nop())
		require.NoError(t, err)
		assert.Equal(t, added, n)
		assert.Equal(t, 1200-added, skipped)
	}
	var out bytes.Buffer
	_, err = ExportMemory(t.Context(), cfg.Config, &out, zerolog.Nop())
	require.NoError(t, err)
	var got strings.Builder
	for line := range strings.Lines(out.String()) {
		var r struct{ Text string }
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		got.WriteString(r.Text + "\n")
	}
	assert.Equal(t, want.String(), got.String())
	_, _, err = ImportMemory(t.Context(), cfg.Config, strings.NewReader("\n{\"texte\":1}\n"), zerolog.Nop())
	require.ErrorContains(t, err, "line 2")
}

func TestLocalURL(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"tcp://:1883,unix:///run/x.sock": "unix:///run/x.sock",
		"tcp://0.0.0.0:1884":             "mqtt://127.0.0.1:1884",
		"tcp://192.0.2.1:1883,tcp://:1":  "mqtt://192.0.2.1:1883",
		"tcp://127.0.0.1:0":              "",
		"ws://127.0.0.1:9001/mqtt":       "",
	} {
		cfg, err := config.Load(config.Source{File: os.DevNull, Set: []config.Assignment{{Key: "listen", Value: listen}}})
		require.NoError(t, err)
		o, err := localURL(cfg.Config)
		assert.Equal(t, want, o.URL, listen)
		assert.Equal(t, want == "", err != nil, listen)
	}
}
