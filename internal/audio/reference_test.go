package audio

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// ramp is n samples, none of which is zero.
func ramp(from, n int) []int16 {
	out := make([]int16, n)
	for i := range out {
		out[i] = int16(from + i)
	}
	return out
}

func TestReference(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, now := NewReference(), time.Now()
		at := func(samples int) time.Time { return now.Add(Duration(samples, Rate)) }
		got := make([]int16, 6)
		assert.False(t, r.Sound("room", now, got), "nothing was played")

		r.Played("room", ramp(1, 320), Rate, at(320))
		r.Played("room", ramp(321, 320), Rate, at(640).Add(3*time.Millisecond)) // what follows within a frame follows at once
		assert.True(t, r.Sound("room", at(637), got))
		assert.Equal(t, []int16{318, 319, 320, 321, 322, 323}, got)
		assert.True(t, r.Sound("room", at(317), got))
		assert.Equal(t, []int16{0, 0, 0, 1, 2, 3}, got, "silence before it")
		assert.True(t, r.Sound("room", at(957), got))
		assert.Equal(t, []int16{638, 639, 640, 0, 0, 0}, got, "and behind it")
		assert.False(t, r.Sound("page", at(637), got), "that is somewhere else")

		r.Cut("room", at(800)) // it was stopped
		assert.True(t, r.Sound("room", at(797), got))
		assert.Equal(t, []int16{478, 479, 480, 0, 0, 0}, got)
		r.Cut("room", at(2000)) // there was nothing left
		r.Cut("page", at(0))

		r.Played("room", ramp(7, 320), Rate, at(2000)) // after a pause
		assert.True(t, r.Sound("room", at(1997), got))
		assert.Equal(t, []int16{0, 0, 0, 7, 8, 9}, got)
		assert.False(t, r.Sound("room", at(1900), got))

		r.Played("room", ramp(1, 320), Rate, at(60*Rate)) // much later
		assert.False(t, r.Sound("room", at(2000), got), "that is forgotten")
		assert.True(t, r.Sound("room", at(60*Rate), got))
		assert.False(t, r.Sound("room", now.Add(-time.Hour), got), "and what was before the start")
		for _, up := range []time.Duration{10 * 24 * time.Hour, 10 * 365 * 24 * time.Hour} { // a robot is not started every week
			r.Played("room", ramp(1, 320), Rate, now.Add(up))
			assert.True(t, r.Sound("room", now.Add(up), got))
			assert.Equal(t, []int16{1, 2, 3, 4, 5, 6}, got, "after %s", up)
		}
		r.Played("room", ramp(1, 320), Rate, now.Add(-time.Hour)) // a clock that was set
		assert.False(t, r.Sound("room", at(60*Rate), got))
	})
}

func TestReferenceResamples(t *testing.T) {
	t.Parallel()
	r, now := NewReference(), time.Now().Add(time.Second)
	tone := make([]int16, 22050)
	for i := range tone {
		tone[i] = int16(10000 * math.Sin(2*math.Pi*440*float64(i)/22050))
	}
	at := now
	for piece := 0; piece < len(tone); piece += 441 {
		r.Played("room", tone[piece:piece+441], 22050, at)
		at = at.Add(20 * time.Millisecond)
	}
	got := make([]int16, 8000)
	assert.True(t, r.Sound("room", now.Add(200*time.Millisecond), got))
	sum := 0.0
	for i, v := range got {
		d := float64(v) - 10000*math.Sin(2*math.Pi*440*(0.2+float64(i)/Rate))
		sum += d * d
	}
	assert.Less(t, math.Sqrt(sum/float64(len(got))), 300.0, "in its place to a fraction of a sample")
	r.Played("room", tone, 1, at) // no rate that there is
}

// TestReferenceLasts: a robot that runs for weeks, or for years, still knows what it says.
func TestReferenceLasts(t *testing.T) {
	t.Parallel()
	r := NewReference()
	got := make([]int16, 6)
	for _, days := range []int{6, 7, 14, 30, 3650} {
		at := r.epoch.Add(time.Duration(days) * 24 * time.Hour)
		r.Played("room", ramp(1, 320), Rate, at)
		assert.True(t, r.Sound("room", at.Add(Duration(317, Rate)), got), "after %d days", days)
		assert.Equal(t, []int16{318, 319, 320, 0, 0, 0}, got, "after %d days", days)
		r.Cut("room", at.Add(Duration(318, Rate)))
		assert.True(t, r.Sound("room", at.Add(Duration(317, Rate)), got), "after %d days", days)
		assert.Equal(t, []int16{318, 0, 0, 0, 0, 0}, got, "after %d days", days)
	}
}

// TestReferenceIsBounded: a page that changes its name each time costs nothing.
func TestReferenceIsBounded(t *testing.T) {
	t.Parallel()
	r, now := NewReference(), time.Now()
	for i := range 200 {
		r.Played(fmt.Sprint("page-", i), ramp(1, 320), Rate, now.Add(time.Duration(i)*time.Second))
	}
	assert.Len(t, r.sites, maxReferences)
	got := make([]int16, 10)
	assert.True(t, r.Sound("page-199", now.Add(199*time.Second), got))
	assert.False(t, r.Sound("page-100", now.Add(100*time.Second), got), "the one that was silent for longest went first")
}
