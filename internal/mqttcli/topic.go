package mqttcli

import "strings"

// validTopic tells whether a message can be published to t.
func validTopic(t string) bool {
	return t != "" && len(t) <= 65535 && !strings.ContainsAny(t, "+#\x00")
}

// validFilter tells whether f can be subscribed to.
func validFilter(f string) bool {
	if f == "" || len(f) > 65535 || strings.Contains(f, "\x00") {
		return false
	}
	levels := strings.Split(f, "/")
	for i, l := range levels {
		if strings.ContainsAny(l, "+#") && len(l) > 1 || l == "#" && i < len(levels)-1 {
			return false
		}
	}
	return true
}

// matches tells whether a topic is within a filter.
func matches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && filter[0] != '$' {
		return false
	}
	for {
		f, filterRest, filterMore := strings.Cut(filter, "/")
		t, topicRest, topicMore := strings.Cut(topic, "/")
		switch {
		case f == "#":
			return true
		case f != "+" && f != t:
			return false
		case !filterMore:
			return !topicMore
		case !topicMore:
			return filterRest == "#"
		}
		filter, topic = filterRest, topicRest
	}
}
