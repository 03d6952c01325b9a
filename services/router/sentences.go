package router

import (
	"slices"
	"strconv"
	"strings"
)

// Sentences returns the utterances that the rules understand without a model, sorted, for whoever recognises
// speech: with these options, and the given traits of the persona, in lower case and words only. Each stands
// alone; a wake phrase may stand in front of all of them, and is a sentence too. Of the percentages of traits
// those by fives are there.
func (o *Options) Sentences(traits []string) []string {
	var all []string
	for _, list := range [][]string{
		o.WakePhrases, o.StopPhrases, o.HushPhrases, o.CancelPhrases, {o.LiveEnterPhrase, o.LiveExitPhrase},
		forgetPhrases, forgetAllPhrases, resetPhrases, timePhrases, datePhrases,
		{"hello", "hi", "good morning", "good evening", "yes", "no", "yes forget everything", "thank you"},
	} {
		all = append(all, list...)
	}
	for _, list := range o.Commands {
		all = append(all, list...)
	}
	for _, trait := range traits {
		trait = strings.ReplaceAll(trait, "_", " ")
		for percent := 0; percent <= 100; percent += 5 {
			all = append(all, "set "+trait+" to "+spelled(percent)+" percent")
		}
	}
	for i, s := range all {
		ws := words(s)
		for j, w := range ws {
			if n, err := strconv.Atoi(w); err == nil && n >= 0 && n <= 100 {
				ws[j] = spelled(n)
			}
		}
		all[i] = strings.Join(ws, " ")
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// spelled is a number from 0 to 100 in words; number reads them.
func spelled(n int) string {
	switch {
	case n == 100:
		return "one hundred"
	case n < 20:
		return units[n]
	case n%10 == 0:
		return tens[n/10]
	}
	return tens[n/10] + " " + units[n%10]
}
