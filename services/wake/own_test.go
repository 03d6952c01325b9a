package wake

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
)

// What the robot says. The first has the phrase in it.
const (
	ownPhrase = "To wake me up again, just say hey tars, and then tell me what you want."
	ownStory  = "Once upon a time there was a small robot who lived in a house by the sea, and every morning it went for a long walk."
)

// plays is a listener in a room in which the robot says something, from 1 s on: at the microphone it is
// later, and quieter by db, with a little echo.
func plays(t testing.TB, text string, delay time.Duration, db float64) (l *listener, mic []int16) {
	t.Helper()
	ref := audio.NewReference()
	l = newListener(t, func(o *Options) { o.Reference = ref })
	sound := says(t, "slt", text)
	for i := 0; i+audio.FrameLen <= len(sound); i += audio.FrameLen {
		ref.Played("room", sound[i:i+audio.FrameLen], audio.Rate, l.begin.Add(time.Second+audio.Duration(i, audio.Rate)))
	}
	l.begin = l.now
	direct := louder2(sound, decibel(db))
	mic = sum(roomNoise(time.Second+audio.Duration(len(sound), audio.Rate)+2*time.Second, 0.001), direct, time.Second+delay)
	mic = sum(mic, louder2(direct, 0.3), time.Second+delay+23*time.Millisecond)
	return l, sum(mic, louder2(direct, 0.2), time.Second+delay+61*time.Millisecond)
}

func decibel(db float64) float64 {
	by := 1.0
	for ; db <= -6; db += 6 {
		by /= 1.995
	}
	return by * (1 + db/12)
}

// TestOwnVoice: the robot's own sentence with the phrase in it wakes nobody, however loud and late it is.
func TestOwnVoice(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{0, 80 * time.Millisecond, 250 * time.Millisecond} {
		for _, db := range []float64{0, -12} {
			l, mic := plays(t, ownPhrase, delay, db)
			l.hears(mic)
			assert.Empty(t, l.calls, "%s later, %g dB: %.3f", delay, db, l.most())
		}
	}
	l, mic := plays(t, ownPhrase, 0, 0)
	l.own.ref = audio.NewReference() // the same sound, of somebody else
	l.hears(mic)
	assert.Len(t, l.calls, 1, "without the reference it would: %.3f", l.most())
}

// TestOverOwnVoice: a person is heard while the robot speaks.
func TestOverOwnVoice(t *testing.T) {
	t.Parallel()
	l, mic := plays(t, ownStory, 80*time.Millisecond, -10)
	l.hears(sum(mic, says(t, "rms", "hey tars"), 3*time.Second))
	require.Len(t, l.calls, 1, "%.3f", l.most())
	assert.InDelta(t, 4.2, l.at[0].Seconds(), 0.5)
	l, mic = plays(t, ownStory, 80*time.Millisecond, 0)
	l.hears(mic)
	assert.Empty(t, l.calls, "%.3f", l.most())
}

func TestAlike(t *testing.T) {
	t.Parallel()
	l, mic := plays(t, ownStory, 200*time.Millisecond, -10)
	n := audio.Samples(4*time.Second, audio.Rate) / chunkLen * chunkLen
	l.hears(mic[:n])
	assert.Greater(t, l.own.alike(l.now), 0.6, "it hears what is played")
	l, _ = plays(t, ownStory, 0, 0)
	l.hears(sum(roomNoise(4*time.Second, 0.001), says(t, "rms", "what a wonderful day this is, is it not, my dear friend"), 2*time.Second)[:n])
	assert.Less(t, l.own.alike(l.now), 0.45, "it hears somebody else")
	l.own.ref = audio.NewReference()
	assert.Zero(t, l.own.alike(l.now), "nothing is played")
}

// BenchmarkOverOwnVoice prints how many calls are heard while the robot speaks, for docs/wake.md: go test
// -run xx -bench OverOwnVoice -benchtime 1x ./services/wake
func BenchmarkOverOwnVoice(b *testing.B) {
	for _, db := range []float64{-60, -20, -10, -6, 0} {
		b.Run(fmt.Sprintf("%gdB", db), func(b *testing.B) {
			calls, heard, own := 0, 0, 0
			for b.Loop() {
				for i := range 12 {
					l, mic := plays(b, ownStory, time.Duration(20*i)*time.Millisecond, db)
					at := 1500*time.Millisecond + time.Duration(i)*270*time.Millisecond
					l.hears(sum(mic, says(b, "rms", "hey tars"), at))
					calls++
					for k := range l.calls {
						if d := l.at[k] - at; d > 0 && d < 2*time.Second {
							heard++
						} else {
							own++
						}
					}
				}
			}
			b.ReportMetric(float64(heard)/float64(calls), "recall")
			b.ReportMetric(float64(own), "false")
		})
	}
}
