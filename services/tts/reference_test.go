package tts

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services/contract"
)

// TestReference: what is played is known in the process, at its time, and what a stop takes back is not.
func TestReference(t *testing.T) {
	t.Parallel()
	ref := audio.NewReference()
	h := newHouse(t, func(o *Options) { o.Reference = ref })
	sounds := func(from time.Time, length time.Duration) bool {
		return ref.Sound("room", from, make([]int16, audio.Samples(length, audio.Rate)))
	}
	begin := time.Now()
	h.say("a", "A sentence that takes longer than this test.")
	h.next("speaking_start", "a")
	assert.Eventually(t, func() bool { return h.ear.seconds() > 0.3 }, 5*time.Second, 5*time.Millisecond)
	assert.True(t, sounds(begin, time.Since(begin)))
	assert.True(t, sounds(time.Now(), 100*time.Millisecond), "and what is on its way")
	assert.False(t, sounds(begin.Add(-time.Second), time.Second))
	h.control(contract.ActionStop, "a")
	h.next("stopped", "a")
	h.next("speaking_end", "a")
	assert.False(t, sounds(time.Now(), time.Second))
	assert.True(t, sounds(begin, time.Since(begin)), "what was played stays")
}
