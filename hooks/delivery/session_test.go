package delivery

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/wire"
)

type allowAll struct{}

func (allowAll) Authenticate(context.Context, *Peer, *string, []byte) (wire.Code, string) {
	return wire.Success, ""
}
func (allowAll) MayPublish(*Peer, string) bool   { return true }
func (allowAll) MaySubscribe(*Peer, string) bool { return true }
func (allowAll) Current(*Peer) bool              { return true }

// One message in flight that is never acknowledged must not let the queue behind it grow while
// what waits there expires or is replaced.
func TestStuckMessageBoundsTheQueue(t *testing.T) {
	t.Parallel()
	for _, policy := range []QueuePolicy{QueueDropOldest, QueueExpire} {
		lim := DefaultLimits()
		lim.QueuePolicy, lim.QueueAge, lim.QueueMessages = policy, 0, 10
		e, err := New(Options{Limits: lim, Policy: allowAll{}})
		require.NoError(t, err)
		s := e.newSession("s", "")
		s.persistent.Store(true)
		s.q.push(item{msg: &message{topic: "t"}, qos: 1, state: sent})
		s.q.sent, s.q.inflight = 1, 1
		c := &courier{e: e}
		for range 3 * maxID {
			p := publication{topic: "t", qos: 1, stored: 1}
			var r result
			s.take(c, &p, &target{session: s, qos: 1}, nil, 1, waiting, false, &r)
		}
		assert.LessOrEqual(t, s.q.n, maxID+10)
		assert.LessOrEqual(t, s.q.live, 10)
	}
}
