package voiceloop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/audio/audiotest"
	"github.com/tarsd/tarsd/internal/crash/daemon"
	"github.com/tarsd/tarsd/internal/engine/flite"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// within bounds every wait. It is generous: other jobs may own the processors for a while.
const within = 30 * time.Second

// person is the voice of who talks to the robot: one on which the wake word was not trained.
const person = "rms"

var built struct {
	once      sync.Once
	dir, path string
	err       error
}

func TestMain(m *testing.M) {
	m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir) // a leftover in the temporary directory harms nobody
	}
}

// program is the path of the program to judge: TARSD_BIN, or built once.
func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.path = os.Getenv("TARSD_BIN"); built.path != "" {
			built.path, built.err = filepath.Abs(built.path)
			return
		}
		if built.dir, built.err = os.MkdirTemp("", "tarsd-voiceloop"); built.err != nil {
			return
		}
		built.path, built.err = daemon.Build(context.Background(), filepath.Join("..", ".."), "./cmd/tarsd", filepath.Join(built.dir, "tarsd"))
	})
	require.NoError(t, built.err)
	return built.path
}

// robot is the program with a microphone and a speaker.
type robot struct {
	*daemon.Daemon
	bed  *audiotest.Bed
	addr string
	peer *client.Client
}

// newRobot starts one with services that it waits for, or skips the test when this version, or this
// build, does not have them.
func newRobot(t *testing.T, services ...string) *robot {
	t.Helper()
	if !flite.BuiltIn() {
		t.Skip(flite.ErrNoProgram)
	}
	r := &robot{bed: audiotest.NewBed(t, "robot_mic_in", "robot_speaker")}
	bin, dir := program(t), t.TempDir()
	lacks(t, bin, dir, services)
	var err error
	r.addr, err = daemon.FreeAddr()
	require.NoError(t, err)
	command := []string{bin, "run", "--services", strings.Join(services, ","), "--http", "off", "--data", dir, "--listen", "tcp://" + r.addr}
	for _, s := range []string{
		"access.anonymous=true", "ears.microphone=pulse:robot_mic_in.monitor@" + r.bed.Server(), "tts.sink=pulse:robot_speaker@" + r.bed.Server(),
		"tts.engines=flite", "tts.flite.voice=slt", "router.announce=false", "router.ack.enabled=false", "router.meaning=false",
	} {
		command = append(command, "--set", s)
	}
	r.Daemon, err = daemon.Start(daemon.Options{Addr: r.addr, Command: command})
	require.NoError(t, err)
	t.Cleanup(func() {
		r.Kill()
		if t.Failed() {
			t.Logf("log of tarsd:\n%s", r.Log())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	require.NoError(t, r.Ready(ctx))
	r.peer = servicetest.Connect(t, client.Options{URL: "mqtt://" + r.addr, ID: "voiceloop", Name: "voiceloop", NoHealth: true, Log: zerolog.Nop()})
	r.well(t, services)
	return r
}

// lacks skips the test when there is no such service in this version.
func lacks(t *testing.T, bin, dir string, services []string) {
	t.Helper()
	out, _ := exec.CommandContext(t.Context(), bin, "check", "--data", dir, "--services", strings.Join(services, ",")).CombinedOutput() // it fails for other reasons too
	if line := regexp.MustCompile(`there is no service "\w+"`).Find(out); line != nil {
		t.Skipf("not in this version: %s", line)
	}
}

// well waits until all services say so.
func (r *robot) well(t *testing.T, services []string) {
	t.Helper()
	for _, name := range services {
		health := servicetest.Collect(t, r.peer, contract.Health.At(name))
		health.Find(t, func(m client.Message[contract.HealthPing]) bool {
			if why := contract.Value(m.Data.Err); strings.Contains(why, "make assets") {
				t.Skipf("%s: %s", name, why)
			}
			return m.Data.OK
		})
	}
}

// say makes the sound of a text, at 16 kHz.
func say(t *testing.T, text string) []int16 {
	t.Helper()
	e, err := flite.Open()
	require.NoError(t, err)
	var pcm []int16
	rate := 0
	require.NoError(t, e.Speak(t.Context(), flite.Request{Text: text, Voice: person}, func(r int, p []int16) error {
		rate, pcm = r, append(pcm, p...)
		return nil
	}))
	require.NoError(t, e.Close())
	pcm, err = audio.Resample(pcm, rate, audio.Rate)
	require.NoError(t, err)
	return pcm
}

func pause(d time.Duration) []int16 { return make([]int16, audio.Samples(d, audio.Rate)) }

// speak plays sound into the robot's microphone, and returns when it was heard.
func (r *robot) speak(t *testing.T, pcm []int16) {
	t.Helper()
	sink, err := audio.OpenSink(t.Context(), "pulse:robot_mic_in@"+r.bed.Server(), audio.Rate)
	require.NoError(t, err)
	require.NoError(t, sink.Write(t.Context(), pcm))
	require.NoError(t, sink.Drain(t.Context()))
	require.NoError(t, sink.Close())
}

// tape records the robot's speaker from now on.
type tape struct {
	mu     sync.Mutex
	frames []audio.Frame
}

func (r *robot) record(t *testing.T) *tape {
	t.Helper()
	src, err := audio.OpenSource(t.Context(), "pulse:robot_speaker.monitor@"+r.bed.Server())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	p := &tape{}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer src.Close()
		for {
			f, err := src.Read(ctx)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.frames = append(p.frames, f)
			p.mu.Unlock()
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	p.until(t, func(fs []audio.Frame) bool { return len(fs) > 0 })
	return p
}

// until waits for what has been recorded to be as it should, and returns it.
func (p *tape) until(t *testing.T, ok func([]audio.Frame) bool) []audio.Frame {
	t.Helper()
	var all []audio.Frame
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		all = p.frames
		return ok(all)
	}, within, 20*time.Millisecond)
	return all
}

// spoken returns the sound between two moments, and when the first of it was heard.
func (p *tape) spoken(t *testing.T, from, to time.Time) (pcm []int16, first time.Time) {
	t.Helper()
	all := p.until(t, func(fs []audio.Frame) bool { return len(fs) > 0 && fs[len(fs)-1].At.After(to) })
	for _, f := range all {
		if f.At.Before(from) {
			continue
		}
		if first.IsZero() && audio.Measure(f.PCM).Peak > 0.02 {
			first = f.At
		}
		pcm = append(pcm, f.PCM...)
	}
	return pcm, first
}

// recognise says which time of day is spoken, or that there is nobody to ask.
func recognise(t *testing.T, pcm []int16) (text string, ok bool) {
	t.Helper()
	cache := os.Getenv("TARSD_INTEROP_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		require.NoError(t, err)
		cache = filepath.Join(user, "tarsd", "interop")
	}
	python := filepath.Join(cache, "sphinx", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		return "", false
	}
	path := filepath.Join(t.TempDir(), "heard.wav")
	require.NoError(t, os.WriteFile(path, audio.AppendWAV(nil, pcm, audio.Rate), 0o600))
	out, err := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "hear.py"), path).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out)), true
}

