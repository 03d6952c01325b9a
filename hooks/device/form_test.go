package device

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/services/contract"
)

func TestForms(t *testing.T) {
	t.Parallel()
	f := form{withheld: []string{"movement/test"}, bare: []string{"stt/+"}, enveloped: []string{"tts/status", "unknown"}}
	const envelope = `{"id":"a","type":"stt.final","ts":1.5,"source":"stt","data":{"text": "x"}}`
	const wrapped = `{"id":"m","type":"tts.status","source":"tts","data":{"message_id":"m","event":"paused"}}`
	for name, c := range map[string]struct{ topic, in, want string }{
		"unwrapped":              {"stt/final", envelope, `{"text": "x"}`},
		"another topic":          {"llm/stream", envelope, envelope},
		"bare already":           {"stt/final", `{"text":"x"}`, `{"text":"x"}`},
		"a sixth key":            {"stt/final", `{"type":"t","data":{},"v":1}`, `{"type":"t","data":{},"v":1}`},
		"data is no object":      {"stt/final", `{"type":"t","data":1}`, `{"type":"t","data":1}`},
		"not JSON":               {"stt/final", "\xff{", "\xff{"},
		"empty":                  {"stt/final", "", ""},
		"wrapped":                {"tts/status", `{"message_id":"m","event":"paused"}`, wrapped},
		"wrapped without an id":  {"tts/status", ` {"event":"paused"}`, `{"type":"tts.status","source":"tts","data":{"event":"paused"}}`},
		"in an envelope already": {"tts/status", wrapped, wrapped},
		"a list":                 {"tts/status", `[{}]`, `[{}]`},
		"half an object":         {"tts/status", `{"event":`, `{"event":`},
		"an id of another kind":  {"tts/status", `{"message_id":1}`, `{"message_id":1}`},
		"nothing in the table":   {"unknown", `{}`, `{}`},
		"withheld":               {"movement/test", `{"command":"bow"}`, `{}`},
		"withheld, no JSON":      {"movement/test", "\xff", `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.want, string(f.rewrite(c.topic, []byte(c.in))))
		})
	}
	large := append([]byte(envelope), make([]byte, maxForm)...)
	assert.Len(t, f.rewrite("stt/final", large), len(large))
	assert.Equal(t, "{}", string(f.rewrite("movement/test", large)))
}

// TestLegacyProfiles: ours have the ids of the Python services and MQTT 5, and get what was sent. What a
// profile names is in the contract table.
func TestLegacyProfiles(t *testing.T) {
	t.Parallel()
	h, err := New(Legacy())
	assert.NoError(t, err)
	for _, p := range Legacy() {
		assert.NotNil(t, h.Terms(&delivery.Peer{ID: p.Match, Version: wire.V311}), p.Match)
		assert.Nil(t, h.Terms(&delivery.Peer{ID: p.Match, Version: wire.V5}), p.Match)
		for _, f := range append(p.Bare, p.Enveloped...) {
			found := false
			for _, row := range contract.Table() {
				found = found || wire.Match(f, row.Name)
			}
			assert.True(t, found, "%s: %s", p.Match, f)
		}
	}
	_, err = New([]Profile{{Match: "a", Bare: []string{"a/#/b"}}, {Match: "b", Enveloped: []string{""}}})
	assert.ErrorContains(t, err, `"a/#/b"`)
	assert.ErrorContains(t, err, `""`)
}
