package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

// write makes a configuration file and returns its name.
func write(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tarsd.yaml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// complaints are the problems of an error, each without the directory of the file.
func complaints(t *testing.T, file string, err error) []string {
	t.Helper()
	require.Error(t, err)
	var ps Problems
	require.ErrorAs(t, err, &ps)
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = strings.ReplaceAll(p.Error(), filepath.Dir(file)+"/", "")
	}
	return out
}

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	l, err := Load(Source{File: write(t, "")})
	require.NoError(t, err)
	want := Default()
	want.DataDir = l.DataDir
	assert.NotEmpty(t, l.DataDir)
	assert.Equal(t, want, l.Config)
	assert.Empty(t, l.Origin)
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := write(t, "limits:\n  packet_bytes: 1MiB\n  inflight: 7\nlog: {level: warn}\ndurability: relaxed\n")
	l, err := Load(Source{
		File: file,
		Env:  []string{"TARSD_LIMITS_PACKET_BYTES=512KiB", "TARSD_LIMITS_INFLIGHT=8", "LOG_LEVEL=ERROR", "TARSD_DURABILITY="},
		Set:  []Assignment{{"limits.packet_bytes", "4096", "--set"}, {"limits.packet_bytes", "8KiB", "--set"}},
	})
	require.NoError(t, err)
	assert.Equal(t, 8*KiB, l.Limits.PacketBytes, "the last flag wins")
	assert.Equal(t, uint16(8), l.Limits.Inflight, "environment over file")
	assert.Equal(t, Level("error"), l.Log.Level, "legacy name over file")
	assert.Equal(t, Relaxed, l.Durability, "an empty variable is not set")
	assert.Equal(t, "--set", l.Origin["limits.packet_bytes"])
	assert.Equal(t, "TARSD_LIMITS_INFLIGHT", l.Origin["limits.inflight"])
	assert.Equal(t, file+":5", l.Origin["durability"])

	l, err = Load(Source{File: file, Env: []string{"LOG_LEVEL=ERROR", "TARSD_LOG_LEVEL=debug"}})
	require.NoError(t, err)
	assert.Equal(t, Level("debug"), l.Log.Level, "our name over the legacy one")
}

