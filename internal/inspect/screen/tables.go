package screen

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/tarsd/tarsd/internal/inspect"
)

// column is one of a table. The one with width 0 takes what is left.
type column struct {
	name  string
	width int
	right bool
}

// table draws a header and rows with the chosen one in sight, in at most h lines.
func (c *canvas) table(cols []column, rows [][]string, look func(i int) lipgloss.Style, h int) []string {
	left := c.w - len(cols)
	for _, k := range cols {
		left -= k.width
	}
	line := func(cells []string) string {
		var b strings.Builder
		for i, k := range cols {
			w := k.width
			if w == 0 {
				w = max(left, 4)
			}
			b.WriteByte(' ')
			if k.right {
				b.WriteString(right(cells[i], w))
			} else {
				b.WriteString(fit(cells[i], w))
			}
		}
		return fit(b.String(), c.w)
	}
	names := make([]string, len(cols))
	for i, k := range cols {
		names[i] = k.name
	}
	out := []string{c.st.bold.Render(line(names))}
	at := &c.s.cursor[c.s.view]
	*at = max(min(*at, len(rows)-1), 0)
	first := max(min(*at-(h-1)/2, len(rows)-(h-1)), 0)
	c.s.first = first
	for i := first; i < len(rows) && len(out) < h; i++ {
		text := line(rows[i])
		switch {
		case i == *at:
			text = c.st.sel.Render(text)
		case look != nil:
			text = look(i).Render(text)
		}
		out = append(out, text)
	}
	return out
}

// orDash shows a zero as a dash, so that figures stand out.
func orDash(n uint64) string {
	if n == 0 {
		return "-"
	}
	return number(n)
}

func (c *canvas) clients() []string {
	list, full := c.m.Clients()
	if len(list) == 0 {
		if c.m.IsTarsd() {
			return c.text("nobody has come or gone since the inspector was started. " + c.partly())
		}
		return c.text("this broker tells nothing of its clients over MQTT.")
	}
	cols := []column{
		{"CLIENT", 0, false}, {"USER", 10, false}, {"SINCE", 8, false}, {"SUBS", 4, true}, {"FROM", 6, true}, {"TO", 6, true},
		{"QUEUE", 6, true}, {"FLIGHT", 6, true}, {"DROPS", 6, true},
	}
	if c.w < 76 {
		cols = append(cols[:1], cols[2:]...)
	}
	rows := make([][]string, 0, len(list))
	for _, k := range list {
		since := span(c.now.Sub(k.Since))
		if k.Since.IsZero() {
			since = "-"
		}
		if !k.Connected {
			since = "×" + since
		}
		row := []string{
			inspect.Clean(k.ID), inspect.Clean(k.User), since, orDash(uint64(k.Subscriptions)), orDash(k.Received), orDash(k.Sent), //nolint:gosec // not negative
			orDash(uint64(k.Queued)), orDash(uint64(k.Inflight)), orDash(k.Dropped), //nolint:gosec // not negative
		}
		if c.w < 76 {
			row = append(row[:1], row[2:]...)
		}
		rows = append(rows, row)
	}
	look := func(i int) lipgloss.Style {
		switch {
		case list[i].Dropped > 0 || list[i].Queued > 0:
			return c.st.warn
		case !list[i].Connected:
			return c.st.dim
		}
		return lipgloss.NewStyle()
	}
	out := c.table(cols, rows, look, c.h-3)
	k := list[c.s.cursor[viewClients]]
	more := fmt.Sprintf(" %s at %s on %s", inspect.Clean(k.ID), inspect.Clean(k.Remote), inspect.Clean(k.Listener))
	if k.QueuedBytes+k.BufferedBytes > 0 {
		more += fmt.Sprintf(", %s queued, %s for the socket", volume(uint64(k.QueuedBytes)), volume(uint64(k.BufferedBytes))) //nolint:gosec // not negative
	}
	if !k.LastPacket.IsZero() {
		more += ", last packet " + ago(c.now, k.LastPacket)
	}
	out = append(c.page(out, c.w, c.h-2), fit(more, c.w))
	if !full {
		return append(out, c.st.dim.Render(fit(" "+c.partly(), c.w)))
	}
	return append(out, c.st.dim.Render(fit(fmt.Sprintf(" %s; × is gone and kept; messages FROM and TO it since it connected", plural(len(list), "session", "sessions")), c.w)))
}

func (c *canvas) partly() string {
	return "Who came, went or lost something since; more by the admin socket of a tarsd."
}

// text are lines of prose.
func (c *canvas) text(s string) []string {
	var out []string
	for l := range strings.SplitSeq(ansi.Wordwrap(s, c.w-2, ""), "\n") {
		out = append(out, fit(" "+l, c.w))
	}
	return out
}

