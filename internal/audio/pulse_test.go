package audio

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tape records a source until the test ends or the source does.
type tape struct {
	q    *queue
	stop context.CancelFunc
	done chan error
}

func record(t *testing.T, spec string) *tape {
	t.Helper()
	src, err := OpenSource(t.Context(), spec)
	require.NoError(t, err)
	return recordFrom(t, src)
}

func recordFrom(t *testing.T, src Source) *tape {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &tape{q: newQueue(1000), stop: cancel, done: make(chan error, 1)}
	first := make(chan struct{})
	go func() {
		n := 0
		for {
			f, err := src.Read(ctx)
			if err != nil {
				src.Close()
				p.done <- err
				return
			}
			p.q.push(f)
			if n++; n == 1 {
				close(first)
			}
		}
	}()
	t.Cleanup(cancel)
	select {
	case <-first:
	case <-time.After(10 * time.Second):
		t.Fatal("the microphone gives no sound")
	}
	return p
}

// until records to the moment, and returns the frames so far.
func (p *tape) until(t *testing.T, moment time.Time) (frames []Frame) {
	t.Helper()
	for {
		f, err := p.q.next(t.Context())
		require.NoError(t, err)
		frames = append(frames, f)
		if f.At.After(moment) {
			return frames
		}
	}
}

// TestPulsePlaysAll: what was drained has been heard, to the last sample and unchanged, when the
// frames say that it was.
func TestPulsePlaysAll(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for _, rate := range []int{Rate, 22050} {
		mic := record(t, "pulse:speaker.monitor@"+b.Server())
		s, err := OpenSink(t.Context(), "pulse:speaker@"+b.Server(), rate)
		require.NoError(t, err)
		want := sweep(rate/2, rate, 8000)
		begin := time.Now()
		play(t, s, want)
		end := time.Now()
		require.NoError(t, s.Close())
		assert.Less(t, end.Sub(begin), 1500*time.Millisecond)
		frames := mic.until(t, end.Add(100*time.Millisecond))
		mic.stop()
		require.ErrorIs(t, <-mic.done, context.Canceled)
		want, err = Resample(want, rate, Rate)
		require.NoError(t, err)
		got := join(frames)
		at, alike := find(want, got)
		assert.Greater(t, alike, 0.99)
		assert.InDelta(t, 1, energy(got)/energy(want), 0.01)
		heard := frames[at/FrameLen].At
		assert.WithinRange(t, heard, begin.Add(-FrameTime), begin.Add(300*time.Millisecond), "time of the first sample")
		assert.WithinRange(t, heard.Add(500*time.Millisecond), begin, end.Add(60*time.Millisecond), "drained before it was heard")
		t.Logf("%d Hz: alike %.4f, energy %.4f, first sound after %s, drained %s after the end", rate, alike, energy(got)/energy(want),
			heard.Sub(begin).Round(time.Millisecond), end.Sub(heard.Add(500*time.Millisecond)).Round(time.Millisecond))
	}
}

// TestPulseFlush measures the time from a stop to silence, and that what follows is heard whole.
func TestPulseFlush(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	mic := record(t, "pulse:speaker.monitor@"+b.Server())
	s, err := OpenSink(t.Context(), "pulse:speaker@"+b.Server(), Rate)
	require.NoError(t, err)
	wrote := make(chan error, 1)
	go func() { wrote <- s.Write(t.Context(), tone(500, 10*Rate, Rate)) }()
	for heard := false; !heard; {
		f, err := mic.q.next(t.Context())
		require.NoError(t, err)
		heard = Measure(f.PCM).Peak > 0.4
	}
	stop := time.Now()
	require.NoError(t, s.Flush())
	assert.Less(t, time.Since(stop), 100*time.Millisecond)
	require.ErrorIs(t, <-wrote, ErrFlushed)
	last := stop
	for _, f := range mic.until(t, stop.Add(400*time.Millisecond)) {
		if Measure(f.PCM).Peak > 0.01 {
			last = f.At.Add(FrameTime)
		}
	}
	// The monitor hears what the device has taken, which a real one plays up to its latency later.
	device := s.(*reviver).sink.(*pulseSink).device
	assert.Less(t, last.Sub(stop)+device, 100*time.Millisecond)
	t.Logf("silent %s after the stop, and %s of the device's own", last.Sub(stop).Round(time.Millisecond), device)
	for range 20 { // a stop storm leaves the device as it was
		require.NoError(t, s.Write(t.Context(), tone(500, 500, Rate)))
		require.NoError(t, s.Flush())
	}
	want := sweep(Rate/4, Rate, 8000)
	begin := time.Now()
	play(t, s, want)
	got := join(mic.until(t, time.Now().Add(100*time.Millisecond)))
	_, alike := find(want, got)
	assert.Greater(t, alike, 0.99)
	assert.Less(t, time.Since(begin), time.Second)
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Write(t.Context(), want), ErrClosed)
}

