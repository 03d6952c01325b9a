package delivery

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPacketIDsFollowTheSequence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		seq uint64
		id  uint16
	}{{1, 1}, {2, 2}, {65535, 65535}, {65536, 1}, {131070, 65535}, {131071, 1}} {
		assert.Equal(t, c.id, packetID(c.seq), "sequence %d", c.seq)
	}
}

// A model of the queue: a plain list of what is in it.
func TestQueueAgainstAModel(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	q := queue{base: 65500} // so that the packet ids wrap soon
	type entry struct {
		seq   uint64
		state byte
	}
	var model []entry
	send := func() {
		for q.sent < q.n && q.inflight < 50 {
			it := q.at(q.sent)
			if it.state == finished {
				q.sent++
				q.trim()
				continue
			}
			seq := q.seq(q.sent)
			it.state = sent
			q.sent++
			q.inflight++
			for i := range model {
				if model[i].seq == seq {
					model[i].state = sent
				}
			}
		}
	}
	for step := range 10_000 {
		switch k := r.IntN(10); {
		case k < 5:
			seq := q.next()
			q.push(item{msg: &message{topic: "t"}, qos: 1})
			model = append(model, entry{seq, waiting})
			send()
		case k < 9 && len(model) > 0:
			i := r.IntN(len(model))
			e := model[i]
			j, ok := q.find(packetID(e.seq))
			if e.state != sent {
				require.False(t, ok && q.seq(j) == e.seq, "step %d: %d was not sent", step, e.seq)
				continue
			}
			require.True(t, ok, "step %d: sequence %d", step, e.seq)
			require.Equal(t, e.seq, q.seq(j))
			q.finish(j)
			model = append(model[:i], model[i+1:]...)
			send()
		case k == 9 && r.IntN(50) == 0:
			q.rewind()
			require.Zero(t, q.inflight)
			for i := range model {
				model[i].state = waiting
			}
			send()
		}
		require.Equal(t, len(model), q.live, "step %d", step)
		inflight := 0
		for _, e := range model {
			if e.state == sent {
				inflight++
			}
		}
		require.Equal(t, inflight, q.inflight, "step %d", step)
		require.Equal(t, int64(len(model))*(1+messageOverhead), q.bytes, "step %d", step)
	}
}

func TestQueueGivesItsMemoryBack(t *testing.T) {
	t.Parallel()
	q := queue{base: 1}
	for range 1000 {
		q.push(item{msg: &message{}, state: sent})
		q.sent++
		q.inflight++
	}
	for q.n > 0 {
		q.finish(0)
	}
	assert.Nil(t, q.ring)
	assert.Equal(t, uint64(1001), q.next())
	assert.Zero(t, q.sent)
}
