package contract

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBounds: what a message costs is bounded by more than its bytes.
func TestBounds(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for name, c := range map[string]struct{ in, err string }{
		"as deep as allowed": {in: `{"call_id":"c","result":` + deep(maxDepth-1) + `}`},
		"too deep":           {`{"call_id":"c","result":` + deep(maxDepth) + `}`, "llm/tool.call.result: result: nested more than 32 deep"},
		"endlessly deep":     {`{"call_id":"c","result":` + strings.Repeat("[", 1<<20), "llm/tool.call.result: result: nested more than 32 deep"},
		"deep objects":       {`{"call_id":"c","x":` + strings.Repeat(`{"a":`, 100), "llm/tool.call.result: x" + strings.Repeat(".a", 31) + ": nested more than 32 deep"},
		"many values":        {`{"call_id":"c","result":[` + strings.Repeat("0,", 1<<16) + `0]}`, "llm/tool.call.result: result: more than 65536 values"},
		"many unknown keys":  {`{"call_id":"c"` + unknownKeys(65) + `}`, "llm/tool.call.result: more than 64 unknown keys"},
		"not UTF-8":          {"{\"call_id\":\"\xff\"}", "llm/tool.call.result: call_id: not UTF-8"},
		"a key not UTF-8":    {"{\"call_id\":\"c\",\"\xff\":1}", "llm/tool.call.result: not UTF-8"},
		"a control byte":     {"{\"call_id\":\"a\nb\"}", "llm/tool.call.result: call_id: not JSON at byte 13"},
		"a mark before it":   {"\ufeff{}", "llm/tool.call.result: not JSON at byte 0"},
		"too large":          {strings.Repeat(" ", MaxPayload+1), "llm/tool.call.result: message of more than 8 MiB"},
	} {
		_, err := ToolCallResult.Decode([]byte(c.in))
		if c.err == "" {
			assert.NoError(t, err, name)
		} else {
			assert.EqualError(t, err, c.err, name)
		}
	}
}

func unknownKeys(n int) string {
	s := ""
	for i := range n {
		s += `,"k` + strings.Repeat("x", i) + `":1`
	}
	return s
}

// TestEncodeRefuses: what is wrong is found before it is on the bus.
func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for _, c := range []struct {
		want string
		err  func() error
	}{
		{"tts/say: text: not UTF-8", func() error { _, err := TTSSay.Encode(Envelope{}, Say{Text: "\xff"}); return err }},
		{"tts/say: envelope: not UTF-8", func() error { _, err := TTSSay.Encode(Envelope{ID: "\xff"}, Say{}); return err }},
		{"tts/say: envelope.ts: want a finite number", func() error { _, err := TTSSay.Encode(Envelope{TS: nan}, Say{}); return err }},
		{"tts/say: stt_ts: want a finite number: NaN", func() error { _, err := TTSSay.Encode(Envelope{}, Say{STTTS: &nan}); return err }},
		{`wake/mic: action: want one of mute, unmute: open`, func() error { _, err := WakeMic.Encode(Envelope{}, MicCommand{Action: "open"}); return err }},
		{"movement/frame: ch16: unknown key", func() error { _, err := MovementFrame.Encode(Envelope{}, TicksOf(map[int]int{16: 1})); return err }},
		{"movement/frame: ch0: want 0 to 4095: 4096", func() error { _, err := MovementFrame.Encode(Envelope{}, TicksOf(map[int]int{0: 4096})); return err }},
		{"movement/frame: want exactly one of the variants set", func() error { _, err := MovementFrame.Encode(Envelope{}, Frame{}); return err }},
		{"movement/frame: want exactly one of the variants set", func() error {
			_, err := MovementFrame.Encode(Envelope{}, Frame{Ticks: &Ticks{}, Planned: &PlannedFrame{}})
			return err
		}},
		{"movement/state: event: repeated key", func() error {
			_, err := MovementState.Encode(Envelope{}, MovementReport{Event: "x", More: Object{"event": 1}})
			return err
		}},
		{"memory/results: results[0].document: must not be null", func() error {
			_, err := MemoryResults.Encode(Envelope{}, QueryResults{Results: []QueryResult{{}}})
			return err
		}},
		{"memory/forget: want exactly one of id, text, a time, last and all", func() error { _, err := MemoryForget.Encode(Envelope{}, Forget{}); return err }},
		{"audio/in/a: message of more than 8 MiB", func() error { _, err := AudioIn.At("a").Encode(Envelope{}, make([]byte, MaxPayload+1)); return err }},
	} {
		err := c.err()
		require.ErrorIs(t, err, ErrContract)
		assert.EqualError(t, err, c.want)
	}
}

