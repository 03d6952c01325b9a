package screen

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// styles are few and of the terminal's own sixteen colours, so that they suit its theme. What matters is
// told by words and signs too: without colours nothing is lost.
type styles struct {
	bar, on, off, sel, dim, bold, good, bad, warn, hit, key lipgloss.Style
}

func newStyles(dark bool) styles {
	plain := lipgloss.NewStyle()
	warn := lipgloss.Color("3")
	if !dark { // yellow on white cannot be read
		warn = lipgloss.Color("5")
	}
	return styles{
		bar: plain.Reverse(true), on: plain.Bold(true).Underline(true), off: plain.Faint(true), sel: plain.Reverse(true),
		dim: plain.Faint(true), bold: plain.Bold(true), good: plain.Foreground(lipgloss.Color("2")),
		bad: plain.Foreground(lipgloss.Color("1")), warn: plain.Foreground(warn), hit: plain.Bold(true).Foreground(lipgloss.Color("6")),
		key: plain.Bold(true),
	}
}

// fit makes a text exactly w cells wide. It must be clean.
func fit(s string, w int) string {
	if w <= 0 {
		return ""
	}
	if n := ansi.StringWidth(s); n <= w {
		return s + strings.Repeat(" ", w-n)
	}
	s = ansi.Truncate(s, w, "…")
	return s + strings.Repeat(" ", max(w-ansi.StringWidth(s), 0))
}

// right is fit with the text at the right end.
func right(s string, w int) string {
	if n := ansi.StringWidth(s); n < w {
		return strings.Repeat(" ", w-n) + s
	}
	return fit(s, w)
}

// tail is fit that keeps the end of a text, which is what matters of a path.
func tail(s string, w int) string {
	if n := ansi.StringWidth(s); n > w && w > 1 {
		return fit(ansi.TruncateLeft(s, n-w+1, "…"), w)
	}
	return fit(s, w)
}

// number is a count in few letters.
func number(n uint64) string {
	switch {
	case n < 10_000:
		return fmt.Sprint(n)
	case n < 1_000_000:
		return fmt.Sprintf("%dk", n/1000)
	case n < 10_000_000:
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	case n < 10_000_000_000:
		return fmt.Sprintf("%dM", n/1_000_000)
	}
	return fmt.Sprintf("%dG", n/1_000_000_000)
}

// volume is a size in few letters.
func volume(n uint64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	case n < 10<<30:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d GiB", n>>30)
}

// perSecond is a rate in few letters; empty for next to none.
func perSecond(r float64) string {
	switch {
	case r >= 10_000:
		return fmt.Sprintf("%.0fk/s", r/1000)
	case r >= 9.95:
		return fmt.Sprintf("%.0f/s", r)
	case r >= 0.095:
		return fmt.Sprintf("%.1f/s", r)
	case r > 0:
		return fmt.Sprintf("%.0f/m", max(r*60, 1))
	}
	return ""
}

// span is a duration with its two largest units at most.
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// ago is how long ago t was.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(now.Sub(t)) + " ago"
}

// millis are milliseconds with a mark at the thousands.
func millis(d time.Duration) string {
	ms := d.Milliseconds()
	if ms < 10_000 {
		return fmt.Sprint(ms)
	}
	return fmt.Sprintf("%d,%03d", ms/1000, ms%1000)
}

// bars are the eighths of a cell.
const bars = "▁▂▃▄▅▆▇█"

// spark draws counts as a line of bars; a second without messages is a blank.
func spark(counts []uint32) string {
	top := uint32(1)
	for _, c := range counts {
		top = max(top, c)
	}
	signs := []rune(bars)
	var b strings.Builder
	for _, c := range counts {
		if c == 0 {
			b.WriteByte(' ')
			continue
		}
		b.WriteRune(signs[min(int(uint64(c)*uint64(len(signs))/uint64(top)), len(signs)-1)])
	}
	return b.String()
}

// clock is a time of the day.
func clock(t time.Time) string { return t.Format("15:04:05.000") }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
