package contract

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecodeTakesBothForms(t *testing.T) {
	t.Parallel()
	m, err := TTSSay.Decode([]byte(`{"id":"a","type":"tts.say","ts":"1760000000.25","source":"router","data":{"message_id":"b","text":"h\u00e9","voice":null,"wake_ack":true}}`))
	require.NoError(t, err)
	assert.Equal(t, Message[Say]{
		Envelope: Envelope{ID: "a", Type: "tts.say", TS: 1760000000.25, Source: "router"},
		Data:     Say{MessageID: "b", Text: "hé", WakeAck: new(true)},
	}, m)
	m, err = TTSSay.Decode([]byte(` {"message_id":"b","text":"hi"} `))
	require.NoError(t, err)
	assert.Equal(t, Message[Say]{Envelope: Envelope{ID: "b"}, Bare: true, Data: Say{MessageID: "b", Text: "hi"}}, m)
	m, err = TTSSay.Decode([]byte(`{"type":"tts.say","data":{"text":"hi"}}`))
	require.NoError(t, err)
	assert.Equal(t, Message[Say]{Envelope: Envelope{Type: "tts.say"}, Data: Say{Text: "hi"}}, m, "nothing is made up")
	stop, err := TTSControl.Decode([]byte(`{"action":"stop","reason":""}`))
	require.NoError(t, err)
	assert.Equal(t, "requested", stop.Data.Reason, "an empty text is an absent one")
	chat, err := LLMRequest.Decode([]byte(`{"id":"a","text":"x","conversation_history":[],"params":{}}`))
	require.NoError(t, err)
	assert.NotNil(t, chat.Data.History, "empty is not null")
	assert.NotNil(t, chat.Data.Params)
	for _, own := range []string{`"type":1,"data":{}`, `"type":"t","data":1`, `"data":{}`} { // a type that takes all keys may have these
		tool, err := ToolCallResult.Decode([]byte(`{"call_id":"c",` + own + `}`))
		require.NoError(t, err, own)
		assert.True(t, tool.Bare, own)
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	b, err := TTSSay.Encode(Envelope{ID: "a", TS: 1.5, Source: "s"}, Say{MessageID: "m", Text: "a\"<b>\n"})
	require.NoError(t, err)
	assert.Equal(t, `{"id":"a","type":"tts.say","ts":1.5,"source":"s","data":{"message_id":"m","text":"a\"<b>\n",`+
		`"voice":null,"lang":null,"utt_id":null,"style":null,"stt_ts":null,"wake_ack":null,"system_announce":null}}`, string(b))
	b, err = TTSControl.Encode(Envelope{ID: "a"}, SpeechControl{Action: ActionStop})
	require.NoError(t, err)
	assert.Equal(t, `{"action":"stop","reason":"requested","id":null}`, string(b), "bare, with the reason that the legacy speaker insists on")
	b, err = Health.At("stt").Encode(Envelope{ID: "a"}, HealthPing{OK: true})
	require.NoError(t, err)
	assert.Equal(t, `{"id":"a","type":"health.status","ts":0,"source":"","data":{"ok":true}}`, string(b), "health has no nulls")
}

func TestErrorsNameTopicFieldAndValue(t *testing.T) {
	t.Parallel()
	_, err := STTFinal.Decode([]byte(`{"text":"x","confidence":1.5}`))
	require.ErrorIs(t, err, ErrContract)
	assert.Equal(t, &Error{Topic: "stt/final", Field: "confidence", Value: "1.5", Problem: "want 0 to 1"}, err)
	_, err = STTFinal.Encode(Envelope{}, FinalTranscript{Confidence: new(1.5)})
	assert.Equal(t, &Error{Topic: "stt/final", Field: "confidence", Value: "1.5", Problem: "want 0 to 1"}, err)
	_, err = Health.At("stt").Decode([]byte(`{}`))
	assert.EqualError(t, err, "system/health/stt: ok: missing")
	_, err = STTFinal.Decode([]byte(`{"text":["` + strings.Repeat("é", 50) + `"]}`))
	assert.EqualError(t, err, `stt/final: text: want a string, not a list: ["`+strings.Repeat("é", 19)+"...", "cut between two characters")
}

func TestAt(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "system/health/stt", Health.At("stt").Name)
	assert.Equal(t, "system/health/a_b__", Health.At("a/b+#").Name)
	assert.Equal(t, "system/health/_", Health.At("").Name)
	assert.Equal(t, "system/health/a__b", Health.At("a\x00\x7fb").Name)
	s, ok := Lookup("system/health/stt")
	require.True(t, ok)
	assert.Equal(t, Health.Spec, s)
	_, ok = Lookup("system/health/stt/x")
	assert.False(t, ok)
}

