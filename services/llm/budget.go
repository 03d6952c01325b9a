package llm

import (
	"strings"
	"unicode/utf8"

	"github.com/tarsd/tarsd/services/llm/chat"
)

// perMessage is what a message costs besides its text, tokens.
const perMessage = 4

// tokens estimates what text costs, without the model's own tables. It errs on the high side:
// about four letters of English, or two of other alphabets, or one sign of Chinese or Japanese,
// are one token.
func tokens(s string) int {
	ascii, letters, signs := 0, 0, 0
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			ascii++
		case r < 0x2e80:
			letters++
		default:
			signs++
		}
	}
	return (ascii*2+6)/7 + (letters+1)/2 + (signs*5+3)/4
}

// cost is what a message costs.
func cost(m chat.Message) int {
	n := perMessage + tokens(m.Content)
	for _, c := range m.Calls {
		n += perMessage + tokens(c.Name) + tokens(c.Arguments)
	}
	return n
}

func costOf(messages []chat.Message) int {
	n := 0
	for _, m := range messages {
		n += cost(m)
	}
	return n
}

// toolCost is what the tools cost, which are part of the prompt.
func toolCost(tools []chat.Tool) int {
	n := 0
	for _, t := range tools {
		n += perMessage + tokens(t.Name) + tokens(t.Description) + tokens(string(t.Parameters))
	}
	return n
}

// shorten cuts s to about n tokens, between words when that is near.
func shorten(s string, n int) string {
	if n <= 0 {
		return ""
	}
	if tokens(s) <= n {
		return s
	}
	// A token is at least one byte: n*4 bytes are too many for most texts, so halve the way.
	low, high := 0, min(len(s), n*4)
	for low < high {
		mid := (low + high + 1) / 2
		if tokens(s[:mid]) <= n {
			low = mid
		} else {
			high = mid - 1
		}
	}
	for low > 0 && !utf8.RuneStart(s[low]) {
		low--
	}
	s = s[:low]
	if i := strings.LastIndexByte(s, ' '); i > len(s)*9/10 {
		s = s[:i]
	}
	return s
}

// recent is as much of the history as fits into n tokens and most messages, the newest first. It
// does not begin with an answer, which would answer nothing.
func recent(history []chat.Message, n, most int) []chat.Message {
	from := len(history)
	for from > 0 && len(history)-from < most {
		c := cost(history[from-1])
		if c > n {
			break
		}
		n -= c
		from--
	}
	for from < len(history) && history[from].Role == chat.Assistant {
		from++
	}
	return history[from:]
}
