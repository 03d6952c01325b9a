package limit

import (
	"sync/atomic"
	"time"
)

// The sizes of the two accounts of a bucket, as time at the permitted rate.
const (
	burst  = int64(time.Second)
	excess = int64(10 * time.Second)
)

// rate is the permitted speed of a bucket: nanoseconds for each message or byte, 0 for no limit.
type rate struct {
	unit   float64
	burst  int64 // ns; at least one unit, or less than one a second could never pass
	reason string
}

func newRate(perSecond float64, reason string) rate {
	if perSecond <= 0 {
		return rate{}
	}
	unit := float64(time.Second) / perSecond
	return rate{unit: unit, burst: max(burst, int64(unit)), reason: reason}
}

// bucket is a token bucket kept as one number: the time at which it will be full again. It is
// changed by its client's reader alone, except for the moment in which a new connection takes
// over from an old one; then a charge may be lost, which the atomics keep from being worse.
type bucket struct {
	full  atomic.Int64 // ns of the hook's clock
	spill atomic.Int64 // the same of what was dropped or refused
}

// fits returns what full becomes if n units are taken now. A full bucket gives any amount, into
// debt: otherwise a message larger than a second's bytes could never pass.
func (b *bucket) fits(r *rate, now int64, n float64) (full int64, ok bool) {
	return charge(b.full.Load(), r.burst, r.unit, now, n)
}

// overflow charges n units that did not fit. It reports whether there were too many of late.
func (b *bucket) overflow(r *rate, now int64, n float64) bool {
	spill, ok := charge(b.spill.Load(), max(excess, r.burst), r.unit, now, n)
	if ok {
		b.spill.Store(spill)
	}
	return !ok
}

// idle reports whether nothing would be forgotten by dropping the bucket.
func (b *bucket) idle(now int64) bool {
	return b.full.Load() <= now && b.spill.Load() <= now
}

// forever bounds what one charge may add, in ns, so that sums stay in range.
const forever = float64(24 * time.Hour)

func charge(level, size int64, unit float64, now int64, n float64) (int64, bool) {
	empty := level <= now
	level = max(level, now) + int64(min(unit*n, forever))
	return level, empty || level-now <= size
}
