package tts

import (
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// Limits of the queue.
const (
	maxParts = 500              // sentences that wait; what does not fit is not spoken, and said so
	maxStops = 64               // stops that are remembered
	maxOpen  = 64               // answers in the making that are remembered
	longest  = 10 * time.Minute // an answer is not in the making for longer
)

// Reasons of an end that nobody asked for.
const (
	reasonFull   = "queue_full"
	reasonEmpty  = "nothing_to_say"
	reasonPause  = "pause_timeout"
	reasonEnding = "shutdown"
)

// part is one sentence.
type part struct {
	u     *utterance
	n     int    // its number in the utterance, from 0
	text  string // as it is written, without markup
	say   contract.Say
	clip  *clip // nil until it is synthesized
	heard bool  // it has begun to sound

	// received is when its text came, if it is the first of a text that had not to wait; else zero.
	received time.Time
}

// utterance is all that is said under one utt_id.
type utterance struct {
	utt      string // utt_id; empty: none, and then it is one message
	turn     client.Turn
	ack      bool
	announce bool

	parts   []*part // all of them that are needed yet; those before next have been handed to the player
	next    int
	total   int       // parts there ever were
	last    time.Time // when the last text came
	started bool      // speaking_start was published
	paused  time.Time // since when; zero: it is not
	quiet   time.Time // since when everything has been played; zero: it has not
	said    []string  // texts that have begun to sound
	reason  string    // of its end, when something went wrong
}

func (u *utterance) left() int { return len(u.parts) - u.next }

// queue decides what is spoken. One goroutine owns it.
type queue struct {
	o *Options

	waiting []*utterance
	cur     *utterance // is being spoken, or paused
	aside   *utterance // is paused, while cur is the answer to a wake word
	playing *part      // the player has it
	drain   bool       // the player plays the rest of what it was given

	open  map[string]time.Time // answers that are still being made, since when
	shut  map[string]time.Time // and those that are complete, since when
	stops []stopped

	out []effect
}

// stopped remembers a stop, for texts that came before it and are handled after it.
type stopped struct {
	utt string // empty: all
	at  time.Time
}

func newQueue(o *Options) *queue {
	return &queue{o: o, open: map[string]time.Time{}, shut: map[string]time.Time{}}
}

// An effect is one thing that the queue wants done, in order.
type effect any

type (
	// synthesize makes the sound of p, once that of after is whole: what is to be heard first is made
	// first.
	synthesize struct {
		p     *part
		after *clip
	}
	play     struct{ p *part }
	drainOut struct{ u *utterance }
	// halt silences the player at once. If what was interrupted is to be heard again, the runner
	// answers by queue.halted.
	halt   struct{ again bool }
	forget struct{ p *part } // its sound is not needed any more
	status struct {
		u      *utterance
		event  string
		text   string
		reason string
		flags  bool
	}
	progress struct{ p *part }
)

func (q *queue) do(e effect) { q.out = append(q.out, e) }

// text is a message on tts/say.
type text struct {
	say      contract.Say
	turn     client.Turn
	parts    []string
	received time.Time
}

// add takes a text in.
func (q *queue) add(now time.Time, t text) {
	utt := strings.TrimSpace(contract.Value(t.say.UttID))
	ack, announce := contract.Value(t.say.WakeAck), contract.Value(t.say.SystemAnnounce)
	if strings.TrimSpace(t.say.Text) == "" || q.tooLate(utt, t.received) {
		return
	}
	u := q.find(utt, ack, announce)
	fresh := u == nil
	if fresh {
		u = &utterance{utt: utt, turn: t.turn, ack: ack, announce: announce}
	}
	if len(t.parts) == 0 { // pictures and marks only
		if fresh {
			q.unheard(u, "", reasonEmpty)
		}
		return
	}
	if q.size()+len(t.parts) > maxParts {
		if fresh {
			q.unheard(u, t.parts[0], reasonFull)
		} else {
			u.reason = reasonFull
		}
		return
	}
	u.last, u.quiet = now, time.Time{}
	idle := q.size() == 0 && q.playing == nil && !q.drain
	for i, s := range t.parts {
		p := &part{u: u, n: u.total, text: s, say: t.say}
		if i == 0 && idle {
			p.received = t.received
		}
		u.parts = append(u.parts, p)
		u.total++
	}
	if fresh {
		q.enqueue(u)
	}
	q.advance(now)
}

// unheard tells of an utterance that will not sound: whoever waits for its end gets it.
func (q *queue) unheard(u *utterance, text, reason string) {
	u.started = true
	q.status(u, contract.SpeakingStart, text, "", true)
	q.end(u, reason)
}

// find is the utterance that a text belongs to.
func (q *queue) find(utt string, ack, announce bool) *utterance {
	if utt == "" {
		return nil
	}
	for u := range q.all() {
		if u.utt == utt && u.ack == ack && u.announce == announce {
			return u
		}
	}
	return nil
}

// all are the utterances, in the order in which they will be heard.
func (q *queue) all() func(yield func(*utterance) bool) {
	return func(yield func(*utterance) bool) {
		for _, u := range append([]*utterance{q.cur, q.aside}, q.waiting...) {
			if u != nil && !yield(u) {
				return
			}
		}
	}
}

func (q *queue) size() int {
	n := 0
	for u := range q.all() {
		n += u.left()
	}
	return n
}

// enqueue puts a new utterance in its place. The answer to a wake word is wanted now or never: it goes
// ahead of what waits, and over what is paused
// or waits for more.
func (q *queue) enqueue(u *utterance) {
	if !u.ack {
		q.waiting = append(q.waiting, u)
		return
	}
	i := 0
	for i < len(q.waiting) && q.waiting[i].ack {
		i++
	}
	q.waiting = append(q.waiting[:i:i], append([]*utterance{u}, q.waiting[i:]...)...)
	if c := q.cur; c != nil && q.aside == nil && q.playing == nil && !q.drain && (!c.paused.IsZero() || c.left() == 0) {
		q.aside, q.cur = c, nil
	}
}

// tooLate reports whether a text was stopped before it could be looked at: messages of different
// topics are handled in any order.
func (q *queue) tooLate(utt string, received time.Time) bool {
	for _, s := range q.stops {
		if (s.utt == "" || s.utt == utt) && !received.IsZero() && received.Before(s.at) {
			return true
		}
	}
	return false
}

// advance gives the player and the synthesizer what is next.
func (q *queue) advance(now time.Time) {
	if q.playing != nil || q.drain {
		q.lookAhead()
		return
	}
	for {
		if q.cur == nil && !q.choose() {
			return
		}
		u := q.cur
		switch {
		case !u.paused.IsZero():
			return
		case u.left() > 0:
			p := u.parts[u.next]
			u.next++
			q.need(p)
			q.playing = p
			q.do(play{p})
			q.lookAhead()
			return
		case u.quiet.IsZero():
			q.drain = true
			q.do(drainOut{u})
			return
		case now.Before(q.over(u)):
			return // more may come
		}
		q.finish(u)
	}
}

// choose makes the next utterance the current one.
func (q *queue) choose() bool {
	switch {
	case len(q.waiting) > 0 && q.waiting[0].ack:
	case q.aside != nil:
		q.cur, q.aside = q.aside, nil
		return true
	case len(q.waiting) == 0:
		return false
	}
	q.cur, q.waiting = q.waiting[0], q.waiting[1:]
	return true
}

// over is when an utterance that has been played is over: a moment after its last text, or when
// the answer that it belongs to is complete, but not later than the longest gap.
func (q *queue) over(u *utterance) time.Time {
	if u.utt == "" || u.ack {
		return u.quiet
	}
	at := later(u.last, q.shut[u.utt]).Add(q.o.Grace)
	if _, making := q.open[u.utt]; making {
		at = u.quiet.Add(q.o.Gap)
	}
	return at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// need has a part synthesized.
func (q *queue) need(p *part) {
	if p.clip != nil {
		return
	}
	p.clip = newClip()
	e := synthesize{p: p}
	if q.playing != nil {
		e.after = q.playing.clip
	}
	q.do(e)
}

// lookAhead synthesizes the sentence behind the one that is being played.
func (q *queue) lookAhead() {
	if q.cur == nil {
		return
	}
	if q.cur.left() > 0 {
		q.need(q.cur.parts[q.cur.next])
		return
	}
	if len(q.waiting) > 0 && q.aside == nil {
		q.need(q.waiting[0].parts[q.waiting[0].next])
	}
}

// ---- from the player

// sounds is called when a part begins to be heard.
func (q *queue) sounds(p *part) {
	if p != q.playing || p.heard {
		return
	}
	u := p.u
	p.heard = true
	if !u.started {
		u.started = true
		q.status(u, contract.SpeakingStart, p.text, "", true)
	}
	u.said = append(u.said, p.text)
	q.do(progress{p})
}

// played is called when a part has been handed to the device, or could not be.
func (q *queue) played(now time.Time, p *part, err error) {
	if p != q.playing {
		return
	}
	q.playing = nil
	u := p.u
	if err != nil {
		u.reason = "not spoken: " + err.Error()
	}
	if u.next > 1 { // the one before may still be in the device, when this one is interrupted
		q.do(forget{u.parts[0]})
		u.parts, u.next = u.parts[1:], u.next-1
	}
	q.advance(now)
}

// drained is called when all that was handed to the device has been heard.
func (q *queue) drained(now time.Time) {
	if !q.drain {
		return
	}
	q.drain = false
	if q.cur != nil {
		q.cur.quiet = now
	}
	q.advance(now)
}

// halted is called by the runner for a halt: unheard is how much of what was handed to the device
// has not been heard. The sentences are played again from there.
func (q *queue) halted(unheard time.Duration) {
	u := q.cur
	q.playing, q.drain = nil, false
	if u == nil {
		return
	}
	for u.next > 0 {
		p := u.parts[u.next-1]
		rate, given := p.clip.given()
		if rate == 0 || given == 0 { // not a sample yet
			u.next--
			continue
		}
		back := int(unheard.Seconds() * float64(rate))
		if back == 0 && p.clip.wholeGiven() {
			return
		}
		u.next--
		p.clip.rewind(max(0, given-back))
		if back <= given {
			return
		}
		unheard -= time.Duration(float64(given) / float64(rate) * float64(time.Second))
	}
}

// finish ends the current utterance.
func (q *queue) finish(u *utterance) {
	q.cur = nil
	switch {
	case u.started:
		q.end(u, u.reason)
	case u.reason != "":
		q.unheard(u, u.parts[len(u.parts)-1].text, u.reason)
	default:
		q.unheard(u, "", reasonEmpty)
	}
	for _, p := range u.parts {
		q.do(forget{p})
	}
	delete(q.shut, u.utt)
}

func (q *queue) end(u *utterance, reason string) {
	q.status(u, contract.SpeakingEnd, strings.Join(u.said, " "), reason, true)
}

func (q *queue) status(u *utterance, event, text, reason string, flags bool) {
	q.do(status{u, event, text, reason, flags})
}
