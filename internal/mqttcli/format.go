package mqttcli

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// message is a PUBLISH, in either direction.
type message struct {
	topic   string
	payload []byte
	qos     byte
	retain  bool
	dup     bool
	id      uint16
	props   *paho.PublishProperties // nil with MQTT 3, and when there are none
}

// format is a compiled -F string.
type format struct{ pieces []piece }

// piece is one part of a format: literal text, a time conversion or a parameter.
type piece struct {
	literal string
	verb    byte // after % or, with clock, after @; 0: literal
	clock   bool
	left    bool
	pad     byte
	width   int
	cut     int // precision; -1 none
}

const maxWidth = 10000 // a width is padding on every line; more is a typing error

// compile reads a format string. It refuses what mosquitto_sub refuses.
func compile(s string) (*format, error) {
	f := &format{}
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			f.pieces = append(f.pieces, piece{literal: text.String()})
			text.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '%':
			flush()
			p, n, err := compilePercent(s[i+1:])
			if err != nil {
				return nil, err
			}
			f.pieces = append(f.pieces, p)
			i += n
		case '@':
			if i++; i == len(s) {
				return nil, fmt.Errorf("incomplete format specifier")
			}
			if s[i] == '@' {
				text.WriteByte('@')
				continue
			}
			flush()
			f.pieces = append(f.pieces, piece{verb: s[i], clock: true})
		case '\\':
			if i++; i == len(s) {
				return nil, fmt.Errorf("incomplete escape specifier")
			}
			k := strings.IndexByte(`\0aenrtv`, s[i])
			if k < 0 {
				return nil, fmt.Errorf("invalid escape specifier '%c'", s[i])
			}
			text.WriteByte("\\\x00\a\x1b\n\r\t\v"[k])
		default:
			text.WriteByte(s[i])
		}
	}
	flush()
	return f, nil
}

// compilePercent reads what follows a % and says how long it is.
func compilePercent(s string) (piece, int, error) {
	p := piece{pad: ' ', cut: -1}
	i := 0
	next := func() byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	digits := func() int {
		n := 0
		for ; next() >= '0' && next() <= '9'; i++ {
			n = min(n*10+int(s[i]-'0'), maxWidth)
		}
		return n
	}
	if next() == '-' {
		p.left = true
		i++
	}
	if next() == '0' {
		p.pad = '0'
		i++
	}
	p.width = digits()
	if next() == '.' {
		i++
		p.cut = digits()
	}
	if i >= len(s) {
		return p, i, fmt.Errorf("incomplete format specifier")
	}
	p.verb = s[i]
	if !strings.ContainsRune("%ACDEFIJjlmPpqRrStUXx", rune(p.verb)) {
		return p, i, fmt.Errorf("invalid format specifier '%c'", p.verb)
	}
	return p, i + 1, nil
}

// append writes a message in the format. Problems with single parameters go to complain and
// leave the rest of the line as it is.
func (f *format) append(b []byte, m *message, now time.Time, pretty bool, complain func(error)) []byte {
	for i := range f.pieces {
		p := &f.pieces[i]
		switch {
		case p.verb == 0:
			b = append(b, p.literal...)
		case p.clock:
			b = strftime(b, p.verb, now)
		default:
			b = p.append(b, m, now, pretty, complain)
		}
	}
	return b
}

func (p *piece) append(b []byte, m *message, now time.Time, pretty bool, complain func(error)) []byte {
	switch p.verb {
	case '%':
		return append(b, '%')
	case 'I':
		return p.text(b, now.Format("2006-01-02T15:04:05-0700"))
	case 'U':
		return fmt.Appendf(b, "%d.%09d", now.Unix(), now.Nanosecond())
	case 'j', 'J':
		out, err := appendJSON(b, m, now, p.verb == 'j', pretty)
		if err != nil {
			complain(err)
			return b
		}
		return out
	case 'l':
		return p.number(b, len(m.payload))
	case 'm':
		return p.number(b, int(m.id))
	case 'p':
		return p.bytes(b, m.payload, 1, func(b, v []byte) []byte { return append(b, v...) })
	case 'x':
		return p.bytes(b, m.payload, 2, hex.AppendEncode)
	case 'X':
		return p.bytes(b, m.payload, 2, func(b, v []byte) []byte { return append(b, bytes.ToUpper(hex.AppendEncode(nil, v))...) })
	case 'q':
		return append(b, '0'+m.qos)
	case 'r':
		return append(b, map[bool]byte{false: '0', true: '1'}[m.retain])
	case 't':
		return p.text(b, m.topic)
	default:
		return p.property(b, m.props)
	}
}

