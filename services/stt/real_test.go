package stt

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/enginetest"
	"github.com/tarsd/tarsd/internal/engine/flite"
	"github.com/tarsd/tarsd/internal/engine/silero"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/stt/recognise"
)

var synthesizer = sync.OnceValues(flite.Open)

// spoken is what a synthetic voice makes of a text, without the silence around it.
func spoken(t testing.TB, name, text string) []int16 {
	t.Helper()
	e := enginetest.Open(t, synthesizer, flite.ErrNoProgram)
	var pcm []int16
	rate := 0
	require.NoError(t, e.Speak(t.Context(), flite.Request{Text: text, Voice: name}, func(r int, piece []int16) error {
		rate, pcm = r, append(pcm, piece...)
		return nil
	}))
	if rate != audio.Rate {
		rs, err := audio.NewResampler(rate, audio.Rate)
		require.NoError(t, err)
		pcm = rs.Flush(rs.Process(nil, pcm))
	}
	loud := func(v int16) bool { return v > 300 || v < -300 }
	begin, end := 0, len(pcm)
	for begin < end && !loud(pcm[begin]) {
		begin++
	}
	for end > begin && !loud(pcm[end-1]) {
		end--
	}
	return pcm[begin:end]
}

func detector(t testing.TB) func() (Detector, error) {
	first := enginetest.Open(t, silero.Open, silero.ErrNoWeights)
	return func() (Detector, error) { return first.Another(), nil }
}

// noise adds a steady one.
func noise(pcm []int16, level int) []int16 {
	out, seed := make([]int16, len(pcm)), uint32(1)
	for i, v := range pcm {
		seed = seed*1664525 + 1013904223
		out[i] = v + int16(int(seed>>16)%(2*level+1)-level)
	}
	return out
}

// TestRealSpeech: with the real voice detector, each phrase of a file is one utterance with all of its
// sound, also a short one, also in noise; and the end of speech is where it is.
func TestRealSpeech(t *testing.T) {
	t.Parallel()
	all := []string{"No.", "Yes.", "Stop!", "Turn left.", "What time is it?", "Tell me a story about a robot that was sent to another star."}
	for _, v := range []struct {
		voice string
		level int
	}{{"slt", 0}, {"rms", 0}, {"kal", 0}, {"slt", 60}, {"rms", 60}} {
		t.Run(fmt.Sprint(v.voice, v.level), func(t *testing.T) {
			t.Parallel()
			phrases := all
			if v.voice == "kal" { // whose no of 90 ms is no speech for the detector (0.44)
				phrases = all[1:]
			}
			pcm := wave(2*time.Second, 0)
			var ends []int
			for _, p := range phrases {
				pcm = append(pcm, spoken(t, v.voice, p)...)
				ends = append(ends, len(pcm))
				pcm = append(pcm, wave(1500*time.Millisecond, 0)...)
			}
			if v.level > 0 {
				pcm = noise(pcm, v.level)
			}
			o := Defaults()
			ms := newMics(&o)
			ms.join(time.Now(), Room)
			ms.dialogue(time.Now(), contract.Dialogue{State: contract.Listening, Live: true}, time.Hour, true)
			det, err := detector(t)()
			require.NoError(t, err)
			s := newSite(&o, Room, ms, det)
			begin := time.Now()
			var got []*utterance
			for i := 0; i+audio.FrameLen <= len(pcm); i += audio.FrameLen {
				s.hear(audio.Frame{PCM: pcm[i:][:audio.FrameLen], At: begin.Add(audio.Duration(i, audio.Rate))})
				for len(s.queue) > 0 {
					got = append(got, <-s.queue)
				}
			}
			require.Len(t, got, len(phrases))
			for i, u := range got {
				require.True(t, u.done, phrases[i])
				require.False(t, u.dropped, phrases[i])
				off := u.m.to.Sub(begin.Add(audio.Duration(ends[i], audio.Rate)))
				assert.InDelta(t, 0, off.Milliseconds(), 230, "end of %s", phrases[i])
				start := 2 * audio.Rate
				if i > 0 {
					start = ends[i-1] + 3*audio.Rate/2
				}
				late := u.m.from.Add(-o.PreRoll).Sub(begin.Add(audio.Duration(start, audio.Rate)))
				assert.LessOrEqual(t, late.Milliseconds(), int64(0), "the beginning of %s is there", phrases[i])
				assert.Greater(t, u.m.mean, 0.5)
			}
		})
	}
}

