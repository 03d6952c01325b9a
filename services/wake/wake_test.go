package wake

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/enginetest"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// mouth is a microphone that hears what the test says.
type mouth struct {
	frames chan audio.Frame
	at     time.Time
}

func (m *mouth) Read(ctx context.Context) (audio.Frame, error) {
	select {
	case f := <-m.frames:
		return f, nil
	case <-ctx.Done():
		return audio.Frame{}, context.Cause(ctx)
	}
}

func (m *mouth) Close() error { return nil }

func (m *mouth) say(pcm []int16) {
	for ; len(pcm) >= audio.FrameLen; pcm = pcm[audio.FrameLen:] {
		m.frames <- audio.Frame{PCM: pcm[:audio.FrameLen], At: m.at}
		m.at = m.at.Add(audio.FrameTime)
	}
}

// sites are microphones.
type sites struct {
	mouths map[string]*mouth
	fail   error
}

func (s *sites) Each(ctx context.Context, f func(ctx context.Context, site string, l *audio.Listener)) error {
	if s.fail != nil {
		return s.fail
	}
	var wg sync.WaitGroup
	for site, m := range s.mouths {
		hub := audio.NewHub(audio.HubOptions{Open: func(context.Context) (audio.Source, error) { return m, nil }, Stall: -1})
		l := hub.Listen(10_000)
		wg.Go(func() { _ = hub.Run(ctx) })
		wg.Go(func() { f(ctx, site, l) })
	}
	wg.Wait()
	return nil
}

type house struct {
	t       *testing.T
	bus     *servicetest.Bus
	c       *client.Client
	mouth   *mouth
	sup     *services.Supervisor
	events  *servicetest.Collector[contract.Wake]
	mic     *servicetest.Collector[contract.MicCommand]
	control *servicetest.Collector[contract.SpeechControl]
	scores  *servicetest.Collector[contract.Score]
	health  *servicetest.Collector[contract.HealthPing]
	own     *servicetest.Collector[contract.WakeState]
}

func newHouse(t *testing.T, change ...func(*Options)) *house {
	t.Helper()
	h := &house{t: t, bus: servicetest.Start(t)}
	h.mouth = &mouth{frames: make(chan audio.Frame, 10_000), at: time.Now()}
	o := Defaults()
	o.Microphones = &sites{mouths: map[string]*mouth{"room": h.mouth}}
	o.Stall = time.Hour
	o.Detector = func() (*openwakeword.Chain, *openwakeword.Head, error) {
		head, err := openwakeword.Builtin()
		if err != nil {
			return nil, nil, err
		}
		chain, err := openwakeword.Open()
		return chain, head, err
	}
	for _, f := range change {
		f(&o)
	}
	s, err := New(o)
	require.NoError(t, err)
	h.c = h.bus.Client(t, "test")
	h.events = servicetest.Collect(t, h.c, contract.WakeEvent)
	h.mic = servicetest.Collect(t, h.c, contract.WakeMic)
	h.control = servicetest.Collect(t, h.c, contract.TTSControl)
	h.scores = servicetest.Collect(t, h.c, contract.WakeScore)
	h.health = servicetest.Collect(t, h.c, contract.Health.At("wake"))
	h.own = servicetest.Collect(t, h.c, contract.WakeHealth)
	enginetest.Open(t, openwakeword.Open, openwakeword.ErrNoWeights)
	h.sup = h.bus.Run(t, s)
	return h
}

func (h *house) call(m *mouth) {
	h.t.Helper()
	m.say(sum(roomNoise(3*time.Second, 0.001), says(h.t, "rms", "hey tars"), 1500*time.Millisecond))
}

func publish[T any](h *house, site string, t contract.Topic[T], data T) {
	h.t.Helper()
	ctx := client.WithTurn(h.t.Context(), client.Turn{ID: "x", Origin: site})
	_, err := client.Publish(ctx, h.c, t, data)
	require.NoError(h.t, err)
}

func (h *house) speaks(event, utt string) {
	h.t.Helper()
	publish(h, "room", contract.TTSStatus, contract.SpeechStatus{Event: event, UttID: &utt})
}

func (h *house) wellness(want string) contract.HealthPing {
	h.t.Helper()
	return h.health.Find(h.t, func(m client.Message[contract.HealthPing]) bool { return contract.Value(m.Data.Event) == want }).Data
}

// turnOf is what a message says of its turn.
func turnOf(props []client.UserProperty) (t client.Turn) {
	for _, p := range props {
		switch p.Key {
		case "turn":
			t.ID = p.Value
		case "origin":
			t.Origin = p.Value
		}
	}
	return t
}

