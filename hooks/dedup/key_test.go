package dedup

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsTheSame(t *testing.T) {
	t.Parallel()
	const a = `{"id":"1","type":"llm.request","ts":1,"source":"router","data":{"text":"hello","n":[1,2.50,{"x":null}],"b":true}}`
	cases := []struct {
		name, a, b string
		same       bool
	}{
		{"bytes", a, a, true},
		{
			"order, spaces, escapes, time and source", a,
			` { "data" : {"b":true, "n":[1, 2.50, {"x":null}], "text":"h\u0065llo"}, "source":"bridge", "ts":2.5, "type":"llm.request", "id":"1" } `, true,
		},
		{"no time, no source", a, `{"id":"1","type":"llm.request","data":{"text":"hello","n":[1,2.50,{"x":null}],"b":true}}`, true},
		{"another id", a, strings.Replace(a, `"1"`, `"2"`, 1), false},
		{"another type", a, strings.Replace(a, `llm.request`, `llm.cancel`, 1), false},
		{"another text", a, strings.Replace(a, `hello`, `hullo`, 1), false},
		{"another number", a, strings.Replace(a, `2.50`, `2.51`, 1), false},
		{"null is no false", a, strings.Replace(a, `null`, `false`, 1), false},
		{"text is no number", a, strings.Replace(a, `1,2.50`, `"1",2.50`, 1), false},
		{"one more key", a, strings.Replace(a, `"b":true`, `"b":true,"c":1`, 1), false},
		{
			"nesting is kept apart",
			`{"id":"1","type":"t","data":{"a":{"b":1},"c":2}}`, `{"id":"1","type":"t","data":{"a":{"b":1,"c":2}}}`, false,
		},
		{
			"id and type are kept apart",
			`{"id":"1","type":"t|x","data":{}}`, `{"id":"x|1","type":"t","data":{}}`, false,
		},
		{
			"seq: whatever the content",
			`{"id":"1","type":"t","data":{"seq":3,"delta":"a"}}`, `{"id":"1","type":"t","data":{"seq":3,"delta":"b"}}`, true,
		},
		{
			"seq: another one",
			`{"id":"1","type":"t","data":{"seq":3,"delta":"a"}}`, `{"id":"1","type":"t","data":{"seq":4,"delta":"a"}}`, false,
		},
		{
			"seq that is no integer is content",
			`{"id":"1","type":"t","data":{"seq":3.0,"delta":"a"}}`, `{"id":"1","type":"t","data":{"seq":3.0,"delta":"b"}}`, false,
		},
		{"seq as text is content", `{"id":"1","type":"t","data":{"seq":"3","d":1}}`, `{"id":"1","type":"t","data":{"seq":"3","d":2}}`, false},
		{"seq and content differ in kind", `{"id":"1","type":"t","data":{"seq":3}}`, `{"id":"1","type":"t","data":{}}`, false},
	}
	s := newSeeds()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ka, ok := s.keyOf([]byte(c.a))
			require.True(t, ok)
			kb, ok := s.keyOf([]byte(c.b))
			require.True(t, ok)
			assert.Equal(t, c.same, ka == kb)
		})
	}
}

func TestNoKey(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{
		"empty":         "",
		"bare":          `{"command":"bow","speed":0.8}`,
		"bare with id":  `{"id":"1","text":"x"}`,
		"bytes":         "\x00\x01\xff",
		"array":         `[1]`,
		"null":          `null`,
		"no id":         `{"type":"t","data":{}}`,
		"empty id":      `{"id":"","type":"t","data":{}}`,
		"id a number":   `{"id":1,"type":"t","data":{}}`,
		"no type":       `{"id":"1","data":{}}`,
		"no data":       `{"id":"1","type":"t"}`,
		"data a list":   `{"id":"1","type":"t","data":[]}`,
		"data null":     `{"id":"1","type":"t","data":null}`,
		"a sixth key":   `{"id":"1","type":"t","data":{},"v":1}`,
		"capitals":      `{"ID":"1","type":"t","data":{}}`,
		"cut":           `{"id":"1","type":"t","data":{}`,
		"more behind":   `{"id":"1","type":"t","data":{}} {}`,
		"above the cap": `{"id":"1","type":"t","data":{"x":"` + strings.Repeat("x", maxPayload) + `"}}`,
	} {
		_, ok := newSeeds().keyOf([]byte(payload))
		assert.False(t, ok, name)
	}
}

// TestTopicsAreForgotten: a client of many topics costs a bounded memory.
func TestTopicsAreForgotten(t *testing.T) {
	t.Parallel()
	h, err := New(Options{})
	require.NoError(t, err)
	in := &inspector{h: h}
	for i := range 10 * maxTopics {
		require.False(t, in.concern(fmt.Sprint("a/", i)))
		require.LessOrEqual(t, len(in.topics), maxTopics)
	}
	assert.True(t, in.concern("tts/say"))
	assert.False(t, in.concern("a/0"))
}

func FuzzIdentity(f *testing.F) {
	f.Add([]byte(`{"id":"1","type":"t","ts":1,"source":"s","data":{"seq":1,"a":[true,null,{"b":"c"}]}}`))
	f.Add([]byte(`{"id":"1","type":"t","data":` + strings.Repeat(`{"a":`, 50) + `1` + strings.Repeat("}", 50) + `}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		a, ok := identity(payload)
		if !ok {
			return
		}
		if b, ok := identity(append([]byte(" \n"), payload...)); len(payload)+2 <= maxPayload && (!ok || string(a) != string(b)) {
			t.Errorf("%q: spaces make another key", payload)
		}
	})
}

func BenchmarkKey(b *testing.B) {
	for _, data := range []string{`{"seq":7,"delta":"some words","id":"abc"}`, `{"text":"say something of a usual length, please","voice":"x","utt_id":"1"}`} {
		b.Run(data[2:5], func(b *testing.B) {
			p := fmt.Appendf(nil, `{"id":"0123456789abcdef0123456789abcdef","type":"tts.say","ts":1760000000.25,"source":"router","data":%s}`, data)
			s := newSeeds()
			b.ReportAllocs()
			for b.Loop() {
				s.keyOf(p)
			}
		})
	}
}
