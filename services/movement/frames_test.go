package movement

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/movement/plan"
)

// TestOffIsBelieved: the device's word for "off" counts when it has had no move for half a second, and got
// nothing else since.
func TestOffIsBelieved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(&run{})
		d.present, d.halted = true, false
		off := func() error {
			_ = d.Off()
			_, _, ok := d.next(true)
			require.True(t, ok)
			d.applied(plan.Channels)
			return d.Off()
		}
		j := &job{command: "bow"}
		d.jobs = []*job{j}
		require.ErrorIs(t, off(), errNotYet, "a move runs")
		d.drop(j)
		require.ErrorIs(t, off(), errNotYet, "it has just ended, and may write once more")
		time.Sleep(quietFor + time.Millisecond)
		require.NoError(t, off())
		require.NoError(t, d.Write(plan.Pose{plan.Height: 300}))
		d.applied(plan.Channels) // late, of the "off" before
		assert.ErrorIs(t, d.Off(), errNotYet)
	})
}
