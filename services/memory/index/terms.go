package index

import (
	"maps"
	"strings"
	"unicode"

	"github.com/kljensen/snowball/english"
)

// maxTermBytes cuts off what is no word.
const maxTermBytes = 64

// stemmer takes words apart and remembers stems, because few words make up most texts.
type stemmer struct {
	known map[string]string
	buf   []string
}

const maxStems = 50_000

// terms returns the stems of a text's words in order, without those that say nothing of its
// subject. The slice is the stemmer's, until the next call.
func (s *stemmer) terms(text string) []string {
	s.buf = s.buf[:0]
	for word := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return !inWord(r) }) {
		word = strings.Trim(strings.ReplaceAll(word, "’", "'"), "'")
		if word == "" || len(word) > maxTermBytes || stopWords[word] {
			continue
		}
		if ideographs(word) {
			for _, r := range word {
				s.buf = append(s.buf, string(r))
			}
			continue
		}
		s.buf = append(s.buf, s.stem(word))
	}
	return s.buf
}

func (s *stemmer) stem(word string) string {
	if stem, ok := s.known[word]; ok {
		return stem
	}
	stem := strings.Clone(english.Stem(word, true))
	if s.known == nil || len(s.known) >= maxStems {
		s.known = map[string]string{}
	}
	s.known[strings.Clone(word)] = stem
	return stem
}

func inWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || r == '\'' || r == '’'
}

// ideographs reports whether a word is in a script that puts no spaces between words. Its letters
// count as words then.
func ideographs(word string) bool {
	for _, r := range word {
		return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
	}
	return false
}

// stopWords are in so many sentences that they say nothing of what one is about. Words of
// questions are among them: otherwise the questions of the past would be found first.
var stopWords = maps.Collect(func(yield func(string, bool) bool) {
	for w := range strings.FieldsSeq(`
		a an and are as at be but by for from had has have if in into is it its it's no not of on or so such that the
		their them then there these they this those to was were will with would
		i i'm i've i'd i'll me my mine myself you you're your yours we we're our ours us he he's him his she she's her
		do does did don't doesn't didn't can could should shall may might must been being am
		what what's which who who's whom whose when when's where where's why how how's
		please tell know about just also than too very`) {
		if !yield(w, true) {
			return
		}
	}
})
