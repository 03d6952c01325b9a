package conformance

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// check observes one or more normative statements.
type check struct {
	v3, v5 string // numbers of the statements in 3.1.1 and 5.0, separated by spaces; "" where there is none
	what   string // what is done, in a few words
	on     string // the setting that it needs
	ws     bool   // only over WebSocket
	run    func(e *env)
}

// checks are all, in the order of the specification.
func checks() []check {
	return slices.Concat(
		formatChecks(), connectChecks(), connectFieldChecks(), sessionChecks(), willChecks(), connackChecks(),
		publishChecks(), propertyChecks(), aliasChecks(), retainChecks(), qosChecks(), resendChecks(), orderChecks(),
		subscribeChecks(), unsubscribeChecks(), overlapChecks(), topicChecks(), sharedChecks(), flowChecks(), limitChecks(), endChecks(), authChecks(),
		webSocketChecks(),
	)
}

// statements are the numbers in the version given.
func (c check) statements(version byte) []string {
	if version == wt.V5 {
		return strings.Fields(c.v5)
	}
	return strings.Fields(c.v3)
}

// name is the name of the subtest for a version.
func (c check) name(version byte) string {
	var b strings.Builder
	for i, s := range c.statements(version) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("MQTT-" + s)
	}
	return b.String() + " " + c.what
}

var versions = []struct {
	name  string
	level byte
}{{"3.1.1", wt.V311}, {"5.0", wt.V5}}

// tally counts the statements that were observed, by version.
type tally struct {
	mu   sync.Mutex
	seen map[string]map[string]bool
}

func (y *tally) add(version string, statements []string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.seen[version] == nil {
		y.seen[version] = map[string]bool{}
	}
	for _, s := range statements {
		y.seen[version][s] = true
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests wait for the broker and for time, not for a core: run many at once.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = flag.Set("test.parallel", "48")
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) {
	tgt := findTarget(t)
	y := &tally{seen: map[string]map[string]bool{}}
	t.Cleanup(func() {
		for _, v := range versions {
			fmt.Fprintf(os.Stderr, "conformance: %d of %d statements of MQTT %s observed\n",
				len(y.seen[v.name]), len(universe(v.level)), v.name)
		}
	})
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			for _, transport := range tgt.Transports() {
				t.Run(transport, func(t *testing.T) {
					t.Parallel()
					runChecks(t, tgt, v.name, v.level, transport, y)
				})
			}
		})
	}
}

func runChecks(t *testing.T, tgt target, version string, level byte, transport string, y *tally) {
	for _, c := range checks() {
		if len(c.statements(level)) == 0 || c.ws && transport != "ws" {
			continue
		}
		t.Run(c.name(level), func(t *testing.T) {
			if why := tgt.Known(level, c.what); why != "" {
				t.Skip("known deviation: ", why)
			}
			at := tgt
			if c.on != plain {
				if at = tgt.Variant(t, c.on); at == nil {
					t.Skipf("this broker cannot be set to %q", c.on)
				}
			}
			t.Parallel()
			e := newEnv(t, at, level, transport)
			c.run(e)
			if !t.Failed() {
				y.add(version, c.statements(level))
			}
		})
	}
}
