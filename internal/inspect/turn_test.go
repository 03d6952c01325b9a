package inspect

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// said is a message after some milliseconds, with the id of its turn as a property unless that is blank.
func said(ms int, turn, topic, data string) Message {
	m := later(text(topic, data), time.Duration(ms)*time.Millisecond)
	if turn != "" {
		m.Props = []Prop{{"origin", "desk"}, {"turn", turn}}
	}
	return m
}

// enveloped is said with an envelope of that id.
func enveloped(ms int, turn, id, topic, data string) Message {
	return said(ms, turn, topic, fmt.Sprintf(`{"id":%q,"type":"x","ts":1,"source":"s","data":%s}`, id, data))
}

// final is a transcript that was made half a second after 1789999000 and says when the speech was over.
func final(ms int, end string) Message {
	m := enveloped(ms, "w1", "f1", "stt/final", `{"text":"what time is it","ts":1789999000.5}`)
	m.Props = append(m.Props, Prop{"speech_end", end})
	return m
}

func TestTurns(t *testing.T) {
	t.Parallel()
	whole := []Message{
		enveloped(0, "", "w1", "wake/event", `{"type":"wake"}`),
		said(100, "w1", "tts/status", `{"event":"speaking_start","text":"yes","wake_ack":true}`),
		said(110, "w1", "tts/progress", `{"part":0,"text":"yes"}`),
		said(400, "w1", "tts/status", `{"event":"speaking_end","text":"yes","wake_ack":true}`),
		enveloped(1500, "w1", "p1", "stt/partial", `{"text":"what"}`),
		enveloped(1900, "w1", "p2", "stt/partial", `{"text":"what time"}`),
		enveloped(2300, "w1", "f1", "stt/final", `{"text":"what time is it"}`),
		enveloped(2301, "w1", "f1", "dialogue/state", `{"state":"thinking","reason":"heard","since":1,"turn":"w1"}`),
		enveloped(2302, "w1", "f1", "llm/request", `{"id":"f1","text":"what time is it"}`),
		enveloped(2700, "w1", "f1", "llm/stream", `{"id":"f1","seq":0,"delta":""}`),
		enveloped(2800, "w1", "f1", "llm/stream", `{"id":"f1","seq":1,"delta":"It","provider":"offline"}`),
		enveloped(2900, "w1", "s1", "tts/say", `{"text":"It is noon."}`),
		said(3000, "w1", "tts/status", `{"event":"speaking_start","text":"It is noon."}`),
		enveloped(3100, "w1", "f1", "llm/response", `{"id":"f1","reply":"It is noon.","provider":"offline"}`),
		said(4000, "w1", "tts/status", `{"event":"speaking_end","text":"It is noon."}`),
		enveloped(4001, "w1", "x", "dialogue/state", `{"state":"idle","reason":"silence","since":1,"turn":"w1"}`),
		enveloped(4002, "w1", "x", "movement/test", `{"command":"wave"}`),
	}
	tests := map[string]struct {
		msgs   []Message
		ms     []int // of the stages; -1: not reached
		check  func(t *testing.T, turn *Turn)
		others int // turns besides the last
	}{
		"whole": {whole, []int{0, 1900, 2300, 2800, 3000, 4000}, func(t *testing.T, turn *Turn) {
			assert.Equal(t, "w1", turn.ID)
			assert.Equal(t, "what time is it", turn.Said)
			assert.Equal(t, "It is noon.", turn.Answer)
			assert.Equal(t, "offline", turn.By)
			assert.Equal(t, "desk", turn.Origin)
			assert.Equal(t, "wake", turn.Wake)
			assert.Equal(t, len(whole), turn.Messages)
			assert.True(t, turn.Done)
		}, 0},
		"live": {whole[:11], []int{0, 1900, 2300, 2800, -1, -1}, func(t *testing.T, turn *Turn) {
			assert.False(t, turn.Done)
			assert.Equal(t, "thinking", turn.State)
		}, 0},
		"speaks on": {append(whole[:15:15], said(4100, "w1", "tts/status", `{"event":"speaking_start","text":"More."}`)),
			[]int{0, 1900, 2300, 2800, 3000, -1}, nil, 0},
		"typed": {[]Message{
			enveloped(0, "", "t1", "dialogue/text", `{"text":"hello","origin":"page"}`),
			enveloped(5, "t1", "s1", "tts/say", `{"text":"Hi."}`),
			said(80, "t1", "tts/progress", `{"part":0,"text":"Hi."}`),
		}, []int{0, -1, 0, -1, 80, -1}, func(t *testing.T, turn *Turn) {
			assert.True(t, turn.Typed)
			assert.Equal(t, "Hi.", turn.Answer)
		}, 0},
		"typed without an id": {[]Message{
			said(0, "", "dialogue/text", `{"text":"hello"}`),
			enveloped(3, "", "d1", "dialogue/state", `{"state":"thinking","since":1}`),
			enveloped(5, "rt-1", "s1", "tts/say", `{"text":"Hi."}`),
		}, []int{0, -1, 0, -1, -1, -1}, func(t *testing.T, turn *Turn) { assert.Equal(t, "hello", turn.Said) }, 0},
		"without an id, and nobody took it up": {[]Message{
			said(0, "", "dialogue/text", `{"text":"hello"}`),
			enveloped(9000, "rt-1", "s1", "tts/say", `{"text":"Bye."}`),
		}, []int{-1, -1, -1, -1, -1, -1}, nil, 0},
		"a transcript that names no turn": {[]Message{
			enveloped(0, "", "w1", "wake/event", `{"type":"wake"}`),
			enveloped(2000, "", "f1", "stt/final", `{"text":"hello"}`),
			enveloped(2100, "f1", "f1", "llm/stream", `{"id":"f1","delta":"Hi"}`),
		}, []int{0, -1, 2000, 2100, -1, -1}, nil, 0},
		"a transcript of another turn": {[]Message{
			enveloped(0, "", "w1", "wake/event", `{"type":"wake"}`),
			enveloped(2000, "w2", "f1", "stt/final", `{"text":"hello"}`), // whose wake word was not seen
		}, []int{-1, -1, 0, -1, -1, -1}, func(t *testing.T, turn *Turn) { assert.Equal(t, "w2", turn.ID) }, 1},
		"a transcript long after": {[]Message{
			enveloped(0, "", "w1", "wake/event", `{"type":"wake"}`),
			enveloped(31_000, "", "f1", "stt/final", `{"text":"hello"}`),
		}, []int{-1, -1, 0, -1, -1, -1}, nil, 1},
		"end of speech": {[]Message{
			enveloped(0, "", "w1", "wake/event", `{"type":"wake"}`),
			enveloped(1900, "w1", "p2", "stt/partial", `{"text":"what time"}`),
			final(2300, "1789999000.250"), // by a clock that is wrong
		}, []int{0, 2050, 2300, -1, -1, -1}, nil, 0},
		"end of speech after the transcript": {[]Message{
			enveloped(0, "", "w1", "wake/event", `{"type":"wake"}`), final(2300, "1789999001"),
		}, []int{0, -1, 2300, -1, -1, -1}, nil, 0},
		"end of speech that is no number": {[]Message{
			enveloped(0, "", "w1", "wake/event", `{"type":"wake"}`), final(2300, "NaN"),
		}, []int{0, -1, 2300, -1, -1, -1}, nil, 0},
		"an error": {[]Message{
			enveloped(0, "", "t1", "dialogue/text", `{"text":"hello"}`),
			enveloped(9, "t1", "t1", "llm/response", `{"id":"t1","error":"I cannot think."}`),
		}, []int{0, -1, 0, -1, -1, -1}, func(t *testing.T, turn *Turn) { assert.Equal(t, "I cannot think.", turn.Failed) }, 0},
		"oldest go": {[]Message{
			enveloped(0, "", "t1", "dialogue/text", `{"text":"1"}`), enveloped(1, "", "t2", "dialogue/text", `{"text":"2"}`),
			enveloped(2, "", "t3", "dialogue/text", `{"text":"3"}`), enveloped(3, "", "t4", "dialogue/text", `{"text":"4"}`),
		}, []int{0, -1, 0, -1, -1, -1}, func(t *testing.T, turn *Turn) { assert.Equal(t, "t4", turn.ID) }, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := New(small())
			for _, msg := range tt.msgs {
				m.Add(msg)
			}
			require.Len(t, m.Turns(), tt.others+1)
			turn := m.Turns()[tt.others]
			for i, s := range Stages() {
				d, ok := turn.Since(s)
				if tt.ms[i] < 0 {
					assert.False(t, ok, "%s", s)
					continue
				}
				assert.True(t, ok, "%s", s)
				assert.EqualValues(t, tt.ms[i], d.Milliseconds(), "%s", s)
			}
			if tt.check != nil {
				tt.check(t, turn)
			}
		})
	}
}

func TestNoTurn(t *testing.T) {
	t.Parallel()
	m := New(DefaultLimits())
	for _, msg := range []Message{
		enveloped(0, "", "w", "wake/event", `{"type":"timeout"}`),
		enveloped(0, "", "w", "wake/event", `{"type":7}`),
		said(0, "", "tts/status", `{"event":"speaking_start","text":"an announcement"}`),
		enveloped(0, "a1", "a1", "tts/progress", `{"part":0,"text":"an announcement"}`),
		enveloped(0, "", "d", "dialogue/state", `{"state":"idle","since":1}`),
		said(0, "x", "movement/joints", "{}"),
		said(0, "", "stt/final", `not JSON`),
	} {
		m.Add(msg)
	}
	assert.Empty(t, m.Turns())
}
