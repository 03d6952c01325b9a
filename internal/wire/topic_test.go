package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestValidTopic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, topic string
		ok          bool
	}{
		{"short", "a", true},
		{"long", "home/kitchen/light/1/state", true},
		{"eight bytes", "abcdefgh", true},
		{"MQTT-4.7.3-1", "", false},
		{"MQTT-4.7.3-3 longest", strings.Repeat("x", 65535), true},
		{"MQTT-4.7.3-3", strings.Repeat("x", 65536), false},
		{"section 4.7.3 slash only", "/", true},
		{"section 4.7.3 space", "a b", true},
		{"section 4.7.2 dollar", "$SYS/x", true},
		{"not ASCII", "küche/licht", true},
		{"not ASCII, four bytes", "a/\U0001F916/b", true},
		{"MQTT-1.5.4-3 byte order mark", "\uFEFFa", true},
		{"MQTT-1.5.4-1 largest below surrogates", "a\uD7FF", true},
		{"control character", "a\x01", true},
		{"MQTT-1.5.4-1 surrogate", "a\xED\xA0\x80", false},
		{"MQTT-1.5.4-1 overlong", "a\xC0\x80", false},
		{"MQTT-1.5.4-1 too large", "\xF4\x90\x80\x80", false},
		{"MQTT-1.5.4-1 cut off", "abcdefg\xC3", false},
		{"MQTT-1.5.4-2", "\x00", false},
		{"MQTT-1.5.4-2 in a long one", "abcdefgh\x00ijklmnop", false},
		{"MQTT-1.5.4-2 not ASCII", "ü\x00", false},
		{"MQTT-3.3.2-2 plus", "a/+/b", false},
		{"MQTT-3.3.2-2 hash", "a/#", false},
		{"MQTT-3.3.2-2 not ASCII", "ü/+", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.ok, ValidTopic([]byte(c.topic)))
		})
	}
}

// plain looks at words: each position in words of each length must count.
func TestPlain(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		b := []byte(strings.Repeat("/\x7F\x01*\",$ ", 5)[:n]) // next to what is looked for
		assert.True(t, plain(b), "%q", b)
		for i := range b {
			for _, c := range []byte{0, '+', '#', 0x80, 0xAB, 0xFF} {
				was := b[i]
				b[i] = c
				assert.False(t, plain(b), "%q", b)
				b[i] = was
			}
		}
	}
}

func TestValidFilter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, filter string
		ok           bool
	}{
		{"plain", "a/b", true},
		{"MQTT-4.7.3-1", "", false},
		{"MQTT-4.7.3-3", strings.Repeat("x", 65536), false},
		{"MQTT-4.7.1-1 all", "#", true},
		{"MQTT-4.7.1-1 last level", "a/b/#", true},
		{"MQTT-4.7.1-1 after slash", "/#", true},
		{"MQTT-4.7.1-1 not last", "a/#/b", false},
		{"MQTT-4.7.1-1 not last, at once", "#/", false},
		{"MQTT-4.7.1-1 not a whole level", "a/b#", false},
		{"MQTT-4.7.1-1 twice", "##", false},
		{"MQTT-4.7.1-2 alone", "+", true},
		{"MQTT-4.7.1-2 any level", "+/a/+/b/+", true},
		{"MQTT-4.7.1-2 with hash", "+/#", true},
		{"MQTT-4.7.1-2 empty levels", "/+", true},
		{"MQTT-4.7.1-2 begins a level", "+a", false},
		{"MQTT-4.7.1-2 ends a level", "a/b+/c", false},
		{"MQTT-4.7.1-2 twice", "++", false},
		{"MQTT-4.7.1-2 before hash", "a/+#", false},
		{"MQTT-1.5.4-2", "a\x00", false},
		{"MQTT-1.5.4-1", "a\xED\xA0\x80", false},
		{"not ASCII", "küche/+", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.ok, ValidFilter(c.filter))
		})
	}
}

func TestSplitShare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in, group, filter string
		shared, ok              bool
	}{
		{"plain", "a/b", "", "a/b", false, true},
		{"share without slash is a plain filter", "$share", "", "$share", false, true},
		{"another name", "$shared/a/b", "", "$shared/a/b", false, true},
		{"MQTT-4.8.2-1", "$share/g/a/+/#", "g", "a/+/#", true, true},
		{"MQTT-4.8.2-2 leading slash", "$share/g//a", "g", "/a", true, true},
		{"MQTT-4.8.2-1 empty group", "$share//a", "", "a", true, false},
		{"MQTT-4.8.2-1 plus", "$share/g+/a", "g+", "a", true, false},
		{"MQTT-4.8.2-1 hash", "$share/#/a", "#", "a", true, false},
		{"MQTT-4.8.2-2 no filter", "$share/g/", "g", "", true, false},
		{"MQTT-4.8.2-2 no slash", "$share/g", "g", "", true, false},
		{"nothing", "$share/", "", "", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			group, filter, shared, ok := SplitShare(c.in)
			assert.Equal(t, []any{c.group, c.filter, c.shared, c.ok}, []any{group, filter, shared, ok})
		})
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter, topic string
		ok            bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "A", false},
		{"a", "a/", false},
		{"a/", "a", false},
		{"a/", "a/", true},
		{"/a", "a", false},
		{"a/b", "a/b", true},
		{"a/b", "a/b/c", false},
		{"a/b/c", "a/b", false},
		{"#", "a", true},
		{"#", "/", true},
		{"#", "a/b/c", true},
		{"a/#", "a", true},
		{"a/#", "a/", true},
		{"a/#", "a/b/c", true},
		{"a/#", "ab", false},
		{"+", "a", true},
		{"+", "", false},
		{"", "a", false},
		{"+", "a/b", false},
		{"+", "/a", false},
		{"+/+", "/a", true},
		{"/+", "/a", true},
		{"a/+", "a", false},
		{"a/+", "a/", true},
		{"a/+/c", "a/b/c", true},
		{"a/+/c", "a/b/d", false},
		{"+/#", "a", true},
		{"a/+/#", "a", false},
		{"a/+/#", "a/b", true},
		// [MQTT-4.7.2-1]
		{"#", "$SYS/a", false},
		{"+/a", "$SYS/a", false},
		{"$SYS/#", "$SYS/a", true},
		{"$SYS/+", "$SYS/a", true},
		{"$SYS/a", "$SYS/a", true},
		{"a/#", "a/$b", true},
	} {
		assert.Equal(t, c.ok, Match(c.filter, c.topic), "%q on %q", c.filter, c.topic)
	}
}
