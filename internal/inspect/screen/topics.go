package screen

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/tarsd/tarsd/internal/inspect"
	"github.com/tarsd/tarsd/services/contract"
)

// topics is the tree, and what is known of the selected level.
func (c *canvas) topics(rows []inspect.Row) []string {
	w := c.s.treeWidth()
	if c.s.narrow() {
		if c.s.focus == paneTree {
			return c.tree(rows, w)
		}
		return c.detail(w)
	}
	left := c.page(c.tree(rows, w), w, c.h)
	rest := c.w - w - 1
	line := c.st.dim.Render("│")
	out := c.page(c.detail(rest), rest, c.h)
	for i := range out {
		out[i] = left[i] + line + out[i]
	}
	return out
}

// tree is the visible part of the topic tree.
func (c *canvas) tree(rows []inspect.Row, w int) []string {
	if len(rows) == 0 {
		switch {
		case c.s.filter != nil:
			return []string{fit(" nothing that the filter lets through", w)}
		case !c.s.Status.Connected:
			return []string{fit(" no connection yet", w)}
		}
		return []string{fit(" connected; nothing has come yet", w)}
	}
	end := min(c.s.top+c.h, len(rows))
	out := make([]string, 0, c.h)
	for _, r := range rows[min(c.s.top, end):end] {
		out = append(out, c.branch(r, w))
	}
	return out
}

// Widths of the tree's columns.
const (
	countWidth = 6
	rateWidth  = 6
)

func (c *canvas) branch(r inspect.Row, w int) string {
	n := r.Node
	sparkWidth, preview := 6, 0
	if w >= 64 {
		sparkWidth, preview = 10, (w-30)/3
	}
	mark := "  "
	if len(n.Kids()) > 0 {
		mark = "▸ "
		if r.Open {
			mark = "▾ "
		}
	}
	name := inspect.Clean(n.Name)
	if name == "" {
		name = "(empty)"
	}
	if n.Retained {
		name += " ®"
	}
	if n.Violations > 0 {
		name += " !"
	}
	if !r.Open && len(n.Kids()) > 0 {
		name += fmt.Sprintf(" (%d)", n.Topics)
	}
	cols := countWidth + rateWidth + sparkWidth + 3 + preview
	head := fit(strings.Repeat("  ", min(n.Depth-1, 8))+mark+name, w-cols)
	tail := right(number(n.Below), countWidth) + " " + right(perSecond(n.Rate(c.now)), rateWidth) + " "
	graph, value := fit(spark(n.Spark(c.now, sparkWidth)), sparkWidth)+" ", ""
	if preview > 0 {
		if e := n.Last(); e != nil {
			value = inspect.Line(e, preview)
		}
		value = fit(value, preview)
	}
	switch {
	case n == c.s.selected && c.s.focus == paneTree:
		return c.st.sel.Render(head + tail + graph + value)
	case n == c.s.selected:
		return c.st.bold.Render(head+tail) + graph + value
	case r.Hit:
		return c.st.hit.Render(head) + tail + graph + value
	case n.Violations > 0:
		return c.st.warn.Render(head) + tail + graph + value
	}
	return head + tail + graph + c.st.dim.Render(value)
}

// detail is what is known of the selected level.
func (c *canvas) detail(w int) []string {
	n := c.s.selected
	if n == nil {
		return nil
	}
	path := inspect.Clean(n.Path)
	out := []string{c.st.bold.Render(tail(path, w))}
	add := func(text string) { out = append(out, fit(text, w)) }
	if !n.IsTopic() {
		add(fmt.Sprintf("%s below, %s", plural(n.Topics, "topic", "topics"), messages(n.Below)))
		add("a minute: " + spark(n.Spark(c.now, max(min(w-12, 59), 1))))
		return append(out, c.busiest(n, w)...)
	}
	rate := perSecond(n.Rate(c.now))
	if rate != "" {
		rate = ", " + rate
	}
	add(messages(n.Count) + ", " + volume(n.Bytes) + rate)
	add(c.retained(n))
	if text := law(n); text != "" {
		if n.Violations > 0 {
			out = append(out, c.st.warn.Render(fit(text, w)))
		} else {
			add(text)
		}
	}
	e := c.s.entry()
	if e == nil {
		return append(out, fit("no value was kept", w))
	}
	history := max(min((c.h-len(out))/3, len(n.History())+1), 2)
	out = append(out, c.value(e, w, c.h-len(out)-history)...)
	return append(out, c.history(w, history)...)
}

func messages(n uint64) string {
	if n == 1 {
		return "1 message"
	}
	return number(n) + " messages"
}

// law is what the contract says of a topic.
func law(n *inspect.Node) string {
	spec, ok := contract.Lookup(n.Path)
	if !ok {
		return ""
	}
	text := fmt.Sprintf("contract: %s, QoS %d", spec.Form, spec.QoS)
	if spec.Retain {
		text += ", retained"
	}
	if n.Violations > 0 {
		text += fmt.Sprintf(" · %d broke it", n.Violations)
	}
	return text
}

