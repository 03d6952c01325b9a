package router

import (
	"container/list"
	"time"
	"unicode/utf8"
)

// line is one entry of a conversation.
type line struct {
	role string // user or assistant
	text string
	at   time.Time
}

// Bounds of what is remembered of conversations. They are working memory: the memory service
// keeps what was said for good.
const (
	maxOrigins   = 32
	maxLineChars = 2000
)

// histories are the conversations, one for each origin. The origin that was silent longest goes
// when there are too many.
type histories struct {
	keep  int // lines of one conversation
	lines map[string]*list.Element
	order *list.List // of *conversation, the last used in front
}

type conversation struct {
	origin string
	lines  []line
}

func newHistories(keep int) *histories {
	return &histories{keep: keep, lines: map[string]*list.Element{}, order: list.New()}
}

func (h *histories) of(origin string) []line {
	if e := h.lines[origin]; e != nil {
		return append([]line(nil), e.Value.(*conversation).lines...)
	}
	return nil
}

func (h *histories) add(origin, role, text string, at time.Time) {
	if text == "" {
		return
	}
	if utf8.RuneCountInString(text) > maxLineChars {
		text = string([]rune(text)[:maxLineChars]) + " …"
	}
	e := h.lines[origin]
	if e == nil {
		e = h.order.PushFront(&conversation{origin: origin})
		h.lines[origin] = e
		if h.order.Len() > maxOrigins {
			last := h.order.Back()
			delete(h.lines, last.Value.(*conversation).origin)
			h.order.Remove(last)
		}
	}
	h.order.MoveToFront(e)
	c := e.Value.(*conversation)
	c.lines = append(c.lines, line{role, text, at})
	if n := len(c.lines) - h.keep; n > 0 {
		c.lines = append([]line(nil), c.lines[n:]...)
	}
}

// forget takes away the last thing that an origin said, and what was answered.
func (h *histories) forget(origin string) {
	e := h.lines[origin]
	if e == nil {
		return
	}
	c := e.Value.(*conversation)
	for n := len(c.lines); n > 0; n-- {
		last := c.lines[n-1].role
		c.lines = c.lines[:n-1]
		if last == user {
			return
		}
	}
}

func (h *histories) clear() {
	clear(h.lines)
	h.order.Init()
}
