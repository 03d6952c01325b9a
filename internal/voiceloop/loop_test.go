package voiceloop

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// TestEarsAndMouth: the program hears its microphone, also after the sound server has crashed, and says
// what it is told to so that it is understood.
func TestEarsAndMouth(t *testing.T) {
	r := newRobot(t, "ears", "tts")
	health := servicetest.Collect(t, r.peer, contract.Health.At("ears"))
	spectra := servicetest.Collect(t, r.peer, contract.STTAudioFFT)
	status := servicetest.Collect(t, r.peer, contract.TTSStatus)
	r.speak(t, say(t, "Hello, is anybody there?"))
	assert.Len(t, spectra.Next(t).Data.Bins(), audio.SpectrumBins)
	r.bed.Stop()
	m := health.Find(t, func(m client.Message[contract.HealthPing]) bool { return !m.Data.OK })
	assert.NotEmpty(t, contract.Value(m.Data.Err))
	r.bed.Start(t)
	health.Find(t, func(m client.Message[contract.HealthPing]) bool { return m.Data.OK })
	for _, text := range []string{"It is 8:24 PM.", "It is 12:05 AM."} {
		tape := r.record(t)
		from := time.Now()
		_, err := client.Publish(t.Context(), r.peer, contract.TTSSay, contract.Say{Text: text})
		require.NoError(t, err)
		to := ended(t, status)
		pcm, first := tape.spoken(t, from, to.Add(200*time.Millisecond))
		require.False(t, first.IsZero(), "nothing was heard")
		t.Logf("tts/say → first sound: %s", first.Sub(from).Round(time.Millisecond))
		understood(t, text, pcm)
	}
}

// heard are what a turn leaves on the bus.
type heard struct {
	wake   *servicetest.Collector[contract.Wake]
	final  *servicetest.Collector[contract.FinalTranscript]
	say    *servicetest.Collector[contract.Say]
	status *servicetest.Collector[contract.SpeechStatus]
}

func (r *robot) follow(t *testing.T) *heard {
	t.Helper()
	return &heard{
		servicetest.Collect(t, r.peer, contract.WakeEvent), servicetest.Collect(t, r.peer, contract.STTFinal),
		servicetest.Collect(t, r.peer, contract.TTSSay), servicetest.Collect(t, r.peer, contract.TTSStatus),
	}
}

// way is how a person gets the robot's ear.
type way struct {
	services []string
	question func(t *testing.T) []int16
	before   func(t *testing.T, r *robot, site string) // anything is said
}

// ways are by the wake word, in one breath with the question, and by a button.
var ways = map[string]way{
	"wake word": {
		[]string{"ears", "wake", "stt", "router", "tts"},
		func(t *testing.T) []int16 {
			t.Helper()
			return slices.Concat(pause(500*time.Millisecond), say(t, "hey tars"), pause(300*time.Millisecond), say(t, "what time is it"))
		},
		func(*testing.T, *robot, string) {},
	},
	"button": {
		[]string{"ears", "stt", "router", "tts"},
		func(t *testing.T) []int16 {
			t.Helper()
			return slices.Concat(pause(500*time.Millisecond), say(t, "what time is it"))
		},
		func(t *testing.T, r *robot, site string) {
			t.Helper()
			ctx := client.WithTurn(t.Context(), client.Turn{Origin: site})
			_, err := client.Publish(ctx, r.peer, contract.WakeEvent, contract.Wake{Type: contract.WakeHeard})
			require.NoError(t, err)
		},
	},
}

// judge checks the turn of the question from a site, and returns what was answered and when the question
// was understood.
func (h *heard) judge(t *testing.T, site string) (answer client.Message[contract.Say], final time.Time) {
	t.Helper()
	w := h.wake.Find(t, func(m client.Message[contract.Wake]) bool { return m.Data.Type == contract.WakeHeard })
	assert.Equal(t, site, prop(w.Props, "origin"), "origin of wake/event")
	f := h.final.Next(t)
	// Called in one breath, the end of the wake word may be heard as a word, such as "first".
	assert.Regexp(t, `^(hey tars |\w+ )?what time is it$`, strings.ToLower(strings.Trim(f.Data.Text, " .?")))
	assert.Equal(t, site, prop(f.Props, "origin"), "origin of stt/final")
	answer = h.say.Next(t)
	assert.Equal(t, site, prop(answer.Props, "origin"), "origin of tts/say")
	assert.NotEmpty(t, prop(answer.Props, "turn"))
	assert.Equal(t, prop(f.Props, "turn"), prop(answer.Props, "turn"), "one turn")
	return answer, f.Received
}

