package wake

import (
	"slices"
	"strings"
	"unicode"
)

// cancels are what ends an interruption, and the speech that it interrupted.
var cancels = []string{
	"cancel", "cancel it", "cancel that", "cancel please", "stop", "stop it", "stop that", "never mind", "never mind that", "nevermind",
}

func isCancel(text string) bool { return slices.Contains(cancels, text) }

// normal is a text in lower case, with single spaces and without punctuation.
func normal(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\''
	}), " ")
}