func (c *canvas) health() []string {
	list, full := c.m.Peers()
	if len(list) == 0 {
		return c.text("no service and no device has said how it is on system/health.")
	}
	cols := []column{
		{"NAME", 18, false}, {"STATE", 12, false}, {"SINCE", 7, false}, {"SEEN", 7, false}, {"DELAY", 7, true}, {"RESTARTS", 8, true}, {"DROPS", 6, true},
		{"WHY", 0, false},
	}
	rows := make([][]string, 0, len(list))
	for _, p := range list {
		name, delay, seen := inspect.Clean(p.Name), "-", "-"
		if p.Required {
			name += " *"
		}
		if p.LatencyMS != nil {
			delay = strconv.FormatFloat(*p.LatencyMS, 'f', 1, 64) + "ms"
		}
		if !p.LastSeen.IsZero() {
			seen = span(c.now.Sub(p.LastSeen))
		}
		rows = append(rows, []string{
			name, inspect.Clean(p.State), span(c.now.Sub(p.Since)), seen, delay, orDash(uint64(max(p.Restarts, 0))), orDash(p.Drops), inspect.Clean(p.Err), //nolint:gosec // not negative
		})
	}
	look := func(i int) lipgloss.Style {
		switch p := list[i]; {
		case p.Up:
			return c.st.good
		case p.Required:
			return c.st.bad
		case p.State == "shutdown" || p.State == "unknown":
			return c.st.dim
		}
		return c.st.warn
	}
	out := c.page(c.table(cols, rows, look, c.h-1), c.w, c.h-1)
	note := " * is required; the verdict of the broker, as tarsd status shows it"
	if !full {
		note = " what was said last on system/health; the verdict needs the admin socket"
	}
	return append(out, c.st.dim.Render(fit(note, c.w)))
}

// problems are violations of the contract above, drops below.
func (c *canvas) problems() []string {
	broken, n := c.m.Violations()
	drops, told := c.m.Drops()
	at := &c.s.cursor[viewProblems]
	*at = max(min(*at, max(len(broken), len(drops))-1), 0)
	h := c.h / 2
	out := []string{c.st.bold.Render(fit(fmt.Sprintf(" %s broke the contract (docs/topics.md)", messages(n)), c.w))}
	for i := last(len(broken), *at); i >= 0 && len(out) < h; i-- {
		v := broken[i]
		text := fmt.Sprintf(" %s %s", clock(v.At), v.Problem)
		if v.From != "" {
			text += " (from " + v.From + ")"
		}
		out = append(out, c.st.warn.Render(fit(inspect.Clean(text), c.w)))
	}
	out = c.page(out, c.w, h)
	return append(out, c.dropped(drops, told, *at)...)
}

// last is the newest of n that is shown when a list is scrolled by at.
func last(n, at int) int { return max(n-1-at, min(n-1, 0)) }

func (c *canvas) dropped(drops []inspect.Drop, told uint64, at int) []string {
	total, reasons, known := c.m.Dropped()
	head := " the broker does not say how much it dropped"
	if known {
		head = fmt.Sprintf(" %s dropped since the broker started", messages(total))
	}
	out := []string{c.st.bold.Render(fit(head, c.w))}
	if len(reasons) > 0 {
		parts := make([]string, 0, len(reasons))
		for _, r := range reasons {
			parts = append(parts, r.Name+" "+number(r.N))
		}
		out = append(out, fit(inspect.Clean(" "+strings.Join(parts, ", ")), c.w))
	}
	for i := last(len(drops), at); i >= 0; i-- {
		d := drops[i]
		text := fmt.Sprintf(" %s %s %s", clock(d.At), strings.ReplaceAll(d.Kind, "_", " "), d.Client)
		if d.Count > 1 {
			text += fmt.Sprintf(" ×%d", d.Count)
		}
		if d.Topic != "" {
			text += " on " + d.Topic
		}
		out = append(out, fit(inspect.Clean(text+": "+d.Reason), c.w))
	}
	if told == 0 {
		note := " nothing was dropped or refused since the inspector was started"
		if !c.m.IsTarsd() {
			note = " this broker has no audit stream, which would tell of single drops"
		}
		out = append(out, c.st.dim.Render(fit(note, c.w)))
	}
	return out
}

// helpText is the table of keys, as in docs/inspect.md.
var helpText = [][2]string{
	{"↑ ↓ PgUp PgDn Home End", "move; in the value scroll; in the history go through messages"},
	{"← → Enter", "fold, unfold; ← again goes up a level"},
	{"Tab", "tree, value, history"},
	{"/ n N", "search topics and values, next, previous; with + or # an MQTT filter"},
	{"f", "filter: hide what does not match; blank ends it"},
	{"o O", "unfold, fold everything below"},
	{"Space", "pause: values stand still, counts go on"},
	{"x d", "hex; difference from the message before"},
	{"p", "publish, asks before it does"},
	{"D Delete", "clear retained messages here and below, asks before it does"},
	{"t c h v ?", "turns, clients, health, problems, this; again or Esc goes back"},
	{"mouse", "click selects and unfolds, the wheel scrolls, a click on a name above changes the screen"},
	{"Esc", "ends search, filter and the look at an older message"},
	{"q Ctrl+C", "quit"},
}

func (c *canvas) help() []string {
	out := []string{fit("", c.w)}
	for _, h := range helpText {
		lines := strings.Split(ansi.Wordwrap(h[1], c.w-27, ""), "\n")
		for i, l := range lines {
			key := ""
			if i == 0 {
				key = h[0]
			}
			out = append(out, " "+c.st.key.Render(fit(key, 24))+"  "+fit(l, c.w-27))
		}
	}
	out = append(out, fit("", c.w), fit(" ® retained   ! broke the contract   (n) topics below   × gone", c.w))
	if hit := c.m.Hit(); len(hit) > 0 {
		out = append(out, fit("", c.w), c.st.bold.Render(fit(" limits that were reached", c.w)))
		for _, l := range hit {
			out = append(out, fit(" "+l, c.w))
		}
	}
	at := &c.s.cursor[viewHelp]
	*at = max(min(*at, len(out)-c.h), 0)
	return out[*at:]
}

// running is how long something takes that has not ended.
func running(now, since time.Time) string { return "… " + millis(now.Sub(since)) }
