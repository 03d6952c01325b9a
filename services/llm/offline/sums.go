package offline

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// The bounds of a sum: nobody speaks longer ones.
const (
	maxSumBytes  = 400
	maxSumTokens = 100
	maxSumDepth  = 32
)

var (
	errNoSum     = errors.New("not a sum")
	errUndefined = errors.New("not defined")
	errHuge      = errors.New("too large")
)

// token is a number or an operator of a sum.
type token struct {
	op string // empty for a number; else one of + - * / ^ ( ) mod sqrt % ! sq cube
	n  float64
}

// operators are the words for them, the longest first where one begins another.
var operators = []struct{ words, op string }{
	{"to the power of", "^"}, {"raised to", "^"}, {"multiplied by", "*"}, {"multiply by", "*"}, {"divided by", "/"}, {"divide by", "/"},
	{"square root of", "sqrt"}, {"root of", "sqrt"}, {"percent of", "%of"}, {"% of", "%of"}, {"per cent", "%"}, {"percent", "%"}, {"modulo", "mod"},
	{"squared", "sq"}, {"cubed", "cube"}, {"factorial", "!"}, {"plus", "+"}, {"minus", "-"}, {"negative", "-"}, {"times", "*"},
	{"over", "/"}, {"mod", "mod"}, {"half of", "half"}, {"x", "*"},
	{"**", "^"}, {"+", "+"}, {"-", "-"}, {"−", "-"}, {"*", "*"}, {"×", "*"}, {"/", "/"}, {"÷", "/"}, {"^", "^"}, {"(", "("}, {")", ")"},
	{"%", "%"}, {"!", "!"}, {"²", "sq"}, {"³", "cube"},
}

// fillers may stand around a sum.
var fillers = []string{
	"what is the result of", "what is the", "what is", "what s the", "what s", "whats", "how much is", "how much are", "what does", "what are",
	"can you", "could you", "please", "calculate", "compute", "work out", "tell me", "equal to", "equals", "equal", "the", "=", "make", "is", "?", ".", ",",
}

var units = map[string]float64{
	"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
	"twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
}

var tens = map[string]float64{
	"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}

var scales = map[string]float64{"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}

// sum computes a sum that is put in figures or in words. It is errNoSum when text is anything else.
func sum(text string) (float64, error) {
	if len(text) > maxSumBytes {
		return 0, errNoSum
	}
	tokens, err := tokenize(strings.ToLower(strings.ReplaceAll(text, "'", " ")))
	if err != nil {
		return 0, err
	}
	p := &parser{tokens: tokens}
	v, err := p.expr(0)
	if err == nil && (p.at != len(tokens) || p.steps == 0) {
		err = errNoSum
	}
	switch {
	case err != nil:
		return 0, err
	case math.IsNaN(v):
		return 0, errUndefined
	case math.IsInf(v, 0):
		return 0, errHuge
	}
	return v, nil
}

func tokenize(s string) ([]token, error) {
	var out []token
	for len(out) <= maxSumTokens {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		if s == "" {
			return out, nil
		}
		if n, rest, ok := number(s); ok {
			out, s = append(out, token{n: n}), rest
			continue
		}
		if op, rest, ok := operator(s); ok {
			switch op {
			case "%of":
				out = append(out, token{op: "%"}, token{op: "*"})
			case "half":
				out = append(out, token{n: 0.5}, token{op: "*"})
			default:
				out = append(out, token{op: op})
			}
			s = rest
			continue
		}
		rest, ok := filler(s)
		if !ok {
			return nil, errNoSum
		}
		s = rest
	}
	return nil, errNoSum
}

func operator(s string) (op, rest string, ok bool) {
	for _, o := range operators {
		if rest, ok := word(s, o.words); ok {
			return o.op, rest, true
		}
	}
	return "", s, false
}

func filler(s string) (rest string, ok bool) {
	for _, f := range fillers {
		if rest, ok := word(s, f); ok {
			return rest, true
		}
	}
	return s, false
}

// word cuts w off s, if s begins with it and, for letters, it ends there.
func word(s, w string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(s, w)
	if !ok {
		return s, false
	}
	if last := w[len(w)-1]; rest != "" && last >= 'a' && last <= 'z' && rest[0] >= 'a' && rest[0] <= 'z' {
		return s, false
	}
	return rest, true
}

// number reads a number in figures or in words from the beginning of s.
func number(s string) (n float64, rest string, ok bool) {
	if s[0] >= '0' && s[0] <= '9' || s[0] == '.' && len(s) > 1 && s[1] >= '0' && s[1] <= '9' {
		end := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != ',' })
		if end < 0 {
			end = len(s)
		}
		figures := strings.TrimRight(s[:end], ".,")
		n, err := strconv.ParseFloat(strings.ReplaceAll(figures, ",", ""), 64)
		rest = s[len(figures):]
		for scale, by := range scales {
			if after, ok := word(strings.TrimLeft(rest, " "), scale); ok {
				n, rest = n*by, after
			}
		}
		return n, rest, err == nil
	}
	return spelled(s)
}

