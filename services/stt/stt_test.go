package stt

import (
	"context"
	"errors"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
	"github.com/tarsd/tarsd/services/stt/recognise"
)

func TestHears(t *testing.T) {
	t.Parallel()
	e := says("What time is it?")
	h := newHouse(t, e)
	h.room.at = time.Now().Add(-10 * time.Second)
	h.room.hear(hum(2 * time.Second)) // nobody asked
	h.room.hear(hush(time.Second))
	h.wake("room")
	h.room.at = time.Now()
	h.room.hear(hush(500 * time.Millisecond))
	h.room.hear(hum(time.Second))
	end := h.room.at
	h.room.hear(hush(time.Second))
	m := h.final.Next(t)
	f := m.Data
	assert.Equal(t, "What time is it?", f.Text)
	assert.Equal(t, "en", f.Lang)
	assert.InDelta(t, 0.8, *f.Confidence, 1e-9)
	assert.True(t, f.IsFinal)
	assert.Contains(t, *f.UttID, "stt-")
	props := map[string]string{}
	for _, p := range m.Props {
		props[p.Key] = p.Value
	}
	assert.Equal(t, "turn-room", props["turn"])
	assert.Equal(t, "room", props["origin"])
	over, err := strconv.ParseFloat(props[contract.PropSpeechEnd], 64)
	require.NoError(t, err)
	assert.InDelta(t, unix(end), over, 0.05)
	got := e.utterances()
	require.Len(t, got, 1, "the first was not for us")
	assert.InDelta(t, 0.3+1+0.7, float64(len(got[0]))/16000, 0.05, "pre-roll, speech, silence")
}

// TestPartials: what was understood so far is said when it is new, and taken back when it was nothing.
func TestPartials(t *testing.T) {
	t.Parallel()
	e := says("Turn left.", "")
	e.part = func(pcm []int16) string {
		switch n := seconds(pcm); {
		case n < 0.5:
			return ""
		case n < 0.9:
			return "turn"
		}
		return "turn left"
	}
	h := newHouse(t, e, func(o *Options) { o.PartialInterval = 50 * time.Millisecond })
	for round := range 2 {
		h.wake("")
		h.room.at = time.Now()
		h.room.live(hum(1200 * time.Millisecond))
		h.room.hear(hush(time.Second))
		p := h.partial.Next(t).Data
		assert.Equal(t, noWords, p.Text, "somebody speaks")
		assert.False(t, p.IsFinal)
		assert.Equal(t, "turn", h.partial.Next(t).Data.Text)
		assert.Equal(t, "turn left", h.partial.Next(t).Data.Text)
		if round == 0 {
			f := h.final.Next(t).Data
			assert.Equal(t, "Turn left.", f.Text)
			assert.Equal(t, *f.UttID, *p.UttID)
			h.says("closed (transcribed)")
		}
	}
	assert.Empty(t, h.partial.Next(t).Data.Text, "it was nothing")
	assert.Zero(t, h.final.Len())
}

// TestStopIsQuick: with a stop as partial transcript nobody waits for the whole silence; and many of
// them all arrive.
func TestStopIsQuick(t *testing.T) {
	t.Parallel()
	e := says("stop")
	e.part = func([]int16) string { return "stop" }
	h := newHouse(t, e, func(o *Options) { o.PartialInterval = 50 * time.Millisecond })
	h.live()
	h.says("open (live)")
	h.room.hear(hush(time.Second))
	for range 10 {
		h.room.live(hum(300 * time.Millisecond))
		assert.Equal(t, "stop", h.partial.Find(t, func(m client.Message[contract.PartialTranscript]) bool { return true }).Data.Text)
		h.room.hear(hush(320 * time.Millisecond))
		m := h.final.Next(t)
		assert.Equal(t, "stop", m.Data.Text)
		assert.Contains(t, m.Props, client.UserProperty{Key: "origin", Value: Room})
		assert.Contains(t, m.Props, client.UserProperty{Key: "turn", Value: m.ID}, "nothing was before it")
		h.room.hear(hush(200 * time.Millisecond))
	}
	for _, u := range e.utterances() {
		assert.Less(t, seconds(u), 0.3+0.35+0.35)
	}
}

