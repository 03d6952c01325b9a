package router

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// State is where the dialogue stands.
type State string

// The states. Every one but Idle has a deadline.
const (
	Idle        State = "idle"        // nothing is heard but wake words
	Listening   State = "listening"   // the next utterance is for the robot
	Thinking    State = "thinking"    // an answer is being made
	Speaking    State = "speaking"    // an answer is being spoken
	Interrupted State = "interrupted" // speech is paused until it is clear what the person wants
)

// turn is one exchange: from what was said or typed to silence.
type turn struct {
	id       string // travels as the user property turn
	origin   string // who asked; the answer goes there
	trace    string // W3C traceparent of what began it
	utt      string // utterance id, which is also the id of the request to the model
	text     string
	lang     string
	heard    *float64 // Unix seconds of the transcript; nil for typed text
	reply    *reply   // nil until the model was asked
	limit    time.Time
	said     bool        // something was handed to the speech service
	streamed bool        // its stream has ended
	quiet    bool        // and all of it has been spoken, as far as we know
	pause    bool        // one part has been spoken, and the next has not begun
	given    int         // letters and digits that were handed to the speech service
	spoken   int         // and that it has spoken
	over     bool        // nothing more will happen to it
	broken   atomic.Bool // broken off: what of it still waits to be published must not be
}

// dialogue is the state machine. It knows no bus and no clock: each event comes with its time,
// and what is to be done is left in out. One goroutine owns it.
type dialogue struct {
	o        *Options
	split    splitter
	stops    table
	hushes   table
	cancels  table
	commands table

	state    State
	reason   string
	since    time.Time
	deadline time.Time // zero: none
	live     bool

	turn      *turn            // the one that the state is about; nil if there is none
	spoke     *turn            // the last one whose answer seemed to be over, while nothing else happened
	asked     map[string]*turn // by the id of the request; all whose answer is not complete
	history   *histories
	confirm   string // what a yes would do
	traits    map[string]bool
	voiced    map[string]bool // services that are up, by short name
	announced bool
	moving    time.Time         // motion is under way until then, as far as we know
	steps     map[string]string // those that were asked for in words since the last stop, and in which utterance
	latched   bool              // an emergency stop holds, as far as we know
	sounding  time.Time         // and speech, whoever asked for it
	ack       int               // which acknowledgement is next
	serial    int

	out []effect
}

func newDialogue(o *Options, now time.Time) *dialogue {
	d := &dialogue{
		o: o, state: Idle, reason: "start", since: now, live: o.LiveMode,
		split: splitter{
			boundary: o.BoundaryChars, minChars: o.MinChars, maxChars: o.MaxChars, hardMax: o.HardMaxChars, only: o.BoundaryOnly,
		},
		stops: newTable(map[string][]string{"stop": o.StopPhrases}), hushes: newTable(map[string][]string{"hush": o.HushPhrases}),
		cancels: newTable(map[string][]string{"cancel": o.CancelPhrases}), commands: newTable(o.Commands),
		asked: map[string]*turn{}, history: newHistories(o.History), traits: map[string]bool{}, voiced: map[string]bool{}, steps: map[string]string{},
	}
	if d.live {
		d.rest(now, "start")
	}
	return d
}

func (d *dialogue) do(e effect) { d.out = append(d.out, e) }

// to changes the state. limit is how long it may last; 0 for idle only.
func (d *dialogue) to(now time.Time, s State, reason string, limit time.Duration) {
	if s != d.state || reason != d.reason {
		d.since = now
	}
	d.state, d.reason, d.deadline = s, reason, time.Time{}
	if s != Idle {
		d.deadline = now.Add(max(limit, time.Second))
	}
	if s == Idle || s == Listening {
		d.turn = nil
	}
}

// rest is where the dialogue goes when nothing is left to do.
func (d *dialogue) rest(now time.Time, reason string) {
	if d.live {
		d.to(now, Listening, "live_mode", d.o.LiveLimit)
		return
	}
	d.to(now, Idle, reason, 0)
}

// followUp listens for an answer to what the robot said.
func (d *dialogue) followUp(now time.Time, reason string) {
	if d.turn != nil {
		d.spoke = d.turn
	}
	if d.live {
		d.rest(now, reason)
		return
	}
	d.to(now, Listening, reason, d.o.ResponseWindow)
}

// next is when tick has to be called; zero: not at all.
func (d *dialogue) next() time.Time {
	at := d.deadline
	for _, t := range d.asked {
		if at.IsZero() || t.limit.Before(at) {
			at = t.limit
		}
	}
	return at
}

