package wake

import (
	"math"
	"math/rand/v2"
	"sort"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/enginetest"
	"github.com/tarsd/tarsd/internal/engine/flite"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	"github.com/tarsd/tarsd/internal/engine/silero"
)

// talk is the sound of texts, made once.
var talk = struct {
	sync.Mutex
	engine *flite.Engine
	made   map[string][]int16
}{made: map[string][]int16{}}

// says is a text in a voice of flite, at 16 kHz with an RMS of 0.1.
func says(t testing.TB, voice, text string) []int16 {
	t.Helper()
	talk.Lock()
	defer talk.Unlock()
	if talk.engine == nil {
		talk.engine = enginetest.Open(t, flite.Open, flite.ErrNoProgram)
	}
	if pcm, ok := talk.made[voice+text]; ok {
		return pcm
	}
	var pcm []int16
	require.NoError(t, talk.engine.Speak(t.Context(), flite.Request{Text: text, Voice: voice}, func(_ int, p []int16) error {
		pcm = append(pcm, p...)
		return nil
	}))
	pcm = louder2(pcm, 0.1/audio.Measure(pcm).RMS)
	talk.made[voice+text] = pcm
	return pcm
}

func louder2(pcm []int16, by float64) []int16 {
	out := make([]int16, len(pcm))
	for i, v := range pcm {
		out[i] = int16(max(-32768, min(float64(v)*by, 32767)))
	}
	return out
}

// sum adds sounds; the second begins at a time in the first.
func sum(a, b []int16, at time.Duration) []int16 {
	from := audio.Samples(at, audio.Rate)
	out := make([]int16, max(len(a), from+len(b)))
	copy(out, a)
	for i, v := range b {
		out[from+i] = int16(max(-32768, min(int(out[from+i])+int(v), 32767)))
	}
	return out
}

func silence(d time.Duration) []int16 { return make([]int16, audio.Samples(d, audio.Rate)) }

// roomNoise is what a quiet room sounds like.
func roomNoise(d time.Duration, rms float64) []int16 {
	r := rand.New(rand.NewPCG(1, 2))
	out := silence(d)
	for i := range out {
		out[i] = int16(r.NormFloat64() * rms * 32768)
	}
	return out
}

// listener is an ear whose calls are kept.
type listener struct {
	*ear
	calls  []detection
	at     []time.Duration // since the beginning
	scores []score
	voices int
	begin  time.Time
	now    time.Time
}

func newListener(t testing.TB, change ...func(*Options)) *listener {
	t.Helper()
	head, err := openwakeword.Builtin()
	require.NoError(t, err)
	o := Defaults()
	for _, f := range change {
		f(&o)
	}
	l := &listener{begin: time.Now()}
	l.now = l.begin
	voice := enginetest.Open(t, silero.Open, silero.ErrNoWeights)
	l.ear = newEar(&o, "room", enginetest.Open(t, openwakeword.Open, openwakeword.ErrNoWeights), head, voice)
	l.detected = func(d detection) { l.calls, l.at = append(l.calls, d), append(l.at, l.now.Sub(l.begin)) }
	l.scored = func(s score) { l.scores = append(l.scores, s) }
	l.spoke = func() { l.voices++ }
	l.attentive = func() bool { return true }
	l.speaking = func(time.Time) bool { return false }
	return l
}

// hears plays sound to the ear.
func (l *listener) hears(pcm []int16) *listener {
	for ; len(pcm) >= audio.FrameLen; pcm = pcm[audio.FrameLen:] {
		at := l.now
		l.now = l.now.Add(audio.FrameTime)
		l.hear(audio.Frame{PCM: pcm[:audio.FrameLen], At: at})
	}
	return l
}

func (l *listener) most() float64 {
	most := 0.0
	for _, s := range l.scores {
		most = max(most, s.value)
	}
	return most
}