func TestService(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) { o.IdleTimeout = 700 * time.Millisecond })
	h.call(h.mouth)
	e := h.events.Next(t)
	assert.Equal(t, contract.WakeHeard, e.Data.Type)
	assert.Equal(t, "wake_phrase", *e.Data.Cause)
	assert.Nil(t, e.Data.TTSID)
	assert.Greater(t, *e.Data.Confidence, 0.3)
	assert.InDelta(t, 0.1, *e.Data.Energy, 0.08)
	assert.InDelta(t, float64(time.Now().Unix()), *e.Data.TS, 60, "not the time since the start")
	m := h.mic.Next(t)
	assert.Equal(t, contract.MicCommand{MessageID: m.Data.MessageID, Action: "unmute", Reason: "wake", TTLMS: new(700)}, m.Data)
	assert.Equal(t, client.Turn{ID: e.ID, Origin: "room"}, turnOf(e.Props))
	assert.Equal(t, turnOf(e.Props), turnOf(m.Props), "the id of the first event is the turn's")
	e = h.events.Next(t)
	assert.Equal(t, contract.WakeTimeout, e.Data.Type)
	assert.Equal(t, turnOf(m.Props), turnOf(e.Props))
	assert.Zero(t, h.control.Len())
	s := h.scores.Next(t)
	assert.Equal(t, "room", turnOf(s.Props).Origin)
	assert.NotNil(t, s.Data.Threshold)
	h.own.Find(t, func(m client.Message[contract.WakeState]) bool { return m.Data.OK })
}

func TestServiceInterrupt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) { o.InterruptWindow = 500 * time.Millisecond })
	h.speaks("speaking_start", "u1")
	h.interrupt("u1")
	assert.Equal(t, contract.WakeResume, h.events.Next(t).Data.Type, "nobody spoke")
	h.commanded("resume", "u1")

	h.speaks("resumed", "u1")
	h.interrupt("u1")
	publish(h, "room", contract.STTFinal, contract.FinalTranscript{Text: "Never mind."})
	h.commanded("stop", "u1")
	e := h.events.Next(t)
	assert.Equal(t, contract.WakeCancelled, e.Data.Type)
	assert.Equal(t, "u1", *e.Data.TTSID)
}

// TestEndResumes: what is paused when the service ends goes on; nobody else would say so.
func TestEndResumes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) { o.InterruptWindow = time.Minute })
	h.speaks("speaking_start", "u1")
	h.interrupt("u1")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, h.sup.Stop(ctx))
	h.commanded("resume", "u1")
}

// interrupt calls while an utterance is spoken.
func (h *house) interrupt(utt string) {
	h.t.Helper()
	require.NoError(h.t, h.c.Ready(h.t.Context()))
	h.settle()
	h.call(h.mouth)
	e := h.events.Next(h.t)
	require.Equal(h.t, contract.WakeInterrupt, e.Data.Type)
	require.Equal(h.t, utt, *e.Data.TTSID)
	require.Equal(h.t, "unmute", h.mic.Next(h.t).Data.Action)
	h.commanded("pause", utt)
	h.speaks("paused", utt)
}

// settle waits until the service has handled what was published before: a score comes after it.
func (h *house) settle() {
	h.t.Helper()
	for range 3 { // the handler, the loop, and what an ear is told
		h.mouth.say(silence(200 * time.Millisecond))
		h.scores.Next(h.t)
	}
}

func (h *house) commanded(action, utt string) {
	h.t.Helper()
	c := h.control.Next(h.t)
	require.Equal(h.t, action+" "+utt, c.Data.Action+" "+contract.Value(c.Data.ID))
}

// TestSites: who calls where is said, and speech somewhere else is no reason to interrupt it.
func TestSites(t *testing.T) {
	t.Parallel()
	var page *mouth
	h := newHouse(t, func(o *Options) {
		all := o.Microphones.(*sites)
		page = &mouth{frames: make(chan audio.Frame, 10_000), at: time.Now()}
		all.mouths["page-1"] = page
	})
	h.speaks("speaking_start", "u1")
	h.settle()
	h.call(page)
	e := h.events.Next(t)
	assert.Equal(t, contract.WakeHeard, e.Data.Type)
	assert.Equal(t, "page-1", turnOf(e.Props).Origin)
}

// TestAnswerToTypedText: it is heard in the room, so a call there interrupts it.
func TestAnswerToTypedText(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	publish(h, "page-1", contract.TTSStatus, contract.SpeechStatus{Event: contract.SpeakingStart, UttID: new("u1")})
	h.interrupt("u1")
}