// TestMuteDropsWhatIsSaid, and letting go of the button does not.
func TestMute(t *testing.T) {
	t.Parallel()
	e := says("Secret.", "Hello.")
	h := newHouse(t, e)
	h.wake("")
	h.room.at = time.Now()
	h.room.hear(hum(time.Second))
	h.partial.Next(t)
	publish(h, "", contract.WakeMic, contract.MicCommand{Action: "mute", Reason: "page"})
	h.says("muted (page)")
	h.room.at = time.Now()
	h.room.hear(hush(2 * time.Second))
	assert.Empty(t, h.partial.Next(t).Data.Text)
	assert.Zero(t, e.calls())

	publish(h, Room, contract.WakeEvent, contract.Wake{Type: contract.WakeHeard})
	publish(h, Room, contract.WakeMic, contract.MicCommand{Action: "unmute", Reason: "push_to_talk", TTLMS: new(9000)})
	h.says("open (push_to_talk)")
	h.room.at = time.Now()
	h.room.hear(hum(time.Second))
	h.partial.Next(t)
	publish(h, Room, contract.WakeMic, contract.MicCommand{Action: "mute", Reason: "push_to_talk"})
	h.says("muted (push_to_talk)")
	h.room.at = time.Now()
	h.room.hear(hush(100 * time.Millisecond))
	assert.Equal(t, "Secret.", h.final.Next(t).Data.Text)
}

// TestHalfDuplex: the robot does not hear itself, but for who speaks a wake word.
func TestHalfDuplex(t *testing.T) {
	t.Parallel()
	e := says("I am a robot and I speak.", "What did you say?")
	h := newHouse(t, e)
	h.live()
	h.says("open (live)")
	publish(h, "", contract.TTSSay, contract.Say{Text: "I am a robot, and I speak.", UttID: new("a")})
	publish(h, "", contract.TTSStatus, contract.SpeechStatus{Event: contract.SpeakingStart, Text: "I am a robot, and I speak.", UttID: new("a")})
	h.says("closed (own speech)")
	h.room.at = time.Now()
	h.room.live(hum(500 * time.Millisecond))
	h.room.live(hush(time.Second))
	publish(h, "", contract.WakeEvent, contract.Wake{Type: contract.WakeInterrupt})
	h.says("open")
	h.room.at = time.Now()
	h.room.hear(hum(time.Second)) // the robot, which has not been paused yet
	h.room.hear(hush(time.Second))
	h.room.hear(hum(time.Second))
	h.room.hear(hush(time.Second))
	assert.Equal(t, "What did you say?", h.final.Next(t).Data.Text, "own speech is known by its text")
	assert.Equal(t, 2, e.calls())
}

// TestSites: each has its own microphone, queue and origin.
func TestSites(t *testing.T) {
	t.Parallel()
	e := says("hello")
	h := newHouse(t, e)
	kitchen := h.site("kitchen")
	h.wake("kitchen")
	for _, m := range []*ear{h.room, kitchen} {
		m.at = time.Now()
		m.hear(hum(time.Second))
		m.hear(hush(time.Second))
	}
	m := h.final.Next(t)
	assert.Contains(t, m.Props, client.UserProperty{Key: "origin", Value: "kitchen"})
	h.says("kitchen closed (transcribed)")
	h.wake("kitchen")
	kitchen.at = time.Now()
	kitchen.hear(hum(time.Second))
	kitchen.gone()
	assert.Equal(t, "hello", h.final.Next(t).Data.Text, "what was said when the microphone went")
	assert.True(t, h.wake("").OK, "a satellite may go")
	assert.Equal(t, 2, e.calls())
	kitchen = h.site("kitchen")
	h.wake("kitchen")
	kitchen.at = time.Now()
	begin := unix(kitchen.at)
	shown := func(text string) {
		h.partial.Find(t, func(m client.Message[contract.PartialTranscript]) bool {
			return m.Data.Text == text && m.Data.TS > begin
		})
	}
	kitchen.hear(hum(time.Second))
	shown(noWords)
	publish(h, "kitchen", contract.WakeMic, contract.MicCommand{Action: "mute", Reason: "night"})
	h.says("kitchen muted (night)")
	kitchen.gone()
	shown("")
	assert.Zero(t, h.final.Len(), "it went muted")
}

