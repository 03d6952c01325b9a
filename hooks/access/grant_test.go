package access

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// match is MQTT's matching written from the specification, apart from the code under test.
func match(filter, topic string) bool {
	if topic[:min(1, len(topic))] == "$" && (filter[:1] == "+" || filter[:1] == "#") { // [MQTT-4.7.2-1]
		return false
	}
	return matchLevels(strings.Split(filter, "/"), strings.Split(topic, "/"))
}

func matchLevels(filter, topic []string) bool {
	switch {
	case len(filter) > 0 && filter[0] == "#":
		return true // the parent is matched as well
	case len(filter) == 0 || len(topic) == 0:
		return len(filter) == len(topic)
	case filter[0] == "+" || filter[0] == topic[0]:
		return matchLevels(filter[1:], topic[1:])
	}
	return false
}

func mustGrant(t testing.TB, text string) *grant {
	t.Helper()
	g, err := parseGrant(text)
	require.NoError(t, err)
	return &g
}

func TestCovers(t *testing.T) {
	t.Parallel()
	cases := []struct {
		grant, filter string
		want          bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a/b", false},
		{"a/b", "a", false},
		{"a/#", "a", true},
		{"a/#", "a/", true},
		{"a/#", "a/b/c", true},
		{"a/#", "a/+/b", true},
		{"a/#", "a/#", true},
		{"a/#", "ab", false},
		{"a/#", "#", false},
		{"a/#", "+/b", false},
		{"a/+", "a/b", true},
		{"a/+", "a/", true},
		{"a/+", "a", false},
		{"a/+", "a/+", true},
		{"a/+", "a/#", false},
		{"a/+/#", "a/b", true},
		{"a/+/#", "a/#", false}, // a itself
		{"a/+/#", "a/+/#", true},
		{"+/#", "#", true},
		{"#", "+/#", true},
		{"+/+/#", "#", false},
		{"+", "#", false},
		{"+", "+", true},
		{"+", "/", false},
		{"+/+", "/", true},
		{"#", "/", true},
		{"#", "$SYS", false},
		{"#", "$SYS/#", false},
		{"+/#", "$SYS/#", false},
		{"+/broker", "$SYS/broker", false},
		{"$SYS/#", "$SYS/broker/+", true},
		{"$SYS/#", "$SYS", true},
		{"$SYS/#", "#", false},
		{"$SYS/broker/#", "$SYS/#", false},
		{"$SYS/+", "$SYS/$x", true},
		{"a/#", "a/$x", true},
		{"a/+", "a/$x", true},
	}
	for _, c := range cases {
		g := mustGrant(t, "subscribe "+c.grant)
		assert.Equal(t, c.want, g.covers(names{}, c.filter), "%s covers %s", c.grant, c.filter)
	}
}

// TestCoversAllTopics compares with an enumeration of all topics over an alphabet which has a
// name that is in no filter, and one level more than any filter.
func TestCoversAllTopics(t *testing.T) {
	t.Parallel()
	var topics []string
	var grow func(prefix string, levels int)
	grow = func(prefix string, levels int) {
		for _, name := range []string{"a", "b", "", "$x", "other"} {
			topic := prefix + name
			topics = append(topics, topic)
			if levels > 1 {
				grow(topic+"/", levels-1)
			}
		}
	}
	grow("", 4)
	var filters []string
	var build func(prefix string, levels int)
	build = func(prefix string, levels int) {
		for _, name := range []string{"a", "b", "", "$x", "+", "#"} {
			filter := prefix + name
			if filter != "" {
				filters = append(filters, filter)
			}
			if levels > 1 && name != "#" {
				build(filter+"/", levels-1)
			}
		}
	}
	build("", 3)
	matched := make([][]bool, len(filters))
	for i, f := range filters {
		matched[i] = make([]bool, len(topics))
		for j, topic := range topics {
			matched[i][j] = match(f, topic)
		}
	}
	for gi, gf := range filters {
		g := mustGrant(t, "subscribe "+gf)
		for fi, f := range filters {
			want := true
			for j := range topics {
				if matched[fi][j] && !matched[gi][j] {
					want = false
					break
				}
			}
			if got := g.covers(names{}, f); got != want {
				t.Fatalf("%s covers %s: got %v, want %v", gf, f, got, want)
			}
		}
	}
	t.Logf("%d pairs of filters, %d topics", len(filters)*len(filters), len(topics))
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	both := names{client: "esp-1", user: "anna"}
	cases := []struct {
		grant  string
		names  names
		filter string
		want   bool
	}{
		{"devices/%u/#", both, "devices/anna/led", true},
		{"devices/%u/#", both, "devices/anna/#", true},
		{"devices/%u/#", both, "devices/bert/led", false},
		{"devices/%u/#", both, "devices/+/led", false},
		{"devices/%u/#", both, "devices/#", false},
		{"devices/%c", both, "devices/esp-1", true},
		{"tars-%c-x/%u", both, "tars-esp-1-x/anna", true},
		{"tars-%c-x/%u", both, "tars-esp-1/anna", false},
		{"%u%c", both, "annaesp-1", true},
		{"%u%u", both, "annaanna", true},
		{"%u%u", both, "anna", false},
		{"100%%/%u", both, "100%/anna", true},
		{"%u/#", names{}, "", false},
		{"devices/%u/#", names{}, "devices//led", false},
		{"devices/%u/#", names{user: "+"}, "devices/+/led", false},
		{"devices/%u/#", names{user: "+"}, "devices/bert/led", false},
		{"devices/%c/#", names{client: "#"}, "devices/#", false},
		{"devices/%c/#", names{client: "a/b"}, "devices/a/b", false},
		{"%c/#", names{client: "$SYS"}, "$SYS/broker", false},
		{"%c/#", names{client: "$SYS"}, "$SYS/#", false},
		{"%c", names{client: "a\x00"}, "a\x00", false},
	}
	for _, c := range cases {
		g := mustGrant(t, "subscribe "+c.grant)
		assert.Equal(t, c.want, g.covers(c.names, c.filter), "%s for %v covers %s", c.grant, c.names, c.filter)
	}
}

