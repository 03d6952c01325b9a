package dialogue

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the suite has to cover; each script says in a line "covers" what it does.
var wanted = []string{
	"wake", "follow-up", "interrupt", "cancel", "live mode", "errors", "slow model", "broken stream", "tool use", "memory recall across a restart",
	"forget", "persona change", "two origins at once", "stall", "half lines", "429", "wrong JSON", "silence", "stop", "motion", "kill", "no voice",
}

func TestDialogues(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	turns, covered := 0, map[string]bool{}
	for _, f := range files {
		p := load(t, f)
		turns += p.turns
		for _, c := range p.covers {
			assert.Contains(t, wanted, c, f)
			covered[c] = true
		}
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			p.run(t)
		})
	}
	for _, c := range wanted {
		assert.True(t, covered[c], "no script covers %s", c)
	}
	assert.GreaterOrEqual(t, len(files), 15)
	assert.GreaterOrEqual(t, turns, 60)
	t.Logf("%d scripts, %d turns", len(files), turns)
}

// play is a script.
type play struct {
	file   string
	set    []string
	covers []string
	mute   bool
	steps  []step
	turns  int
}

type step struct {
	line       int
	verb, rest string
}

// load reads a script: its head and its steps. doc.go describes the format.
func load(t *testing.T, file string) *play {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	p := &play{file: file}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		if verb == ">" {
			kind, r, _ := strings.Cut(rest, " ")
			verb, rest = "> "+kind, strings.TrimSpace(r)
		}
		name, _, _ := strings.Cut(verb, "@")
		switch name {
		case "set":
			p.set = append(p.set, rest)
			continue
		case "covers":
			for c := range strings.SplitSeq(rest, ",") {
				p.covers = append(p.covers, strings.TrimSpace(c))
			}
			continue
		case "mute":
			p.mute = true
			continue
		case "hear", "type":
			p.turns++
		}
		require.Contains(t, verbs(), name, "%s:%d", file, i+1)
		p.steps = append(p.steps, step{i + 1, verb, rest})
	}
	return p
}

// scene is a script that is being played.
type scene struct {
	t      *testing.T
	r      *robot
	next   map[string]int // by kind: the first event that no step has asked for
	told   int            // requests to the model that steps have looked at
	utt    int
	gates  map[string]chan struct{}
	tools  tools
	origin string // of a verb with @
}

// strict are the kinds of which a step expects the next one; other kinds may have more of them than the
// script names.
var strict = []string{"say", "ask", "move", "halt", "release", "call"}

func (p *play) run(t *testing.T) {
	t.Helper()
	s := &scene{t: t, r: newRobot(t, p.mute, p.set...), next: map[string]int{}, gates: map[string]chan struct{}{}}
	for _, st := range p.steps {
		name, origin, _ := strings.Cut(st.verb, "@")
		s.origin = origin
		if err := verbs()[name](s, st.rest); err != nil {
			require.FailNowf(t, "script failed", "%s:%d: %s %s\n%v", p.file, st.line, st.verb, st.rest, err)
		}
	}
	s.r.watch.finish()
	s.nothingElse()
}

// nothingElse checks that all that was said and done was expected.
func (s *scene) nothingElse() {
	s.t.Helper()
	s.r.watch.seek(0, func(events []event) bool {
		for i, e := range events {
			if slices.Contains(strict, e.kind) && i >= s.next[e.kind] && !aside(e) {
				assert.Failf(s.t, "not in the script", "%s %s", e.kind, e.text)
			}
		}
		return true
	})
}

// aside are events that a script does not name: stops of others, the second stop that follows a motion which
// was on its way when the first one was made, and the last words at the end of a process, for which there is
// time or not.
func aside(e event) bool {
	switch e.kind {
	case "halt":
		return e.source != "router" || e.text == "cancelled"
	case "say":
		return e.text == "My language model is shutting down."
	}
	return false
}

// expect waits for an event whose text is like pattern: the next one of its kind, or for kinds that
// are not strict any later one.
func (s *scene) expect(kind, pattern string, also ...func(event) error) error {
	like := glob(pattern)
	var problem error
	at := s.next[kind]
	var got event
	found := s.r.watch.seek(within, func(events []event) bool {
		for ; at < len(events); at++ {
			e := events[at]
			if e.kind != kind || aside(e) {
				continue
			}
			if like.MatchString(e.text) {
				got = e
				return true
			}
			if slices.Contains(strict, kind) {
				problem = fmt.Errorf("got %s %q", kind, e.text)
				return true
			}
		}
		return false
	})
	s.next[kind] = at + 1
	if problem != nil || !found {
		if problem == nil {
			problem = fmt.Errorf("no such %s within %s", kind, within)
		}
		return problem
	}
	for _, f := range also {
		if err := f(got); err != nil {
			return err
		}
	}
	return nil
}

// from checks the origin of a verb with @.
func (s *scene) from(e event) error {
	if s.origin != "" && e.origin != s.origin {
		return fmt.Errorf("its origin is %q", e.origin)
	}
	return nil
}

// glob is a pattern in which * stands for any text.
func glob(pattern string) *regexp.Regexp {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("(?s)^" + strings.Join(parts, ".*") + "$")
}

func (s *scene) originOr(other string) string {
	if s.origin != "" {
		return s.origin
	}
	return other
}

// caught says whether an event of a kind arrives within d.
func (s *scene) caught(kind string, d time.Duration) (event, bool) {
	at := s.next[kind]
	var got event
	found := s.r.watch.seek(d, func(events []event) bool {
		for ; at < len(events); at++ {
			if events[at].kind == kind {
				got = events[at]
				return true
			}
		}
		return false
	})
	return got, found
}
