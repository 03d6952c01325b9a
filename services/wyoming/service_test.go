package wyoming

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	proto "github.com/tarsd/tarsd/internal/wyoming"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
	"github.com/tarsd/tarsd/services/tts/voice"
)

// TestGone: a peer that goes ends what is being made for it, and one that only has no more to ask is
// answered.
func TestGone(t *testing.T) {
	t.Parallel()
	e := &tone{rate: 16000, ended: make(chan struct{})}
	dial := run(t, offer(t, e, &scribe{}))
	p := dial()
	p.send(proto.TypeSynthesize, proto.Synthesize{Text: "This goes on for ever."})
	p.next(proto.TypeAudioStart, nil)
	p.next(proto.TypeAudioChunk, nil)
	require.NoError(t, p.c.Close())
	select {
	case <-e.ended:
	case <-time.After(10 * time.Second):
		t.Fatal("it is still spoken")
	}
	p = dial()
	p.send(proto.TypeSynthesize, proto.Synthesize{Text: "Hello there."})
	u, ok := p.raw.(*net.UnixConn)
	require.True(t, ok)
	require.NoError(t, u.CloseWrite())
	_, n := p.heard()
	assert.Equal(t, 1200, n)
}

// TestRates: an engine that takes over in the middle of a text may have another rate; the peer is told
// of one.
func TestRates(t *testing.T) {
	t.Parallel()
	low, high := &tone{rate: 16000}, &tone{rate: 48000}
	o := offer(t, low, &scribe{})
	o.TTS.Engines = func() ([]voice.Engine, []error) { return []voice.Engine{picky{low}, high}, nil }
	p := run(t, o)()
	p.send(proto.TypeSynthesize, proto.Synthesize{Text: "This is the first one. This is what it refuses. And a third one."})
	rate, n := p.heard()
	assert.Equal(t, 16000, rate)
	assert.Equal(t, 2200+2400/3+534, n, "the engine that failed is not asked again at once")
}

// picky is an engine that does not say everything.
type picky struct{ *tone }

func (e picky) Speak(ctx context.Context, t voice.Text, emit func(voice.Sound) error) error {
	if strings.Contains(t.Text, "refuses") {
		return errors.New("I will not say that")
	}
	return e.tone.Speak(ctx, t, emit)
}

// TestStop: the service ends within its time, also in the middle of an answer, and takes its socket along.
func TestStop(t *testing.T) {
	t.Parallel()
	e, r := &tone{rate: 16000}, &scribe{}
	s, err := New(offer(t, e, r))
	require.NoError(t, err)
	sup := servicetest.Start(t).Run(t, s)
	c, err := proto.Dial(t.Context(), s.addr, proto.Options{})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Write(t.Context(), proto.New(proto.TypeSynthesize, proto.Synthesize{Text: "This goes on for ever."})))
	_, err = c.Read(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	begin := time.Now()
	require.NoError(t, sup.Stop(ctx))
	assert.Less(t, time.Since(begin), 3*time.Second)
	assert.True(t, r.closed.Load())
	_, err = os.Stat(s.addr.Addr)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestConnections: there are no more than allowed.
func TestConnections(t *testing.T) {
	t.Parallel()
	o := offer(t, &tone{rate: 16000}, &scribe{})
	o.Connections = 1
	dial := run(t, o)
	p := dial()
	p.send(proto.TypePing, nil)
	p.next(proto.TypePong, nil)
	dial().fails("too many connections")
}

// TestAbsent: what cannot be had is not offered, and health says why.
func TestAbsent(t *testing.T) {
	t.Parallel()
	o := offer(t, &tone{rate: 16000}, &scribe{})
	o.ASR.Open = func() (Recogniser, error) { return nil, errors.New("no model") }
	o.Wake.Open = func() (Detector, error) { return nil, errors.New("no weights") }
	o.TTS.Engines = func() ([]voice.Engine, []error) { return nil, []error{errors.New("no voice")} }
	s, err := New(o)
	require.NoError(t, err)
	bus := servicetest.Start(t)
	health := servicetest.Collect(t, bus.Client(t, "watcher"), contract.Health.At("wyoming"))
	bus.Run(t, s)
	said := health.Find(t, func(m client.Message[contract.HealthPing]) bool { return contract.Value(m.Data.Err) != "" })
	for _, want := range []string{"asr: no model", "wake: no weights", "no voice"} {
		assert.Contains(t, contract.Value(said.Data.Err), want)
	}
	c, err := proto.Dial(t.Context(), s.addr, proto.Options{})
	require.NoError(t, err)
	p := &peer{t: t, c: c}
	defer c.Close()
	p.send(proto.TypeDescribe, nil)
	var info proto.Info
	p.next(proto.TypeInfo, &info)
	assert.Equal(t, proto.Info{ASR: []proto.ASRProgram{}, TTS: []proto.TTSProgram{}, Wake: []proto.WakeProgram{}}, info)
	p.send(proto.TypeSynthesize, proto.Synthesize{Text: "Hello."})
	p.fails("no text to speech")
}

func TestNew(t *testing.T) {
	t.Parallel()
	s, err := New(Options{})
	require.NoError(t, err)
	assert.Empty(t, s.Check(t.Context()))
	servicetest.Start(t).Run(t, s) // and it is ready, with nothing to do
	for listen, v := range map[string]services.Verdict{
		"tcp://127.0.0.1:0": services.Fine, "tcp://[::1]:0": services.Fine, "tcp://localhost:1": services.Fine, "unix:///run/w.sock": services.Fine,
		"tcp://:10400": services.Warning, "tcp://0.0.0.0:1": services.Warning, "tcp://192.168.1.4:1": services.Warning,
	} {
		s, err := New(Options{Listen: listen, Connections: 1})
		require.NoError(t, err)
		found := s.Check(t.Context())
		require.Len(t, found, 1)
		assert.Equal(t, v, found[0].Verdict, listen)
	}
	for _, o := range []Options{
		{Listen: "127.0.0.1:1", Connections: 1}, {Listen: "stdio:cat", Connections: 1}, {Listen: "tcp://127.0.0.1:1"}, {Listen: "tcp://127.0.0.1:1", Connections: 1001},
		{Listen: "tcp://127.0.0.1:1", Connections: 1, TTS: &TTS{}}, {Listen: "tcp://127.0.0.1:1", Connections: 1, Wake: &Wake{}},
	} {
		_, err := New(o)
		require.Error(t, err, "%+v", o)
	}
}
