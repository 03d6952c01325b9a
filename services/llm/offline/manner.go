package offline

import "strings"

// manners are the ways to say one thing: plain, short, with humor, and formal. An empty way is
// not used.
type manners struct{ plain, short, funny, formal string }

// with puts s in the place of {}.
func (m manners) with(s string) manners {
	for _, w := range []*string{&m.plain, &m.short, &m.funny, &m.formal} {
		*w = strings.ReplaceAll(*w, "{}", s)
	}
	return m
}

// The traits that decide how things are said, and from where on.
const (
	much   = 60 // humor and formality from here on show
	little = 15 // verbosity up to here is terse
	middle = 50 // of a trait that the persona does not have
)

func (q *question) trait(name string) float64 {
	if v, ok := q.Traits[name]; ok {
		return v
	}
	return middle
}

// pick chooses the way that fits the persona. One with much humor is funny every other time: a
// joke in every answer is none.
func (q *question) pick(m manners) string {
	way := m.plain
	switch {
	case q.trait("formality") >= much && m.formal != "":
		way = m.formal
	case q.trait("humor") >= much && q.turn%2 == 0 && m.funny != "":
		way = m.funny
	case q.trait("verbosity") <= little && m.short != "":
		way = m.short
	}
	return strings.ReplaceAll(way, "{name}", q.name())
}

func (q *question) name() string {
	if q.Robot == "" {
		return "a robot"
	}
	return q.Robot
}

var (
	greetings = manners{
		plain: "Hello. What can I do for you?", short: "Hello.", formal: "Good day. How may I help you?",
		funny: "Hello. I was just pretending to be busy.",
	}
	silences = manners{plain: "I am listening.", short: "Yes?", formal: "I am at your service.", funny: "I heard a very expressive silence."}
)
