package voice

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain is also a Piper, for the tests that start one.
func TestMain(m *testing.M) {
	if mode := os.Getenv("TARSD_TEST_PIPER"); mode != "" {
		playPiper(mode, os.Args[1:])
		return
	}
	os.Exit(m.Run())
}

// playPiper does what piper --json-input does, or something worse.
func playPiper(mode string, args []string) {
	if got := strings.Join(args, " "); !strings.Contains(got, "--json-input --output_dir ") || !strings.HasPrefix(got, "--model ") {
		fmt.Fprintln(os.Stderr, "arguments:", got)
		os.Exit(2)
	}
	first := true
	if f := os.Getenv("TARSD_TEST_FILE"); f != "" {
		_, err := os.Stat(f)
		first = err != nil
		_ = os.WriteFile(f, nil, 0o600)
	}
	if mode == "deaf" {
		hang()
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var q struct {
			Text    string `json:"text"`
			File    string `json:"output_file"`
			Speaker int    `json:"speaker_id"`
		}
		_ = json.Unmarshal(in.Bytes(), &q)
		sound := wav(22050, 0xffffffff, hum(100*len(q.Text)+q.Speaker))
		switch {
		case mode == "dies", mode == "dies once" && first:
			fmt.Fprintln(os.Stderr, strings.Repeat("the voice is broken\n", 1000))
			os.Exit(3)
		case mode == "hangs", mode == "hangs once" && first:
			fmt.Println("hanging")
			hang()
		case mode == "garbage":
			sound = []byte("no sound")
		case mode == "talks":
			fmt.Print(strings.Repeat("[info] loading\n\n", 100))
		case mode == "long":
			fmt.Print(strings.Repeat("x", 200_000))
		case mode == "lies":
			fmt.Println(q.File)
			continue
		case mode == "slow":
			<-time.After(300 * time.Millisecond)
		}
		_ = os.WriteFile(q.File, sound, 0o600)
		fmt.Println(q.File)
	}
}

// hang never returns. An empty select would not do: without cgo the runtime takes that for a deadlock
// and ends the process.
func hang() {
	for {
		<-time.After(time.Hour)
	}
}

// piper makes an engine with a scripted process.
func piper(t *testing.T, mode string) *Piper {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	program, model := filepath.Join(dir, "piper"), filepath.Join(dir, "tars.onnx")
	text := fmt.Sprintf("#!/bin/sh\nTMPDIR=%s TARSD_TEST_PIPER='%s' TARSD_TEST_FILE=%s/was exec %s \"$@\"\n", dir, mode, dir, self)
	require.NoError(t, os.WriteFile(program, []byte(text), 0o700))
	_, err = NewPiper(program, model)
	require.ErrorIs(t, err, os.ErrNotExist, "no model")
	require.NoError(t, os.WriteFile(model, nil, 0o600))
	_, err = NewPiper(program, model)
	require.ErrorIs(t, err, os.ErrNotExist, "a model without its configuration")
	require.NoError(t, os.WriteFile(model+".json", nil, 0o600))
	p, err := NewPiper(program, model)
	require.NoError(t, err)
	assert.Equal(t, "piper tars.onnx", p.ID())
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// process is the one that runs, and its directory.
func (p *Piper) process() (pid int, dir string) {
	if p.proc == nil {
		return 0, ""
	}
	return p.proc.cmd.Process.Pid, p.proc.dir
}

func TestPiper(t *testing.T) {
	t.Parallel()
	p := piper(t, "good")
	var pids []int
	for _, text := range []string{"Hello.", "One \"two\"\nthree.", strings.Repeat("long ", 300)} {
		h, err := speak(t, p, Text{Text: text})
		require.NoError(t, err)
		assert.Equal(t, 22050, h.rate)
		assert.Equal(t, hum(100*len(text)), h.pcm)
		pid, dir := p.process()
		pids = append(pids, pid)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left, "the file of a sentence that was heard")
	}
	assert.Equal(t, pids[0], pids[2], "its voice stays loaded")
	h, err := speak(t, p, Text{Text: "Hi.", Voice: "7"})
	require.NoError(t, err)
	assert.Len(t, h.pcm, 307, "speaker 7")
	h, err = speak(t, p, Text{Text: "Hi.", Voice: "alloy"})
	require.NoError(t, err)
	assert.Len(t, h.pcm, 300)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			text := strings.Repeat("a", i+1)
			h, err := speak(t, p, Text{Text: text})
			assert.NoError(t, err)
			assert.Len(t, h.pcm, 100*len(text), "each gets its own")
		})
	}
	wg.Wait()
	pid, dir := p.process()
	require.NoError(t, p.Close())
	assert.NoDirExists(t, dir)
	assert.NoDirExists(t, fmt.Sprint("/proc/", pid))
}

