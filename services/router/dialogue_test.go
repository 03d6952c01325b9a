package router

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stage plays a dialogue: it keeps the time and writes down what is to be done.
type stage struct {
	t   *testing.T
	d   *dialogue
	now time.Time
}

func newStage(t *testing.T, change ...func(*Options)) *stage {
	t.Helper()
	o := Defaults()
	o.Announce = false
	o.Location = time.UTC
	for _, f := range change {
		f(&o)
	}
	require.NoError(t, o.Validate())
	now := time.Date(2026, 11, 24, 15, 4, 0, 0, time.UTC)
	s := &stage{t: t, d: newDialogue(&o, now), now: now}
	s.d.health(now, "tts", true)
	return s
}

// done returns what the dialogue wants done since the last call, one word or text for each.
func (s *stage) done() []string {
	var out []string
	for _, e := range s.d.out {
		switch e := e.(type) {
		case saySpeech:
			out = append(out, "say "+e.text)
		case controlSpeech:
			out = append(out, strings.TrimSpace(e.action+" "+e.utt))
		case askModel:
			out = append(out, fmt.Sprintf("ask %s (%d)", e.turn.text, len(e.history)))
		case cancelModel:
			out = append(out, "cancel "+e.id)
		case move:
			out = append(out, "move "+e.command)
		case halt:
			out = append(out, "halt")
		case release:
			out = append(out, "release")
		case remember:
			out = append(out, "remember "+e.text)
		case forget:
			out = append(out, fmt.Sprintf("forget all=%v", e.all))
		case setTrait:
			out = append(out, fmt.Sprintf("trait %s=%d", e.trait, e.value))
		case resetTraits:
			out = append(out, "traits reset")
		}
	}
	s.d.out = nil
	return out
}

func (s *stage) after(d time.Duration) *stage {
	// Deadlines fall where they fall, not at the end of the wait.
	end := s.now.Add(d)
	for {
		at := s.d.next()
		if at.IsZero() || at.After(end) {
			break
		}
		s.now = at
		s.d.tick(s.now)
	}
	s.now = end
	s.d.tick(s.now)
	return s
}

func (s *stage) wake() *stage {
	s.d.wake(s.now, "wake", "", nil)
	return s
}

func (s *stage) heard(text string) *stage {
	s.d.say(s.now, utterance{text: text, utt: "u-" + normal(text), origin: "mic"})
	return s
}

func (s *stage) typed(origin, text string) *stage {
	s.d.say(s.now, utterance{text: text, utt: "t-" + origin, origin: origin, typed: true})
	return s
}

func (s *stage) delta(id, text string, seq int, done bool) *stage {
	s.d.delta(s.now, id, &seq, text, done)
	return s
}

func (s *stage) spoken(event, utt string, text ...string) *stage {
	s.d.spoken(s.now, speech{event: event, utt: utt, text: strings.Join(text, " "), ack: strings.HasPrefix(utt, "wake-ack")})
	return s
}

func (s *stage) expect(state State, done ...string) *stage {
	s.t.Helper()
	assert.Equal(s.t, state, s.d.state, "after %q", s.d.reason)
	assert.Equal(s.t, state == Idle, s.d.deadline.IsZero(), "every state but idle has a deadline")
	var want []string
	assert.Equal(s.t, append(want, done...), s.done())
	return s
}

func TestNothingIsHeardWithoutWake(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.heard("what time is it").expect(Idle)
	s.heard("stop").expect(Idle)
	s.typed("page", "what time is it").expect(Speaking, "say It is 3:04 PM.")
}