// property writes a property of MQTT 5, or blanks of the field's width.
func (p *piece) property(b []byte, props *paho.PublishProperties) []byte {
	if props == nil {
		props = &paho.PublishProperties{}
	}
	switch p.verb {
	case 'A':
		return optional(p, b, props.TopicAlias)
	case 'E':
		return optional(p, b, props.MessageExpiry)
	case 'F':
		return optional(p, b, props.PayloadFormat)
	case 'S':
		return optional(p, b, props.SubscriptionIdentifier)
	case 'C':
		if props.ContentType == "" {
			return appendRepeat(b, ' ', p.width)
		}
		return p.text(b, props.ContentType)
	case 'R':
		if props.ResponseTopic == "" {
			return b
		}
		return p.text(b, props.ResponseTopic)
	case 'D':
		return append(b, props.CorrelationData...)
	case 'P':
		for i, u := range props.User {
			if i > 0 {
				b = append(b, ' ')
			}
			b = append(append(append(b, u.Key...), ':'), u.Value...)
		}
	}
	return b
}

func optional[T byte | uint16 | uint32 | int](p *piece, b []byte, v *T) []byte {
	if v == nil {
		return appendRepeat(b, p.pad, p.width)
	}
	return p.number(b, int(*v))
}

func appendRepeat(b []byte, c byte, n int) []byte {
	for range n {
		b = append(b, c)
	}
	return b
}

// number pads like printf's %d.
func (p *piece) number(b []byte, n int) []byte {
	s := strconv.Itoa(n)
	fill := p.width - len(s)
	if p.left {
		return appendRepeat(append(b, s...), ' ', fill)
	}
	return append(appendRepeat(b, p.pad, fill), s...)
}

// text pads and cuts like printf's %s, by bytes.
func (p *piece) text(b []byte, s string) []byte {
	if p.cut >= 0 && p.cut < len(s) {
		s = s[:p.cut]
	}
	if p.left {
		return appendRepeat(append(b, s...), ' ', p.width-len(s))
	}
	return append(appendRepeat(b, ' ', p.width-len(s)), s...)
}

// bytes writes the payload with each byte as cells characters. A width is a maximum too, and one
// of %x and %X counts as mosquitto_sub counts it: the payload is first cut to the width in bytes
// and then halved, so that its hexadecimal form fits.
func (p *piece) bytes(b, v []byte, cells int, encode func(b, v []byte) []byte) []byte {
	if p.width > 0 {
		v = v[:min(len(v), p.width)/cells]
	}
	fill := p.width - len(v)*cells
	if p.left {
		return appendRepeat(encode(b, v), ' ', fill)
	}
	return encode(appendRepeat(b, p.pad, fill), v)
}

// strftime writes one conversion of C's strftime in the C locale, and @N, the nanoseconds.
func strftime(b []byte, verb byte, t time.Time) []byte {
	if layout, ok := layouts[verb]; ok {
		return t.AppendFormat(b, layout)
	}
	year, week := t.ISOWeek()
	weekday := int(t.Weekday())
	switch verb {
	case 'N':
		return fmt.Appendf(b, "%09d", t.Nanosecond())
	case 'C':
		return fmt.Appendf(b, "%02d", t.Year()/100)
	case 'g':
		return fmt.Appendf(b, "%02d", year%100)
	case 'G':
		return fmt.Appendf(b, "%d", year)
	case 'j':
		return fmt.Appendf(b, "%03d", t.YearDay())
	case 'k':
		return fmt.Appendf(b, "%2d", t.Hour())
	case 'l':
		return fmt.Appendf(b, "%2d", (t.Hour()+11)%12+1)
	case 'n':
		return append(b, '\n')
	case 't':
		return append(b, '\t')
	case 'P':
		return append(b, strings.ToLower(t.Format("PM"))...)
	case 's':
		return strconv.AppendInt(b, t.Unix(), 10)
	case 'u':
		return strconv.AppendInt(b, int64((weekday+6)%7+1), 10)
	case 'w':
		return strconv.AppendInt(b, int64(weekday), 10)
	case 'U':
		return fmt.Appendf(b, "%02d", (t.YearDay()+6-weekday)/7)
	case 'W':
		return fmt.Appendf(b, "%02d", (t.YearDay()+6-(weekday+6)%7)/7)
	case 'V':
		return fmt.Appendf(b, "%02d", week)
	case '%':
		return append(b, '%')
	}
	return append(b, '%', verb) // as glibc does with what it does not know
}

// layouts are the conversions that Go's time package has too.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06",
	'e': "_2", 'F': "2006-01-02", 'h': "Jan", 'H': "15", 'I': "03", 'm': "01", 'M': "04", 'p': "PM", 'r': "03:04:05 PM",
	'R': "15:04", 'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}

// appendNumber writes a JSON number the way mosquitto_sub's %J does, unless that would lose some
// of it: then the number stays as it was sent.
func appendNumber(b []byte, s string) []byte {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(v, 0) {
		return append(b, s...)
	}
	if !strings.ContainsAny(s, ".eE") {
		if n, err := strconv.ParseInt(s, 10, 64); err != nil || n > 1<<53 || n < -(1<<53) {
			return append(b, s...)
		}
	}
	short := strconv.FormatFloat(v, 'g', 15, 64)
	w, _ := strconv.ParseFloat(short, 64)
	if limit := max(math.Abs(v), math.Abs(w)) * 0x1p-52; math.Abs(v-w) > limit {
		return strconv.AppendFloat(b, v, 'g', 17, 64)
	}
	if v != w {
		return append(b, s...) // cJSON finds these two equal
	}
	return append(b, short...)
}