func TestHears(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"hey tars", "hey tars, what time is it?", "good morning. hey tars!"} {
		l := newListener(t).hears(roomNoise(2*time.Second, 0.001)).hears(sum(roomNoise(4*time.Second, 0.001), says(t, "rms", text), 0))
		require.Len(t, l.calls, 1, "%s: %.3f", text, l.most())
		assert.Equal(t, "room", l.calls[0].site)
		assert.InDelta(t, 0.1, l.calls[0].energy, 0.08)
		assert.GreaterOrEqual(t, l.calls[0].confidence, l.calls[0].threshold)
		assert.Positive(t, l.voices)
	}
	for _, text := range []string{"good morning everybody", "hey jarvis", "what time is it", "the weather is fine in paris"} {
		l := newListener(t).hears(roomNoise(2*time.Second, 0.001)).hears(sum(roomNoise(4*time.Second, 0.001), says(t, "rms", text), 0))
		assert.Empty(t, l.calls, "%s: %.3f", text, l.most())
	}
}

// TestRetrigger: one call is one call, and two are two.
func TestRetrigger(t *testing.T) {
	t.Parallel()
	call := sum(silence(3*time.Second), says(t, "rms", "hey tars"), time.Second)
	assert.Len(t, newListener(t).hears(call).hears(call).calls, 2)
	assert.Len(t, newListener(t, func(o *Options) { o.Retrigger = time.Minute }).hears(call).hears(call).calls, 1)
}

// TestGapResets: what was before missing sound and what comes behind it is no phrase.
func TestGapResets(t *testing.T) {
	t.Parallel()
	call := sum(roomNoise(3*time.Second, 0.001), says(t, "rms", "hey tars"), 2*time.Second)
	whole := newListener(t).hears(call)
	require.Len(t, whole.calls, 1)
	cut := audio.Samples(whole.at[0]-300*time.Millisecond, audio.Rate) / audio.FrameLen * audio.FrameLen
	l := newListener(t).hears(call[:cut])
	before := len(l.scores)
	l.hear(audio.Frame{PCM: call[cut : cut+audio.FrameLen], At: l.now, Gap: true})
	l.hears(call[cut+audio.FrameLen:])
	assert.Empty(t, l.calls)
	for _, s := range l.scores[before : before+5] {
		assert.Zero(t, s.value, "the first chunks of a stream say too little")
	}
}

// TestRest: a quiet room costs nothing, and nobody is missed in it.
func TestRest(t *testing.T) {
	t.Parallel()
	call := sum(roomNoise(2*time.Second, 0.0005), says(t, "rms", "hey tars"), time.Second)
	for _, rest := range []bool{true, false} {
		l := newListener(t, func(o *Options) { o.Rest = rest })
		l.hears(roomNoise(10*time.Second, 0.0005))
		assert.Equal(t, rest, l.rests)
		l.hears(call)
		assert.Len(t, l.calls, 1, "rest %t: %.3f", rest, l.most())
		assert.False(t, l.rests)
	}
	l := newListener(t).hears(roomNoise(10*time.Second, 0.0005)).hears(roomNoise(5*time.Second, 0.02))
	assert.False(t, l.rests, "a fan that was switched on is heard at first")
	l.hears(roomNoise(10*time.Second, 0.02))
	assert.True(t, l.rests, "and is the room after a while")
}

func TestVAD(t *testing.T) {
	t.Parallel()
	call := sum(silence(3*time.Second), says(t, "rms", "hey tars"), time.Second)
	assert.Len(t, newListener(t, func(o *Options) { o.VAD = 0.5 }).hears(call).calls, 1)
	l := newListener(t, func(o *Options) { o.VAD = 0.5 })
	l.voice = nil // it says nothing, then
	assert.Len(t, l.hears(call).calls, 1, "without a voice detector it is not asked")
}