// tick ends what has lasted too long.
func (d *dialogue) tick(now time.Time) {
	for id, t := range d.asked {
		if now.Before(t.limit) {
			continue
		}
		d.do(cancelModel{id})
		delete(d.asked, id)
		if t.streamed { // only the response is missing: what was said stands
			d.completed(now, t)
			continue
		}
		d.fail(now, t, "timeout")
	}
	if d.deadline.IsZero() || now.Before(d.deadline) {
		return
	}
	switch d.state {
	case Thinking: // its request is gone already, by the loop above or by an answer that was lost
		if t := d.turn; t != nil {
			d.abandon(now, t)
		}
		d.rest(now, "timeout")
	case Speaking:
		if t := d.turn; t != nil && t.pause { // that was all
			t.pause, t.spoken = false, t.given
			d.silent(now, t, "")
			return
		}
		if t := d.turn; t != nil {
			d.abandon(now, t)
		}
		d.rest(now, "speech_timeout")
	case Interrupted:
		d.resumed(now, "interrupt_timeout")
	case Listening:
		d.live = false
		d.rest(now, "window_closed")
	case Idle:
	}
}

// ---- wake

// wake handles an event of the wake service. id is the utterance that was being spoken.
func (d *dialogue) wake(now time.Time, kind, id string, t *turn) {
	switch kind {
	case "wake":
		if d.state == Speaking || d.state == Thinking || d.state == Interrupted {
			d.breakOff(now)
		}
		d.to(now, Listening, "wake", d.o.WakeWindow)
		d.since, d.spoke = now, nil
		d.acknowledge(t)
	case "interrupt":
		d.interrupt(now, id, t)
	case "resume":
		if d.state == Interrupted {
			d.resumed(now, "resume")
		}
		d.phrase(d.o.ResumeText, t)
	case "cancelled":
		if d.state == Idle || d.state == Listening { // the words themselves have done it, or will
			return
		}
		d.breakOff(now)
		d.rest(now, "cancelled")
		d.phrase(d.o.CancelText, t)
	case "timeout":
		switch {
		case d.state == Interrupted:
			d.resumed(now, "interrupt_timeout")
		case d.state == Listening && !d.live:
			d.rest(now, "wake_timeout")
			d.phrase(d.o.TimeoutText, t)
		}
	}
}

func (d *dialogue) acknowledge(t *turn) {
	if d.o.WakeAck && len(d.o.AckChoices) > 0 {
		text := d.o.AckChoices[d.ack%len(d.o.AckChoices)]
		d.ack++
		d.remark(wakeAck, text, d.o.AckStyle, t)
	}
	d.phrase(d.o.RepromptText, t)
}

func (d *dialogue) phrase(text string, t *turn) { d.remark("phrase", text, neutral, t) }

// wakeAck is the kind of remark that answers a wake word: it is spoken over speech that is paused.
const wakeAck = "wake-ack"

// remark says what is no answer, under an id of its own: under that of an utterance which is paused or
// stopped it would wait for that, or be stopped with it.
func (d *dialogue) remark(kind, text, style string, t *turn) {
	if text == "" {
		return
	}
	d.serial++
	d.do(saySpeech{turn: t, utt: kind + "-" + strconv.Itoa(d.serial), text: text, style: style, wakeAck: kind == wakeAck})
}

// interrupt is a wake word over the robot's own speech: sound, motion and generation end at once;
// what was about to be said waits for what the person wants. Answers to others go on being made.
func (d *dialogue) interrupt(now time.Time, id string, t *turn) {
	if d.inMotion(now) {
		d.do(halt{"wake_interrupt"})
		d.moving = time.Time{}
	}
	was := d.turn
	switch {
	case d.state == Interrupted: // again: it is about the same speech
	case d.state == Speaking || d.state == Thinking:
		d.do(controlSpeech{"pause", was.uttOr(id), "wake_interrupt"})
		if was != nil {
			d.giveUp(now, was)
		}
	default:
		d.to(now, Listening, "interrupt", d.o.WakeWindow)
		d.since = now
		d.remark(wakeAck, d.o.InterruptText, neutral, t)
		return
	}
	d.to(now, Interrupted, "wake_interrupt", d.o.InterruptWindow)
	d.turn = was
	d.remark(wakeAck, d.o.InterruptText, neutral, t)
}

// giveUp ends the generation of a turn's answer.
func (d *dialogue) giveUp(now time.Time, t *turn) {
	if d.asked[t.utt] != t {
		return
	}
	delete(d.asked, t.utt)
	d.do(cancelModel{t.utt})
	if t.reply != nil && !t.reply.done {
		t.reply.done = true
		d.history.add(t.origin, assistant, t.reply.heard(), now)
	}
}

func (t *turn) uttOr(id string) string {
	if t != nil && t.utt != "" {
		return t.utt
	}
	return id
}

// resumed goes on with the speech that was paused.
func (d *dialogue) resumed(now time.Time, reason string) {
	t := d.turn
	d.do(controlSpeech{"resume", t.uttOr(""), "wake_resume"})
	if t == nil || !t.said || t.quiet {
		d.followUp(now, reason)
		return
	}
	d.to(now, Speaking, reason, d.o.SpeechLimit)
	d.turn = t
}

// ---- what people say

// utterance is a transcript or typed text.
type utterance struct {
	text, lang string
	means      string // motion that it means, if it is none by its words
	utt        string
	heard      *float64
	origin     string
	turn       string
	trace      string
	typed      bool
}