func TestParseGrant(t *testing.T) {
	t.Parallel()
	g := mustGrant(t, "  both   with space/# ")
	assert.True(t, g.publish && g.subscribe)
	assert.True(t, g.covers(names{}, "with space/x"))
	for text, want := range map[string]string{
		"":                      "must be publish, subscribe or both",
		"a/#":                   "must be publish, subscribe or both",
		"publish":               "must be publish, subscribe or both",
		"publish ":              "must be publish, subscribe or both",
		"write a":               "must be publish, subscribe or both",
		"publish a/#/b":         "is not a topic filter",
		"publish a+":            "is not a topic filter",
		"publish %u+":           "is not a topic filter",
		"publish %x":            "% must be followed by",
		"publish a%":            "% must be followed by",
		"publish $SYS/a":        "the broker's own",
		"both $SYS/#":           "the broker's own",
		"subscribe $share/g/a":  "without $share",
		"subscribe a\x00b":      "is not a topic filter",
		"subscribe a/%c#":       "is not a topic filter",
		"subscribe \xff":        "is not a topic filter",
		"subscribe +/%u/%c/+/#": "",
	} {
		_, err := parseGrant(text)
		if want == "" {
			assert.NoError(t, err, text)
			continue
		}
		assert.ErrorContains(t, err, want, text)
	}
}

// FuzzCovers checks that a grant never lets through a filter that matches a topic outside it.
func FuzzCovers(f *testing.F) {
	f.Add("a/#", "a/+/b", "a/x/b", "c", "u")
	f.Add("%u/%c", "u/c", "u/c", "c", "u")
	f.Add("+/#", "#", "$SYS/x", "#", "+")
	f.Add("%c/#", "$SYS/#", "$SYS/x", "$SYS", "")
	f.Fuzz(func(t *testing.T, text, filter, topic, client, user string) {
		g, err := parseGrant("subscribe " + text)
		if err != nil || filter == "" || topic == "" || strings.ContainsAny(topic, "+#") {
			return
		}
		n := names{client: client, user: user}
		if !g.covers(n, filter) || !match(filter, topic) {
			return
		}
		// By substitution, which the code under test does not use. A value that is not usable
		// may only be there if the level with it was not reached.
		text = strings.TrimSpace(text)
		for _, v := range []string{client, user} {
			if !usable(v) {
				if strings.Contains(strings.ReplaceAll(text, "%%", ""), "%") {
					return
				}
			}
		}
		full := strings.NewReplacer("%%", "%", "%c", client, "%u", user).Replace(text)
		if !match(full, topic) {
			t.Fatalf("%q (%q) covers %q, which matches %q", text, full, filter, topic)
		}
	})
}

func BenchmarkCovers(b *testing.B) {
	g := mustGrant(b, "both devices/%u/+/state/#")
	n := names{client: "esp-1", user: "anna"}
	b.ReportAllocs()
	for b.Loop() {
		if !g.covers(n, "devices/anna/arm/state/left") {
			b.Fatal("not covered")
		}
	}
}
