package tts

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
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

// soundServer starts a private PulseAudio with a null sink, or skips the test.
func soundServer(t testing.TB) (address string) {
	t.Helper()
	if _, err := exec.LookPath("pulseaudio"); err != nil {
		t.Skip("apt-get install pulseaudio")
	}
	dir, err := os.MkdirTemp("", "tarsd-tts") // short: a unix socket's path is
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "native")
	cmd := exec.Command("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit", "--realtime=no",
		"-L", "module-native-protocol-unix socket="+socket+" auth-anonymous=1",
		"-L", "module-null-sink norewinds=1 rate=16000 channels=1 sink_name=speaker")
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "the sound server does not answer")
	return "unix:" + socket
}

// monitor is what the speaker plays. ear gets each frame of it.
func monitor(t testing.TB, server string) (ear chan audio.Frame) {
	t.Helper()
	src, err := audio.OpenSource(t.Context(), "pulse:speaker.monitor@"+server)
	require.NoError(t, err)
	ear = make(chan audio.Frame, 10_000)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			f, err := src.Read(t.Context())
			if err != nil {
				return
			}
			ear <- f
		}
	}()
	t.Cleanup(func() {
		<-ended // with the test's context
		src.Close()
	})
	return ear
}

func loud(f audio.Frame) bool { return audio.Measure(f.PCM).Peak > 0.005 }

// spread shows durations as docs/speech.md has them.
func spread(d []time.Duration) string {
	slices.Sort(d)
	return fmt.Sprintf("p50 %d ms, p99 %d ms of %d", d[len(d)/2].Milliseconds(), d[len(d)*99/100].Milliseconds(), len(d))
}

// figures are measured from the message to what is heard on the speaker's monitor.
type figures struct{ handed, heard, silence []time.Duration }

// measure speaks with flite on a sound server, and stops it in the middle, while more is true.
func measure(t testing.TB, more func(round int, m figures) bool) (m figures) {
	t.Helper()
	server := soundServer(t)
	engine, err := voice.NewFlite("")
	if err != nil {
		t.Skip("make assets: ", err)
	}
	h := newHouse(t, func(o *Options) {
		o.Sink, o.OpenSink = "pulse:speaker@"+server, audio.OpenSink
		o.Engines = func() ([]voice.Engine, []error) { return []voice.Engine{engine}, nil }
	})
	ear := monitor(t, server)
	progress := servicetest.Collect(t, h.c, contract.TTSProgress)
	for i := 0; more(i, m); i++ {
		utt := fmt.Sprint("u", i)
		asked := time.Now()
		h.say(utt, fmt.Sprintf("It is %d o'clock, and number %d sleeps. Nobody else is here, and nothing more is to be said about it today.", i%12+1, i))
		f := <-ear
		for ; f.At.Before(asked) || !loud(f); f = <-ear {
		}
		m.heard = append(m.heard, f.At.Sub(asked))
		p := progress.Find(t, func(m client.Message[contract.SpeechProgress]) bool { return contract.Value(m.Data.UttID) == utt }).Data
		m.handed = append(m.handed, time.Duration(*p.AfterMS)*time.Millisecond)
		begun, last := f.At, f.At
		for ; f.At.Sub(begun) < 700*time.Millisecond || !loud(f); f = <-ear { // into the middle of a word
		}
		stop := time.Now()
		h.control(contract.ActionStop, utt)
		for ; f.At.Sub(stop) < 400*time.Millisecond; f = <-ear {
			if loud(f) {
				last = f.At.Add(audio.FrameTime)
			}
		}
		require.Less(t, stop.Sub(last), 100*time.Millisecond, "it was speaking")
		m.silence = append(m.silence, last.Sub(stop))
	}
	return m
}

// TestFigures sees that they can be measured, and that nothing waits for what it should not: the limits are
// those of a machine that tests ten packages at once. BenchmarkFigures measures.
func TestFigures(t *testing.T) {
	m := measure(t, func(round int, _ figures) bool { return round < 3 })
	assert.Less(t, slices.Min(m.handed), 2*time.Second)
	assert.Less(t, slices.Min(m.silence), 400*time.Millisecond)
}

// BenchmarkFigures prints those of docs/speech.md: go test -run xx -bench Figures -benchtime 40x ./services/tts
func BenchmarkFigures(b *testing.B) {
	m := measure(b, func(int, figures) bool { return b.Loop() })
	if len(m.handed) > 1 {
		b.Logf("tts/say to the first sound at the device: %s", spread(m.handed))
		b.Logf("tts/say to the first sound on the monitor: %s", spread(m.heard))
		b.Logf("stop to silence on the monitor: %s", spread(m.silence))
	}
}
