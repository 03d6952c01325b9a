package app

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/tarsd/tarsd"

// edges says which packages of ours a package may import, tests aside. It is the direction that
// ARCHITECTURE.md draws: a new edge is a decision, and belongs there too.
var edges = map[string][]string{
	"cmd/tarsd": {
		"internal/app", "internal/audio", "internal/config", "internal/inspect/feed", "internal/inspect/screen", "internal/mqttcli", "internal/waketrain", "services/client",
	},
	"internal/app": {
		"broker", "hooks", "hooks/access", "hooks/dedup", "hooks/delivery", "hooks/device", "hooks/health", "hooks/limit", "hooks/observe", "internal/audio", "internal/config", "internal/engine/flite", "internal/engine/openwakeword", "internal/engine/silero", "internal/engine/use", "internal/inspect", "internal/inspect/feed", "internal/trace", "internal/wire", "internal/wyoming", "services", "services/camera", "services/client", "services/contract", "services/ears", "services/homeassistant", "services/llm", "services/llm/openai", "services/memory", "services/memory/legacy", "services/memory/persona", "services/movement", "services/movement/plan", "services/router", "services/stt", "services/stt/recognise", "services/tools", "services/tools/host", "services/tts", "services/tts/voice", "services/wake", "services/wyoming", "storage", "web",
	},
	"hooks":          {"broker", "hooks/access", "hooks/delivery", "hooks/limit", "internal/wire"},
	"hooks/access":   {"hooks/delivery", "internal/wire", "storage"},
	"hooks/limit":    {"hooks/delivery", "internal/wire"},
	"hooks/dedup":    {"hooks/delivery", "internal/wire", "services/contract"},
	"hooks/device":   {"hooks/delivery", "hooks/limit", "internal/wire", "services/contract"},
	"hooks/health":   {"hooks/delivery", "services/contract"},
	"hooks/observe":  {"hooks/delivery", "internal/wire"},
	"hooks/delivery": {"broker", "internal/wire", "storage"},
	"broker":         {"internal/wire"},

	"internal/audio":           {},
	"internal/audio/audiotest": {}, // for tests
	"internal/config":          {},
	"internal/inspect":         {"services/contract"},
	"internal/inspect/feed":    {"internal/inspect", "services/client", "services/contract"},
	"internal/inspect/screen":  {"internal/inspect", "internal/inspect/feed", "services/contract"},
	"internal/mqttcli":         {},
	"internal/trace":           {"services/client"},
	"internal/wire":            {},
	"internal/wyoming":         {"internal/audio"},
	"internal/engine/use":      {"internal/engine/nn"},
	"internal/engine/flite":    {"internal/engine/wasmmem"},
	"internal/assets":          {"internal/engine/openwakeword", "internal/engine/pocketsphinx/build", "internal/engine/silero", "internal/engine/use"}, // a build tool
	"services/memory":          {"services", "services/client", "services/contract", "services/memory/index", "services/memory/persona"},
	"services/memory/index":    {}, "services/memory/persona": {}, "services/memory/legacy": {},
	"storage":           {},
	"services/contract": {},
	"services/client":   {"services/contract"},
	"services":          {"services/client"},
	"web":               {},

	"services/movement": {
		"services", "services/client", "services/contract", "services/movement/drive", "services/movement/pca9685", "services/movement/plan",
		"services/movement/sim",
	},
	"services/movement/sim":                 {"services/movement/drive", "services/movement/plan"},
	"services/movement/plan":                {},
	"services/movement/drive":               {"services/movement/plan"},
	"services/movement/pca9685":             {},
	"services/movement/pca9685/pca9685test": {},

	"internal/engine/onnx":               {},
	"internal/engine/nn":                 {},
	"internal/engine/silero":             {"internal/engine/nn", "internal/engine/onnx"},
	"internal/engine/openwakeword":       {"internal/engine/nn", "internal/engine/onnx"},
	"internal/engine/openwakeword/train": {"internal/engine/nn", "internal/engine/openwakeword"},
	"internal/engine/enginetest":         {}, // for tests
	"internal/engine/wasmmem":            {},
	"internal/engine/pocketsphinx":       {"internal/engine/wasmmem"},
	"internal/engine/pocketsphinx/build": {}, // for internal/assets

	"services/tts":        {"internal/audio", "services", "services/client", "services/contract", "services/tts/spoken", "services/tts/voice"},
	"services/tts/voice":  {"internal/audio", "internal/engine/flite", "internal/wyoming"},
	"services/tts/spoken": {},

	"services/stt/recognise": {"internal/audio", "internal/engine/pocketsphinx", "internal/wyoming"},

	"services/wyoming": { // engines, not the services that they belong to
		"internal/audio", "internal/wyoming", "services", "services/stt/recognise", "services/tts/spoken", "services/tts/voice",
	},
	"services/ears": {"internal/audio", "services", "services/client", "services/contract"},
	"services/stt":  {"internal/audio", "services", "services/client", "services/contract", "services/stt/recognise"},
	"services/wake": {
		"internal/audio", "internal/engine/nn", "internal/engine/openwakeword", "internal/engine/silero", "services", "services/client", "services/contract",
	},
	"internal/waketrain": {
		"internal/audio", "internal/engine/flite", "internal/engine/openwakeword", "internal/engine/openwakeword/train", "services/tts/voice",
	},

	"services/homeassistant": {"services", "services/client", "services/contract"},
	"services/router":        {"services", "services/client", "services/contract"},
	"services/camera":        {"services", "services/client", "services/contract"},
	"services/llm": {
		"internal/toolschema", "services", "services/client", "services/contract", "services/llm/chat", "services/llm/offline", "services/llm/openai",
	},
	"services/llm/chat":    {},
	"services/llm/offline": {"services/llm/chat"},
	"services/llm/openai":  {"services/llm/chat"},
	"services/llm/llmtest": {},

	"internal/toolschema": {},
	"services/tools": {
		"services", "services/client", "services/contract", "services/tools/host", "services/tools/robot", "services/tools/server", "services/tools/tool",
	},
	"services/tools/server": {"services/tools/tool"},
	"services/tools/tool":   {"internal/toolschema"},
	"services/tools/host":   {"services/tools/tool"},
	"services/tools/robot":  {"services/client", "services/contract", "services/tools/tool"},

	"examples/echo": {"services/client", "services/contract"},

	// Tests and benches. Those that judge the binary from outside know nothing of its inside.
	"broker/brokertest":      {"broker", "hooks", "hooks/delivery", "internal/wire", "storage"},
	"services/servicetest":   {"broker/brokertest", "services", "services/client", "services/contract"},
	"internal/wire/wiretest": {"internal/wire"},
	"internal/conformance":   {"broker/brokertest", "hooks/delivery", "internal/wire", "internal/wire/wiretest", "storage"},
	"internal/cutproxy":      {},
	"internal/chaos":         {},
	"internal/crash":         {"internal/crash/daemon", "internal/crash/rawmqtt"},
	"internal/crash/daemon":  {},
	"internal/crash/rawmqtt": {},
	"internal/dialogue":      {},
	"internal/voiceloop":     {},
	"internal/interop":       {"internal/crash/daemon"},
	"internal/legacy":        {},
	"internal/esp32":         {},
	"bench/cmd":              {"internal/crash/daemon", "internal/crash/rawmqtt"},
	"bench/camera":           {"services/client"},
	"bench/inspect":          {"internal/inspect", "internal/inspect/feed", "internal/inspect/screen", "services/client"},
	"bench/durable":          {"internal/crash/daemon", "internal/crash/rawmqtt"},
}

