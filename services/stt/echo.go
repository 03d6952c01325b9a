package stt

import (
	"slices"
	"strings"
	"time"
	"unicode"
)

// Limits of what is remembered of our own speech.
const (
	maxEchoes    = 16
	maxEchoWords = 400                    // of an utterance, the last ones
	maxEchoText  = 2000                   // runes of a text that are looked at
	echoTail     = 300 * time.Millisecond // a room and a device go on that long
	echoForget   = 2 * time.Minute        // speech of which nothing has been heard for that long is over
)

// echo is an utterance of our own.
type echo struct {
	utt, site string
	words     []string
	ack       bool
	from, to  time.Time // zero: it has not begun, or goes on
	sign      time.Time // of life
}

// echoes remember what the robot said itself.
type echoes struct {
	o   *Options
	all []*echo // the oldest first
}

func (es *echoes) find(now time.Time, site, utt string) *echo {
	for _, e := range slices.Backward(es.all) {
		if e.utt == utt && (utt != "" || e.to.IsZero()) {
			e.site, e.sign = site, now
			return e
		}
	}
	es.all = append(es.all, &echo{utt: utt, site: site, sign: now})
	if len(es.all) > maxEchoes {
		es.all = slices.Delete(es.all, 0, 1)
	}
	return es.all[len(es.all)-1]
}

// say remembers a text that will be spoken.
func (es *echoes) say(now time.Time, site, utt, text string, ack bool) {
	e := es.find(now, site, utt)
	e.ack = ack
	e.add(text)
}

// add remembers a sentence that begins to sound, if it is not known from its text: it is as it was cleaned.
func (es *echoes) add(now time.Time, site, utt, text string) { es.find(now, site, utt).add(text) }

func (e *echo) add(text string) {
	w := words(text)
	if len(w) == 0 || alike(w, e.words) == 1 {
		return
	}
	if e.words = append(e.words, w...); len(e.words) > maxEchoWords {
		e.words = slices.Clone(e.words[len(e.words)-maxEchoWords:])
	}
}

// sounds notes that an utterance begins, or goes on.
func (es *echoes) sounds(now time.Time, site, utt, text string, ack bool) {
	e := es.find(now, site, utt)
	e.ack = e.ack || ack
	e.add(text)
	if e.from.IsZero() || !e.to.IsZero() {
		e.from = now
	}
	e.to = time.Time{}
}

// silent notes its end.
func (es *echoes) silent(now time.Time, utt string) {
	for _, e := range es.all {
		if e.utt == utt && e.to.IsZero() && !e.from.IsZero() {
			e.to = now
		}
	}
}

// heard judges what was understood of speech at a site that began and ended at those times: what of it
// is left when our own speech is taken away, and whether all of it was ours.
func (es *echoes) heard(site, text string, from, to time.Time) (left string, own bool) {
	w := words(text)
	for _, e := range es.all {
		if e.site != site || e.from.IsZero() || e.from.After(to) || len(e.words) == 0 {
			continue
		}
		end := e.to
		if end.IsZero() {
			end = e.sign.Add(echoForget)
		}
		over := from.Before(end.Add(echoTail))
		if e.ack && over && len(w) > len(e.words) && slices.Equal(w[:len(e.words)], e.words) {
			text = skipWords(text, len(e.words))
			w = words(text)
			continue
		}
		same := alike(w, e.words)
		// One or two words are also what people answer: only at the same time are they ours.
		if over && same == 1 || len(w) > 2 && same >= es.o.EchoRatio && from.Before(end.Add(es.o.EchoTime)) {
			return "", true
		}
	}
	return text, false
}

// words are those of a text, in lower case and without marks.
func words(text string) []string {
	if r := []rune(text); len(r) > maxEchoText {
		text = string(r[:maxEchoText])
	}
	text = strings.ReplaceAll(text, "’", "'")
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\''
	})
}

// skipWords is text without its first n words.
func skipWords(text string, n int) string {
	in := false
	for i, r := range text {
		part := unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\'' || r == '’'
		if part && !in && n == 0 {
			return text[i:]
		}
		if part && !in {
			n--
		}
		in = part
	}
	return ""
}

// alike is how much of the words a is found in one place of b, 0 to 1: one less the edit distance
// (Levenshtein's, over words) to the part of b that is most like it, by the length of a.
func alike(a, b []string) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	row := make([]int, len(a)+1) // distance of the first words of a to a part of b that ends here
	for i := range row {
		row[i] = i
	}
	best := len(a)
	for _, w := range b {
		diagonal := row[0] // a part may begin anywhere: row[0] stays 0
		for i, v := range a {
			d := diagonal
			if v != w {
				d++
			}
			diagonal = row[i+1]
			row[i+1] = min(d, row[i]+1, diagonal+1)
		}
		best = min(best, row[len(a)])
	}
	return 1 - float64(best)/float64(len(a))
}