func TestEveryKeyIsSettableEveryWay(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"data_dir": "x", "durability": "none", "commit_gather": "5ms", "log.level": "debug", "log.format": "json",
		"listen": "tcp://127.0.0.1:0", "http.listen": "127.0.0.1:0", "http.allowed_origins": "https://a.example",
		"tls.cert": "c", "tls.key": "k", "tls.client_ca": "ca", "proxy_protocol.trusted": "10.0.0.0/8",
		"limits.queue_policy": "expire", "limits.topic_rates": "[{filter: a/#, messages: 5}]",
		"access.anonymous": "yes", "access.roles": "{guest: [both a]}", "access.local_roles": "viewer", "access.anonymous_roles": "viewer", "services": "none",
		"limits.max_qos": "1", "limits.retain": "off", "limits.preauth_bytes": "1KiB", "limits.packet_bytes": "1KiB", "limits.buffer_bytes": "64KiB", "limits.buffer_total_bytes": "1MiB",
		"dedup.topics": "a/#", "dedup.exclude": "b/+", "dedup.enabled": "no", "devices.esp32": "no", "devices.legacy": "no", "devices.profiles": "[{match: lamp*, window: 2}]",
		"health.names": "{lamp: [light]}", "memory.embedder": "words", "memory.url": "http://localhost:11434/v1", "memory.when_full": "refuse", "memory.max_age": "48h",
		"llm.provider": "ollama", "llm.url": "http://localhost:8080/v1", "llm.temperature": "1.5", "llm.top_p": "0.5", "llm.concurrency": "2", "llm.queue": "2",
		"llm.memory.top_k": "7", "llm.memory.context_window": "2", "llm.memory.strategy": "recent", "llm.memory.template": "about {user}", "llm.memory.wait": "1s",
		"tts.engines": "espeak-ng", "tts.sink": "none", "tts.volume": "17", "tts.cache.max": "17", "tts.flite.voice": "rms", "tts.openai.url": "http://localhost:8880/v1",
		"tts.elevenlabs.url": "http://localhost/v1", "tts.gap": "17s", "tts.silence": "17s", "tts.pause_limit": "17s",
		"stt.engines": "openai", "stt.vad.threshold": "0.6", "stt.vad.silence": "500ms", "stt.vad.pre_roll": "200ms", "stt.vad.min_speech": "50ms", "stt.vad.floor_factor": "2",
		"stt.mic.guard": "100ms", "stt.partials.enabled": "no", "stt.partials.interval": "100ms", "stt.urgent.silence": "300ms", "stt.expected.silence": "300ms", "stt.suppress.min_confidence": "0.5",
		"stt.suppress.min_alpha": "0.5", "stt.suppress.max_punct": "0.5", "stt.suppress.doubtful_below": "0.5", "stt.suppress.echo": "no", "stt.suppress.echo_ratio": "0.9",
		"stt.openai.url": "http://localhost:8000/v1", "stt.websocket.url": "ws://localhost:9/stt", "stt.websocket.partials": "no",
		"ears.microphone": "none", "ears.max_sites": "17", "ears.idle": "17s", "ears.spectrum.rate": "17", "ears.spectrum.bins": "17", "ears.spectrum.socket.port": "17", "ears.spectrum.socket.path": "/x", "ears.fanout.path": "/run/x.sock",
		"homeassistant.url": "http://robot", "homeassistant.traits": "sarcasm",
		"tools.servers": "[{name: x, command: y}]", "tools.motion_timeout": "20s",
		"llm.tools.rounds": "2", "llm.tools.calls": "2", "llm.tools.result_bytes": "1KiB", "llm.max_tokens": "100", "llm.context_window": "2048", "llm.turn_timeout": "1m", "llm.connect_timeout": "1s",
		"router.history": "7", "router.meaning_at_least": "0.5", "router.commands": "{wave: [say hi]}", "router.texts.errors": "{busy: wait}",
		"camera.source": "rtsp://u:p@cam/1", "camera.width": "320", "camera.height": "240", "camera.fps": "17", "camera.quality": "17", "camera.rotation": "90",
		"camera.jpeg_rate": "17", "camera.viewers": "17", "camera.frame_rate": "17", "camera.motion.threshold": "0.17",
		"movement.backend": "pca9685", "movement.rate": "17", "movement.queue": "17", "movement.i2c.address": "65", "movement.esp32.drive": "frames",
		"movement.calibration": "{height: {channel: 0, min: 200, max: 400, neutral: 300, low: 350, high: 220}}",
		"movement.dead_man":    "400ms", "movement.idle_off": "5s", "movement.max_age": "2s",
		"wyoming.listen": "tcp://127.0.0.1:10400", "wyoming.connections": "17",
		"wake.threshold": "0.17", "wake.faint": "0.17", "wake.vad_threshold": "0.17", "wake.energy_boost": "17", "wake.own_voice": "0.17",
		"wake.energy_window": "170ms", "wake.speech_limit": "17s",
		"broker.url": "mqtts://robot:8883", "trace.endpoint": "http://collector", "trace.headers": "{authorization: Bearer x}",
	}
	context := []Assignment{ // what some keys need in order to be valid
		{"tls.cert", "c", "--set"},
		{"tls.key", "k", "--set"},
		{"tls.client_ca", "ca", "--set"},
		{"proxy_protocol.trusted", "::1", "--set"},
		{"broker.url", "mqtts://h", "--set"},
		{"broker.user", "u", "--set"},
		{"broker.tls.cert", "c", "--set"},
		{"broker.tls.key", "k", "--set"},
	}
	for _, f := range fields() {
		t.Run(f.key, func(t *testing.T) {
			t.Parallel()
			value, ok := values[f.key]
			if !ok {
				switch f.value.Interface().(type) {
				case bool:
					value = "true"
				case Duration:
					value = "17s"
				default:
					value = "1717"
				}
			}
			flags, err := Load(Source{File: os.DevNull, Set: append(append([]Assignment{}, context...), Assignment{f.key, value, "--set"})})
			require.NoError(t, err)
			env, err := Load(Source{File: os.DevNull, Env: []string{EnvName(f.key) + "=" + value}, Set: without(context, f.key)})
			require.NoError(t, err)
			assert.Equal(t, flags.Config, env.Config)
			assert.NotEqual(t, Default(), flags.Config)

			parts := strings.Split(f.key, ".")
			text := ""
			for i, p := range parts {
				text += strings.Repeat("  ", i) + p + ":"
				if i == len(parts)-1 {
					text += " " + value
				}
				text += "\n"
			}
			file, err := Load(Source{File: write(t, text), Set: without(context, f.key)})
			require.NoError(t, err)
			file.DataDir = flags.DataDir
			assert.Equal(t, flags.Config, file.Config)
		})
	}
}

