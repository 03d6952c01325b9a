package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// The collector's own rule, garbage up to the size of what is live, fits neither end of what a
// broker is. An empty one has some 3 MiB live, so that a durable load of QoS 1 collects dozens of
// times a second: with 24 MiB of room it takes 40 % less CPU per message. One that holds 100,000
// retained messages has 32 MiB live and would be let grow to 64 MiB of heap, past the 80 MiB that
// the whole process is to stay in. So the room is the same for both: gcRoom, and for heaps that
// are much larger gcLeast percent of them, below which collecting would cost too much.
//
// GOMAXPROCS is left alone: the runtime follows the container's share of the processors by itself.
// A memory limit is the owner's to set (GOMEMLIMIT): what is worth refusing messages for is known
// to limits.* and not here.
const (
	gcRoom  = 24 << 20 // bytes of garbage before a collection
	gcLeast = 30       // percent
	gcMost  = 1000     // percent; of less than 2.4 MiB
)

// tune follows the heap's size until stop is called. GOGC in the environment turns it off.
func tune() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	t := &tuner{}
	t.percent.Store(100)
	t.cycle(struct{}{})
	return func() {
		t.stopped.Store(true)
		debug.SetGCPercent(100)
	}
}

// tuner adjusts the collector's percentage after each collection. It is called once a cycle, by
// the runtime's cleanup goroutine.
type tuner struct {
	percent atomic.Int64
	stopped atomic.Bool
}

// cycle runs after a collection and asks for the next one: a fresh object is garbage by then.
func (t *tuner) cycle(struct{}) {
	if t.stopped.Load() {
		return
	}
	// Setting it stops the world for a moment, which small changes are not worth.
	p, now := gcPercent(liveBytes()), int(t.percent.Load())
	if p*10 > now*11 || p*10 < now*9 {
		t.percent.Store(int64(p))
		debug.SetGCPercent(p)
	}
	runtime.AddCleanup(new([4]*byte), t.cycle, struct{}{})
}

// gcPercent is the percentage that leaves gcRoom, within its bounds.
func gcPercent(live uint64) int {
	return int(max(gcLeast, min(gcMost, 100*gcRoom/max(live, 1))))
}

// liveBytes is what the last collection left, and what the runtime counts with it.
func liveBytes() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(s)
	n := uint64(0)
	for _, m := range s {
		if m.Value.Kind() == metrics.KindUint64 {
			n += m.Value.Uint64()
		}
	}
	return n
}
