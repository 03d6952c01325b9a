package router

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// splitter says where a growing text can be cut into pieces that sound right when they are
// spoken one after the other.
type splitter struct {
	boundary string // characters that end a piece: sentence ends, and clause ends such as ; and :
	minChars int    // a clause end cuts only behind this many characters
	maxChars int    // without boundaryOnly a piece is cut at a space when it is this long; 0: never
	hardMax  int    // a piece is never longer, in bytes
	only     bool   // cut at boundaries only
}

// titles are words whose full stop never ends a sentence.
var titles = set("mr mrs ms dr prof st sr jr gen col sgt capt lt rev hon fig no nos vol approx dept est e.g i.e cf vs")

// trailing are words whose full stop ends a sentence only before a capital letter.
var trailing = set("etc a.m p.m u.s u.k inc ltd co corp jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun min max sec hr hrs ft lb oz")

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// cut returns how many bytes at the beginning of text make a piece; 0: none yet. With final no
// more text will come.
func (s *splitter) cut(text string, final bool) int {
	skip := 0 // the rest of a run of marks that was looked at as a whole
	for i, r := range text {
		if i >= s.hardMax {
			return s.atSpace(text[:i])
		}
		end := 0
		switch {
		case i < skip:
		case r == '\n':
			end = i + 1
		case strings.ContainsRune(s.boundary, r) || r == '…':
			end, skip = s.ends(text, i, r, final)
		}
		if end > 0 && speakable(text[:end]) {
			return end
		}
		if !s.only && s.maxChars > 0 && i >= s.maxChars {
			if n := s.atSpace(text[:i]); n > 0 {
				return n
			}
		}
	}
	if final {
		return len(text)
	}
	return 0
}

// atSpace is where a piece without a boundary is cut.
func (s *splitter) atSpace(text string) int {
	if n := strings.LastIndexFunc(text, unicode.IsSpace); n > 0 {
		return n
	}
	return len(text)
}

// speakable reports whether a piece has something to say.
func speakable(piece string) bool {
	return strings.ContainsFunc(piece, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}

// ends returns the end of the piece if the boundary character r at text[i:] ends one, else 0,
// and where the run of marks that it begins is over.
func (s *splitter) ends(text string, i int, r rune, final bool) (piece, over int) {
	end := i + utf8.RuneLen(r)
	run := 1 // of full stops: an ellipsis
	for end < len(text) {
		next, size := utf8.DecodeRuneInString(text[end:])
		if !strings.ContainsRune(`.!?…"'”’)]*_`, next) {
			break
		}
		if next == '.' {
			run++
		}
		end += size
	}
	if end == len(text) {
		if final {
			return end, end
		}
		return 0, end // what follows decides
	}
	next, _ := utf8.DecodeRuneInString(text[end:])
	switch {
	case !unicode.IsSpace(next):
		return 0, end // 3.14, 10:30, example.org, https://
	case r == ';' || r == ':' || r == ',':
		if i < s.minChars {
			return 0, end
		}
	case r == '…' || (r == '.' && run >= 3):
		return s.beforeCapital(text, end, final), end
	case r == '.':
		return s.fullStop(text, i, end, final), end
	}
	return end, end
}

// fullStop decides by the word before a full stop.
func (s *splitter) fullStop(text string, i, end int, final bool) int {
	start := strings.LastIndexFunc(text[:i], func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`("'“‘[`, r) }) + 1
	word := strings.ToLower(text[start:i])
	switch {
	case titles[word]:
		return 0
	case trailing[word]:
		return s.beforeCapital(text, end, final)
	case word != "i" && utf8.RuneCountInString(word) == 1 && unicode.IsLetter(firstRune(word)):
		return 0 // an initial
	case isNumber(word) && strings.TrimSpace(text[:start]) == "":
		return 0 // 1. the first item of a list
	}
	return end
}

// beforeCapital ends a piece if a capital letter follows.
func (s *splitter) beforeCapital(text string, end int, final bool) int {
	rest := strings.TrimLeftFunc(text[end:], func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`"'“‘([`, r) })
	if rest == "" {
		if final {
			return end
		}
		return 0
	}
	if unicode.IsUpper(firstRune(rest)) {
		return end
	}
	return 0
}

func firstRune(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

func isNumber(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}
