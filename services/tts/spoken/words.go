package spoken

import (
	"regexp"
	"strconv"
	"strings"
)

// Words writes what is not a word as one, in English: times, dates, decimals, units, money, ranges,
// addresses. Another language is left as it is, but for addresses, which nobody wants to hear.
func Words(text, lang string) string {
	text = address(text)
	if lang != "" && !strings.EqualFold(lang, "en") && !strings.HasPrefix(strings.ToLower(lang), "en-") && !strings.HasPrefix(strings.ToLower(lang), "en_") {
		return text
	}
	for _, r := range rules() {
		text = r.find.ReplaceAllStringFunc(text, func(m string) string {
			return r.say(r.find.FindStringSubmatch(m))
		})
	}
	return strings.TrimSpace(spaces.ReplaceAllString(text, " "))
}

type ruleOf struct {
	find *regexp.Regexp
	say  func(m []string) string
}

var (
	urlOf   = regexp.MustCompile(`\b(?:https?://|www\.)[^\s<>"]+`)
	mailOf  = regexp.MustCompile(`\b[\w.+-]+@[\w-]+(\.[\w-]+)+\b`)
	timeOf  = regexp.MustCompile(`\b([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?(?:\s?([AaPp])\.?[Mm]\b\.?)?`)
	hourOf  = regexp.MustCompile(`\b(1[0-2]|[1-9])\s?([AaPp])\.?[Mm]\b`)
	dateOf  = regexp.MustCompile(`\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b`)
	moneyOf = regexp.MustCompile(`([$€£])\s?(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{2}))?(?:\s(thousand|million|billion|trillion))?\b`)
	unitOf  = regexp.MustCompile(`(-?\d[\d,]*(?:\.\d+)?)\s?(°\s?C|°\s?F|°|%|km/h|m/s²|m/s|mph|kWh|kHz|MHz|GHz|Hz|kg|mg|km|cm|mm|ml|ms|GB|MB|kB|KB|TB|mA|kW|W|V|lbs?|ft|min|sec|hrs?|g|m|s|l|L)(\W|$)`)
	rangeOf = regexp.MustCompile(`\b(\d+(?:\.\d+)?)\s?[–-]\s?(\d+(?:\.\d+)?)\b`)
	ordOf   = regexp.MustCompile(`\b(\d{1,2})(st|nd|rd|th)\b`)
	fracOf  = regexp.MustCompile(`(\d*)([½¼¾])`)
	numOf   = regexp.MustCompile(`(^|[\s("'+=<>*/$€£-])(-?)(\d[\d,]*)(\.\d+)?\b`)
	yearOf  = regexp.MustCompile(`\b(in|since|of|by|from|until|year|around|January|February|March|April|May|June|July|August|September|October|November|December|\d(?:st|nd|rd|th)?,?)\s(1[1-9]\d\d|20\d\d)\b`)
	signOf  = regexp.MustCompile(`\s([&+=<>×÷≈≤≥→@/])\s`)
	ampOf   = regexp.MustCompile(`(\w)&(\w)`)
	shortOf = regexp.MustCompile(`\b(e\.g\.|i\.e\.|etc\.|vs\.?|approx\.)`)
	titleOf = regexp.MustCompile(`\b(Dr|Mr|Mrs|Ms|Prof)\.\s`)
)

// rules are applied in this order: what is longer goes first.
func rules() []ruleOf {
	return []ruleOf{
		{shortOf, func(m []string) string {
			return map[string]string{"e.g.": "for example", "i.e.": "that is", "etc.": "and so on", "vs": "versus", "vs.": "versus", "approx.": "approximately"}[m[1]]
		}},
		{titleOf, func(m []string) string {
			return map[string]string{"Dr": "Doctor", "Mr": "Mister", "Mrs": "Missis", "Ms": "Miss", "Prof": "Professor"}[m[1]] + " "
		}},
		{dateOf, sayDate}, {timeOf, sayTime},
		{hourOf, func(m []string) string { return number(m[1]) + " " + strings.ToUpper(m[2]) + " M" }},
		{moneyOf, sayMoney}, {unitOf, sayUnit},
		{yearOf, func(m []string) string { return m[1] + " " + year(m[2]) }},
		{rangeOf, func(m []string) string { return m[1] + " to " + m[2] }},
		{ordOf, func(m []string) string { return ordinal(m[1]) }},
		{fracOf, sayFraction},
		{numOf, func(m []string) string {
			lead := m[1]
			if m[2] == "-" {
				lead += "minus "
			}
			return lead + decimal(m[3], m[4])
		}},
		{ampOf, func(m []string) string { return m[1] + " and " + m[2] }},
		{signOf, func(m []string) string {
			return " " + map[string]string{
				"&": "and", "+": "plus", "=": "equals", "<": "is less than", ">": "is greater than", "×": "times", "÷": "divided by", "≈": "is about",
				"≤": "is at most", "≥": "is at least", "→": "to", "@": "at", "/": "or",
			}[m[1]] + " "
		}},
	}
}