// TestSlowEngine: the microphone does not wait for it, and what it has no time for is given up, the
// oldest first.
func TestSlowEngine(t *testing.T) {
	t.Parallel()
	e := says("1", "7", "8", "9", "10")
	goOn := make(chan struct{})
	e.feed = func(ctx context.Context, _ []int16) error {
		select {
		case <-goOn:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	h := newHouse(t, e, func(o *Options) { o.Patience = time.Minute })
	h.live()
	h.says("open (live)")
	begin := time.Now()
	for i := range 10 {
		h.room.hear(hum(time.Duration(500+100*i) * time.Millisecond))
		h.room.hear(hush(time.Second))
	}
	assert.Less(t, time.Since(begin), 5*time.Second, "26 s of sound were taken")
	h.says("utterances given up")
	close(goOn)
	for _, want := range []string{"1", "7", "8", "9", "10"} {
		assert.Equal(t, want, h.final.Next(t).Data.Text)
	}
	assert.InDelta(t, 0.3+1.4+0.7, seconds(e.utterances()[4]), 0.1, "the last one is the last one")
}

// TestEngineFails: health says so, and that it is over.
func TestEngineFails(t *testing.T) {
	t.Parallel()
	fail := true
	e := &script{name: "script", say: func([]int16) (recognise.Result, error) {
		if fail {
			fail = false
			return recognise.Result{}, errScript
		}
		return recognise.Result{Text: "hello", Confidence: -1}, nil
	}}
	h := newHouse(t, e)
	for i := range 2 {
		h.wake("")
		h.room.at = time.Now()
		h.room.hear(hum(time.Second))
		h.room.hear(hush(time.Second))
		if i == 0 {
			sick := h.says("no ears today")
			assert.False(t, sick.OK)
			publish(h, "", contract.WakeEvent, contract.Wake{Type: contract.WakeTimeout})
			h.says("closed (timeout)")
		}
	}
	f := h.final.Next(t).Data
	assert.Nil(t, f.Confidence, "it cannot say")
	assert.Nil(t, h.health.Find(t, func(m client.Message[contract.HealthPing]) bool { return m.Data.OK }).Data.Err)
}

// TestFallback: the next engine gets all of the sound.
func TestFallback(t *testing.T) {
	t.Parallel()
	bad, good := says(""), says("hello")
	bad.name, good.name = "bad", "good"
	bad.say = func([]int16) (recognise.Result, error) { return recognise.Result{}, errScript }
	h := newHouse(t, bad, func(o *Options) {
		o.Engines = func() ([]recognise.Engine, []error) {
			return []recognise.Engine{bad, good}, []error{errors.New("third is missing")}
		}
	})
	h.wake("")
	h.room.at = time.Now()
	h.room.hear(hum(time.Second))
	h.room.hear(hush(time.Second))
	assert.Equal(t, "hello", h.final.Next(t).Data.Text)
	assert.Equal(t, len(bad.utterances()[0]), len(good.utterances()[0]))
	p := h.says("good hears")
	assert.True(t, p.OK)
	assert.Contains(t, *p.Err, "bad: no ears today")
	assert.Contains(t, *p.Err, "third is missing")
}

// TestDeadMicrophone: one that is gone, and one that comes back.
func TestDeadMicrophone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, says("hello"))
	h.room.hear(hush(time.Second))
	h.room.gone()
	sick := h.says("the microphone is gone")
	assert.False(t, sick.OK)
	h.site(Room)
	assert.True(t, h.wake("").OK)
}

// TestStalledMicrophone: one that gives nothing any more.
func TestStalledMicrophone(t *testing.T) {
	t.Parallel()
	o := Defaults()
	r := &run{o: &o, chain: recognise.NewChain([]recognise.Engine{says("")}, nil, time.Second), mics: newMics(&o)}
	s := newSite(&o, Room, r.mics, loudness{})
	r.sites = []*site{s}
	now := time.Now()
	well, event, err := r.condition(now)
	assert.True(t, well)
	require.NoError(t, err)
	assert.Contains(t, event, "no sound yet")
	s.last.Store(now.Add(-4 * time.Second).UnixMilli())
	well, _, err = r.condition(now)
	assert.True(t, well)
	require.NoError(t, err)
	well, _, err = r.condition(now.Add(2 * time.Second))
	assert.False(t, well)
	require.EqualError(t, err, "room: no sound for more than 5s")
}

func TestNothingToHearWith(t *testing.T) {
	t.Parallel()
	none := newHouse(t, says(""), func(o *Options) { o.Microphones = nil })
	p := none.says("no microphones in this build")
	assert.True(t, p.OK, "the robot can be typed to")
	h := newHouse(t, says(""), func(o *Options) {
		o.Engines = func() ([]recognise.Engine, []error) { return nil, []error{errors.New("x is not built in")} }
	})
	p = h.wake("")
	assert.False(t, p.OK)
	assert.Contains(t, *p.Event, "no engine")
	assert.Contains(t, *p.Err, "x is not built in")
	h.room.at = time.Now()
	h.room.hear(hum(time.Second))
	h.room.hear(hush(time.Second))
}

// TestMonologue: ten minutes without a pause are pieces of up to 15 s, each a transcript.
func TestMonologue(t *testing.T) {
	t.Parallel()
	e := says("words and words")
	h := newHouse(t, e)
	h.live()
	h.says("open (live)")
	n := 0
	h.room.hear(hum(time.Second))
	for range 600 / 15 { // a piece is no longer than that
		h.room.hear(hum(15 * time.Second))
		n++
		assert.Equal(t, "words and words", h.final.Next(t).Data.Text)
	}
	h.room.hear(hush(time.Second))
	total := 0.0
	for total < 601 {
		n++
		h.final.Next(t)
		total = 0
		for _, u := range e.utterances() {
			assert.LessOrEqual(t, seconds(u), 15.1)
			total += seconds(u)
		}
	}
	assert.InDelta(t, 601+0.7, total, 0.2, "nothing is lost, and nothing heard twice")
	assert.GreaterOrEqual(t, n, 40)
	assert.LessOrEqual(t, n, 51)
}