// TestThreshold: what is asked of a score in which sound.
func TestThreshold(t *testing.T) {
	t.Parallel()
	l := newListener(t, func(o *Options) { o.Threshold = 0.5 })
	l.hears(roomNoise(time.Second, 0.0004))
	assert.InDelta(t, 0.4, l.threshold(0.2, 0.004), 1e-9, "a faint voice in a quiet room")
	assert.InDelta(t, 0.5, l.threshold(0.2, 0.05), 1e-9, "a loud one")
	l.reset()
	l.hears(roomNoise(time.Second, 0.004))
	assert.InDelta(t, 0.5, l.threshold(0.2, 0.005), 1e-9, "a loud room")
	l.speaking = func(time.Time) bool { return true }
	assert.InDelta(t, 0.735, l.threshold(0.9, 0.05), 1e-9, "the robot speaks, and nobody knows what")
	l.speaking = func(time.Time) bool { return false }
	l.o.VAD = 0.9
	clear(l.ear.voices[:])
	assert.InDelta(t, impossible, l.threshold(0.9, 0.05), 1e-9, "no voice")
}

func TestLevels(t *testing.T) {
	t.Parallel()
	var l levels
	tone := func(rms float64) []int16 {
		out := make([]int16, chunkLen)
		for i := range out {
			out[i] = int16(rms * 32768 * (1 - 2*float64(i%2)))
		}
		return out
	}
	for range 30 {
		l.add(tone(0.01))
	}
	assert.InDelta(t, 0.01, l.floor(), 1e-3)
	assert.True(t, l.resting())
	l.add(tone(0.03))
	assert.False(t, l.resting())
	assert.InDelta(t, 0.01, l.floor(), 1e-3)
	assert.InDelta(t, math.Sqrt((0.03*0.03+0.01*0.01)/2), l.energy(2), 1e-3)
	for range floorChunks {
		l.add(tone(0.03))
	}
	assert.InDelta(t, 0.03, l.floor(), 1e-3)
	l.reset()
	assert.Zero(t, l.energy(10))
	l.add(make([]int16, chunkLen))
	assert.InDelta(t, leastFloor, l.floor(), 1e-9)
}

// BenchmarkEar prints what a microphone costs, for docs/wake.md: go test -run xx -bench Ear ./services/wake
func BenchmarkEar(b *testing.B) {
	const length = 8 * time.Second
	speech := sum(roomNoise(length, 0.001), says(b, "rms", ownStory), 500*time.Millisecond)
	for _, c := range []struct {
		name  string
		sound []int16
		rest  bool
		own   bool
	}{
		{"quiet", roomNoise(length, 0.001), true, false}, {"quiet, no rest", roomNoise(length, 0.001), false, false},
		{"speech", speech, true, false}, {"speech, and the robot speaks", speech, true, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			ref := audio.NewReference()
			l := newListener(b, func(o *Options) { o.Rest, o.Reference = c.rest, ref })
			l.attentive = func() bool { return false }
			l.hears(roomNoise(8*time.Second, 0.001))
			before := processor(b)
			for b.Loop() {
				if c.own {
					for i := 0; i < len(speech); i += 8000 {
						ref.Played("room", speech[i:i+8000], audio.Rate, l.now.Add(audio.Duration(i, audio.Rate)))
					}
				}
				l.hears(c.sound)
			}
			b.ReportMetric(100*(processor(b)-before).Seconds()/float64(b.N)/length.Seconds(), "%core")
		})
	}
}

// processor is what this process has used of it: on a busy machine that is not the time.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLatency prints how long after the end of the phrase it is heard.
func BenchmarkLatency(b *testing.B) {
	call := trimmed(says(b, "rms", "hey tars"))
	var late []float64
	for b.Loop() {
		for i := range 20 { // at all places in a chunk
			at := 2*time.Second + time.Duration(i)*4*time.Millisecond
			l := newListener(b).hears(sum(roomNoise(5*time.Second, 0.001), call, at))
			for _, heard := range l.at {
				late = append(late, float64((heard - at - audio.Duration(len(call), audio.Rate)).Milliseconds()))
			}
		}
	}
	sort.Float64s(late)
	b.ReportMetric(late[len(late)/2], "ms-p50")
	b.ReportMetric(late[len(late)-1], "ms-max")
	b.ReportMetric(float64(len(late)), "calls")
}

// trimmed is a sound without the silence behind it.
func trimmed(pcm []int16) []int16 {
	for len(pcm) > 160 && audio.Measure(pcm[len(pcm)-160:]).RMS < 0.001 {
		pcm = pcm[:len(pcm)-160]
	}
	return pcm
}
