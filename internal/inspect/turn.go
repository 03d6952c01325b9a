package inspect

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/contract"
)

// Stage is a step of a turn.
type Stage int

// The stages, in the order in which they happen.
const (
	Begun      Stage = iota // wake word, push to talk, or a typed text
	SpeechEnd               // as the recogniser tells, else the last partial transcript
	Transcript              // what was said, as text; a typed text begins here too
	FirstToken              // the model's first piece
	FirstSound              // of the answer; an acknowledgement of the wake word is none
	Silence                 // the answer was spoken
	stages
)

// String is the stage in a table.
func (s Stage) String() string {
	return [...]string{"wake", "speech end", "transcript", "first token", "first sound", "silence"}[s]
}

// Stages are all of them.
func Stages() []Stage { return []Stage{Begun, SpeechEnd, Transcript, FirstToken, FirstSound, Silence} }

// Turn is one exchange, from wake word or typed text to silence.
type Turn struct {
	ID       string
	Origin   string // which microphone or page asked
	Typed    bool
	Wake     string // kind of the wake event
	Said     string
	Answer   string // the text that was spoken or answered
	By       string // who answered
	Failed   string
	State    string // of the dialogue, while the turn is the present one
	Done     bool
	Messages int // on any topic
	Last     time.Time

	at      [stages]time.Time // by the clock of this machine, at arrival
	partial time.Time         // the last partial transcript
	ids     []string
}

// At is when a stage was reached; zero: not, or it was not seen.
func (t *Turn) At(s Stage) time.Time { return t.at[s] }

// Since are the milliseconds from the begin of the turn to a stage, and whether both are known.
func (t *Turn) Since(s Stage) (time.Duration, bool) {
	first := t.First()
	if first.IsZero() || t.at[s].IsZero() {
		return 0, false
	}
	return t.at[s].Sub(first), true
}

// First is when the first stage that is known was reached.
func (t *Turn) First() time.Time {
	for _, at := range t.at {
		if !at.IsZero() {
			return at
		}
	}
	return time.Time{}
}

// Turns are the turns that are kept, oldest first. The slice must not be changed.
func (m *Model) Turns() []*Turn { return m.turns }

// maxIDs is how many ids one turn can have: its own, and that of a transcript which carries none.
const maxIDs = 4

// adopt is within what time of a wake word a transcript that names no turn belongs to it.
const adopt = 30 * time.Second

// hear looks at a message for what it says of a turn.
func (m *Model) hear(msg *Message) {
	id, origin := "", ""
	for _, p := range msg.Props {
		switch p.Key {
		case "turn":
			id = p.Value
		case "origin":
			origin = p.Value
		}
	}
	part := steps[msg.Topic]
	if part == nil && id == "" {
		return
	}
	named := id != "" && len(id) <= maxText
	if !named {
		e, _, _ := contract.Peek(msg.Payload)
		if id = e.ID; id == "" || len(id) > maxText {
			m.nameless(msg)
			return
		}
	}
	t := m.turnOf(id)
	if t == nil {
		if part == nil {
			return
		}
		if t = m.begin(msg, id, named); t == nil {
			return
		}
	}
	t.Messages++
	t.Last = msg.At
	if t.Origin == "" {
		t.Origin = clip(origin)
	}
	if part != nil {
		part(t, msg)
	}
}

// nameless keeps the newest message that began an exchange without an id, such as a bare text that
// somebody typed: whoever takes it up gives the turn an id of its own, within moments.
func (m *Model) nameless(msg *Message) {
	switch msg.Topic {
	case contract.WakeEvent.Name, contract.DialogueText.Name, contract.STTFinal.Name:
		m.orphan = &Message{Topic: msg.Topic, Payload: msg.Payload, At: msg.At}
	}
}

// moments is within what time a message without an id is taken up.
const moments = 3 * time.Second

func (m *Model) turnOf(id string) *Turn {
	for i := len(m.turns) - 1; i >= 0; i-- {
		if slices.Contains(m.turns[i].ids, id) {
			return m.turns[i]
		}
	}
	return nil
}

// begin makes a turn for a message of none that is known, or nil if the message does not begin one. named
// says that it carries the id of its turn, not only its own.
func (m *Model) begin(msg *Message, id string, named bool) *Turn {
	switch msg.Topic {
	case contract.WakeEvent.Name:
		w, err := contract.WakeEvent.Decode(msg.Payload)
		if err != nil || w.Data.Type != contract.WakeHeard && w.Data.Type != contract.WakeInterrupt {
			return nil
		}
	case contract.DialogueState.Name, contract.TTSStatus.Name, contract.TTSProgress.Name:
		if !named || m.orphan == nil || msg.At.Sub(m.orphan.At) > moments {
			return nil // they also tell of what is no exchange, such as an announcement
		}
	case contract.STTFinal.Name, contract.STTPartial.Name:
		// Who does not know turns gives the transcript an id of its own.
		if n := len(m.turns); n > 0 && !named {
			t := m.turns[n-1]
			if t.at[Transcript].IsZero() && !t.at[Begun].IsZero() && msg.At.Sub(t.at[Begun]) < adopt && len(t.ids) < maxIDs {
				t.ids = append(t.ids, id)
				return t
			}
		}
	}
	t := &Turn{ID: id, ids: []string{id}}
	if len(m.turns) >= m.lim.Turns {
		m.turns = slices.Delete(m.turns, 0, 1)
	}
	m.turns = append(m.turns, t)
	if o := m.orphan; o != nil && msg.At.Sub(o.At) <= moments {
		m.orphan = nil
		steps[o.Topic](t, o)
		t.Messages++
	}
	return t
}

