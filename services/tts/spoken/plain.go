package spoken

import (
	"html"
	"regexp"
	"strings"
	"unicode"
)

// MaxText is the longest text in bytes that is looked at; the rest is cut off, at a space. It is
// some twenty minutes of speech.
const MaxText = 20_000

var (
	fence     = regexp.MustCompile("^\\s{0,3}(```|~~~)")
	rule      = regexp.MustCompile(`^\s{0,3}([-*_=]\s*){3,}$`)
	heading   = regexp.MustCompile(`^\s{0,3}#{1,6}\s+(.*?)\s*#*$`)
	quote     = regexp.MustCompile(`^\s{0,3}(>\s?)+`)
	bullet    = regexp.MustCompile(`^\s*[-*+•]\s+(\[[ xX]\]\s+)?`)
	numbered  = regexp.MustCompile(`^\s*(\d{1,3})[.)]\s+\S`)
	tableLine = regexp.MustCompile(`^\s*\|?[\s:|-]*-{2,}[\s:|-]*$`)
	image     = regexp.MustCompile(`!\[([^\]\n]*)\]\([^)\s]*(\s+"[^"\n]*")?\)`)
	link      = regexp.MustCompile(`\[([^\]\n]+)\]\([^)\s]*(\s+"[^"\n]*")?\)`)
	linkRef   = regexp.MustCompile(`\[([^\]\n]+)\]\[[^\]\n]*\]`)
	linkDef   = regexp.MustCompile(`^\s{0,3}\[[^\]\n]+\]:\s+\S+`)
	footnote  = regexp.MustCompile(`\[\^?\d+\]`)
	autoLink  = regexp.MustCompile(`<((https?|mailto):[^>\s]+)>`)
	tag       = regexp.MustCompile(`</?[A-Za-z][^<>\n]*>`)
	code      = regexp.MustCompile("`+([^`\n]+)`+")
	strong    = regexp.MustCompile(`(\*\*\*|\*\*|~~)(\S[^*~\n]*?\S|\S)(\*\*\*|\*\*|~~)`)
	emphasis  = regexp.MustCompile(`(^|[\s(\["'])([*_])(\S[^*_\n]*?\S|\S)([*_])($|[\s.,;:!?)\]"'])`)
	doubled   = regexp.MustCompile(`(^|[\s(\["'])__(\S[^_\n]*?\S|\S)__($|[\s.,;:!?)\]"'])`)
	escaped   = regexp.MustCompile("\\\\([\\\\`*_{}\\[\\]()#+.!~>|-])")
	spaces    = regexp.MustCompile(`[ \t\p{Zs}]+`)
	beforeEnd = regexp.MustCompile(`\s+([.,;:!?])`)
)

// Plain takes markdown and HTML away and leaves what is to be read, on one line. What was a line of
// its own, such as a heading, an entry of a list or a row of a table, ends as a sentence does.
func Plain(text string) string {
	text = cut(strings.ToValidUTF8(text, " "))
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	var out []string
	inCode, open := false, false // open: the paragraph goes on
	for line := range strings.SplitSeq(text, "\n") {
		if fence.MatchString(line) {
			inCode, open = !inCode, false
			continue
		}
		if inCode {
			out = append(out, ended(strings.TrimSpace(line)))
			continue
		}
		line, own := plainLine(line)
		switch {
		case line == "":
			open = false
			if n := len(out); n > 0 {
				out[n-1] = ended(out[n-1])
			}
		case own:
			if n := len(out); n > 0 && open {
				out[n-1] = ended(out[n-1])
			}
			out, open = append(out, ended(line)), false
		default:
			out, open = append(out, line), true
		}
	}
	joined := strings.Map(unprintable, strings.Join(out, " "))
	return strings.TrimSpace(beforeEnd.ReplaceAllString(spaces.ReplaceAllString(joined, " "), "$1"))
}

// plainLine takes the markup off a line. own: it is no part of a paragraph.
func plainLine(line string) (plain string, own bool) {
	if rule.MatchString(line) || linkDef.MatchString(line) || (strings.Contains(line, "|") && tableLine.MatchString(line)) {
		return "", false
	}
	line = quote.ReplaceAllString(line, "")
	switch {
	case heading.MatchString(line):
		line, own = heading.ReplaceAllString(line, "$1"), true
	case bullet.MatchString(line):
		line, own = bullet.ReplaceAllString(line, ""), true
	case numbered.MatchString(line):
		own = true // the number is read
	case strings.Count(line, "|") > 1:
		cells := strings.FieldsFunc(line, func(r rune) bool { return r == '|' })
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		line, own = strings.Join(cells, ", "), true
	}
	return strings.TrimSpace(inline(line)), own
}

// inline takes the markup off words.
func inline(s string) string {
	s = autoLink.ReplaceAllString(s, "$1")
	s = image.ReplaceAllString(s, "$1")
	s = link.ReplaceAllString(s, "$1")
	s = linkRef.ReplaceAllString(s, "$1")
	s = footnote.ReplaceAllString(s, "")
	s = code.ReplaceAllString(s, "$1")
	for range 3 { // they nest, not deeper
		s = strong.ReplaceAllString(s, "$2")
		s = doubled.ReplaceAllString(s, "$1$2$3")
		s = emphasis.ReplaceAllString(s, "$1$3$5")
	}
	s = tag.ReplaceAllString(s, " ")
	return html.UnescapeString(escaped.ReplaceAllString(s, "$1"))
}

// ended ends a text as a sentence.
func ended(s string) string {
	s = strings.TrimRight(s, " ")
	if s == "" || strings.ContainsRune(`.!?:;,…`, lastRune(strings.TrimRight(s, `"')]”’`))) {
		return s
	}
	return s + "."
}

func lastRune(s string) rune {
	last := ' '
	for _, r := range s[max(0, len(s)-4):] {
		last = r
	}
	return last
}

// unprintable makes spaces of control characters, and of pictures what nobody can say: nothing.
func unprintable(r rune) rune {
	switch {
	case unicode.IsControl(r), r == unicode.ReplacementChar:
		return ' '
	case unicode.Is(unicode.So, r) && r != '°', unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), r >= 0xFE00 && r <= 0xFE0F, r >= 0x1F000:
		return -1
	}
	return r
}

// cut bounds a text.
func cut(s string) string {
	if len(s) <= MaxText {
		return s
	}
	s = strings.ToValidUTF8(s[:MaxText], "")
	if i := strings.LastIndexByte(s, ' '); i > MaxText/2 {
		s = s[:i]
	}
	return s
}
