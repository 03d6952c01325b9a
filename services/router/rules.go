package router

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// handle finds out what a turn wants. rest is its text without the wake phrase, all its words, means the
// motion that it may mean.
func (d *dialogue) handle(now time.Time, t *turn, rest string, all []string, means string) {
	ws := core(all)
	if d.confirmed(now, t, ws) {
		return
	}
	for _, rule := range []func(time.Time, *turn, string, []string) bool{d.liveMode, d.memoryRule, d.personaRule, d.clock, d.sayRule} {
		if rule(now, t, rest, ws) {
			return
		}
	}
	switch {
	case d.commanded(now, t, all, means):
	case d.greeting(ws):
		d.answer(now, t, d.o.Greeting, "friendly")
	default:
		d.ask(now, t)
	}
}

// confirmed carries out what was asked about before.
func (d *dialogue) confirmed(now time.Time, t *turn, ws []string) bool {
	what := d.confirm
	d.confirm = ""
	if what != "forget_everything" {
		return false
	}
	yes := hasPrefix(ws, []string{"yes"}) || strings.Join(ws, " ") == "forget everything"
	if !yes {
		return false
	}
	d.do(forget{turn: t, all: true})
	d.history.clear()
	d.answer(now, t, "Everything is forgotten.", neutral)
	return true
}

func (d *dialogue) liveMode(now time.Time, t *turn, _ string, ws []string) bool {
	switch strings.Join(ws, " ") {
	case normal(d.o.LiveEnterPhrase):
		text := d.o.LiveActiveHint
		if !d.live {
			d.live, text = true, d.o.LiveEnterAck
		}
		d.answer(now, t, text, neutral)
	case normal(d.o.LiveExitPhrase):
		text := d.o.LiveInactiveHint
		if d.live {
			d.live, text = false, d.o.LiveExitAck
		}
		d.answer(now, t, text, neutral)
	default:
		return false
	}
	return true
}

// Utterances of the rules, as they are compared. Sentences hands them to who recognises speech.
var (
	forgetPhrases    = []string{"forget that", "forget what i said", "forget what i just said", "forget it all"}
	forgetAllPhrases = []string{"forget everything", "forget everything you know", "erase your memory", "delete your memory"}
	resetPhrases     = []string{"reset your personality", "reset your traits", "reset personality", "reset traits", "reset your settings"}
	timePhrases      = []string{"what time is it", "what is the time", "what's the time", "tell me the time", "time is it"}
	datePhrases      = []string{"what day is it", "what date is it", "what is the date", "what's the date", "what is today's date", "what's today's date"}
)

// memoryRule is for "remember that ..." and the ways to forget.
func (d *dialogue) memoryRule(now time.Time, t *turn, rest string, ws []string) bool {
	for _, lead := range []string{"please remember that", "remember that", "please remember", "remember"} {
		if fact, ok := cutWords(rest, strings.Fields(lead)); ok && len(words(fact)) > 1 && !strings.HasSuffix(rest, "?") {
			d.do(remember{turn: t, text: fact})
			d.answer(now, t, "I will remember that.", neutral)
			return true
		}
	}
	switch text := strings.Join(ws, " "); {
	case slices.Contains(forgetPhrases, text):
		d.do(forget{turn: t})
		d.history.forget(t.origin)
		d.answer(now, t, "Forgotten.", neutral)
	case slices.Contains(forgetAllPhrases, text):
		d.confirm = "forget_everything"
		d.answer(now, t, "That cannot be undone. Say yes, forget everything, and it is gone.", neutral)
	default:
		return false
	}
	return true
}

// spellings are other names of traits.
var spellings = map[string]string{"humour": "humor", "honest": "honesty", "emotional stability": "emotional_stability", "talkativeness": "verbosity"}

// Words of requests to change a trait, and of greetings.
var (
	traitVerbs   = set("set change turn put lower raise increase decrease bring")
	traitFillers = set("your the level setting parameter to at down up")
	greetings    = set("hello hi hey hiya howdy there tars good morning afternoon evening")
)