func without(as []Assignment, key string) []Assignment {
	var out []Assignment
	for _, a := range as {
		if a.Key != key {
			out = append(out, a)
		}
	}
	return out
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	file := write(t, `data_dir: d
durabilty: strict
limits:
  packet_bytes: 12parsecs
  packet_bytes: 1MiB
  max_qos: 3
  inflight: 70000
  queue_policy: pray
  rate: 5
  topic_rates:
    - {filter: "a/#/b", messages: 1}
    - {filter: a, mesages: 1}
listen: [tcp://:99999, "udp://:1", "tls://:8883"]
tls: {require_client_cert: true}
access: {anonymous: perhaps}
`)
	_, err := Load(Source{
		File: file,
		Env:  []string{"TARSD_LIMITS_INFLIHGT=1", "TARSD_PORT_1883_TCP=tcp://10.0.0.1:1883", "TARSD_CRASH_KILLS=3", "TARSD_HTTP_LISTEN=nowhere"},
		Set:  []Assignment{{"limits.keepalive", "1", "--set"}, {"limits", "1", "--set"}, {"listen.x", "1", "--set"}},
	})
	assert.Equal(t, []string{
		"tarsd.yaml:2: durabilty: unknown key; did you mean durability?",
		`tarsd.yaml:4: limits.packet_bytes: "12parsecs" is not a size such as 65536, 64KiB, 64MiB or 1GiB`,
		"tarsd.yaml:5: limits.packet_bytes: is there twice",
		`tarsd.yaml:7: limits.inflight: "70000" is not a whole number from 0 to 65535`,
		`tarsd.yaml:8: limits.queue_policy: "pray" is none of refuse, drop_oldest, expire`,
		"tarsd.yaml:9: limits.rate: wants keys with values, not a single value",
		"tarsd.yaml:12: limits.topic_rates[1].mesages: unknown key; did you mean messages?",
		`tarsd.yaml:15: access.anonymous: "perhaps" is none of loopback, true, false`,
		"TARSD_LIMITS_INFLIHGT: unknown key; did you mean TARSD_LIMITS_INFLIGHT?",
		"--set: limits.keepalive: unknown key; did you mean limits.keep_alive?",
		"--set: limits: is a group of keys; set one of them",
		"--set: listen.x: unknown key; did you mean listen?",
		`tarsd.yaml:13: listen[0]: "tcp://:99999": port 99999 is not a number from 0 to 65535`,
		`tarsd.yaml:13: listen[1]: "udp://:1": unknown scheme udp; known are tcp, tls, ws, wss, unix`,
		"tarsd.yaml:13: listen[2]: tls://:8883 needs tls.cert and tls.key",
		`TARSD_HTTP_LISTEN: http.listen: "nowhere" is not an address such as :5010 or 127.0.0.1:5010, nor off`,
		"tarsd.yaml:14: tls.require_client_cert: needs tls.client_ca",
		"tarsd.yaml:6: limits.max_qos: 3 is not from 0 to 2",
		`tarsd.yaml:11: limits.topic_rates[0].filter: "a/#/b": # stands alone in the last level`,
		"tarsd.yaml:12: limits.topic_rates[1]: needs messages or bytes above 0",
	}, complaints(t, file, err))
	assert.Contains(t, err.Error(), "configuration: 20 problems\n  ")
}

func TestFileProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"not yaml":      {"a: [", "tarsd.yaml: line 1: did not find expected node content"},
		"two documents": {"log: {}\n---\nlog: {}\n", "tarsd.yaml: there is more than one document in the file"},
		"a list":        {"- a\n", "tarsd.yaml:1: wants keys with values, not a list"},
		"alias":         {"log: &a {level: info}\nhttp: *a\n", "tarsd.yaml:1: log: anchors and aliases are not supported"},
		"merge":         {"log:\n  <<: {level: info}\n", "tarsd.yaml:2: log: a key must be a plain word"},
		"list for one":  {"durability: [strict]\n", "tarsd.yaml:1: durability: wants one value, not a list"},
		"huge":          {strings.Repeat("# comment\n", 200_000), "read tarsd.yaml: is larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, c.text)
			_, err := Load(Source{File: file})
			got := complaints(t, file, err)
			assert.Contains(t, got[0], c.want)
		})
	}
	_, err := Load(Source{File: "does-not-exist.yaml"})
	require.Error(t, err)
	assert.Equal(t, "configuration: open does-not-exist.yaml: no such file or directory", err.Error())
	_, err = Load(Source{Env: []string{"TARSD_CONFIG=nor-this.yaml"}})
	require.Error(t, err, "a file that is named must exist")
}

func TestValidateRanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, value, want string }{
		{"commit_gather", "2s", "2s is above 1s"},
		{"limits.connections", "0", "0 is not from 1 to 1000000"},
		{"limits.preauth_bytes", "10", "10 is not from 256 to 256MiB"},
		{"limits.packet_bytes", "1GiB", "1GiB is not from 256 to 256MiB"},
		{"limits.connect_timeout", "1h", "1h is not from 100ms to 1m"},
		{"limits.rate.messages", "-1", "-1 is not from 0 to 1000000000"},
		{"tls.cert", "x", "must be set, since tls.cert is"},
		{"tls.key", "x", "must be set, since tls.key is"},
		{"tls.client_ca", "x", "has no effect without tls.cert"},
		{"access.tls_user", "1", "needs tls.client_ca"},
		{"proxy_protocol.enabled", "1", "must name the proxies, since anybody could claim any address otherwise"},
		{"proxy_protocol.trusted", "here", `"here" is neither an address nor a network such as 10.0.0.0/8`},
		{"http.allowed_origins", "robot", `"robot" is not an origin such as https://robot.example`},
		{"http.listen", "1.2.3.4", `"1.2.3.4" is not an address such as :5010 or 127.0.0.1:5010, nor off`},
		{"listen", "tcp://:1,tcp://:1", "tcp://:1 is there twice"},
		{"listen", "tcp://h:1/path", `"tcp://h:1/path": tcp has no path`},
		{"listen", "unix://", `"unix://" has no path; write unix:///run/tarsd.sock`},
		{"listen", "unix:///" + strings.Repeat("x", 200), "the path of a unix socket is at most 107 bytes"},
		{"listen", "1883", `"1883" is not a URL such as tcp://127.0.0.1:1883`},
		{"listen", "tcp://u:p@h:1", `"tcp://u:p@h:1": only scheme, address and path are allowed`},
		{"access.roles.a b", "both #", `"a b" is not a name for a role`},
		{"access.roles.a", "[' ']", "the rule is empty"},
		{"services", "sst", `there is no service "sst"`},
		{"services", "none,none", "none stands alone"},
		{"broker.user", "u", "broker.url: must be set, since another key of broker is"},
		{"broker.url", "amqp://h", "unknown scheme amqp; known are mqtt, mqtts, ws, wss, unix"},
		{"broker.url", "mqtt://h:0x1", "is not a URL such as mqtt://robot:1883"},
		{"broker.url", "mqtt://h:99999", "port 99999 is not a number from 0 to 65535"},
		{"broker.url", "mqtt://:1883", "has no host"},
		{"broker.url", "unix://", "has no path"},
		{"broker.url", "mqtt://h?x=1", "has no ? and no # in it"},
		{"broker.url", "mqtt://:p@h", "broker.user: must be set, since there is a password"},
		{"trace.endpoint", "grpc://h", "unknown scheme grpc; known are http, https"},
		{"trace.queue", "0", "0 is not from 1 to 1000000"},
		{"trace.headers", "{a b: c}", `"a b" is not the name of a header`},
		{"trace.headers.a", "x\ny", "is not a value that a header can have"},
	} {
		t.Run(c.key+"="+c.value[:min(len(c.value), 20)], func(t *testing.T) {
			t.Parallel()
			_, err := Load(Source{File: os.DevNull, Set: []Assignment{{c.key, c.value, "--set"}}})
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.want)
		})
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{
		"0": 0, "65536": 64 * KiB, "64KiB": 64 * KiB, " 2 MiB ": 2 * MiB, "1GiB": GiB, "5KB": 5000, "5kB": 5000, "7B": 7,
	} {
		var s Size
		require.NoError(t, s.UnmarshalText([]byte(text)), text)
		assert.Equal(t, want, s, text)
		var again Size
		require.NoError(t, again.UnmarshalText([]byte(s.String())))
		assert.Equal(t, s, again)
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "99999999999GiB", "1 furlong", "0x10"} {
		var s Size
		assert.Error(t, s.UnmarshalText([]byte(text)), text)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0s", "30d": "720h", "24h": "24h", "90m": "1h30m", "1h0m5s": "1h0m5s", "500ms": "500ms", "60s": "1m",
	} {
		var d Duration
		require.NoError(t, d.UnmarshalText([]byte(text)), text)
		assert.Equal(t, want, d.String(), text)
		back, err := time.ParseDuration(d.String())
		require.NoError(t, err)
		assert.Equal(t, d, Duration(back))
	}
	for _, text := range []string{"", "5", "-1s", "1w", "d", "999999999d", "9999999h9999999h"} {
		var d Duration
		assert.Error(t, d.UnmarshalText([]byte(text)), text)
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	t.Parallel()
	type holder struct {
		Key Secret `json:"key" yaml:"key"`
	}
	h := holder{NewSecret("hunter2")}
	j, err := json.Marshal(h)
	require.NoError(t, err)
	y, err := yaml.Marshal(h)
	require.NoError(t, err)
	m, err := json.Marshal(map[Secret]int{h.Key: 1})
	require.NoError(t, err)
	for _, s := range []string{string(j), string(y), string(m), fmt.Sprint(h), fmt.Sprintf("%v %+v %#v %s %q %x", h, h, h, h.Key, h.Key, h.Key), h.Key.String()} {
		assert.NotContains(t, s, "hunter2")
		assert.NotContains(t, s, "68756e74657232")
	}
	assert.Equal(t, "hunter2", h.Key.Reveal())
	assert.False(t, h.Key.IsZero())
	var s Secret
	require.Error(t, s.UnmarshalText([]byte("***")))
	require.NoError(t, s.UnmarshalText([]byte("x")))
	assert.Equal(t, "x", s.Reveal())
	assert.Empty(t, NewSecret("").String())
}

func TestEnvNamesAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, k := range Keys() {
		assert.Empty(t, seen[EnvName(k)], k)
		assert.False(t, foreign(EnvName(k)), k)
		seen[EnvName(k)] = k
	}
}

func TestMapEntries(t *testing.T) {
	t.Parallel()
	l, err := Load(Source{
		File: write(t, "access: {roles: {a: [both x], b: publish y}}"),
		Env:  []string{"TARSD_ACCESS_ROLES_C=subscribe z,both w"},
		Set:  []Assignment{{"access.roles.a", "[both q]", "--set"}},
	})
	require.NoError(t, err)
	assert.Equal(t, map[string][]string{"a": {"both q"}, "b": {"publish y"}, "c": {"subscribe z", "both w"}}, l.Access.Roles)
	assert.Nil(t, Default().Access.Roles, "defaults are not shared")
}

func TestDefaultDataDir(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  map[string]string
		root bool
		want string
	}{
		{map[string]string{"STATE_DIRECTORY": "/s/tarsd:/s/b"}, true, "/s/tarsd"},
		{nil, true, "/var/lib/tarsd"},
		{map[string]string{"XDG_DATA_HOME": "/x", "HOME": "/h"}, false, "/x/tarsd"},
		{map[string]string{"HOME": "/h"}, false, "/h/.local/share/tarsd"},
		{nil, false, "data"},
	} {
		assert.Equal(t, c.want, defaultDataDir(c.env, c.root))
	}
}

func TestListeners(t *testing.T) {
	t.Parallel()
	c := Default()
	c.DataDir = "/d"
	assert.Equal(t, []string{"tcp://:1883", "unix:///d/tarsd.sock"}, c.Listeners())
	c.TLS.Cert = "x"
	assert.Contains(t, c.Listeners(), "tls://:8883")
	c.DataDir = "/" + strings.Repeat("d", 120)
	assert.Equal(t, []string{"tcp://:1883", "tls://:8883"}, c.Listeners(), "no socket with a path that is too long")
	c.Listen = []string{"tcp://:1"}
	assert.Equal(t, []string{"tcp://:1"}, c.Listeners())
}

func TestDocumentationIsFresh(t *testing.T) {
	t.Parallel()
	const name = "../../docs/configuration.md"
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(Markdown()), 0o644))
	}
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, Markdown(), string(got), "run go test ./internal/config -update")
	for _, f := range fields() {
		assert.NotEmpty(t, f.tag.Get("doc"), "%s has no doc tag", f.key)
	}
	_, example, _ := strings.Cut(Markdown(), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	_, err = Load(Source{File: write(t, example)})
	require.NoError(t, err, "the example of the page")
}
