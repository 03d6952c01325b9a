package spoken

import (
	"strconv"
	"strings"
)

var (
	small = strings.Fields("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
	tens  = strings.Fields("zero ten twenty thirty forty fifty sixty seventy eighty ninety")
)

// digits reads digit by digit, as one does of what is too long for a number or begins with 0.
func digits(s string) string {
	words := make([]string, 0, len(s))
	for _, r := range s {
		if r >= '0' && r <= '9' {
			words = append(words, small[r-'0'])
		}
	}
	return strings.Join(words, " ")
}

// number reads a number without a point. Commas between thousands do not matter.
func number(s string) string {
	s = strings.ReplaceAll(s, ",", "")
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n >= 1e15 || (len(s) > 2 && s[0] == '0') {
		return digits(s)
	}
	return cardinal(n)
}

func cardinal(n uint64) string {
	switch {
	case n < 20:
		return small[n]
	case n < 100:
		return join(tens[n/10], "-", n%10)
	case n < 1000:
		return join(small[n/100]+" hundred", " and ", n%100)
	}
	for _, scale := range []struct {
		n    uint64
		name string
	}{{1e12, " trillion"}, {1e9, " billion"}, {1e6, " million"}, {1e3, " thousand"}} {
		if n >= scale.n {
			rest := n % scale.n
			between := " "
			if rest < 100 {
				between = " and "
			}
			return join(cardinal(n/scale.n)+scale.name, between, rest)
		}
	}
	return ""
}

func join(head, between string, rest uint64) string {
	if rest == 0 {
		return head
	}
	return head + between + cardinal(rest)
}

// decimal reads a number whose part behind the point, with it, may be empty.
func decimal(whole, point string) string {
	out := number(whole)
	if point != "" {
		out += " point " + digits(point)
	}
	return out
}

// ordinal reads 1 to 99 as first to ninety-ninth.
func ordinal(s string) string {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 || n > 99 {
		return s
	}
	words := cardinal(n)
	head, last := "", words
	if i := strings.LastIndexByte(words, '-'); i >= 0 {
		head, last = words[:i+1], words[i+1:]
	}
	switch last {
	case "one":
		last = "first"
	case "two":
		last = "second"
	case "three":
		last = "third"
	case "five":
		last = "fifth"
	case "eight":
		last = "eighth"
	case "nine":
		last = "ninth"
	case "twelve":
		last = "twelfth"
	default:
		if y, ok := strings.CutSuffix(last, "y"); ok {
			last = y + "ieth"
		} else {
			last += "th"
		}
	}
	return head + last
}

// year reads four digits as a year.
func year(s string) string {
	high, low := s[:2], s[2:]
	switch {
	case low == "00" && high[1] == '0', high == "20" && low[0] == '0':
		return number(s)
	case low == "00":
		return number(high) + " hundred"
	case low[0] == '0':
		return number(high) + " oh " + number(low[1:])
	}
	return number(high) + " " + number(low)
}
