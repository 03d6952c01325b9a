package ears

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/audio/audiotest"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// hearing is a robot with a microphone.
func hearing(t *testing.T, spec string, change func(*Options)) *Ears {
	t.Helper()
	return deaf(t, func(o *Options) {
		o.Microphone = spec
		if change != nil {
			change(o)
		}
	})
}

func tone(n int, amplitude float64) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(amplitude * math.Sin(2*math.Pi*1000*float64(i)/audio.Rate))
	}
	return pcm
}

// says waits for a health message of ears whose event begins so.
func says(t *testing.T, health *servicetest.Collector[contract.HealthPing], event string) client.Message[contract.HealthPing] {
	t.Helper()
	return health.Find(t, func(m client.Message[contract.HealthPing]) bool {
		return strings.HasPrefix(contract.Value(m.Data.Event), event)
	})
}

// TestNoMicrophone: a robot without one by configuration is well, and so is one on a machine without any
// sound device, which keeps looking; one that was told which it has is not well without it.
func TestNoMicrophone(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	health := servicetest.Collect(t, bus.Client(t, "judge"), contract.Health.At("ears"))
	t.Run("none", func(t *testing.T) {
		bus.Run(t, deaf(t, nil))
		assert.True(t, says(t, health, "no microphone here, by configuration").Data.OK)
	})
	t.Run("auto", func(t *testing.T) {
		tries := make(chan int, 100)
		n := 0
		bus.Run(t, hearing(t, "auto", func(o *Options) {
			o.OpenSource = func(context.Context, string) (audio.Source, error) {
				n++
				tries <- n
				if n < 3 {
					return nil, audio.ErrNoDevice
				}
				return &fixed{n: 1}, nil
			}
		}))
		m := says(t, health, "no microphone on this machine")
		assert.True(t, m.Data.OK)
		m = says(t, health, "hears auto")
		assert.True(t, m.Data.OK)
		assert.Nil(t, m.Data.Err)
		assert.Len(t, tries, 3)
	})
	for name, err := range map[string]error{"pulse": audio.ErrNoDevice, "auto": errors.New("not allowed")} {
		t.Run(name+" fails", func(t *testing.T) {
			bus.Run(t, hearing(t, name, func(o *Options) {
				o.OpenSource = func(context.Context, string) (audio.Source, error) { return nil, err }
			}))
			m := health.Find(t, func(m client.Message[contract.HealthPing]) bool { return contract.Value(m.Data.Err) == err.Error() })
			assert.False(t, m.Data.OK)
			assert.Equal(t, "no microphone", contract.Value(m.Data.Event))
		})
	}
}

