package offline

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tarsd/tarsd/services/llm/chat"
)

// maxQuote is how much of a memory is spoken, bytes.
const maxQuote = 300

// remembered answers from memory. Memory always finds something; it is an answer only if at least
// half of the words that carry the question are in it, and if it is no question itself.
func (q *question) remembered() string {
	want := carrying(q.plain)
	if len(want) == 0 {
		return ""
	}
	var best *chat.Note
	most := 0.0
	for i := range q.notes {
		n := &q.notes[i]
		p, _ := plain(n.Text, q.Robot)
		if p == q.plain || asks(n.Text, p) || strings.TrimSpace(p) == "" {
			continue // the question itself, or another one
		}
		have := map[string]bool{}
		for _, w := range carrying(p) {
			have[w] = true
		}
		hits := 0
		for _, w := range want {
			if have[w] {
				hits++
			}
		}
		if len(have) <= hits {
			continue // it says nothing that the question does not
		}
		if share := float64(hits) / float64(len(want)); share >= 0.5 && share > most {
			best, most = n, share
		}
	}
	if best == nil {
		return ""
	}
	return q.quote(best)
}

// quote says a memory with its source.
func (q *question) quote(n *chat.Note) string {
	who := "My memory says"
	switch n.Speaker {
	case chat.User:
		who = "You told me"
	case chat.Assistant:
		who = "I said"
	}
	at := ""
	if !n.At.IsZero() {
		at = " " + when(n.At, q.Now)
	}
	text := strings.Join(strings.Fields(n.Text), " ")
	if len(text) > maxQuote {
		end := maxQuote
		for !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + " and so on"
	}
	if at != "" && who == "My memory says" {
		return fmt.Sprintf("%s, from%s: %s", who, strings.TrimPrefix(at, " on"), stop(text))
	}
	return fmt.Sprintf("%s%s: %s", who, at, stop(text))
}

// stop ends text with a full stop.
func stop(text string) string {
	if text != "" && strings.ContainsAny(text[len(text)-1:], ".!?") {
		return text
	}
	return text + "."
}

// asks reports whether a memory is a question, which answers nothing.
func asks(text, plain string) bool {
	if strings.HasSuffix(strings.TrimSpace(text), "?") {
		return true
	}
	first, _, _ := strings.Cut(strings.TrimSpace(plain), " ")
	switch first {
	case "who", "what", "whats", "where", "wheres", "when", "why", "how", "which", "whose", "do", "does", "did", "is", "are", "was", "were", "can", "could", "will", "would":
		return true
	}
	return false
}

// idle are words that carry nothing.
var idle = words(`a an the of to in on at for from by with about as and or but not no if then than that this these those there here
	i me my mine you your yours he him his she her it its we us our they them their who whom whose what whats which where wheres when why how
	is are was were be been being am do does did done have has had can could will would shall should may might must
	tell say said know remember think please user so just really very also ever name called`)

func words(s string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(s) {
		m[w] = true
	}
	return m
}

// carrying are the words of a question that carry it, without their endings. A question of idle
// words alone, such as "what is my name", is carried by those few of them that mean something.
func carrying(plain string) []string {
	var out, weak []string
	for w := range strings.FieldsSeq(plain) {
		switch {
		case !idle[w]:
			out = append(out, stem(w))
		case w == "name" || w == "called":
			weak = append(weak, "name")
		}
	}
	if len(out) == 0 {
		return weak
	}
	return append(out, weak...)
}

// stem cuts English endings off, roughly: lives, living and lived are live.
func stem(w string) string {
	for _, end := range []string{"ing", "ies", "ed", "es", "s", "e", "y"} {
		if cut, ok := strings.CutSuffix(w, end); ok && len(cut) >= 3 {
			return cut
		}
	}
	return w
}
