package wyoming

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	proto "github.com/tarsd/tarsd/internal/wyoming"
	"github.com/tarsd/tarsd/services/stt/recognise"
	"github.com/tarsd/tarsd/services/tts/voice"
)

// clients are the programs in Python, which use the protocol's own package.
const clients = "../../internal/interop/clients/"

// python is an interpreter that has the package, or the test skips.
func python(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	dir := filepath.Join(cache, "tarsd", "interop")
	if d := os.Getenv("TARSD_INTEROP_CACHE"); d != "" {
		dir, err = d, nil
	}
	require.NoError(t, err)
	if found, _ := filepath.Glob(filepath.Join(dir, "venv", "lib", "python*", "site-packages", "wyoming", "event.py")); len(found) == 0 {
		t.Skip("wyoming for Python is not installed; run: sh internal/interop/setup.sh")
	}
	return filepath.Join(dir, "venv", "bin", "python")
}

// report has each line of a report of the Python side be a subtest.
func report(t *testing.T, out io.Reader) {
	t.Helper()
	n, done := 0, -1
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var r struct {
			Test, Error string
			OK          bool
			Done        *int
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r), "%s", lines.Text())
		if r.Done != nil {
			done = *r.Done
			continue
		}
		n++
		t.Run(r.Test, func(t *testing.T) { assert.True(t, r.OK, r.Error) })
	}
	assert.Equal(t, done, n, "tests that were run")
}

// TestPythonClient: the protocol's own client, with the habits of Home Assistant, uses the service.
func TestPythonClient(t *testing.T) {
	t.Parallel()
	interpreter := python(t)
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			o := offer(t, &tone{rate: 22050}, &scribe{})
			attribute(&o)
			if network == "tcp" {
				o.Listen = "tcp://" + freeAddr(t)
			}
			run(t, o)
			cmd := exec.CommandContext(t.Context(), interpreter, clients+"wyoming_client.py", o.Listen, "asr", "tts", "wake", "tones")
			cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
			var said bytes.Buffer
			cmd.Stderr = &said
			out, err := cmd.Output()
			report(t, bytes.NewReader(out))
			require.NoError(t, err, "%s", &said)
		})
	}
	t.Run("stdio", func(t *testing.T) {
		t.Parallel()
		o := offer(t, &tone{rate: 22050}, &scribe{})
		attribute(&o)
		s, err := New(o)
		require.NoError(t, err)
		h, err := s.open(zerolog.Nop())
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "report")
		a, err := proto.ParseAddress("stdio:env PYTHONDONTWRITEBYTECODE=1 REPORT=" + file + " " + interpreter + " " + clients + "wyoming_client.py stdio:// asr tts wake tones")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c, err := proto.Dial(ctx, a, proto.Options{})
		require.NoError(t, err)
		server := proto.Server{Handle: h.handle, Log: zerolog.Nop()}
		require.NoError(t, server.ServeConn(ctx, c))
		require.NoError(t, h.close())
		f, err := os.Open(file)
		require.NoError(t, err)
		defer f.Close()
		report(t, f)
	})
}

