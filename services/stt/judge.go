package stt

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tarsd/tarsd/services/stt/recognise"
)

// maxText bounds a transcript, in bytes. Nobody says as much in an utterance.
const maxText = 4096

// wakeTail is how long after a wake word the rest of it may begin an utterance.
const wakeTail = 500 * time.Millisecond

// metrics are what is known of the sound of an utterance.
type metrics struct {
	from, to time.Time     // of the speech
	voiced   time.Duration // of it
	mean     float64       // probability of speech, over what was voiced
}

// judge decides which transcripts are published.
type judge struct {
	o        *Options
	urgent   map[string]bool
	expected map[string]bool
	doubtful map[string]bool
	wakes    [][]string
	last     string // what was published last, and when
	lastAt   time.Time
}

func newJudge(o *Options) *judge {
	j := &judge{o: o, urgent: phraseSet(o.Urgent), expected: phraseSet(o.Expected), doubtful: phraseSet(o.Doubtful)}
	for _, p := range o.WakePhrases {
		j.wakes = append(j.wakes, words(p))
	}
	return j
}

func phraseSet(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, p := range list {
		if p = strings.Join(words(p), " "); p != "" {
			set[p] = true
		}
	}
	return set
}

// isUrgent reports whether a text is one of the phrases that are not waited for.
func (j *judge) isUrgent(text string) bool { return j.urgent[strings.Join(words(text), " ")] }

// silence is how much of it ends an utterance with a partial transcript.
func (j *judge) silence(text string) time.Duration {
	switch norm := strings.Join(words(text), " "); {
	case j.urgent[norm]:
		return min(j.o.Silence, j.o.UrgentSilence)
	case j.expected[norm]:
		return min(j.o.Silence, j.o.ExpectedSilence)
	}
	return j.o.Silence
}

// clean makes a transcript of what an engine says, whoever that is. Of what follows a wake word at once
// the rest of that is taken off.
func (j *judge) clean(text string, woken bool) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if !woken {
		return text
	}
	w := words(text)
	for _, p := range j.wakes { // the whole phrase is the router's matter
		for n := len(p) - 1; n > 0; n-- {
			if len(w) >= n && slices.Equal(w[:n], p[len(p)-n:]) {
				return skipWords(text, n)
			}
		}
	}
	return text
}

// reject says why a transcript is not published; empty if it is. What the engine expected, and what
// is urgent, needs only to be speech.
func (j *judge) reject(text string, r recognise.Result, m metrics) string {
	norm := strings.Join(words(text), " ")
	letters, marks, all := 0, 0, 0
	for _, c := range text {
		switch {
		case unicode.IsSpace(c):
			continue
		case unicode.IsLetter(c), unicode.IsDigit(c):
			letters++
		case strings.ContainsRune(".,!?;:", c):
			marks++
		}
		all++
	}
	switch {
	case norm == "":
		return "no words"
	case r.Confidence >= 0 && r.Confidence < j.o.MinConfidence:
		return fmt.Sprintf("confidence %.2f", r.Confidence)
	case r.Command || j.urgent[norm]:
		return ""
	case float64(letters) < j.o.MinAlpha*float64(all):
		return fmt.Sprintf("%d of %d characters are letters", letters, all)
	case float64(marks) > j.o.MaxPunct*float64(all):
		return fmt.Sprintf("%d of %d characters are marks", marks, all)
	case j.doubtful[norm] && m.mean < j.o.DoubtfulBelow:
		return fmt.Sprintf("doubtful, speech by %.2f", m.mean)
	case j.o.Repeat > 0 && norm == j.last && m.from.Sub(j.lastAt) < j.o.Repeat:
		return "repeated"
	}
	return ""
}

// published notes what was.
func (j *judge) published(text string, m metrics) {
	j.last, j.lastAt = strings.Join(words(text), " "), m.to
}
