package audio

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio/audiotest"
)

// alsa has aplay and arecord use a private sound server, or skips the test.
func alsa(t *testing.T) (*audiotest.Bed, command) {
	t.Helper()
	b := newBed(t)
	for _, name := range []string{"aplay", "arecord"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("apt-get install alsa-utils libasound2-plugins")
		}
	}
	run := command{env: []string{"PULSE_SERVER=" + b.Server(), "PULSE_SINK=speaker", "PULSE_SOURCE=speaker.monitor"}}
	if out, err := exec.Command("aplay", "-L").Output(); err != nil || !strings.Contains(string(out), "pulse\n") {
		t.Skip("apt-get install libasound2-plugins")
	}
	return b, run
}

// TestALSA plays by aplay what arecord hears.
func TestALSA(t *testing.T) {
	t.Parallel()
	_, run := alsa(t)
	src, err := openArecord(run, "pulse")
	require.NoError(t, err)
	mic := recordFrom(t, src)
	s, err := newAplay(run, "pulse", Rate)
	require.NoError(t, err)
	whole := 0
	for try := 0; whole < 2; try++ { // each utterance has a process of its own
		require.Less(t, try, 10, "utterances, of which the busiest machine should play two without a gap")
		want := sweep(Rate/2, Rate, 8000)
		begin := time.Now()
		play(t, s, want)
		took := time.Since(begin)
		got := join(mic.until(t, time.Now().Add(200*time.Millisecond)))
		_, alike := find(want, got)
		ratio := energy(got) / energy(want)
		t.Logf("alike %.3f, energy %.3f, took %s", alike, ratio, took.Round(time.Millisecond))
		assert.Greater(t, took, 490*time.Millisecond)
		if alike > 0.99 && ratio > 0.98 && ratio < 1.02 && took < 1500*time.Millisecond {
			whole++
		}
	}

	wrote := make(chan error, 1)
	go func() { wrote <- s.Write(t.Context(), tone(500, 10*Rate, Rate)) }()
	for heard := false; !heard; {
		f, err := mic.q.next(t.Context())
		require.NoError(t, err)
		heard = Measure(f.PCM).Peak > 0.4
	}
	child := s.(*PeerSink).peer.(*aplay).proc.cmd.Process.Pid
	stop := time.Now()
	require.NoError(t, s.Flush())
	assert.Less(t, time.Since(stop), 100*time.Millisecond)
	require.ErrorIs(t, <-wrote, ErrFlushed)
	assert.NoFileExists(t, filepath.Join("/proc", strconv.Itoa(child)), "the process of the utterance that was stopped")
	last := stop
	for _, f := range mic.until(t, stop.Add(400*time.Millisecond)) {
		if Measure(f.PCM).Peak > 0.01 {
			last = f.At.Add(FrameTime)
		}
	}
	assert.Less(t, last.Sub(stop), 100*time.Millisecond)
	t.Logf("silent %s after the stop", last.Sub(stop).Round(time.Millisecond))
	require.NoError(t, s.Close())
	mic.stop()
	<-mic.done
}

// TestALSALoss: a device that is not there, or goes, is an error in the words of the program.
func TestALSALoss(t *testing.T) {
	t.Parallel()
	b, run := alsa(t)
	s, err := newAplay(run, "hw:7", Rate)
	require.NoError(t, err, "a card can be plugged in later")
	err = errors.Join(s.Write(t.Context(), tone(500, Rate/2, Rate)), s.Drain(t.Context()))
	require.ErrorIs(t, err, ErrNoDevice)
	assert.ErrorContains(t, err, "audio open error")
	require.NoError(t, s.Close())

	src, err := openArecord(run, "hw:7")
	require.NoError(t, err)
	_, err = src.Read(t.Context())
	require.ErrorIs(t, err, ErrNoDevice)
	assert.ErrorContains(t, err, "audio open error")
	require.NoError(t, src.Close())

	src, err = openArecord(run, "pulse")
	require.NoError(t, err)
	_, err = src.Read(t.Context())
	require.NoError(t, err)
	b.Stop()
	for err == nil {
		_, err = src.Read(t.Context())
	}
	require.ErrorIs(t, err, ErrNoDevice)
	require.NoError(t, src.Close())
}

// script makes a program of the given name.
func script(t *testing.T, name, text string) command {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o700))
	return command{dir: dir}
}

// TestHelperPrograms: what a program does that is no aplay has bounds.
func TestHelperPrograms(t *testing.T) {
	t.Parallel()
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		s, err := newAplay(script(t, "aplay", "sleep 1000 & sleep 1000"), "", Rate)
		require.NoError(t, err)
		wrote := make(chan error, 1)
		go func() { wrote <- s.Write(t.Context(), make([]int16, 10*Rate)) }()
		select {
		case err := <-wrote:
			t.Fatalf("10 s were taken at once: %v", err)
		case <-time.After(300 * time.Millisecond):
		}
		begin := time.Now()
		require.NoError(t, s.Close())
		assert.ErrorIs(t, <-wrote, ErrClosed)
		assert.Less(t, time.Since(begin), 500*time.Millisecond, "its own child holds nothing up")
	})
	t.Run("talks", func(t *testing.T) {
		t.Parallel()
		s, err := newAplay(script(t, "aplay", "yes no sound | head -c 1000000 >&2; echo the last word >&2; exit 3"), "", Rate)
		require.NoError(t, err)
		err = errors.Join(s.Write(t.Context(), make([]int16, Rate)), s.Drain(t.Context()))
		require.ErrorIs(t, err, ErrNoDevice)
		assert.ErrorContains(t, err, "exit status 3")
		assert.ErrorContains(t, err, "the last word")
		assert.Less(t, len(err.Error()), 1000)
		require.NoError(t, s.Close())
	})
	t.Run("no card", func(t *testing.T) {
		t.Parallel()
		for name, text := range map[string]string{
			"as alsa-utils says it": "echo 'aplay: device_list:279: no soundcards found...' >&2; exit 1",
			"an empty list":         "echo '**** List of PLAYBACK Hardware Devices ****'",
		} {
			err := anyCard(t.Context(), script(t, "aplay", text), true)
			require.ErrorIs(t, err, ErrNoDevice, name)
			assert.NotContains(t, err.Error(), "\n", name)
		}
		require.ErrorIs(t, anyCard(t.Context(), script(t, "aplay", ""), false), ErrNoDevice, "there is no arecord")
	})
	t.Run("lists", func(t *testing.T) {
		t.Parallel()
		run := script(t, "arecord", `echo "**** List of CAPTURE Hardware Devices ****
card 1: Device [USB PnP Sound Device], device 0: USB Audio [USB Audio]
  Subdevices: 1/1
  Subdevice #0: subdevice #0"`)
		list, err := alsaDevices(t.Context(), run, false)
		require.NoError(t, err)
		require.NoError(t, anyCard(t.Context(), run, false))
		assert.Equal(t, []Device{{Spec: "arecord:plughw:1,0", Name: "USB PnP Sound Device, USB Audio"}}, list)
		_, err = alsaDevices(t.Context(), run, true)
		assert.ErrorIs(t, err, ErrNoDevice, "there is no aplay")
		_, err = newAplay(run, "", Rate)
		assert.ErrorIs(t, err, ErrNoDevice)
	})
}
