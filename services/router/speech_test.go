package router

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestInterrupt(t *testing.T) {
	t.Parallel()
	begin := func() *stage {
		s := newStage(t)
		s.wake().heard("tell me a story")
		s.done()
		s.delta("u-tell me a story", "Once upon a time. And", 0, false).expect(Speaking, "say Once upon a time.")
		s.d.wake(s.now, "interrupt", "u-tell me a story", nil)
		return s.expect(Interrupted, "pause u-tell me a story", "cancel u-tell me a story")
	}
	s := begin()
	s.d.wake(s.now, "resume", "", nil)
	s.expect(Speaking, "resume u-tell me a story")
	s = begin()
	s.after(5*time.Second).expect(Speaking, "resume u-tell me a story") // the wake service died
	s = begin()
	s.heard("what time is it").expect(Speaking, "stop u-tell me a story", "say It is 3:04 PM.")
	s = begin()
	s.d.wake(s.now, "cancelled", "", nil)
	s.expect(Idle, "stop u-tell me a story")
	s = begin()
	s.heard("never mind").expect(Idle, "stop u-tell me a story")
	s = begin() // the wake service hears it too
	s.d.o.CancelText = "Cancelled."
	s.heard("never mind").expect(Idle, "stop u-tell me a story", "say Cancelled.")
	s.d.wake(s.now, "cancelled", "", nil)
	s.expect(Idle)
	s = begin() // the end of the generation is no end of the pause
	s.delta("u-tell me a story", "", 1, true)
	s.d.response(s.now, "u-tell me a story", "", "cancelled")
	s.expect(Interrupted)
	s.d.wake(s.now, "interrupt", "", nil) // nor is another wake word
	s.expect(Interrupted)
	s.d.wake(s.now, "resume", "", nil)
	s.expect(Speaking, "resume u-tell me a story")
	s.spoken("speaking_end", "u-tell me a story").expect(Listening)
	assert.Equal(t, "Once upon a time.", s.d.history.of("mic")[1].text)
}

// TestInterruptBetweenSentences covers a pause while nothing is spoken: nobody ends it but we.
func TestInterruptBetweenSentences(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.typed("page", "tell me a story").expect(Thinking, "ask tell me a story (0)")
	s.d.motion(s.now, "command_started", "")
	s.d.wake(s.now, "interrupt", "", nil)
	s.expect(Interrupted, "halt", "pause t-page", "cancel t-page")
	s.after(5*time.Second).expect(Listening, "resume t-page")
	s.typed("page", "another story").expect(Thinking, "ask another story (1)")
	s.d.wake(s.now, "interrupt", "", nil)
	s.expect(Interrupted, "pause t-page", "cancel t-page")
	s.heard("what time is it").expect(Speaking, "stop t-page", "say It is 3:04 PM.")
}

// TestInterruptLeavesOthersAlone: an answer to somebody else is still made.
func TestInterruptLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.heard("hey tars tell me a story").expect(Thinking, "ask tell me a story (0)")
	s.typed("page", "when is dinner").expect(Thinking, "ask when is dinner (0)")
	s.d.wake(s.now, "interrupt", "", nil)
	s.expect(Interrupted, "pause u-hey tars tell me a story", "cancel u-hey tars tell me a story")
	s.d.response(s.now, "t-page", "Soon.", "")
	s.expect(Interrupted, "say Soon.")
}

func TestSpeechServiceStatus(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.typed("page", "say one two three").expect(Speaking, "say one two three")
	s.spoken("paused", "t-page").expect(Interrupted)
	s.spoken("resumed", "t-page").expect(Speaking)
	s.spoken("stopped", "t-page").expect(Idle, "stop t-page")
	s.spoken("speaking_end", "from-a-tool").expect(Listening)
	s.after(20 * time.Second).expect(Idle)
}

// TestStoppedSpeech: the end of speech that was stopped asks nobody anything.
func TestStoppedSpeech(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.typed("page", "say one two three").expect(Speaking, "say one two three")
	s.spoken("speaking_start", "t-page").heard("stop").expect(Idle, "halt", "stop")
	s.spoken("stopped", "t-page")
	s.d.spoken(s.now, speech{event: "speaking_end", utt: "t-page", reason: "stop_word"})
	s.expect(Idle)
}

// TestStopOfOthersSpeech: whoever let the robot speak, "stop" is heard meanwhile.
func TestStopOfOthersSpeech(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spoken("speaking_start", "from-a-tool").heard("stop").expect(Idle, "halt", "stop")
	s.heard("stop").expect(Idle)
	s.spoken("speaking_start", "from-a-tool").spoken("speaking_end", "from-a-tool").after(time.Minute)
	s.heard("stop").expect(Idle)
}