func TestWakeWindow(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.wake().expect(Listening, "say Hmm?")
	s.after(6*time.Second).spoken("speaking_end", "wake-ack-1").after(7 * time.Second).expect(Listening) // counts from the silence
	s.after(2 * time.Second).expect(Idle)
	s.wake().expect(Listening, "say Huh?")
	s.d.partial(s.now.Add(5*time.Second), "I would")
	s.after(10 * time.Second).expect(Listening) // somebody speaks
	s.heard("Hey Tars, what time is it?").expect(Speaking, "say It is 3:04 PM.")
	s.spoken("speaking_start", s.d.turn.utt).spoken("speaking_end", s.d.turn.utt).expect(Listening) // follow-up
	s.after(9*time.Second).heard("what day is it").expect(Speaking, "say It is Tuesday, November 24, 2026.")
	s.after(time.Minute).expect(Idle, "stop u-what day is it") // the speech service says nothing: no state lasts
}

func TestPartialsDoNotKeepTheWindowForEver(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.wake()
	s.done()
	for range 100 {
		s.d.partial(s.now, "hm")
		s.after(time.Second)
	}
	s.expect(Idle)
}

func TestInlineWake(t *testing.T) {
	t.Parallel()
	newStage(t).heard("hey tars turn left").expect(Listening, "move turn_left")
	newStage(t, func(o *Options) { o.InlineWake = false }).heard("hey tars turn left").expect(Idle)
	newStage(t).heard("hey tars").expect(Listening, "say Hmm?")
	newStage(t).wake().heard("hey tars hello there").expect(Speaking, "say Hmm?", "say Hello! How can I help?")
}

func TestStreamedAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.wake().heard("tell me about pi").expect(Thinking, "say Hmm?", "ask tell me about pi (0)")
	id := "u-tell me about pi"
	s.delta(id, "Pi is 3.", 1, false).expect(Thinking)
	s.delta(id, "14. It goes", 2, false).expect(Speaking, "say Pi is 3.14.")
	s.spoken("speaking_start", id).spoken("speaking_end", id).expect(Thinking)
	s.delta(id, " on.", 3, false).delta(id, "", 4, true).expect(Speaking, "say It goes on.")
	s.d.response(s.now, id, "Pi is 3.14. It goes on.", "")
	s.expect(Speaking)
	s.spoken("speaking_end", id).expect(Listening)
	s.heard("and e").expect(Thinking, "ask and e (2)") // both roles of the turn before, and not this one
	assert.Equal(t, []string{user, assistant, user}, roles(s.d.history.of("mic")))
}

func roles(lines []line) []string {
	var out []string
	for _, l := range lines {
		out = append(out, l.role)
	}
	return out
}

func TestResponseOvertakesItsStream(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.typed("page", "go on")
	s.done()
	s.delta("t-page", "One. Tw", 0, false).expect(Speaking, "say One.")
	s.d.response(s.now, "t-page", "One. Two. Three.", "")
	s.expect(Speaking, "say Two.", "say Three.")
	s.delta("t-page", "o. Three.", 1, true).expect(Speaking) // late deltas say nothing again
}

func TestErrorsAreSpoken(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.typed("page", "what is love")
	s.done()
	s.d.response(s.now, "t-page", "", "upstream: 500")
	s.expect(Speaking, "say "+s.d.o.Errors["model_error"])
	s = newStage(t)
	s.typed("page", "what is love")
	s.done()
	s.d.response(s.now, "t-page", "", "My model does not answer. Try again later.")
	s.expect(Speaking, "say My model does not answer. Try again later.")
	s = newStage(t)
	s.typed("page", "what is love")
	s.done()
	s.d.response(s.now, "t-page", "", "cancelled")
	s.expect(Idle)
	s = newStage(t)
	s.typed("page", "what is love")
	s.done()
	s.after(46*time.Second).expect(Speaking, "cancel t-page", "say "+s.d.o.Errors["timeout"])
	s = newStage(t)
	s.typed("page", "what is love")
	s.done()
	s.delta("t-page", "It is. Perh", 0, false).spoken("speaking_start", "t-page").spoken("speaking_end", "t-page")
	s.after(21*time.Second).expect(Speaking, "say It is.", "cancel t-page", "say "+s.d.o.Errors["timeout"])
	s = newStage(t)
	s.typed("page", "what is love")
	s.done()
	s.delta("t-page", "It is. Perhaps", 0, true).spoken("speaking_start", "t-page").spoken("speaking_end", "t-page")
	s.after(6*time.Second).expect(Listening, "say It is.", "say Perhaps", "cancel t-page") // only the response is missing
	s = newStage(t)
	s.d.health(s.now, "llm", false)
	s.typed("page", "what is love").expect(Speaking, "say "+s.d.o.Errors["no_model"])
	s = newStage(t)
	s.typed("page", "what is love")
	s.done()
	s.d.response(s.now, "t-page", "", "")
	s.expect(Speaking, "say "+s.d.o.Errors["no_answer"])
}