func TestFill(t *testing.T) {
	t.Parallel()
	id := func() string { return "new" }
	s := Say{Text: "x"}
	TTSSay.Fill(&s, "env", id, 5)
	assert.Equal(t, Say{Text: "x", MessageID: "new"}, s)
	c := SpeechControl{TS: 3}
	TTSControl.Fill(&c, "env", id, 5)
	assert.Equal(t, SpeechControl{MessageID: "env", TS: 3}, c, "a bare message has no other place for the id")
	a := AudioFFT{Data: &AudioFFTData{}}
	STTAudioFFT.Fill(&a, "env", id, 5)
	assert.Equal(t, AudioFFT{Data: &AudioFFTData{MessageID: "env", TS: 5}}, a)
	assert.Equal(t, FinalTranscript{Lang: "en", IsFinal: true}, New[FinalTranscript]())
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(`
		a/b a/b yes
		a/+ a/b yes
		a/+ a yes-not
		a/# a yes
		a/# a/b/c yes
		a/# ab/c no
		a/+/# a/b yes
		a/+/# a/b/c yes
		+/+ /b yes
		+ a/b no
		# a/b yes
		# $SYS/x no
		+/x $SYS/x no
		$SYS/# $SYS/x yes
		a/#/b a/x/b no
		a/b a/b/c no
		a/b/c a/b no
		events/# eventsfoo/x no
		a/+/b a//b yes
	`) {
		f := strings.Fields(line)
		if len(f) == 3 {
			assert.Equal(t, f[2] == "yes", Match(f[0], f[1]), line)
		}
	}
	assert.False(t, Match("", "a"))
	assert.False(t, Match("#", ""))
}

func BenchmarkSay(b *testing.B) {
	in := []byte(`{"id":"4f3c2b1a0d9e8f7a6b5c4d3e2f1a0b9c","type":"tts.say","ts":1760000000.25,"source":"router","data":{"message_id":"4f3c2b1a0d9e8f7a6b5c4d3e2f1a0b9d","text":"It is a quarter past three.","voice":null,"lang":"en","utt_id":"rt-1a2b3c4d","style":"neutral","stt_ts":1760000000.25,"wake_ack":null,"system_announce":null}}`)
	benchmark(b, TTSSay, in)
}

func BenchmarkStream(b *testing.B) {
	benchmark(b, LLMStream, []byte(`{"id":"4f3c2b1a0d9e8f7a6b5c4d3e2f1a0b9c","type":"llm.stream","ts":1760000000.25,"source":"llm","data":{"message_id":"4f3c2b1a0d9e8f7a6b5c4d3e2f1a0b9d","id":"utt-7","seq":17,"delta":" quarter","done":false,"provider":"openai","model":"gpt-4o-mini"}}`))
}

func BenchmarkHeartbeat(b *testing.B) {
	benchmark(b, Keepalive, []byte(`{"ok":true,"event":"heartbeat","timestamp":1760000005.12}`))
}

func BenchmarkPicture(b *testing.B) {
	in, err := CameraFrame.Encode(Envelope{ID: "a"}, VideoFrame{FrameData: make([]byte, 64<<10), Width: 640, Height: 480})
	require.NoError(b, err)
	benchmark(b, CameraFrame, in)
}

func benchmark[T any](b *testing.B, t Topic[T], in []byte) {
	m, err := t.Decode(in)
	require.NoError(b, err)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = t.Decode(in)
		}
	})
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = t.Encode(m.Envelope, m.Data)
		}
	})
}

// TestWrapped: a bare topic can be written in an envelope, and is read as before.
func TestWrapped(t *testing.T) {
	t.Parallel()
	cmd := New[TestMovement]()
	cmd.Command = "bow"
	bare, err := MovementTest.Encode(Envelope{ID: "1"}, cmd)
	require.NoError(t, err)
	wrapped, err := MovementTest.Wrapped().Encode(Envelope{ID: "1", Source: "router"}, cmd)
	require.NoError(t, err)
	for _, c := range []struct {
		payload []byte
		bare    bool
	}{{bare, true}, {wrapped, false}} {
		m, err := MovementTest.Decode(c.payload)
		require.NoError(t, err)
		assert.Equal(t, c.bare, m.Bare)
		assert.Equal(t, "bow", m.Data.Command)
	}
	assert.Equal(t, Raw, AudioIn.Wrapped().Form, "bytes stay bytes")
}
