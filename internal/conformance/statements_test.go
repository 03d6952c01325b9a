package conformance

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

var update = flag.Bool("update", false, "write STATEMENTS.md anew")

// The numbered normative statements of both specifications, section by section. 3.1.1 prints
// two of them in a way of its own: 3.1.2.7 and 3-8.3-4.
const (
	statements311 = `1.5.3-1..3 2.2.2-1..2 2.3.1-1..7 3.1.0-1..2 3.1.2-1..6 3.1.2.7 3.1.2-8..24 3.1.3-1..11 3.1.4-1..5 3.2.0-1
		3.2.2-1..6 3.3.1-1..12 3.3.2-1..3 3.3.4-1 3.3.5-1..2 3.6.1-1 3.8.1-1 3.8.3-1..3 3-8.3-4 3.8.4-1..6 3.9.3-1..2 3.10.1-1
		3.10.3-1..2 3.10.4-1..6 3.12.4-1 3.14.1-1 3.14.4-1..3 4.1.0-1..2 4.3.1-1 4.3.2-1..2 4.3.3-1..2 4.4.0-1 4.5.0-1..2
		4.6.0-1..6 4.7.1-1..3 4.7.2-1 4.7.3-1..4 4.8.0-1..2 6.0.0-1..4 7.0.0-1..2 7.1.1-1 7.1.2-1`
	statements5 = `1.5.4-1..3 1.5.5-1 1.5.7-1 2.1.3-1 2.2.1-2..6 2.2.2-1 3.1.0-1..2 3.1.2-1..30 3.1.3-1..12 3.1.4-1..6 3.2.0-1..2
		3.2.2-1..22 3.3.1-1..13 3.3.2-1..20 3.3.4-1..10 3.4.2-1..3 3.5.2-1..3 3.6.1-1 3.6.2-1..3 3.7.2-1..3 3.8.1-1 3.8.3-1..5
		3.8.4-1..8 3.9.2-1..2 3.9.3-1..2 3.10.1-1 3.10.3-1..2 3.10.4-1..6 3.11.2-1..2 3.11.3-1..2 3.12.4-1 3.14.0-1 3.14.1-1
		3.14.2-1..4 3.14.4-1..3 3.15.1-1 3.15.2-1..3 4.1.0-1..2 4.2.0-1 4.3.1-1 4.3.2-1..5 4.3.3-1..13 4.4.0-1..2 4.5.0-1..2
		4.6.0-1..6 4.7.0-1 4.7.1-1..2 4.7.2-1 4.7.3-1..4 4.8.2-1..6 4.9.0-1..3 4.12.0-1..7 4.12.1-1..2 4.13.1-1 4.13.2-1
		6.0.0-1..4`
)

const (
	ofClients   = "binds clients"
	needsMethod = "needs a server with an authentication method; this one has none"
	noWay       = "cannot be broken on the wire: the length of a string has 16 bits"
)

// untested says why a statement has no check.
var untested = map[byte]map[string]string{
	wt.V311: {
		"2.3.1-2": ofClients, "2.3.1-3": ofClients, "3.1.2-23": ofClients, "4.5.0-2": ofClients, "6.0.0-3": ofClients, "7.1.2-1": ofClients,
		"4.7.3-3": noWay,
		"4.8.0-2": "a transient error inside the server cannot be provoked by a client",
		"7.0.0-1": "the server opens no connections to other servers",
		"7.0.0-2": "shown by the whole suite, which uses no extension",
	},
	wt.V5: {
		"3.1.2-20": ofClients, "3.1.2-21": ofClients, "3.1.2-30": ofClients, "3.2.2-4": ofClients, "3.2.2-5": ofClients,
		"3.2.2-17": ofClients + "; what a server does about it is 3.3.2-9", "3.2.2-18": ofClients + "; what a server does about it is 3.3.2-9",
		"3.2.2-21": ofClients, "3.3.2-10": ofClients, "3.3.4-8": ofClients, "4.5.0-2": ofClients, "6.0.0-3": ofClients,
		"4.12.0-3": ofClients, "4.12.1-1": ofClients,
		"3.15.2-1": needsMethod, "3.15.2-2": needsMethod, "3.15.2-3": needsMethod, "4.12.0-2": needsMethod, "4.12.0-4": needsMethod,
		"4.12.0-5": needsMethod, "4.12.1-2": needsMethod,
		"4.7.3-3": noWay,
	},
}

