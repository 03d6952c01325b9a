package openai

import "strings"

// thought takes the reasoning out of the beginning of an answer. Models that reason aloud put it
// between these tags, when the server does not do it for them; nobody wants to hear it.
type thought struct {
	state int
	held  string // the beginning, as long as it may become a tag
}

const (
	openTag  = "<think>"
	closeTag = "</think>"
)

const (
	beginning = iota
	inside
	past // the tag is closed; the spaces after it go too
	speaking
)

// filter returns what of s is to be said.
func (t *thought) filter(s string) string {
	if t.state == speaking {
		return s
	}
	t.held += s
	if t.state == beginning {
		head := strings.TrimLeft(t.held, " \t\r\n")
		switch {
		case strings.HasPrefix(head, openTag):
			t.state, t.held = inside, head[len(openTag):]
		case strings.HasPrefix(openTag, head):
			return "" // not decided yet
		default:
			return t.flush()
		}
	}
	if t.state == inside {
		_, rest, ok := strings.Cut(t.held, closeTag)
		if !ok {
			t.held = t.held[max(0, len(t.held)-len(closeTag)):]
			return ""
		}
		t.state, t.held = past, rest
	}
	if t.held = strings.TrimLeft(t.held, " \t\r\n"); t.held == "" {
		return ""
	}
	return t.flush()
}

// flush returns what is held back, at the end of the answer.
func (t *thought) flush() string {
	s := t.held
	if t.state == inside {
		s = ""
	}
	t.state, t.held = speaking, ""
	return s
}