// reach notes a stage the first time.
func (t *Turn) reach(s Stage, at time.Time) {
	if t.at[s].IsZero() {
		t.at[s] = at
	}
}

// steps are what messages of each topic do to their turn. A message that breaks the contract does
// nothing: the violation is shown elsewhere.
var steps = map[string]func(*Turn, *Message){
	contract.WakeEvent.Name: decoded(contract.WakeEvent, func(t *Turn, at time.Time, d contract.Wake) {
		switch d.Type {
		case contract.WakeHeard, contract.WakeInterrupt:
			t.reach(Begun, at)
			t.Wake = clip(d.Type)
		case contract.WakeCancelled, contract.WakeTimeout:
			t.State = clip(d.Type)
		}
	}),
	contract.DialogueText.Name: decoded(contract.DialogueText, func(t *Turn, at time.Time, d contract.TypedText) {
		t.reach(Begun, at)
		t.reach(Transcript, at)
		t.Typed, t.Said = true, clip(d.Text)
	}),
	contract.STTPartial.Name: decoded(contract.STTPartial, func(t *Turn, at time.Time, d contract.PartialTranscript) {
		if t.at[Transcript].IsZero() {
			t.Said, t.partial = clip(d.Text), at
		}
	}),
	contract.STTFinal.Name: func(t *Turn, msg *Message) {
		d, err := contract.STTFinal.Decode(msg.Payload)
		if err != nil {
			return
		}
		t.reach(Transcript, msg.At)
		t.Said = clip(d.Data.Text)
		if end := speechEnd(msg, d.Data.TS); !end.IsZero() {
			t.reach(SpeechEnd, end)
		} else if !t.partial.IsZero() { // the recogniser does not say: this is the nearest
			t.reach(SpeechEnd, t.partial)
		}
	},
	contract.LLMRequest.Name: func(*Turn, *Message) {}, // it may be the first that is seen of a turn
	contract.LLMStream.Name: decoded(contract.LLMStream, func(t *Turn, at time.Time, d contract.ChatDelta) {
		if contract.Value(d.Delta) != "" {
			t.reach(FirstToken, at)
			t.By = clip(contract.Value(d.Provider))
		}
	}),
	contract.LLMResponse.Name: decoded(contract.LLMResponse, func(t *Turn, at time.Time, d contract.ChatResponse) {
		if contract.Value(d.Reply) != "" {
			t.reach(FirstToken, at) // who does not stream
			t.Answer = clip(*d.Reply)
		}
		t.By, t.Failed = clip(contract.Value(d.Provider)), clip(contract.Value(d.Error))
	}),
	contract.TTSSay.Name: decoded(contract.TTSSay, func(t *Turn, _ time.Time, d contract.Say) {
		if contract.Value(d.WakeAck) || strings.Contains(t.Answer, d.Text) {
			return
		}
		t.Answer = clip(strings.TrimSpace(t.Answer + " " + d.Text))
	}),
	contract.TTSProgress.Name: decoded(contract.TTSProgress, func(t *Turn, at time.Time, _ contract.SpeechProgress) {
		if !t.at[Transcript].IsZero() { // else it is the acknowledgement of the wake word
			t.reach(FirstSound, at)
		}
	}),
	contract.TTSStatus.Name: decoded(contract.TTSStatus, func(t *Turn, at time.Time, d contract.SpeechStatus) {
		if contract.Value(d.WakeAck) {
			return
		}
		switch d.Event {
		case contract.SpeakingStart:
			t.reach(FirstSound, at)
			t.at[Silence] = time.Time{} // it speaks on
		case contract.SpeakingEnd, contract.SpeechStopped:
			t.at[Silence] = at
		}
	}),
	contract.DialogueState.Name: decoded(contract.DialogueState, func(t *Turn, _ time.Time, d contract.Dialogue) {
		if id := contract.Value(d.Turn); id == "" || slices.Contains(t.ids, id) {
			t.State = d.State
			t.Done = d.State == contract.Idle
		}
	}),
}

// longest is how long after the end of speech a transcript can come.
const longest = time.Minute

// speechEnd is when a transcript of ts, Unix seconds, says that the speech was over, by our clock, since
// the recogniser's may be wrong. It is zero if the transcript does not say.
func speechEnd(msg *Message, ts float64) time.Time {
	for _, p := range msg.Props {
		if p.Key != contract.PropSpeechEnd {
			continue
		}
		end, err := strconv.ParseFloat(p.Value, 64)
		if late := ts - end; err == nil && late >= 0 && late < longest.Seconds() {
			return msg.At.Add(-time.Duration(late * float64(time.Second)))
		}
	}
	return time.Time{}
}

// decoded is a step of messages that the contract allows.
func decoded[T any](topic contract.Topic[T], f func(*Turn, time.Time, T)) func(*Turn, *Message) {
	return func(t *Turn, msg *Message) {
		if d, err := topic.Decode(msg.Payload); err == nil {
			f(t, msg.At, d.Data)
		}
	}
}
