package router

import (
	"strings"
	"unicode"
)

// words are the words of an utterance in lower case, without punctuation. Apostrophes inside a
// word and points inside a number stay.
func words(text string) []string {
	var out []string
	var b strings.Builder
	flush := func() {
		if w := strings.Trim(b.String(), ".'"); w != "" {
			out = append(out, w)
		}
		b.Reset()
	}
	runes := []rune(strings.ToLower(text))
	for i, r := range runes {
		inside := i > 0 && i+1 < len(runes)
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		case r == '’' || r == '\'':
			b.WriteRune('\'')
		case r == '.' && inside && unicode.IsDigit(runes[i-1]) && unicode.IsDigit(runes[i+1]):
			b.WriteRune(r)
		case r == '%':
			flush()
			out = append(out, "percent")
		default:
			flush()
		}
	}
	flush()
	return out
}

// normal is the utterance as phrases are compared: its words with one space between them.
func normal(text string) string { return strings.Join(words(text), " ") }

// stripWake removes a leading wake phrase, with what separates it from the rest. It returns the
// rest in its original spelling, and whether there was a wake phrase.
func stripWake(text string, phrases []string) (rest string, found bool) {
	for _, p := range phrases {
		if rest, ok := cutWords(text, words(p)); ok {
			return rest, true
		}
	}
	return text, false
}

// cutWords removes leading words, whatever their case and punctuation.
func cutWords(text string, lead []string) (string, bool) {
	if len(lead) == 0 {
		return text, false
	}
	rest := text
	for _, want := range lead {
		rest = strings.TrimLeftFunc(rest, separator)
		n := strings.IndexFunc(rest, separator)
		if n < 0 {
			n = len(rest)
		}
		if strings.ToLower(rest[:n]) != want {
			return text, false
		}
		rest = rest[n:]
	}
	return strings.TrimLeftFunc(rest, separator), true
}

func separator(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' }

// leads are beginnings of requests, longest first.
var leads = [][]string{
	strings.Fields("i want you to"), strings.Fields("would you please"), strings.Fields("could you please"), strings.Fields("can you please"),
	strings.Fields("i'd like you to"), strings.Fields("would you"), strings.Fields("could you"), strings.Fields("can you"), strings.Fields("will you"),
	strings.Fields("please"), strings.Fields("now"), strings.Fields("ok"), strings.Fields("okay"), strings.Fields("tars"), strings.Fields("robot"),
	strings.Fields("just"), strings.Fields("go ahead and"),
}

// speeds are adverbs that a motion may end with, and the speed that they mean, 0.1 to 1.
var speeds = map[string]float64{
	"slowly": 0.3, "slow": 0.3, "carefully": 0.3, "gently": 0.4, "quickly": 1, "fast": 1, "quick": 1,
}

// tails are words that a request may end with.
var tails = set("please now tars robot again thanks then")

// trim takes one polite word or phrase off an utterance; speed is what it said about it, 0 for
// nothing. It reports false when there is none left.
func trim(ws []string) (rest []string, speed float64, ok bool) {
	for _, l := range leads {
		if len(ws) > len(l) && hasPrefix(ws, l) {
			return ws[len(l):], 0, true
		}
	}
	n := len(ws)
	switch {
	case n < 2:
	case n > 2 && ws[n-2] == "for" && ws[n-1] == "me":
		return ws[:n-2], 0, true
	case speeds[ws[n-1]] > 0:
		return ws[:n-1], speeds[ws[n-1]], true
	case tails[ws[n-1]]:
		return ws[:n-1], 0, true
	}
	return ws, 0, false
}

// core is an utterance without politeness.
func core(ws []string) []string {
	for {
		rest, _, ok := trim(ws)
		if !ok {
			return ws
		}
		ws = rest
	}
}

func hasPrefix(ws, lead []string) bool {
	if len(ws) < len(lead) {
		return false
	}
	for i, w := range lead {
		if ws[i] != w {
			return false
		}
	}
	return true
}

// table finds phrases as a whole.
type table map[string]string // normal phrase → what it means

func newTable(entries map[string][]string) table {
	t := table{}
	for name, phrases := range entries {
		for _, p := range phrases {
			t[normal(p)] = name
		}
	}
	return t
}

// match returns what an utterance means, or "", and the speed that it names. The whole utterance
// has to be a phrase, but for politeness: one that only contains a phrase, such as "turn off the
// lights", is none.
func (t table) match(ws []string) (name string, speed float64) {
	for {
		if name = t.find(ws); name != "" {
			return name, speed
		}
		rest, v, ok := trim(ws)
		if !ok {
			return "", 0
		}
		ws, speed = rest, max(speed, v)
	}
}

// find is match without politeness.
func (t table) find(ws []string) string {
	if name := t[strings.Join(ws, " ")]; name != "" {
		return name
	}
	kept := make([]string, 0, len(ws)) // "take a bow", "do the monster"
	for _, w := range ws {
		if w != "a" && w != "the" && w != "your" {
			kept = append(kept, w)
		}
	}
	return t[strings.Join(kept, " ")]
}
