package tts

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
	"github.com/tarsd/tarsd/services/tts/voice"
)

// tone is an engine that hums: a tenth of a second for each letter.
type tone struct {
	mu   sync.Mutex
	said []string
	fail func(text string) error
	hang string // a text that never ends
}

func (e *tone) ID() string   { return "tone 1" }
func (e *tone) Close() error { return nil }

func (e *tone) Speak(ctx context.Context, t voice.Text, emit func(voice.Sound) error) error {
	e.mu.Lock()
	e.said = append(e.said, t.Text)
	e.mu.Unlock()
	if e.fail != nil {
		if err := e.fail(t.Text); err != nil {
			return err
		}
	}
	if t.Text == e.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	for range len(t.Text) {
		pcm := make([]int16, 1600)
		for i := range pcm {
			pcm[i] = int16(8000 * math.Sin(float64(i)/4))
		}
		if err := emit(voice.Sound{Rate: 16000, PCM: pcm}); err != nil {
			return err
		}
	}
	return nil
}

func (e *tone) texts() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.said...)
}

// ear is a speaker that remembers what it played, and when.
type ear struct {
	mu      sync.Mutex
	heard   []int16
	flushed []time.Time
	fail    int   // so many writes fail
	mute    error // of the end of each sentence
}

func (e *ear) open(context.Context, string, int) (audio.Sink, error) {
	return &earSink{audio.NewPeerSink(e, 16000, 100*time.Millisecond), e}, nil
}

func (e *ear) Send(_ context.Context, pcm []int16) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail > 0 {
		e.fail--
		return errors.New("unplugged")
	}
	e.heard = append(e.heard, pcm...)
	return nil
}

func (e *ear) End(_ context.Context, dropped bool) error {
	if dropped {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.flushed = append(e.flushed, time.Now())
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mute
}

func (e *ear) seconds() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return float64(len(e.heard)) / 16000
}

// loud is how much of what was heard was not silence, in seconds.
func (e *ear) loud() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for i := 0; i+160 <= len(e.heard); i += 160 {
		for _, v := range e.heard[i : i+160] {
			if v > 500 {
				n++
				break
			}
		}
	}
	return float64(n) / 100
}

type earSink struct {
	audio.Sink
	*ear
}

// house is a service with an engine and a speaker, and a client that listens.
type house struct {
	t      testing.TB
	bus    *servicetest.Bus
	c      *client.Client
	engine *tone
	ear    *ear
	status *servicetest.Collector[contract.SpeechStatus]
}

func newHouse(t testing.TB, change ...func(*Options)) *house {
	t.Helper()
	h := &house{t: t, bus: servicetest.Start(t), engine: &tone{}, ear: &ear{}}
	o := Defaults()
	o.Engines = func() ([]voice.Engine, []error) { return []voice.Engine{h.engine}, nil }
	o.OpenSink = h.ear.open
	for _, f := range change {
		f(&o)
	}
	s, err := New(o)
	require.NoError(t, err)
	h.c = h.bus.Client(t, "test")
	h.status = servicetest.Collect(t, h.c, contract.TTSStatus)
	h.bus.Run(t, s)
	return h
}

func (h *house) say(utt, text string, change ...func(*contract.Say)) {
	h.t.Helper()
	s := contract.Say{Text: text, UttID: &utt}
	for _, f := range change {
		f(&s)
	}
	_, err := client.Publish(h.t.Context(), h.c, contract.TTSSay, s)
	require.NoError(h.t, err)
}

func (h *house) control(action, utt string) {
	h.t.Helper()
	c := contract.SpeechControl{Action: action, Reason: "test"}
	if utt != "" {
		c.ID = &utt
	}
	_, err := client.Publish(h.t.Context(), h.c, contract.TTSControl, c)
	require.NoError(h.t, err)
}

func (h *house) next(event, utt string) contract.SpeechStatus {
	h.t.Helper()
	m := h.status.Next(h.t)
	require.Equal(h.t, event+" "+utt, m.Data.Event+" "+contract.Value(m.Data.UttID))
	return m.Data
}