// spelled reads a number in words: "one hundred and five thousand point two".
func spelled(s string) (n float64, rest string, ok bool) {
	total, group := 0.0, 0.0
	for {
		w, after := firstWord(s)
		if w == "and" && ok { // only within a number
			next, _ := firstWord(after)
			if _, unit := units[next]; !unit && tens[next] == 0 {
				break
			}
			w, after = firstWord(after)
		}
		switch u, isUnit := units[w]; {
		case isUnit && math.Mod(group, 10) == 0 && (u < 10 || math.Mod(group, 100) == 0) && (!ok || u > 0):
			group += u
		case tens[w] > 0 && math.Mod(group, 100) == 0:
			group += tens[w]
		case w == "hundred" && ok && group > 0 && group < 100:
			group *= 100
		case scales[w] > 0 && ok && group > 0:
			total, group = total+group*scales[w], 0
		case w == "point" && ok:
			f, rest := fraction(after)
			return total + group + f, rest, true
		default:
			return total + group, s, ok
		}
		s, ok = after, true
	}
	return total + group, s, ok
}

// fraction reads the digits after "point".
func fraction(s string) (f float64, rest string) {
	for by := 0.1; by > 1e-9; by /= 10 {
		w, after := firstWord(s)
		d, ok := units[w]
		if !ok || d > 9 {
			break
		}
		f, s = f+d*by, after
	}
	return f, s
}

func firstWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, " -\t")
	end := strings.IndexFunc(s, func(r rune) bool { return r < 'a' || r > 'z' })
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}

// parser computes while it reads. steps counts the operations: without one there is no sum.
type parser struct {
	tokens    []token
	at, steps int
}

func (p *parser) op(ops ...string) string {
	if p.at < len(p.tokens) {
		for _, o := range ops {
			if p.tokens[p.at].op == o {
				p.at++
				return o
			}
		}
	}
	return ""
}

func (p *parser) expr(depth int) (float64, error) {
	if depth > maxSumDepth {
		return 0, errNoSum
	}
	v, err := p.term(depth)
	for err == nil {
		o := p.op("+", "-")
		if o == "" {
			break
		}
		p.steps++
		var w float64
		if w, err = p.term(depth); o == "-" {
			w = -w
		}
		v += w
	}
	return v, err
}

func (p *parser) term(depth int) (float64, error) {
	v, err := p.unary(depth)
	for err == nil {
		o := p.op("*", "/", "mod")
		if o == "" {
			break
		}
		p.steps++
		var w float64
		if w, err = p.unary(depth); err != nil {
			break
		}
		switch {
		case o == "*":
			v *= w
		case w == 0:
			return 0, errUndefined
		case o == "/":
			v /= w
		default:
			v = math.Mod(v, w)
		}
	}
	return v, err
}

func (p *parser) unary(depth int) (float64, error) {
	if depth > maxSumDepth {
		return 0, errNoSum
	}
	switch p.op("-", "sqrt") {
	case "-":
		v, err := p.unary(depth + 1)
		return -v, err
	case "sqrt":
		p.steps++
		v, err := p.unary(depth + 1)
		if err == nil && v < 0 {
			err = errUndefined
		}
		return math.Sqrt(v), err
	}
	v, err := p.postfix(depth)
	if err == nil && p.op("^") != "" {
		p.steps++
		var w float64
		if w, err = p.unary(depth + 1); err == nil {
			v = math.Pow(v, w)
		}
	}
	return v, err
}

func (p *parser) postfix(depth int) (float64, error) {
	v, err := p.atom(depth)
	for err == nil {
		o := p.op("sq", "cube", "%", "!")
		if o == "" {
			break
		}
		p.steps++
		switch o {
		case "sq":
			v *= v
		case "cube":
			v = v * v * v
		case "%":
			v /= 100
		case "!":
			if v < 0 || v != math.Trunc(v) {
				return 0, errUndefined
			}
			if v > 170 {
				return 0, errHuge
			}
			f := 1.0
			for i := 2.0; i <= v; i++ {
				f *= i
			}
			v = f
		}
	}
	return v, err
}

func (p *parser) atom(depth int) (float64, error) {
	if p.op("(") != "" {
		v, err := p.expr(depth + 1)
		if err == nil && p.op(")") == "" {
			err = errNoSum
		}
		return v, err
	}
	if p.at >= len(p.tokens) || p.tokens[p.at].op != "" {
		return 0, errNoSum
	}
	p.at++
	return p.tokens[p.at-1].n, nil
}

// figure writes a result so that it can be spoken.
func figure(v float64) string {
	if v == 0 {
		return "0"
	}
	if a := math.Abs(v); a >= 1e15 || a < 1e-6 {
		mantissa, exp, _ := strings.Cut(strconv.FormatFloat(v, 'e', 2, 64), "e")
		exp = strings.TrimPrefix(exp, "+")
		if n, err := strconv.Atoi(exp); err == nil {
			exp = strconv.Itoa(n)
		}
		return "about " + mantissa + " times ten to the power of " + exp
	}
	rounded := strconv.FormatFloat(v, 'f', 6, 64)
	rounded = strings.TrimRight(strings.TrimRight(rounded, "0"), ".")
	if back, err := strconv.ParseFloat(rounded, 64); err == nil && math.Abs(back-v) > 1e-9*math.Abs(v) {
		return "about " + rounded
	}
	return rounded
}
