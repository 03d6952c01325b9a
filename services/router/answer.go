package router

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// speechRate is how long the speech service may take for one character, a slow voice and the
// sound's own latency included: 12 characters a second are usual, this allows for 8.
const speechRate = 125 * time.Millisecond

// replyWait is how long the final response may come after the end of its stream.
const replyWait = 5 * time.Second

// answer says a text that needs no model. It ends the turn.
func (d *dialogue) answer(now time.Time, t *turn, text, style string) {
	d.history.add(t.origin, user, t.text, now)
	d.history.add(t.origin, assistant, text, now)
	d.speak(now, t, text, style)
	d.completed(now, t)
}

// ask hands the turn to the language model.
func (d *dialogue) ask(now time.Time, t *turn) {
	if ready, known := d.voiced["llm"]; known && !ready {
		d.fail(now, t, "no_model")
		return
	}
	if d.asked[t.utt] != nil { // the id of an utterance that is still being answered
		d.serial++
		t.utt += "-" + strconv.Itoa(d.serial)
	}
	if len(d.asked) >= maxAsked {
		d.fail(now, t, "busy")
		return
	}
	lines := d.history.of(t.origin)
	d.history.add(t.origin, user, t.text, now)
	t.reply, t.limit = newReply(), now.Add(d.o.ThinkLimit)
	d.asked[t.utt] = t
	d.do(askModel{turn: t, history: lines, stream: d.o.Stream})
}

// maxAsked bounds the requests that are answered at the same time.
const maxAsked = 16

// speak hands text to the speech service, and says so in the state if it is about this turn.
func (d *dialogue) speak(now time.Time, t *turn, text, style string) {
	d.do(saySpeech{turn: t, utt: t.utt, text: text, style: style})
	t.said, t.quiet, t.pause = true, false, false
	t.given += length(text)
	if d.turn != t || d.state == Interrupted || !d.hasVoice() {
		return
	}
	left := d.deadline.Sub(now) // what was said before is perhaps still being spoken
	if d.state != Speaking {
		left = d.o.SpeechLimit
	}
	d.to(now, Speaking, "answer", left+time.Duration(utf8.RuneCountInString(text))*speechRate)
	d.turn = t
}

// hasVoice reports whether there is somebody who speaks, and says when it has.
func (d *dialogue) hasVoice() bool { return d.voiced["tts"] }

// delta handles a piece of a streamed answer.
func (d *dialogue) delta(now time.Time, id string, seq *int, text string, done bool) {
	t := d.asked[id]
	if t == nil {
		return // of a turn that was broken off or is complete
	}
	t.limit = now.Add(d.o.StallLimit)
	if d.turn == t && d.state == Thinking {
		d.to(now, Thinking, "answer", d.o.StallLimit)
		d.turn = t
	}
	t.reply.add(seq, text)
	if !d.o.Stream {
		return
	}
	for _, p := range t.reply.pieces(&d.split, done) {
		d.speak(now, t, p, neutral)
	}
	if done {
		t.streamed, t.limit = true, now.Add(replyWait)
	}
}

// response handles the final answer.
func (d *dialogue) response(now time.Time, id, text, failure string) {
	t := d.asked[id]
	if t == nil {
		return
	}
	delete(d.asked, id)
	switch {
	case failure == "cancelled": // by somebody else
		d.abandon(now, t)
		if d.turn == t {
			d.rest(now, "cancelled")
		}
		return
	case failure != "":
		d.apologise(now, t, d.inWords(failure))
		return
	}
	for _, p := range t.reply.finish(text, &d.split) {
		d.speak(now, t, p, neutral)
	}
	d.history.add(t.origin, assistant, text, now)
	if !t.said {
		d.fail(now, t, "no_answer")
		return
	}
	d.completed(now, t)
}

// cancelled handles the cancellation of a request by somebody else: its speech ends too.
func (d *dialogue) cancelled(now time.Time, id string) {
	t := d.asked[id]
	if t == nil {
		return
	}
	delete(d.asked, id) // no second cancel
	d.abandon(now, t)
	if d.turn == t {
		d.rest(now, "cancelled")
	}
}

// inWords is what is said of a model's error. Our own model service words it for that; others
// send what their library said, which nobody wants to hear.
func (d *dialogue) inWords(failure string) string {
	if n := len(failure); n <= maxSpokenError && n > 0 && strings.ContainsRune(".!?", rune(failure[n-1])) && !strings.ContainsAny(failure, "{}[]<>/\\=_\n") {
		return failure
	}
	return d.o.Errors["model_error"]
}

// maxSpokenError is the longest error that is read out, in bytes.
const maxSpokenError = 200