func TestSpeaks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	prog := servicetest.Collect(t, h.c, contract.TTSProgress)
	h.say("a", "**Hello** there. How are you?")
	h.say("a", "Fine?")
	s := h.next("speaking_start", "a")
	assert.Equal(t, "Hello there.", s.Text)
	assert.False(t, *s.WakeAck)
	assert.Nil(t, s.Reason)
	s = h.next("speaking_end", "a")
	assert.Equal(t, "Hello there. How are you? Fine?", s.Text)
	assert.Nil(t, s.Reason)
	assert.Equal(t, []string{"Hello there.", "How are you?", "Fine?"}, h.engine.texts())
	assert.InDelta(t, 2.9, h.ear.seconds(), 0.05, "without a gap that is filled with silence")
	for i, want := range []string{"Hello there.", "How are you?", "Fine?"} {
		p := prog.Next(t).Data
		assert.Equal(t, want, p.Text)
		assert.Equal(t, i, p.Part)
		if i == 0 {
			require.NotNil(t, p.AfterMS)
			assert.Less(t, *p.AfterMS, 1000)
		}
	}
}

func TestStopIsQuick(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.say("a", "A long sentence that goes on and on and on.")
	h.say("b", "Later.")
	h.next("speaking_start", "a")
	begin := time.Now()
	h.control("stop", "a")
	s := h.next("stopped", "a")
	assert.Equal(t, "test", *s.Reason)
	assert.Nil(t, s.WakeAck)
	s = h.next("speaking_end", "a")
	assert.Equal(t, "test", *s.Reason)
	h.ear.mu.Lock()
	require.NotEmpty(t, h.ear.flushed)
	took := h.ear.flushed[0].Sub(begin)
	h.ear.mu.Unlock()
	assert.Less(t, took, 100*time.Millisecond)
	h.next("speaking_start", "b")
	h.next("speaking_end", "b")
}

func TestPauseKeepsThePlace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.say("a", "Ten or so.")
	h.next("speaking_start", "a")
	h.control("pause", "")
	h.next("paused", "a")
	before := h.ear.seconds()
	assert.Less(t, before, 0.9)
	h.control("pause", "")
	h.control("resume", "a")
	h.next("resumed", "a")
	h.next("speaking_end", "a")
	assert.InDelta(t, 1.0, h.ear.seconds(), 0.25, "what was in the device is played again, no more")
}

func TestMuteAndVolume(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	state := servicetest.Collect(t, h.c, contract.TTSState)
	h.control("mute", "")
	assert.True(t, state.Find(t, func(m client.Message[contract.SpeechState]) bool { return m.Data.Muted }).Data.Muted)
	h.say("a", "Silence.")
	h.next("speaking_start", "a")
	h.next("speaking_end", "a")
	assert.InDelta(t, 0.8, h.ear.seconds(), 0.05, "it takes as long")
	assert.Zero(t, h.ear.loud())
	h.control("unmute", "")
	_, err := client.Publish(t.Context(), h.c, contract.TTSControl, contract.SpeechControl{Action: "volume", Volume: new(50)})
	require.NoError(t, err)
	got := state.Find(t, func(m client.Message[contract.SpeechState]) bool { return m.Data.Volume == 50 && !m.Data.Muted }).Data
	assert.Equal(t, "tone", *got.Engine)
	h.say("b", "Half.")
	h.next("speaking_start", "b")
	h.next("speaking_end", "b")
	assert.Greater(t, h.ear.loud(), 0.3)
	h.ear.mu.Lock()
	defer h.ear.mu.Unlock()
	top := int16(0)
	for _, v := range h.ear.heard {
		top = max(top, v)
	}
	assert.InDelta(t, 4000, top, 50)
}

// TestMutedAtOnce: what the device holds already is not heard either.
func TestMutedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.say("a", "Ten or so.")
	h.next("speaking_start", "a")
	h.control("mute", "")
	h.next("speaking_end", "a")
	h.ear.mu.Lock()
	assert.Len(t, h.ear.flushed, 1)
	h.ear.mu.Unlock()
	assert.Less(t, h.ear.loud(), 0.6)
}

