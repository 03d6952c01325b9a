package screen

import (
	"fmt"
	"strings"
	"time"

	"github.com/tarsd/tarsd/internal/inspect"
)

// Draw is the screen: H lines of W cells.
func Draw(m *inspect.Model, s *State, now time.Time) string {
	if s.W < minW || s.H < minH {
		return fit(fmt.Sprintf("too small: needs %d×%d", minW, minH), max(s.W, 1))
	}
	c := &canvas{m: m, s: s, now: now, st: newStyles(s.Dark), w: s.W, h: s.body()}
	rows := s.settle(m)
	var body []string
	switch s.view {
	case viewTurns:
		body = c.turns()
	case viewClients:
		body = c.clients()
	case viewHealth:
		body = c.health()
	case viewProblems:
		body = c.problems()
	case viewHelp:
		body = c.help()
	default:
		body = c.topics(rows)
	}
	lines := append([]string{c.title(), c.tabs()}, c.page(body, c.w, c.h)...)
	lines = append(lines, c.line(), c.keys())
	return strings.Join(lines, "\n")
}

// canvas is what the drawing functions share.
type canvas struct {
	m    *inspect.Model
	s    *State
	now  time.Time
	st   styles
	w, h int // of the body
}

// page makes lines exactly h.
func (c *canvas) page(lines []string, w, h int) []string {
	for len(lines) < h {
		lines = append(lines, strings.Repeat(" ", w))
	}
	return lines[:h]
}

// title is the first line: where, whether connected, how much.
func (c *canvas) title() string {
	st := &c.s.Status
	state := "○ not connected"
	if st.Connected {
		state = "● connected"
	}
	total, size := c.m.Totals()
	if c.s.narrow() {
		state = state[:len("●")]
	}
	right := fmt.Sprintf("%s  %s (%s)  %s ", state, messages(total), volume(size), fit(perSecond(c.m.Rate(c.now)), rateWidth))
	if on, n := c.m.Paused(); on {
		right = fmt.Sprintf("PAUSED, %s more counted  ", number(n)) + right
	}
	name := c.m.Broker()
	if name == "" {
		name = "MQTT broker"
	}
	left := " " + inspect.Clean(strings.Replace(name, " version ", " ", 1)+" at "+st.Where)
	right = fit(right, min(len([]rune(right)), c.w-12))
	return c.st.bar.Render(fit(left, c.w-len([]rune(right))-1) + " " + right)
}

// tabs are the names of the screens with their keys.
func (c *canvas) tabs() string {
	var b strings.Builder
	for i, t := range c.tabTexts() {
		style := c.st.off
		if view(i) == c.s.view {
			style = c.st.on
		} else if view(i) == viewProblems && strings.Contains(t, "(") {
			style = c.st.warn
		}
		b.WriteString(" " + style.Render(t) + " ")
	}
	return fit(b.String(), c.w)
}

func (c *canvas) tabTexts() [views]string {
	_, broken := c.m.Violations()
	_, drops := c.m.Drops()
	t := [views]string{"Topics", "t Turns", "c Clients", "h Health", "v Problems", "? Help"}
	if n := broken + drops; n > 0 {
		t[viewProblems] += " (" + number(n) + ")"
	}
	if c.s.W < 62 { // the keys of the others, and how many problems there are
		for i := range t {
			key, rest, _ := strings.Cut(t[i], " ")
			if _, problems, has := strings.Cut(rest, " "); view(i) != c.s.view && has {
				key += " " + problems
			}
			if view(i) != c.s.view {
				t[i] = key
			}
		}
	}
	return t
}

// line is the one above the keys: a question, a note, or what limits and the connection have to say.
func (c *canvas) line() string {
	s := c.s
	if s.input != nil {
		return c.prompt()
	}
	if s.note != "" && c.now.Sub(s.noteAt) < noteFor {
		return fit(inspect.Clean(s.note), c.w)
	}
	var parts []string
	if s.filter != nil {
		parts = append(parts, "filter: "+s.filter.Text)
	}
	if s.search != nil {
		parts = append(parts, "search: "+s.search.Text+" (n next, N previous)")
	}
	if s.Status.Problem != "" {
		parts = append(parts, s.Status.Problem)
	}
	if n := s.Status.Missed; n > 0 {
		parts = append(parts, fmt.Sprintf("a sample: %s messages came too fast", number(uint64(n)))) //nolint:gosec // not negative
	}
	parts = append(parts, c.m.Hit()...)
	text := inspect.Clean(strings.Join(parts, " · "))
	if s.Status.Problem != "" {
		return c.st.warn.Render(fit(text, c.w))
	}
	return c.st.dim.Render(fit(text, c.w))
}

func (c *canvas) prompt() string {
	p := c.s.input
	label := inspect.Clean(p.label)
	if !p.typed() {
		return c.st.warn.Render(fit(label, c.w))
	}
	label = fit(label, min(len([]rune(label)), c.w*2/3))
	line := p.line
	line.SetWidth(max(c.w-len([]rune(label))-2, 8))
	return fit(c.st.bold.Render(label)+" "+line.View(), c.w)
}

// hints are the keys that are of use, the most useful first.
func (c *canvas) hints() [][2]string {
	switch {
	case c.s.input != nil && c.s.input.kind == askPublish:
		return [][2]string{{"y", "publish"}, {"r", "retain"}, {"0 1 2", "QoS"}, {"n", "no"}}
	case c.s.input != nil && !c.s.input.typed():
		return [][2]string{{"y", "yes"}, {"n", "no"}}
	case c.s.input != nil:
		return [][2]string{{"Enter", "done"}, {"Esc", "never mind"}}
	}
	pause := "pause"
	if on, _ := c.m.Paused(); on {
		pause = "go on"
	}
	if c.s.view == viewTopics {
		return [][2]string{
			{"/", "search"}, {"f", "filter"}, {"o O", "fold"}, {"Tab", "pane"}, {"Space", pause}, {"?", "help"}, {"q", "quit"}, {"d", "diff"},
			{"x", "hex"}, {"p", "publish"}, {"D", "clear"},
		}
	}
	return [][2]string{{"↑↓", "choose"}, {"Esc", "topics"}, {"Space", pause}, {"?", "help"}, {"q", "quit"}}
}

func (c *canvas) keys() string {
	var b strings.Builder
	w := 0
	for _, h := range c.hints() {
		n := len([]rune(h[0]+h[1])) + 2
		if w+n > c.w {
			break
		}
		w += n
		b.WriteString(c.st.key.Render(h[0]) + " " + c.st.dim.Render(h[1]) + " ")
	}
	return fit(b.String(), c.w)
}
