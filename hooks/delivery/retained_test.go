package delivery

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newRetained() *retained {
	return &retained{now: time.Now, expired: func(*message) {}}
}

func (r *retained) topics(filter string) []string {
	var got []string
	for c := r.cursor(&subscription{filter: filter}); c.node != nil; c.advance() {
		if m := c.node.msg.Load(); m != nil {
			got = append(got, m.topic)
		}
	}
	slices.Sort(got)
	return got
}

// matches is section 4.7 of the specification, level by level.
func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	if strings.HasPrefix(topic, "$") && (f[0] == "+" || f[0] == "#") {
		return false
	}
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(t) || (level != "+" && level != t[i]) {
			return false
		}
	}
	return len(f) == len(t)
}

func randomPath(r *rand.Rand, levels []string, last ...string) string {
	var p []string
	for range 1 + r.IntN(4) {
		p = append(p, levels[r.IntN(len(levels))])
	}
	if len(last) > 0 && r.IntN(3) == 0 {
		p = append(p, last[r.IntN(len(last))])
	}
	if path := strings.Join(p, "/"); path != "" { // [MQTT-4.7.3-1]
		return path
	}
	return "/"
}

func TestRetainedCursorAgainstBruteForce(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	levels := []string{"a", "b", "", "$x"}
	r := newRetained()
	have := map[string]bool{}
	for range 3000 {
		topic := randomPath(rng, levels)
		if rng.IntN(3) == 0 {
			r.set(topic, nil, nil)
			delete(have, topic)
		} else {
			r.set(topic, &message{topic: topic, payload: []byte("x")}, nil)
			have[topic] = true
		}
		if rng.IntN(20) > 0 {
			continue
		}
		filter := randomPath(rng, append(levels, "+"), "#")
		var want []string
		for topic := range have {
			if matches(filter, topic) {
				want = append(want, topic)
			}
		}
		slices.Sort(want)
		require.Equal(t, want, r.topics(filter), "filter %q", filter)
		n, _ := r.totals()
		require.Equal(t, len(have), n)
	}
}

// A replay that is underway sees every message that was there all the time exactly once,
// whatever comes and goes meanwhile.
func TestCursorSurvivesChanges(t *testing.T) {
	t.Parallel()
	r := newRetained()
	for i := range 500 {
		topic := fmt.Sprintf("s/%d/v", i)
		r.set(topic, &message{topic: topic}, nil)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	seen := map[string]int{}
	for c := r.cursor(&subscription{filter: "s/+/v"}); c.node != nil; c.advance() {
		if m := c.node.msg.Load(); m != nil {
			seen[m.topic]++
		}
		for range 3 { // the odd ones come and go
			topic := fmt.Sprintf("s/%d/v", 2*rng.IntN(400)+1)
			if rng.IntN(2) == 0 {
				r.set(topic, nil, nil)
			} else {
				r.set(topic, &message{topic: topic}, nil)
			}
		}
	}
	for i := 0; i < 500; i += 2 {
		assert.Equal(t, 1, seen[fmt.Sprintf("s/%d/v", i)], "topic %d", i)
	}
}

func TestRetainedExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gone []string
		r := newRetained()
		r.expired = func(m *message) { gone = append(gone, m.topic) }
		in := func(d time.Duration) int64 { return time.Now().Add(d).UnixMilli() }
		r.set("long", &message{topic: "long", expires: in(time.Hour)}, nil)
		r.set("short", &message{topic: "short", expires: in(time.Second)}, nil)
		r.set("renewed", &message{topic: "renewed", expires: in(time.Second)}, nil)
		r.set("renewed", &message{topic: "renewed", expires: in(time.Minute)}, nil)
		r.set("kept", &message{topic: "kept"}, nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"short"}, gone)
		assert.Nil(t, r.get("short"))
		assert.NotNil(t, r.get("renewed"))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		assert.Equal(t, []string{"short", "renewed", "long"}, gone)
		n, bytes := r.totals()
		assert.Equal(t, 1, n)
		assert.Equal(t, (&message{topic: "kept"}).size(), bytes)
	})
}

func TestRetainedLimits(t *testing.T) {
	t.Parallel()
	r := newRetained()
	m := &message{topic: "a", payload: make([]byte, 100)}
	r.set("a", m, nil)
	assert.False(t, r.room("b", 10, 1, 1<<20), "count")
	assert.True(t, r.room("a", m.size(), 1, m.size()), "replacing is no growth")
	assert.False(t, r.room("a", m.size()+1, 1, m.size()), "bytes")
}

func BenchmarkNarrowWildcard(b *testing.B) {
	r := newRetained()
	for i := range 100_000 {
		topic := fmt.Sprintf("ml/%d/%d", i/100, i%100)
		r.set(topic, &message{topic: topic}, nil)
	}
	for b.Loop() {
		if n := len(r.topics("ml/+/7")); n != 1000 {
			b.Fatal(n)
		}
	}
}