// TestVoiceLoop: a person asks for the time, and is told.
func TestVoiceLoop(t *testing.T) {
	for name, w := range ways {
		t.Run(name, func(t *testing.T) {
			r := newRobot(t, w.services...)
			h, tape := r.follow(t), r.record(t)
			pcm := w.question(t)
			w.before(t, r, "room")
			r.speak(t, pcm)
			asked := time.Now() // the last sound was heard by now
			answer, final := h.judge(t, "room")
			pcm, first := tape.spoken(t, asked, ended(t, h.status).Add(200*time.Millisecond))
			require.False(t, first.IsZero(), "nothing was heard")
			t.Logf("end of the question → stt/final: %s, → first sound: %s", final.Sub(asked).Round(time.Millisecond), first.Sub(asked).Round(time.Millisecond))
			understood(t, answer.Data.Text, pcm)
		})
	}
}

// TestVoiceLoopOfSite: the same by a satellite, whose answer does not come out of the robot's own speaker.
func TestVoiceLoopOfSite(t *testing.T) {
	for name, w := range ways {
		t.Run(name, func(t *testing.T) {
			r := newRobot(t, w.services...)
			h, tape := r.follow(t), r.record(t)
			out := servicetest.Collect(t, r.peer, contract.AudioOut.At("kitchen"))
			from := time.Now()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			sent, done := make(chan time.Time, 1), make(chan error, 1)
			pcm := w.question(t)
			w.before(t, r, "kitchen")
			go func() { done <- r.satellite(ctx, "kitchen", pcm, sent) }()
			var asked time.Time
			select {
			case asked = <-sent:
			case err := <-done:
				require.NoError(t, err)
			}
			answer, final := h.judge(t, "kitchen")
			pcm, rate, first := listen(t, out)
			t.Logf("end of the question → stt/final: %s, → first sound: %s", final.Sub(asked).Round(time.Millisecond), first.Sub(asked).Round(time.Millisecond))
			to := ended(t, h.status)
			stop()
			require.NoError(t, <-done)
			_, here := tape.spoken(t, from, to)
			assert.True(t, here.IsZero(), "the room heard it too")
			pcm, err := audio.Resample(pcm, rate, audio.Rate)
			require.NoError(t, err)
			understood(t, answer.Data.Text, pcm)
		})
	}
}

// listen returns what a satellite gets to play, up to the end of an utterance, and when it began.
func listen(t *testing.T, out *servicetest.Collector[[]byte]) (pcm []int16, rate int, first time.Time) {
	t.Helper()
	for {
		m := out.Next(t)
		if len(m.Data) == 0 {
			assert.Empty(t, prop(m.Props, contract.PropDropped), "it was spoken to its end")
			return pcm, rate, first
		}
		if first.IsZero() {
			first = m.Received
		}
		var err error
		rate, err = strconv.Atoi(prop(m.Props, contract.PropRate))
		require.NoError(t, err)
		pcm = audio.AppendSamples(pcm, m.Data)
	}
}

// satellite sends sound as a microphone does, 20 ms at a time, with silence behind it until ctx ends. What a
// busy machine made late is sent at once, since a microphone has a clock of its own.
func (r *robot) satellite(ctx context.Context, site string, pcm []int16, sent chan<- time.Time) error {
	topic := contract.AudioIn.At(site)
	pcm = append(pcm, make([]int16, audio.FrameLen-len(pcm)%audio.FrameLen)...)
	silence := pause(audio.FrameTime)
	tick := time.NewTicker(audio.FrameTime)
	defer tick.Stop()
	begin := time.Now()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for ; time.Duration(n+1)*audio.FrameTime <= time.Since(begin); n++ {
			piece := silence
			if at := n * audio.FrameLen; at < len(pcm) {
				piece = pcm[at : at+audio.FrameLen]
			} else if at == len(pcm) {
				sent <- time.Now()
			}
			if _, err := r.peer.PublishRaw(ctx, topic.Name, audio.AppendBytes(nil, piece), topic.QoS, false); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}