func TestTextAloneNeedsNoSpeechService(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.d.health(s.now, "tts", false)
	s.typed("page", "what time is it").expect(Listening, "say It is 3:04 PM.")
	s.typed("page", "tell me more").expect(Thinking, "ask tell me more (2)")
	s.delta("t-page", "Well. ", 0, false).expect(Thinking, "say Well.")
	s.d.response(s.now, "t-page", "Well. No.", "")
	s.expect(Listening, "say No.")
}

func TestStopEndsEverything(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.wake().heard("tell me a story")
	s.done()
	s.delta("u-tell me a story", "Once. Upon", 0, false).expect(Speaking, "say Once.")
	s.typed("page", "tell me a joke").expect(Speaking, "ask tell me a joke (0)") // beside the other
	s.heard("Stop!")
	got := s.done()
	assert.Equal(t, []string{"halt", "stop"}, got[:2])
	assert.ElementsMatch(t, []string{"cancel u-tell me a story", "cancel t-page"}, got[2:])
	s.expect(Idle)
	s.delta("u-tell me a story", " a time.", 1, true).expect(Idle) // nothing comes after it
	s.d.response(s.now, "u-tell me a story", "Once. Upon a time.", "")
	s.expect(Idle)
	assert.Equal(t, "Once.", s.d.history.of("mic")[1].text, "what was heard is remembered")
}

func TestStopWhileMoving(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.wake().heard("turn left and then bow").expect(Listening, "say Hmm?", "move turn_left", "move bow")
	s.d.motion(s.now, "started", "mv-x")
	s.after(15 * time.Second).expect(Idle)
	s.heard("stop").expect(Idle, "halt", "stop")
	s.d.motion(s.now, "started", "")
	s.d.halted(s.now)
	s.expect(Idle, "stop") // who published the stop has stopped the motion
	s.typed("page", "you can move again").expect(Speaking, "release", "say I can move again.")
}

func TestLiveMode(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.wake().heard("Enter live mode!").expect(Speaking, "say Hmm?", "say Live mode enabled.")
	s.spoken("speaking_end", s.d.turn.utt).expect(Listening)
	s.after(time.Minute).heard("what time is it").expect(Speaking, "say It is 3:05 PM.")
	s.spoken("speaking_end", s.d.turn.utt).heard("enter live mode").expect(Speaking, "say Live mode is already active.")
	s.heard("stop").expect(Listening, "halt", "stop")
	s.heard("exit live mode").expect(Speaking, "say Live mode disabled.")
	s.spoken("speaking_end", s.d.turn.utt).after(11 * time.Second).expect(Idle)
	s = newStage(t, func(o *Options) { o.LiveMode, o.TimeoutText = true, "Never mind then." }).expect(Listening)
	s.d.wake(s.now, "timeout", "", nil)
	s.expect(Listening) // the wake service's window is not what is listened in
	s.after(11 * time.Minute).expect(Idle)
}

