package health

import (
	"maps"
	"slices"
	"strings"
)

// legacyPrefix begins the client ids of services, and with older ones their health topics too.
const legacyPrefix = "tars-"

// maxName bounds a name in bytes. Names become labels, table cells and topics.
const maxName = 64

// DefaultNames are the other names of the robot's own peers, by name: client ids and health topics
// of the system that tarsd replaces, and names that its documents use for the same thing.
func DefaultNames() map[string][]string {
	return map[string][]string{
		"stt":            {"tars-stt"},
		"router":         {"tars-router"},
		"llm":            {"tars-llm"},
		"memory":         {"tars-memory"},
		"tts":            {"tars-tts"},
		"wake":           {"wake-activation"},
		"movement":       {"tars-movement", "movement-service"},
		"movement-esp32": {"movement-controller", "tars-esp32"},
		"camera":         {"tars-camera"},
		"ui":             {"ui-web", "tars-ui"},
	}
}

// names tells which names mean one peer. It does not change.
type names struct {
	others map[string][]string // by name
	name   map[string]string   // by other name
}

// newNames takes the table of the configuration over the defaults: its entries replace theirs.
func newNames(own map[string][]string) names {
	n := names{others: DefaultNames(), name: map[string]string{}}
	maps.Copy(n.others, own)
	byOwner := slices.Concat(slices.Sorted(maps.Keys(own)), slices.Sorted(maps.Keys(n.others))) // the owner's word counts
	for _, name := range byOwner {
		for _, other := range n.others[name] {
			if _, taken := n.name[other]; !taken && n.others[other] == nil {
				n.name[other] = name
			}
		}
	}
	return n
}

// of is the name of the peer that s is a name, a client id or a topic level of. It is empty if s
// cannot be one.
func (n names) of(s string) string {
	if !validName(s) {
		return ""
	}
	if _, listed := n.others[s]; listed {
		return s
	}
	if name, ok := n.name[s]; ok {
		return name
	}
	if short, ok := strings.CutPrefix(s, legacyPrefix); ok && short != "" {
		return n.of(short)
	}
	return s
}

// ofClient is the name of the peer that a client id stands for by itself; empty for all the others,
// such as tools and browsers, which become peers only by a health message or a heartbeat.
func (n names) ofClient(id string) string {
	name := n.of(id)
	if _, listed := n.others[name]; listed || strings.HasPrefix(id, legacyPrefix) {
		return name
	}
	return ""
}

// validName reports whether s can be a name: letters, digits, dot, dash and underscore.
func validName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