// owners says which of our packages may import a library, by the beginning of its path. What is
// not in it, such as the logger, is free to all but the packages of plain.
var owners = map[string][]string{
	"github.com/jfreymuth/":                      {"internal/audio"},
	"gonum.org/":                                 {"internal/audio"},
	"github.com/mochi-mqtt/":                     {"broker", "hooks"},
	"go.etcd.io/bbolt":                           {"storage"},
	"github.com/gorilla/websocket":               {"broker", "broker/brokertest", "internal/audio", "internal/mqttcli", "services/client", "services/stt/recognise"},
	"github.com/eclipse/":                        {"internal/mqttcli", "services/client"},
	"github.com/alecthomas/kong":                 {"cmd/tarsd"},
	"charm.land/":                                {"internal/inspect/screen", "bench/inspect"},
	"go.yaml.in/":                                {"internal/config"},
	"github.com/prometheus/":                     {"hooks/observe"},
	"go.opentelemetry.io/":                       {"internal/trace"},
	"github.com/modelcontextprotocol/":           {"services/tools/host", "services/tools/server"},
	"github.com/google/jsonschema-go":            {"internal/toolschema"},
	"golang.org/x/crypto":                        {"hooks/access"},
	"github.com/blackjack/webcam":                {"services/camera"},
	"golang.org/x/image":                         {"services/camera"},
	"github.com/BurntSushi/toml":                 {"services/memory/persona"},
	"github.com/kljensen/snowball":               {"services/memory/index"},
	"github.com/tetratelabs/wazero":              {"internal/engine/flite", "internal/engine/pocketsphinx", "internal/engine/pocketsphinx/build", "internal/engine/wasmmem"},
	"golang.org/x/term":                          {"cmd/tarsd", "internal/mqttcli"},
	"github.com/mochi-mqtt/server/v2/hooks/stor": {}, // its storage loses messages
	"periph.io/":                                 {"services/movement"},
}