// TestHush: words that are about speech end speech and what is made for it, and let the robot move on.
func TestHush(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"Be quiet, please!", "shut up", "silence", "stop talking", "hush"} {
		s := newStage(t)
		s.heard("hey tars tell me a story")
		s.delta("u-hey tars tell me a story", "Once. Upon", 0, false).expect(Speaking, "ask tell me a story (0)", "say Once.")
		s.heard(word).expect(Idle, "stop", "cancel u-hey tars tell me a story")
		assert.Equal(t, "hush_word", s.d.reason)
		s.delta("u-hey tars tell me a story", " a time.", 1, true).heard(word).expect(Idle)
	}
	s := newStage(t)
	s.typed("page", "bow").expect(Listening, "move bow")
	s.d.motion(s.now, "started", "mv-t-page")
	s.after(20 * time.Second).heard("be quiet").expect(Idle) // nobody speaks, nobody asked
	s.typed("page", "be quiet").expect(Idle, "stop")
	assert.True(t, s.d.inMotion(s.now), "it goes on")
	assert.False(t, s.d.latched)
	s.d.motion(s.now, "failed", "mv-t-page")
	s.expect(Idle, "say "+s.d.o.Errors["motion"]) // and is still waited for
	s.heard("stop").expect(Idle)                  // the motion is over
	s.spoken("speaking_start", "from-a-tool").heard("be quiet").expect(Idle, "stop")
	s.heard("be quiet").expect(Idle) // once is enough
	s = newStage(t, func(o *Options) { o.StopPhrases = append(o.StopPhrases, "be quiet") })
	s.typed("page", "be quiet").expect(Idle, "halt", "stop") // an owner's list counts, and the one that ends more
}

// TestRemarksHaveIdsOfTheirOwn: under the id of what is paused they would wait for its end; and what answers a
// wake word is spoken over the pause.
func TestRemarksHaveIdsOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(o *Options) { o.InterruptText, o.ResumeText, o.RepromptText = "What?", "As I said.", "Go on." })
	s.typed("page", "say one two three")
	s.done()
	s.d.wake(s.now, "interrupt", "t-page", nil)
	s.d.wake(s.now, "resume", "t-page", nil)
	s.d.wake(s.now, "wake", "t-page", nil)
	var ids []string
	for _, e := range s.d.out {
		if say, ok := e.(saySpeech); ok {
			ids = append(ids, say.utt)
			assert.Equal(t, say.text == "What?" || say.text == "Hmm?", say.wakeAck, say.text)
		}
	}
	assert.Equal(t, []string{"wake-ack-1", "phrase-2", "wake-ack-3", "phrase-4"}, ids)
	s.done()
}

// TestAnswerInParts: the replaced speech service begins and ends several times in one answer.
func TestAnswerInParts(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.typed("page", "say one two three").expect(Speaking, "say one two three")
	s.spoken("speaking_start", "t-page").spoken("speaking_end", "t-page").expect(Listening)
	s.spoken("speaking_start", "t-page").expect(Speaking)
	s.heard("stop").expect(Idle, "halt", "stop")
	s.typed("page", "say four").expect(Speaking, "say four")
	s.spoken("speaking_start", "t-page").spoken("speaking_end", "t-page").after(20 * time.Second).expect(Idle)
	s.spoken("speaking_start", "t-page").expect(Speaking)
	s.spoken("speaking_end", "t-page").expect(Listening)
	s.wake().spoken("speaking_start", "t-page").expect(Listening, "say Hmm?") // now somebody speaks

	s = newStage(t) // one that says what it has spoken
	s.typed("page", "tell me about pi")
	s.d.response(s.now, "t-page", "Pi is *3.14*. It goes on.", "")
	s.expect(Speaking, "ask tell me about pi (0)", "say Pi is *3.14*.", "say It goes on.")
	s.spoken("speaking_start", "t-page").spoken("speaking_end", "t-page", "Pi is 3.14.").expect(Speaking)
	s.after(time.Second).spoken("speaking_start", "t-page").after(5 * time.Second).expect(Speaking)
	s.spoken("speaking_end", "t-page", "It goes on.").expect(Listening)
	s.typed("page", "and e")
	s.d.response(s.now, "t-page", "One. Two.", "")
	s.spoken("speaking_start", "t-page").spoken("speaking_end", "t-page", "One.")
	s.after(3*time.Second).expect(Listening, "ask and e (2)", "say One.", "say Two.") // the rest never comes: nobody waits for it
}

// TestHistory: of each origin the last lines are kept, and the origin that was silent longest goes.
func TestHistory(t *testing.T) {
	t.Parallel()
	h := newHistories(4)
	for i := range 10 {
		h.add("a", user, fmt.Sprint("question ", i), time.Time{})
		h.add("a", assistant, fmt.Sprint("answer ", i), time.Time{})
	}
	assert.Equal(t, []line{{user, "question 8", time.Time{}}, {assistant, "answer 8", time.Time{}}, {user, "question 9", time.Time{}}, {assistant, "answer 9", time.Time{}}}, h.of("a"))
	h.add("a", user, strings.Repeat("ä", 3*maxLineChars), time.Time{})
	assert.LessOrEqual(t, utf8.RuneCountInString(h.of("a")[3].text), maxLineChars+2)
	h.forget("a")
	assert.Equal(t, []string{assistant, user, assistant}, roles(h.of("a")))
	h.forget("nobody")
	for i := range 3 * maxOrigins {
		h.add(fmt.Sprint("page ", i), user, "hello", time.Time{})
	}
	assert.Len(t, h.lines, maxOrigins)
	assert.Empty(t, h.of("a"))
	h.clear()
	assert.Empty(t, h.of("page 95"))
}