// TestPulseComesBack: a crash of the sound server fails one Write, which says so; the speaker and
// the microphone go on when it is back.
func TestPulseComesBack(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	states := make(chan State, 10)
	hub := NewHub(HubOptions{
		Open:    func(ctx context.Context) (Source, error) { return OpenSource(ctx, "pulse:speaker.monitor@"+b.Server()) },
		OnState: func(s State) { states <- s },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	l := hub.Listen(1000)
	go func() { ended <- hub.Run(ctx) }()
	require.True(t, (<-states).OK)
	s, err := OpenSink(t.Context(), "pulse:speaker@"+b.Server(), Rate)
	require.NoError(t, err)
	play(t, s, tone(500, 1000, Rate))

	b.Stop()
	state := <-states
	require.ErrorIs(t, state.Err, ErrNoDevice)
	assert.ErrorContains(t, state.Err, "sound server")
	require.ErrorIs(t, s.Write(t.Context(), tone(500, Rate, Rate)), ErrNoDevice)
	require.ErrorIs(t, s.Write(t.Context(), tone(500, Rate, Rate)), ErrNoDevice, "still away")
	require.NoError(t, s.Flush(), "nothing is left to stop")
	require.NoError(t, s.Drain(t.Context()), "what was lost was reported")

	b.Start(t)
	require.True(t, (<-states).OK)
	want := sweep(Rate/4, Rate, 8000)
	require.Eventually(t, func() bool { return s.Write(t.Context(), want) == nil }, 5*time.Second, 50*time.Millisecond)
	require.NoError(t, s.Drain(t.Context()))
	require.NoError(t, s.Close())
	var got []int16
	gaps, end := 0, time.Now().Add(50*time.Millisecond)
	for f := (Frame{}); f.At.Before(end); {
		f, err = l.Next(t.Context())
		require.NoError(t, err)
		got = append(got, f.PCM...)
		if f.Gap {
			gaps++
		}
	}
	_, alike := find(want, got)
	assert.Greater(t, alike, 0.99)
	assert.GreaterOrEqual(t, gaps, 1, "the frame after the loss says so")
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// TestPulseUnplugged: a device that goes while its server stays is a loss too.
func TestPulseUnplugged(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	mic := record(t, "pulse:mic.monitor@"+b.Server())
	out, err := exec.Command("pactl", "-s", b.Server(), "unload-module", "module-null-sink").CombinedOutput()
	require.NoError(t, err, "%s", out)
	err = <-mic.done
	require.ErrorIs(t, err, ErrNoDevice)
	assert.ErrorContains(t, err, "the microphone is gone")
	_, err = OpenSink(t.Context(), "pulse:speaker@"+b.Server(), Rate)
	require.ErrorIs(t, err, ErrNoDevice)
	assert.ErrorContains(t, err, `play on "speaker": pulseaudio: no such entity`)
}

// TestPulseSleeps: a device on which nothing is played is put to sleep by its server, although the sink
// is open, after the end of a sentence and after a stop; the next sentence wakes it and is heard whole.
func TestPulseSleeps(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	pactl := func(args ...string) string {
		out, err := exec.Command("pactl", append([]string{"-s", b.Server()}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	pactl("load-module", "module-suspend-on-idle", "timeout=0")
	s, err := OpenSink(t.Context(), "pulse:speaker@"+b.Server(), Rate)
	require.NoError(t, err)
	asleep := func() bool {
		for line := range strings.Lines(pactl("list", "short", "sinks")) {
			if strings.Contains(line, "\tspeaker\t") {
				return strings.Contains(line, "SUSPENDED")
			}
		}
		return false
	}
	soon := func(what string) { require.Eventually(t, asleep, 5*time.Second, 20*time.Millisecond, what) }
	soon("opened")
	require.NoError(t, s.Drain(t.Context()), "nothing to wait for")
	for range 2 {
		begin := time.Now()
		play(t, s, tone(500, Rate/2, Rate))
		assert.WithinRange(t, time.Now(), begin.Add(490*time.Millisecond), begin.Add(1500*time.Millisecond))
		soon("played to the end")
		require.NoError(t, s.Write(t.Context(), tone(500, Rate/4, Rate)))
		assert.False(t, asleep())
		require.NoError(t, s.Flush())
		soon("stopped")
	}
	require.NoError(t, s.Close())
}

func TestPulseDevices(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	list, err := pulseDevices(t.Context(), b.Server())
	require.NoError(t, err)
	at := "@" + b.Server()
	assert.ElementsMatch(t, []Device{
		{Spec: "pulse:speaker" + at, Name: "Null Output", Out: true, Default: true},
		{Spec: "pulse:mic" + at, Name: "Null Output", Out: true},
		{Spec: "pulse:speaker.monitor" + at, Name: "Monitor of Null Output", Default: true},
		{Spec: "pulse:mic.monitor" + at, Name: "Monitor of Null Output"},
	}, list)
}

// TestPulseServers: what is no sound server is an error, and soon; it neither ends the process nor
// fills the memory.
func TestPulseServers(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(net.Conn){
		"hangs up": func(c net.Conn) { c.Close() },
		"long": func(c net.Conn) {
			c.Write([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		},
		"HTTP":      func(c net.Conn) { c.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")) },
		"cut short": func(c net.Conn) { c.Write([]byte{0, 0, 0, 9, 0xff}); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer ln.Close()
			go func() {
				for {
					c, err := ln.Accept()
					if errors.Is(err, net.ErrClosed) {
						return
					}
					serve(c)
				}
			}()
			begin := time.Now()
			_, err = OpenSink(t.Context(), "pulse@tcp:"+ln.Addr().String(), Rate)
			require.ErrorIs(t, err, ErrNoDevice)
			assert.Less(t, time.Since(begin), pulseTimeout/2, "what cannot be a message is not waited for")
		})
	}
	_, err := OpenSource(t.Context(), "pulse@unix:"+filepath.Join(t.TempDir(), "no"))
	require.ErrorIs(t, err, ErrNoDevice)
	_, err = OpenSource(t.Context(), "pulse@carrier-pigeon")
	require.ErrorIs(t, err, ErrNoDevice)
}
