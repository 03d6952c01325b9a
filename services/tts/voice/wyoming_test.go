package voice

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/wyoming"
)

// wyomingPeer makes an engine of a peer that serves each connection by f, which gets the event that it
// was sent.
func wyomingPeer(t *testing.T, voice string, f func(c net.Conn, asked map[string]any)) *Wyoming {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				line, err := readLine(c)
				var asked map[string]any
				if err == nil && json.Unmarshal(line, &asked) == nil {
					f(c, asked)
				}
			}()
		}
	}()
	e, err := NewWyoming("tcp://"+ln.Addr().String(), voice)
	require.NoError(t, err)
	assert.Contains(t, e.ID(), ln.Addr().String())
	return e
}

// readLine reads no further than a line.
func readLine(c net.Conn) (line []byte, err error) {
	for one := make([]byte, 1); err == nil && !bytes.HasSuffix(line, []byte{'\n'}); {
		if _, err = c.Read(one); err == nil {
			line = append(line, one...)
		}
	}
	return line, err
}

// chunk is an event with sound, with its data beside the header as the Python peers send it, or in it.
func chunk(rate, channels int, pcm []int16, beside bool) []byte {
	data := fmt.Sprintf(`{"rate":%d,"width":2,"channels":%d}`, rate, channels)
	if beside {
		return fmt.Appendf(nil, "{\"type\":\"audio-chunk\",\"version\":\"1.5.4\",\"data_length\":%d,\"payload_length\":%d}\n%s%s", len(data), 2*len(pcm), data, raw(pcm))
	}
	return fmt.Appendf(nil, "{\"type\":\"audio-chunk\",\"data\":%s,\"payload_length\":%d}\n%s", data, 2*len(pcm), raw(pcm))
}

func TestWyoming(t *testing.T) {
	t.Parallel()
	asked := make(chan map[string]any, 1)
	e := wyomingPeer(t, "tars", func(c net.Conn, q map[string]any) {
		asked <- q
		b := []byte("{\"type\":\"audio-start\",\"data\":{\"rate\":22050,\"width\":2,\"channels\":1}}\n")
		b = append(b, chunk(22050, 1, hum(700), true)...)
		b = append(b, "{\"type\":\"future-event\",\"payload_length\":3}\nabc"...)
		b = append(b, chunk(22050, 1, hum(300), false)...)
		stereo := []int16{1, 100, 2, 200, 3, 300}
		b = append(b, chunk(22050, 2, stereo, true)...)
		for len(b) > 0 { // in pieces that do not fit the events
			n := min(len(b), 97)
			if _, err := c.Write(b[:n]); err != nil {
				return
			}
			b = b[n:]
		}
		fmt.Fprint(c, "{\"type\":\"audio-stop\"}\n")
	})
	h, err := speak(t, e, Text{Text: "Say \"hi\"\nnow.", Lang: "en"})
	require.NoError(t, err)
	assert.Equal(t, 22050, h.rate)
	assert.Equal(t, append(append(hum(700), hum(300)...), 1, 2, 3), h.pcm)
	assert.Equal(t, map[string]any{"type": "synthesize", "data": map[string]any{"text": "Say \"hi\"\nnow.", "voice": map[string]any{"name": "tars", "language": "en"}}}, <-asked)
	_, err = speak(t, e, Text{Text: "Hallo.", Lang: "de"})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"language": "de"}, (<-asked)["data"].(map[string]any)["voice"], "the voice is an English one")
	require.NoError(t, e.Close())
}

// TestWyomingVoices: the voice of a text is asked for when the peer has it, of which it is asked once.
func TestWyomingVoices(t *testing.T) {
	t.Parallel()
	var events []string
	var mu sync.Mutex
	serve := func(info string) *Wyoming {
		return wyomingPeer(t, "tars", func(c net.Conn, q map[string]any) {
			in := bufio.NewReader(c)
			for {
				mu.Lock()
				b, _ := json.Marshal(q["data"])
				events = append(events, q["type"].(string)+" "+string(b))
				mu.Unlock()
				if q["type"] != "describe" {
					_, _ = fmt.Fprintf(c, "%s{\"type\":\"audio-stop\"}\n", chunk(22050, 1, hum(10), true))
					return
				}
				_, _ = io.WriteString(c, "{\"type\":\"ping\"}\n"+info)
				line, err := in.ReadBytes('\n')
				q = nil
				if err != nil || json.Unmarshal(line, &q) != nil {
					return
				}
			}
		})
	}
	took := func() []string {
		mu.Lock()
		defer mu.Unlock()
		out := events
		events = nil
		return out
	}
	e := serve(`{"type":"info","data":{"tts":[{"name":"x","voices":[{"name":"case"},{"name":"kipp"}]}]}}` + "\n")
	for _, v := range []struct {
		text Text
		want []string
	}{
		{Text{Text: "Hi.", Voice: "tars"}, []string{`synthesize {"text":"Hi.","voice":{"name":"tars"}}`}},
		{Text{Text: "Hi.", Voice: "case"}, []string{`describe null`, `synthesize {"text":"Hi.","voice":{"name":"case"}}`}},
		{Text{Text: "Hi.", Voice: "kipp", Lang: "de"}, []string{`synthesize {"text":"Hi.","voice":{"language":"de","name":"kipp"}}`}},
		{Text{Text: "Hi.", Voice: "rms"}, []string{`synthesize {"text":"Hi.","voice":{"name":"tars"}}`}},
	} {
		_, err := speak(t, e, v.text)
		require.NoError(t, err)
		assert.Equal(t, v.want, took())
	}
	for info, want := range map[string]string{
		"{\"type\":\"info\",\"data\":{\"tts\":7}}\n": "list of voices: info: json", "": "list of voices: ",
		"{\"type\":\"error\",\"data\":{\"text\":\"no\"}}\n": `list of voices: the peer says: "no"`,
	} {
		e := serve(info)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err := e.Speak(ctx, Text{Text: "Hi.", Voice: "case"}, (&heard{}).emit)
		if info == "" {
			require.ErrorIs(t, err, context.DeadlineExceeded, "it says nothing")
			continue
		}
		require.ErrorContains(t, err, want)
	}
}