// fileEars is a microphone of a file.
type fileEars struct{ spec string }

func (e fileEars) Each(ctx context.Context, f func(ctx context.Context, site string, l *audio.Listener)) error {
	h := audio.NewHub(audio.HubOptions{Open: func(ctx context.Context) (audio.Source, error) { return audio.OpenSource(ctx, e.spec) }})
	l := h.Listen(100_000)
	defer l.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _ = h.Run(ctx) })
	f(ctx, Room, l)
	<-ctx.Done()
	return nil
}

// TestFile: a WAV file with real voices through all of the service; when it ends, the robot is deaf.
func TestFile(t *testing.T) {
	t.Parallel()
	pcm := wave(time.Second, 0)
	phrases := []string{"Hello there.", "Turn left.", "Stop!"}
	for _, p := range phrases {
		pcm = append(append(pcm, spoken(t, "slt", p)...), wave(time.Second, 0)...)
	}
	path := filepath.Join(t.TempDir(), "speech.wav")
	require.NoError(t, os.WriteFile(path, audio.AppendWAV(nil, pcm, audio.Rate), 0o600))
	e := says(phrases...)
	h := newHouse(t, e, func(o *Options) {
		o.Microphones = fileEars{"wav:" + path}
		o.Detector = detector(t)
	})
	h.live()
	for _, p := range phrases {
		assert.Equal(t, p, h.final.Next(t).Data.Text)
	}
	assert.False(t, h.says("room: the microphone is gone").OK)
}

// TestBadFile: a microphone that is no WAV file is one that never gives sound, which those who bring it
// tell of.
func TestBadFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "speech.wav")
	require.NoError(t, os.WriteFile(path, []byte("RIFF\x10\x00\x00\x00WAVEjunk"), 0o600))
	h := newHouse(t, says("x"), func(o *Options) { o.Microphones = fileEars{"wav:" + path} })
	assert.True(t, h.says("no sound yet").OK)
}

func BenchmarkSite(b *testing.B) {
	speech := []int16(nil)
	for len(speech) < 10*audio.Rate {
		speech = append(speech, spoken(b, "slt", "Tell me a story about a robot that was sent to another star, and came back.")...)
	}
	speech = speech[:10*audio.Rate]
	for name, v := range map[string]struct {
		live bool
		pcm  []int16
	}{"closed": {false, speech}, "open, silence": {true, hush(10 * time.Second)}, "open, speech": {true, speech}} {
		b.Run(name, func(b *testing.B) {
			o := Defaults()
			ms := newMics(&o)
			ms.join(time.Now(), Room)
			ms.dialogue(time.Now(), contract.Dialogue{State: contract.Idle, Live: v.live}, 1000*time.Hour, true)
			det, err := detector(b)()
			require.NoError(b, err)
			s := newSite(&o, Room, ms, det)
			at, i := time.Now(), 0
			b.ReportAllocs()
			for b.Loop() {
				s.hear(audio.Frame{PCM: v.pcm[i:][:audio.FrameLen], At: at})
				at = at.Add(audio.FrameTime)
				if i += audio.FrameLen; i+audio.FrameLen > len(v.pcm) {
					i = 0
				}
				for len(s.queue) > 0 {
					<-s.queue
				}
			}
			b.ReportMetric(100*b.Elapsed().Seconds()/float64(b.N)/audio.FrameTime.Seconds(), "%core")
		})
	}
}

// BenchmarkFinal is from the block that ends an utterance to the transcript at another client, with
// an engine that takes no time.
func BenchmarkFinal(b *testing.B) {
	e := &script{name: "script", say: func([]int16) (recognise.Result, error) { return recognise.Result{Text: "hello", Confidence: 1}, nil }}
	h := newHouse(b, e)
	h.live()
	h.says("open (live)")
	var took []time.Duration
	for b.Loop() {
		h.room.hear(hum(time.Second))
		h.room.hear(hush(660 * time.Millisecond))
		begin := time.Now()
		h.room.hear(hush(100 * time.Millisecond))
		h.final.Next(b)
		took = append(took, time.Since(begin))
	}
	b.ReportMetric(percentile(took, 50), "p50-ms")
	b.ReportMetric(percentile(took, 99), "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// percentile is one of durations, in milliseconds.
func percentile(d []time.Duration, p int) float64 {
	slices.Sort(d)
	return float64(d[min(len(d)-1, len(d)*p/100)].Microseconds()) / 1000
}
