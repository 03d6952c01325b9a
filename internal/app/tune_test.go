package app

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGCPercent(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{
		0: 1000, 1 << 20: 1000, 3 << 20: 800, 12 << 20: 200, 24 << 20: 100, 32 << 20: 75, 80 << 20: 30, 1 << 40: 30,
	} {
		assert.Equal(t, want, gcPercent(live), "%d bytes live", live)
	}
	assert.Positive(t, liveBytes())
}

// TestTuneFollowsTheHeap is not parallel, since the percentage is the process's.
func TestTuneFollowsTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	tn := &tuner{}
	tn.percent.Store(100)
	tn.cycle(struct{}{})
	small := int(tn.percent.Load())
	hold := make([]byte, 64<<20)
	for range 100 { // a cleanup runs some time after its collection
		runtime.GC()
		if p := gcPercent(liveBytes()); p < small {
			break
		}
	}
	require.Less(t, gcPercent(liveBytes()), small)
	tn.cycle(struct{}{})
	assert.Less(t, int(tn.percent.Load()), small)
	tn.stopped.Store(true)
	runtime.KeepAlive(hold)
	stop := tune()
	stop()
}