// TestLongSpeechAfterTheWindow: who speaks may finish, but a television does not go on for ever.
func TestLongSpeechAfterTheWindow(t *testing.T) {
	t.Parallel()
	e := says("blah")
	h := newHouse(t, e)
	h.wake("")
	h.room.at = time.Now()
	h.room.hear(hush(500 * time.Millisecond))
	h.room.hear(hum(time.Minute))
	h.room.hear(hush(time.Second))
	h.final.Next(t)
	h.says("closed (transcribed)")
	h.wake("")
	h.room.at = time.Now()
	h.room.hear(hum(time.Second))
	h.room.hear(hush(time.Second))
	h.final.Next(t)
	assert.Equal(t, 2, e.calls(), "the rest of the minute was after the window")
}

// TestRetainedCommands: one that somebody retained by mistake opens no microphone at the start, and live mode
// that was over long ago does not either.
func TestRetainedCommands(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	c := bus.Client(t, "page")
	for topic, text := range map[string]string{"wake/event": `{"type":"wake"}`, "wake/mic": `{"action":"unmute","ttl_ms":60000}`} {
		_, err := c.PublishRaw(t.Context(), topic, []byte(text), 1, true)
		require.NoError(t, err)
	}
	ago := unix(time.Now()) - 3600
	state := contract.Dialogue{State: contract.Listening, Live: true, Deadline: new(ago + 1800)}
	b, err := contract.DialogueState.Encode(contract.Envelope{ID: client.NewID(), TS: ago, Source: "router"}, state)
	require.NoError(t, err)
	_, err = c.PublishRaw(t.Context(), contract.DialogueState.Name, b, 1, true)
	require.NoError(t, err)
	h := houseOn(t, bus, says("hello"))
	kitchen := h.site("kitchen")
	assert.Contains(t, *h.wake("kitchen").Event, "room closed")
	h.room.at = time.Now()
	h.room.live(hum(500 * time.Millisecond))
	h.room.hear(hush(time.Second))
	kitchen.at = time.Now()
	kitchen.hear(hum(500 * time.Millisecond))
	kitchen.hear(hush(time.Second))
	assert.Contains(t, h.final.Next(t).Props, client.UserProperty{Key: "origin", Value: "kitchen"})
}

// TestRunEnds: with its context it is no error, and without microphones that work it is one.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	o := Defaults()
	for name, fail := range map[string]error{"ended": nil, "failed": errScript} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o.Microphones = broken{fail}
		s, err := New(o)
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() {
			ended <- s.Run(ctx, services.Runtime{Bus: bus.Client(t, name), Log: zerolog.Nop(), Ready: func() {}})
		}()
		if fail == nil {
			cancel()
			require.NoError(t, <-ended)
			continue
		}
		require.EqualError(t, <-ended, "microphones: no ears today")
	}
}

// broken are microphones that fail.
type broken struct{ err error }

func (b broken) Each(ctx context.Context, _ func(context.Context, string, *audio.Listener)) error {
	if b.err == nil {
		<-ctx.Done()
	}
	return b.err
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o := Defaults()
	require.NoError(t, o.Validate())
	o.Silence, o.MaxUtterance, o.Threshold, o.EchoRatio, o.MinRMS = 0, time.Hour, 2, 0.1, math.NaN()
	_, err := New(o)
	for _, part := range []string{"silence", "max_utterance", "threshold", "echo_ratio", "min_rms"} {
		assert.ErrorContains(t, err, part)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	o := Defaults()
	o.Engines = func() ([]recognise.Engine, []error) { return []recognise.Engine{says("")}, nil }
	s, err := New(o)
	require.NoError(t, err)
	got := s.Check(t.Context())
	require.Len(t, got, 3)
	assert.Equal(t, services.Failure, got[0].Verdict)
	assert.Contains(t, got[0].Text, "no voice detector")
	assert.Equal(t, services.Finding{Verdict: services.Warning, Text: errNoMicrophones.Error()}, got[1])
	assert.Equal(t, services.Finding{Verdict: services.Fine, Text: "script understands"}, got[2])
	o.Engines = func() ([]recognise.Engine, []error) { return nil, []error{errors.New("x is missing")} }
	s, err = New(o)
	require.NoError(t, err)
	got = s.Check(t.Context())
	assert.Equal(t, services.Finding{Verdict: services.Failure, Text: "nothing understands: x is missing"}, got[2])
}
