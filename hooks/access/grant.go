package access

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tarsd/tarsd/internal/wire"
)

// names are the values that stand for %c and %u in a grant.
type names struct {
	client string
	user   string
}

// grant allows one topic filter, for publishing, for subscribing or for both.
type grant struct {
	publish   bool
	subscribe bool
	levels    []level
}

// level is one level of a grant's filter.
type level struct {
	kind  levelKind
	parts []part // of a name; concatenated they are what a topic level must equal
}

type levelKind byte

const (
	nameLevel   levelKind = iota
	singleLevel           // +
	multiLevel            // #
)

// part is fixed text or a placeholder.
type part struct {
	text string
	from placeholder
}

type placeholder byte

const (
	fixedText placeholder = iota
	clientID              // %c
	userName              // %u
)

// parseGrant reads one grant: "publish FILTER", "subscribe FILTER" or "both FILTER".
func parseGrant(text string) (grant, error) {
	verb, filter, found := strings.Cut(strings.TrimSpace(text), " ")
	filter = strings.TrimSpace(filter)
	var g grant
	switch verb {
	case "publish":
		g.publish = true
	case "subscribe":
		g.subscribe = true
	case "both":
		g.publish, g.subscribe = true, true
	default:
		found = false
	}
	if !found || filter == "" {
		return grant{}, fmt.Errorf("%q: must be publish, subscribe or both, and then a topic filter", text)
	}
	if g.publish && strings.HasPrefix(filter, "$") {
		return grant{}, fmt.Errorf("%q: topics that start with $ are the broker's own, clients may only subscribe to them", text)
	}
	if strings.HasPrefix(filter, "$share/") {
		return grant{}, fmt.Errorf("%q: write the filter without $share, a shared subscription needs the same grant", text)
	}
	if err := g.parseFilter(filter); err != nil {
		return grant{}, fmt.Errorf("%q: %w", text, err)
	}
	return g, nil
}

// parseFilter splits the filter into levels and checks it with placeholders filled in.
func (g *grant) parseFilter(filter string) error {
	sample := strings.NewReplacer("%%", "x", "%c", "x", "%u", "x").Replace(filter)
	if !wire.ValidFilter(sample) {
		return errors.New("is not a topic filter")
	}
	for text := range strings.SplitSeq(filter, "/") {
		l := level{}
		switch text {
		case "+":
			l.kind = singleLevel
		case "#":
			l.kind = multiLevel
		default:
			parts, err := parseParts(text)
			if err != nil {
				return err
			}
			l.parts = parts
		}
		g.levels = append(g.levels, l)
	}
	return nil
}

// parseParts splits one level at its placeholders.
func parseParts(text string) ([]part, error) {
	var parts []part
	var fixed strings.Builder
	flush := func() {
		if fixed.Len() > 0 {
			parts = append(parts, part{text: fixed.String()})
			fixed.Reset()
		}
	}
	for {
		before, after, found := strings.Cut(text, "%")
		fixed.WriteString(before)
		if !found {
			flush()
			return parts, nil
		}
		switch {
		case strings.HasPrefix(after, "%"):
			fixed.WriteByte('%')
		case strings.HasPrefix(after, "c"):
			flush()
			parts = append(parts, part{from: clientID})
		case strings.HasPrefix(after, "u"):
			flush()
			parts = append(parts, part{from: userName})
		default:
			return nil, errors.New("% must be followed by c (client id), u (user) or another %")
		}
		text = after[1:]
	}
}

// covers reports whether every topic that filter can match is matched by the grant as well. A
// topic is a filter that matches itself, so that this answers both questions a policy is asked.
// Topics that start with $ are covered only by a grant that names their first level.
//
// One grant has to cover all of it: a filter that only several grants together cover is not
// allowed, because an owner who reads the list could not tell.
func (g *grant) covers(n names, filter string) bool {
	rest, more := filter, true
	for i := range g.levels {
		l := &g.levels[i]
		if l.kind == multiLevel {
			return i > 0 || !strings.HasPrefix(filter, "$")
		}
		if !more {
			return false
		}
		var name string
		name, rest, more = strings.Cut(rest, "/")
		switch {
		case name == "#":
			// It stands for this level's parent as well, which no further level of the grant can
			// match. Only at the start is there no parent, which makes +/# equal to #.
			return i == 0 && l.kind == singleLevel && len(g.levels) == 2 && g.levels[1].kind == multiLevel
		case l.kind == singleLevel:
			if i == 0 && strings.HasPrefix(name, "$") {
				return false
			}
		case name == "+" || !l.equals(n, name):
			return false
		}
	}
	return !more
}

// equals compares a level that is a name. A value that could change the filter's shape, or that
// is not there, equals nothing.
func (l *level) equals(n names, name string) bool {
	for i := range l.parts {
		text := l.parts[i].text
		if from := l.parts[i].from; from != fixedText {
			text = n.user
			if from == clientID {
				text = n.client
			}
			if !usable(text) {
				return false
			}
		}
		if !strings.HasPrefix(name, text) {
			return false
		}
		name = name[len(text):]
	}
	return name == ""
}

// usable reports whether a client id or user name may stand in a filter.
func usable(value string) bool {
	return value != "" && value[0] != '$' && !strings.ContainsAny(value, "+#/\x00")
}