func TestFailureEndsTheTurn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) { o.Silence = 300 * time.Millisecond })
	h.engine.fail = func(s string) error {
		if s == "Broken." {
			return errors.New("out of breath")
		}
		return nil
	}
	h.engine.hang = "It hangs."
	health := servicetest.Collect(t, h.c, contract.Health.At("tts"))
	h.say("a", "Broken.")
	h.next("speaking_start", "a")
	assert.Contains(t, *h.next("speaking_end", "a").Reason, "out of breath")
	sick := health.Find(t, func(m client.Message[contract.HealthPing]) bool { return m.Data.Err != nil }).Data
	assert.Contains(t, *sick.Err, "out of breath")
	h.say("b", "It hangs.")
	h.next("speaking_start", "b")
	assert.Contains(t, *h.next("speaking_end", "b").Reason, "no sound in time")
	h.say("c", "Good again.")
	h.next("speaking_start", "c")
	assert.Nil(t, h.next("speaking_end", "c").Reason)
	well := health.Find(t, func(m client.Message[contract.HealthPing]) bool { return m.Data.Err == nil && m.Data.OK }).Data
	assert.Equal(t, "tone speaks", *well.Event)
}

func TestNoEngine(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) {
		o.Engines = func() ([]voice.Engine, []error) { return nil, []error{errors.New("flite is not built in")} }
	})
	health := servicetest.Collect(t, h.c, contract.Health.At("tts"))
	sick := health.Find(t, func(m client.Message[contract.HealthPing]) bool { return !m.Data.OK }).Data
	assert.Contains(t, *sick.Err, "flite is not built in")
	h.say("a", "Anybody?")
	h.next("speaking_start", "a")
	assert.Contains(t, *h.next("speaking_end", "a").Reason, "flite is not built in")
}

func TestFallback(t *testing.T) {
	t.Parallel()
	second := &tone{}
	h := newHouse(t, func(o *Options) {
		o.Engines = func() ([]voice.Engine, []error) {
			return []voice.Engine{&tone{fail: func(string) error { return errors.New("no") }}, second}, nil
		}
	})
	h.say("a", "Hello.")
	h.next("speaking_start", "a")
	assert.Nil(t, h.next("speaking_end", "a").Reason)
	assert.Equal(t, []string{"Hello."}, second.texts())
}

func TestLostDevice(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.ear.fail = 1
	h.say("a", "Back soon.")
	h.next("speaking_start", "a")
	assert.Nil(t, h.next("speaking_end", "a").Reason, "one error is nothing")
	assert.InDelta(t, 1, h.ear.seconds(), 0.05)

	h.ear.fail = 1000
	health := servicetest.Collect(t, h.c, contract.Health.At("tts"))
	begin := time.Now()
	h.say("b", "Nobody hears that.")
	h.next("speaking_start", "b")
	h.next("speaking_end", "b")
	assert.GreaterOrEqual(t, time.Since(begin), 1500*time.Millisecond, "it goes on as if somebody did")
	sick := health.Find(t, func(m client.Message[contract.HealthPing]) bool { return !m.Data.OK }).Data
	assert.Contains(t, *sick.Err, "unplugged")
}

// TestDeviceThatOnlyEndsBadly: one that takes a short sentence and says only then that it cannot play is
// no speaker, and is one again when a sentence was heard.
func TestDeviceThatOnlyEndsBadly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	health := servicetest.Collect(t, h.c, contract.Health.At("tts"))
	h.ear.mute = errors.New("no such card")
	h.say("a", "Hm.")
	h.next("speaking_start", "a")
	h.next("speaking_end", "a")
	sick := health.Find(t, func(m client.Message[contract.HealthPing]) bool { return !m.Data.OK }).Data
	assert.Contains(t, *sick.Err, "no such card")
	h.ear.mu.Lock()
	h.ear.mute = nil
	h.ear.mu.Unlock()
	h.say("b", "Hm.")
	h.next("speaking_start", "b")
	h.next("speaking_end", "b")
	well := health.Find(t, func(m client.Message[contract.HealthPing]) bool { return m.Data.OK }).Data
	assert.Equal(t, "tone speaks", *well.Event)
}

