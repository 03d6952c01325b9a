package voice

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const secret = "sk-short-secret"

// served makes both engines of a server that answers by f, and calls check with each.
func served(t *testing.T, f http.HandlerFunc, check func(t *testing.T, e Engine)) {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	o := HTTPOptions{URL: s.URL + "/v1/", Key: func() (string, error) { return secret, nil }, Model: "m1", Voice: "v 1"}
	open, err := NewOpenAI(o)
	require.NoError(t, err)
	eleven, err := NewElevenLabs(o)
	require.NoError(t, err)
	for _, e := range []Engine{open, eleven} {
		t.Run(Name(e), func(t *testing.T) {
			check(t, e)
			require.NoError(t, e.Close())
			assert.NotContains(t, e.ID(), secret)
		})
	}
}

// TestServersAreAsked: the requests are those of the two interfaces.
func TestServersAreAsked(t *testing.T) {
	t.Parallel()
	var got map[string]any
	var head http.Header
	var at string
	served(t, func(w http.ResponseWriter, r *http.Request) {
		at, head, got = r.Method+" "+r.URL.String(), r.Header, nil
		_ = json.NewDecoder(r.Body).Decode(&got)
		_, _ = w.Write(wav(22050, 0xffffffff, hum(5000)))
	}, func(t *testing.T, e Engine) {
		h, err := speak(t, e, Text{Text: "Hello.", Style: "slow"})
		require.NoError(t, err)
		assert.Equal(t, 22050, h.rate)
		assert.Equal(t, hum(5000), h.pcm)
		if Name(e) == "openai" {
			assert.Equal(t, "POST /v1/audio/speech", at)
			assert.Equal(t, "Bearer "+secret, head.Get("Authorization"))
			assert.Equal(t, map[string]any{"model": "m1", "voice": "v 1", "input": "Hello.", "response_format": "wav", "speed": 0.85, "instructions": "Speak in a slow voice."}, got)
			return
		}
		assert.Equal(t, "POST /v1/text-to-speech/v%201/stream?output_format=pcm_24000", at)
		assert.Equal(t, secret, head.Get("xi-api-key"))
		assert.Equal(t, map[string]any{"text": "Hello.", "model_id": "m1", "voice_settings": map[string]any{"stability": 0.5, "similarity_boost": 0.75, "speed": 0.85}}, got)
	})
}

// TestVoicesOfServers: the voice of a text is asked for; one that the server does not have costs a request
// once, and is no reason to be silent.
func TestVoicesOfServers(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	served(t, func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Voice string }
		_ = json.NewDecoder(r.Body).Decode(&q)
		if q.Voice == "" {
			q.Voice = strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/text-to-speech/"), "/stream")
		}
		mu.Lock()
		asked = append(asked, q.Voice)
		mu.Unlock()
		switch q.Voice {
		case "rms":
			w.WriteHeader(http.StatusBadRequest)
		case "busy":
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			_, _ = w.Write(wav(22050, 0xffffffff, hum(5000)))
		}
	}, func(t *testing.T, e Engine) {
		for _, v := range []struct {
			voice string
			want  []string
			err   string
		}{
			{"nova", []string{"nova"}, ""},
			{"v 1", []string{"v 1"}, ""},
			{"rms", []string{"rms", "v 1"}, ""},
			{"rms", []string{"v 1"}, ""},
			{"../../admin", []string{"v 1"}, ""},
			{"..", []string{"v 1"}, ""},
			{"busy", []string{"busy"}, "429"},
		} {
			mu.Lock()
			asked = nil
			mu.Unlock()
			_, err := speak(t, e, Text{Text: "Hello.", Voice: v.voice})
			if v.err != "" {
				require.ErrorContains(t, err, v.err)
			} else {
				require.NoError(t, err)
			}
			assert.Equal(t, v.want, asked, v.voice)
		}
	})
}

// TestServersThatStream: samples are handed on as they come, whatever the pieces.
func TestServersThatStream(t *testing.T) {
	t.Parallel()
	want := hum(3001)
	next := make(chan struct{})
	served(t, func(w http.ResponseWriter, _ *http.Request) {
		b := raw(want)
		for len(b) > 0 {
			n := min(len(b), 1001) // half samples
			_, _ = w.Write(b[:n])
			w.(http.Flusher).Flush()
			if b = b[n:]; len(b) > 0 {
				<-next
			}
		}
	}, func(t *testing.T, e Engine) {
		var h heard
		require.NoError(t, e.Speak(t.Context(), Text{Text: "Hello."}, func(s Sound) error {
			if len(h.pcm)+len(s.PCM) < len(want)-1 {
				select { // the server waits until this was heard
				case next <- struct{}{}:
				default:
					go func() { next <- struct{}{} }()
				}
			}
			return h.emit(s)
		}))
		assert.Equal(t, 24000, h.rate)
		assert.Equal(t, want, h.pcm)
	})
}