// TestWyomingFails: what a peer does that is none, or broken, is an error with a bound.
func TestWyomingFails(t *testing.T) {
	t.Parallel()
	write := func(s string) func(net.Conn, map[string]any) {
		return func(c net.Conn, _ map[string]any) { _, _ = io.WriteString(c, s) }
	}
	for name, v := range map[string]struct {
		serve func(net.Conn, map[string]any)
		want  string
	}{
		"hangs up":       {write(""), "unexpected EOF"},
		"cut header":     {write(`{"type":"audio`), "unexpected EOF"},
		"cut data":       {write("{\"type\":\"audio-chunk\",\"data_length\":50}\n{"), "unexpected EOF"},
		"cut sound":      {write(string(chunk(22050, 1, hum(100), true)[:150])), "unexpected EOF"},
		"no end":         {write(string(chunk(22050, 1, hum(100), true))), "unexpected EOF"},
		"error":          {write("{\"type\":\"error\",\"data\":{\"text\":\"no such voice\",\"code\":\"x\"}}\n"), `the peer says: "no such voice"`},
		"long error":     {write("{\"type\":\"error\",\"data\":{\"text\":\"" + strings.Repeat("x", 9000) + "\"}}\n"), "the peer says"},
		"wrong error":    {write("{\"type\":\"error\",\"data\":[7]}\n"), `the peer says: ""`},
		"HTTP":           {write("HTTP/1.1 400 Bad Request\r\n\r\n"), "read event: invalid character 'H'"},
		"wrong JSON":     {write("{\"type\":7}\n"), "read event: json"},
		"long header":    {write("{\"type\":\"" + strings.Repeat("x", 1<<17)), "more than 64 KiB"},
		"huge data":      {write("{\"type\":\"x\",\"data_length\":2000000000}\n"), "is too large"},
		"huge sound":     {write("{\"type\":\"x\",\"payload_length\":2000000000}\n"), "is too large"},
		"negative":       {write("{\"type\":\"x\",\"payload_length\":-1}\n"), "is too large"},
		"no format":      {write("{\"type\":\"audio-chunk\",\"payload_length\":2}\nab"), "audio-chunk:"},
		"wrong rate":     {write(string(chunk(1, 1, hum(10), true))), "sound that cannot be played: 1 Hz"},
		"wrong channels": {write(string(chunk(16000, 0, hum(10), true))), "0 channels"},
		"many channels":  {write(string(chunk(16000, 9, hum(10), true))), "9 channels"},
		"events for ever": {func(c net.Conn, _ map[string]any) {
			for flood(c, "{\"type\":\"ping\"}\n") {
			}
		}, "too many events"},
		"sound for ever": {func(c net.Conn, _ map[string]any) {
			for flood(c, string(chunk(16000, 1, hum(16000), true))) {
			}
		}, "more than three minutes"},
		"bytes without LF": {func(c net.Conn, _ map[string]any) {
			for flood(c, "xxxxxxxxxxxxxxxx") {
			}
		}, "more than 64 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := speak(t, wyomingPeer(t, "", v.serve), Text{Text: "Hello."})
			require.ErrorContains(t, err, v.want)
			assert.Less(t, len(err.Error()), 400)
		})
	}
	t.Run("says nothing", func(t *testing.T) {
		t.Parallel()
		begun := make(chan struct{}, 4)
		e := wyomingPeer(t, "", func(c net.Conn, _ map[string]any) {
			begun <- struct{}{}
			_, _ = io.Copy(io.Discard, c)
		})
		silent(t, e)
		<-begun
		stopped(t, e, begun)
	})
	t.Run("only pings", func(t *testing.T) {
		t.Parallel()
		silent(t, wyomingPeer(t, "", func(c net.Conn, _ map[string]any) {
			_, _ = io.WriteString(c, "{\"type\":\"ping\"}\n{\"type\":\"ping\"}\n")
			_, _ = io.Copy(io.Discard, c)
		}))
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		e, err := NewWyoming("unix://"+filepath.Join(t.TempDir(), "no.sock"), "")
		require.NoError(t, err)
		_, err = speak(t, e, Text{Text: "Hello."})
		require.ErrorContains(t, err, "no such file")
	})
	for _, bad := range []string{"", "127.0.0.1:10200", "tcp://", "tcp://host", "tcp://host:", "unix://relative", "http://host:1"} {
		_, err := NewWyoming(bad, "")
		require.Error(t, err, bad)
	}
}

func flood(c net.Conn, s string) bool {
	_, err := io.WriteString(c, s)
	return err == nil
}

func FuzzWyoming(f *testing.F) {
	f.Add(chunk(22050, 1, hum(10), true))
	f.Add([]byte("{\"type\":\"audio-stop\"}\n"))
	f.Add([]byte("{\"type\":\"error\",\"data\":{\"text\":\"x\"}}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = readWyoming(wyoming.NewReader(bytes.NewReader(b), wyoming.DefaultLimits()).Read, func(s Sound) error {
			if s.Rate < MinRate || s.Rate > MaxRate {
				t.Fatal(s.Rate)
			}
			return nil
		})
	})
}