// attribute says of all that is offered who made it, as the app does.
func attribute(o *Options) {
	who := proto.Attribution{Name: "somebody", URL: "https://example.org"}
	for _, a := range []*proto.Artifact{
		&o.ASR.Program.Artifact, &o.ASR.Program.Models[0].Artifact, &o.TTS.Program.Artifact, &o.TTS.Program.Voices[0].Artifact, &o.TTS.Program.Voices[1].Artifact,
		&o.Wake.Program.Artifact, &o.Wake.Program.Models[0].Artifact,
	} {
		a.Attribution, a.Installed = who, true
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// TestPythonServer: our clients of the protocol use its own server.
func TestPythonServer(t *testing.T) {
	t.Parallel()
	interpreter := python(t)
	for _, network := range []string{"tcp", "unix", "stdio"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			address := "stdio:" + interpreter + " " + clients + "wyoming_server.py stdio://"
			if network != "stdio" {
				if address = "unix://" + filepath.Join(t.TempDir(), "p.sock"); network == "tcp" {
					address = "tcp://" + freeAddr(t)
				}
				cmd := exec.CommandContext(t.Context(), interpreter, clients+"wyoming_server.py", address)
				cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
				require.NoError(t, cmd.Start())
				t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			}
			a, err := proto.ParseAddress(address)
			require.NoError(t, err)
			var c *proto.Conn
			require.Eventually(t, func() bool { // it is being started
				c, err = proto.Dial(t.Context(), a, proto.Options{ReadTime: 20 * time.Second, WriteTime: 20 * time.Second})
				return err == nil
			}, 20*time.Second, 20*time.Millisecond)
			defer c.Close()
			p := &peer{t: t, c: c}
			p.send(proto.TypeDescribe, nil)
			var info proto.Info
			p.next(proto.TypeInfo, &info)
			require.Len(t, info.ASR, 1)
			assert.True(t, info.ASR[0].Streaming && info.ASR[0].Installed)
			assert.Equal(t, proto.Attribution{Name: "somebody", URL: "https://example.org"}, info.TTS[0].Voices[0].Attribution)
			assert.Equal(t, "hey", info.Wake[0].Models[0].Name)
			p.send(proto.TypePing, proto.Ping{Text: "Grüße"})
			var pong proto.Ping
			p.next(proto.TypePong, &pong)
			assert.Equal(t, "Grüße", pong.Text)
			p.send(proto.TypeDetect, proto.Detect{Names: []string{"tars"}})
			p.send(proto.TypeAudioStart, proto.Mono16(16000))
			p.sound(16000, 1, hum(320))
			p.send(proto.TypeAudioStop, proto.At{})
			var found proto.Detection
			p.next(proto.TypeDetection, &found)
			assert.Equal(t, "tars", found.Name)
			assert.Equal(t, int64(7), *found.Timestamp)
			p.send(proto.TypeDetect, proto.Detect{})
			p.send(proto.TypeAudioStart, proto.Mono16(16000))
			p.send(proto.TypeAudioStop, proto.At{})
			p.next(proto.TypeNotDetected, nil)

			hears(t, address)
			speaks(t, address)
		})
	}
}

// hears has our recogniser of a peer use the server.
func hears(t *testing.T, address string) {
	t.Helper()
	e, err := recognise.NewWyoming(recognise.WyomingOptions{Address: address, Model: "tiny", Wait: 20 * time.Second, Stuck: 20 * time.Second})
	require.NoError(t, err)
	s, err := e.Begin(t.Context(), recognise.Utterance{Lang: "de"})
	require.NoError(t, err)
	for range 50 {
		require.NoError(t, s.Feed(t.Context(), hum(320)))
	}
	require.Eventually(t, func() bool { text, err := s.Partial(t.Context()); return err == nil && text == "so far" }, 20*time.Second, time.Millisecond)
	r, err := s.Finish(t.Context())
	require.NoError(t, err)
	assert.Equal(t, recognise.Result{Text: "16000 samples for tiny, Grüße", Lang: "de", Confidence: -1}, r)
	require.NoError(t, s.Close())
	require.NoError(t, e.Close())
}

// speaks has our voice of a peer use the server.
func speaks(t *testing.T, address string) {
	t.Helper()
	e, err := voice.NewWyoming(address, "low")
	require.NoError(t, err)
	n := 0
	text := "Grüße. " + strings.Repeat("A long sentence. ", 10)
	require.NoError(t, e.Speak(t.Context(), voice.Text{Text: text, Lang: "en"}, func(s voice.Sound) error {
		assert.Equal(t, 22050, s.Rate)
		n += len(s.PCM)
		return nil
	}))
	assert.Equal(t, 100*len([]rune(text)), n)
	err = e.Speak(t.Context(), voice.Text{Text: "fail"}, func(voice.Sound) error { return nil })
	require.ErrorContains(t, err, `the peer says: "no such voice"`)
}
