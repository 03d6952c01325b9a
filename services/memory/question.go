package memory

import (
	"slices"
	"strings"
)

// The words that questions begin with. Speech comes without question marks, so their order must tell:
// "where is my key" asks, "where I live it rains" and "can openers are in the drawer" do not.
var (
	askWords  = strings.Fields("who what where when why how which whose")
	askVerbs  = strings.Fields("do does did is are was were am can could will would shall should may have has had")
	persons   = strings.Fields("i you he she it we they my your his her its our their the a an this that these those there any anybody anyone")
	askPhrase = []string{"tell me ", "do you "}
)

// asks reports whether a text is a question and nothing else. In doubt it is none: what is told must be
// found.
func asks(text string) bool {
	text = strings.TrimSpace(text)
	if strings.ContainsAny(strings.TrimRight(text, ".!?"), ".!?") {
		return false // more than one sentence; one of them may tell something
	}
	if strings.HasSuffix(text, "?") {
		return true
	}
	plain := plainText(text)
	first, rest, _ := strings.Cut(plain, " ")
	second, _, _ := strings.Cut(rest, " ")
	switch {
	case slices.ContainsFunc(askPhrase, func(s string) bool { return strings.HasPrefix(plain, s) }):
		return true
	case slices.Contains(askWords, first):
		return rest != "" && !slices.Contains(persons, second)
	}
	return slices.Contains(askVerbs, first) && slices.Contains(persons, second)
}
