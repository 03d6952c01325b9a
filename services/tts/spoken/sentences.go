package spoken

import (
	"regexp"
	"strings"
	"unicode"
)

// MaxSentence is the longest piece of Sentences in bytes: a quarter of a minute of speech, which
// every synthesizer takes.
const MaxSentence = 240

// shortSentence is how many bytes a sentence has at least that is spoken by itself, when the next
// one fits beside it: a synthesizer needs some words for the melody.
const shortSentence = 12

var abbreviation = regexp.MustCompile(`(?i)(^|[\s(])(mr|mrs|ms|dr|prof|st|sr|jr|vs|etc|approx|dept|fig|no|inc|ltd|e\.g|i\.e|a\.m|p\.m|u\.s|[a-z])\.$`)

// Sentences cuts a text of one line into pieces of up to MaxSentence bytes: at the ends of
// sentences, and where one is too long at a comma or a space.
func Sentences(text string) []string {
	var out []string
	for _, s := range split(text) {
		for len(s) > MaxSentence {
			i := breakAt(s)
			out = append(out, strings.TrimSpace(s[:i]))
			s = strings.TrimSpace(s[i:])
		}
		if s == "" {
			continue
		}
		if n := len(out); n > 0 && len(out[n-1]) < shortSentence && len(out[n-1])+len(s) < MaxSentence {
			out[n-1] += " " + s
			continue
		}
		out = append(out, s)
	}
	return out
}

// split cuts at ends of sentences.
func split(text string) []string {
	var out []string
	begin, rs := 0, []rune(text)
	at := make([]int, len(rs)+1) // byte offsets
	for i, r := range rs {
		at[i+1] = at[i] + len(string(r))
	}
	for i := 0; i < len(rs); i++ {
		if !strings.ContainsRune(".!?…。！？", rs[i]) {
			continue
		}
		dot := rs[i] == '.'
		for i+1 < len(rs) && strings.ContainsRune(`.!?…"')]”’`, rs[i+1]) {
			i++
			dot = false
		}
		wide := strings.ContainsRune("。！？", rs[i])
		if i+1 < len(rs) && !wide && !unicode.IsSpace(rs[i+1]) {
			continue // 3.14, tarsd.yaml
		}
		piece := text[at[begin]:at[i+1]]
		if dot && !last(rs, i) && abbreviation.MatchString(piece[max(0, len(piece)-12):]) {
			continue
		}
		out, begin = append(out, strings.TrimSpace(piece)), i+1
	}
	return append(out, strings.TrimSpace(text[at[begin]:]))
}

// last reports whether nothing but spaces follows.
func last(rs []rune, i int) bool {
	for _, r := range rs[i+1:] {
		if !unicode.IsSpace(r) {
			return false
		}
	}
	return true
}

// breakAt is where to cut a sentence that is too long: behind a mark, else at a space, else anywhere.
func breakAt(s string) int {
	head := strings.ToValidUTF8(s[:MaxSentence], "")
	for _, marks := range []string{";:", ",", ")", " "} {
		if i := strings.LastIndexAny(head, marks); i > MaxSentence/3 && (marks == " " || s[i+1] == ' ') {
			return i + 1
		}
	}
	return len(head)
}
