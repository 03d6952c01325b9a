package stt

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
	"github.com/tarsd/tarsd/services/stt/recognise"
)

// loudness is a detector that takes loud sound for speech.
type loudness struct{}

func (loudness) Reset() {}
func (loudness) Process(block []int16) float32 {
	if rms(block) > 1000 {
		return 0.95
	}
	return 0.02
}

// script is an engine that understands what it is told, by the length of the utterance or in order.
type script struct {
	name string
	mu   sync.Mutex
	say  func(pcm []int16) (recognise.Result, error)
	part func(pcm []int16) string
	feed func(ctx context.Context, pcm []int16) error
	got  [][]int16
}

func (e *script) Name() string { return e.name }
func (e *script) Close() error { return nil }
func (e *script) Begin(context.Context, recognise.Utterance) (recognise.Stream, error) {
	return &scriptStream{e: e}, nil
}

// utterances are those that were finished, each as its sound.
func (e *script) utterances() [][]int16 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([][]int16(nil), e.got...)
}

// calls is how many there were.
func (e *script) calls() int { return len(e.utterances()) }

type scriptStream struct {
	e   *script
	pcm []int16
}

func (s *scriptStream) Close() error { return nil }
func (s *scriptStream) Feed(ctx context.Context, pcm []int16) error {
	s.pcm = append(s.pcm, pcm...)
	if s.e.feed != nil {
		return s.e.feed(ctx, s.pcm)
	}
	return nil
}

func (s *scriptStream) Partial(context.Context) (string, error) {
	if s.e.part == nil {
		return "", nil
	}
	return s.e.part(s.pcm), nil
}

func (s *scriptStream) Finish(context.Context) (recognise.Result, error) {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	s.e.got = append(s.e.got, s.pcm)
	return s.e.say(s.pcm)
}

// says is an engine that understands texts, one after the other, and then the last one for ever.
func says(texts ...string) *script {
	i := 0
	return &script{name: "script", say: func([]int16) (recognise.Result, error) {
		text := texts[min(i, len(texts)-1)]
		i++
		return recognise.Result{Text: text, Confidence: 0.8}, nil
	}}
}

// ears are microphones of a test. Each is a hub, which hears what is put into it.
type ears struct {
	come chan *ear
	fail error
}

type ear struct {
	site string
	hub  *audio.Hub
	in   chan audio.Frame
	gone context.CancelFunc
	ctx  context.Context
	at   time.Time
	t    testing.TB
}

func (e *ears) Each(ctx context.Context, f func(ctx context.Context, site string, l *audio.Listener)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		select {
		case m := <-e.come:
			wg.Go(func() {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				defer context.AfterFunc(m.ctx, cancel)()
				l := m.hub.Listen(100_000) // a test puts minutes in at once
				defer l.Close()
				wg.Go(func() { _ = m.hub.Run(ctx) })
				f(ctx, m.site, l)
			})
		case <-ctx.Done():
			return e.fail
		}
	}
}

// Read implements audio.Source.
func (m *ear) Read(ctx context.Context) (audio.Frame, error) {
	select {
	case f, ok := <-m.in:
		if !ok {
			return f, io.EOF
		}
		return f, nil
	case <-ctx.Done():
		return audio.Frame{}, context.Cause(ctx)
	}
}

func (m *ear) Close() error { return nil }

// hear puts sound in, with the times of a microphone.
func (m *ear) hear(pcm []int16) {
	m.t.Helper()
	for ; len(pcm) >= audio.FrameLen; pcm = pcm[audio.FrameLen:] {
		select {
		case m.in <- audio.Frame{PCM: pcm[:audio.FrameLen:audio.FrameLen], At: m.at}:
		case <-m.t.Context().Done():
			return
		}
		m.at = m.at.Add(audio.FrameTime)
	}
}

// live puts sound in at the pace of a microphone.
func (m *ear) live(pcm []int16) {
	m.t.Helper()
	tick := time.NewTicker(audio.FrameTime)
	defer tick.Stop()
	for ; len(pcm) >= audio.FrameLen; pcm = pcm[audio.FrameLen:] {
		<-tick.C
		m.hear(pcm[:audio.FrameLen])
	}
}