// retained says since when there is a retained message, and who left it, as far as is known.
func (c *canvas) retained(n *inspect.Node) string {
	k := c.s.keeper
	switch {
	case k.Topic == n.Path && n.Retained:
		by := inspect.Clean(k.From)
		if by == "" {
			by = "the broker"
		}
		return fmt.Sprintf("® retained %s by %s", ago(c.now, k.At), by)
	case !n.Retained:
		return "not retained"
	case n.RetainedEarly:
		return fmt.Sprintf("® retained for at least %s", span(c.now.Sub(n.RetainedSince)))
	}
	return fmt.Sprintf("® retained %s", ago(c.now, n.RetainedSince))
}

// busiest are the levels below, those with most messages first.
func (c *canvas) busiest(n *inspect.Node, w int) []string {
	kids := slices.Clone(n.Kids())
	slices.SortStableFunc(kids, func(a, b *inspect.Node) int { return cmp.Compare(b.Below, a.Below) })
	out := []string{fit("", w), c.st.dim.Render(fit("busiest", w))}
	for _, k := range kids[:min(len(kids), 12)] {
		out = append(out, fit(inspect.Clean(k.Name), w-15)+right(number(k.Below), 7)+" "+right(perSecond(k.Rate(c.now)), 7))
	}
	return out
}

// value is the payload of a message, in h lines with its head.
func (c *canvas) value(e *inspect.Entry, w, h int) []string {
	v := inspect.ValueOf(e, c.s.hex, w)
	head := fmt.Sprintf("%s  %s, %s", clock(e.At), v.About, volume(uint64(e.Size))) //nolint:gosec // not negative
	if e.Cut() {
		head += fmt.Sprintf(", the first %s", volume(uint64(len(e.Payload))))
	}
	if e.Retain {
		head += " ®"
	}
	if c.s.diff {
		head += ", diff"
	}
	if c.s.seq != 0 {
		head = "older: " + head
	}
	style := c.st.dim
	if c.s.focus == paneValue {
		style = c.st.sel
	}
	out := []string{style.Render(fit(head, w))}
	for _, p := range e.Props {
		if len(out) > max(h/3, 1) {
			break
		}
		out = append(out, c.st.dim.Render(fit(inspect.Clean(p.Key+": "+p.Value), w)))
	}
	lines, styled := c.lines(e, v, w)
	var wrapped []string
	for i, l := range lines {
		for piece := range strings.SplitSeq(ansi.Hardwrap(l, w, true), "\n") {
			wrapped = append(wrapped, styled(i).Render(fit(piece, w)))
		}
		if len(wrapped) > c.s.valueTop+h {
			break
		}
	}
	c.s.valueTop = max(min(c.s.valueTop, len(wrapped)-1), 0)
	out = append(out, wrapped[min(c.s.valueTop, len(wrapped)):]...)
	return c.page(out, w, h)
}

// lines are those of a value, or of its difference from the one before, and how each is to look.
func (c *canvas) lines(e *inspect.Entry, v inspect.Value, w int) (lines []string, style func(int) lipgloss.Style) {
	plain := func(int) lipgloss.Style { return lipgloss.NewStyle() }
	if !c.s.diff {
		return v.Lines, plain
	}
	last := c.s.before(e)
	if last == nil {
		return append([]string{"(no message before this one is kept)"}, v.Lines...), plain
	}
	d, ok := inspect.Diff(inspect.ValueOf(last, c.s.hex, w).Lines, v.Lines)
	if !ok {
		return append([]string{"(too long to compare)"}, v.Lines...), plain
	}
	for _, l := range d {
		lines = append(lines, [...]string{"  ", "+ ", "- "}[l.Change]+l.Text)
	}
	return lines, func(i int) lipgloss.Style {
		switch d[i].Change {
		case inspect.Added:
			return c.st.good
		case inspect.Removed:
			return c.st.bad
		}
		return lipgloss.NewStyle()
	}
}

// history are the kept messages of the topic, newest first, in h lines with its head.
func (c *canvas) history(w, h int) []string {
	all := c.s.selected.History()
	style := c.st.dim
	if c.s.focus == paneHistory {
		style = c.st.sel
	}
	out := []string{style.Render(fit(fmt.Sprintf("history: %d of %s", len(all), number(c.s.selected.Count)), w))}
	shown := c.s.entry()
	at := 0
	for i := range all {
		if all[len(all)-1-i] == shown {
			at = i
		}
	}
	first := max(min(at-(h-2)/2, len(all)-(h-1)), 0)
	var before time.Time
	for i := first; i < len(all) && len(out) < h; i++ {
		e := all[len(all)-1-i]
		if before = (time.Time{}); i+1 < len(all) {
			before = all[len(all)-2-i].At
		}
		text := fit(" "+clock(e.At)+" "+right(gap(e.At, before), 7)+" "+inspect.Line(e, w), w)
		if e == shown {
			text = c.st.bold.Render("›" + text[1:])
		}
		out = append(out, text)
	}
	return out
}

// gap is the time between two messages in few letters.
func gap(at, before time.Time) string {
	if before.IsZero() {
		return ""
	}
	d := at.Sub(before)
	if d < 10*time.Second {
		return "+" + d.Truncate(time.Millisecond).String()
	}
	return "+" + span(d)
}