// TestPiperFails: what is wrong is said, in the program's words; the next sentence has a new process.
func TestPiperFails(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{
		"dies": "the voice is broken", "garbage": "not a WAV file", "long": "piper has ended", "lies": "no such file",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p := piper(t, mode)
			for range 2 {
				_, err := speak(t, p, Text{Text: "Hello."})
				require.ErrorContains(t, err, want)
				assert.Less(t, len(err.Error()), 600)
			}
		})
	}
	t.Run("dies once", func(t *testing.T) {
		t.Parallel()
		p := piper(t, "dies once")
		_, err := speak(t, p, Text{Text: "Hello."})
		require.Error(t, err)
		h, err := speak(t, p, Text{Text: "Hello."})
		require.NoError(t, err)
		assert.Len(t, h.pcm, 600)
	})
	t.Run("killed while idle", func(t *testing.T) {
		t.Parallel()
		p := piper(t, "good")
		_, err := speak(t, p, Text{Text: "Hello."})
		require.NoError(t, err)
		require.NoError(t, p.proc.cmd.Process.Kill())
		<-p.proc.lines // closed when it has ended
		_, err = speak(t, p, Text{Text: "Hello."})
		require.Error(t, err)
		_, err = speak(t, p, Text{Text: "Hello."})
		require.NoError(t, err)
	})
	t.Run("hangs once", func(t *testing.T) {
		t.Parallel()
		p := piper(t, "hangs once")
		for begun := false; !begun; { // on a busy machine it may not have before it was given up
			silent(t, p)
			_, err := os.Stat(filepath.Join(filepath.Dir(p.model), "was"))
			begun = err == nil
		}
		h, err := speak(t, p, Text{Text: "Hello."})
		require.NoError(t, err, "one that hangs is replaced")
		assert.Len(t, h.pcm, 600)
	})
	t.Run("talks", func(t *testing.T) {
		t.Parallel()
		p := piper(t, "talks")
		h, err := speak(t, p, Text{Text: "Hello."})
		require.NoError(t, err)
		assert.Len(t, h.pcm, 600)
	})
	t.Run("reads nothing", func(t *testing.T) {
		t.Parallel()
		p := piper(t, "deaf")
		begin := time.Now()
		_, err := NewChain([]Engine{p}, nil, 300*time.Millisecond).Speak(t.Context(), Text{Text: strings.Repeat("more than a pipe holds ", 10_000)}, (&heard{}).emit)
		require.ErrorIs(t, err, errSilent)
		assert.Less(t, time.Since(begin), 5*time.Second)
	})
}

// TestPiperGivenUp: a stop returns at once and keeps the process; what it makes late is thrown away.
func TestPiperGivenUp(t *testing.T) {
	t.Parallel()
	p := piper(t, "slow")
	_, err := speak(t, p, Text{Text: "First."})
	require.NoError(t, err)
	pid, dir := p.process()
	begun := make(chan struct{})
	close(begun)
	stopped(t, p, begun)
	h, err := speak(t, p, Text{Text: "Now this."})
	require.NoError(t, err)
	assert.Len(t, h.pcm, 900, "and not what was given up")
	now, _ := p.process()
	assert.Equal(t, pid, now)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestEspeak(t *testing.T) {
	t.Parallel()
	_, err := NewEspeak("no-such-espeak", "")
	require.ErrorIs(t, err, ErrMissing)
	if _, err := exec.LookPath("espeak-ng"); err != nil {
		t.Skip("apt-get install espeak-ng")
	}
	_, err = NewEspeak("espeak-ng", "-f /etc/passwd")
	require.ErrorContains(t, err, "no name of a voice")
	e, err := NewEspeak("espeak-ng", "en-us")
	require.NoError(t, err)
	usual, err := speak(t, e, Text{Text: "Hello there, how are you?"})
	require.NoError(t, err)
	assert.InDelta(t, 22050, usual.rate, 0)
	assert.Greater(t, len(usual.pcm), usual.rate, "more than a second")
	fast, err := speak(t, e, Text{Text: "Hello there, how are you?", Style: "urgent"})
	require.NoError(t, err)
	assert.Less(t, len(fast.pcm), len(usual.pcm))
	german, err := speak(t, e, Text{Text: "Hello there, how are you?", Lang: "DE"})
	require.NoError(t, err)
	assert.NotEqual(t, usual.pcm, german.pcm)
	_, err = speak(t, e, Text{Text: "Hello.", Lang: "xx-none"})
	require.ErrorContains(t, err, "exit status")
	h, err := speak(t, e, Text{Text: "-v de", Lang: "--path=/"})
	require.NoError(t, err, "neither the text nor the language is an argument")
	assert.NotEmpty(t, h.pcm)
	require.NoError(t, e.Close())
}

// TestPrograms: what a program does that is no espeak-ng is an error, and soon.
func TestPrograms(t *testing.T) {
	t.Parallel()
	program := func(t *testing.T, text string) *Espeak {
		path := filepath.Join(t.TempDir(), "espeak-ng")
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700))
		e, err := NewEspeak(path, "")
		require.NoError(t, err)
		return e
	}
	for name, v := range map[string]struct{ text, want string }{
		"fails":   {"cat >/dev/null; yes no | head -c 1000000 >&2; exit 4", "exit status 4: no no"},
		"nothing": {"cat >/dev/null", "not a WAV file"},
		"garbage": {"cat >/dev/null; echo hello, this is no sound", "no RIFF header"},
		"talks":   {"cat >/dev/null; yes; sleep 100", "no RIFF header"},
		"killed":  {"kill -9 $$", "not a WAV file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := speak(t, program(t, v.text), Text{Text: "Hello."})
			require.ErrorContains(t, err, v.want)
			assert.Less(t, len(err.Error()), 500)
		})
	}
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		e := program(t, "exec sleep 1000")
		silent(t, e)
		begun := make(chan struct{})
		close(begun)
		stopped(t, e, begun)
	})
	t.Run("never ends", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "head.wav"), wav(48000, 0xffffffff, nil), 0o600))
		_, err := speak(t, program(t, "cat "+dir+"/head.wav; exec yes"), Text{Text: "Hello."})
		require.ErrorIs(t, err, ErrSound)
	})
}