func TestMemoryAndPersona(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"Remember that my brother lives in London.": {"remember my brother lives in London.", "say I will remember that."},
		"please remember my birthday is in May":     {"remember my birthday is in May", "say I will remember that."},
		"forget that":                               {"forget all=false", "say Forgotten."},
		"set humour to 75 percent":                  {"trait humor=75", "say Humor set to 75 percent."},
		"reset your personality":                    {"traits reset", "say My personality is back to its defaults."},
		"do you remember that day?":                 {"ask do you remember that day? (0)"},
		"remember?":                                 {"ask remember? (0)"},
		"say Never gonna give you up":               {"say Never gonna give you up"},
		"turn off the lights":                       {"ask turn off the lights (0)"},
		"what is the time in Tokyo":                 {"ask what is the time in Tokyo (0)"},
		"hello tars":                                {"say Hello! How can I help?"},
		"hi what is the capital of France":          {"ask hi what is the capital of France (0)"},
		"set a timer to 20":                         {"ask set a timer to 20 (0)"},
		"set your flux capacitor to 1 percent":      {"ask set your flux capacitor to 1 percent (0)"},
	} {
		s := newStage(t)
		s.d.traits = map[string]bool{"humor": true, "honesty": true}
		s.typed("page", text)
		assert.Equal(t, want, s.done(), text)
	}
	s := newStage(t)
	s.typed("page", "forget everything")
	s.done()
	s.typed("page", "yes, forget everything").expect(Speaking, "stop t-page", "forget all=true", "say Everything is forgotten.")
	s.typed("page", "forget everything")
	s.done()
	s.typed("page", "what time is it")
	s.done()
	s.typed("page", "yes")
	assert.NotContains(t, s.done(), "forget all=true", "a yes to something else")
}

func TestTwoOrigins(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.typed("a", "what is x").expect(Thinking, "ask what is x (0)")
	s.typed("b", "what is y").expect(Thinking, "ask what is y (0)")
	s.d.response(s.now, "t-b", "Y is why.", "")
	s.expect(Thinking, "say Y is why.") // b's answer does not end a's turn
	s.d.response(s.now, "t-a", "X is ex.", "")
	s.expect(Speaking, "say X is ex.")
	s.typed("a", "what is z")
	assert.Contains(t, s.done(), "ask what is z (2)", "each origin has its own history")
}

func TestSameOriginSupersedesItself(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.d.say(s.now, utterance{text: "first", utt: "1", origin: "a", typed: true})
	s.d.say(s.now, utterance{text: "second", utt: "2", origin: "a", typed: true})
	s.expect(Thinking, "ask first (0)", "cancel 1", "ask second (1)")
	s.d.response(s.now, "1", "late", "")
	s.expect(Thinking)
}

func TestAnnouncement(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(o *Options) { o.Announce = true })
	s.expect(Idle)
	s.d.health(s.now, "stt", true)
	s.expect(Idle, "say System online.")
	s.d.health(s.now, "stt", false)
	s.d.health(s.now, "stt", true)
	s.d.spoken(s.now, speech{event: "speaking_end", utt: "boot", announce: true})
	s.expect(Idle) // once, and it opens no window
}

// TestForgetForgetsTheConversationToo: the model is not told again what was to be forgotten.
func TestForgetForgetsTheConversationToo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.typed("page", "hello")
	s.typed("page", "remember that my code is one two")
	s.typed("page", "forget that")
	var all []string
	for _, l := range s.d.history.of("page") {
		all = append(all, l.text)
	}
	assert.Equal(t, []string{"hello", "Hello! How can I help?", "forget that", "Forgotten."}, all)
}