// universe are all statements of a version.
func universe(version byte) []string {
	list := statements311
	if version == wt.V5 {
		list = statements5
	}
	var out []string
	for _, part := range strings.Fields(list) {
		from, to, ranged := strings.Cut(part, "..")
		if !ranged {
			out = append(out, part)
			continue
		}
		i := strings.LastIndexByte(from, '-')
		first, _ := strconv.Atoi(from[i+1:])
		last, _ := strconv.Atoi(to)
		for n := first; n <= last; n++ {
			out = append(out, fmt.Sprintf("%s-%d", from[:i], n))
		}
	}
	return out
}

// tested maps statements to the names of their checks.
func tested(version byte) map[string][]string {
	out := map[string][]string{}
	for _, c := range checks() {
		for _, s := range c.statements(version) {
			out[s] = append(out[s], c.what)
		}
	}
	return out
}

// TestStatements holds the table of checks against the lists: every statement is checked or
// excused, and nothing is checked that does not exist.
func TestStatements(t *testing.T) {
	for _, v := range versions {
		all, checked := universe(v.level), tested(v.level)
		for _, s := range all {
			_, excused := untested[v.level][s]
			assert.True(t, excused != (len(checked[s]) > 0), "MQTT-%s of %s: checked %d times, excused %t", s, v.name, len(checked[s]), excused)
		}
		for s := range checked {
			assert.Contains(t, all, s, "not a statement of %s", v.name)
		}
		for s := range untested[v.level] {
			assert.Contains(t, all, s, "not a statement of %s", v.name)
		}
	}
	names := map[string]bool{}
	for _, c := range checks() {
		for _, v := range versions {
			if len(c.statements(v.level)) == 0 {
				continue
			}
			name := v.name + c.name(v.level)
			assert.False(t, names[name], "two checks are called %q", name)
			names[name] = true
		}
	}
}

// TestDeviations keeps the table of deviations free of checks that are gone.
func TestDeviations(t *testing.T) {
	whats := map[string]bool{}
	for _, c := range checks() {
		whats[c.what] = true
	}
	for _, d := range deviations {
		assert.True(t, whats[d.check], "no check is called %q", d.check)
	}
}

// TestStatementsDocument keeps STATEMENTS.md as the table has it.
func TestStatementsDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Statements\n\nMade by `go test ./internal/conformance -run Statements -update`; do not edit.\n\n" +
		"The normative statements of MQTT 3.1.1 and 5.0, and the checks that observe them. A check `C` of statement `S` is the test\n" +
		"`TestConformance/<version>/<transport>/MQTT-S C`, with all its statements in front and spaces as underscores.\n")
	for _, v := range versions {
		all, checked := universe(v.level), tested(v.level)
		fmt.Fprintf(&b, "\n## MQTT %s: %d of %d statements\n\n| statement | checks |\n| --- | --- |\n",
			v.name, len(all)-len(untested[v.level]), len(all))
		for _, s := range all {
			if len(checked[s]) > 0 {
				fmt.Fprintf(&b, "| MQTT-%s | %s |\n", s, strings.ReplaceAll(strings.Join(checked[s], "<br>"), "|", "\\|"))
			}
		}
		fmt.Fprintf(&b, "\nNot observed:\n\n| statement | why |\n| --- | --- |\n")
		for _, s := range all {
			if why := untested[v.level][s]; why != "" {
				fmt.Fprintf(&b, "| MQTT-%s | %s |\n", s, why)
			}
		}
	}
	if *update {
		require.NoError(t, os.WriteFile("STATEMENTS.md", []byte(b.String()), 0o644))
	}
	have, err := os.ReadFile("STATEMENTS.md")
	require.NoError(t, err)
	assert.True(t, slices.Equal([]byte(b.String()), have), "STATEMENTS.md is not what the table makes; run with -update")
}
