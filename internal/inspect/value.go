package inspect

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	_ "image/gif" // for DecodeConfig
	_ "image/jpeg"
	_ "image/png"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tarsd/tarsd/services/contract"
)

// Kind is what a payload looks like.
type Kind byte

// The kinds.
const (
	Empty Kind = iota
	JSON
	Text
	Picture
	Binary
)

// maxShown bounds the lines of one value, and what of it is looked at for them.
const (
	maxLines = 5000
	maxLine  = 4096 // bytes
)

// Value is a payload as it can be shown.
type Value struct {
	Kind  Kind
	About string // such as "JSON", "JPEG 640×480", "text", "binary"
	Lines []string
}

// ValueOf finds out what a payload is and writes it in lines without control characters. With
// asHex the lines are a hex dump whatever it is, as wide as fits into w cells: 4, 8 or 16 bytes.
func ValueOf(e *Entry, asHex bool, w int) Value {
	v := Value{}
	switch p := e.Payload; {
	case e.Shed:
		return Value{Binary, "given up to save memory", nil}
	case e.Size == 0:
		return Value{Empty, "empty", nil}
	case picture(p, &v):
	case utf8.Valid(trimRune(p, e.Cut())) && !hasControls(p):
		v.Kind, v.About = Text, "text"
		if lines, ok := pretty(p); ok {
			v.Kind, v.About, v.Lines = JSON, "JSON", lines
		} else {
			v.Lines = textLines(p)
		}
	default:
		v.Kind, v.About = Binary, "binary"
	}
	if asHex || v.Lines == nil {
		v.Lines = hexLines(e.Payload, w)
	}
	return v
}

// picture reads the size from the head of a JPEG, PNG or GIF.
func picture(p []byte, v *Value) bool {
	c, name, err := image.DecodeConfig(bytes.NewReader(p))
	if err != nil {
		return false
	}
	v.Kind, v.About = Picture, fmt.Sprintf("%s picture, %d×%d", strings.ToUpper(name), c.Width, c.Height)
	return true
}

// trimRune leaves out a letter that was cut in two.
func trimRune(p []byte, cut bool) []byte {
	if !cut {
		return p
	}
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if utf8.RuneStart(p[len(p)-i]) {
			if !utf8.FullRune(p[len(p)-i:]) {
				return p[:len(p)-i]
			}
			return p
		}
	}
	return p
}

func hasControls(p []byte) bool {
	return bytes.ContainsFunc(p, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' })
}

// maxDepth is how deep JSON may go to be indented: two spaces a level make twenty kilobytes of brackets
// two hundred megabytes.
const maxDepth = 64

// depth is how deep valid JSON goes.
func depth(p []byte) (most int) {
	at, text := 0, false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '[' || c == '{':
			at++
			most = max(most, at)
		case c == ']' || c == '}':
			at--
		}
	}
	return most
}

// pretty indents JSON. Numbers and the order of keys stay as they are.
func pretty(p []byte) ([]string, bool) {
	t := bytes.TrimSpace(p)
	if len(t) == 0 || !json.Valid(t) || depth(t) > maxDepth {
		return nil, false
	}
	var b bytes.Buffer
	if json.Indent(&b, t, "", "  ") != nil {
		return nil, false
	}
	return textLines(b.Bytes()), true
}

func textLines(p []byte) []string {
	var lines []string
	for line := range bytes.Lines(p) {
		if len(lines) == maxLines {
			return append(lines, "…")
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) > maxLine {
			line = append(bytes.ToValidUTF8(line[:maxLine:maxLine], nil), "…"...)
		}
		lines = append(lines, Clean(string(line)))
	}
	return lines
}

// hexLines are a hex dump: the offset, the bytes, and the same as letters.
func hexLines(p []byte, w int) []string {
	per := 16
	for per > 4 && 7+4*per > w {
		per /= 2
	}
	var lines []string
	for at := 0; at < len(p); at += per {
		if len(lines) == maxLines {
			return append(lines, "…")
		}
		row := p[at:min(at+per, len(p))]
		var b strings.Builder
		fmt.Fprintf(&b, "%04x  ", at)
		for i := range per {
			if i < len(row) {
				b.WriteString(hex.EncodeToString(row[i:i+1]) + " ")
			} else {
				b.WriteString("   ")
			}
		}
		b.WriteByte(' ')
		for _, c := range row {
			if c < ' ' || c > '~' {
				c = '.'
			}
			b.WriteByte(c)
		}
		lines = append(lines, b.String())
	}
	return lines
}

// Clean makes a text from outside safe to print on a terminal, in one line: what is no letter, sign or
// space, such as an escape sequence or a mark that turns the direction of writing, becomes a dot.
func Clean(s string) string {
	ok := func(r rune) bool { return r != utf8.RuneError && (unicode.IsGraphic(r) || r == '\t') }
	if strings.IndexFunc(s, func(r rune) bool { return !ok(r) || r == '\t' || r > unicode.MaxASCII && unicode.IsSpace(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t':
			b.WriteString("  ")
		case r > unicode.MaxASCII && unicode.IsSpace(r):
			b.WriteByte(' ')
		case !ok(r):
			b.WriteRune('·')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Line is a payload in one line, of at most n bytes. Of an envelope it is the data: the rest is the same
// on each line.
func Line(e *Entry, n int) string {
	switch p := e.Payload; {
	case e.Shed:
		return "(given up)"
	case e.Size == 0:
		return "(empty)"
	case !utf8.Valid(trimRune(p, e.Cut())) || hasControls(p):
		var v Value
		if picture(p, &v) {
			return "(" + v.About + ")"
		}
		return fmt.Sprintf("(%d bytes)", e.Size)
	default:
		if _, data, ok := contract.Peek(p); ok {
			p = data
		}
		p = p[:min(len(p), n)]
		return Clean(strings.Join(strings.Fields(string(bytes.ToValidUTF8(p, nil))), " "))
	}
}

// Change says what became of a line.
type Change byte

// The changes.
const (
	Same Change = iota
	Added
	Removed
)

// DiffLine is a line of a comparison.
type DiffLine struct {
	Change Change
	Text   string
}

// maxDiff bounds the lines of each side: the comparison takes their product.
const maxDiff = 400

// Diff compares two values by lines (the longest common subsequence). ok is false if one is too long.
func Diff(before, after []string) (lines []DiffLine, ok bool) {
	if len(before) > maxDiff || len(after) > maxDiff {
		return nil, false
	}
	n, m := len(before), len(after)
	common := make([]uint16, (n+1)*(m+1)) // of the ends from i and j on
	at := func(i, j int) *uint16 { return &common[i*(m+1)+j] }
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if before[i] == after[j] {
				*at(i, j) = *at(i+1, j+1) + 1
			} else {
				*at(i, j) = max(*at(i+1, j), *at(i, j+1))
			}
		}
	}
	i, j := 0, 0
	for i < n || j < m {
		switch {
		case i < n && j < m && before[i] == after[j]:
			lines = append(lines, DiffLine{Same, after[j]})
			i, j = i+1, j+1
		case j == m || i < n && *at(i+1, j) >= *at(i, j+1):
			lines = append(lines, DiffLine{Removed, before[i]})
			i++
		default:
			lines = append(lines, DiffLine{Added, after[j]})
			j++
		}
	}
	return lines, true
}