// TestPulse: a microphone that is unplugged, and a sound server that crashes, are said with the reason,
// and so is their return. Who listens goes on to listen.
func TestPulse(t *testing.T) {
	t.Parallel()
	bed := audiotest.NewBed(t, "mic")
	if _, err := exec.LookPath("pactl"); err != nil {
		t.Skip("apt-get install pulseaudio-utils")
	}
	bus := servicetest.Start(t)
	health := servicetest.Collect(t, bus.Client(t, "judge"), contract.Health.At("ears"))
	spec := "pulse:mic.monitor@" + bed.Server()
	e := hearing(t, spec, nil)
	events := listen(t, e)
	bus.Run(t, e)
	says(t, health, "hears "+spec)
	hear := func() audio.Frame {
		t.Helper()
		for {
			ev := next(t, events)
			require.Equal(t, "room", ev.site)
			require.NoError(t, ev.gone)
			if audio.Measure(ev.frame.PCM).Peak > 0.2 {
				return ev.frame
			}
		}
	}
	speak := func() {
		t.Helper()
		sink, err := audio.OpenSink(t.Context(), "pulse:mic@"+bed.Server(), audio.Rate)
		require.NoError(t, err)
		require.NoError(t, sink.Write(t.Context(), tone(audio.Rate/2, 16000)))
		require.NoError(t, sink.Drain(t.Context()))
		require.NoError(t, sink.Close())
	}
	speak()
	hear()
	pactl := func(args ...string) {
		t.Helper()
		out, err := exec.Command("pactl", append([]string{"-s", bed.Server()}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	for _, c := range []struct {
		name     string
		lose, be func()
	}{
		{"unplugged", func() { pactl("unload-module", "module-null-sink") }, func() {
			pactl("load-module", "module-null-sink", "norewinds=1", "rate=16000", "channels=1", "sink_name=mic")
		}},
		{"crash", bed.Stop, func() { bed.Start(t) }},
	} {
		c.lose()
		m := says(t, health, "microphone lost")
		assert.False(t, m.Data.OK, c.name)
		assert.NotEmpty(t, contract.Value(m.Data.Err), c.name)
		t.Logf("%s: %s", c.name, contract.Value(m.Data.Err))
		c.be()
		assert.True(t, says(t, health, "hears "+spec).Data.OK, c.name)
		for len(events) > 0 {
			<-events
		}
		speak()
		hear()
	}
}

// TestWAV: a file is heard from its beginning to its end, and what follows is no failure.
func TestWAV(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hello.wav")
	want := ramp(audio.Rate / 2)
	require.NoError(t, os.WriteFile(path, audio.AppendWAV(nil, want, audio.Rate), 0o600))
	bus := servicetest.Start(t)
	health := servicetest.Collect(t, bus.Client(t, "judge"), contract.Health.At("ears"))
	e := hearing(t, "wav:"+path, nil)
	got, end := make(chan []int16, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	each := make(chan error, 1)
	go func() {
		each <- e.Each(ctx, func(ctx context.Context, _ string, l *audio.Listener) {
			var pcm []int16
			for {
				f, err := l.Next(ctx)
				if err != nil {
					got <- pcm
					end <- err
					return
				}
				pcm = append(pcm, f.PCM...)
			}
		})
	}()
	require.Eventually(t, func() bool {
		e.sites.mu.Lock()
		defer e.sites.mu.Unlock()
		return len(e.sites.watchers) == 1
	}, 10*time.Second, time.Millisecond)
	bus.Run(t, e)
	assert.True(t, says(t, health, "wav:"+path+" has come to its end").Data.OK)
	assert.ErrorIs(t, <-end, io.EOF)
	e.sites.mu.Lock()
	assert.Len(t, e.sites.all, 1, "who is slow still has some of it")
	e.sites.mu.Unlock()
	pcm := <-got
	assert.Equal(t, want[:len(pcm)], pcm)
	assert.Len(t, pcm, len(want))
	cancel()
	require.NoError(t, <-each)
}

// TestRestart: who listens goes on to do so when the service is started again.
func TestRestart(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	e := hearing(t, "tone", func(o *Options) {
		o.OpenSource = func(context.Context, string) (audio.Source, error) { return &fixed{n: 1}, nil }
	})
	events := listen(t, e)
	for range 2 {
		sup := bus.Run(t, e)
		assert.NoError(t, next(t, events).gone)
		send(t, bus.Client(t, "satellite"), "kitchen", audio.AppendBytes(nil, ramp(audio.FrameLen)), 0)
		assert.Equal(t, "kitchen", next(t, events).site)
		require.NoError(t, sup.Stop(t.Context()))
		gone := []event{next(t, events), next(t, events)}
		for _, ev := range gone {
			assert.Equal(t, ErrGone, ev.gone)
		}
		assert.ElementsMatch(t, []string{"room", "kitchen"}, []string{gone[0].site, gone[1].site})
		assert.Empty(t, e.sites.all)
	}
}

// TestOldSockets: what the programs of the old system get.
func TestOldSockets(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "tarsd-ears")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := ln.Addr().String()
	ln.Close()
	bus := servicetest.Start(t)
	judge := bus.Client(t, "judge")
	spectra := servicetest.Collect(t, judge, contract.STTAudioFFT)
	loud := make(chan bool)
	e := hearing(t, "tone", func(o *Options) {
		o.FanOut, o.FanOutMode, o.Socket = filepath.Join(dir, "fan.sock"), 0o660, address
		o.OpenSource = func(context.Context, string) (audio.Source, error) { return &switched{loud: loud}, nil }
	})
	bus.Run(t, e)
	var conn net.Conn
	require.Eventually(t, func() bool {
		conn, err = net.Dial("unix", e.o.FanOut)
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	defer conn.Close()
	r, b := bufio.NewReader(conn), make([]byte, 2*audio.FrameLen)
	_, err = io.ReadFull(r, b) // there is noise before there is more
	require.NoError(t, err)
	var ws *websocket.Conn
	require.Eventually(t, func() bool {
		c, resp, err := websocket.DefaultDialer.Dial("ws://"+address+"/fft", nil)
		if err == nil {
			resp.Body.Close()
			ws = c
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	defer ws.Close()
	loud <- true
	kind, text, err := ws.ReadMessage()
	require.NoError(t, err)
	assert.Equal(t, websocket.BinaryMessage, kind)
	var old struct{ FFT []float64 }
	require.NoError(t, json.Unmarshal(text, &old))
	assert.Equal(t, 8, argmax(old.FFT))
	m := spectra.Next(t)
	require.NotNil(t, m.Data.Spectrum)
	assert.Len(t, m.Data.Bins(), 64)
	assert.Equal(t, 8, argmax(m.Data.Bins()), "1 kHz of 8 in 64 bins")
	for heard := false; !heard; {
		_, err := io.ReadFull(r, b)
		require.NoError(t, err)
		heard = audio.Measure(audio.AppendSamples(nil, b)).Peak > 0.2
	}
	loud <- false
	spectra.Find(t, func(m client.Message[contract.AudioFFT]) bool { return argmax(m.Data.Bins()) == -1 })
	_, err = io.CopyN(io.Discard, r, int64(25*len(b))) // half a second
	require.NoError(t, err)
	assert.Zero(t, spectra.Len(), "nothing is drawn of silence")
}

// argmax is the place of the largest; -1: all are 0.
func argmax(bins []float64) int {
	at, most := -1, 0.0
	for i, v := range bins {
		if v > most {
			at, most = i, v
		}
	}
	return at
}

// switched is a microphone beside a faint noise and, sometimes, a whistle.
type switched struct {
	loud <-chan bool
	on   bool
	next time.Time
}

func (s *switched) Read(ctx context.Context) (audio.Frame, error) {
	if s.next.IsZero() {
		s.next = time.Now()
	}
	s.next = s.next.Add(audio.FrameTime)
	timer := time.NewTimer(time.Until(s.next))
	defer timer.Stop()
	for {
		select {
		case s.on = <-s.loud:
		case <-timer.C:
			amplitude := 20.0
			if s.on {
				amplitude = 16000
			}
			return audio.Frame{PCM: tone(audio.FrameLen, amplitude), At: time.Now()}, nil
		case <-ctx.Done():
			return audio.Frame{}, ctx.Err()
		}
	}
}

func (s *switched) Close() error { return nil }

// TestSocketsInTheWay: an old socket that cannot be served is said, and keeps nobody from hearing.
func TestSocketsInTheWay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fan.sock")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	bus := servicetest.Start(t)
	health := servicetest.Collect(t, bus.Client(t, "judge"), contract.Health.At("ears"))
	e := hearing(t, "tone", func(o *Options) {
		o.FanOut, o.Socket = path, ln.Addr().String()
		o.OpenSource = func(context.Context, string) (audio.Source, error) { return &fixed{n: 1}, nil }
	})
	bus.Run(t, e)
	m := health.Find(t, func(m client.Message[contract.HealthPing]) bool {
		why := contract.Value(m.Data.Err)
		return strings.Contains(why, "is there and is no socket") && strings.Contains(why, "address already in use")
	})
	assert.True(t, m.Data.OK)
	assert.Equal(t, "hears tone", contract.Value(m.Data.Event))
	assert.Contains(t, e.Check(t.Context()), services.Finding{Verdict: services.Warning, Text: "fanout.path " + path + " is there and is no socket"})
}

// TestSocketComesBack: it is tried again, and its trouble is over when it is served.
func TestSocketComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &run{told: newHealth(services.Runtime{Log: zerolog.Nop()})}
		r.told.microphone(true, "hears tone", nil)
		ctx, cancel := context.WithCancel(t.Context())
		began, n := time.Now(), 0
		r.keep(ctx, "socket", func(ctx context.Context, up func()) error {
			_, _, err := r.told.verdict()
			switch n++; n {
			case 1:
				require.NoError(t, err)
				return errors.New("in the way")
			case 2:
				require.EqualError(t, err, "in the way")
				up()
				_, _, err = r.told.verdict()
				require.NoError(t, err)
				return errors.New("lost")
			}
			require.EqualError(t, err, "lost")
			cancel()
			return ctx.Err()
		})
		assert.Equal(t, 2*socketRetry, time.Since(began))
		ok, event, _ := r.told.verdict()
		assert.True(t, ok)
		assert.Equal(t, "hears tone", event)
	})
}

func TestMeter(t *testing.T) {
	t.Parallel()
	frame := func(amplitude float64) audio.Level { return audio.Measure(tone(audio.FrameLen, amplitude)) }
	var m meter
	for range 50 {
		assert.False(t, m.add(frame(100)), "noise")
	}
	assert.False(t, m.add(frame(250)), "8 dB above it")
	assert.True(t, m.add(frame(300)), "9.5 dB above it")
	for range loudHang - 1 {
		assert.True(t, m.add(frame(100)), "between two words")
	}
	assert.False(t, m.add(frame(100)))
	n := 0
	for ; n < 2000 && m.add(frame(1000)); n++ {
	}
	assert.InDelta(t, 550, n-loudHang, 10, "20 dB more are noise after 11 s")
	for range 499 {
		m.add(audio.Level{})
	}
	assert.False(t, m.muted())
	m.add(audio.Level{})
	assert.True(t, m.muted())
	m.add(frame(1))
	assert.False(t, m.muted())
}

// TestMutedSaid: one that gives nothing but zeros before and after a loss is said to be muted, until it is not.
func TestMutedSaid(t *testing.T) {
	t.Parallel()
	h := newHealth(services.Runtime{})
	is := func(want string) {
		t.Helper()
		_, event, _ := h.verdict()
		assert.Equal(t, want, event)
	}
	h.microphone(true, "hears auto", nil)
	h.muted(true)
	is("hears auto; nothing but zeros for 10s: is it muted?")
	h.microphone(false, "microphone lost", io.EOF)
	is("microphone lost")
	h.microphone(true, "hears auto", nil)
	is("hears auto; nothing but zeros for 10s: is it muted?")
	h.muted(false)
	is("hears auto")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec string
		open func(context.Context, string) (audio.Source, error)
		want services.Finding
	}{
		"none":   {None, nil, services.Finding{Verdict: services.Fine, Text: "no microphone here, by configuration"}},
		"device": {"auto", func(context.Context, string) (audio.Source, error) { return &fixed{}, nil }, services.Finding{Verdict: services.Fine, Text: "hears auto"}},
		"nothing": {"auto", func(context.Context, string) (audio.Source, error) { return nil, audio.ErrNoDevice }, services.Finding{
			Verdict: services.Warning,
			Text:    "no microphone: it would hear pages and satellites only; ears.microphone: none says that this is meant",
		}},
		"wrong": {"telepathy", audio.OpenSource, services.Finding{
			Verdict: services.Warning, Text: `open microphone telepathy: unknown kind "telepathy": pulse, arecord, name, wav, wav-fast and auto are known`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := hearing(t, c.spec, func(o *Options) { o.OpenSource = c.open })
			assert.Contains(t, e.Check(t.Context()), c.want)
		})
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Room: "a/b", MaxSites: -1, Bins: 7, Rate: 51, Socket: ":1", FanOutMode: 0o666})
	for _, what := range []string{"microphone: ", "room: ", "max_sites: ", "idle: ", "bins: ", "rate: ", "socket path: ", "fan-out mode: 0666"} {
		assert.ErrorContains(t, err, what)
	}
}