// personaRule is for "set humour to 75 percent" and "reset your personality".
func (d *dialogue) personaRule(now time.Time, t *turn, _ string, ws []string) bool {
	text := strings.Join(ws, " ")
	if slices.Contains(resetPhrases, text) {
		d.do(resetTraits{t})
		d.answer(now, t, "My personality is back to its defaults.", neutral)
		return true
	}
	trait, value, ok := traitOf(ws)
	if !ok {
		return false
	}
	if len(d.traits) > 0 && !d.traits[trait] {
		return false // no trait of this persona: the model may know what was meant
	}
	d.do(setTrait{turn: t, trait: trait, value: value})
	d.answer(now, t, fmt.Sprintf("%s set to %d percent.", strings.ToUpper(trait[:1])+strings.ReplaceAll(trait[1:], "_", " "), value), neutral)
	return true
}

// traitOf understands "set (your|the) TRAIT (level|setting) to N (percent)", with set, change,
// turn, put, lower, raise, increase or decrease in front, and "TRAIT N percent".
func traitOf(ws []string) (trait string, value int, ok bool) {
	verb := false
	if len(ws) > 0 && traitVerbs[ws[0]] {
		ws, verb = ws[1:], true
	}
	percent := len(ws) > 0 && ws[len(ws)-1] == "percent"
	if percent {
		ws = ws[:len(ws)-1]
	}
	var name []string
	for i, w := range ws {
		if n, used := number(ws[i:]); used > 0 {
			if i+used != len(ws) || n > 100 {
				return "", 0, false
			}
			value, ok = n, true
			break
		}
		if !traitFillers[w] {
			name = append(name, w)
		}
	}
	if !ok || len(name) == 0 || len(name) > 2 || (!verb && !percent) {
		return "", 0, false
	}
	joined := strings.Join(name, " ")
	if s := spellings[joined]; s != "" {
		joined = s
	}
	return strings.ReplaceAll(joined, " ", "_"), value, true
}

var units = strings.Fields("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
var tens = strings.Fields("- - twenty thirty forty fifty sixty seventy eighty ninety")

// number reads a whole number from 0 to 999, in digits or in words, and returns how many words
// it took; 0 if there is none.
func number(ws []string) (n, used int) {
	if len(ws) == 0 {
		return 0, 0
	}
	if v, err := strconv.Atoi(ws[0]); err == nil && v >= 0 && v < 1000 {
		return v, 1
	}
	if ws[0] == "hundred" {
		return 100, 1
	}
	for v, w := range units {
		if w == ws[0] {
			if v == 1 && len(ws) > 1 && ws[1] == "hundred" {
				return 100, 2
			}
			return v, 1
		}
	}
	for v, w := range tens {
		if v >= 2 && w == ws[0] {
			if len(ws) > 1 {
				for u, unit := range units[:10] {
					if u > 0 && unit == ws[1] {
						return v*10 + u, 2
					}
				}
			}
			return v * 10, 1
		}
	}
	return 0, 0
}

// clock answers what time and which day it is.
func (d *dialogue) clock(now time.Time, t *turn, _ string, ws []string) bool {
	text := strings.Join(ws, " ")
	local := now.In(d.o.Location)
	switch {
	case anyPhrase(text, timePhrases):
		if strings.Contains(text, " in ") { // another place: a question for the model
			return false
		}
		d.answer(now, t, "It is "+local.Format("3:04 PM")+".", neutral)
	case anyPhrase(text, datePhrases):
		d.answer(now, t, "It is "+local.Format("Monday, January 2, 2006")+".", neutral)
	default:
		return false
	}
	return true
}

func anyPhrase(text string, phrases []string) bool {
	return slices.ContainsFunc(phrases, func(p string) bool { return wholePhrase(text, p) })
}

// wholePhrase reports whether text contains phrase as whole words, with little around it.
func wholePhrase(text, phrase string) bool {
	i := strings.Index(" "+text+" ", " "+phrase+" ")
	return i >= 0 && len(strings.Fields(text)) <= len(strings.Fields(phrase))+4
}

// sayRule speaks what it is told.
func (d *dialogue) sayRule(now time.Time, t *turn, rest string, _ []string) bool {
	text, ok := cutWords(rest, []string{"say"})
	if !ok || !speakable(text) {
		return false
	}
	d.answer(now, t, text, neutral)
	return true
}

// greeting reports whether an utterance is nothing but a greeting.
func (d *dialogue) greeting(ws []string) bool {
	for _, w := range ws {
		if !greetings[w] {
			return false
		}
	}
	return len(ws) > 0
}