// TestDeadMicrophone: health names the one that gives nothing, and is well again when it does.
func TestDeadMicrophone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) {
		o.Stall = 300 * time.Millisecond
		o.Microphones.(*sites).mouths["page-1"] = &mouth{frames: make(chan audio.Frame, 10)}
	})
	p := h.health.Find(t, func(m client.Message[contract.HealthPing]) bool { // before it there may be one, or none
		return contract.Value(m.Data.Err) == "no sound from page-1, room"
	}).Data
	assert.True(t, p.OK, "a machine without one is well")
	assert.Equal(t, "no microphone", *p.Event)
	ended := make(chan struct{})
	end := sync.OnceFunc(func() { close(ended) })
	defer end()
	go func() {
		for {
			select {
			case <-ended:
				return
			case h.mouth.frames <- audio.Frame{PCM: make([]int16, audio.FrameLen), At: time.Now()}:
				<-time.After(audio.FrameTime)
			}
		}
	}()
	p = h.wellness(`hears "hey tars" in room`)
	assert.True(t, p.OK, "a page that sends nothing is no fault of ours")
	assert.Equal(t, "no sound from page-1", *p.Err)
	end()
	p = h.wellness("no microphone")
	assert.False(t, p.OK, "one that was there is missed")
}

// TestNoHead: a head that is missing or damaged is told, and the service comes back when it is there.
func TestNoHead(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	broken := fmt.Errorf("wake.head: /x.head: %w: wrong checksum", openwakeword.ErrHead)
	bus := servicetest.Start(t)
	c := bus.Client(t, "test")
	events, health := servicetest.Collect(t, c, contract.WakeEvent), servicetest.Collect(t, c, contract.Health.At("wake"))
	own := servicetest.Collect(t, c, contract.WakeHealth)
	o := Defaults()
	o.Microphones = &sites{}
	o.Detector = func() (*openwakeword.Chain, *openwakeword.Head, error) {
		mu.Lock()
		defer mu.Unlock()
		if broken != nil {
			return nil, nil, broken
		}
		return nil, nil, openwakeword.ErrNoWeights
	}
	s, err := New(o)
	require.NoError(t, err)
	go func() {
		e := events.Next(t)
		assert.Equal(t, contract.WakeDetectorErr, e.Data.Type)
		assert.Equal(t, broken.Error(), *e.Data.Cause)
		assert.False(t, own.Next(t).Data.OK)
		p := health.Find(t, func(m client.Message[contract.HealthPing]) bool { return !m.Data.OK })
		assert.Contains(t, contract.Value(p.Data.Err), "wrong checksum")
		mu.Lock()
		defer mu.Unlock()
		broken = nil
	}()
	sup := bus.Run(t, s) // ready with the second run
	p := health.Find(t, func(m client.Message[contract.HealthPing]) bool { return contract.Value(m.Data.Event) == "no detector" })
	assert.False(t, p.Data.OK)
	assert.Contains(t, *p.Data.Err, "make assets", "without the weights it does not try again")
	assert.Equal(t, services.Ready, sup.Status()[0].State)
}

func TestMicrophonesFail(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) { o.Microphones = &sites{fail: errors.New("no ears")} })
	h.health.Find(t, func(m client.Message[contract.HealthPing]) bool {
		return m.Data.Err != nil && *m.Data.Err == "microphones: no ears"
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	o := Defaults()
	o.Microphones = &sites{}
	head := openwakeword.NewHead("hey tars", 0.61, 1)
	o.Detector = func() (*openwakeword.Chain, *openwakeword.Head, error) { return nil, head, nil }
	s, err := New(o)
	require.NoError(t, err)
	assert.Equal(t, services.Finding{Verdict: services.Fine, Text: `hears "hey tars" from a score of 0.61 on`}, s.Check(t.Context())[0])
	o.Detector = func() (*openwakeword.Chain, *openwakeword.Head, error) {
		return nil, nil, errors.New("wake.head: gone")
	}
	s, err = New(o)
	require.NoError(t, err)
	assert.Equal(t, []services.Finding{{Verdict: services.Failure, Text: "nothing is heard: wake.head: gone"}}, s.Check(t.Context()))
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := New(Options{})
	require.Error(t, err)
	for _, want := range []string{"wake:", "microphones", "idle_timeout", "interrupt_window", "speech_limit", "energy_boost", "faint", "stall", "health"} {
		assert.ErrorContains(t, err, want)
	}
	o := Defaults()
	o.Threshold = 2
	_, err = New(o)
	assert.ErrorContains(t, err, "threshold: 2 is not from 0 to 1")
}