func TestNoDeviceIsFine(t *testing.T) {
	t.Parallel()
	ref := audio.NewReference()
	h := newHouse(t, func(o *Options) {
		o.Reference = ref
		o.OpenSink = func(context.Context, string, int) (audio.Sink, error) {
			return nil, fmt.Errorf("%w: none", audio.ErrNoDevice)
		}
	})
	health := servicetest.Collect(t, h.c, contract.Health.At("tts"))
	begin := time.Now()
	h.say("a", "Ten or so.")
	h.next("speaking_start", "a")
	h.next("speaking_end", "a")
	assert.GreaterOrEqual(t, time.Since(begin), 950*time.Millisecond)
	assert.False(t, ref.Sound("room", begin, make([]int16, audio.Samples(time.Since(begin), audio.Rate))), "no microphone hears that")
	ok := health.Find(t, func(m client.Message[contract.HealthPing]) bool {
		return m.Data.Event != nil && strings.Contains(*m.Data.Event, "no sound device")
	}).Data
	assert.True(t, ok.OK)
	assert.Nil(t, ok.Err)
}

// TestSites: who sent sound gets its answers on a topic, others hear the robot's speaker.
func TestSites(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) { o.Sites = []string{"kitchen"} })
	type chunk struct {
		n     int
		props map[string]string
	}
	var mu sync.Mutex
	got := map[string][]chunk{}
	_, err := h.c.SubscribeRaw("audio/out/+", 0, func(_ context.Context, m client.RawMessage) error {
		mu.Lock()
		defer mu.Unlock()
		c := chunk{len(m.Payload), map[string]string{}}
		for _, p := range m.Props {
			c.props[p.Key] = p.Value
		}
		got[m.Topic] = append(got[m.Topic], c)
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, h.c.Ready(t.Context()))
	origin := func(site string) context.Context {
		return client.WithTurn(t.Context(), client.Turn{ID: "t", Origin: site})
	}
	_, err = h.c.PublishRaw(t.Context(), contract.AudioIn.At("page-1").Name, make([]byte, 640), 0, false)
	require.NoError(t, err)
	for i, site := range []string{"room", "page-1", "page-2", "kitchen"} {
		_, err = client.Publish(origin(site), h.c, contract.TTSSay, contract.Say{Text: "Ten or so.", UttID: new(fmt.Sprint(i))})
		require.NoError(t, err)
		h.next("speaking_start", fmt.Sprint(i))
		if site == "kitchen" {
			h.control("stop", "")
			h.next("stopped", "3")
		}
		h.next("speaking_end", fmt.Sprint(i))
	}
	assert.InDelta(t, 2, h.ear.seconds(), 0.1, "page-2 and the room")
	assert.Eventually(t, func() bool { // QoS 0 on another subscription: it may come a little later
		mu.Lock()
		defer mu.Unlock()
		k := got["audio/out/kitchen"]
		return len(k) > 0 && k[len(k)-1].props["dropped"] == "true"
	}, 5*time.Second, 5*time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	page := got["audio/out/page-1"]
	total := 0
	for _, c := range page {
		total += c.n
		assert.Equal(t, "16000", c.props["rate"])
	}
	assert.Equal(t, 32000, total)
	assert.Zero(t, page[len(page)-1].n)
	assert.Empty(t, page[len(page)-1].props["dropped"])
	assert.Len(t, got, 2)
}

// TestShutdownEndsTheTurn: the last word is an end.
func TestShutdownEndsTheTurn(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	c := bus.Client(t, "test")
	status := servicetest.Collect(t, c, contract.TTSStatus)
	e := &ear{}
	o := Defaults()
	o.OpenSink = e.open
	o.Engines = func() ([]voice.Engine, []error) { return []voice.Engine{&tone{}}, nil }
	s, err := New(o)
	require.NoError(t, err)
	sup := bus.Run(t, s)
	_, err = client.Publish(t.Context(), c, contract.TTSSay, contract.Say{Text: "A long sentence that goes on.", UttID: new("a")})
	require.NoError(t, err)
	status.Next(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, sup.Stop(ctx))
	assert.Equal(t, contract.SpeechStopped, status.Next(t).Data.Event)
	end := status.Next(t).Data
	assert.Equal(t, contract.SpeakingEnd, end.Event)
	assert.Equal(t, reasonEnding, *end.Reason)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o := Defaults()
	o.Volume, o.Sink, o.Gap, o.CacheMax = 101, "", time.Hour, -1
	_, err := New(o)
	for _, part := range []string{"volume", "sink", "gap", "cache"} {
		assert.ErrorContains(t, err, part)
	}
}