// TestServersThatFail: each fault is an error that says what is wrong, and never the key.
func TestServersThatFail(t *testing.T) {
	t.Parallel()
	cut := func(w http.ResponseWriter, b []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(2*len(b)))
		_, _ = w.Write(b)
	}
	for name, v := range map[string]struct {
		answer http.HandlerFunc
		want   string
		sound  int // samples that come before
	}{
		"unauthorized": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":{"message":"wrong key %s of %s"}}`, secret, r.Header)
		}, "the server says 401: wrong key … of", 0},
		"quota": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"detail":{"message":"quota\n exceeded"}}`)
		}, "the server says 429: quota exceeded", 0},
		"page": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "<html>"+strings.Repeat("x", 1<<20))
		}, "the server says 502", 0},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "the server says 307", 0},
		"JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_, _ = io.WriteString(w, `{"error":{"message":"no such voice `+secret+`"}}`)
		}, "sound that cannot be played: the server sends application/json: no such voice …", 0},
		"wrong JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"error":[`)
		}, "sound that cannot be played: the server sends application/json", 0},
		"HTML": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html><body>Sign in</body></html>") // its type is found out
		}, "sound that cannot be played: the server sends text/html", 0},
		"MP3": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "audio/mpeg")
			_, _ = w.Write(append([]byte{0xff, 0xf3, 0x40, 0xc4}, make([]byte, 4000)...))
		}, "sound that cannot be played: compressed", 0},
		"broken WAV": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "audio/wav")
			_, _ = io.WriteString(w, "RIFF____AVI x")
		}, "not a WAV file", 0},
		"shrill WAV": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(wav(192000, 200, hum(100))) }, "sound that cannot be played: 192000 Hz", 0},
		"cut PCM":    {func(w http.ResponseWriter, _ *http.Request) { cut(w, raw(hum(1000))) }, "the answer is cut short", 1000},
		"cut WAV":    {func(w http.ResponseWriter, _ *http.Request) { cut(w, wav(24000, 4000, hum(1000))) }, "the answer is cut short", 1000},
		"hangs up":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF", 0},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			b := raw(hum(1 << 16))
			for {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		}, "more than three minutes for one sentence", maxSamples - 2400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			served(t, v.answer, func(t *testing.T, e Engine) {
				h, err := speak(t, e, Text{Text: "Hello."})
				require.ErrorContains(t, err, v.want)
				assert.NotContains(t, err.Error(), secret)
				assert.NotContains(t, err.Error(), "127.0.0.1:", "the address may hold a password")
				assert.Less(t, len(err.Error()), 400)
				assert.GreaterOrEqual(t, len(h.pcm), v.sound)
				if v.sound < 2000 {
					assert.Len(t, h.pcm, v.sound)
				}
			})
		})
	}
}

// TestServersThatHang: the chain ends them, and a stop does.
func TestServersThatHang(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 4)
	served(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client has gone
		begun <- struct{}{}
		<-r.Context().Done()
	}, func(t *testing.T, e Engine) {
		silent(t, e)
		<-begun
		stopped(t, e, begun)
	})
}

func TestServersNobodyAnswers(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	_, host, _ := strings.Cut(gone.URL, "//")
	e, err := NewOpenAI(HTTPOptions{URL: "http://user:" + secret + "@" + host})
	require.NoError(t, err)
	_, err = speak(t, e, Text{Text: "Hello."})
	require.ErrorContains(t, err, "refused")
	assert.NotContains(t, err.Error(), secret)
	assert.NotContains(t, e.ID(), secret)

	e, err = NewOpenAI(HTTPOptions{URL: gone.URL, Key: func() (string, error) { return "", errors.New("no such file") }})
	require.NoError(t, err)
	_, err = speak(t, e, Text{Text: "Hello."})
	require.EqualError(t, err, "key: no such file")

	e, err = NewOpenAI(HTTPOptions{URL: gone.URL, Key: func() (string, error) { return secret + "\nx: y", nil }})
	require.NoError(t, err)
	_, err = speak(t, e, Text{Text: "Hello."})
	require.Error(t, err)
	assert.NotContains(t, err.Error(), secret, "a key that is no header")

	for _, bad := range []string{"", "ftp://host/", "http://", "http://x:" + secret + "@[::1/"} {
		_, err := NewOpenAI(HTTPOptions{URL: bad})
		require.Error(t, err, bad)
		assert.NotContains(t, err.Error(), secret)
	}
	_, err = NewElevenLabs(HTTPOptions{URL: gone.URL, Voice: "v"})
	require.ErrorContains(t, err, "voice and key must be set")
}