// TestFreeValues: services may put Go values into an Object, which travel as JSON has them.
func TestFreeValues(t *testing.T) {
	t.Parallel()
	b, err := LLMResponse.Encode(Envelope{}, ChatResponse{ID: "a", Tokens: Object{"n": 3, "list": []string{"<a>"}, "s": struct {
		X int `json:"x"`
	}{1}, "big": 1e22, "small": 1e-9, "nil": nil}})
	require.NoError(t, err)
	assert.Contains(t, string(b), `"tokens":{"big":1e+22,"list":["<a>"],"n":3,"nil":null,"s":{"x":1},"small":1e-09}`)
	_, err = LLMResponse.Encode(Envelope{}, ChatResponse{ID: "a", Tokens: Object{"f": func() {}}})
	assert.ErrorContains(t, err, "llm/response: tokens.f: not JSON")
	loop := Object{}
	loop["self"] = loop
	_, err = LLMResponse.Encode(Envelope{}, ChatResponse{ID: "a", Tokens: loop})
	assert.ErrorContains(t, err, "nested more than 32 deep")
}

// TestWhatIsWrittenIsRead: the bounds of reading hold for writing, too.
func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	written := 0
	for n := range 40 {
		var deep any = 1.0
		for range n {
			deep = []any{deep}
		}
		for _, topic := range []Topic[ToolResult]{ToolCallResult, {Spec{Name: "x", Type: "x"}}, {Spec{Name: "x", Form: Bare}}} {
			b, err := topic.Encode(Envelope{}, ToolResult{CallID: "c", Result: deep})
			if err != nil {
				require.ErrorIs(t, err, ErrContract)
				assert.ErrorContains(t, err, "nested more than 32 deep")
				continue
			}
			written++
			_, err = topic.Decode(b)
			assert.NoError(t, err, "%d deep", n)
		}
	}
	assert.Greater(t, written, 60)
	_, err := ToolCallResult.Encode(Envelope{}, ToolResult{CallID: "c", Result: make([]any, maxValues)})
	assert.EqualError(t, err, "llm/tool.call.result: result: more than 65536 values")
}

func TestParams(t *testing.T) {
	t.Parallel()
	legs, err := Params[LegParams](Object{"height_percent": 50, "left_percent": 1.0, "right_percent": 100})
	require.NoError(t, err)
	assert.Equal(t, LegParams{Height: 50, Left: 1, Right: 100}, legs)
	for want, o := range map[string]Object{
		"height_percent: missing":                       nil,
		"height_percent: want 1 to 100: 0":              {"height_percent": 0},
		"left_percent: want 1 to 100: 101":              {"height_percent": 1, "left_percent": 101},
		"right_percent: missing":                        {"height_percent": 1, "left_percent": 1},
		"speed: unknown key":                            {"speed": 1},
		"left_percent: want a number, not a string: \"": {"left_percent": ""},
	} {
		_, err := Params[LegParams](o)
		assert.ErrorIs(t, err, ErrContract)
		assert.ErrorContains(t, err, want)
	}
	arm, err := Params[ArmParams](Object{"star_hand": 100})
	require.NoError(t, err)
	assert.Equal(t, ArmParams{StarHand: new(100.0)}, arm)
	_, err = Params[ArmParams](Object{})
	assert.EqualError(t, err, "want at least one joint")
}

// TestRaw: bytes are bytes.
func TestRaw(t *testing.T) {
	t.Parallel()
	m, err := AudioIn.At("kitchen").Decode([]byte{1, 2, '{'})
	require.NoError(t, err)
	assert.Equal(t, Message[[]byte]{Bare: true, Data: []byte{1, 2, '{'}}, m)
	b, err := CameraJPEG.Encode(Envelope{ID: "a"}, []byte{0xff, 0xd8})
	require.NoError(t, err)
	assert.Equal(t, []byte{0xff, 0xd8}, b)
	data := []byte{1}
	CameraJPEG.Fill(&data, "", nil, 0)
	assert.NoError(t, Validate("audio/in/x", []byte("{")))
	assert.NoError(t, Validate("no/row", []byte("{")))
	assert.EqualError(t, Validate("tts/say", []byte("{}")), "tts/say: text: missing")
}

// TestPeek: the envelope without its payload's type.
func TestPeek(t *testing.T) {
	t.Parallel()
	e, data, ok := Peek([]byte(`{"id":"a","data":{"x":[1]} ,"ts":"2.5","type":"t","source":"s"}`))
	require.True(t, ok)
	assert.Equal(t, Envelope{ID: "a", Type: "t", TS: 2.5, Source: "s"}, e)
	assert.Equal(t, `{"x":[1]}`, string(data))
	for _, no := range []string{
		``, `{`, `[]`, `{}`, `{"type":"t"}`, `{"data":{}}`, `{"type":"t","data":[]}`, `{"type":"t","data":{},"v":1}`,
		`{"type":"t","data":{},"data":{}}`, `{"type":"t","ts":"x","data":{}}`, `{"type":"t","data":{}} x`, `{"text":"bare"}`,
	} {
		e, data, ok = Peek([]byte(no))
		assert.False(t, ok, no)
		assert.Zero(t, e, no)
		assert.Nil(t, data, no)
	}
}

func BenchmarkPeek(b *testing.B) {
	in := []byte(`{"id":"4f3c2b1a0d9e8f7a6b5c4d3e2f1a0b9c","type":"llm.stream","ts":1760000000.25,"source":"llm","data":{"message_id":"4f3c2b1a0d9e8f7a6b5c4d3e2f1a0b9d","id":"utt-7","seq":17,"delta":" quarter","done":false,"provider":"openai","model":"gpt-4o-mini"}}`)
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = Peek(in)
	}
}