var clock = regexp.MustCompile(`^It is (\d+):(\d\d) (A|P)M\.$`)

// aloud is how "It is 3:04 PM." is said.
func aloud(t *testing.T, text string) string {
	t.Helper()
	m := clock.FindStringSubmatch(text)
	require.NotNil(t, m, "%q is no time of day", text)
	units := strings.Fields("oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
	tens := strings.Fields("oh ten twenty thirty forty fifty")
	hour, err1 := strconv.Atoi(m[1])
	minute, err2 := strconv.Atoi(m[2])
	require.NoError(t, err1)
	require.NoError(t, err2)
	words := []string{"it", "is", units[hour]}
	switch {
	case minute == 0:
	case minute < 10:
		words = append(words, "oh", units[minute])
	case minute < 20:
		words = append(words, units[minute])
	case minute%10 == 0:
		words = append(words, tens[minute/10])
	default:
		words = append(words, tens[minute/10], units[minute%10])
	}
	return strings.Join(append(words, strings.ToLower(m[3])+".m."), " ")
}

// prop is a user property of a message.
func prop(props []client.UserProperty, key string) string {
	for _, p := range props {
		if p.Key == key {
			return p.Value
		}
	}
	return ""
}

// ended waits for the end of what the robot says, and returns when that was told.
func ended(t *testing.T, status *servicetest.Collector[contract.SpeechStatus]) time.Time {
	t.Helper()
	m := status.Find(t, func(m client.Message[contract.SpeechStatus]) bool { return m.Data.Event == "speaking_end" })
	require.Empty(t, contract.Value(m.Data.Reason), "it was spoken to its end")
	return m.Received
}

// understood checks what the robot said against what it meant to say. Without a recogniser the test is
// skipped here, at its end.
func understood(t *testing.T, text string, pcm []int16) {
	t.Helper()
	got, ok := recognise(t, pcm)
	if !ok {
		t.Skip("all but the sound of the answer was judged: no recogniser; run internal/voiceloop/setup.sh")
	}
	t.Logf("said %q, heard %q", text, got)
	require.Equal(t, aloud(t, text), got, fmt.Sprintf("%d samples", len(pcm)))
}
