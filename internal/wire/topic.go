package wire

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// MaxText is the longest string of the protocol in bytes. [MQTT-4.7.3-3]
const MaxText = 65535

// validText reports whether b is UTF-8 as the protocol wants it: well formed, without
// surrogates [MQTT-1.5.4-1] and without U+0000 [MQTT-1.5.4-2]. Control characters and a byte
// order mark are allowed [MQTT-1.5.4-3].
func validText(b []byte) bool { return bytes.IndexByte(b, 0) < 0 && utf8.Valid(b) }

const (
	ones  = 0x0101_0101_0101_0101
	highs = 0x8080_8080_8080_8080
)

// odd is not zero if a byte of w is not ASCII, NUL or a wildcard.
func odd(w uint64) uint64 {
	const plus, hash = '+' * ones, '#' * ones
	// (x-ones)&^x has the high bit of a byte set if a byte of x is zero.
	p, h := w^plus, w^hash
	return (w | (w-ones)&^w | (p-ones)&^p | (h-ones)&^h) & highs
}

// plain reports whether b is ASCII without NUL and wildcards, as almost all topics are. It looks
// at eight bytes at a time, because it runs for every message.
func plain(b []byte) bool {
	if len(b) < 8 {
		for _, c := range b {
			if c >= utf8.RuneSelf || c == 0 || c == '+' || c == '#' {
				return false
			}
		}
		return true
	}
	for i := 0; i+8 < len(b); i += 8 {
		if odd(binary.LittleEndian.Uint64(b[i:])) != 0 {
			return false
		}
	}
	return odd(binary.LittleEndian.Uint64(b[len(b)-8:])) == 0 // overlaps the word before
}

// ValidTopic reports whether t can be the name of a topic: 1 to 65,535 bytes [MQTT-4.7.3-1]
// [MQTT-4.7.3-3], UTF-8 without NUL, without wildcards [MQTT-3.3.2-2].
func ValidTopic(t []byte) bool {
	if len(t) == 0 || len(t) > MaxText {
		return false
	}
	return plain(t) || validText(t) && !wild(t)
}

// wild reports whether t holds a wildcard.
func wild(t []byte) bool { return bytes.IndexByte(t, '+') >= 0 || bytes.IndexByte(t, '#') >= 0 }

// ValidFilter reports whether f can be a topic filter: the rules of a name, but "+" may stand
// for a whole level [MQTT-4.7.1-2] and "#" for the last one [MQTT-4.7.1-1]. It knows nothing of
// shared subscriptions: see SplitShare.
func ValidFilter(f string) bool {
	if f == "" || len(f) > MaxText || strings.IndexByte(f, 0) >= 0 || !utf8.ValidString(f) {
		return false
	}
	for i := range len(f) {
		switch f[i] {
		case '#':
			if i != len(f)-1 || i > 0 && f[i-1] != '/' {
				return false
			}
		case '+':
			if i > 0 && f[i-1] != '/' || i < len(f)-1 && f[i+1] != '/' {
				return false
			}
		}
	}
	return true
}

// sharePrefix starts the filter of a shared subscription. [MQTT-4.8.2-1]
const sharePrefix = "$share/"

// SplitShare takes "$share/group/filter" apart. For any other filter shared is false and the
// filter comes back as it is. ok is false if the group is empty or holds a wildcard
// [MQTT-4.8.2-1], or if no filter follows it [MQTT-4.8.2-2]; that the filter is a valid one is
// for ValidFilter to say.
func SplitShare(f string) (group, filter string, shared, ok bool) {
	rest, shared := strings.CutPrefix(f, sharePrefix)
	if !shared {
		return "", f, false, true
	}
	group, filter, _ = strings.Cut(rest, "/")
	ok = group != "" && filter != "" && !strings.ContainsAny(group, "+#")
	return group, filter, true, ok
}

// Match reports whether a valid filter matches a topic name. Wildcards in the first level do not
// match names that start with "$". [MQTT-4.7.2-1]
func Match(filter, topic string) bool {
	if topic == "" || filter == "" || topic[0] == '$' && filter[0] != '$' {
		return false
	}
	for {
		if filter == "#" {
			return true
		}
		f, frest, fmore := strings.Cut(filter, "/")
		t, trest, tmore := strings.Cut(topic, "/")
		if f != "+" && f != t {
			return false
		}
		if !tmore { // "a/#" matches "a", too: section 4.7.1.2
			return !fmore || frest == "#"
		}
		if !fmore {
			return false
		}
		filter, topic = frest, trest
	}
}