// plain are the packages that import the standard library only.
var plain = []string{"services/contract", "internal/wire", "internal/crash/daemon", "internal/crash/rawmqtt"}

func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	imports := list(t, "./...")
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		allowed, known := edges[pkg]
		if !assert.True(t, known, "%s is not in the table of this test", pkg) {
			continue
		}
		for _, imp := range imports[pkg] {
			if ours, ok := strings.CutPrefix(imp, module+"/"); ok {
				assert.Contains(t, allowed, ours, "%s imports %s", pkg, ours)
				continue
			}
			if external(imp) {
				assert.NotContains(t, plain, pkg, "%s imports %s", pkg, imp)
			}
			for lib, may := range owners {
				if strings.HasPrefix(imp, lib) {
					assert.Contains(t, may, pkg, "%s imports %s", pkg, imp)
				}
			}
		}
	}
}

// TestBinaryLinksNoTests keeps what is only for tests and benches out of the product.
func TestBinaryLinksNoTests(t *testing.T) {
	t.Parallel()
	for pkg := range list(t, "-deps", "./cmd/tarsd") {
		for _, no := range []string{"internal/crash", "internal/chaos", "internal/voiceloop", "internal/cutproxy", "services/servicetest", "internal/interop", "internal/legacy", "internal/conformance", "internal/esp32", "bench", "broker/brokertest", "services/llm/llmtest", "internal/engine/enginetest", "internal/audio/audiotest"} {
			assert.False(t, pkg == no || strings.HasPrefix(pkg, no+"/"), "%s is linked in", pkg)
		}
	}
}

// TestThirdPartyIsListed compares docs/third-party.md with the modules in the binary.
func TestThirdPartyIsListed(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/third-party.md")
	require.NoError(t, err)
	out := golist(t, "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./cmd/tarsd")
	modules := slices.Compact(slices.Sorted(strings.FieldsSeq(out)))
	for _, m := range modules {
		if m != module {
			assert.Contains(t, string(page), "| "+m+" |", "%s is linked in and not listed", m)
		}
	}
	for line := range strings.Lines(string(page)) {
		if name, ok := strings.CutPrefix(line, "| "); ok && strings.Contains(name, ".") {
			name, _, _ = strings.Cut(name, " ")
			assert.Contains(t, modules, name, "%s is listed and not linked in", name)
		}
	}
}

// list returns the imports of our packages, by their path in the module.
func list(t *testing.T, args ...string) map[string][]string {
	t.Helper()
	out := golist(t, append([]string{"-f", `{{.ImportPath}} {{join .Imports " "}}`}, args...)...)
	pkgs := map[string][]string{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if ours, ok := strings.CutPrefix(f[0], module+"/"); ok {
			pkgs[ours] = f[1:]
		}
	}
	require.NotEmpty(t, pkgs)
	return pkgs
}

func golist(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	require.NoError(t, err, "go list %s", strings.Join(args, " "))
	return string(out)
}

// external reports whether an import path is neither ours nor of the standard library.
func external(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".") && !strings.HasPrefix(path, module)
}
