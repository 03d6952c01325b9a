package screen

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/tarsd/tarsd/internal/inspect"
)

// live is for how long after its last message a turn that has not ended counts as going on.
const live = 60 * time.Second

// turns is the list of turns, newest first, with the chosen one drawn below.
func (c *canvas) turns() []string {
	all := c.m.Turns()
	if len(all) == 0 {
		return c.text("no turn yet: say the wake word, or type to the robot. Turns come from messages on wake/event, dialogue/text, stt/…, llm/… and tts/…")
	}
	list := make([]*inspect.Turn, 0, len(all))
	for i := len(all) - 1; i >= 0; i-- {
		list = append(list, all[i])
	}
	c.followTurn(list)
	cols := []column{
		{"BEGAN", 8, false}, {"BY", 6, false}, {"SPEECH", 6, true}, {"TEXT", 6, true}, {"TOKEN", 6, true}, {"SOUND", 6, true}, {"SILENCE", 7, true},
		{"SAID", 0, false},
	}
	rows := make([][]string, 0, len(list))
	for _, t := range list {
		by := "wake"
		switch {
		case t.Typed:
			by = "typed"
		case t.Wake != "":
			by = t.Wake
		case t.At(inspect.Begun).IsZero():
			by = "?"
		}
		row := []string{t.First().Format(time.TimeOnly), inspect.Clean(by)}
		for _, s := range inspect.Stages()[1:] {
			row = append(row, stage(t, s))
		}
		rows = append(rows, append(row, inspect.Clean(t.Said)))
	}
	look := func(i int) lipgloss.Style {
		switch {
		case list[i].Failed != "":
			return c.st.warn
		case c.living(list[i]):
			return c.st.good
		}
		return lipgloss.NewStyle()
	}
	h := max(c.h-11, 4)
	out := c.page(c.table(cols, rows, look, h), c.w, h)
	t := list[c.s.cursor[viewTurns]]
	return append(out, c.turn(t)...)
}

// followTurn keeps the cursor on the turn that was chosen while new ones come above it.
func (c *canvas) followTurn(list []*inspect.Turn) {
	at := &c.s.cursor[viewTurns]
	if c.s.turn == "" {
		*at = 0
		return
	}
	for i, t := range list {
		if t.ID == c.s.turn {
			*at = i
			return
		}
	}
	c.s.turn, *at = "", 0
}

func (c *canvas) living(t *inspect.Turn) bool {
	return !t.Done && t.At(inspect.Silence).IsZero() && c.now.Sub(t.Last) < live
}

func stage(t *inspect.Turn, s inspect.Stage) string {
	if d, ok := t.Since(s); ok {
		return millis(d)
	}
	return "-"
}

// turn draws one turn: its stages on a line of time, and what was said.
func (c *canvas) turn(t *inspect.Turn) []string {
	head := fmt.Sprintf(" turn %s", inspect.Clean(t.ID))
	if t.Origin != "" {
		head += ", origin " + inspect.Clean(t.Origin)
	}
	head += fmt.Sprintf(", %s", plural(t.Messages, "message", "messages"))
	if t.State != "" {
		head += ", " + inspect.Clean(t.State)
	}
	out := []string{c.st.bold.Render(fit(head, c.w))}
	first := t.First()
	end := t.Last
	for _, s := range inspect.Stages() {
		if at := t.At(s); at.After(end) {
			end = at
		}
	}
	living := c.living(t)
	if living {
		end = c.now
	}
	whole := max(end.Sub(first), time.Millisecond)
	width := max(c.w-34, 4)
	last := first
	waiting := living
	for _, s := range inspect.Stages() {
		at := t.At(s)
		name := s.String()
		if s == inspect.Begun && t.Typed {
			name = "typed"
		}
		label := " " + fit(name, 12)
		switch {
		case !at.IsZero():
			step := ""
			if d := at.Sub(last); s != inspect.Begun && d > 0 {
				step = "+" + millis(d)
			}
			from := int(int64(width) * int64(last.Sub(first)) / int64(whole))
			to := int(int64(width) * int64(at.Sub(first)) / int64(whole))
			bar := strings.Repeat(" ", max(from, 0)) + c.st.good.Render(strings.Repeat("█", max(to-from, 0)))
			if to <= from {
				bar = strings.Repeat(" ", max(min(to, width-1), 0)) + c.st.good.Render("▏")
			}
			out = append(out, fit(label+right(millis(at.Sub(first)), 8)+" "+right(step, 8)+"  "+bar, c.w))
			if at.After(last) {
				last = at
			}
		case waiting && s > reached(t):
			waiting = false
			out = append(out, c.st.warn.Render(fit(label+right("", 9)+right(running(c.now, last), 8)+" ms", c.w)))
		default:
			out = append(out, c.st.dim.Render(fit(label+right("-", 8), c.w)))
		}
	}
	answer := "answer: " + inspect.Clean(t.Answer)
	if t.Failed != "" {
		answer = "failed: " + inspect.Clean(t.Failed)
	}
	if t.By != "" {
		answer += " (" + inspect.Clean(t.By) + ")"
	}
	out = append(out, fit(" said:   "+inspect.Clean(t.Said), c.w))
	for l := range strings.SplitSeq(ansi.Wordwrap(answer, c.w-2, ""), "\n") {
		if len(out) == 11 {
			break
		}
		out = append(out, fit(" "+l, c.w))
	}
	return out
}

// reached is the last stage of a turn that is known.
func reached(t *inspect.Turn) inspect.Stage {
	last := inspect.Begun
	for _, s := range inspect.Stages() {
		if !t.At(s).IsZero() {
			last = s
		}
	}
	return last
}
