package delivery

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func testSession(id string) *session { return &session{id: id, subs: map[string]*subscription{}} }

func TestTrieAgainstBruteForce(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 8))
	levels := []string{"a", "b", "", "$x"}
	var tr trie
	var sessions []*session
	for i := range 5 {
		sessions = append(sessions, testSession(fmt.Sprint(i)))
	}
	cached := map[string]*match{}
	gens := map[string]uint64{}
	for step := range 1500 {
		s := sessions[rng.IntN(len(sessions))]
		filter := randomPath(rng, append(levels, "+"), "#")
		if old := s.subs[filter]; old != nil && rng.IntN(2) == 0 {
			tr.remove(old)
			delete(s.subs, filter)
		} else {
			sub := &subscription{session: s, name: filter, filter: filter, qos: byte(rng.IntN(3)), subID: uint32(step + 1)}
			tr.add(sub)
			s.subs[filter] = sub
		}
		topic := randomPath(rng, levels)
		gen := tr.generation(firstLevel(topic))
		m := tr.match(topic)
		if have := cached[topic]; have != nil && gens[topic] == gen {
			require.ElementsMatch(t, have.targets, m.targets, "a match that counts as fresh is not: %q", topic)
		}
		cached[topic], gens[topic] = m, gen
		got := map[*session]target{}
		for _, x := range m.targets {
			got[x.session] = x
		}
		n := 0
		for _, s := range sessions {
			var qos byte
			var ids []uint32
			for f, sub := range s.subs {
				if matches(f, topic) {
					qos = max(qos, sub.qos)
					ids = append(ids, sub.subID)
				}
			}
			if ids == nil {
				continue
			}
			n++
			require.Equal(t, qos, got[s].qos, "topic %q", topic)
			require.ElementsMatch(t, ids, got[s].subIDs)
		}
		require.Len(t, m.targets, n, "topic %q", topic)
	}
	for _, s := range sessions {
		for _, sub := range s.subs {
			tr.remove(sub)
		}
	}
	assert.Empty(t, tr.root.kids, "empty levels stay")
	subs, _ := tr.counts()
	assert.Zero(t, subs)
}

func TestManySubscribersOfATopicAreMatchedOnce(t *testing.T) {
	t.Parallel()
	var tr trie
	for i := range 100 {
		s := testSession(fmt.Sprint(i))
		tr.add(&subscription{session: s, filter: "a/+"})
		tr.add(&subscription{session: s, filter: "a/b", qos: 1})
	}
	m := tr.match("a/b")
	require.Len(t, m.targets, 100)
	for _, x := range m.targets {
		assert.EqualValues(t, 1, x.qos)
	}
}

func TestSharedMembersTakeTurns(t *testing.T) {
	t.Parallel()
	var tr trie
	var members []*session
	for i := range 3 {
		s := testSession(fmt.Sprint(i))
		if i != 1 {
			s.link.Store(&link{})
		}
		members = append(members, s)
		tr.add(&subscription{session: s, name: "$share/g/a", filter: "a", group: "g", qos: 1})
	}
	m := tr.match("a")
	require.Empty(t, m.targets)
	require.Len(t, m.groups, 1)
	g := m.groups[0]
	count := map[*session]int{}
	for range 10 {
		count[g.pick(nil, 1).session]++
	}
	assert.Equal(t, 5, count[members[0]])
	assert.Equal(t, 5, count[members[2]])
	members[0].link.Store(nil)
	members[2].link.Store(nil)
	assert.Nil(t, g.pick(nil, 1), "nobody is connected and nobody's queue is kept")
	members[1].persistent.Store(true)
	assert.Same(t, members[1], g.pick(nil, 1).session)
	assert.Nil(t, g.pick(nil, 0), "QoS 0 is not queued")
}

func BenchmarkMatch(b *testing.B) {
	var tr trie
	for i := range 1000 {
		f := fmt.Sprintf("room/%d/+/state", i)
		tr.add(&subscription{session: testSession(f), name: f, filter: f})
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(tr.match("room/500/lamp/state").targets) != 1 {
			b.Fatal("no match")
		}
	}
}