// fail ends a turn whose answer cannot be had: in words, since silence helps nobody.
func (d *dialogue) fail(now time.Time, t *turn, kind string) {
	text := d.o.Errors[kind]
	if text == "" {
		text = d.o.Errors["model_error"]
	}
	d.apologise(now, t, text)
}

func (d *dialogue) apologise(now time.Time, t *turn, text string) {
	if t.reply != nil && !t.reply.done {
		t.reply.done = true
		d.history.add(t.origin, assistant, t.reply.heard(), now)
	}
	if text != "" {
		d.speak(now, t, text, neutral)
	}
	d.completed(now, t)
}

// completed is called when everything of an answer was handed out.
func (d *dialogue) completed(now time.Time, t *turn) {
	t.over = d.turn != t // a turn that the state is about may still have to be stopped
	if t.reply != nil {
		t.reply.done = true
	}
	if d.turn != t || d.state == Interrupted {
		return
	}
	if !t.said || t.quiet || !d.hasVoice() {
		d.followUp(now, "follow_up")
	}
}

// ---- the speech service

// speech is a status of the speech service.
type speech struct {
	event, utt    string
	text          string // what was spoken
	reason        string // why it ended, if not by itself
	ack, announce bool
}

// maxSound bounds how long speech is taken to go on when its end is not heard of.
const maxSound = time.Minute

// spoken handles a status of the speech service.
func (d *dialogue) spoken(now time.Time, s speech) {
	t := d.turn
	if t == nil { // a service may speak an answer in several parts, each with its begin and its end
		t = d.spoke
	}
	ours := t != nil && t.utt == s.utt && s.utt != ""
	switch s.event {
	case "speaking_start":
		d.sounding = now.Add(maxSound)
		if ours && d.state != Interrupted {
			d.extend(now, t)
		}
	case "speaking_end":
		d.sounding = time.Time{}
		d.ended(now, s, ours)
	case "stopped":
		if ours && d.state == Speaking {
			d.breakOff(now)
			d.rest(now, "speech_stopped")
		}
	case "paused":
		if ours && d.state == Speaking {
			d.to(now, Interrupted, "speech_paused", d.o.PauseLimit)
			d.turn = t
		}
	case "resumed":
		if ours && d.state == Interrupted {
			d.to(now, Speaking, "speech_resumed", d.o.SpeechLimit)
			d.turn = t
		}
	}
}

// ended handles the end of an utterance.
func (d *dialogue) ended(now time.Time, s speech, ours bool) {
	switch {
	case s.ack:
		if d.state == Listening && d.reason == "wake" { // the time to speak begins when we are silent
			d.to(now, Listening, "wake", d.o.WakeWindow)
		}
	case s.announce:
	case ours && d.turn != nil:
		d.silent(now, d.turn, s.text)
	case s.reason != "": // it was stopped: nobody is asked anything
	case ours, d.state == Idle && s.utt != "":
		d.followUp(now, "follow_up") // somebody else let the robot speak: people answer to that too
	}
}

// extend gives speech that really began the time that it needs.
func (d *dialogue) extend(now time.Time, t *turn) {
	t.quiet, t.pause = false, false
	left := max(d.deadline.Sub(now), d.o.SpeechLimit)
	if d.state == Listening {
		left = d.o.SpeechLimit
	}
	d.to(now, Speaking, "speaking", left)
	d.turn = t
}

// betweenParts is how long the next part of an answer may take to begin when one has ended.
const betweenParts = 2 * time.Second

// length is how much there is to say in a text, whatever its marks and spaces.
func length(text string) int {
	n := 0
	for _, r := range text {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			n++
		}
	}
	return n
}

// silent handles the end of an utterance of the present turn. Speech services put the texts of an
// answer together as they like: whether it was the last is told by how much was spoken.
func (d *dialogue) silent(now time.Time, t *turn, text string) {
	t.spoken += length(text)
	switch {
	case d.state == Interrupted:
		t.quiet = true
		d.followUp(now, "follow_up")
	case text != "" && t.spoken < t.given*9/10: // they clean texts
		t.pause = true
		d.to(now, Speaking, "speaking", betweenParts)
		d.turn = t
	case d.asked[t.utt] == t: // more of the answer is to come
		t.quiet = true
		d.to(now, Thinking, "answer", d.o.StallLimit)
		d.turn = t
	default:
		t.quiet = true
		d.followUp(now, "follow_up")
	}
}

// ---- others

// health notes which services are up, and says once that the robot is.
func (d *dialogue) health(_ time.Time, name string, ok bool) {
	d.voiced[name] = ok
	if d.o.Announce && !d.announced && d.voiced["tts"] && d.voiced["stt"] {
		d.announced = true
		d.do(saySpeech{utt: "boot", text: d.o.AnnounceText, style: neutral, announce: true})
	}
}