// hum is sound that loudness takes for speech, and hush is none.
func hum(d time.Duration) []int16 { return wave(d, 6000) }
func hush(d time.Duration) []int16 {
	return wave(d, 60)
}

func wave(d time.Duration, top float64) []int16 {
	pcm := make([]int16, audio.Samples(d, audio.Rate))
	for i := range pcm {
		pcm[i] = int16(top * math.Sin(float64(i)/5))
	}
	return pcm
}

// house is a service with an engine and the room's microphone, and a client that listens.
type house struct {
	t       testing.TB
	c       *client.Client
	ears    *ears
	room    *ear
	final   *servicetest.Collector[contract.FinalTranscript]
	partial *servicetest.Collector[contract.PartialTranscript]
	health  *servicetest.Collector[contract.HealthPing]
	sup     *services.Supervisor
}

func newHouse(t testing.TB, e recognise.Engine, change ...func(*Options)) *house {
	t.Helper()
	return houseOn(t, servicetest.Start(t), e, change...)
}

func houseOn(t testing.TB, bus *servicetest.Bus, e recognise.Engine, change ...func(*Options)) *house {
	t.Helper()
	h := &house{t: t, ears: &ears{come: make(chan *ear)}}
	o := Defaults()
	o.Microphones = h.ears
	o.Engines = func() ([]recognise.Engine, []error) { return []recognise.Engine{e}, nil }
	o.Detector = func() (Detector, error) { return loudness{}, nil }
	for _, f := range change {
		f(&o)
	}
	s, err := New(o)
	require.NoError(t, err)
	h.c = bus.Client(t, "test")
	h.final = servicetest.Collect(t, h.c, contract.STTFinal)
	h.partial = servicetest.Collect(t, h.c, contract.STTPartial)
	h.health = servicetest.Collect(t, h.c, contract.Health.At("stt"))
	h.sup = bus.Run(t, s)
	if o.Microphones == h.ears {
		h.room = h.site(Room)
	}
	return h
}

// site plugs a microphone in, and waits until it is heard.
func (h *house) site(name string) *ear {
	h.t.Helper()
	m := &ear{site: name, in: make(chan audio.Frame), at: time.Now(), t: h.t}
	m.ctx, m.gone = context.WithCancel(context.Background())
	h.t.Cleanup(m.gone)
	m.hub = audio.NewHub(audio.HubOptions{Open: func(context.Context) (audio.Source, error) { return m, nil }, Stall: -1})
	select {
	case h.ears.come <- m:
	case <-time.After(10 * time.Second):
		h.t.Fatal("nobody wants microphones")
	}
	h.says(name + " ")
	return m
}

// says waits until the health says something.
func (h *house) says(text string) contract.HealthPing {
	h.t.Helper()
	return h.health.Find(h.t, func(m client.Message[contract.HealthPing]) bool {
		return strings.Contains(contract.Value(m.Data.Event), text) || strings.Contains(contract.Value(m.Data.Err), text)
	}).Data
}

// publish publishes as if it came from origin.
func publish[T any](h *house, origin string, topic contract.Topic[T], data T) {
	h.t.Helper()
	ctx := h.t.Context()
	if origin != "" {
		ctx = client.WithTurn(ctx, client.Turn{ID: "turn-" + origin, Origin: origin})
	}
	_, err := client.Publish(ctx, h.c, topic, data)
	require.NoError(h.t, err)
}

// wake says the wake word, and waits until the microphone, which was closed, is open.
func (h *house) wake(origin string) contract.HealthPing {
	h.t.Helper()
	publish(h, origin, contract.WakeEvent, contract.Wake{Type: contract.WakeHeard})
	site := origin
	if site == "" {
		site = Room
	}
	return h.says(site + " open")
}

// live opens all microphones for an hour.
func (h *house) live() {
	h.t.Helper()
	publish(h, "", contract.DialogueState, contract.Dialogue{State: contract.Listening, Live: true, Deadline: new(unix(time.Now()) + 3600)})
}

var errScript = errors.New("no ears today")
