package tts

import (
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/contract"
)

// control handles a pause, a resume or a stop. The runner does the rest of the actions.
func (q *queue) control(now time.Time, action, utt, reason string, received time.Time) {
	utt = strings.TrimSpace(utt)
	switch action {
	case contract.ActionPause:
		if u := q.meant(utt); u != nil {
			q.pause(now, u, reason)
		}
	case contract.ActionResume:
		if u := q.meant(utt); u != nil {
			q.resume(now, u, reason)
		}
	case contract.ActionStop:
		q.stop(now, utt, reason, received)
	}
}

// meant is the utterance of a command: the one with the id, or the present one. What is paused
// behind the answer to a wake word is more present than that.
func (q *queue) meant(utt string) *utterance {
	if utt == "" {
		if q.aside != nil {
			return q.aside
		}
		return q.cur
	}
	for u := range q.all() {
		if u.utt == utt && !u.ack {
			return u
		}
	}
	for u := range q.all() {
		if u.utt == utt {
			return u
		}
	}
	return nil
}

func (q *queue) pause(now time.Time, u *utterance, reason string) {
	if !u.paused.IsZero() {
		return
	}
	u.paused = now
	if u == q.cur && (q.playing != nil || q.drain) {
		q.do(halt{again: true})
	}
	q.status(u, contract.SpeechPaused, q.shown(u), reason, false)
}

func (q *queue) resume(now time.Time, u *utterance, reason string) {
	if u.paused.IsZero() {
		return
	}
	u.paused = time.Time{}
	if u.left() > 0 {
		u.quiet = time.Time{}
	}
	q.status(u, contract.SpeechResumed, q.shown(u), reason, false)
	q.advance(now)
}

// shown is the text of a status: the sentence that is heard, or would be next.
func (q *queue) shown(u *utterance) string {
	switch {
	case len(u.said) > 0:
		return u.said[len(u.said)-1]
	case len(u.parts) > 0:
		return u.parts[0].text
	}
	return ""
}

// stop ends one utterance, or all.
func (q *queue) stop(now time.Time, utt, reason string, received time.Time) {
	if !received.IsZero() {
		q.stops = append(q.stops, stopped{utt, received})
		if len(q.stops) > maxStops {
			q.stops = slices.Delete(q.stops, 0, 1)
		}
	}
	hit := func(u *utterance) bool { return u != nil && (utt == "" || u.utt == utt) }
	if hit(q.cur) {
		u := q.cur
		if q.playing != nil || q.drain {
			q.do(halt{})
		}
		q.cur, q.playing, q.drain = nil, nil, false
		q.drop(u, reason)
	}
	if u := q.aside; hit(u) {
		q.aside = nil
		q.drop(u, reason)
	}
	kept := q.waiting[:0:0]
	for _, u := range q.waiting {
		if hit(u) {
			q.drop(u, reason)
		} else {
			kept = append(kept, u)
		}
	}
	q.waiting = kept
	q.advance(now)
}

// drop ends an utterance that was stopped. One that nobody has heard of yet has no end.
func (q *queue) drop(u *utterance, reason string) {
	q.status(u, contract.SpeechStopped, q.shown(u), reason, false)
	if u.started {
		q.end(u, reason)
	}
	for _, p := range u.parts {
		q.do(forget{p})
	}
	delete(q.open, u.utt)
	delete(q.shut, u.utt)
}

// ---- answers in the making

// making notes that the language model is asked, under the id of an utterance.
func (q *queue) making(now time.Time, utt string) {
	if len(q.open) >= maxOpen {
		for id, at := range q.open {
			if now.Sub(at) > longest || len(q.open) >= maxOpen {
				delete(q.open, id)
			}
		}
	}
	q.open[utt] = now
	delete(q.shut, utt)
}

// made notes that its answer is complete, whatever became of it. What the router makes of the end of
// it is on its way.
func (q *queue) made(now time.Time, utt string) {
	if _, ok := q.open[utt]; !ok {
		return
	}
	delete(q.open, utt)
	for id, at := range q.shut {
		if now.Sub(at) > q.o.Gap {
			delete(q.shut, id)
		}
	}
	q.shut[utt] = now
	q.advance(now)
}

// ---- time

// next is when tick has to be called; zero: not at all.
func (q *queue) next() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for u := range q.all() {
		if !u.paused.IsZero() {
			sooner(u.paused.Add(q.o.PauseLimit))
		}
	}
	if u := q.cur; u != nil && u.paused.IsZero() && q.playing == nil && !q.drain && u.left() == 0 && !u.quiet.IsZero() {
		sooner(q.over(u))
	}
	return at
}

// tick ends what has lasted too long.
func (q *queue) tick(now time.Time) {
	for u := range q.all() {
		if !u.paused.IsZero() && !now.Before(u.paused.Add(q.o.PauseLimit)) {
			q.stopOne(now, u)
			return // the runner calls again
		}
	}
	q.advance(now)
}

// stopOne ends an utterance whose pause nobody ended: it would keep all that comes next.
func (q *queue) stopOne(now time.Time, u *utterance) {
	switch u {
	case q.cur:
		q.cur, q.playing, q.drain = nil, nil, false
	case q.aside:
		q.aside = nil
	default:
		q.waiting = slices.DeleteFunc(q.waiting, func(w *utterance) bool { return w == u })
	}
	q.drop(u, reasonPause)
	q.advance(now)
}