// address shortens URLs to the host, and writes the dots of a mail address.
func address(text string) string {
	text = urlOf.ReplaceAllStringFunc(text, func(u string) string {
		end := u[len(strings.TrimRight(u, ".,;:!?)'")):]
		u = strings.TrimSuffix(u, end)
		_, host, ok := strings.Cut(u, "://")
		if !ok {
			host = u
		}
		host, _, _ = strings.Cut(host, "/")
		if i := strings.LastIndexByte(host, '@'); i >= 0 { // a password is nothing to say
			host = host[i+1:]
		}
		host, _, _ = strings.Cut(strings.TrimPrefix(host, "www."), "?")
		host, port, _ := strings.Cut(host, ":")
		if host = strings.ReplaceAll(host, ".", " dot "); port != "" {
			host += " port " + port
		}
		return host + end
	})
	return mailOf.ReplaceAllStringFunc(text, func(m string) string {
		return strings.NewReplacer("@", " at ", ".", " dot ", "_", " underscore ").Replace(m)
	})
}

func sayTime(m []string) string {
	h, _ := strconv.Atoi(m[1])
	out := number(m[1])
	if h == 0 {
		out = "zero"
	}
	switch {
	case m[2] == "00" && m[3] == "" && m[4] != "":
	case m[2] == "00" && m[3] == "" && h >= 1 && h <= 12:
		out += " o'clock"
	case m[2] == "00" && m[3] == "":
		out += " hundred"
	case m[2][0] == '0':
		out += " oh " + number(m[2][1:])
	default:
		out += " " + number(m[2])
	}
	if m[3] != "" {
		out += " and " + number(m[3]) + " seconds"
	}
	if m[4] != "" {
		out += " " + strings.ToUpper(m[4]) + " M"
	}
	if strings.HasSuffix(m[0], ".") && m[4] != "" { // of p.m., which may end the sentence
		out += "."
	}
	return out
}

func sayDate(m []string) string {
	month, _ := strconv.Atoi(m[2])
	names := []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
	return names[month-1] + " " + ordinal(m[3]) + ", " + year(m[1])
}

func sayMoney(m []string) string {
	one, many := "dollar", "dollars"
	switch m[1] {
	case "€":
		one, many = "euro", "euros"
	case "£":
		one, many = "pound", "pounds"
	}
	if m[4] != "" {
		point := m[3]
		if point != "" {
			point = "." + point
		}
		return decimal(m[2], point) + " " + m[4] + " " + many
	}
	out := decimal(m[2], "") + " " + plural(m[2], one, many)
	if m[3] != "" && m[3] != "00" {
		sub := "cents"
		if m[1] == "£" {
			sub = "pence"
		}
		out += " and " + number(m[3]) + " " + sub
	}
	return out
}

func sayUnit(m []string) string {
	names := units()[strings.ReplaceAll(m[2], " ", "")]
	n, minus := strings.CutPrefix(m[1], "-")
	whole, point, ok := strings.Cut(n, ".")
	if ok {
		point = "." + point
	}
	out := decimal(whole, point) + " " + plural(n, names[0], names[1])
	if minus {
		out = "minus " + out
	}
	return out + m[3]
}

// units are the names of units, of one and of many.
func units() map[string][2]string {
	return map[string][2]string{
		"°C": {"degree Celsius", "degrees Celsius"}, "°F": {"degree Fahrenheit", "degrees Fahrenheit"}, "°": {"degree", "degrees"}, "%": {"percent", "percent"},
		"km/h": {"kilometre per hour", "kilometres per hour"}, "m/s": {"metre per second", "metres per second"},
		"m/s²": {"metre per second squared", "metres per second squared"}, "mph": {"mile per hour", "miles per hour"},
		"kWh": {"kilowatt hour", "kilowatt hours"}, "kHz": {"kilohertz", "kilohertz"}, "MHz": {"megahertz", "megahertz"}, "GHz": {"gigahertz", "gigahertz"},
		"Hz": {"hertz", "hertz"}, "kg": {"kilogram", "kilograms"}, "mg": {"milligram", "milligrams"}, "g": {"gram", "grams"},
		"km": {"kilometre", "kilometres"}, "cm": {"centimetre", "centimetres"}, "mm": {"millimetre", "millimetres"}, "m": {"metre", "metres"},
		"ml": {"millilitre", "millilitres"}, "l": {"litre", "litres"}, "L": {"litre", "litres"},
		"ms": {"millisecond", "milliseconds"}, "s": {"second", "seconds"}, "sec": {"second", "seconds"}, "min": {"minute", "minutes"},
		"hr": {"hour", "hours"}, "hrs": {"hour", "hours"}, "lb": {"pound", "pounds"}, "lbs": {"pound", "pounds"}, "ft": {"foot", "feet"},
		"kB": {"kilobyte", "kilobytes"}, "KB": {"kilobyte", "kilobytes"}, "MB": {"megabyte", "megabytes"}, "GB": {"gigabyte", "gigabytes"}, "TB": {"terabyte", "terabytes"},
		"mA": {"milliampere", "milliamperes"}, "kW": {"kilowatt", "kilowatts"}, "W": {"watt", "watts"}, "V": {"volt", "volts"},
	}
}

func sayFraction(m []string) string {
	part := map[string]string{"½": "a half", "¼": "a quarter", "¾": "three quarters"}[m[2]]
	if m[1] == "" {
		return part
	}
	return number(m[1]) + " and " + part
}

func plural(n, one, many string) string {
	if n == "1" {
		return one
	}
	return many
}