func TestMotionThatFails(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.typed("page", "wave").expect(Listening, "move wave")
	s.d.motion(s.now, "failed", "mv-t-page")
	s.expect(Listening, "say "+s.d.o.Errors["motion"])
	s.d.motion(s.now, "failed", "somebody-elses")
	s.expect(Listening)
	s.typed("page", "wave and bow").expect(Listening, "move wave", "move bow")
	s.d.motion(s.now, "command_started", "mv-t-page")
	s.d.motion(s.now, "command_failed", "mv-t-page")
	s.d.motion(s.now, "command_failed", "mv-t-page-2")
	s.expect(Listening, "say "+s.d.o.Errors["motion"]) // once is enough
	s.typed("page", "wave").expect(Listening, "move wave")
	s.typed("page", "stop").expect(Idle, "halt", "stop")
	s.d.motion(s.now, "command_failed", "mv-t-page")
	s.expect(Idle) // silence
	s.typed("page", "wave").expect(Listening, "move wave")
	s.d.motion(s.now, "command_failed", "mv-t-page")
	s.expect(Listening, "say "+s.d.o.Errors["stopped"])
	s.d.motion(s.now, "stop_cleared", "")
	s.typed("page", "wave").expect(Listening, "move wave")
	s.d.motion(s.now, "queue_full", "mv-t-page")
	s.expect(Listening, "say "+s.d.o.Errors["motion"])
	s.d.health(s.now, "movement", false)
	s.typed("page", "wave").expect(Speaking, "say "+s.d.o.Errors["motion"])
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for i := range 100 {
		s.typed(fmt.Sprint(i), "what is "+fmt.Sprint(i))
	}
	assert.LessOrEqual(t, len(s.d.asked), maxAsked)
	assert.LessOrEqual(t, len(s.d.history.lines), maxOrigins)
	s.after(2 * time.Minute)
	assert.Empty(t, s.d.asked)
}

// FuzzDialogue plays random events: no state may outlast its deadline, and nothing may be left.
func FuzzDialogue(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19})
	f.Add([]byte{1, 0, 2, 3, 7, 1, 12, 9, 3, 200, 14, 6})
	f.Fuzz(func(t *testing.T, script []byte) {
		o := Defaults()
		now := time.Unix(1_800_000_000, 0)
		d := newDialogue(&o, now)
		texts := []string{"tell me a story", "stop", "hey tars", "turn left and bow", "enter live mode", "exit live mode", "never mind", "forget everything", "yes"}
		events := []string{"speaking_start", "speaking_end", "paused", "resumed", "stopped"}
		for i, b := range script {
			now = now.Add(time.Duration(b) * 50 * time.Millisecond)
			if at := d.next(); !at.IsZero() && !at.After(now) {
				d.tick(now)
			}
			utt := "u" + fmt.Sprint(b%3)
			switch b % 14 {
			case 0:
				d.wake(now, []string{"wake", "interrupt", "resume", "cancelled", "timeout", "x"}[i%6], utt, nil)
			case 1, 2, 3:
				d.say(now, utterance{text: texts[i%len(texts)], utt: utt, origin: "o" + fmt.Sprint(b%2), typed: b%2 == 0})
			case 4, 5:
				seq := i % 4
				d.delta(now, utt, &seq, "Well. Now ", b%5 == 0)
			case 6:
				d.response(now, utt, "Well. Now what.", []string{"", "broken", "cancelled"}[i%3])
			case 7, 8:
				d.spoken(now, speech{event: events[i%len(events)], utt: utt, reason: []string{"", "x"}[i%2]})
			case 9:
				d.health(now, []string{"tts", "stt", "llm", "movement"}[i%4], b%2 == 0)
			case 10:
				d.halted(now)
			case 11:
				d.cancelled(now, utt)
			case 12:
				d.motion(now, []string{"command_started", "command_failed", "command_completed", "emergency_stop", "stop_cleared"}[i%5], motionID+utt)
			case 13:
				d.partial(now, "well")
			}
			for _, e := range d.out {
				if say, ok := e.(saySpeech); ok && broken(say) {
					t.Fatalf("%q is said of a turn that was broken off", say.text)
				}
			}
			if (d.state == Idle) != d.deadline.IsZero() {
				t.Fatalf("%s with the deadline %v", d.state, d.deadline)
			}
			d.out = nil
		}
		for range 100 {
			at := d.next()
			if at.IsZero() {
				break
			}
			now = at
			d.tick(now)
		}
		if d.state != Idle || len(d.asked) > 0 {
			t.Fatalf("%s because of %s with %d requests, for ever", d.state, d.reason, len(d.asked))
		}
	})
}
