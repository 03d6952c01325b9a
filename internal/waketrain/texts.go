package waketrain

import (
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"
)

// common are ordinary words, of which sentences are made that mean nothing.
//
//go:embed words.txt
var common string

// odd are words that a common wake phrase may be taken for, besides its rhymes.
var odd = strings.Fields("hey hello cars guitar target tart harsh jars mars bars guitars eight ours hate towers tears tires hazard paris charge parse farce okay computer jarvis robot")

// requests follow the phrase, with and without a pause.
var requests = []string{
	"what time is it", "turn left", "stop", "how are you", "tell me a joke", "walk forward please", "is it going to rain", "look at me",
	"who are you", "open the door", "what is the capital of france", "set a timer for ten minutes", "come here", "do you hear me",
	"play some music", "good morning", "remember that my brother lives in london", "and then", "can you help me", "raise your arm",
}

// MaxPhrase is the longest phrase in bytes, and maxWords in words: the head sees two seconds.
const (
	MaxPhrase = 40
	maxWords  = 4
)

// ErrPhrase is wrapped by what is wrong with the phrase.
var ErrPhrase = errors.New("wake phrase")

// phraseWords checks a phrase and returns its words in lower case.
func phraseWords(phrase string) ([]string, error) {
	ws := strings.Fields(strings.ToLower(phrase))
	switch {
	case len(ws) == 0:
		return nil, fmt.Errorf("%w: none was given", ErrPhrase)
	case len(phrase) > MaxPhrase || len(ws) > maxWords:
		return nil, fmt.Errorf("%w: %.60q is longer than %d words or %d bytes", ErrPhrase, phrase, maxWords, MaxPhrase)
	}
	for _, w := range ws {
		if strings.ContainsFunc(w, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) && r != '\'' }) {
			return nil, fmt.Errorf("%w: %q has something other than the letters a to z; write it as it is spoken", ErrPhrase, w)
		}
	}
	if len(strings.Join(ws, "")) < 4 {
		return nil, fmt.Errorf("%w: %q is too short to be told from other speech", ErrPhrase, phrase)
	}
	return ws, nil
}

// onsets are how a word can begin. Those that sound nearly alike are in one group, and do not replace
// one another: nobody could tell them apart in noise.
var onsets = [][]string{{"b", "p"}, {"f", "v", "h"}, {"g", "k", "c"}, {"l"}, {"m"}, {"n"}, {"r"}, {"t", "d", "st", "s", "z", "ch", "sh"}, {"w"}, {"j"}, {"gr"}}

// rhymes are words like w with another beginning.
func rhymes(w string) []string {
	at := strings.IndexAny(w, "aeiouy")
	if at < 0 {
		return nil
	}
	if at == 0 && w[0] == 'y' {
		at = 1
	}
	var out []string
	for _, group := range onsets {
		if at > 0 && slices.ContainsFunc(group, func(o string) bool { return o == w[:at] }) {
			continue
		}
		out = append(out, group[0]+w[at:])
	}
	return out
}

// nearly are texts that sound a little like the phrase and are not it: parts, other words in the
// place of one, and rhymes.
func nearly(ws []string) []string {
	out := slices.Clone(odd)
	words := strings.Fields(common)
	for i, w := range ws {
		around := func(other string) string {
			all := slices.Clone(ws)
			all[i] = other
			return strings.Join(all, " ")
		}
		if len(ws) > 1 {
			out = append(out, w, w+" "+w)
			for k := range 30 {
				out = append(out, around(words[(k*37+i*11)%len(words)]))
			}
			for _, s := range []string{"jarvis", "siri", "google", "computer", "charles", "there", "guys", "carl", "tom"} {
				out = append(out, around(s))
			}
		}
		for _, r := range rhymes(w) {
			if i == len(ws)-1 { // of the other words a single sound is hardly heard
				out = append(out, around(r))
			}
			out = append(out, r, words[len(out)%len(words)]+" "+r+" "+words[len(out)*7%len(words)])
		}
		for k, s := range odd {
			out = append(out, around(s), words[(k*41+i)%len(words)]+" "+s)
		}
		for k := range 20 { // within another sentence
			out = append(out, words[(k*53+i)%len(words)]+" "+w+" "+words[(k*29+i)%len(words)])
		}
	}
	if len(ws) > 1 {
		back := slices.Clone(ws)
		slices.Reverse(back)
		out = append(out, strings.Join(back, " "))
	}
	phrase := strings.Join(ws, " ")
	out = slices.DeleteFunc(out, func(s string) bool { return strings.Contains(s, phrase) })
	slices.Sort(out)
	return slices.Compact(out)
}

// sentence is some ordinary words in a row.
func sentence(r *rand.Rand, phrase string) string {
	words := strings.Fields(common)
	for {
		ws := make([]string, 3+r.IntN(8))
		for i := range ws {
			ws[i] = words[r.IntN(len(words))]
		}
		if s := strings.Join(ws, " "); !strings.Contains(s, phrase) {
			return s
		}
	}
}