// partial keeps the window open while somebody speaks.
func (d *dialogue) partial(now time.Time, text string) {
	if strings.TrimSpace(text) == "" || (d.state != Listening && d.state != Interrupted) || d.live {
		return
	}
	// Bounded, so that a noisy microphone does not keep it open for ever.
	if at, most := now.Add(d.o.WakeWindow), d.since.Add(d.o.UtteranceLimit); at.After(d.deadline) && d.deadline.Before(most) {
		d.deadline = at
	}
}

// say handles what somebody said or typed.
func (d *dialogue) say(now time.Time, u utterance) {
	text := strings.TrimSpace(u.text)
	rest, woken := stripWake(text, d.o.WakePhrases)
	all := words(rest)
	if len(words(text)) == 0 {
		return
	}
	if len(all) == 0 { // the wake phrase alone
		if d.o.InlineWake || d.open() || u.typed {
			d.wake(now, "wake", "", d.newTurn(now, u, text))
		}
		return
	}
	open := d.open() || u.typed || (woken && d.o.InlineWake)
	loud := d.state == Thinking || d.state == Speaking || len(d.asked) > 0 || now.Before(d.sounding)
	if stop, _ := d.stops.match(all); stop != "" && (open || loud || d.inMotion(now)) {
		d.stop(now, "stop_word", true)
		return
	}
	if hush, _ := d.hushes.match(all); hush != "" && (open || loud) {
		d.hush(now, "hush_word")
		return
	}
	if !open {
		return
	}
	if cancel, _ := d.cancels.match(all); cancel != "" {
		d.breakOff(now)
		d.rest(now, "cancelled")
		d.phrase(d.o.CancelText, nil)
		return
	}
	t := d.newTurn(now, u, rest)
	if d.background(u) {
		d.supersede(now, t.origin)
	} else {
		d.breakOff(now)
		d.to(now, Thinking, "utterance", d.o.ThinkLimit)
		d.turn = t
	}
	d.handle(now, t, rest, all, u.means)
}

// open reports whether the next utterance is for the robot.
func (d *dialogue) open() bool { return d.live || d.state == Listening || d.state == Interrupted }

// background reports whether typed text comes while the robot is busy with somebody else: then
// it is answered beside, and the state stays with the other turn.
func (d *dialogue) background(u utterance) bool {
	return u.typed && d.turn != nil && d.turn.origin != u.origin && (d.state == Thinking || d.state == Speaking || d.state == Interrupted)
}

// supersede breaks off what the same origin asked before.
func (d *dialogue) supersede(now time.Time, origin string) {
	for _, t := range d.asked {
		if t.origin == origin {
			d.abandon(now, t)
		}
	}
}

func (d *dialogue) newTurn(now time.Time, u utterance, text string) *turn {
	t := &turn{id: u.turn, origin: u.origin, trace: u.trace, utt: u.utt, text: text, lang: u.lang, heard: u.heard}
	if t.utt == "" {
		d.serial++
		t.utt = "rt-" + strconv.FormatInt(now.UnixMilli(), 36) + "-" + strconv.Itoa(d.serial)
	}
	if t.id == "" {
		t.id = t.utt
	}
	return t
}

// ---- ends

// abandon ends a turn: its generation, its speech, and what of it still waits to be published.
func (d *dialogue) abandon(now time.Time, t *turn) {
	if t.over {
		return
	}
	t.over = true
	t.broken.Store(true)
	d.giveUp(now, t)
	paused := d.state == Interrupted && d.turn == t // a pause that nobody ends would keep what comes next
	if (t.said && !t.quiet) || (paused && !t.quiet) {
		d.do(controlSpeech{"stop", t.utt, "cancelled"})
	}
}

// breakOff ends the turn of the present state, if there is one.
func (d *dialogue) breakOff(now time.Time) {
	if d.turn != nil {
		d.abandon(now, d.turn)
		d.turn = nil
	}
	d.spoke = nil
}

// stop ends everything at once: speech, generation, motion. Its effects are urgent and overtake
// whatever is queued. With publish it publishes the emergency stop too.
func (d *dialogue) stop(now time.Time, reason string, publish bool) {
	d.do(dropMotion{})
	if publish {
		d.do(halt{reason})
	}
	d.moving, d.latched = time.Time{}, true
	clear(d.steps) // that they did not come to their end is no failure
	d.hush(now, reason)
}

// hush ends speech and generation at once, and lets motion go on.
func (d *dialogue) hush(now time.Time, reason string) {
	d.do(controlSpeech{"stop", "", reason})
	for _, t := range d.asked {
		t.quiet = true // one stop for all speech is enough
		d.abandon(now, t)
	}
	if d.turn != nil {
		d.turn.quiet = true
	}
	d.breakOff(now)
	d.confirm, d.sounding = "", time.Time{}
	d.rest(now, reason)
}

// halted handles an emergency stop that somebody else published.
func (d *dialogue) halted(now time.Time) { d.stop(now, "movement_stop", false) }

func (d *dialogue) inMotion(now time.Time) bool { return now.Before(d.moving) }

// Roles of lines, and the style of plain speech.
const (
	user      = "user"
	assistant = "assistant"
	neutral   = "neutral"
)
